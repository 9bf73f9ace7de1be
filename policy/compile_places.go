package policy

import (
	"slices"
	"strings"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy/diag"
	"github.com/abide-privacy/abide/policy/rule"
)

// places numbers all places: the unknown one, everywhere else, those of the
// law profiles, and, where there are no profiles, those the rules name.
func (c *compiler) places() {
	t := &c.p.places
	t.index = map[abide.Place]int32{}
	t.names = []abide.Place{"", "*"}
	if c.p.laws == nil {
		t.open = true
		c.placesOfRules()
	}
	for _, p := range c.p.laws.Places() {
		t.index[p] = int32(len(t.names))
		t.names = append(t.names, p)
	}
	t.above = make([][]int32, len(t.names))
	for i, p := range t.names[2:] {
		for _, a := range c.above(p) {
			t.above[i+2] = append(t.above[i+2], t.index[a])
		}
	}
	c.regimes, c.known = map[string][]regime{}, map[string][]bool{}
	for _, key := range []string{LawDirectMarketing, LawCookies} {
		c.regimes[key], c.known[key] = make([]regime, len(t.names)), make([]bool, len(t.names))
		strictest := regime{}
		for i, p := range t.names {
			if c.regimes[key][i], c.known[key][i] = c.regimeAt(p, key); c.known[key][i] {
				strictest = strictest.and(c.regimes[key][i])
			}
		}
		if strictest.rest.rank == rankNone {
			strictest = strictestRegime
		}
		for i := range t.names {
			if !c.known[key][i] {
				c.regimes[key][i] = strictest
			}
		}
	}
	c.controllers()
	c.ages()
}

// strictestAge is read where no profile says an age: the UN Convention on the
// Rights of the Child, Art. 1, calls a child whoever is younger.
const strictestAge = 18

// ages reads the age bands of all places; the unknown place has the highest,
// and a group of places the highest of its members.
func (c *compiler) ages() {
	n := len(c.p.places.names)
	c.p.ages, c.p.agesSaid = make([]ages, n), make([]ages, n)
	unknown := ages{strictestAge, strictestAge}
	for i, p := range c.p.places.names {
		said := &c.p.agesSaid[i]
		said.consent, _ = c.p.laws.Years(p, LawAgeOfConsent)
		said.majority, _ = c.p.laws.Years(p, LawAgeOfMajority)
		a := ages{strictestAge, strictestAge}
		if said.consent > 0 {
			a.consent = said.consent
		}
		if said.majority > 0 {
			a.majority = said.majority
		}
		c.p.ages[i] = a
		unknown = unknown.and(a)
	}
	c.p.ages[0] = unknown
	for i := range c.p.ages {
		for _, m := range c.members(int32(i)) {
			c.p.ages[i] = c.p.ages[i].and(c.p.ages[m])
		}
	}
}

func (a ages) and(b ages) ages { return ages{max(a.consent, b.consent), max(a.majority, b.majority)} }

// members lists what lies within a group of places, such as the EU. A country is
// no group of its subdivisions: who lives there need not say in which.
func (c *compiler) members(group int32) []int32 {
	if c.grouped == nil {
		c.grouped = map[int32][]int32{}
		t := &c.p.places
		for i, p := range t.names {
			for _, a := range t.above[i] {
				if !strings.HasPrefix(string(p), string(t.names[a])+"-") {
					c.grouped[a] = append(c.grouped[a], int32(i))
				}
			}
		}
	}
	return c.grouped[group]
}

// agesFor returns the age bands that count for a person: the highest of the
// places whose law is looked at. Residence always counts, because an age limit
// protects those who live under it (GDPR Art. 8 lets each member state set its
// own); the controller's place adds a limit of its own (COPPA binds whoever
// operates from the United States), but none where its profile says nothing.
func (p *Policy) agesFor(pu *Purpose, f *Facts) ages {
	res, _ := p.places.id(f.Residence)
	a := p.ages[res]
	if pu.law.whereabouts && f.Whereabouts != "" {
		where, _ := p.places.id(f.Whereabouts)
		a = a.and(p.ages[where])
	}
	return a.and(p.agesSaid[pu.law.controller])
}

func (c *compiler) above(p abide.Place) []abide.Place {
	if c.p.laws != nil {
		return c.p.laws.Within(p)
	}
	country, _, dashed := strings.Cut(string(p), "-")
	if _, ok := c.p.places.index[abide.Place(country)]; dashed && ok {
		return []abide.Place{abide.Place(country)}
	}
	return nil
}

