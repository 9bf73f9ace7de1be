package diff

import (
	"slices"

	abide "github.com/abide-privacy/abide"
)

// bits is a set of small integers that grows as needed.
type bits []uint64

func (b *bits) set(i int) {
	for len(*b) <= i/64 {
		*b = append(*b, 0)
	}
	(*b)[i/64] |= 1 << (i % 64)
}

func (b bits) empty() bool { return len(b) == 0 } // only ever set, never cleared

func (b bits) each(visit func(int)) {
	for i := range len(b) * 64 {
		if b[i/64]&(1<<(i%64)) != 0 {
			visit(i)
		}
	}
}

// key is the set as a comparable value.
func (b bits) key() string {
	out := make([]byte, 0, len(b)*8)
	for _, w := range b {
		for range 8 {
			out = append(out, byte(w))
			w >>= 8
		}
	}
	for len(out) > 0 && out[len(out)-1] == 0 {
		out = out[:len(out)-1]
	}
	return string(out)
}

// merger joins products that differ in one dimension only: first over places,
// then over what is done.
type merger struct {
	g          *grid
	effect     abide.Effect
	everything bool
	order      []*product
	index      map[productKey]*product
}

type product struct {
	cause                          Cause
	whats, standings, ages, places bits
}

type productKey struct {
	cause                 Cause
	rest, standings, ages string
}

func newMerger(g *grid, effect abide.Effect, everything bool) *merger {
	return &merger{g: g, effect: effect, everything: everything, index: map[productKey]*product{}}
}

// add adds a product at one place; an empty one is left out.
func (m *merger) add(cause Cause, whats, standings, ages bits, place int) {
	if whats.empty() || standings.empty() || ages.empty() {
		return
	}
	key := productKey{cause, whats.key(), standings.key(), ages.key()}
	p, ok := m.index[key]
	if !ok {
		p = &product{cause: cause, whats: slices.Clone(whats), standings: standings, ages: ages}
		m.index[key] = p
		m.order = append(m.order, p)
	}
	p.places.set(place)
}

func (m *merger) changes() []Change {
	if len(m.order) == 0 {
		return nil
	}
	var merged []*product
	index := map[productKey]*product{}
	for _, p := range m.order {
		key := productKey{p.cause, p.places.key(), p.standings.key(), p.ages.key()}
		if first, ok := index[key]; ok {
			p.whats.each(func(i int) { first.whats.set(i) })
			continue
		}
		index[key] = p
		merged = append(merged, p)
	}
	out := make([]Change, len(merged))
	for i, p := range merged {
		out[i] = m.change(p)
	}
	return out
}

func (m *merger) change(p *product) Change {
	g := m.g
	c := Change{Effect: m.effect, Purpose: g.purpose, Accepted: g.accepted, Cause: p.cause, Everything: m.everything}
	p.whats.each(func(i int) { c.Whats = append(c.Whats, g.whats[i]) })
	c.Standings, c.Ages = pickOf(g.standings, p.standings), pickOf(g.ages, p.ages)
	c.Places = joinPlaces(g.places, p.places)
	return c
}

// pickOf lists the members of a set; the list itself if they are all.
func pickOf[T any](from []T, which bits) []T {
	n := 0
	which.each(func(int) { n++ })
	if n == len(from) {
		return from[:n:n]
	}
	out := make([]T, 0, n)
	which.each(func(i int) { out = append(out, from[i]) })
	return out
}

// joinPlaces joins classes of places that have the same whereabouts.
func joinPlaces(classes []placeClass, which bits) []Places {
	var out []Places
	which.each(func(i int) {
		class := classes[i]
		for k := range out {
			if slices.Equal(out[k].Whereabouts, class.whereabouts) {
				out[k].Residences = append(out[k].Residences, class.residences...)
				return
			}
		}
		out = append(out, Places{slices.Clone(class.residences), class.whereabouts})
	})
	for k := range out {
		slices.Sort(out[k].Residences)
	}
	return out
}
