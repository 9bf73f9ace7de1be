package diff

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/laws"
	"github.com/abide-privacy/abide/policy"
	"github.com/abide-privacy/abide/policy/diag"
	"github.com/abide-privacy/abide/policy/rule"
	"github.com/abide-privacy/abide/policy/source"
)

// shop compiles the sample policy, with words of privacy.md replaced.
func shop(t testing.TB, archive []policy.Terms, replace ...string) *policy.Policy {
	t.Helper()
	folder := fstest.MapFS{}
	root := os.DirFS("../../examples/shop/policy")
	names, err := fs.Glob(root, "*")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		data, err := fs.ReadFile(root, n)
		if err != nil {
			t.Fatal(err)
		}
		if n == "privacy.md" {
			for i := 0; i < len(replace); i += 2 {
				if !bytes.Contains(data, []byte(replace[i])) {
					t.Fatalf("the sample has no %q", replace[i])
				}
				data = bytes.ReplaceAll(data, []byte(replace[i]), []byte(replace[i+1]))
			}
		}
		folder[n] = &fstest.MapFile{Data: data}
	}
	set, _, found := source.Parse(folder)
	noErrors(t, found)
	return compile(t, set, archive)
}

func compile(t testing.TB, set *rule.Set, archive []policy.Terms) *policy.Policy {
	t.Helper()
	shipped, err := laws.Load()
	if err != nil {
		t.Fatal(err)
	}
	p, found := policy.Compile(set, policy.Options{Laws: shipped, Archive: archive})
	noErrors(t, found)
	return p
}

func noErrors(t testing.TB, found diag.List) {
	t.Helper()
	for _, d := range found {
		if d.Severity == diag.Error {
			t.Fatalf("%s:%d: %s: %s", d.Span.File, d.Span.Start.Line, d.Code, d.Message)
		}
	}
}

