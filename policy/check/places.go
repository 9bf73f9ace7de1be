package check

import (
	"slices"
	"strings"

	bcp47 "golang.org/x/text/language"
	"golang.org/x/text/language/display"

	"github.com/abide-privacy/abide/policy/diag"
	"github.com/abide-privacy/abide/policy/rule"
)

// alsoCalled are places as prose calls them, beside the names of CLDR.
var alsoCalled = map[string][]string{
	"EU": {"European Union", "Europe"}, "EEA": {"European Economic Area", "Europe"}, "GB": {"United Kingdom", "Britain"},
	"US": {"United States", "USA"}, "KR": {"South Korea", "Korea"}, "CN": {"mainland China", "China"}, "HK": {"Hong Kong"}, "MO": {"Macao"}, "TR": {"Turkey"},
}

// namedPlaces are the words of countries in English, folded.
var namedPlaces = func() map[string][]string {
	out := map[string][]string{}
	add := func(code, name string) {
		var key []string
		for _, t := range tokenize(name) {
			key = append(key, t.text)
		}
		out[strings.Join(key, " ")] = append(out[strings.Join(key, " ")], code)
	}
	for _, code := range []string{"AR", "AT", "AU", "BE", "BG", "BR", "CA", "CH", "CL", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "ID",
		"IE", "IL", "IN", "IS", "IT", "JP", "KE", "LT", "LU", "LV", "MX", "MY", "NG", "NL", "NO", "NZ", "PE", "PH", "PL", "PT", "RO", "SA", "SE", "SG",
		"SI", "SK", "TH", "TW", "VN", "ZA"} {
		add(code, display.English.Regions().Name(bcp47.MustParseRegion(code)))
	}
	for code, names := range alsoCalled {
		for _, name := range names {
			add(code, name)
		}
	}
	return out
}()

// places reports a country that a clause names and none of its rules does,
// where its rules are about countries; and a country that a rule treats apart
// and its clause leaves out of those it names.
func (c *checker) places(s *scope) {
	if s.vocab.lang != english {
		return
	}
	rules := c.placesOf(s.rules)
	if len(rules) == 0 {
		return
	}
	named := map[string]bool{}
	for _, r := range s.readings {
		for i, tokens := range r.tokens {
			for at := 0; at < len(tokens); {
				codes, to := placeAt(tokens, at)
				if to == 0 {
					at++
					continue
				}
				span := r.blocks[i].span(tokens[at].start, tokens[to-1].end)
				fresh := !slices.ContainsFunc(codes, func(code string) bool { return named[code] })
				for _, code := range codes {
					named[code] = true
				}
				if fresh && !slices.ContainsFunc(codes, func(code string) bool { return covered(rules, code) }) {
					c.find(diag.New(diag.PlaceNotInRules, span, "the clause names %s, and none of its rules does", codes[0]).
						WithLabel("named here").WithOther(rules[0].Span, "a rule of the clause about places"), codes[0], s.clause)
				}
				at = to
			}
		}
	}
	apart := c.apartPlaces(s.rules)
	if !slices.ContainsFunc(apart, func(r rule.Ref) bool { return named[r.Name] }) {
		return // the table says where; the words need not
	}
	for _, r := range apart {
		if known(r.Name) && !named[r.Name] {
			c.find(diag.New(diag.PlaceNotInRules, r.Span, "a rule treats %s apart, and its clause never names it", r.Name).
				WithLabel("treated apart here").WithOther(s.clause.Heading, "not in the words of this clause"), r.Name, s.clause)
		}
	}
}

func known(code string) bool {
	return alsoCalled[code] != nil || slices.ContainsFunc([]string{"JP", "CA", "FR", "DE", "IN", "SG"}, func(c string) bool { return c == code })
}

// covered: a rule names the place, or a part of it.
func covered(rules []rule.Ref, code string) bool {
	return slices.ContainsFunc(rules, func(r rule.Ref) bool { return r.Name == code || strings.HasPrefix(r.Name, code+"-") })
}

// placeAt returns the places that the longest name at a token may be.
func placeAt(tokens []token, at int) (codes []string, to int) {
	text := ""
	for end := at; end < len(tokens) && end < at+4; end++ {
		if end > at {
			if tokens[end].pause != noPause {
				break
			}
			text += " "
		}
		text += tokens[end].text
		if found := namedPlaces[text]; found != nil {
			codes, to = found, end+1
		}
	}
	return codes, to
}

// placesOf are all places in the rules of a clause.
func (c *checker) placesOf(rules []*bound) []rule.Ref {
	out := c.apartPlaces(rules)
	for _, b := range rules {
		for _, g := range c.set.Signins {
			if b.block == "signin" && g.At == b.at {
				out = append(out, g.Where...)
			}
		}
	}
	return out
}

// apartPlaces are the places that rules treat otherwise than the rest.
func (c *checker) apartPlaces(rules []*bound) []rule.Ref {
	var out []rule.Ref
	for _, b := range rules {
		for _, p := range c.set.Purposes {
			if b.block != "purpose" || p.At != b.at {
				continue
			}
			for _, in := range p.In {
				out = append(out, in.Places...)
			}
			if p.Basis != nil && p.Basis.Place != "" {
				out = append(out, rule.Ref{Name: string(p.Basis.Place), Span: p.Basis.Span})
			}
		}
	}
	return out
}

// affirmed reports what the rules of a clause forbid and nothing else in it
// uses, where the clause names it and not once denies it: the "never" was lost.
func (c *checker) affirmed(s *scope) {
	for _, b := range s.rules {
		if b.block != "never" && b.block != "minors" {
			continue
		}
		for _, u := range b.uses {
			if !u.forbid || !u.must || usedBeside(s.rules, u.thing) {
				continue
			}
			var at *mention
			denied := false
			s.each(func(m *mention) {
				if m.names(u.thing) {
					at, denied = m, denied || m.polarity != affirmed
				}
			})
			if at != nil && !denied {
				c.find(diag.New(diag.ForbiddenAffirmed, at.span, "the clause says %s %s as if it happened, and its rule forbids it", u.kind, u.name).
					WithLabel("not denied").WithOther(u.span, "forbidden here"), u.name, s.clause)
			}
		}
	}
}

func usedBeside(rules []*bound, th thing) bool {
	return slices.ContainsFunc(rules, func(b *bound) bool {
		return slices.ContainsFunc(b.uses, func(u use) bool { return u.thing == th && !u.forbid })
	})
}
