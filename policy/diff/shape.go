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
type shape struct {
	what     []bool // what × regime
	standing []bool // strand × standing × regime
	age      []bool // strand × age × place
}

// strand is what of a request the checks of basis and age look at.
type strand struct {
	channel abide.Channel
	service abide.Service
}

func strandOf(w What) strand { return strand{w.Channel, w.Service} }

// grid is what two policies are asked about one purpose.
type grid struct {
	purpose   abide.Purpose
	accepted  abide.DocumentName
	whats     []What
	plain     []int // of each what: itself, or the same without channel and topic
	strands   []strand
	strand    []int // of each what
	standings []Standing
	ages      []Age
	places    []placeClass
	regimes   []Place // one place of each
}

// placeClass is a set of places, all residences with all whereabouts, which
// both policies treat alike for one purpose.
type placeClass struct {
	residences, whereabouts []abide.Place
	regime                  int
}

func (c placeClass) one() Place { return Place{c.residences[0], c.whereabouts[0]} }

// fill asks one policy. channels says whether the law behind this purpose may
// tell channels apart.
func (g *grid) fill(pr *probe) shape {
	np, nr := len(g.places), len(g.regimes)
	sh := shape{
		what:     make([]bool, len(g.whats)*nr),
		standing: make([]bool, len(g.strands)*len(g.standings)*nr),
		age:      make([]bool, len(g.strands)*len(g.ages)*np),
	}
	if pr.purpose == nil {
		return sh
	}
	witness := g.fillWhats(pr, sh.what)
	apart := pr.tellsChannelsApart()
	for k, st := range g.strands {
		for r, place := range g.regimes {
			i := witness[k*nr+r]
			if i < 0 {
				continue // nothing is permitted here, whoever it is
			}
			same := slices.Index(g.strands, strand{service: st.service})
			if st.channel != "" && !apart && witness[same*nr+r] >= 0 {
				for n := range g.standings {
					sh.standing[(k*len(g.standings)+n)*nr+r] = sh.standing[(same*len(g.standings)+n)*nr+r]
				}
				continue
			}
			for n, s := range g.standings {
				sh.standing[(k*len(g.standings)+n)*nr+r] = pr.permits(g.whats[i], place, s, grownUp)
			}
		}
		g.fillAges(pr, sh.age, witness, k)
	}
	return sh
}

// fillWhats decides what is done, and returns for each strand and regime
// something that is permitted there, -1 if nothing is.
func (g *grid) fillWhats(pr *probe, out []bool) (witness []int) {
	nr := len(g.regimes)
	witness = make([]int, len(g.strands)*nr)
	for i := range witness {
		witness[i] = -1
	}
	open := g.open(pr)
	known := map[What]bool{} // by channel and topic alone
	for i, w := range g.whats {
		for r, place := range g.regimes {
			var ok bool
			switch {
			case !open[r]:
			case g.plain[i] != i:
				ok = out[g.plain[i]*nr+r]
				if ok {
					key := What{Channel: w.Channel, Topic: w.Topic}
					knows, asked := known[key]
					if !asked {
						knows = pr.permits(w, place, inOrder, grownUp)
						known[key] = knows
					}
					ok = knows
				}
			case w.Act == abide.ActDisclose || w.Kind == abide.Other || r == firstOpen(open):
				ok = pr.permits(w, place, inOrder, grownUp)
			default:
				ok = out[i*nr+firstOpen(open)]
			}
			out[i*nr+r] = ok
			if ok && witness[g.strand[i]*nr+r] < 0 {
				witness[g.strand[i]*nr+r] = i
			}
		}
	}
	return witness
}

// open tells at which regimes anything is permitted.
func (g *grid) open(pr *probe) []bool {
	out := make([]bool, len(g.regimes))
	for r, place := range g.regimes {
		for i, w := range g.whats {
			if g.plain[i] == i && pr.permits(w, place, inOrder, grownUp) {
				out[r] = true
				break
			}
		}
	}
	return out
}

func firstOpen(open []bool) int { return slices.Index(open, true) }

