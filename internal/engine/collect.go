package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/vault"
	"github.com/abide-privacy/abide/policy"
)

const (
	maxItems  = 500 // items of one call
	maxSource = 64  // characters of a source
	maxRef    = 128 // characters of a reference to an order
)

// Collect takes in personal data, all of it or nothing. A category is taken if
// one of the purposes that the service serves, and that the caller carries,
// may collect it from this person.
//
// The first data for a service makes the person take part in it. After they
// left, data for it is refused, on record, and raised as a finding: some
// source did not stop.
func (e *Engine) Collect(ctx context.Context, c Call, req Collect) (Collected, error) {
	if err := req.check(); err != nil {
		return Collected{}, err
	}
	if !req.Other.IsZero() {
		return e.collectForBoth(ctx, c, req)
	}
	return e.collect(ctx, c, req, nil)
}

// collect writes to one subject. ids, if given, fixes the ids of new items.
func (e *Engine) collect(ctx context.Context, c Call, req Collect, ids map[abide.Category]abide.SubjectID) (Collected, error) {
	got, err := update(ctx, e, c, opCollect, req.Subject, req.want, req, func(ch *change) (Collected, error) {
		b := &collecting{change: ch, ctx: ctx, req: req, ids: ids}
		return b.run(ctx)
	})
	e.raiseStopped(err)
	return got, err
}

// raiseStopped raises each service that a collection was refused for because the
// person left it. The reason points at the service's block.
func (e *Engine) raiseStopped(err error) {
	var known *abide.Error
	p := e.Policy()
	if p == nil || !errors.As(err, &known) || known.Decision == nil {
		return
	}
	for _, r := range known.Decision.Reasons {
		if r.Code != abide.DenySourceStopped {
			continue
		}
		for _, svc := range p.Services() {
			if svc.Span == r.Span {
				e.raise(FindingSourceMustStop, string(svc.Name))
			}
		}
	}
}

func (req *Collect) check() error {
	switch {
	case len(req.Items) == 0:
		return invalid("no_items", "there is no data in this request", "send items by category", "items")
	case len(req.Items) > maxItems:
		return &abide.Error{Code: abide.CodeTooLarge, Detail: "too_many_items", Message: "too many items in one request", Hint: "send at most 500"}
	case req.Service == "" && req.Purpose == "":
		return invalid("service_missing", "data is asked for a service, or for a purpose", "say which", "service")
	case !representable(req.Obtained):
		return invalid("bad_time", "the time lies outside of the years 1900 to 9000", "send when the data was obtained", "obtained")
	case len(req.Source) > maxSource:
		return invalid("source_too_long", "a source has at most 64 characters", "name the form or system, not the person", "source")
	case len(req.Ref) > maxRef:
		return invalid("ref_too_long", "a reference has at most 128 characters", "send the order's number", "ref")
	case req.Subject == req.Other:
		return invalid("same_party", "the other party is the same person", "leave it out", "other")
	}
	return nil
}

// want loads what the items may replace, what derived items come from, and
// what services need, to tell what is missing.
func (req *Collect) want(p *policy.Policy) storage.Want {
	cats := needs(p)
	for c := range req.Items {
		cats = append(cats, c)
	}
	for _, f := range req.From {
		cats = append(cats, f.Category)
	}
	cats = slices.DeleteFunc(cats, func(c abide.Category) bool { return !plainName(string(c)) })
	slices.Sort(cats)
	return storage.Want{Items: slices.Compact(cats)}
}

// collecting is one build of a collection.
type collecting struct {
	*change
	ctx       context.Context // of the call, for what it asks while building
	req       Collect
	ids       map[abide.Category]abide.SubjectID
	refs      []ItemRef
	logged    []audit.Item
	skipped   []abide.Category
	judged    *audit.Judged // what the decision was judged by
	rectified bool          // a value took the place of another, and none is new
	added     bool
}

func (b *collecting) run(ctx context.Context) (Collected, error) {
	cats := slices.Sorted(maps.Keys(b.req.Items))
	if err := b.decide(ctx, cats); err != nil {
		return Collected{}, err
	}
	sources, err := b.sources()
	if err != nil {
		return Collected{}, err
	}
	for _, c := range cats {
		if err := b.category(c, sources); err != nil {
			return Collected{}, named(err, c)
		}
	}
	b.entry(cats)
	missing, err := b.missing()
	if err != nil {
		return Collected{}, err
	}
	if b.refs == nil {
		b.refs = []ItemRef{}
	}
	return Collected{Items: b.refs, Missing: missing, Skipped: b.skipped}, nil
}

