package engine

import (
	"context"
	"encoding/json"
	"slices"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/policy"
)

// lookKinds are the entries by which acts that release values are recorded.
var lookKinds = map[abide.Act]audit.Kind{
	abide.ActRead: audit.Looked, abide.ActUse: audit.Used, abide.ActContact: audit.Contacted,
	abide.ActChoose: audit.Used, abide.ActDisclose: audit.Disclosed,
}

// ReadData releases values for a purpose. Every category asked for must be
// permitted, otherwise nothing is released and the error carries the decision.
// Plaintext leaves this function only after the record of the look is durable;
// a refusal, too, is on record before it is answered.
func (e *Engine) ReadData(ctx context.Context, c Call, r Read) (*ReadResult, error) {
	if err := authorise(c, opRead, r.Subject); err != nil {
		return nil, err
	}
	if r.Act == abide.ActUnknown {
		r.Act = abide.ActRead
	}
	if len(r.Reason) > 500 {
		return nil, invalid("reason_too_long", "a reason has at most 500 characters", "say it shorter", "reason")
	}
	slices.Sort(r.Categories)
	r.Categories = slices.Compact(r.Categories)
	s, err := e.loadWith(ctx, r.Subject, wantsRead(r.Categories))
	if err != nil {
		return nil, err
	}
	defer s.close()
	return e.read(ctx, c, s, r)
}

// loadWith loads what a use case needs under the policy in force: again if
// this node knew another one.
func (e *Engine) loadWith(ctx context.Context, id abide.SubjectID, want wants) (*subject, error) {
	for {
		known := e.Policy()
		s, err := e.load(ctx, id, want(known))
		if err != nil {
			return nil, err
		}
		if s.policy() == known || s.policy() != e.Policy() {
			return s, nil
		}
		s.close()
	}
}

func wantsRead(cats []abide.Category) wants {
	return func(p *policy.Policy) storage.Want { return wantRead(p, cats) }
}

// wantRead loads the categories asked for, and those that they derive from.
func wantRead(p *policy.Policy, cats []abide.Category) storage.Want {
	var want []abide.Category
	if p != nil {
		for _, c := range cats {
			if cat, ok := p.Category(c); ok { // of any other nothing is released
				want = append(append(want, c), cat.DerivedFrom...)
			}
		}
	}
	slices.Sort(want)
	return storage.Want{Items: slices.Compact(want)}
}

func (e *Engine) read(ctx context.Context, c Call, s *subject, r Read) (*ReadResult, error) {
	agreed, err := e.approved(ctx, c, &r)
	if err != nil {
		return nil, err
	}
	part := partOf(c)
	part.Reason, part.Topic, part.Channel = r.Reason, r.Topic, r.Channel
	if r.Approval != "" {
		part.Ref = "approval " + r.Approval
	}
	req := requestOf(c, &r, agreed, s.now)
	if !r.item.IsZero() {
		part.Note = noteDownload
	}
	held, d, judged, err := e.judge(ctx, c, s, req, r.item)
	if err != nil {
		return nil, err
	}
	part.Judged = judged
	if !d.Allowed() {
		return nil, e.refuse(ctx, c, s, s.id, req, part, d)
	}
	out, err := e.release(ctx, c, s, req, held, part, d)
	if err != nil || !r.item.IsZero() {
		return out, err
	}
	return out, e.link(c, &r, out, held)
}

