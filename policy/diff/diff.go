package diff

import (
	"runtime"
	"sync"
	"sync/atomic"

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
// become forbidden: every combination of what, place, standing and age. Changes
// share their lists, which must not be changed.
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
	var same func(abide.Purpose) bool
	var index coverIndex
	var staff *staffSpace
	together(
		func() { d.Rules = compareRules(old.Set(), new.Set()) },
		func() { same = unchanged(old, new) },
		func() {
			index = newCoverIndex(old, new)
			staff = newStaffSpace(s, old, new)
		})
	results := make([]result, len(s.Purposes))
	each(len(s.Purposes), func() func(int) {
		c := newComparer(s, index, staff, old, new)
		return func(i int) {
			if !same(s.Purposes[i]) {
				results[i] = c.compare(s.Purposes[i])
			}
		}
	})
	for _, r := range results {
		d.Changes = append(d.Changes, r.changes...)
		d.Asked = append(d.Asked, r.asked...)
		d.Staff = append(d.Staff, r.staff...)
	}
	return d
}

// together runs work on as many goroutines, and waits.
func together(work ...func()) {
	var group sync.WaitGroup
	for _, f := range work {
		group.Go(f)
	}
	group.Wait()
}

// stride is how many numbers a worker takes at once: each alone is too little
// work to be handed over.
const stride = 16

// each runs work for 0..n-1 on all processors. Every worker makes its own.
func each(n int, makeWork func() func(int)) {
	var group sync.WaitGroup
	var taken atomic.Int64
	for range min(runtime.GOMAXPROCS(0), (n+stride-1)/stride) {
		group.Go(func() {
			work := makeWork()
			for {
				end := int(taken.Add(stride))
				if end-stride >= n {
					return
				}
				for i := end - stride; i < min(end, n); i++ {
					work(i)
				}
			}
		})
	}
	group.Wait()
}

type result struct {
	changes []Change
	asked   []Asked
	staff   []StaffChange
}

// comparer compares purposes one after the other. All it keeps between them is
// room, and how places divide.
type comparer struct {
	space         *Space
	index         coverIndex
	staff         *staffSpace
	before, after *probe
	places        placements
	rows          rows
	filler        filler
	old, new      shape
	merger        merger
}

func newComparer(s *Space, index coverIndex, staff *staffSpace, old, new *policy.Policy) *comparer {
	return &comparer{space: s, index: index, staff: staff, before: s.newProbe(old), after: s.newProbe(new), places: placements{}}
}

// compare compares one purpose.
func (c *comparer) compare(name abide.Purpose) result {
	var r result
	old, new := c.before.policy, c.after.policy
	c.rows.fill(c.index[name])
	g := &grid{rows: &c.rows, placement: c.places.of(c.space, old, new, name)}
	g.layOut(c.space, name, old, new)
	for _, g.accepted = range c.space.Documents {
		c.before.ask(name, g.accepted)
		c.after.ask(name, g.accepted)
		c.filler.fill(g, c.before, &c.old)
		c.filler.fill(g, c.after, &c.new)
		if !c.old.equal(&c.new) {
			r.changes = append(r.changes, c.merger.gained(g, abide.Permit, &c.old, &c.new)...)
			r.changes = append(r.changes, c.merger.gained(g, abide.Deny, &c.new, &c.old)...)
		}
		r.asked = append(r.asked, g.asked(&c.old, &c.new, c.before, c.after)...)
	}
	if len(r.changes) > 0 || !c.staff.same {
		r.staff = c.staff.compare(name, &c.rows, c.before, c.after)
	}
	return r
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
