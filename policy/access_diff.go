package policy

import (
	"slices"
	"time"

	abide "github.com/abide-privacy/abide"
)

// What follows is what comparing two policies needs to know of each without
// asking for a decision on every person there could be.

// PlaceClass tells places apart as far as decisions for one purpose do: two
// places of one class are treated alike. Classes of one policy and purpose can
// be compared with ==.
type PlaceClass struct {
	variants uint64
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

// PlaceClasses returns the class of each place as a residence, for a purpose,
// those it stands within, and the same purposes in documents that prevail.
func (p *Policy) PlaceClasses(pu *Purpose, places []abide.Place) []PlaceClass {
	out := make([]PlaceClass, len(places))
	var chain []*Purpose
	for w := pu; w != nil; w = w.within {
		chain = append(chain, w)
		if w.prevailing != nil {
			chain = append(chain, w.prevailing)
		}
	}
	for i, place := range places {
		id, known := p.places.id(place)
		c := PlaceClass{known: known, ages: p.ages[id]}
		for _, w := range chain {
			if w.byPlace != nil {
				c.variants = c.variants*0x9E3779B97F4A7C15 + uint64(w.byPlace[id]) + 1
			}
		}
		out[i] = c
	}
	return out
}

// LooksAtWhereabouts reports whether the law of where a person is counts for a
// purpose, or one it stands within.
func (p *Policy) LooksAtWhereabouts(pu *Purpose) bool {
	for w := pu; w != nil; w = w.within {
		if w.law.whereabouts || w.prevailing != nil && w.prevailing.law.whereabouts {
			return true
		}
	}
	return false
}

// TellsChannelsApart reports whether the law of some place asks for something
// else on one channel than on another, for a purpose or one it stands within.
func (p *Policy) TellsChannelsApart(pu *Purpose) bool {
	apart := func(u *Purpose) bool {
		return u != nil && slices.ContainsFunc(u.variants, func(v variant) bool { return len(v.asks.channels) > 0 })
	}
	for w := pu; w != nil; w = w.within {
		if apart(w) || apart(w.prevailing) {
			return true
		}
	}
	return false
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

// TermsDigest is the digest of Terms, worked out beforehand.
func (p *Policy) TermsDigest(purpose abide.Purpose, f *Facts, at time.Time) (string, bool) {
	pu, ok := p.Purpose(purpose)
	if !ok || f == nil {
		return "", false
	}
	v, known := p.variantFor(p.bindingPurpose(pu, f, at), f)
	return v.digest, known
}
