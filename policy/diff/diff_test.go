package diff

import (
	"fmt"
	"os"
	"slices"
	"testing"

	"pgregory.net/rapid"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy"
	"github.com/abide-privacy/abide/policy/diag"
	"github.com/abide-privacy/abide/policy/rule"
)

// small draws policies: at most six categories, four purposes, three
// recipients, three places.
type small struct {
	t      *rapid.T
	clause *rule.Clause
	set    *rule.Set
	line   int
}

func (s *small) at() rule.At {
	s.line++
	return rule.At{Clause: s.clause, Span: abide.Span{File: "p.md", Start: abide.Pos{Line: s.line, Byte: s.line}}}
}

func (s *small) often(label string) bool { return rapid.Bool().Draw(s.t, label) }
func (s *small) seldom(label string) bool {
	return rapid.IntRange(0, 4).Draw(s.t, label) == 0
}

func (s *small) some(label string, from []string, least int) []rule.Ref {
	names := rapid.SliceOfNDistinct(rapid.SampledFrom(from), min(least, len(from)), len(from), rapid.ID[string]).Draw(s.t, label)
	out := make([]rule.Ref, len(names))
	for i, n := range names {
		out[i] = rule.Ref{Name: n}
	}
	return out
}

var (
	categories = []string{"person.a", "person.b", "person.c", "visit.d", "visit.e", "person.f"}
	purposes   = []string{"p", "q", "r", "s"}
	recipients = []string{"x", "y", "z"}
	places     = []string{"HK", "GB", "US"}
)

func (s *small) basis() *rule.Basis {
	if s.seldom("by profile") {
		return &rule.Basis{Kind: rule.BasisProfile, Profile: policy.LawDirectMarketing}
	}
	kind := rapid.SampledFrom([]rule.BasisKind{rule.BasisConsent, rule.BasisConsent, rule.BasisNoObjection, rule.BasisContract, rule.BasisLegitimate, rule.BasisLaw}).Draw(s.t, "basis")
	return &rule.Basis{Kind: kind, Place: "HK", Citation: "Cap. 1"}
}

func drawSet(t *rapid.T) *rule.Set {
	doc := &rule.Document{Name: "privacy", File: "p.md", Title: "P", Language: "en", Controller: "C"}
	if rapid.IntRange(0, 2).Draw(t, "law of") == 0 {
		doc.LawOf = []rule.LawOf{rule.LawOfResidence, rule.LawOfWhereabouts}
	}
	clause := &rule.Clause{Document: doc, ID: "c", Title: "C", Depth: 1, HasRules: true}
	doc.Clauses = []*rule.Clause{clause}
	s := &small{t: t, clause: clause, set: &rule.Set{Documents: []*rule.Document{doc}}}
	s.levels()
	s.data()
	for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom(purposes), 1, 4, rapid.ID[string]).Draw(t, "purposes") {
		s.purpose(name)
	}
	s.recipients()
	s.services()
	s.others()
	return s.set
}

func (s *small) levels() {
	s.set.Levels = []*rule.Level{{At: s.at(), Name: "base"},
		{At: s.at(), Name: "high", Above: &rule.Ref{Name: "base"}, Reason: s.often("reason"), Approvals: rapid.IntRange(0, 2).Draw(s.t, "approvals"), Undertaking: s.often("undertaking")}}
}

func (s *small) data() {
	person := &rule.Group{At: s.at(), Name: "person"}
	visit := &rule.Group{At: s.at(), Name: "visit"}
	if s.seldom("apart") {
		visit.Apart = []rule.Ref{{Name: "person"}}
	}
	for _, name := range categories {
		g := person
		if name[:1] == "v" {
			g = visit
		}
		c := &rule.Category{At: s.at(), Name: abide.Category(name), Group: g, Words: []rule.Word{{Text: name}}, Format: "text", Apart: g.Apart}
		if s.seldom("level") {
			c.Level = &rule.Ref{Name: "high"}
		}
		if s.seldom("nobody") {
			c.CountPer = "week"
		} else if name == "person.f" && s.often("derived") {
			c.DerivedFrom = []rule.Ref{{Name: "person.a"}}
		}
		if name == "person.b" && s.seldom("only to") {
			c.OnlyTo = []rule.Ref{{Name: "shop"}}
		}
		g.Categories = append(g.Categories, c)
	}
	s.set.Groups = []*rule.Group{person, visit}
}

