package policy

import (
	"slices"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy/diag"
	"github.com/abide-privacy/abide/policy/rule"
)

// kindsOfPeople are words that floor_for may use though no group has the name.
var kindsOfPeople = []string{"person", "visitor", "others"}

func (c *compiler) levelNames() []string {
	return namesOf(c.p.levels, func(l *level) string { return l.name })
}

// levels resolves what stands above what and adds up what opening demands:
// higher levels only add (CLAUSES C17).
func (c *compiler) levels() {
	for _, l := range c.p.levels {
		for _, r := range l.rule.FloorFor {
			if _, ok := c.p.groupIndex[r.Name]; !ok && !slices.Contains(kindsOfPeople, r.Name) {
				c.unknown("data group", l.rule.At, r, c.groupNames())
			}
		}
		if l.rule.Above == nil {
			continue
		}
		i, ok := c.p.levelIndex[l.rule.Above.Name]
		if !ok {
			c.unknown("level", l.rule.At, *l.rule.Above, c.levelNames())
			continue
		}
		l.above = i
	}
	for i, l := range c.p.levels {
		if c.levelCircle(int32(i)) {
			c.report(diag.LevelCycle, l.rule.At, l.rule.Label, l.name, "level %s stands above itself", l.name)
			return
		}
	}
	for i, l := range c.p.levels {
		c.addUp(int32(i), l)
	}
	for _, r := range c.set.Reviews {
		c.review(r)
	}
}

func (c *compiler) levelCircle(from int32) bool {
	at := from
	for range len(c.p.levels) + 1 {
		if at = c.p.levels[at].above; at < 0 {
			return false
		}
	}
	return true
}

func (c *compiler) addUp(i int32, l *level) {
	for at := i; at >= 0; at = c.p.levels[at].above {
		r := c.p.levels[at].rule
		l.reason = l.reason || r.Reason
		l.approvals = max(l.approvals, r.Approvals)
		if r.Mask > 0 && (l.mask == 0 || r.Mask < l.mask) {
			l.mask = r.Mask
		}
		l.undertaking = l.undertaking || r.Undertaking
		if r.ReviewEvery > 0 && (l.reviewEvery == 0 || r.ReviewEvery < l.reviewEvery) {
			l.reviewEvery = r.ReviewEvery
		}
	}
}

func (c *compiler) review(r *rule.Review) {
	if r.Closes == nil {
		return
	}
	i, ok := c.p.levelIndex[r.Closes.Name]
	if !ok {
		c.unknown("level", r.At, *r.Closes, c.levelNames())
		return
	}
	for j, l := range c.p.levels {
		if c.reaches(int32(j), i) {
			l.closedBy = append(l.closedBy, r)
		}
	}
}

// reaches reports whether level a is b or stands above it.
func (c *compiler) reaches(a, b int32) bool {
	for at := a; at >= 0; at = c.p.levels[at].above {
		if at == b {
			return true
		}
	}
	return false
}

func (c *compiler) categories() {
	for _, cat := range c.p.categories {
		r := cat.Rule
		c.levelOf(cat)
		var person bool
		cat.apart, person = c.groupSet(r.At, r.Apart)
		if r.Group != nil {
			apart, also := c.groupSet(r.Group.At, r.Group.Apart)
			cat.apart, person = cat.apart.union(apart), person || also
		}
		cat.notPerson = person && cat.Group != groupPerson
		cat.apart.each(func(g int32) { cat.Apart = append(cat.Apart, c.p.groups[g].Name) })
		cat.onlyTo = c.serviceSet(r.At, r.OnlyTo)
		cat.onlyTo.each(func(s int32) { cat.OnlyTo = append(cat.OnlyTo, c.p.services[s].Name) })
		cat.sources = c.categorySet(r.At, r.DerivedFrom, false)
		cat.DerivedFrom = c.list(cat.sources)
	}
	// Apart is mutual, whoever says it.
	for _, a := range c.p.categories {
		a.apart.each(func(g int32) {
			for _, b := range c.p.categories {
				if b.group == g && a.group != g {
					b.apart.add(a.group)
				}
			}
		})
	}
	c.derivedAll()
}

// derivedAll makes the sources of derived categories complete: those of a
// source are its sources too.
func (c *compiler) derivedAll() {
	for changed := true; changed; {
		changed = false
		for _, cat := range c.p.categories {
			all := cat.sources
			cat.sources.each(func(i int32) { all = all.union(c.p.categories[i].sources) })
			if all.len() != cat.sources.len() {
				cat.sources, changed = all, true
			}
		}
	}
	for _, cat := range c.p.categories {
		if cat.sources.has(cat.id) {
			c.report(diag.DerivedCycle, cat.Rule.At, cat.Rule.Label, string(cat.Name), "%s derives from itself", cat.Name)
		}
		cat.groups.add(cat.group)
		cat.sources.each(func(i int32) { cat.inherit(c.p.categories[i]) })
	}
}