// named says which category an error is about.
func named(err error, c abide.Category) error {
	var known *abide.Error
	if !errors.As(err, &known) || known.Field != "" {
		return err
	}
	e := *known
	e.Field = string(c)
	return &e
}

// decide asks every purpose of the service. The person who never joined takes
// part from now on, if it is permitted.
func (b *collecting) decide(ctx context.Context, cats []abide.Category) error {
	reg, err := b.engine.registerFor(ctx, b.call.Actor, "")
	if err != nil {
		return err
	}
	var joins []abide.Service
	if _, known := b.policy().Service(b.req.Service); known && taking(&b.facts, b.req.Service) == nil {
		b.join(b.req.Service)
		joins = append(joins, b.req.Service)
	}
	r := &policy.Request{Actor: b.call.Actor, Act: abide.ActCollect, Categories: cats, Service: b.req.Service, Source: b.req.Source, At: b.now}
	purposes := purposesOf(b.policy(), &b.req)
	d := decideAny(b.policy(), &b.facts, reg, r, purposes)
	b.judged = b.engine.basis(b.subject, r, reg, purposes...)
	b.judged.Joins = joins
	if b.req.Purpose == "" {
		b.judged.Purposes = purposes // the envelope names none
	}
	if !d.Allowed() {
		p := partOf(b.call)
		p.Judged = b.judged
		p.Service, p.Source, p.Ref = b.req.Service, b.req.Source, b.req.Ref
		return b.deny(r, p, d)
	}
	b.engine.metrics.decided(abide.ActCollect.String(), d.Effect.String())
	return nil
}

func purposesOf(p *policy.Policy, req *Collect) []abide.Purpose {
	if req.Purpose != "" {
		return []abide.Purpose{req.Purpose}
	}
	if svc, ok := p.Service(req.Service); ok && len(svc.Serves) > 0 {
		return svc.Serves
	}
	return []abide.Purpose{""}
}

// decideAny permits what at least one of the purposes permits. A refusal holds
// the reasons of every purpose for what none permits.
func decideAny(p *policy.Policy, f *policy.Facts, reg *policy.Register, r *policy.Request, purposes []abide.Purpose) abide.Decision {
	open := slices.Clone(r.Categories)
	var out abide.Decision
	var refusals []abide.Decision
	for _, one := range purposes {
		q := *r
		q.Purpose = one
		d := p.Decide(f, reg, &q)
		out.PolicyVersion = d.PolicyVersion
		before := len(open)
		open = slices.DeleteFunc(open, func(c abide.Category) bool { return d.Allowed() || slices.Contains(d.Permitted, c) })
		if d.Allowed() || len(open) < before {
			out.Obligations = append(out.Obligations, d.Obligations...)
		}
		if d.Allowed() {
			out.Reasons = append(out.Reasons, d.Reasons...)
		} else {
			refusals = append(refusals, d)
		}
		if len(open) == 0 {
			r.Purpose = one
			out.Effect, out.Permitted = abide.Permit, r.Categories
			return out
		}
	}
	if len(purposes) == 1 {
		r.Purpose = purposes[0]
	}
	out.Effect, out.Reasons, out.Obligations = abide.Deny, nil, nil
	for _, c := range r.Categories {
		if !slices.Contains(open, c) {
			out.Permitted = append(out.Permitted, c)
		}
	}
	for _, d := range refusals {
		for _, reason := range d.Reasons {
			if reason.Category != "" && !slices.Contains(open, reason.Category) || slices.Contains(out.Reasons, reason) {
				continue
			}
			out.Reasons = append(out.Reasons, reason)
		}
	}
	return out
}

// source is an item that a derived value was made from.
type source struct {
	ref      vault.ItemRef
	purposes []abide.Purpose
}

// sources finds the items that derived values were made from. Each must be
// held, and within its deadline.
func (b *collecting) sources() ([]source, error) {
	var out []source
	for _, ref := range b.req.From {
		items, err := b.engine.open(b.subject, ref.Category)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(items, func(o opened) bool { return o.item.ID == ref.ID })
		if i < 0 || b.engine.past(b.subject, &b.facts, items[i].fact()) {
			return nil, invalid("source_not_held", "an item that the value was derived from is not held", "derive it again from what is held", string(ref.Category))
		}
		s := source{ref: vault.ItemRef(ref), purposes: items[i].record.Purposes}
		if !items[i].record.Derived {
			s.purposes = slices.Clone(b.policy().UsedFor(ref.Category))
		}
		out = append(out, s)
	}
	return out, nil
}

