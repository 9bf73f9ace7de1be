package diff

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"

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

func TestTenThousandPurposes(t *testing.T) {
	old := compile(t, many(10_000, 0), nil)
	for _, c := range []struct {
		name string
		n    int // purposes that change
	}{{"one in a hundred", 100}, {"every one", 1}} {
		now := compile(t, many(10_000, c.n), old.AllTerms())
		start := time.Now()
		d := Diff(old, now)
		took := time.Since(start)
		t.Logf("%s of 10,000 purposes changes: %v, %d changes", c.name, took, len(d.Changes))
		if len(d.Changes) < 10_000/c.n {
			t.Errorf("%s: only %d changes", c.name, len(d.Changes))
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
