package policy

import (
	"reflect"
	"slices"
	"strconv"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy/rule"
)

// addMonths adds calendar months; a day that the month does not have becomes
// its last one. Days are those of UTC, so that a deadline depends on the instant
// and not on the clock that wrote it down.
func addMonths(t time.Time, n int) time.Time {
	t = t.UTC()
	y, m, d := t.Date()
	last := time.Date(y, m+time.Month(n)+1, 0, 0, 0, 0, 0, t.Location()).Day()
	h, mi, s := t.Clock()
	return time.Date(y, m+time.Month(n), min(d, last), h, mi, s, t.Nanosecond(), t.Location())
}

func after(t time.Time, d *rule.Deadline) time.Time {
	return addMonths(t, d.Months).AddDate(0, 0, d.Days)
}

// lapsed reports whether a consent has lasted as long as the purpose lets it.
func (v *variant) lapsed(c *Consent, at time.Time) bool {
	for _, d := range v.lasts {
		if !at.Before(after(c.Since, d)) {
			return true
		}
	}
	return false
}

// ConsentEnds returns when a consent to the purpose that was given at since ends
// by itself, for a person of these facts. It is false if it has no such end.
func (p *Policy) ConsentEnds(purpose abide.Purpose, f *Facts, since time.Time) (end time.Time, ok bool) {
	pu, known := p.Purpose(purpose)
	if !known || f == nil {
		return time.Time{}, false
	}
	v, known := p.variantFor(p.bindingPurpose(pu, f, since), f)
	if !known {
		return time.Time{}, false
	}
	for _, d := range v.lasts {
		if t := after(since, d); !ok || t.Before(end) {
			end, ok = t, true
		}
	}
	return end, ok
}

// Anchors that are no events.
const (
	anchorObtained     = "obtained"
	anchorGiven        = "given"
	anchorConsentEnded = "consent.ended"
)

// Retention says how long an item is kept, and why.
type Retention struct {
	// Due is when the item goes, if Ends: the longest lawful ground has ended
	// and no hold keeps it. Ends is false if that is not known now: the consent
	// goes on, an event has not come and nothing caps the wait, or a hold has no
	// end.
	Due  time.Time
	Ends bool
	// Ground is the purpose that keeps the item longest, with its clause and what
	// becomes of the item then: erase or unlink. No purpose reads it from
	// GroundEnds on, which is zero if that is not known.
	Ground     abide.Purpose
	GroundEnds time.Time
	Clause     string
	Span       abide.Span
	Then       string
	// Hold is the hold that keeps it beyond the ground's end; "" if none does.
	Hold string
}

// Deadline returns when an item must go: the longest lawful ground among the
// purposes that cover its category, and which purpose that is. A purpose that
// rests on what a person agrees to is a ground only while they do. A hold
// keeps the item longer, though unreadable; its ground is "".
//
// ok is false if no end is known now. A category that no purpose lawfully uses
// is due at once.
func (p *Policy) Deadline(c abide.Category, it ItemFact, f *Facts) (due time.Time, ground abide.Purpose, ok bool) {
	r := p.Retention(c, it, f)
	if r.Hold != "" {
		return r.Due, "", r.Ends
	}
	return r.Due, r.Ground, r.Ends
}

// Retention is Deadline with what it follows from.
func (p *Policy) Retention(c abide.Category, it ItemFact, f *Facts) Retention {
	cat, known := p.Category(c)
	if !known || f == nil {
		return Retention{Due: it.Obtained, Ends: true, GroundEnds: it.Obtained, Then: thenErase}
	}
	r := Retention{Due: it.Obtained, Ends: true, Clause: cat.Clause, Span: cat.Span, Then: thenErase}
	for _, id := range cat.used {
		pu := p.bindingPurpose(p.purposes[id], f, distant)
		if !pu.covers.all.has(cat.id) || !pu.speaksTo(f) || (it.Purposes != nil && !slices.Contains(it.Purposes, pu.Name)) {
			continue
		}
		v, _ := p.variantFor(pu, f)
		end, by, ends := p.lawfulUntil(pu, v, cat, &it, f)
		if ends && !end.After(r.Due) && (r.Ground != "" || !end.Equal(r.Due)) {
			continue
		}
		r.Due, r.Ends, r.Ground, r.Then = end, ends, pu.Name, pu.Then
		r.Clause, r.Span = pu.Clause, pu.Span
		if by != nil && by == cat.Rule.Keep {
			r.Clause, r.Span = cat.Clause, spanOr(by.Span, cat.Span)
		} else if by != nil {
			r.Span = spanOr(by.Span, pu.Span)
		}
		if !ends {
			r.Due = time.Time{}
			break
		}
	}
	if !it.Cap.IsZero() && (!r.Ends || it.Cap.Before(r.Due)) {
		r.Due, r.Ends, r.Then = it.Cap, true, thenErase
	}
	r.GroundEnds = r.Due
	return r.held(c, &it, f)
}