// judge decides about a request, and opens the items that it may release: all
// of the categories asked for, or the one item. What it was judged by goes on
// record with it.
func (e *Engine) judge(ctx context.Context, c Call, s *subject, req *policy.Request, only abide.SubjectID) ([]opened, abide.Decision, *audit.Judged, error) {
	if s.force == nil {
		return nil, unavailableDecision(), e.basis(s, req, nil), nil
	}
	facts, err := e.judgedBy(s, req.Purpose)
	if err != nil {
		return nil, abide.Decision{}, nil, err
	}
	reg, err := e.registerFor(ctx, c.Actor, req.Recipient)
	if err != nil {
		return nil, abide.Decision{}, nil, err
	}
	judged := e.basis(s, req, reg)
	d := s.policy().Decide(facts, reg, req)
	var held []opened
	if d.Allowed() {
		items, list, err := e.candidates(s, facts, req.Categories, only)
		if err != nil {
			return nil, d, nil, err
		}
		judged.Items = judgedItems(list)
		for _, i := range judgeEach(s.policy(), facts, reg, req, list, &d) {
			held = append(held, items[i])
		}
	}
	if !d.Allowed() && facts != &s.facts { // law retains nothing that this is about
		d = s.policy().Decide(&s.facts, reg, req)
	}
	return held, d, judged, nil
}

// judgedBy returns the facts to decide by. Of an erased person, what law
// retains is judged by the facts that law retains, for purposes that rest on
// law alone; everything else meets the status.
func (e *Engine) judgedBy(s *subject, purpose abide.Purpose) (*policy.Facts, error) {
	if s.active() {
		return &s.facts, nil
	}
	kept, ok, err := e.retained(s, purpose)
	if err != nil || !ok {
		return &s.facts, err
	}
	return kept, nil
}

// approvals counts only if an administrator vouches for them.
func approvals(c Call, n int) int {
	if c.Actor.Admin {
		return n
	}
	return 0
}

func unavailableDecision() abide.Decision {
	return abide.Decision{Reasons: []abide.Reason{{Code: abide.DenyPolicyUnavailable, Text: "No policy is in force, so nothing is permitted."}}}
}

// candidates opens the items of a request, in the order of its categories, and
// says of each what it is judged by. only, if set, is the one item asked for.
func (e *Engine) candidates(s *subject, facts *policy.Facts, cats []abide.Category, only abide.SubjectID) ([]opened, []candidate, error) {
	var held []opened
	var list []candidate
	for _, c := range cats {
		items, err := e.open(s, c)
		if err != nil {
			return nil, nil, err
		}
		for _, o := range items {
			if !only.IsZero() && o.item.ID != only {
				continue
			}
			gone, err := e.sourceGone(s, facts, o)
			if err != nil {
				return nil, nil, err
			}
			held, list = append(held, o), append(list, candidate{o.fact(), gone})
		}
	}
	return held, list, nil
}

// judgeEach judges the items of a request that is permitted as such, and
// returns those that may be released. One past its deadline for this purpose
// is left out; only if nothing else is held does the decision become a refusal
// that says so. An item derived from what may not be used refuses the request.
func judgeEach(p *policy.Policy, facts *policy.Facts, reg *policy.Register, req *policy.Request, list []candidate, d *abide.Decision) []int {
	var held []int
	var expired *abide.Decision
	for i, c := range list {
		one := judgeOne(p, facts, reg, req, c)
		switch {
		case one.Allowed():
			held = append(held, i)
		case onlyRetention(&one):
			expired = &one
		default:
			*d = one
			return nil
		}
	}
	if len(held) == 0 && expired != nil {
		*d = *expired
	}
	return held
}

// judgeOne judges a request for one item.
func judgeOne(p *policy.Policy, facts *policy.Facts, reg *policy.Register, req *policy.Request, c candidate) abide.Decision {
	q := *req
	q.Categories, q.Items = []abide.Category{c.fact.Category}, []policy.ItemFact{c.fact}
	one := p.Decide(facts, reg, &q)
	if one.Allowed() && c.gone {
		one = derivedFromNothing(p, c.fact.Category)
	}
	return one
}

func onlyRetention(d *abide.Decision) bool {
	return !slices.ContainsFunc(d.Reasons, func(r abide.Reason) bool { return r.Code != abide.DenyRetention })
}

