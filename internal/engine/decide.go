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
	d, req, err := e.decide(ctx, c, s, r)
	if err != nil {
		return abide.Decision{}, err
	}
	part := partOf(c)
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

func (e *Engine) decide(ctx context.Context, c Call, s *subject, r Decide) (abide.Decision, *policy.Request, error) {
	p, facts, at := s.policy(), s.facts, s.now
	req := &policy.Request{Actor: c.Actor, Purpose: r.Purpose, Act: r.Act, Categories: r.Categories, Recipient: r.Recipient,
		Service: r.Service, Topic: r.Topic, Channel: r.Channel, Reason: r.Reason, Approvals: approvals(c, r.Approvals), ForValue: r.ForValue}
	if p != nil && !r.AsOf.IsZero() && r.AsOf.Before(s.now) && s.active() {
		at = r.AsOf
		var err error
		if p, err = e.PolicyAt(ctx, at); err != nil && abide.ErrorCode(err) != abide.CodeNotFound {
			return abide.Decision{}, req, err
		}
		if facts, err = e.factsOf(ctx, s, at); err != nil {
			return abide.Decision{}, req, err
		}
	}
	req.At = at
	if p == nil {
		return unavailableDecision(), req, nil
	}
	if err := addFacts(&facts, r.Facts, at); err != nil {
		return abide.Decision{}, req, err
	}
	if len(req.Categories) == 0 {
		req.Categories = p.Covered(r.Purpose, r.Act)
	}
	reg, err := e.registerFor(ctx, c.Actor, r.Recipient)
	if err != nil {
		return abide.Decision{}, req, err
	}
	d := p.Decide(&facts, reg, req)
	if d.Allowed() && r.ofHeld() && s.active() {
		err = e.decideHeld(s, &facts, reg, req, len(r.Categories) == 0, &d)
	}
	return d, req, err
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

// decideHeld takes back the permit for a category of which something is held
// and all of it is past its deadline for the purpose, or derived from what is:
// whoever asks must not use a copy of what a read refuses (CLAUSES C19). If the
// question named no categories, those are left out, and it is refused only if
// nothing else is left.
func (e *Engine) decideHeld(s *subject, facts *policy.Facts, reg *policy.Register, req *policy.Request, unnamed bool, d *abide.Decision) error {
	var left []abide.Category
	var lost []abide.Reason
	for _, c := range req.Categories {
		reasons, err := e.lost(s, facts, reg, req, c)
		if err != nil {
			return err
		}
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
	return nil
}

// lost returns why nothing of what is held of a category may be used; nil if
// something may, or if nothing is held.
func (e *Engine) lost(s *subject, facts *policy.Facts, reg *policy.Register, req *policy.Request, c abide.Category) ([]abide.Reason, error) {
	items, err := e.open(s, c)
	if err != nil {
		return nil, err
	}
	var reasons []abide.Reason
	for _, o := range items {
		q := *req
		q.Categories, q.Items = []abide.Category{c}, []policy.ItemFact{o.fact()}
		one := s.policy().Decide(facts, reg, &q)
		if one.Allowed() {
			if err := e.judgeSources(s, facts, o, &one); err != nil {
				return nil, err
			}
		}
		if one.Allowed() {
			return nil, nil
		}
		if reasons == nil {
			reasons = one.Reasons
		}
	}
	return reasons, nil
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