func say(t *testing.T, d *Difference) string {
	t.Helper()
	var b strings.Builder
	if err := d.Text(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestNothingChangesWithTheProse(t *testing.T) {
	old := shop(t, nil)
	d := Diff(old, shop(t, old.AllTerms(), "We wrote it to be read.", "We wrote it for you to read."))
	if !d.Empty() {
		t.Errorf("a change of prose changes decisions:\n%s", say(t, d))
	}
	if d.Old == d.New {
		t.Error("the versions are the same though the words are not")
	}
}

// What a change of one line is said to be. The sentences are those of the first
// three sections.
func TestWhatOneLineChanges(t *testing.T) {
	old := shop(t, nil)
	for _, c := range []struct {
		name     string
		was, is  string
		want     []string
		mustNot  []string
		permits  bool
		forbids  bool
		askAgain abide.Purpose
	}{
		{"a category more to choose by", "chosen_by = [person.orders, ", "chosen_by = [person.phone, person.orders, ",
			[]string{"recommendations may now collect, use and choose by person.phone", "who agreed before is asked again: recommendations", "wider: chooses by person.phone", "until they agree, denied: collect, use and choose by person.phone"},
			[]string{"marketing may"}, true, false, "recommendations"},
		{"a category less to choose by", "person.birth, person.gender, person.place, taste.shortlist]", "person.birth, person.place, taste.shortlist]",
			[]string{"recommendations may no longer collect, use and choose by person.gender", "nobody is asked: recommendations"},
			nil, false, true, ""},
		{"a place more where it is closed", "in US { closed = true }", "in US GB { closed = true }",
			[]string{"adverts may no longer collect, read, use and contact by ads.cookie", "(GB)"}, nil, false, true, ""},
		{"a purpose more that is closed to minors", "closed   = [marketing, ", "closed   = [faults, marketing, ",
			[]string{"faults may no longer do what it does for"}, nil, false, true, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := Diff(old, shop(t, old.AllTerms(), c.was, c.is))
			text, _, _ := strings.Cut(say(t, d), "Rules that read differently")
			flat := strings.Join(strings.Fields(text), " ")
			for _, want := range c.want {
				if !strings.Contains(flat, want) {
					t.Errorf("does not say %q:\n%s", want, text)
				}
			}
			for _, bad := range c.mustNot {
				if strings.Contains(flat, bad) {
					t.Errorf("says %q:\n%s", bad, text)
				}
			}
			permits, forbids, asked := summary(d)
			if permits != c.permits || forbids != c.forbids || asked != c.askAgain {
				t.Errorf("permits %v, forbids %v, asks again for %q; want %v, %v, %q\n%s", permits, forbids, asked, c.permits, c.forbids, c.askAgain, text)
			}
		})
	}
}

func summary(d *Difference) (permits, forbids bool, asked abide.Purpose) {
	for _, c := range d.Changes {
		permits = permits || c.Effect == abide.Permit
		forbids = forbids || c.Effect == abide.Deny
	}
	for _, a := range d.Asked {
		if a.Again {
			asked = a.Purpose
		}
	}
	return permits, forbids, asked
}

// There and back again changes as much in each direction.
func TestDiffIsItsOwnReverse(t *testing.T) {
	old := shop(t, nil)
	now := shop(t, old.AllTerms(), "chosen_by = [person.orders, ", "chosen_by = [person.phone, person.orders, ")
	count := func(d *Difference, effect abide.Effect) (n int) {
		for i := range d.Changes {
			if d.Changes[i].Effect == effect {
				d.Changes[i].Each(func(Point) { n++ })
			}
		}
		return n
	}
	there, back := Diff(old, now), Diff(now, old)
	if a, b := count(there, abide.Permit), count(back, abide.Deny); a != b || a == 0 {
		t.Errorf("%d points become permitted, and %d forbidden on the way back", a, b)
	}
}

// Of a large policy exactly those purposes are said to change that do.
func TestTenThousandPurposes(t *testing.T) {
	old := compile(t, many(10_000, 0), nil)
	d := Diff(old, compile(t, many(10_000, 100), old.AllTerms()))
	changed := map[abide.Purpose]bool{}
	for i := range d.Changes {
		changed[d.Changes[i].Purpose] = true
	}
	for i := range 10_000 {
		if name := abide.Purpose(fmt.Sprint("p", i)); changed[name] != (i%100 == 0) {
			t.Errorf("%s: said to change is %v", name, changed[name])
		}
	}
}

// many is a policy of n purposes, every step-th of which uses one category more.
func many(n, step int) *rule.Set {
	doc := &rule.Document{Name: "privacy", File: "p.md", Title: "P", Language: "en", Controller: "C"}
	clause := &rule.Clause{Document: doc, ID: "c", Title: "C", Depth: 1, HasRules: true}
	doc.Clauses = []*rule.Clause{clause}
	at := rule.At{Clause: clause}
	g := &rule.Group{At: at, Name: "person"}
	for i := range 40 {
		g.Categories = append(g.Categories, &rule.Category{At: at, Name: abide.Category(fmt.Sprintf("person.c%d", i)), Group: g,
			Words: []rule.Word{{Text: fmt.Sprint("c", i)}}})
	}
	set := &rule.Set{Documents: []*rule.Document{doc}, Groups: []*rule.Group{g}}
	ref := func(i int) rule.Ref { return rule.Ref{Name: fmt.Sprintf("person.c%d", i%40)} }
	bases := []rule.BasisKind{rule.BasisConsent, rule.BasisContract, rule.BasisLegitimate}
	for i := range n {
		p := &rule.Purpose{At: at, Name: abide.Purpose(fmt.Sprint("p", i)), Title: fmt.Sprint("p", i), Then: "erase",
			Uses: []rule.Ref{ref(i), ref(i + 1), ref(i + 2)}, Basis: &rule.Basis{Kind: bases[i%3]},
			Keep: &rule.Deadline{Anchor: "obtained", Days: 30}}
		if i%4 == 0 {
			p.Contacts = []rule.Ref{ref(i)}
		}
		if i%10 == 0 {
			p.In = []*rule.PlaceRule{{Places: []rule.Ref{{Name: "HK"}}, Closed: true}}
		}
		if step > 0 && i%step == 0 {
			p.Uses = append(p.Uses, ref(i+3))
		}
		set.Purposes = append(set.Purposes, p)
	}
	return set
}