// RetentionDigest is a digest of everything that deadlines follow from: the
// categories, purposes and documents, and the law they are read with. Prose does
// not count. Equal digests give equal deadlines; different ones may.
func (p *Policy) RetentionDigest() string {
	var parts []string
	for _, c := range p.categories {
		parts = append(parts, string(c.Name), deadlineOrNone(c.Rule.Keep))
		for _, d := range c.DerivedFrom {
			parts = append(parts, string(d))
		}
	}
	for _, pu := range p.purposes {
		parts = append(parts, string(pu.Name), pu.Then, strconv.FormatBool(pu.onlyAgreed), strconv.FormatInt(int64(pu.doc), 10))
		pu.covers.all.each(func(i int32) { parts = append(parts, string(p.categories[i].Name)) })
		parts = append(parts, ruleText(pu.Rule))
	}
	for _, d := range p.Documents() {
		parts = append(parts, string(d.Name))
		for _, other := range d.Prevails {
			parts = append(parts, string(other))
		}
	}
	if p.laws != nil {
		for _, place := range p.laws.Places() {
			profile, _ := p.laws.Profile(place)
			parts = append(parts, ruleText(profile))
		}
	}
	return digestOf(appendCanonical(nil, parts))
}

// ruleText is a rule without its place and clause.
func ruleText(r any) string {
	return string(appendCanonical(nil, canonicalValue(reflect.ValueOf(r), true)))
}

func deadlineOrNone(d *rule.Deadline) string {
	if d == nil {
		return ""
	}
	return deadlineText(d)
}

// MayApprove reports whether staff of a role reach a level that opens only with
// others' approval: they may be asked to agree, and to place legal holds.
func (p *Policy) MayApprove(name string) bool {
	ro := p.roles[name]
	if ro == nil {
		return false
	}
	for i, l := range p.levels {
		if l.approvals > 0 && ro.reaches.has(int32(i)) { //nolint:gosec // policies have few levels
			return true
		}
	}
	return false
}

// RetainedByLaw is Retention of what outlives a person's erasure: law and holds
// keep it, and nothing else does.
func (p *Policy) RetainedByLaw(c abide.Category, it ItemFact, f *Facts) Retention {
	r := Retention{Due: it.Obtained, Ends: true, Then: thenErase}
	if ground, until, ok := p.LawGround(c, it, f); ok {
		r.Ground, r.Due, r.Ends = ground, until, !until.IsZero()
		pu, _ := p.Purpose(ground)
		r.Clause, r.Span = pu.Clause, pu.Span
	}
	r.GroundEnds = r.Due
	return r.held(c, &it, f)
}

// held adds what holds keep longer than any purpose does.
func (r Retention) held(c abide.Category, it *ItemFact, f *Facts) Retention {
	for i := range f.Holds {
		h := &f.Holds[i]
		if !r.Ends || !h.Covers(c, it.ID) || !h.Until.IsZero() && !h.Until.After(r.Due) {
			continue
		}
		r.Due, r.Ends, r.Hold = h.Until, !h.Until.IsZero(), h.Name
	}
	return r
}

// Covers reports whether the hold is of an item.
func (h *Hold) Covers(c abide.Category, id abide.SubjectID) bool {
	if len(h.Items) > 0 {
		return slices.Contains(h.Items, id)
	}
	return len(h.Categories) == 0 || slices.Contains(h.Categories, c)
}

// thenErase and thenUnlink are what becomes of an item at its end.
const (
	thenErase  = "erase"
	thenUnlink = "unlink"
)

// speaksTo reports whether the purpose's document speaks to the person at all.
func (pu *Purpose) speaksTo(f *Facts) bool {
	return !pu.onlyAgreed || accepted(f, pu.Document, distant)
}

