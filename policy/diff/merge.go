package diff

import (
	"slices"

	abide "github.com/abide-privacy/abide"
)

// merger joins products that differ in one dimension only: first over places,
// then over what is done. It keeps its scratch from one purpose to the next.
type merger struct {
	order []*product
	index map[string]*product
	key   []byte
	// scratch of gained
	fresh, common, standings, ages bitset
}

type product struct {
	cause                          Cause
	whats, standings, ages, places bitset
}

// gained lists what to permits and from does not, as products that share no
// point: first what is done newly; then, of what was done already, for whom it
// is done newly.
func (m *merger) gained(g *grid, effect abide.Effect, from, to *shape) []Change {
	np, nr := len(g.classes), len(g.regimes)
	m.order, m.index = m.order[:0], map[string]*product{}
	m.fresh, m.common = m.fresh.cleared(len(g.whats)), m.common.cleared(len(g.whats))
	m.standings, m.ages = m.standings.cleared(len(g.standings)), m.ages.cleared(len(g.ages))
	for k := range g.strands {
		for p, class := range g.classes {
			r := class.regime
			m.fresh.others(to.what.row(r), from.what.row(r))
			m.fresh.both(m.fresh, g.members[k])
			m.common.both(to.what.row(r), from.what.row(r))
			m.common.both(m.common, g.members[k])
			was, is := from.standing.row(k*nr+r), to.standing.row(k*nr+r)
			young, now := from.age.row(k*np+p), to.age.row(k*np+p)
			m.add(np, CauseWhat, m.fresh, is, now, p)
			m.standings.others(is, was)
			m.add(np, CauseStanding, m.common, m.standings, now, p)
			m.standings.both(is, was)
			m.ages.others(now, young)
			m.add(np, CauseAge, m.common, m.standings, m.ages, p)
		}
	}
	return m.changes(g, effect, from.what.empty())
}

// add adds a product at one of np places; an empty one is left out.
func (m *merger) add(np int, cause Cause, whats, standings, ages bitset, place int) {
	if whats.empty() || standings.empty() || ages.empty() {
		return
	}
	m.key = append(m.key[:0], cause...)
	m.key = ages.appendTo(standings.appendTo(whats.appendTo(m.key)))
	p, ok := m.index[string(m.key)]
	if !ok {
		p = &product{cause, slices.Clone(whats), slices.Clone(standings), slices.Clone(ages), bitset(nil).cleared(np)}
		m.index[string(m.key)] = p
		m.order = append(m.order, p)
	}
	p.places.set(place)
}

func (m *merger) changes(g *grid, effect abide.Effect, everything bool) []Change {
	if len(m.order) == 0 {
		return nil
	}
	var merged []*product
	clear(m.index)
	for _, p := range m.order {
		m.key = append(m.key[:0], p.cause...)
		m.key = p.ages.appendTo(p.standings.appendTo(p.places.appendTo(m.key)))
		if first, ok := m.index[string(m.key)]; ok {
			first.whats.join(p.whats)
			continue
		}
		m.index[string(m.key)] = p
		merged = append(merged, p)
	}
	out := make([]Change, len(merged))
	for i, p := range merged {
		out[i] = g.change(p)
		out[i].Effect, out[i].Everything = effect, everything
	}
	return out
}

func (g *grid) change(p *product) Change {
	whats := make([]What, 0, p.whats.len())
	p.whats.each(func(i int) { whats = append(whats, g.whats[i]) })
	return Change{Purpose: g.purpose, Accepted: g.accepted, Cause: p.cause, Whats: whats,
		Standings: pickOf(g.standings, p.standings), Ages: pickOf(g.ages, p.ages), Places: g.join(p.places)}
}

// pickOf lists the members of a set; the list itself if they are all.
func pickOf[T any](from []T, which bitset) []T {
	n := which.len()
	if n == len(from) {
		return from[:n:n]
	}
	out := make([]T, 0, n)
	which.each(func(i int) { out = append(out, from[i]) })
	return out
}