// placesOfRules makes places of the names in `in`, their countries included.
func (c *compiler) placesOfRules() {
	t := &c.p.places
	add := func(p abide.Place) {
		if _, ok := t.index[p]; !ok {
			t.index[p] = int32(len(t.names))
			t.names = append(t.names, p)
		}
	}
	for _, pu := range c.set.Purposes {
		for _, in := range pu.In {
			for _, ref := range in.Places {
				if country, _, dashed := strings.Cut(ref.Name, "-"); dashed {
					add(abide.Place(country))
				}
				add(abide.Place(ref.Name))
			}
		}
	}
}

// regimeAt reads a regime from the profiles. It is false where they say
// nothing; such a place is read as strictly as all others together.
func (c *compiler) regimeAt(p abide.Place, key string) (regime, bool) {
	v, _, ok := c.p.laws.Value(p, key)
	if !ok {
		return regime{}, false
	}
	r := regime{}
	r.rest, _ = regimeRank(v.Value)
	for _, ch := range regimeChannels {
		if v, _, ok := c.p.laws.Value(p, key+"."+string(ch)); ok {
			if d, _ := regimeRank(v.Value); d != r.rest {
				r.channels = append(r.channels, channelDemand{ch, d})
			}
		}
	}
	return r, true
}

func (c *compiler) controllers() {
	c.controller = map[abide.DocumentName]int32{}
	for _, d := range c.p.documents {
		if !slices.Contains(d.Rule.LawOf, rule.LawOfController) {
			continue
		}
		said := d.Rule.Controller
		if d.Rule.Party != nil {
			said = d.Rule.Party.Address.Country
		}
		place, ok := c.p.laws.Named(said)
		if ok {
			c.controller[d.Name] = c.p.places.index[place]
		} else if c.p.laws != nil {
			c.report(diag.ControllerPlace, rule.At{Span: d.Rule.Span}, d.Rule.Span, string(d.Name),
				"document %s looks at the controller's law, but its controller names no place", d.Name)
		}
	}
}

// variants works out how every purpose stands in every place and in every two
// places whose law applies together.
func (c *compiler) variants() {
	c.tables = map[string][]uint16{}
	seen := map[string]bool{}
	for _, pu := range c.allPurposes() {
		pu.law = c.lawOf(pu)
		c.checkPlaces(pu)
		if c.uniform(pu) {
			v, _ := c.resolve(pu, elsewhere)
			pu.variants, pu.singles = []variant{v}, 1
		} else {
			c.placed(pu)
		}
		pu.reasons = permitsOf(pu)
		for i := range pu.variants {
			v := &pu.variants[i]
			v.terms = termsOf(c.p, pu, v)
			v.digest = v.terms.Digest()
			if !seen[v.digest] {
				seen[v.digest] = true
				c.p.terms = append(c.p.terms, v.terms)
			}
			c.p.archive[v.digest] = pu.covers.promising(v)
		}
	}
}

func (c *compiler) lawOf(pu *Purpose) lawOf {
	var l lawOf
	if pu.doc >= 0 {
		for _, w := range c.p.documents[pu.doc].Rule.LawOf {
			switch w {
			case rule.LawOfResidence:
				l.residence = true
			case rule.LawOfWhereabouts:
				l.whereabouts = true
			case rule.LawOfController:
				l.controller = c.controller[pu.Document]
			}
		}
	}
	if !l.residence && !l.whereabouts && l.controller == 0 {
		l.residence = true
	}
	return l
}

// uniform reports whether a purpose is the same everywhere.
func (c *compiler) uniform(pu *Purpose) bool {
	return len(pu.Rule.In) == 0 && pu.profileKey() == ""
}

// profileKey names the law value that is the floor of a purpose's basis. The
// same purpose in another document has the same floor.
func (pu *Purpose) profileKey() string {
	if b := pu.Rule.Basis; b != nil && b.Kind == rule.BasisProfile {
		return b.Profile
	}
	if pu.Marketing {
		return LawDirectMarketing
	}
	if pu.twin != nil {
		if b := pu.twin.Rule.Basis; b != nil && b.Kind == rule.BasisProfile {
			return b.Profile
		}
	}
	return ""
}