// sourceGone reports whether one of the items that a derived item was made from
// is gone or past its deadline: what was derived dies with its sources.
func (e *Engine) sourceGone(s *subject, facts *policy.Facts, o opened) (bool, error) {
	for _, ref := range o.record.From {
		items, err := e.open(s, ref.Category)
		if err != nil {
			return false, err
		}
		i := slices.IndexFunc(items, func(src opened) bool { return src.item.ID == ref.ID })
		if i < 0 || e.past(s, facts, items[i].fact()) {
			return true, nil
		}
	}
	return false, nil
}

// derivedFromNothing is the refusal of an item whose sources are gone.
func derivedFromNothing(p *policy.Policy, c abide.Category) abide.Decision {
	reason := abide.Reason{Code: abide.DenyDerived, Category: c,
		Text: "What this was derived from is not held any more, so it may not be used either."}
	if cat, ok := p.Category(c); ok {
		reason.Clause, reason.Span = cat.Clause, cat.Span
	}
	return abide.Decision{Reasons: []abide.Reason{reason}, PolicyVersion: p.Version()}
}

// release records the look and then hands out the values.
func (e *Engine) release(ctx context.Context, c Call, s *subject, req *policy.Request, held []opened, part audit.Part, d abide.Decision) (*ReadResult, error) {
	out := &ReadResult{Data: map[abide.Category][]Value{}, Decision: d, held: held}
	for _, o := range held {
		v, err := e.value(s, o, &d)
		if err != nil {
			return nil, err
		}
		out.Data[o.item.Category] = append(out.Data[o.item.Category], v)
		part.Items = append(part.Items, audit.Item{Category: o.item.Category, ID: o.item.ID, Version: o.item.Version})
	}
	kind, ok := lookKinds[req.Act]
	if !ok {
		return nil, invalid("act_releases_nothing", "this act releases no values", "use read, use, contact, choose or disclose", "act")
	}
	l, err := e.look(s, s.id, part, asked(e.envelope(c, kind), req, &d))
	if err != nil {
		return nil, storageError(err)
	}
	if out.Receipt, err = e.spool.record(ctx, l); err != nil {
		return nil, err
	}
	e.metrics.decided(req.Act.String(), d.Effect.String())
	return out, nil
}

// value is one item as it is released, masked if the decision obliges to.
func (e *Engine) value(s *subject, o opened, d *abide.Decision) (Value, error) {
	due, _, _ := s.policy().Deadline(o.item.Category, o.fact(), &s.facts)
	v := Value{ID: o.item.ID, Value: o.record.Value, Source: o.record.Source, Obtained: o.record.Obtained, Due: due}
	cat, ok := s.policy().Category(o.item.Category)
	if !ok || cat.Mask == 0 || !slices.ContainsFunc(d.Obligations, func(ob abide.Obligation) bool { return ob.Code == abide.MustMask }) {
		return v, nil
	}
	masked, err := mask(o.record.Value, cat.Mask)
	if err != nil {
		return v, storageError(err)
	}
	v.Value, v.Masked = masked, true
	return v, nil
}

// maskRune stands for a character that is not shown.
const maskRune = '•'

// mask shows the last n characters of every text and number in a value.
func mask(value json.RawMessage, n int) (json.RawMessage, error) {
	var v any
	if err := json.Unmarshal(value, &v); err != nil {
		return nil, err
	}
	return json.Marshal(masked(v, value, n))
}

func masked(v any, raw json.RawMessage, n int) any {
	switch t := v.(type) {
	case string:
		return maskText(t, n)
	case float64:
		if raw == nil {
			raw, _ = json.Marshal(t) // a decoded number always encodes
		}
		return maskText(string(raw), n)
	case []any:
		for i := range t {
			t[i] = masked(t[i], nil, n)
		}
		return t
	case map[string]any:
		for k := range t {
			t[k] = masked(t[k], nil, n)
		}
		return t
	case bool:
		return string(maskRune)
	}
	return v
}

// maskText never shows a short text whole: at least half of it is hidden.
func maskText(s string, n int) string {
	runes := []rune(s)
	shown := min(n, len(runes)/2)
	for i := range runes[:len(runes)-shown] {
		runes[i] = maskRune
	}
	return string(runes)
}