// distant is later than any acceptance: for a deadline it counts whether a
// document was accepted, not when.
var distant = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// LawGround returns the purpose that a legal obligation carries and that keeps
// items of the category longest, and until when. Items with such a ground
// belong in the law compartment. ok is false if there is none; a zero until
// means that no end is known.
func (p *Policy) LawGround(c abide.Category, it ItemFact, f *Facts) (ground abide.Purpose, until time.Time, ok bool) {
	cat, known := p.Category(c)
	if !known || f == nil {
		return "", time.Time{}, false
	}
	for _, id := range cat.used {
		pu := p.bindingPurpose(p.purposes[id], f, distant)
		v, _ := p.variantFor(pu, f)
		if v.strictest.rank != rankLaw || v.closed != nil || !pu.covers.all.has(cat.id) || !pu.speaksTo(f) {
			continue
		}
		end, _, ends := p.lawfulUntil(pu, v, cat, &it, f)
		if !ends {
			return pu.Name, time.Time{}, true
		}
		if !ok || end.After(until) {
			ground, until, ok = pu.Name, end, true
		}
	}
	return ground, until, ok
}

// dueFor is the end of one purpose for one item, whether or not the person
// agrees: the earliest of its deadlines, of the category's own, and of what
// the terms promised that the person agreed to, be they older ones or those of
// another place. by is the deadline that ends it, nil if no end is known.
func (p *Policy) dueFor(pu *Purpose, v *variant, cat *Category, it *ItemFact, f *Facts) (due time.Time, by *rule.Deadline) {
	c := f.consent(pu.Name)
	take := func(ds []*rule.Deadline) {
		for _, d := range ds {
			if t, known := evaluate(d, it, f, c, v); known && (by == nil || t.Before(due)) {
				due, by = t, d
			}
		}
	}
	take(v.keep)
	take(v.atMost)
	if k := cat.Rule.Keep; k != nil && v.strictest.rank != rankLaw {
		if t, known := evaluate(k, it, f, c, v); known && (by == nil || t.Before(due)) {
			due, by = t, k
		}
	}
	if c != nil && c.Terms != v.digest && v.strictest.rank >= rankNoObjection {
		if old := p.archive[c.Terms]; old != nil && old.purpose == pu.Name {
			take(old.keep)
		}
	}
	return due, by
}

// lawfulUntil is dueFor, ended also where the person's agreement ends; then by
// is nil although the end is known.
func (p *Policy) lawfulUntil(pu *Purpose, v *variant, cat *Category, it *ItemFact, f *Facts) (end time.Time, by *rule.Deadline, ends bool) {
	if v.closed != nil {
		return it.Obtained, nil, true
	}
	due, by := p.dueFor(pu, v, cat, it, f)
	ends = by != nil
	if v.strictest.rank < rankLegitimate || slices.ContainsFunc(v.keep, func(d *rule.Deadline) bool { return d.Anchor == anchorConsentEnded }) {
		return due, by, ends
	}
	stop, stops := v.agreementEnds(f.consent(pu.Name), it)
	if stops && (!ends || stop.Before(due)) {
		return stop, nil, true
	}
	return due, by, ends
}

// agreementEnds is when the person's agreement to a purpose ended or will end.
// Where the basis wants an act of theirs and there was none, it ended when the
// item was obtained.
func (v *variant) agreementEnds(c *Consent, it *ItemFact) (time.Time, bool) {
	if v.strictest.rank <= rankOptOut {
		if c != nil && (c.Objected || c.State == StateRefused || c.State == StateWithdrawn) {
			return later(c.Since, it.Obtained), true
		}
		return time.Time{}, false
	}
	if c == nil {
		return it.Obtained, true
	}
	switch c.State {
	case StateGiven, StateIndicated:
		if c.Objected {
			return later(c.Last, it.Obtained), true
		}
		end, ends := c.Expires, !c.Expires.IsZero()
		for _, d := range v.lasts {
			if t := after(c.Since, d); !ends || t.Before(end) {
				end, ends = t, true
			}
		}
		return end, ends
	case StateRefused, StateWithdrawn, StateExpired:
		return later(c.Since, it.Obtained), true
	}
	return it.Obtained, true
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// evaluate works out a deadline. known is false while it waits for an event.
func evaluate(d *rule.Deadline, it *ItemFact, f *Facts, c *Consent, v *variant) (t time.Time, known bool) {
	switch d.Anchor {
	case anchorObtained, "":
		return after(it.Obtained, d), true
	case anchorGiven:
		if c == nil || c.Since.IsZero() {
			return time.Time{}, false
		}
		return after(c.Since, d), true
	case anchorConsentEnded:
		end, ends := v.agreementEnds(c, it)
		if !ends {
			return time.Time{}, false
		}
		return after(end, d), true
	}
	var last time.Time
	for i := range f.Events {
		e := &f.Events[i]
		if e.Anchor == d.Anchor && (e.Ref == it.Ref || e.Ref == "" || it.Ref == "") && (!known || e.At.After(last)) {
			last, known = e.At, true
		}
	}
	if !known {
		return time.Time{}, false
	}
	return after(last, d), true
}