func (s *small) purpose(name string) {
	p := &rule.Purpose{At: s.at(), Name: abide.Purpose(name), Title: name, Basis: s.basis(), Then: "erase",
		Keep: &rule.Deadline{Anchor: "obtained", Days: rapid.IntRange(1, 3).Draw(s.t, "keep")},
		Uses: s.some("uses", categories, 1)}
	if s.often("contacts") {
		p.Contacts = s.some("contacts", categories[:3], 1)
	}
	if s.seldom("chosen") {
		p.ChosenBy = s.some("chosen by", categories[:3], 1)
	}
	if s.seldom("topics") {
		p.Topics = s.some("topics", []string{"news", "offers"}, 1)
	}
	if s.seldom("channels") {
		p.Channels = s.some("channels", []string{"email", "sms"}, 1)
	}
	if s.seldom("separate") {
		p.Ask = "separate"
	}
	p.Marketing = s.seldom("marketing")
	if s.seldom("grade") {
		p.Grade = rapid.SampledFrom([]string{"proved", "claimed", "unknown"}).Draw(s.t, "grade")
	}
	if s.often("place") {
		in := &rule.PlaceRule{Places: s.some("places", places, 1)[:1]}
		switch rapid.IntRange(0, 2).Draw(s.t, "differs") {
		case 0:
			in.Closed = true
		case 1:
			in.Basis = s.basis()
		case 2:
			in.Ask = "separate"
		}
		p.In = append(p.In, in)
	}
	if len(s.set.Purposes) > 0 && s.seldom("within") {
		p.Within = &rule.Ref{Name: string(rapid.SampledFrom(s.set.Purposes).Draw(s.t, "outer").Name)}
	}
	s.set.Purposes = append(s.set.Purposes, p)
}

func (s *small) recipients() {
	for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom(recipients), 0, 3, rapid.ID[string]).Draw(s.t, "recipients") {
		r := &rule.Recipient{At: s.at(), Name: abide.Recipient(name), Title: name, Register: s.often("register"),
			Class: rapid.SampledFrom([]string{"affiliate", "processor", "partner", "authority"}).Draw(s.t, "class")}
		if s.often("contract") {
			r.Contract = &rule.Contract{Covers: "residence", Lapse: "closes"}
		}
		for _, p := range s.set.Purposes {
			if s.often("gets") {
				cats := names(p.Uses)
				r.Gets = append(r.Gets, rule.Gets{Purpose: rule.Ref{Name: string(p.Name)}, Categories: s.some("what", cats, 1)})
			}
		}
		s.set.Recipients = append(s.set.Recipients, r)
	}
}

func (s *small) services() {
	s.set.Services = []*rule.Service{{At: s.at(), Name: "shop", Title: "shop", Minors: s.seldom("for minors"), Serves: s.some("serves", s.purposeNames(), 1)}}
}

func (s *small) purposeNames() []string {
	var out []string
	for _, p := range s.set.Purposes {
		out = append(out, string(p.Name))
	}
	return out
}