// category takes in the values of one category.
func (b *collecting) category(name abide.Category, sources []source) error {
	cat, ok := b.policy().Category(name)
	if !ok {
		return invalid("unknown_category", "the policy knows no such category", "see /v1/policy for the categories", string(name))
	}
	if cat.CountPer != "" {
		return invalid("about_nobody", "this category is counted and never kept for anyone", "send it to /v1/counters, without a subject", string(name))
	}
	if cat.Elsewhere {
		b.skipped = append(b.skipped, name)
		return nil
	}
	if len(cat.DerivedFrom) > 0 && len(sources) == 0 {
		return invalid("sources_missing", "this category is derived, and the request does not say from which items", "send derived_from", string(name))
	}
	for _, s := range sources {
		if len(cat.DerivedFrom) > 0 && !slices.Contains(cat.DerivedFrom, s.ref.Category) {
			return invalid("wrong_source", "the policy does not say that this category is derived from that one", "see derived_from in the policy", string(name))
		}
	}
	values := []json.RawMessage{b.req.Items[name]}
	if raw := bytes.TrimSpace(b.req.Items[name]); cat.Many && len(raw) > 0 && raw[0] == '[' {
		values = nil
		if err := json.Unmarshal(raw, &values); err != nil {
			return invalid("bad_json_value", "the values are not a JSON array", "send an array", string(name))
		}
	}
	if len(values) > maxItems {
		return &abide.Error{Code: abide.CodeTooLarge, Detail: "too_many_items", Message: "too many values of one category", Hint: "send at most 500"}
	}
	for _, v := range values {
		if err := b.value(cat, v, sources); err != nil {
			return err
		}
	}
	return nil
}

// value checks, coarsens, seals and adds one value.
func (b *collecting) value(cat *policy.Category, raw json.RawMessage, sources []source) error {
	canonical, normal, err := vault.Normalize(cat.Format, raw, region(&b.facts))
	if err != nil {
		return err
	}
	obtained, err := b.obtained()
	if err != nil {
		return err
	}
	coarse, obtained, err := vault.Coarsen(cat.Coarsen, cat.Format, canonical, obtained)
	if err != nil {
		return err
	}
	if !bytes.Equal(coarse, canonical) {
		canonical, normal = coarse, coarse // what was dropped must not be found by its index either
	}
	rec := &vault.Record{Value: canonical, Source: b.req.Source, Obtained: obtained, Service: b.req.Service, Ref: b.req.Ref, Other: b.other(cat)}
	derive(rec, sources)
	return b.keep(cat, rec, normal)
}

// obtained is when the data was obtained: now, unless the request says when.
func (b *collecting) obtained() (time.Time, error) {
	if b.req.Obtained.IsZero() {
		return b.now, nil
	}
	if b.req.Obtained.After(b.now) {
		return time.Time{}, invalid("in_the_future", "the data was obtained in the future", "send the time at which it was obtained", "obtained")
	}
	return b.req.Obtained.UTC().Truncate(time.Microsecond), nil
}

// keep seals a record as an item and adds it. normal is what it is found by.
func (b *collecting) keep(cat *policy.Category, rec *vault.Record, normal []byte) error {
	it := storage.Item{Category: cat.Name, Compartment: storage.Live}
	if _, _, law := b.policy().LawGround(cat.Name, policy.ItemFact{Category: cat.Name, Obtained: rec.Obtained, Ref: rec.Ref}, &b.facts); law && !rec.Derived || heldCategory(&b.facts, cat.Name, b.now) {
		it.Compartment = storage.Law
	}
	values, err := b.findable(cat, &it, normal)
	if err != nil {
		return err
	}
	if err := b.place(cat, &it, values); err != nil {
		return err
	}
	o := opened{&it, rec}
	kept, err := deadlinesOf(b.engine, b.subject, &b.facts).retention(o)
	if err != nil {
		return err
	}
	it.Due = kept.Due
	if !it.Due.IsZero() && !b.now.Before(it.Due) {
		return invalid("past_its_deadline", "the data is older than the policy lets it be kept", "do not send it", string(cat.Name))
	}
	if err := b.engine.vault.SealItem(b.keys, &it, rec); err != nil {
		return storageError(err)
	}
	b.PutItems = append(b.PutItems, it)
	b.Row.NextDue = sooner(b.Row.NextDue, it.Due)
	b.refs = append(b.refs, ItemRef{Category: cat.Name, ID: it.ID})
	b.logged = append(b.logged, audit.Item{Category: cat.Name, ID: it.ID, Version: it.Version, Digest: vault.Digest(it.Sealed)})
	return nil
}

