package policy

import (
	"slices"
	"time"

	abide "github.com/abide-privacy/abide"
)

// PlaceClass tells places apart as far as decisions for one purpose do: two
// places of one class are treated alike. Classes of one policy and purpose can
// be compared with ==.
//
// It is part of what comparing two policies needs to know of each without
// asking for a decision on every person there could be.
type PlaceClass struct {
	variants string // numbers of the variants of each purpose asked, two bytes each
	ages     ages
	known    bool
}

// Regime is the class without what concerns minors alone.
func (c PlaceClass) Regime() PlaceClass {
	c.ages = ages{}
	return c
}

// PlaceNames lists the places that the policy's rules and profiles name.
func (p *Policy) PlaceNames() []abide.Place {
	var out []abide.Place
	for i, n := range p.places.names {
		if i != elsewhere && n != "" && !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}

// eachAround visits a purpose, those it stands within, and the same purposes in
// documents that prevail.
func (pu *Purpose) eachAround(visit func(*Purpose)) {
	with := func(w *Purpose) {
		visit(w)
		if w.prevailing != nil {
			visit(w.prevailing)
		}
	}
	with(pu)
	for w := pu.within; w != nil; w = w.within {
		with(w)
	}
	if pu.prevailing != nil {
		for w := pu.prevailing.within; w != nil; w = w.within {
			with(w)
		}
	}
}

// Around lists a purpose and those it stands within in any document, each once
// and as the document has them that yields.
func (p *Policy) Around(pu *Purpose) []*Purpose {
	var out []*Purpose
	pu.eachAround(func(w *Purpose) {
		if o := p.purposes[w.id]; !slices.Contains(out, o) {
			out = append(out, o)
		}
	})
	return out
}

// PlaceClasses returns the class of each place as a residence, for a purpose,
// those it stands within, and the same purposes in documents that prevail.
func (p *Policy) PlaceClasses(pu *Purpose, places []abide.Place) []PlaceClass {
	out := make([]PlaceClass, len(places))
	var numbers []byte
	for i, place := range places {
		id, known := p.places.id(place)
		numbers = numbers[:0]
		pu.eachAround(func(w *Purpose) {
			if w.byPlace != nil {
				numbers = append(numbers, byte(w.byPlace[id]), byte(w.byPlace[id]>>8))
			}
		})
		out[i] = PlaceClass{variants: string(numbers), known: known, ages: p.ages[id]}
	}
	return out
}

// PlaceTables stands for all that tells places apart for a purpose. Purposes of
// one policy whose PlaceTables are equal have equal PlaceClasses, and look at
// whereabouts alike. It can be compared with ==.
type PlaceTables struct {
	tables      [6]*uint16
	whereabouts bool
}

// PlaceTables is false for a purpose with more tables than can be compared.
func (p *Policy) PlaceTables(pu *Purpose) (PlaceTables, bool) {
	t := PlaceTables{whereabouts: p.LooksAtWhereabouts(pu)}
	n := 0
	pu.eachAround(func(w *Purpose) {
		if w.byPlace == nil {
			return
		}
		if n < len(t.tables) {
			t.tables[n] = &w.byPlace[0]
		}
		n++
	})
	return t, n <= len(t.tables)
}

// LooksAtWhereabouts reports whether the law of where a person is counts for a
// purpose, or one it stands within.
func (p *Policy) LooksAtWhereabouts(pu *Purpose) bool {
	looks := false
	pu.eachAround(func(w *Purpose) { looks = looks || w.law.whereabouts })
	return looks
}

// TellsChannelsApart reports whether the law of some place asks for something
// else on one channel than on another, for a purpose or one it stands within.
func (p *Policy) TellsChannelsApart(pu *Purpose) bool {
	apart := false
	pu.eachAround(func(w *Purpose) {
		for i := range w.variants {
			apart = apart || len(w.variants[i].asks.channels) > 0
		}
	})
	return apart
}

// AgeLimits lists the ages at which something changes somewhere, ascending.
func (p *Policy) AgeLimits() []int {
	var out []int
	for _, a := range p.ages {
		out = append(out, a.consent, a.majority)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// TermsDigest is the digest of the terms that a person would agree to for this
// purpose of this policy, worked out beforehand (see Terms). It is false for a
// place that does not exist.
func (p *Policy) TermsDigest(pu *Purpose, f *Facts, at time.Time) (string, bool) {
	v, known := p.variantFor(p.bindingPurpose(pu, f, at), f)
	return v.digest, known
}