func (s *small) others() {
	if s.seldom("never") {
		n := &rule.Never{At: s.at(), Name: "n", Acts: []abide.Act{abide.ActDisclose}}
		switch rapid.IntRange(0, 2).Draw(s.t, "never what") {
		case 0:
			n.Any, n.Against = true, "value"
		case 1:
			n.What, n.To = s.some("what", categories, 1), []rule.Ref{{Name: "partner"}}
		case 2:
			n.What, n.Acts = s.some("what", categories, 1), []abide.Act{abide.ActRead, abide.ActUse}
		}
		s.set.Nevers = append(s.set.Nevers, n)
	}
	if s.seldom("minors") {
		s.set.Minors = []*rule.Minors{{At: s.at(), Closed: s.some("closed", s.purposeNames(), 1), Known: s.often("known")}}
	}
	if s.often("role") {
		s.set.Roles = []*rule.Role{{At: s.at(), Name: "support", Title: "support", Purposes: s.some("role purposes", s.purposeNames(), 1),
			Level: &rule.Ref{Name: rapid.SampledFrom([]string{"base", "high"}).Draw(s.t, "role level")}, Acts: []abide.Act{abide.ActRead}}}
	}
}

// drawLaws draws profiles of the three places, with channels and ages of their
// own, or none.
func drawLaws(t *rapid.T) *policy.Laws {
	var profiles []policy.Profile
	for _, place := range places {
		p := policy.Profile{Place: abide.Place(place), Names: []string{place}}
		add := func(key, value string) {
			p.Values = append(p.Values, policy.LawValue{Key: key, Value: value, Source: "drawn", AsOf: "2026-01-01", Reviewed: true})
		}
		regimes := []string{policy.RegimeOptOut, policy.RegimeNoObjection, policy.RegimeOptIn, policy.RegimeSeparate}
		add(policy.LawDirectMarketing, rapid.SampledFrom(regimes).Draw(t, "regime"))
		if rapid.Bool().Draw(t, "by channel") {
			add(policy.LawDirectMarketing+".sms", rapid.SampledFrom(regimes).Draw(t, "regime of sms"))
		}
		add(policy.LawAgeOfConsent, rapid.SampledFrom([]string{"13", "16"}).Draw(t, "age of consent"))
		add(policy.LawAgeOfMajority, rapid.SampledFrom([]string{"18", "20"}).Draw(t, "majority"))
		profiles = append(profiles, p)
	}
	laws, err := policy.NewLaws(profiles)
	if err != nil {
		t.Fatal(err)
	}
	return laws
}

// compiled draws policies until one compiles: some that are drawn contradict
// themselves.
func compiled(t *rapid.T, archive []policy.Terms) *policy.Policy {
	p, found := policy.Compile(drawSet(t), policy.Options{Archive: archive, Laws: drawLaws(t)})
	if p == nil {
		t.Log(first(found))
		rejected++
		t.SkipNow()
	}
	return p
}

// successor draws another policy, or the same with one purpose drawn anew
// or added.
func successor(t *rapid.T, before *policy.Policy) *policy.Policy {
	if rapid.Bool().Draw(t, "another policy") {
		return compiled(t, before.AllTerms())
	}
	set := *before.Set()
	s := &small{t: t, clause: set.Documents[0].Clauses[0], set: &set}
	i := rapid.IntRange(0, len(set.Purposes)).Draw(t, "which")
	was := set.Purposes
	set.Purposes = slices.Clone(was[:i])
	if i == len(was) {
		s.purpose("another")
	} else {
		s.purpose(string(was[i].Name))
		set.Purposes = append(set.Purposes, was[i+1:]...)
	}
	p, found := policy.Compile(&set, policy.Options{Archive: before.AllTerms(), Laws: before.Laws()})
	if p == nil {
		t.Log(first(found))
		rejected++
		t.SkipNow()
	}
	return p
}

var rejected int

func first(found diag.List) string {
	for _, d := range found {
		if d.Severity == diag.Error {
			return fmt.Sprintf("%s: %s", d.Code, d.Message)
		}
	}
	return ""
}

