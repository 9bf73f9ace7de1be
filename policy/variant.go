package policy

import (
	"slices"
	"strings"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy/rule"
)

// Ranks order legal bases by what they ask of the person, so that the
// strictest of several places' laws is the highest. A person who satisfies one
// satisfies all below it.
const (
	rankNone uint8 = iota
	rankLaw
	rankContract
	rankLegitimate // until objected to
	rankOptOut     // until opted out of
	rankNoObjection
	rankConsent
)

// demand is what the law of the places that count asks for.
type demand struct {
	rank     uint8
	separate bool
}

func (d demand) and(o demand) demand {
	return demand{max(d.rank, o.rank), d.separate || o.separate}
}

// below reports whether d asks for less than floor.
func (d demand) below(floor demand) bool {
	return d.rank < floor.rank || (floor.separate && !d.separate)
}

func regimeRank(regime string) (demand, bool) {
	switch regime {
	case RegimeOptOut:
		return demand{rank: rankOptOut}, true
	case RegimeNoObjection:
		return demand{rank: rankNoObjection}, true
	case RegimeOptIn:
		return demand{rank: rankConsent}, true
	case RegimeSeparate:
		return demand{rank: rankConsent, separate: true}, true
	}
	return demand{}, false
}

func basisDemand(k rule.BasisKind) (demand, bool) {
	switch k {
	case rule.BasisConsent:
		return demand{rank: rankConsent}, true
	case rule.BasisNoObjection:
		return demand{rank: rankNoObjection}, true
	case rule.BasisContract:
		return demand{rank: rankContract}, true
	case rule.BasisLaw:
		return demand{rank: rankLaw}, true
	case rule.BasisLegitimate:
		return demand{rank: rankLegitimate}, true
	case rule.BasisProfile:
		return demand{}, false
	}
	return demand{}, false
}

// regime is what a profile asks for, with the channels where it differs.
type regime struct {
	rest     demand
	channels []channelDemand
}

type channelDemand struct {
	channel abide.Channel
	demand  demand
}

// strictestRegime is what `ask = separate` makes of a regime, and how a place is
// read where no profile says anything at all.
var strictestRegime = regime{rest: demand{rankConsent, true}}

func (r regime) on(c abide.Channel) demand {
	for _, o := range r.channels {
		if o.channel == c {
			return o.demand
		}
	}
	return r.rest
}

func (r regime) strictest() demand {
	d := r.rest
	for _, o := range r.channels {
		d = d.and(o.demand)
	}
	return d
}

func (r regime) and(o regime) regime {
	out := regime{rest: r.rest.and(o.rest)}
	for _, c := range regimeChannels {
		if d := r.on(c).and(o.on(c)); d != out.rest {
			out.channels = append(out.channels, channelDemand{c, d})
		}
	}
	return out
}

func (r regime) equal(o regime) bool { return r.rest == o.rest && slices.Equal(r.channels, o.channels) }

// variant is a purpose as it stands where certain laws apply together.
type variant struct {
	asks      regime
	strictest demand // over all channels, for acts that name none
	closed    *rule.PlaceRule
	keep      []*rule.Deadline // all of them bind: the earliest ends it
	atMost    []*rule.Deadline
	lasts     []*rule.Deadline
	basis     *rule.Basis // the one that asks most, for the reason's span
	digest    string
	terms     Terms
}

func (v *variant) equal(o *variant) bool {
	return v.asks.equal(o.asks) && v.closed == o.closed && slices.Equal(v.keep, o.keep) &&
		slices.Equal(v.atMost, o.atMost) && slices.Equal(v.lasts, o.lasts)
}

// and is the purpose where both variants' laws apply: each binds.
func (v *variant) and(o *variant) variant {
	out := variant{asks: v.asks.and(o.asks), closed: v.closed, basis: v.basis,
		keep: both(v.keep, o.keep), atMost: both(v.atMost, o.atMost), lasts: both(v.lasts, o.lasts)}
	if out.closed == nil {
		out.closed = o.closed
	}
	if v.strictest.below(o.strictest) {
		out.basis = o.basis
	}
	out.strictest = out.asks.strictest()
	return out
}