// other is the second party that an item's record names.
func (b *collecting) other(cat *policy.Category) abide.SubjectID {
	if cat.TwoParty {
		return b.req.Other
	}
	return abide.SubjectID{}
}

// derive gives a derived item the purposes that all its sources share.
func derive(r *vault.Record, sources []source) {
	for i, s := range sources {
		r.Derived = true
		r.From = append(r.From, s.ref)
		if i == 0 {
			r.Purposes = slices.Clone(s.purposes)
			continue
		}
		r.Purposes = slices.DeleteFunc(r.Purposes, func(p abide.Purpose) bool { return !slices.Contains(s.purposes, p) })
	}
}

// findable makes a findable item findable, and returns its index values.
func (b *collecting) findable(cat *policy.Category, it *storage.Item, normal []byte) ([]storage.IndexValue, error) {
	if cat.Find == "" || normal == nil {
		return nil, nil
	}
	values, err := b.engine.indexValues(b.ctx, b.index, cat.Name, normal)
	if err != nil {
		return nil, err
	}
	it.IndexKey, it.Index = values[0].Key, values[0].Value
	b.claims = append(b.claims, claimOn(cat.Name, b.id, values, cat.Find == "unique", b.now.Add(claimLife)))
	return values, nil
}

// place gives the item its id and version. The only value of a category takes
// the place of the one before; of several, an equal findable value does.
func (b *collecting) place(cat *policy.Category, it *storage.Item, values []storage.IndexValue) error {
	for i := range b.items {
		old := &b.items[i]
		if old.Category != cat.Name {
			continue
		}
		same := bearing(old, values)
		if cat.Many && !same {
			continue
		}
		it.ID, it.Version = old.ID, old.Version+1
		b.rectified = true
		if !claimed(b.claims, old) {
			if err := b.giveUp(old); err != nil {
				return err
			}
		}
		return nil
	}
	b.added = true
	it.ID, it.Version = abide.NewSubjectID(b.now), 1
	if id, ok := b.ids[cat.Name]; ok {
		it.ID = id
	}
	return nil
}

// entry logs the collection; of what is kept elsewhere, the decision.
func (b *collecting) entry(cats []abide.Category) {
	kind := audit.Collected
	switch {
	case len(b.logged) == 0:
		kind = audit.Decided
	case b.rectified && !b.added:
		kind = audit.Rectified
	}
	env := b.engine.envelope(b.call, kind)
	env.Purpose, env.Act, env.Categories = b.req.Purpose, abide.ActCollect.String(), cats
	env.Effect, env.Policy = abide.Permit.String(), b.policy().Version()
	p := partOf(b.call)
	p.Items, p.Service, p.Source, p.Ref, p.Other = b.logged, b.req.Service, b.req.Source, b.req.Ref, b.req.Other
	p.Judged = b.judged
	b.log(p, env)
}

// missing tells which data the person's services still lack.
func (b *collecting) missing() ([]MissingData, error) {
	had, err := b.engine.holds(b.subject)
	if err != nil {
		return nil, err
	}
	has := func(c abide.Category) bool {
		return had(c) || slices.ContainsFunc(b.PutItems, func(it storage.Item) bool { return it.Category == c })
	}
	out := []MissingData{}
	for _, svc := range b.policy().Services() {
		if !takesPart(&b.facts, svc.Name) {
			continue
		}
		if lacks := b.policy().Missing(svc.Name, has); len(lacks) > 0 {
			out = append(out, MissingData{Service: svc.Name, Categories: lacks, Clause: svc.Clause})
		}
	}
	return out, nil
}

// region is the country by whose habits local numbers are read.
func region(f *policy.Facts) string {
	p := f.Residence
	if p == "" {
		p = f.Whereabouts
	}
	if len(p) < 2 {
		return ""
	}
	return string(p[:2])
}
