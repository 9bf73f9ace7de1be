package engine

import (
	"context"
	"encoding/json"
	"slices"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/vault"
	"github.com/abide-privacy/abide/policy"
)

// maxFound bounds how many subjects one value finds; families share a few
// addresses, not hundreds.
const maxFound = 100

// Lookup finds subjects by a value of a category that the policy declares
// findable, or by the caller's own reference (~reference). By a category,
// finding is a use of that data: subjects for whom the purpose may not use it
// are left out, and each answer is on record for the person it names.
func (e *Engine) Lookup(ctx context.Context, c Call, r Lookup) ([]abide.SubjectID, error) {
	if err := authorise(c, opLookup, abide.SubjectID{}); err != nil {
		return nil, err
	}
	if r.Category == vault.Reference {
		return e.byReference(ctx, c, r)
	}
	f, err := e.refresh(ctx)
	if err != nil {
		return nil, err
	}
	if f == nil {
		return nil, noPolicy()
	}
	req := &policy.Request{Actor: c.Actor, Purpose: r.Purpose, Act: abide.ActUse, Categories: []abide.Category{r.Category}, At: e.now()}
	cat, ok := f.policy.Category(r.Category)
	_, known := f.policy.Purpose(r.Purpose)
	switch {
	case ok && cat.Find == "":
		return nil, invalid("not_findable", "nobody is found by this category", "declare find in the policy", string(r.Category))
	case !ok, !known, !carries(c.Actor, r.Purpose), !slices.Contains(f.policy.UsedFor(r.Category), r.Purpose):
		// Whoever is found, the answer would be no: say so, with reasons.
		d := f.policy.Decide(&policy.Facts{Kind: abide.Person, Status: abide.StatusActive}, &policy.Register{}, req)
		if d.Allowed() {
			d = abide.Decision{PolicyVersion: d.PolicyVersion, Reasons: []abide.Reason{{Code: abide.DenyActorPurpose, Text: "The caller does not carry this purpose."}}}
		}
		return nil, e.refuse(ctx, c, nil, abide.SubjectID{}, req, audit.Part{}, d)
	}
	// A local phone number has no region here: it is found in its
	// international form.
	_, normal, err := vault.Normalize(cat.Format, r.Value, "")
	if err != nil {
		return nil, named(err, r.Category)
	}
	return underKeys(e, func(in storage.IndexKeys) ([]abide.SubjectID, error) {
		values, err := e.indexValues(ctx, in, r.Category, normal)
		if err != nil {
			return nil, err
		}
		return e.find(ctx, c, in, values, req)
	})
}

// find checks every claim against its subject and records who was found.
func (e *Engine) find(ctx context.Context, c Call, in storage.IndexKeys, values []storage.IndexValue, req *policy.Request) ([]abide.SubjectID, error) {
	found, err := e.findIn(ctx, in, req.Categories[0], values, maxFound)
	if err != nil {
		return nil, err
	}
	var out []abide.SubjectID
	recorded := false
	for _, l := range found {
		if slices.Contains(out, l.Subject) {
			continue
		}
		ok, noted, err := e.permitted(ctx, c, in, l, values, req)
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, l.Subject)
		}
		recorded = recorded || noted
	}
	if !recorded {
		return nil, e.foundNobody(ctx, c, asked(e.envelope(c, audit.Found), req, nil))
	}
	return out, nil
}

// foundNobody records a look-up that names nobody: whoever tries out all
// telephone numbers leaves a trace, and an empty answer comes no sooner than
// one that keeps silent about a person.
func (e *Engine) foundNobody(ctx context.Context, c Call, env audit.Envelope) error {
	return e.noteStore(ctx, c, env)
}

// permitted reports whether the claim's subject bears the value and may be
// found by it, and records the answer; noted tells that it did.
func (e *Engine) permitted(ctx context.Context, c Call, in storage.IndexKeys, l storage.Lookup, values []storage.IndexValue, req *policy.Request) (ok, noted bool, err error) {
	s, err := e.load(ctx, l.Subject, storage.Want{Items: []abide.Category{l.Category}})
	if isNotFoundError(err) {
		return false, false, nil
	}
	if err != nil {
		return false, false, err
	}
	defer s.close()
	switch {
	case !s.active() || s.force == nil:
		return false, false, nil
	case !holdsValue(s.items, l.Category, values):
		if e.moved(in, s.index) {
			return false, false, storage.ErrConflict
		}
		return false, false, nil
	}
	items, err := e.open(s, l.Category)
	if err != nil {
		return false, false, err
	}
	q := *req
	var list []candidate
	for _, o := range items {
		if bearing(o.item, values) {
			q.Items, list = append(q.Items, o.fact()), append(list, candidate{fact: o.fact()})
		}
	}
	reg, err := e.registerFor(ctx, c.Actor, "")
	if err != nil {
		return false, false, err
	}
	d := s.policy().Decide(&s.facts, reg, &q)
	kind := audit.Found
	if !d.Allowed() {
		kind = audit.Refused
	}
	e.metrics.decided(q.Act.String(), d.Effect.String())
	part := partOf(c)
	part.Judged = e.basis(s, &q, reg)
	part.Judged.Items, part.Judged.Together = judgedItems(list), true
	look, err := e.look(s, s.id, part, asked(e.envelope(c, kind), &q, &d))
	if err != nil {
		return false, false, storageError(err)
	}
	_, err = e.spool.record(ctx, look)
	return d.Allowed() && err == nil, true, err
}

// byReference finds the subject that the caller created under its own id.
func (e *Engine) byReference(ctx context.Context, c Call, r Lookup) ([]abide.SubjectID, error) {
	if !mayActFor(c.Actor, c.Actor.Purposes...) {
		return nil, mayNot("this token carries no purpose")
	}
	var reference string
	if err := json.Unmarshal(r.Value, &reference); err != nil || reference == "" {
		return nil, invalid("bad_reference", "a reference is a JSON string", "send it in quotes", "value")
	}
	id, err := underKeys(e, func(in storage.IndexKeys) (abide.SubjectID, error) {
		values, err := e.indexReference(ctx, in, reference)
		if err != nil {
			return abide.SubjectID{}, err
		}
		return e.bearer(ctx, in, finder{category: vault.Reference, values: values})
	})
	if err != nil {
		return nil, err
	}
	if id.IsZero() {
		return nil, e.foundNobody(ctx, c, e.envelope(c, audit.Found))
	}
	s, err := e.load(ctx, id, storage.Want{})
	if err != nil {
		return nil, err
	}
	defer s.close()
	if !s.active() {
		return nil, nil
	}
	look, err := e.look(s, id, partOf(c), e.envelope(c, audit.Found))
	if err != nil {
		return nil, storageError(err)
	}
	if _, err := e.spool.record(ctx, look); err != nil {
		return nil, err
	}
	return []abide.SubjectID{id}, nil
}