// inherit binds a derived category by what a source of it may not: it would be a
// way around it otherwise.
func (c *Category) inherit(source *Category) {
	c.groups.add(source.group)
	c.apart = c.apart.union(source.apart)
	c.notPerson = c.notPerson || source.notPerson
	switch {
	case len(source.onlyTo) == 0:
	case len(c.onlyTo) == 0:
		c.onlyTo = source.onlyTo
	default:
		c.onlyTo = c.onlyTo.intersection(source.onlyTo)
	}
}

// levelOf resolves a category's level: its own, not below a floor of its
// group, else the highest floor.
func (c *compiler) levelOf(cat *Category) {
	r := cat.Rule
	floor := int32(-1)
	for i, l := range c.p.levels {
		for _, ref := range l.rule.FloorFor {
			if ref.Name == cat.Group && (floor < 0 || c.reaches(int32(i), floor)) {
				floor = int32(i)
			}
		}
	}
	cat.level = floor
	if r.Level != nil {
		i, ok := c.p.levelIndex[r.Level.Name]
		if !ok {
			c.unknown("level", r.At, *r.Level, c.levelNames())
			return
		}
		if floor >= 0 && !c.reaches(i, floor) {
			d := c.report(diag.LevelBelowFloor, r.At, r.Level.Span, string(cat.Name), "%s is at level %s, below the floor %s of %s",
				cat.Name, r.Level.Name, c.p.levels[floor].name, cat.Group)
			d.Other = &diag.Place{Span: c.p.levels[floor].rule.Span, Label: "the floor"}
			return
		}
		cat.level = i
	}
	if cat.level >= 0 {
		cat.Level, cat.Mask = c.p.levels[cat.level].name, c.p.levels[cat.level].mask
	}
}

func (c *compiler) services() {
	c.p.servedBy = make([][]*Service, len(c.p.purposes))
	for _, s := range c.p.services {
		r := s.Rule
		// Needs keep the order in which they are written: it is the order in
		// which they are asked for.
		s.Needs, s.Wants = c.inOrder(r.At, r.Needs), c.inOrder(r.At, r.Wants)
		s.serves = c.purposeSet(r.At, r.Serves)
		s.serves.each(func(i int32) {
			s.Serves = append(s.Serves, c.p.purposes[i].Name)
			c.p.servedBy[i] = append(c.p.servedBy[i], s)
		})
		for _, x := range r.Sources {
			s.Sources = append(s.Sources, x.Name)
		}
		for _, x := range r.Reports {
			s.Reports = append(s.Reports, x.Name)
		}
	}
	for _, cat := range c.p.categories {
		cat.onlyTo.each(func(i int32) { cat.onlyFor = cat.onlyFor.union(c.p.services[i].serves) })
	}
}

func (c *compiler) inOrder(at rule.At, refs []rule.Ref) []abide.Category {
	var out []abide.Category
	for _, r := range refs {
		if cat, ok := c.category(at, r); ok {
			out = append(out, cat.Name)
		}
	}
	return out
}

// obligations lists, for every set of levels, what those who open them must
// do. There are few levels, so all sets are listed beforehand and a permit
// allocates nothing.
func (c *compiler) obligations() {
	const most = 8
	var demanding []*level
	for _, l := range c.p.levels {
		if l.mask > 0 || l.reason || l.approvals > 0 {
			l.demands = int32(len(demanding))
			demanding = append(demanding, l)
		}
	}
	if len(demanding) > most {
		l := demanding[most].rule
		c.report(diag.TooManyLevels, l.At, l.Label, l.Name, "level %s is the %dth that demands something", l.Name, most+1)
		return
	}
	c.p.shown = make([][]abide.Obligation, 1<<len(demanding))
	for set := range c.p.shown {
		var list []abide.Obligation
		for _, l := range demanding {
			if set&(1<<l.demands) == 0 {
				continue
			}
			clause := clauseOf(l.rule.At)
			if l.mask > 0 {
				list = append(list, abide.Obligation{Code: abide.MustMask, Clause: clause, N: l.mask, Name: l.name})
			}
			if l.reason {
				list = append(list, abide.Obligation{Code: abide.MustGiveReason, Clause: clause, Name: l.name})
			}
			if l.approvals > 0 {
				list = append(list, abide.Obligation{Code: abide.MustBeApproved, Clause: clause, N: l.approvals, Name: l.name})
			}
		}
		c.p.shown[set] = list[:len(list):len(list)]
	}
}
