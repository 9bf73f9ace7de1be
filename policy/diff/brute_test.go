package diff

import (
	"slices"

	"pgregory.net/rapid"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy"
)

// brute is a part of the space, or all of it: every combination of the values
// listed. It is decided point by point, without any of Diff's short cuts.
type brute struct {
	*Space
	kinds     []abide.SubjectKind
	standings func(purpose abide.Purpose) []Standing
	whole     bool
}

// wholeSpace is everything.
func wholeSpace(old, new *policy.Policy) *brute {
	s := NewSpace(old, new)
	return &brute{Space: s, kinds: kinds, whole: true,
		standings: func(p abide.Purpose) []Standing { return s.allStandings(p, old, new) }}
}

// partOfSpace draws a few values of each dimension.
func partOfSpace(t *rapid.T, old, new *policy.Policy) *brute {
	b := wholeSpace(old, new)
	b.whole = false
	b.Categories = few(t, "categories", b.Categories, 3)
	b.Recipients = few(t, "recipients", b.Recipients, 2)
	b.Channels = few(t, "channels", b.Channels, 1)
	b.Topics = few(t, "topics", b.Topics, 1)
	b.Places = few(t, "places", b.Places, 3)
	b.Ages = few(t, "ages", b.Ages, 3)
	b.kinds = few(t, "kinds", kinds, 2)
	all := b.standings
	drawn := map[abide.Purpose][]Standing{}
	for _, p := range b.Purposes {
		drawn[p] = few(t, "standings", all(p), 4)
	}
	b.standings = func(p abide.Purpose) []Standing { return drawn[p] }
	return b
}

func few[T any](t *rapid.T, label string, from []T, n int) []T {
	if len(from) <= n {
		return from
	}
	start := rapid.IntRange(0, len(from)-1).Draw(t, label)
	step := rapid.IntRange(1, len(from)-1).Draw(t, label+" step")
	seen := map[int]bool{}
	var out []T
	for i := start; len(out) < n && !seen[i]; i = (i + step) % len(from) {
		seen[i] = true
		out = append(out, from[i])
	}
	return out
}

func (s *Space) allStandings(purpose abide.Purpose, old, new *policy.Policy) []Standing {
	out := Standings("")
	for _, q := range s.Purposes {
		if q != purpose && (slices.Contains(around(old, purpose), q) || slices.Contains(around(new, purpose), q)) {
			out = append(out, Standings(q)...)
		}
	}
	return out
}

func around(p *policy.Policy, name abide.Purpose) []abide.Purpose {
	var out []abide.Purpose
	if pu, ok := p.Purpose(name); ok {
		for _, q := range p.Around(pu) {
			out = append(out, q.Name)
		}
	}
	return out
}

// each decides every point under both policies.
func (b *brute) each(old, new *policy.Policy, visit func(pt Point, was, is bool)) {
	whats := b.whats()
	for _, purpose := range b.Purposes {
		for _, accepted := range b.Documents {
			before, after := b.probe(old, purpose, accepted), b.probe(new, purpose, accepted)
			for _, pl := range b.allPlaces(purpose, old, new) {
				for _, st := range b.standings(purpose) {
					for _, a := range b.Ages {
						for _, w := range whats {
							visit(Point{purpose, accepted, w, pl, st, a}, before.permits(&w, pl, st, a), after.permits(&w, pl, st, a))
						}
					}
				}
			}
		}
	}
}

// whats is all that can be done.
func (b *brute) whats() []What {
	var out []What
	for _, k := range b.kinds {
		for _, c := range b.Categories {
			for _, act := range abide.Acts() {
				if act != abide.ActDisclose {
					out = append(out, What{Act: act, Category: c, Kind: k})
					continue
				}
				for _, r := range b.Recipients {
					out = append(out, What{Act: act, Category: c, Recipient: r, Kind: k}, What{Act: act, Category: c, Recipient: r, ForValue: true, Kind: k})
				}
			}
			for _, v := range b.Services {
				out = append(out, What{Act: abide.ActCollect, Category: c, Service: v, Kind: k})
			}
			for _, ch := range b.Channels {
				out = append(out, What{Act: abide.ActContact, Category: c, Channel: ch, Kind: k})
			}
			for _, t := range b.Topics {
				out = append(out, What{Act: abide.ActContact, Category: c, Topic: t, Kind: k})
			}
		}
	}
	return out
}

func (b *brute) allPlaces(name abide.Purpose, old, new *policy.Policy) []Place {
	looks := false
	for _, p := range []*policy.Policy{old, new} {
		if pu, ok := p.Purpose(name); ok && p.LooksAtWhereabouts(pu) {
			looks = true
		}
	}
	var out []Place
	for _, res := range b.Places {
		out = append(out, Place{Residence: res})
		for _, where := range b.Places {
			if looks && where != "" {
				out = append(out, Place{Residence: res, Whereabouts: where})
			}
		}
	}
	return out
}

// within is the part of a change that lies in this part of the space.
func (b *brute) within(c Change) Change {
	if b.whole {
		return c
	}
	whats := b.whats()
	c.Whats = slices.DeleteFunc(slices.Clone(c.Whats), func(w What) bool { return !slices.Contains(whats, w) })
	st := b.standings(c.Purpose)
	c.Standings = slices.DeleteFunc(slices.Clone(c.Standings), func(x Standing) bool { return !slices.Contains(st, x) })
	c.Ages = slices.DeleteFunc(slices.Clone(c.Ages), func(x Age) bool { return !slices.Contains(b.Ages, x) })
	here := func(in []abide.Place, always bool) []abide.Place {
		return slices.DeleteFunc(slices.Clone(in), func(x abide.Place) bool { return !slices.Contains(b.Places, x) && (!always || x != "") })
	}
	var places []Places
	for _, p := range c.Places {
		places = append(places, Places{here(p.Residences, false), here(p.Whereabouts, true)})
	}
	c.Places = places
	return c
}