func (c *compiler) checkPlaces(pu *Purpose) {
	b := pu.Rule.Basis
	if b != nil && b.Kind == rule.BasisProfile {
		if _, ok := c.regimes[b.Profile]; !ok {
			c.report(diag.LawValueMissing, pu.Rule.At, b.Span, b.Profile, "law.%s is no value of the law profiles that a basis can be", b.Profile)
		} else if c.p.laws == nil {
			c.report(diag.LawsMissing, pu.Rule.At, b.Span, b.Profile, "law.%s needs the law profiles", b.Profile)
		}
	}
	for _, in := range pu.Rule.In {
		for _, ref := range in.Places {
			if _, ok := c.p.places.index[abide.Place(ref.Name)]; ok {
				continue
			}
			d := c.report(diag.UnknownPlace, pu.Rule.At, ref.Span, ref.Name, "no place is called %s", ref.Name)
			if hint, ok := diag.Suggest(ref.Name, namesOf(c.p.places.names[2:], func(p abide.Place) string { return string(p) })); ok {
				d.Hint = "did you mean " + hint + "?"
			}
		}
	}
}

// placed fills the tables of a purpose that differs by place.
func (c *compiler) placed(pu *Purpose) {
	n := len(c.p.places.names)
	table := make([]uint16, n)
	index := func(v variant) uint16 {
		for i := range pu.variants {
			if pu.variants[i].equal(&v) {
				return uint16(i)
			}
		}
		pu.variants = append(pu.variants, v)
		return uint16(len(pu.variants) - 1)
	}
	own := make([]variant, n)
	floorTold := false
	for i := elsewhere; i < n; i++ {
		v, loose := c.resolve(pu, int32(i))
		own[i] = v
		if loose != nil && !floorTold {
			floorTold = true
			c.found = append(c.found, *loose)
		}
	}
	unknown := own[elsewhere]
	for i := elsewhere; i < n; i++ {
		v := own[i]
		for _, m := range c.members(int32(i)) {
			v = v.and(&own[m]) // somewhere in the EU: it could be any of them
		}
		unknown = unknown.and(&v)
		if pu.law.controller > 0 {
			v = v.and(&own[pu.law.controller])
		}
		table[i] = index(v)
	}
	table[0] = index(unknown)
	pu.byPlace = c.shared(table)
	pu.singles = len(pu.variants)
	pu.pairs = make([]uint16, pu.singles*pu.singles)
	for a := range pu.singles {
		for b := range pu.singles {
			pair := pu.variants[a].and(&pu.variants[b])
			pu.pairs[a*pu.singles+b] = index(pair)
		}
	}
}

func (c *compiler) shared(table []uint16) []uint16 {
	var key strings.Builder
	for _, v := range table {
		key.WriteByte(byte(v))
		key.WriteByte(byte(v >> 8))
	}
	if t, ok := c.tables[key.String()]; ok {
		return t
	}
	c.tables[key.String()] = table
	return table
}

// resolve works out a purpose at one place: field by field the rule for the
// most specific place that says it, and the profile of the law as a floor. The
// finding is the rule that asks for less than the floor.
func (c *compiler) resolve(pu *Purpose, place int32) (variant, *diag.Diagnostic) {
	r := pu.Rule
	v := variant{basis: r.Basis}
	key := pu.profileKey()
	floor, floored := regime{}, key != "" && c.regimes[key] != nil
	if floored {
		floor = c.regimes[key][place]
	}
	v.asks = floor
	if d, ok := basisDemand(r.Basis.Kind); ok {
		v.asks = regime{rest: d}
	}
	set := func(field string, has func(*rule.PlaceRule) bool) *rule.PlaceRule {
		return c.nearest(pu, place, field, has)
	}
	if in := set("basis", func(in *rule.PlaceRule) bool { return in.Basis != nil }); in != nil {
		v.basis = in.Basis
		if d, ok := basisDemand(in.Basis.Kind); ok {
			v.asks = regime{rest: d}
		} else if reg := c.regimes[in.Basis.Profile]; reg != nil {
			v.asks = reg[place]
		}
	}
	ask := r.Ask
	if in := set("ask", func(in *rule.PlaceRule) bool { return in.Ask != "" }); in != nil {
		ask = in.Ask
	}
	if ask == "separate" {
		v.asks = v.asks.and(strictestRegime)
	}
	var loose *diag.Diagnostic
	if floored {
		loose = c.loosened(pu, &v, floor, place)
		v.asks = v.asks.and(floor)
	}
	v.strictest = v.asks.strictest()
	v.closed = set("closed", func(in *rule.PlaceRule) bool { return in.Closed })
	v.keep = deadlineField(r.Keep, set("keep", func(in *rule.PlaceRule) bool { return in.Keep != nil }), func(in *rule.PlaceRule) *rule.Deadline { return in.Keep })
	v.atMost = deadlineField(r.AtMost, set("at_most", func(in *rule.PlaceRule) bool { return in.AtMost != nil }), func(in *rule.PlaceRule) *rule.Deadline { return in.AtMost })
	v.lasts = deadlineField(r.Lasts, set("lasts", func(in *rule.PlaceRule) bool { return in.Lasts != nil }), func(in *rule.PlaceRule) *rule.Deadline { return in.Lasts })
	return v, loose
}

