package diff

import (
	"slices"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy"
)

// A decision in the space is a conjunction of checks, each of which looks at a
// part of the point only:
//
//	what is done × regime         coverage, nevers, recipients, services, levels
//	channel, topic                whether the purpose knows them
//	standing × regime × channel   the legal basis
//	age × place × service         what minors are spared; older, or with a
//	                              guardian, is never worse
//
// where a regime is a set of places whose law treats grown-ups alike. So a
// purpose is known from these tables, which are small, and the whole product
// need not be gone through. The tests go through it, and compare.
//
// A strand × regime at which nothing is permitted has no standing and no age.
type shape struct {
	what     table // of each regime: what
	standing table // of each strand × regime: standing
	age      table // of each strand × place: age
}

func (sh *shape) equal(o *shape) bool {
	return sh.what.equal(o.what) && sh.standing.equal(o.standing) && sh.age.equal(o.age)
}

// grid is what two policies are asked about one purpose.
type grid struct {
	purpose   abide.Purpose
	accepted  abide.DocumentName
	standings []Standing
	ages      []Age
	*rows
	*placement
}

// layOut begins the questions about one purpose: those that at least one of the
// policies could answer with a permit.
func (g *grid) layOut(s *Space, name abide.Purpose, old, new *policy.Policy) {
	g.purpose, g.ages, g.standings = name, s.Ages, ownStandings
	var within []abide.Purpose
	for _, p := range []*policy.Policy{old, new} {
		pu, ok := p.Purpose(name)
		if !ok {
			continue
		}
		for _, q := range p.Around(pu)[1:] {
			if !slices.Contains(within, q.Name) {
				within = append(within, q.Name)
				g.standings = append(g.standings[:len(g.standings):len(g.standings)], Standings(q.Name)...)
			}
		}
	}
}

var ownStandings = Standings("")

// filler asks a policy about the points of a grid. It keeps what it needs for
// that from one purpose to the next.
type filler struct {
	witness []int  // of each strand × regime: a what that is permitted, -1 if none
	known   []int8 // of each channel and topic: 1 known to the purpose, -1 not, 0 not asked
}

// fill asks one policy.
func (f *filler) fill(g *grid, pr *probe, sh *shape) {
	np, nr := len(g.classes), len(g.regimes)
	sh.what = sh.what.cleared(nr, len(g.whats))
	sh.standing = sh.standing.cleared(len(g.strands)*nr, len(g.standings))
	sh.age = sh.age.cleared(len(g.strands)*np, len(g.ages))
	if pr.purpose == nil {
		return
	}
	f.fillWhats(g, pr, sh)
	apart := pr.policy.TellsChannelsApart(pr.purpose)
	for r, place := range g.regimes {
		for k, st := range g.strands {
			i := f.witness[k*nr+r]
			if i < 0 {
				continue // nothing is permitted here, whoever it is
			}
			out := sh.standing.row(k*nr + r)
			same := slices.Index(g.strands, strand{service: st.service, unserved: st.unserved})
			if st.channel != "" && !apart && f.witness[same*nr+r] >= 0 {
				copy(out, sh.standing.row(same*nr+r))
				continue
			}
			for n, s := range g.standings {
				if pr.permits(&g.whats[i], place, s, grownUp) {
					out.set(n)
				}
			}
		}
	}
	for p := range g.classes {
		f.fillAges(g, pr, sh, p)
	}
}

// fillWhats decides what is done, and finds a witness for each strand and
// regime.
func (f *filler) fillWhats(g *grid, pr *probe, sh *shape) {
	nr := len(g.regimes)
	f.witness = resize(f.witness, len(g.strands)*nr)
	for i := range f.witness {
		f.witness[i] = -1
	}
	f.known = resize(f.known, g.tails)
	clear(f.known)
	first := -1 // the first regime at which anything is permitted
	for r, place := range g.regimes {
		out := sh.what.row(r)
		if !open(g, pr, sh, place, first) {
			continue
		}
		if first < 0 {
			first = r
		}
		for i := range g.whats {
			w := &g.whats[i]
			var ok bool
			switch {
			case g.tail[i] >= 0:
				ok = out.has(g.plain[i]) && f.knows(g, pr, i, place)
			case w.Act == abide.ActDisclose || w.Kind == abide.Other || r == first:
				ok = pr.permits(w, place, inOrder, grownUp)
			default:
				ok = sh.what.row(first).has(i)
			}
			if !ok {
				continue
			}
			out.set(i)
			if k := g.strand[i]; f.witness[k*nr+r] < 0 {
				f.witness[k*nr+r] = i
			}
		}
	}
}

// open tells whether anything is permitted at a regime; what is permitted at
// another one is tried first.
func open(g *grid, pr *probe, sh *shape, place Place, other int) bool {
	likely := 0
	for other >= 0 && likely < len(g.whats)-1 && !sh.what.row(other).has(likely) {
		likely++
	}
	for n := range g.whats {
		i := (likely + n) % len(g.whats)
		if g.tail[i] < 0 && pr.permits(&g.whats[i], place, inOrder, grownUp) {
			return true
		}
	}
	return false
}

// knows reports whether the purpose knows the channel or topic of a what that
// is permitted without it.
func (f *filler) knows(g *grid, pr *probe, i int, place Place) bool {
	t := g.tail[i]
	if f.known[t] == 0 {
		f.known[t] = -1
		if pr.permits(&g.whats[i], place, inOrder, grownUp) {
			f.known[t] = 1
		}
	}
	return f.known[t] > 0
}

// fillAges decides ages at a place. Where a child without a guardian is spared
// nothing, and neither is whoever says they are a minor or nothing, nobody is.
func (f *filler) fillAges(g *grid, pr *probe, sh *shape, p int) {
	np, nr := len(g.classes), len(g.regimes)
	class := g.classes[p]
	place := class.one()
	for k, st := range g.strands {
		i := f.witness[k*nr+class.regime]
		if i < 0 {
			continue
		}
		out := sh.age.row(k*np + p)
		same := slices.Index(g.strands, strand{service: st.service, unserved: st.unserved})
		if same < k && f.witness[same*nr+class.regime] >= 0 {
			copy(out, sh.age.row(same*np+p))
			continue
		}
		spared := slices.ContainsFunc(worstAges, func(a Age) bool { return !pr.permits(&g.whats[i], place, inOrder, a) })
		if !spared {
			out.fill(len(g.ages))
			continue
		}
		for n, a := range g.ages {
			if pr.permits(&g.whats[i], place, inOrder, a) {
				out.set(n)
			}
		}
	}
}

// worstAges are those than which none is worse.
var worstAges = []Age{{Years: -1, Declared: true, Guardian: "none"}, {Years: -1, Guardian: "none"}, {Years: 0, Guardian: "none"}}