// both joins deadlines; an absent one on one side leaves the other side's.
func both(a, b []*rule.Deadline) []*rule.Deadline {
	out := slices.Clone(a)
	for _, d := range b {
		if !slices.ContainsFunc(out, func(o *rule.Deadline) bool { return sameDeadline(o, d) }) {
			out = append(out, d)
		}
	}
	slices.SortFunc(out, func(x, y *rule.Deadline) int { return strings.Compare(deadlineText(x), deadlineText(y)) })
	return out
}

func sameDeadline(a, b *rule.Deadline) bool {
	return a.Anchor == b.Anchor && a.Months == b.Months && a.Days == b.Days
}

// lawOf says whose law a document looks at.
type lawOf struct {
	residence, whereabouts bool
	controller             int32 // place, 0 if it does not count
}

// demandFor is what a request must satisfy: that of its channel if it is a
// contact by one that laws know, else the strictest. A messenger that the policy
// made a channel of could be read as any of those.
func (v *variant) demandFor(req *Request) demand {
	if req.Act == abide.ActContact && slices.Contains(regimeChannels, req.Channel) {
		return v.asks.on(req.Channel)
	}
	return v.strictest
}

// placeTable numbers places. 0 is the unknown one.
type placeTable struct {
	index map[abide.Place]int32
	names []abide.Place
	above [][]int32 // nearest first
	open  bool      // no profiles: any code of ISO 3166's form is a place
}

// id returns the number of a place. A subdivision without a profile of its own
// is its country. Unknown says that the name is no place at all.
func (t *placeTable) id(p abide.Place) (id int32, known bool) {
	if p == "" {
		return 0, true
	}
	if i, ok := t.index[p]; ok {
		return i, true
	}
	if country, _, ok := strings.Cut(string(p), "-"); ok && placeForm(p) {
		if i, ok := t.index[abide.Place(country)]; ok {
			return i, true
		}
	}
	if t.open && placeForm(p) {
		return elsewhere, true
	}
	return 0, false
}

// elsewhere is a place that no rule and no profile names.
const elsewhere = 1

// placeForm reports whether p looks like a code of ISO 3166: two capitals, and
// perhaps a subdivision.
func placeForm(p abide.Place) bool {
	country, sub, dashed := strings.Cut(string(p), "-")
	if len(country) != 2 || country[0] < 'A' || country[0] > 'Z' || country[1] < 'A' || country[1] > 'Z' {
		return false
	}
	if !dashed {
		return true
	}
	for _, r := range sub {
		if (r < 'A' || r > 'Z') && (r < '0' || r > '9') {
			return false
		}
	}
	return len(sub) >= 1 && len(sub) <= 3
}

// variantFor finds the purpose as it stands for a person. known is false if a
// place that counts is named but does not exist.
func (p *Policy) variantFor(pu *Purpose, f *Facts) (v *variant, known bool) {
	if pu.byPlace == nil {
		return &pu.variants[0], true
	}
	res, ok := p.places.id(f.Residence)
	if !ok && pu.law.residence {
		return &pu.variants[pu.byPlace[0]], false
	}
	switch {
	case !pu.law.residence && !pu.law.whereabouts:
		return &pu.variants[pu.byPlace[pu.law.controller]], true
	case !pu.law.residence && f.Whereabouts == "":
		return &pu.variants[pu.byPlace[0]], true // the one place that counts is not known
	case !pu.law.whereabouts || f.Whereabouts == "":
		return &pu.variants[pu.byPlace[res]], true
	}
	where, ok := p.places.id(f.Whereabouts)
	if !ok {
		return &pu.variants[pu.byPlace[0]], false
	}
	if !pu.law.residence {
		return &pu.variants[pu.byPlace[where]], true
	}
	a, b := pu.byPlace[res], pu.byPlace[where]
	if a == b {
		return &pu.variants[a], true
	}
	return &pu.variants[pu.pairs[int(a)*pu.singles+int(b)]], true
}
