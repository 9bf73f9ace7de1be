package engine

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/consent"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/policy"
)

// Decide answers what the policy permits and releases nothing; the record of
// it is durable within a second. With AsOf it answers what was permitted then:
// under the policy of that day, by the consents and facts of that day. Of an
// erased person it answers erased, for any day.
func (e *Engine) Decide(ctx context.Context, c Call, r Decide) (abide.Decision, error) {
	if err := authorise(c, opDecide, r.Subject); err != nil {
		return abide.Decision{}, err
	}
	s, err := e.loadWith(ctx, r.Subject, r.want)
	if err != nil {
		return abide.Decision{}, err
	}
	defer s.close()
	d, req, judged, err := e.decide(ctx, c, s, r)
	if err != nil {
		return abide.Decision{}, err
	}
	part := partOf(c)
	part.Judged = judged
	part.Reason, part.Topic, part.Channel, part.Service = r.Reason, r.Topic, r.Channel, r.Service
	l, err := e.look(s, s.id, part, asked(e.envelope(c, audit.Decided), req, &d))
	if err != nil {
		return abide.Decision{}, storageError(err)
	}
	if err := e.spool.note(ctx, l); err != nil {
		return abide.Decision{}, err
	}
	e.metrics.decided(r.Act.String(), d.Effect.String())
	return d, nil
}

func (e *Engine) decide(ctx context.Context, c Call, s *subject, r Decide) (abide.Decision, *policy.Request, *audit.Judged, error) {
	p, facts, at := s.policy(), s.facts, s.now
	req := &policy.Request{Actor: c.Actor, Purpose: r.Purpose, Act: r.Act, Categories: r.Categories, Recipient: r.Recipient,
		Service: r.Service, Topic: r.Topic, Channel: r.Channel, Reason: r.Reason, Approvals: approvals(c, r.Approvals), ForValue: r.ForValue}
	earlier := p != nil && !r.AsOf.IsZero() && r.AsOf.Before(s.now) && s.active()
	if earlier {
		at = r.AsOf
		var err error
		if p, err = e.PolicyAt(ctx, at); err != nil && abide.ErrorCode(err) != abide.CodeNotFound {
			return abide.Decision{}, req, nil, err
		}
		if facts, err = e.factsOf(ctx, s, at); err != nil {
			return abide.Decision{}, req, nil, err
		}
	}
	req.At = at
	if p == nil {
		return unavailableDecision(), req, e.basis(s, req, nil), nil
	}
	if err := addFacts(&facts, r.Facts, at); err != nil {
		return abide.Decision{}, req, nil, err
	}
	if len(req.Categories) == 0 {
		req.Categories = p.Covered(r.Purpose, r.Act)
	}
	reg, err := e.registerFor(ctx, c.Actor, r.Recipient)
	if err != nil {
		return abide.Decision{}, req, nil, err
	}
	judged := e.basis(s, req, reg)
	judged.AsOf, judged.Brought = earlier, r.Facts
	d := p.Decide(&facts, reg, req)
	if d.Allowed() && r.ofHeld() && s.active() {
		_, list, err := e.candidates(s, &facts, req.Categories, abide.SubjectID{})
		if err != nil {
			return d, req, nil, err
		}
		judged.Items = judgedItems(list)
		judgeHeld(p, &facts, reg, req, list, len(r.Categories) == 0, &d)
	}
	return d, req, judged, nil
}

// ofHeld reports whether the question is about what is held now. What was held
// on a day of the past is not known any more.
func (r *Decide) ofHeld() bool {
	_, looks := lookKinds[r.Act]
	return looks && r.AsOf.IsZero()
}

// want loads what the decision is about: facts of the past, or the items.
func (r *Decide) want(p *policy.Policy) storage.Want {
	switch {
	case !r.AsOf.IsZero():
		return storage.Want{Items: []abide.Category{pastFacts}}
	case p == nil || !r.ofHeld():
		return storage.Want{}
	case len(r.Categories) == 0:
		return wantRead(p, p.Covered(r.Purpose, r.Act))
	}
	return wantRead(p, r.Categories)
}

// judgeHeld takes back the permit for a category of which something is held
// and all of it is past its deadline for the purpose, or derived from what is:
// whoever asks must not use a copy of what a read refuses (CLAUSES C19). If the
// question named no categories, those are left out, and it is refused only if
// nothing else is left.
func judgeHeld(p *policy.Policy, facts *policy.Facts, reg *policy.Register, req *policy.Request, list []candidate, unnamed bool, d *abide.Decision) {
	var left []abide.Category
	var lost []abide.Reason
	for _, c := range req.Categories {
		reasons := lostOf(p, facts, reg, req, list, c)
		if lost = append(lost, reasons...); reasons == nil {
			left = append(left, c)
		}
	}
	switch {
	case lost == nil:
	case unnamed && left != nil:
		req.Categories, d.Permitted = left, left
	default:
		*d = abide.Decision{Effect: abide.Deny, Permitted: left, Reasons: lost, PolicyVersion: d.PolicyVersion}
	}
}

// lostOf returns why nothing of what is held of a category may be used; nil if
// something may, or if nothing is held.
func lostOf(p *policy.Policy, facts *policy.Facts, reg *policy.Register, req *policy.Request, list []candidate, c abide.Category) []abide.Reason {
	var reasons []abide.Reason
	for _, o := range list {
		if o.fact.Category != c {
			continue
		}
		one := judgeOne(p, facts, reg, req, o)
		if one.Allowed() {
			return nil
		}
		if reasons == nil {
			reasons = one.Reasons
		}
	}
	return reasons
}

// factsOf returns the facts of a day: the ledger replayed up to it, and what
// was known of the person then.
func (e *Engine) factsOf(ctx context.Context, s *subject, at time.Time) (policy.Facts, error) {
	events, err := e.ledger(ctx, s)
	if err != nil {
		return policy.Facts{}, err
	}
	list, _, err := e.openPast(s)
	if err != nil {
		return policy.Facts{}, err
	}
	facts := factsAt(s.facts, list, at)
	facts.Consents, facts.Accepted = consent.Fold(events, at)
	return facts, nil
}

// callFacts are the facts that a call may bring along, about what the
// company's own systems keep. They add to what is known and replace none of
// it: consent, age, state and known places are the ledger's and the vault's.
type callFacts struct {
	Events        []policy.Event `json:"events,omitempty"`
	Whereabouts   abide.Place    `json:"whereabouts,omitempty"` // if none is known
	DeclaredMinor bool           `json:"declared_minor,omitempty"`
}

func addFacts(f *policy.Facts, raw json.RawMessage, at time.Time) error {
	if len(raw) == 0 {
		return nil
	}
	var add callFacts
	if err := strictJSON(raw, &add); err != nil {
		return invalid("bad_facts", "the facts are not of the expected form", "send events [{anchor, ref, at}], whereabouts, declared_minor", "facts")
	}
	if err := checkPlace(add.Whereabouts, "facts"); err != nil {
		return err
	}
	f.Events = slices.Clone(f.Events)
	for _, ev := range add.Events {
		if !ev.At.After(at) {
			f.Events = append(f.Events, ev)
		}
	}
	if f.Whereabouts == "" {
		f.Whereabouts = add.Whereabouts
	}
	f.DeclaredMinor = f.DeclaredMinor || add.DeclaredMinor
	return nil
}
