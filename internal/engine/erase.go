package engine

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/vault"
	"github.com/abide-privacy/abide/policy"
	"github.com/abide-privacy/abide/policy/rule"
)

// Certificate states that a person was erased and what outlives the erasure.
type Certificate = audit.Certificate

// An erasure passes these steps. Each is durable before the next begins, and
// each may be repeated, so a process that is killed anywhere resumes at the
// last one that is in the store:
//
//  1. intent: status erasing, log entry, and what will survive, in one
//     transaction. From here on every read is refused. What it costs does not
//     grow with what is held: it looks at what law may retain and at nothing
//     else (TestErasureIsFlat).
//  2. restore ledger: the erasure is appended, so that no restore undoes it.
//  3. keys: live and log are destroyed, and law if no law retains anything.
//  4. certified: status erased, log entry, signed certificate, in one
//     transaction. Only now is the erasure acknowledged.
//  5. purge: look-ups and rows go, page by page; then the files are scrubbed.
//  6. done: the job ends, the certificate stays.
const (
	stepIntent    = "intent"
	stepCertified = "certified"
)

// Erase erases a person and returns the signed certificate. Again, it returns
// the same certificate.
func (e *Engine) Erase(ctx context.Context, c Call, id abide.SubjectID) (Certificate, error) {
	if err := authorise(c, opErase, id); err != nil {
		return Certificate{}, err
	}
	cert, err := e.eraseFully(ctx, c, id)
	e.metrics.changed(opErase, outcome(err))
	if err != nil {
		return Certificate{}, err
	}
	e.wakeEraser()
	return *cert, nil
}

// eraseFully takes the steps up to the certificate, one caller at a time on
// this node. Another node may be at the same erasure; then one of the two
// certificates is committed.
func (e *Engine) eraseFully(ctx context.Context, c Call, id abide.SubjectID) (*Certificate, error) {
	defer e.alone(id)()
	lost, intended := false, false
	for range changeTries {
		cert, err := e.eraseStep(ctx, c, id, lost, intended)
		if errors.Is(err, storage.ErrConflict) {
			e.metrics.conflict()
			lost = true
			continue
		}
		if err != nil || cert != nil {
			return cert, err
		}
		// The intent is durable: whoever asked may leave, the erasure goes on.
		ctx, intended = context.WithoutCancel(ctx), true
	}
	return nil, storageError(storage.ErrConflict)
}

// Certificate returns the certificate of an erased person.
func (e *Engine) Certificate(ctx context.Context, c Call, id abide.SubjectID) (Certificate, error) {
	if err := authorise(c, opErase, id); err != nil {
		return Certificate{}, err
	}
	s, err := e.load(ctx, id, storage.Want{Erasure: true})
	if err != nil {
		return Certificate{}, err
	}
	defer s.close()
	if s.row.Status != abide.StatusErased {
		return Certificate{}, &abide.Error{Code: abide.CodeNotFound, Detail: "not_erased",
			Message: "this data subject was not erased", Hint: "erase it first"}
	}
	cert, err := e.openCertificate(s)
	if err != nil {
		return Certificate{}, err
	}
	return *cert, nil
}

// eraseStep takes the step that comes next. It returns the certificate once
// there is one, and neither certificate nor error if another step follows. Lost
// says that another node came first: this one's record may stand behind the
// other's in the restore ledger, so the certificate that holds is put last.
// Intended says that the intent is durable: then what is held is counted, which
// nobody's refusal waits for.
func (e *Engine) eraseStep(ctx context.Context, c Call, id abide.SubjectID, lost, intended bool) (*Certificate, error) {
	s, err := e.load(ctx, id, storage.Want{LawItems: true, Erasure: true, Counts: intended})
	if err == nil && s.row.Status == abide.StatusActive && len(s.index.IDs()) > 1 {
		// While the index is made anew under another key, a sweep may have
		// claimed values that no item has yet. Only the items' keys tell which,
		// and they are about to be destroyed.
		s.close()
		s, err = e.load(ctx, id, storage.Want{AllItems: true, Erasure: true})
	}
	if err != nil {
		return nil, err
	}
	defer s.close()
	switch s.row.Status {
	case abide.StatusActive:
		return nil, e.eraseIntent(ctx, c, s)
	case abide.StatusErasing:
		if !intended {
			return nil, nil // somebody else's intent: again, and count
		}
		return e.certify(ctx, s)
	}
	cert, err := e.openCertificate(s)
	if err != nil || !lost {
		return cert, err
	}
	ticket, err := e.appendErasure(ctx, s, cert)
	if err != nil {
		return nil, err
	}
	e.settle(ticket)
	return cert, nil
}