// checkExact goes through a part of the space, and through all that Diff says of
// it.
func checkExact(t *rapid.T, b *brute, d *Difference, before, after *policy.Policy) (points int) {
	said := map[Point]abide.Effect{}
	for _, c := range d.Changes {
		c = b.within(c)
		c.Each(func(pt Point) {
			if _, twice := said[pt]; twice {
				t.Fatalf("two changes speak of %+v", pt)
			}
			said[pt] = c.Effect
		})
	}
	found := 0
	b.each(before, after, func(pt Point, was, is bool) {
		points++
		if was == is && len(said) == 0 {
			return
		}
		effect, changed := said[pt]
		if changed {
			found++
		}
		switch {
		case was == is && changed:
			t.Fatalf("Diff says %s of a point that both policies treat alike: %+v", effect, pt)
		case was != is && !changed:
			t.Fatalf("Diff does not know that was=%v becomes is=%v: %+v", was, is, pt)
		case changed && (effect == abide.Permit) != is:
			t.Fatalf("Diff has the wrong direction for %+v", pt)
		}
	})
	if found != len(said) {
		t.Fatalf("Diff speaks of %d points outside the space", len(said)-found)
	}
	return points
}

// Of each of many pairs of policies, a thousand with ABIDE_PROOF=1, a random
// part of the space is decided point by point.
func TestDiffEqualsBruteForce(t *testing.T) {
	pairs, points, changes, want := 0, 0, 0, 300
	if os.Getenv("ABIDE_PROOF") == "1" {
		want = 1000
	}
	for pairs < want {
		rapid.Check(t, func(t *rapid.T) {
			before := compiled(t, nil)
			after := successor(t, before)
			d := Diff(before, after)
			pairs++
			changes += len(d.Changes)
			points += checkExact(t, partOfSpace(t, before, after), d, before, after)
		})
		if t.Failed() {
			return
		}
	}
	t.Logf("%d pairs of policies, %d points, %d changes; %d drawn policies did not compile", pairs, points, changes, rejected)
}

// Of a few pairs the whole space is decided, with nothing left out.
func TestDiffEqualsBruteForceOverTheWholeSpace(t *testing.T) {
	pairs := 0
	rapid.Check(t, func(t *rapid.T) {
		if pairs >= 2 {
			return
		}
		before := compiled(t, nil)
		after := successor(t, before)
		if len(NewSpace(before, after).Purposes) > 1 {
			t.SkipNow()
		}
		pairs++
		checkExact(t, wholeSpace(before, after), Diff(before, after), before, after)
	})
	if pairs == 0 && !t.Failed() {
		t.Error("no pair was small enough")
	}
}

// Staff: every actor, purpose, act and category, decided one by one.
func TestStaffEqualsBruteForce(t *testing.T) {
	changes := 0
	rapid.Check(t, func(t *rapid.T) {
		before := compiled(t, nil)
		after := successor(t, before)
		said := map[string]abide.Effect{}
		for _, c := range Diff(before, after).Staff {
			for _, w := range c.Whats {
				said[fmt.Sprint(c.Purpose, c.Actor, w)] = c.Effect
			}
		}
		changes += len(said)
		s := newStaffSpace(NewSpace(before, after), before, after)
		b := &brute{Space: s.Space, kinds: []abide.SubjectKind{abide.Person}}
		for _, name := range s.Purposes {
			x, y := s.probe(before, name, ""), s.probe(after, name, "")
			var whats []*What
			for _, w := range b.whats() {
				if w.Channel == "" && w.Topic == "" && w.Service == "" && !w.ForValue {
					whats = append(whats, &w)
				}
			}
			var place Place
			if !s.openPlace(x, y, whats, &place) {
				continue
			}
			for _, w := range whats {
				for _, a := range s.actors {
					was, is := s.permits(x, a, w, place), s.permits(y, a, w, place)
					effect, changed := said[fmt.Sprint(name, a, *w)]
					if changed != (was != is) || changed && (effect == abide.Permit) != is {
						t.Fatalf("%s, %+v, %+v: was %v, is %v, Diff says changed=%v to %v", name, a, *w, was, is, changed, effect)
					}
					delete(said, fmt.Sprint(name, a, *w))
				}
			}
		}
		if len(said) > 0 {
			t.Fatalf("Diff says more than there is: %v", said)
		}
	})
	if changes == 0 {
		t.Error("nothing ever changed for staff")
	}
}