// fillAges decides ages. Where a child without a guardian is spared nothing,
// and neither is whoever says they are a minor or nothing, nobody is.
func (g *grid) fillAges(pr *probe, out []bool, witness []int, k int) {
	np, nr := len(g.places), len(g.regimes)
	same := slices.Index(g.strands, strand{service: g.strands[k].service})
	for p, class := range g.places {
		i := witness[k*nr+class.regime]
		if i < 0 {
			continue
		}
		if same < k && witness[same*nr+class.regime] >= 0 {
			for n := range g.ages {
				out[(k*len(g.ages)+n)*np+p] = out[(same*len(g.ages)+n)*np+p]
			}
			continue
		}
		place := class.one()
		spared := false
		for _, a := range worstAges {
			spared = spared || !pr.permits(g.whats[i], place, inOrder, a)
		}
		for n, a := range g.ages {
			out[(k*len(g.ages)+n)*np+p] = !spared || pr.permits(g.whats[i], place, inOrder, a)
		}
	}
}

// worstAges are those than which none is worse.
var worstAges = []Age{{Years: -1, Declared: true, Guardian: "none"}, {Years: -1, Guardian: "none"}, {Years: 0, Guardian: "none"}}

// gridOf lays out the questions about one purpose: those that at least one of
// the policies could answer with a permit.
func (s *Space) gridOf(name abide.Purpose, accepted abide.DocumentName, old, new *policy.Policy, by *coverIndex) *grid {
	g := &grid{purpose: name, accepted: accepted, ages: s.Ages, standings: ownStandings}
	var within []abide.Purpose
	for _, p := range []*policy.Policy{old, new} {
		for _, q := range s.chainOf(p, name) {
			if q != name && !slices.Contains(within, q) {
				within = append(within, q)
				g.standings = append(g.standings[:len(g.standings):len(g.standings)], Standings(q)...)
			}
		}
	}
	g.whats = by.whats(s, name)
	index := make(map[What]int, len(g.whats))
	strands := map[strand]int{}
	for i, w := range g.whats {
		st := strandOf(w)
		k, ok := strands[st]
		if !ok {
			k = len(g.strands)
			strands[st] = k
			g.strands = append(g.strands, st)
		}
		index[w] = i
		g.strand = append(g.strand, k)
		w.Channel, w.Topic = "", ""
		g.plain = append(g.plain, index[w])
	}
	g.places, g.regimes = s.placeClasses(name, old, new)
	return g
}

var ownStandings = Standings("")

func (s *Space) chainOf(p *policy.Policy, name abide.Purpose) []abide.Purpose {
	var out []abide.Purpose
	for {
		pu, ok := p.Purpose(name)
		if !ok {
			return out
		}
		out = append(out, name)
		name = pu.Within
	}
}

// placeKey is how both policies treat a place.
type placeKey struct {
	old, new policy.PlaceClass
	unknown  bool // "": contracts cannot cover it
}

func (k placeKey) regime() placeKey {
	return placeKey{k.old.Regime(), k.new.Regime(), k.unknown}
}

// placeClasses divides the places: by residence, and by whereabouts too where
// either policy looks at them.
func (s *Space) placeClasses(name abide.Purpose, old, new *policy.Policy) ([]placeClass, []Place) {
	keys := make([]placeKey, len(s.Places))
	looks := false
	if pu, ok := old.Purpose(name); ok {
		for i, c := range old.PlaceClasses(pu, s.Places) {
			keys[i].old = c
		}
		looks = looks || old.LooksAtWhereabouts(pu)
	}
	if pu, ok := new.Purpose(name); ok {
		for i, c := range new.PlaceClasses(pu, s.Places) {
			keys[i].new = c
		}
		looks = looks || new.LooksAtWhereabouts(pu)
	}
	var order []placeKey
	classes := map[placeKey][]abide.Place{}
	for i, place := range s.Places {
		keys[i].unknown = place == ""
		if classes[keys[i]] == nil {
			order = append(order, keys[i])
		}
		classes[keys[i]] = append(classes[keys[i]], place)
	}
	var out []placeClass
	var regimes []Place
	index := map[[2]placeKey]int{}
	add := func(res, where placeKey, whereabouts []abide.Place) {
		key := [2]placeKey{res.regime(), where.regime()}
		r, ok := index[key]
		c := placeClass{residences: classes[res], whereabouts: whereabouts}
		if !ok {
			r = len(regimes)
			index[key] = r
			regimes = append(regimes, c.one())
		}
		c.regime = r
		out = append(out, c)
	}
	for _, res := range order {
		add(res, placeKey{}, onlyUnknown)
		for _, where := range order {
			if looks && !where.unknown {
				add(res, where, classes[where])
			}
		}
	}
	return out, regimes
}

var onlyUnknown = []abide.Place{""}