// eraseIntent makes the intent durable, with the draft of the certificate: what
// will survive is known only while the keys exist.
func (e *Engine) eraseIntent(ctx context.Context, c Call, s *subject) error {
	ch := &change{subject: s, call: c, engine: e}
	ch.Expect, ch.Row = s.row.Version, s.row
	draft := &Certificate{ID: abide.NewSubjectID(s.now).String(), Subject: s.id, Requested: s.now,
		Counts: map[abide.Category]int{}, Survives: []audit.Survivor{}}
	if s.force != nil {
		draft.Controller, draft.Policy, ch.Epoch = controller(s.policy()), s.policy().Version(), s.force.epoch.N
	}
	if err := ch.survivors(draft); err != nil {
		return err
	}
	ch.Row.Status, ch.Row.Sealed = abide.StatusErasing, nil
	env := e.envelope(c, audit.ErasureIntent)
	env.Policy = draft.Policy
	ch.entries = append(ch.entries, pendingEntry{envelope: env, system: true})
	var err error
	if ch.Erasure, err = e.erasureJob(s.id, stepIntent, s.now, draft); err != nil {
		return err
	}
	if err := ch.commit(ctx); err != nil {
		return err
	}
	e.metrics.erasure(stepIntent)
	return nil
}

// survivors decides, item by item, what law retains. It fills in the draft and
// the change: retained items lose their index and get the deadline of their
// legal ground, and the facts that later reads for the legal purpose need are
// sealed under the law key. Their look-ups go with the change: nothing but the
// values leads to them, and these are about to be unreadable.
func (ch *change) survivors(draft *Certificate) error {
	kept := map[abide.Category]*audit.Survivor{}
	var events []policy.Event
	for i := range ch.items {
		it := ch.items[i]
		gone, err := ch.lookupsOf(&it)
		if err != nil {
			return err
		}
		until, ground, clause, retained := ch.lawGround(&it)
		if !retained {
			if it.Compartment == storage.Law {
				if !isPseudo(it.Category) {
					draft.Counts[it.Category]++ // the others are counted when they are certified
				}
				// The key may stay for others of that compartment.
				ch.DropItems = append(ch.DropItems, storage.ItemKey{Category: it.Category, ID: it.ID})
				ch.Stale = append(ch.Stale, gone...)
			} else if len(gone) > 1 {
				ch.Stale = append(ch.Stale, gone...) // the purge knows of one
			}
			continue
		}
		r, err := ch.engine.vault.OpenItem(ch.keys, &it)
		if err != nil {
			return err
		}
		for _, ev := range ch.facts.Events {
			if ev.Ref == r.Ref && !slices.Contains(events, ev) {
				events = append(events, ev)
			}
		}
		ch.Stale = append(ch.Stale, gone...)
		it.IndexKey, it.Index, it.Due = "", nil, until
		ch.PutItems = append(ch.PutItems, it)
		sv := kept[it.Category]
		if sv == nil {
			sv = &audit.Survivor{What: string(it.Category), Ground: ground, Clause: clause}
			kept[it.Category] = sv
		}
		sv.Count++
		if until.After(sv.Until) {
			sv.Until = until
		}
	}
	return ch.keepLaw(draft, kept, events)
}

// keepLaw completes the draft and seals what later reads for the legal purpose
// need, if anything survives.
func (ch *change) keepLaw(draft *Certificate, kept map[abide.Category]*audit.Survivor, events []policy.Event) error {
	ch.Row.Law, ch.Row.NextDue = nil, time.Time{}
	if len(kept) == 0 {
		return nil
	}
	var last time.Time
	for _, sv := range kept {
		draft.Survives = append(draft.Survives, *sv)
		if sv.Until.After(last) {
			last = sv.Until
		}
	}
	slices.SortFunc(draft.Survives, func(a, b audit.Survivor) int { return compareStrings(a.What, b.What) })
	if ch.Row.ConsentN > 0 {
		draft.Survives = append(draft.Survives, audit.Survivor{What: "evidence of consent", Ground: "sealed with what law retains; goes with it", Count: int(ch.Row.ConsentN), Until: last})
	}
	for _, it := range ch.PutItems {
		ch.Row.NextDue = sooner(ch.Row.NextDue, it.Due)
	}
	facts := policy.Facts{Kind: ch.facts.Kind, Status: abide.StatusActive, Residence: ch.facts.Residence, Events: events,
		Holds: slices.DeleteFunc(slices.Clone(ch.facts.Holds), func(h policy.Hold) bool { return ended(&h, ch.now) })}
	sealed, err := ch.engine.vault.SealLaw(ch.keys, vault.EncodeState(&facts))
	if err != nil {
		return storageError(err)
	}
	ch.Row.Law = sealed
	return nil
}

// lawGround returns until when law or a hold demands an item, for which ground
// and by which clause.
func (ch *change) lawGround(it *storage.Item) (until time.Time, ground, clause string, ok bool) {
	if it.Compartment != storage.Law || isPseudo(it.Category) || ch.force == nil {
		return time.Time{}, "", "", false
	}
	r, err := ch.engine.vault.OpenItem(ch.keys, it)
	if err != nil {
		return time.Time{}, "", "", false
	}
	kept := ch.policy().RetainedByLaw(it.Category, opened{it, r}.fact(), &ch.facts)
	if kept.Ends && !ch.now.Before(kept.Due) {
		return time.Time{}, "", "", false
	}
	if kept.Hold != "" {
		return kept.Due, "legal hold", kept.Clause, true
	}
	p, ok := ch.policy().Purpose(kept.Ground)
	return kept.Due, citation(p), kept.Clause, ok
}

