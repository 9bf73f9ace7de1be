package diff

import (
	"slices"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy"
)

// placeClass is a set of places, all residences with all whereabouts, which
// both policies treat alike for one purpose.
type placeClass struct {
	residences, whereabouts []abide.Place
	regime                  int
}

func (c placeClass) one() Place { return Place{c.residences[0], c.whereabouts[0]} }

// placement is how two policies divide the places for one purpose. Purposes
// share it, within one goroutine.
type placement struct {
	classes []placeClass
	regimes []Place // one place of each
	joined  map[string][]Places
}

// join joins the classes of a set that have the same whereabouts. Callers share
// what it returns, and must not change it.
func (pl *placement) join(which bitset) []Places {
	key := string(which.appendTo(nil))
	out, ok := pl.joined[key]
	if !ok {
		out = joinPlaces(pl.classes, which)
		pl.joined[key] = out
	}
	return out
}

// placements remembers the placements of purposes that tell places apart by the
// same tables. It must not be shared between goroutines.
type placements map[placementKey]*placement

type placementKey struct {
	old, new       policy.PlaceTables
	hasOld, hasNew bool
}

func (ps placements) of(s *Space, old, new *policy.Policy, name abide.Purpose) *placement {
	var key placementKey
	var ofOld, ofNew *policy.Purpose
	known, alsoKnown := true, true
	if ofOld, key.hasOld = old.Purpose(name); key.hasOld {
		key.old, known = old.PlaceTables(ofOld)
	}
	if ofNew, key.hasNew = new.Purpose(name); key.hasNew {
		key.new, alsoKnown = new.PlaceTables(ofNew)
	}
	if !known || !alsoKnown {
		return s.place(old, new, ofOld, ofNew)
	}
	p, ok := ps[key]
	if !ok {
		p = s.place(old, new, ofOld, ofNew)
		ps[key] = p
	}
	return p
}

// placeKey is how both policies treat a place.
type placeKey struct {
	old, new policy.PlaceClass
	unknown  bool // "": contracts cannot cover it
}

func (k placeKey) regime() placeKey {
	return placeKey{k.old.Regime(), k.new.Regime(), k.unknown}
}

// place divides the places: by residence, and by whereabouts too where either
// policy looks at them. Either purpose may be nil.
func (s *Space) place(old, new *policy.Policy, ofOld, ofNew *policy.Purpose) *placement {
	keys := make([]placeKey, len(s.Places))
	looks := false
	if ofOld != nil {
		for i, c := range old.PlaceClasses(ofOld, s.Places) {
			keys[i].old = c
		}
		looks = looks || old.LooksAtWhereabouts(ofOld)
	}
	if ofNew != nil {
		for i, c := range new.PlaceClasses(ofNew, s.Places) {
			keys[i].new = c
		}
		looks = looks || new.LooksAtWhereabouts(ofNew)
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
	out := &placement{joined: map[string][]Places{}}
	index := map[[2]placeKey]int{}
	add := func(res, where placeKey, whereabouts []abide.Place) {
		key := [2]placeKey{res.regime(), where.regime()}
		r, ok := index[key]
		c := placeClass{residences: classes[res], whereabouts: whereabouts}
		if !ok {
			r = len(out.regimes)
			index[key] = r
			out.regimes = append(out.regimes, c.one())
		}
		c.regime = r
		out.classes = append(out.classes, c)
	}
	for _, res := range order {
		add(res, placeKey{}, onlyUnknown)
		for _, where := range order {
			if looks && !where.unknown {
				add(res, where, classes[where])
			}
		}
	}
	return out
}

var onlyUnknown = []abide.Place{""}

func joinPlaces(classes []placeClass, which bitset) []Places {
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
