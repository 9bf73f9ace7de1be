package engine

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/vault"
	"github.com/abide-privacy/abide/policy"
)

// A two-party item (a message, a contact) belongs to both: each party has a
// copy under its own key, with the same item id, so that one erasing theirs
// leaves the other's. No transaction spans two subjects. Before the first copy
// is written, a note of what is to be copied is made durable; after the second,
// it goes. Whoever finds the note finishes the copy, which may be repeated.
const (
	recordCopy = "copy"
	// copyGrace is how long a note is left to the process that made it.
	copyGrace = time.Minute
)

// copyNote says that items of one subject are to be copied to another. It is
// sealed: it links two people.
type copyNote struct {
	From    abide.SubjectID `json:"from"`
	To      abide.SubjectID `json:"to"`
	Items   []ItemRef       `json:"items"`
	Service abide.Service   `json:"service,omitempty"`
	Purpose abide.Purpose   `json:"purpose,omitempty"`
	Source  string          `json:"source,omitempty"`
}

// collectForBoth takes in two-party items for both parties.
func (e *Engine) collectForBoth(ctx context.Context, c Call, req Collect) (Collected, error) {
	if err := authorise(c, opCollect, req.Subject); err != nil {
		return Collected{}, err
	}
	ids, err := e.shared(ctx, c, &req)
	if err != nil {
		return Collected{}, err
	}
	note := copyNote{From: req.Subject, To: req.Other, Service: req.Service, Purpose: req.Purpose, Source: req.Source}
	for _, cat := range slices.Sorted(maps.Keys(ids)) {
		note.Items = append(note.Items, ItemRef{Category: cat, ID: ids[cat]})
	}
	name := abide.NewSubjectID(e.now()).String()
	if err := e.putNote(ctx, name, note); err != nil {
		return Collected{}, err
	}
	got, err := e.collect(ctx, c, req, ids)
	if err != nil {
		// If it is certain that nothing was written, the note can go. Otherwise
		// whoever finds it finds out.
		switch abide.ErrorCode(err) {
		case abide.CodeInvalid, abide.CodeDenied, abide.CodeConflict, abide.CodeErased, abide.CodeTooLarge:
			e.dropNote(ctx, name)
		}
		return Collected{}, err
	}
	// A retry under the same idempotency key wrote nothing new: the items are
	// those of the first try.
	note.Items = slices.DeleteFunc(slices.Clone(got.Items), func(r ItemRef) bool { _, ok := ids[r.Category]; return !ok })
	if err := e.copyItems(ctx, note); err != nil {
		return Collected{}, err
	}
	e.dropNote(ctx, name)
	return got, nil
}

// dropNote drops a note; one that stays is found, and found to be done.
func (e *Engine) dropNote(ctx context.Context, name string) {
	if err := e.store.DropRecord(context.WithoutCancel(ctx), recordCopy, name); err != nil {
		e.log.Warn("note of a two-party copy not dropped yet", "error", err.Error())
	}
}

// shared picks ids for the two-party items of a request, after asking whether
// the other party's copy may be kept: if not, nothing is written at all.
func (e *Engine) shared(ctx context.Context, c Call, req *Collect) (map[abide.Category]abide.SubjectID, error) {
	s, err := e.load(ctx, req.Other, storage.Want{})
	if err != nil {
		return nil, err
	}
	defer s.close()
	switch {
	case !s.active():
		return nil, erasedError()
	case s.force == nil:
		return nil, noPolicy()
	}
	ids := map[abide.Category]abide.SubjectID{}
	for name, raw := range req.Items {
		cat, ok := s.policy().Category(name)
		if !ok || !cat.TwoParty {
			continue
		}
		var list []json.RawMessage
		if cat.Many && json.Unmarshal(raw, &list) == nil && len(list) != 1 {
			return nil, invalid("one_at_a_time", "of a two-party category, one value is taken in at a time", "send one value", string(name))
		}
		ids[name] = abide.NewSubjectID(s.now)
	}
	if len(ids) == 0 {
		return nil, invalid("no_second_party", "none of these categories has a second party", "leave other out", "other")
	}
	reg, err := e.registerFor(ctx, c.Actor, "")
	if err != nil {
		return nil, err
	}
	r, d, judged := e.keepsCopy(s, reg, c.Actor, slices.Sorted(maps.Keys(ids)), req)
	if !d.Allowed() {
		part := partOf(c)
		part.Service, part.Source, part.Judged = req.Service, req.Source, judged
		err := e.refuse(ctx, c, s, s.id, r, part, d)
		e.raiseStopped(err)
		if !isCompany(c.Actor) && !c.Actor.Admin && abide.ErrorCode(err) == abide.CodeDenied {
			// The reasons speak of the other: one person does not learn from
			// them that another is a child, or withdrew.
			err = mayNot("the other party's copy may not be kept, so nothing is taken in")
		}
		return nil, err
	}
	return ids, nil
}

// keepsCopy judges whether a party's copy of what somebody else hands in may be
// kept. It comes with the service of the one who does: the other need take no
// part in it, but for those who left it nothing is written any more.
func (e *Engine) keepsCopy(s *subject, reg *policy.Register, by abide.Actor, cats []abide.Category, req *Collect) (*policy.Request, abide.Decision, *audit.Judged) {
	p, facts := s.policy(), s.facts
	person := by.Kind == abide.ActorSubject || by.Kind == abide.ActorGuardian
	if person {
		by = systemCall.Actor // a person's right to their own data is none to the other's
	}
	r := &policy.Request{Actor: by, Act: abide.ActCollect, Categories: cats, Service: req.Service, Source: req.Source, At: s.now}
	var joins []abide.Service
	of := p.FedBy(req.Purpose, req.Source)
	if named, ok := p.Service(req.Service); ok {
		of = []*policy.Service{named}
	}
	for _, svc := range of {
		if taking(&facts, svc.Name) == nil {
			facts.Services = append(slices.Clip(facts.Services), policy.Taking{Service: svc.Name, Since: s.now})
			joins = append(joins, svc.Name)
		}
	}
	purposes := purposesOf(p, req)
	d := decideAny(p, &facts, reg, r, purposes)
	judged := e.basis(s, r, reg, purposes...)
	judged.Joins, judged.System = joins, person
	return r, d, judged
}

