package check

import (
	"slices"

	"github.com/abide-privacy/abide/policy/diag"
)

// elsewhere reports a category that a rule uses and its clause names only
// where it speaks of another rule. It looks at clauses that speak of several
// purposes, recipients or services: each mention of a category belongs to the
// rules named in its sentence, or else to those named last before it in its
// paragraph, or else first behind it. A mention that belongs to no rule
// belongs to all.
func (c *checker) elsewhere(s *scope) {
	spoken := s.spokenOf()
	if len(spoken) < 2 {
		return
	}
	where := s.attributions(spoken)
	for _, b := range s.rules {
		own := b.speaksOf()
		if !containsAny(own, spoken) {
			continue
		}
		seen := map[thing]bool{}
		for _, u := range b.uses {
			if u.kind != aCategory || !u.must || u.forbid || u.list == "" || seen[u.thing] {
				continue
			}
			seen[u.thing] = true
			if at, other := s.onlyElsewhere(where, own, u.thing); at != nil {
				c.find(diag.New(diag.NamedElsewhere, u.span, "%s uses %s, which its clause names only where it speaks of %s", b.title(), u.name, other.name).
					WithLabel("used here").WithOther(at.span, "named here, for "+other.name), u.name, s.clause)
			}
		}
	}
}

// speaksOf returns the things by which prose speaks of a rule: itself, its
// purposes and recipients.
func (b *bound) speaksOf() []thing {
	var out []thing
	for _, u := range b.uses {
		if u.kind != aCategory {
			out = append(out, u.thing)
		}
	}
	return out
}

// spokenOf returns the purposes, recipients and services of the scope's own
// rules that its prose names below the heading.
func (s *scope) spokenOf() []thing {
	var out []thing
	for _, r := range s.readings {
		for _, m := range r.mentions {
			if m.block < r.title {
				continue
			}
			for _, th := range m.things {
				if th.kind != aCategory && !slices.Contains(out, th) && slices.ContainsFunc(s.rules, func(b *bound) bool { return slices.Contains(b.speaksOf(), th) }) {
					out = append(out, th)
				}
			}
		}
	}
	return out
}

// attributions says, for each mention of a category, which rules its place in
// the prose belongs to. A purpose of another clause counts as well, a service
// of another does not: "the shop" is said in passing.
func (s *scope) attributions(spoken []thing) map[*mention][]thing {
	out := map[*mention][]thing{}
	for _, r := range s.readings {
		for i := range r.mentions {
			m := &r.mentions[i]
			if m.things[0].kind == aCategory {
				out[m] = s.belongs(r, m, spoken)
			}
		}
	}
	return out
}

func (s *scope) belongs(r *reading, m *mention, spoken []thing) []thing {
	start, end := sentence(r.tokens[m.block], m.from)
	var inside, before, behind []thing
	beforeAt := -1
	for i := range r.mentions {
		a := &r.mentions[i]
		of := slices.DeleteFunc(slices.Clone(a.things), func(th thing) bool {
			return th.kind == aCategory || th.kind == aService && !slices.Contains(spoken, th)
		})
		if a.block != m.block || len(of) == 0 {
			continue
		}
		aStart, _ := sentence(r.tokens[a.block], a.from)
		switch {
		case aStart != start && a.polarity == denied:
			// "No marketing to children." speaks of nothing that follows.
		case aStart == start:
			inside = append(inside, of...)
		case a.from < start && aStart != beforeAt:
			before, beforeAt = of, aStart
		case a.from < start:
			before = append(before, of...)
		case a.from >= end && behind == nil:
			behind = of
		}
	}
	for _, l := range [][]thing{inside, before, behind} {
		if len(l) > 0 {
			return l
		}
	}
	return nil
}

// onlyElsewhere returns the first place that names th, and what that place
// speaks of, if every place that names it speaks of other rules of the scope.
func (s *scope) onlyElsewhere(where map[*mention][]thing, own []thing, th thing) (*mention, thing) {
	var at *mention
	var other thing
	for _, r := range s.readings {
		for i := range r.mentions {
			m := &r.mentions[i]
			if !m.names(th) || m.polarity == denied || m.polarity == companys {
				continue
			}
			of := where[m]
			if len(of) == 0 || containsAny(of, own) || !s.allOurs(of) {
				return nil, thing{}
			}
			if at == nil {
				at, other = m, of[0]
			}
		}
	}
	return at, other
}

// allOurs reports whether rules of the scope speak of every one of the things.
func (s *scope) allOurs(things []thing) bool {
	return !slices.ContainsFunc(things, func(th thing) bool {
		return !slices.ContainsFunc(s.rules, func(b *bound) bool { return slices.Contains(b.speaksOf(), th) })
	})
}
