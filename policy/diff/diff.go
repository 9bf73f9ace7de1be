package diff

import (
	"runtime"
	"sync"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy"
)

// Difference is all that changes from one policy to another. The changes are
// exact: a point of the space becomes permitted if and only if it lies in
// exactly one change whose effect is permit, and so for forbidden.
type Difference struct {
	Old     string        `json:"old"` // versions
	New     string        `json:"new"`
	Changes []Change      `json:"changes"`
	Asked   []Asked       `json:"asked"`
	Staff   []StaffChange `json:"staff"`
	Rules   []RuleChange  `json:"rules"` // all rules that read differently, in words
	all     []abide.Place // of the space
}

// Cause says which part of a purpose's rules made a change.
type Cause string

// The causes of a change.
const (
	CauseWhat     Cause = "what"     // what is done: categories, acts, recipients, nevers
	CauseStanding Cause = "standing" // what people must have said, or where
	CauseAge      Cause = "age"      // what minors are spared
)

// Change is a set of points of one purpose that become permitted, or that
// become forbidden: every combination of what, place, standing and age.
type Change struct {
	Effect    abide.Effect       `json:"effect"` // what becomes of the points
	Purpose   abide.Purpose      `json:"purpose"`
	Accepted  abide.DocumentName `json:"accepted,omitempty"` // the document that the people concerned agreed to
	Cause     Cause              `json:"cause"`
	Whats     []What             `json:"whats"`
	Places    []Places           `json:"places"`
	Standings []Standing         `json:"standings"`
	Ages      []Age              `json:"ages"`
	// Everything is set if the old policy permitted the purpose nothing, or the
	// new one does: it is new, or gone.
	Everything bool `json:"everything,omitempty"`
}

// Places is every combination of a residence and a whereabouts; "" is unknown.
type Places struct {
	Residences  []abide.Place `json:"residences"`
	Whereabouts []abide.Place `json:"whereabouts"`
}

// Empty reports whether nothing changes that a decision or a person notices.
func (d *Difference) Empty() bool {
	return len(d.Changes) == 0 && len(d.Asked) == 0 && len(d.Staff) == 0
}

// Diff compares two policies over the whole space that the package comment
// defines. So that consents to old terms can be judged, compile the new policy
// with the old one's AllTerms as its archive.
func Diff(old, new *policy.Policy) *Difference {
	d := &Difference{Old: old.Version(), New: new.Version()}
	if old == new {
		return d
	}
	s := NewSpace(old, new)
	d.all = s.Places
	index := newCoverIndex(old, new)
	staff := newStaffSpace(s, old, new)
	results := make([]result, len(s.Purposes))
	same := unchanged(s, old, new)
	each(len(s.Purposes), func(i int) {
		if !same(s.Purposes[i]) {
			results[i] = compare(s, index, staff, old, new, s.Purposes[i])
		}
	})
	for _, r := range results {
		d.Changes = append(d.Changes, r.changes...)
		d.Asked = append(d.Asked, r.asked...)
		d.Staff = append(d.Staff, r.staff...)
	}
	d.Rules = compareRules(old.Set(), new.Set())
	return d
}

// each runs work for 0..n-1 on all processors.
func each(n int, work func(int)) {
	var group sync.WaitGroup
	next := make(chan int)
	for range min(runtime.GOMAXPROCS(0), n) {
		group.Go(func() {
			for i := range next {
				work(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	group.Wait()
}

type result struct {
	changes []Change
	asked   []Asked
	staff   []StaffChange
}

// compare compares one purpose.
func compare(s *Space, index *coverIndex, staff *staffSpace, old, new *policy.Policy, name abide.Purpose) result {
	var r result
	for _, accepted := range s.Documents {
		g := s.gridOf(name, accepted, old, new, index)
		before, after := s.probe(old, name, accepted), s.probe(new, name, accepted)
		a, b := g.fill(before), g.fill(after)
		r.changes = append(r.changes, g.changes(a, b)...)
		r.asked = append(r.asked, g.asked(a, b, before, after)...)
	}
	if len(r.changes) > 0 || !staff.same {
		r.staff = staff.compare(name, index, old, new)
	}
	return r
}

// changes works out both directions.
func (g *grid) changes(old, new shape) []Change {
	return append(g.gained(abide.Permit, old, new), g.gained(abide.Deny, new, old)...)
}

// gained lists what to permits and from does not, as products that share no
// point: first what is done newly; then, of what was done already, for whom it
// is done newly.
func (g *grid) gained(effect abide.Effect, from, to shape) []Change {
	np, nr := len(g.places), len(g.regimes)
	m := newMerger(g, effect, !anyOf(from.what))
	for k := range g.strands {
		fresh, common := make([]bits, nr), make([]bits, nr)
		standings := make([]parts, nr)
		for r := range g.regimes {
			fresh[r], common[r] = g.splitWhats(from, to, k, r)
			standings[r] = split(from.standing, to.standing, k, len(g.standings), nr, r)
		}
		for p, class := range g.places {
			fresh, common, s := fresh[class.regime], common[class.regime], standings[class.regime]
			if fresh.empty() && common.empty() {
				continue
			}
			a := split(from.age, to.age, k, len(g.ages), np, p)
			m.add(CauseWhat, fresh, s.to, a.to, p)
			m.add(CauseStanding, common, s.gained, a.to, p)
			m.add(CauseAge, common, s.both, a.gained, p)
		}
	}
	return m.changes()
}

// splitWhats divides what to permits in a strand at a regime into what from does
// not, and what it does.
func (g *grid) splitWhats(from, to shape, k, r int) (fresh, common bits) {
	nr := len(g.regimes)
	for i, w := range g.strand {
		switch {
		case w != k || !to.what[i*nr+r]:
		case from.what[i*nr+r]:
			common.set(i)
		default:
			fresh.set(i)
		}
	}
	return fresh, common
}

// parts are the values of one dimension that are permitted in to, in to alone,
// and in both.
type parts struct{ to, gained, both bits }

func split(from, to []bool, k, n, np, p int) parts {
	var out parts
	for i := range n {
		at := (k*n+i)*np + p
		if !to[at] {
			continue
		}
		out.to.set(i)
		if from[at] {
			out.both.set(i)
		} else {
			out.gained.set(i)
		}
	}
	return out
}

func anyOf(bs []bool) bool {
	for _, b := range bs {
		if b {
			return true
		}
	}
	return false
}

// Each calls visit for every point of the change.
func (c *Change) Each(visit func(Point)) {
	for _, places := range c.Places {
		for _, res := range places.Residences {
			for _, where := range places.Whereabouts {
				for _, w := range c.Whats {
					for _, st := range c.Standings {
						for _, a := range c.Ages {
							visit(Point{c.Purpose, c.Accepted, w, Place{res, where}, st, a})
						}
					}
				}
			}
		}
	}
}