func (e *Engine) putNote(ctx context.Context, name string, n copyNote) error {
	plain, err := json.Marshal(n)
	if err != nil {
		return storageError(err)
	}
	sealed, err := e.vault.Keyring().SealSystem(plain, []byte(recordCopy+"\x00"+name))
	if err != nil {
		return storageError(err)
	}
	return storageError(e.store.PutRecord(ctx, &storage.Record{Kind: recordCopy, Name: name, Version: 1, Body: sealed, At: e.now()}))
}

// copyItems gives the other party its copies of items that the first holds.
// Items that the first party does not hold were never written, or are gone;
// copies that the other holds are left as they are.
func (e *Engine) copyItems(ctx context.Context, n copyNote) error {
	var cats []abide.Category
	for _, r := range n.Items {
		cats = append(cats, r.Category)
	}
	from, err := e.load(ctx, n.From, storage.Want{Items: cats})
	if isNotFoundError(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer from.close()
	if !from.active() {
		return nil
	}
	records := map[ItemRef]*vault.Record{}
	for _, c := range slices.Compact(slices.Sorted(slices.Values(cats))) {
		items, err := e.open(from, c)
		if err != nil {
			return err
		}
		for _, o := range items {
			records[ItemRef{c, o.item.ID}] = o.record
		}
	}
	reg, err := e.registerFor(ctx, systemCall.Actor, "")
	if err != nil {
		return err
	}
	want := func(*policy.Policy) storage.Want { return storage.Want{Items: cats} }
	_, err = update(ctx, e, systemCall, opCollect, n.To, want, nil, func(ch *change) (struct{}, error) {
		return struct{}{}, ch.copyFrom(n, records, reg)
	})
	switch abide.ErrorCode(err) {
	case abide.CodeErased, abide.CodeNotFound:
		return nil // the other party is gone, and needs no copy
	case abide.CodeDenied:
		return nil // and refused since it was asked: its refusal is on record, the first copy stays
	}
	return err
}

// copyFrom adds the copies that are not held yet, if they may still be kept.
func (ch *change) copyFrom(n copyNote, records map[ItemRef]*vault.Record, reg *policy.Register) error {
	var cats []abide.Category
	for _, ref := range n.Items {
		if records[ref] != nil && !ch.held(ref) {
			cats = append(cats, ref.Category)
		}
	}
	if len(cats) == 0 {
		return nil
	}
	r, d, judged := ch.engine.keepsCopy(ch.subject, reg, ch.call.Actor, cats, &Collect{Service: n.Service, Purpose: n.Purpose, Source: n.Source})
	if !d.Allowed() {
		p := partOf(ch.call)
		p.Service, p.Source, p.Other, p.Judged = n.Service, n.Source, n.From, judged
		return ch.deny(r, p, d)
	}
	var logged []audit.Item
	for _, ref := range n.Items {
		rec := records[ref]
		if rec == nil || ch.held(ref) {
			continue
		}
		mine := *rec
		mine.Other = n.From
		it := storage.Item{Category: ref.Category, ID: ref.ID, Version: 1, Compartment: storage.Live}
		fact := opened{&it, &mine}.fact()
		if _, _, law := ch.policy().LawGround(ref.Category, fact, &ch.facts); law {
			it.Compartment = storage.Law
		}
		it.Due, _, _ = ch.policy().Deadline(ref.Category, fact, &ch.facts)
		if err := ch.engine.vault.SealItem(ch.keys, &it, &mine); err != nil {
			return storageError(err)
		}
		ch.PutItems = append(ch.PutItems, it)
		ch.Row.NextDue = sooner(ch.Row.NextDue, it.Due)
		logged = append(logged, audit.Item{Category: it.Category, ID: it.ID, Version: 1, Digest: vault.Digest(it.Sealed)})
	}
	p := partOf(ch.call)
	p.Items, p.Source, p.Other = logged, n.Source, n.From
	env := ch.engine.envelope(ch.call, audit.Collected)
	env.Act, env.Policy = abide.ActCollect.String(), ch.policy().Version()
	ch.log(p, env)
	return nil
}

func (s *subject) held(ref ItemRef) bool {
	return slices.ContainsFunc(s.items, func(it storage.Item) bool { return it.Category == ref.Category && it.ID == ref.ID })
}

// resumeCopies finishes the copies that a process left half done.
func (e *Engine) resumeCopies(ctx context.Context) error {
	rows, err := e.store.Records(ctx, recordCopy)
	if err != nil {
		return storageError(err)
	}
	for _, r := range rows {
		if e.now().Sub(r.At) < copyGrace {
			continue
		}
		plain, err := e.vault.Keyring().OpenSystem(r.Body, []byte(recordCopy+"\x00"+r.Name))
		if err != nil {
			return err
		}
		var n copyNote
		if err := json.Unmarshal(plain, &n); err != nil {
			return storageError(err)
		}
		if err := e.copyItems(ctx, n); err != nil {
			return err
		}
		if err := e.store.DropRecord(ctx, recordCopy, r.Name); err != nil && !isNotFound(err) {
			return storageError(err)
		}
	}
	return nil
}