// citation names the legal ground of a purpose as the policy does.
func citation(p *policy.Purpose) string {
	if b := p.Rule.Basis; b != nil && b.Kind == rule.BasisLaw && b.Citation != "" {
		return string(b.Place) + ", " + b.Citation
	}
	return string(p.Name)
}

// certify does what comes between the intent and the acknowledgement. It may
// be repeated from its beginning any number of times.
func (e *Engine) certify(ctx context.Context, s *subject) (*Certificate, error) {
	if s.erasure == nil {
		return nil, &abide.Error{Code: abide.CodeInternal, Detail: "erasure_job_missing",
			Message: "the job of an erasure is not in the store", Hint: "run abide doctor"}
	}
	cert, err := e.openCertificate(s)
	if err != nil {
		return nil, err
	}
	if cert.Counts == nil {
		cert.Counts = map[abide.Category]int{}
	}
	for category, n := range s.counts {
		if !isPseudo(category) {
			cert.Counts[category] += n
		}
	}
	cert.Erased, cert.LogEntry = s.now, s.row.EntryN+1
	if _, err := audit.SignCertificate(cert, e.vault.Keyring()); err != nil {
		return nil, storageError(err)
	}
	ticket, err := e.appendErasure(ctx, s, cert)
	if err != nil {
		return nil, err
	}
	defer e.settle(ticket) // the store has the intent: whatever happens, it goes on from there
	if err := e.destroyKeys(ctx, s); err != nil {
		return nil, err
	}
	e.metrics.erasure("keys_destroyed")
	ch := &change{subject: s, engine: e}
	ch.Expect, ch.Row = s.row.Version, s.row
	ch.Row.Status, ch.Row.Sealed = abide.StatusErased, nil
	env := e.envelope(systemCall, audit.Erased)
	env.Policy = cert.Policy
	ch.entries = append(ch.entries, pendingEntry{envelope: env, system: true})
	if ch.Erasure, err = e.erasureJob(s.id, stepCertified, s.erasure.Started, cert); err != nil {
		return nil, err
	}
	if err := ch.commit(ctx); err != nil {
		return nil, err
	}
	e.metrics.erasure(stepCertified)
	return cert, nil
}

// destroyKeys destroys the keys and forgets what others were asked about the
// person: two places, side by side, and both before the certificate.
func (e *Engine) destroyKeys(ctx context.Context, s *subject) error {
	asked := make(chan error, 1)
	go func() { asked <- e.dropApprovals(ctx, s.id) }()
	err := e.keys.Destroy(ctx, s.id, erased(s.row.Law != nil))
	return storageError(errors.Join(err, <-asked))
}

// erased lists the compartments that an erasure destroys.
func erased(lawRetains bool) []storage.Compartment {
	if lawRetains {
		return []storage.Compartment{storage.Live, storage.Log}
	}
	return vault.Compartments()
}

func (e *Engine) erasureJob(id abide.SubjectID, step string, started time.Time, cert *Certificate) (*storage.ErasureJob, error) {
	plain, err := json.Marshal(cert)
	if err != nil {
		return nil, storageError(err)
	}
	sealed, err := e.vault.SealCertificate(id, plain)
	if err != nil {
		return nil, storageError(err)
	}
	return &storage.ErasureJob{Subject: id, Step: step, Started: started, Certificate: sealed}, nil
}

func (e *Engine) openCertificate(s *subject) (*Certificate, error) {
	if s.erasure == nil {
		return nil, &abide.Error{Code: abide.CodeInternal, Detail: "certificate_missing",
			Message: "the certificate of an erasure is not in the store", Hint: "run abide doctor"}
	}
	plain, err := e.vault.OpenCertificate(s.erasure)
	if err != nil {
		return nil, err
	}
	var cert Certificate
	if err := json.Unmarshal(plain, &cert); err != nil {
		return nil, storageError(err)
	}
	return &cert, nil
}

// retained returns the facts by which reads of an erased person for a legal
// purpose are judged, and false if law retains nothing for that purpose.
func (e *Engine) retained(s *subject, purpose abide.Purpose) (*policy.Facts, bool, error) {
	if s.row.Status != abide.StatusErased || s.row.Law == nil || s.force == nil || !s.keys.Has(storage.Law) {
		return nil, false, nil
	}
	p, ok := s.policy().Purpose(purpose)
	if !ok || p.Basis != rule.BasisLaw {
		return nil, false, nil
	}
	plain, err := e.vault.OpenLaw(s.keys, &s.row)
	if err != nil {
		return nil, false, err
	}
	var f policy.Facts
	if err := vault.DecodeState(plain, &f); err != nil {
		return nil, false, storageError(err)
	}
	return &f, true, nil
}