func deadlineField(own *rule.Deadline, in *rule.PlaceRule, of func(*rule.PlaceRule) *rule.Deadline) []*rule.Deadline {
	if in != nil {
		own = of(in)
	}
	if own == nil {
		return nil
	}
	return []*rule.Deadline{own}
}

// loosened finds the rule for a place whose basis asks for less than the law
// profile there. Bases that a profile knows nothing of, such as a purpose that
// rests on contract but is called marketing, are raised silently: the stricter
// always holds.
func (c *compiler) loosened(pu *Purpose, v *variant, floor regime, place int32) *diag.Diagnostic {
	key := pu.profileKey()
	if place < 2 || v.basis == pu.Rule.Basis || !c.known[key][place] {
		return nil
	}
	if !slices.ContainsFunc(append([]abide.Channel{""}, regimeChannels...), func(ch abide.Channel) bool {
		return v.asks.on(ch).below(demand{rank: floor.on(ch).rank})
	}) {
		return nil
	}
	name := c.p.places.names[place]
	value, found, _ := c.p.laws.Value(name, key)
	d := diag.New(diag.FloorLoosened, v.basis.Span, "purpose %s asks for %s in %s, where law.%s is %s (profile of %s, %s)",
		pu.Name, v.basis.Kind, name, key, value.Value, found, value.Source).In(pu.Clause, string(pu.Name))
	if pu.Rule.Basis != nil {
		d.Other = &diag.Place{Span: pu.Rule.Basis.Span, Label: "the basis elsewhere"}
	}
	return &d
}

// nearest finds the rule of a purpose that sets a field for a place: the one
// for the most specific place around it.
func (c *compiler) nearest(pu *Purpose, place int32, field string, has func(*rule.PlaceRule) bool) *rule.PlaceRule {
	if len(pu.Rule.In) == 0 || place < 2 {
		return nil
	}
	t := &c.p.places
	for level := -1; level < len(t.above[place]); level++ {
		at := place
		if level >= 0 {
			at = t.above[place][level]
		}
		var here *rule.PlaceRule
		for _, in := range pu.Rule.In {
			if !has(in) || !slices.ContainsFunc(in.Places, func(r rule.Ref) bool { return r.Name == string(t.names[at]) }) {
				continue
			}
			if here != nil {
				c.tie(pu, here, in, t.names[at], field)
				return here
			}
			here = in
		}
		if here == nil {
			continue
		}
		// Another place around this one that neither contains the other is as near.
		for _, other := range t.above[place][level+1:] {
			if slices.Contains(t.above[at], other) || at == other {
				continue
			}
			for _, in := range pu.Rule.In {
				if in != here && has(in) && slices.ContainsFunc(in.Places, func(r rule.Ref) bool { return r.Name == string(t.names[other]) }) {
					c.tie(pu, here, in, t.names[place], field)
				}
			}
		}
		return here
	}
	return nil
}

func (c *compiler) tie(pu *Purpose, a, b *rule.PlaceRule, place abide.Place, field string) {
	for _, d := range c.found {
		if d.Code == diag.PlaceTie && d.Span == b.Span && d.Name == string(pu.Name) {
			return
		}
	}
	d := c.report(diag.PlaceTie, pu.Rule.At, b.Span, string(pu.Name), "two rules set %s of purpose %s for %s", field, pu.Name, place)
	d.Other = &diag.Place{Span: a.Span, Label: "the other rule"}
}
