package check_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"slices"
	"testing"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy"
	"github.com/abide-privacy/abide/policy/check"
	"github.com/abide-privacy/abide/policy/diag"
	"github.com/abide-privacy/abide/policy/rule"
	"github.com/abide-privacy/abide/policy/source"
)

// shippedLaws reads the law profiles that are shipped.
func shippedLaws(t *testing.T) *policy.Laws {
	t.Helper()
	var all []policy.Profile
	fsys := os.DirFS("../../laws/profiles")
	names, err := fs.Glob(fsys, "*.json")
	if err != nil || len(names) == 0 {
		t.Fatalf("no law profiles: %v", err)
	}
	for _, n := range names {
		b, err := fs.ReadFile(fsys, n)
		if err != nil {
			t.Fatal(err)
		}
		var profiles []policy.Profile
		if err := json.Unmarshal(b, &profiles); err != nil {
			t.Fatalf("%s: %v", n, err)
		}
		all = append(all, profiles...)
	}
	laws, err := policy.NewLaws(all)
	if err != nil {
		t.Fatal(err)
	}
	return laws
}

// The sample policy with its rules at hand, for changing.
type shop struct {
	*testing.T
	set *rule.Set
}

func openShop(t *testing.T) *shop {
	t.Helper()
	set, _, found := source.Parse(os.DirFS("../../examples/shop/policy"))
	if found.HasErrors() {
		t.Fatalf("the sample policy does not parse: %v", found)
	}
	return &shop{t, set}
}

func (s *shop) purpose(name abide.Purpose) *rule.Purpose {
	s.Helper()
	i := slices.IndexFunc(s.set.Purposes, func(p *rule.Purpose) bool { return p.Name == name })
	if i < 0 {
		s.Fatalf("the sample policy has no purpose %s", name)
	}
	return s.set.Purposes[i]
}

func (s *shop) group(name string) *rule.Group {
	s.Helper()
	i := slices.IndexFunc(s.set.Groups, func(g *rule.Group) bool { return g.Name == name })
	if i < 0 {
		s.Fatalf("the sample policy has no data group %s", name)
	}
	return s.set.Groups[i]
}

func add(refs *[]rule.Ref, name string) {
	*refs = append(*refs, rule.Ref{Name: name, Span: (*refs)[0].Span})
}

// contradictions are the five that clauses like these run into in practice,
// each as a change to the sample policy, and where it has to be reported.
var contradictions = []struct {
	name   string
	change func(*shop)
	code   diag.Code
	clause string
	other  string // the clause of the other place
}{
	{"C08 C10: recommendations chosen by web logs", func(s *shop) { add(&s.purpose("recommendations").ChosenBy, "web.clicks") },
		diag.ApartUsedPerPerson, "privacy#C08", "privacy#C10"},
	{"C09 C10: reports per person from unlinked logs", func(s *shop) { add(&s.purpose("measurement").Uses, "web.referrer") },
		diag.ApartUsedPerPerson, "privacy#C09", ""},
	{"C03 C07: data about nobody beside a device identifier", func(s *shop) { s.group("nobody").Apart = nil; unpart(s.group("nobody")) },
		diag.NobodyBesideIdentifier, "privacy#C03", "privacy#C07"},
	{"C13 C11: no sale beside advertising cookies", func(s *shop) { s.purpose("adverts").In = nil },
		diag.SaleByAdvertising, "privacy#C11", "privacy#C13"},
	{"C06: one sweeping consent", func(s *shop) { s.purpose("linking").Ask = "" },
		diag.ConsentBundled, "privacy#C06", ""},
	{"C06: one consent for marketing and disclosure", func(s *shop) {
		s.purpose("linking").Offers = []rule.Offer{{Whose: "own", Kinds: []rule.Ref{{Name: "phones"}}}}
	}, diag.ConsentBundled, "privacy#C06", ""},
}

func unpart(g *rule.Group) {
	for _, c := range g.Categories {
		c.Apart = nil
	}
}

func TestTheShopContradictsItselfNowhere(t *testing.T) {
	s := openShop(t)
	for _, d := range check.Check(s.set, nil, shippedLaws(t)).Diagnostics {
		if d.Severity != diag.Note {
			t.Errorf("%s:%d: %s: %s", d.Span.File, d.Span.Start.Line, d.Code, d.Message)
		}
	}
}

func TestContradictionsPutIntoTheShopAreFound(t *testing.T) {
	laws := shippedLaws(t)
	for _, c := range contradictions {
		t.Run(c.name, func(t *testing.T) {
			s := openShop(t)
			c.change(s)
			r := check.Check(s.set, nil, laws)
			i := slices.IndexFunc(r.Diagnostics, func(d diag.Diagnostic) bool { return d.Code == c.code && d.Clause == c.clause })
			if i < 0 {
				t.Fatalf("%s is not reported at %s: %+v", c.code, c.clause, r.Diagnostics)
			}
			d := r.Diagnostics[i]
			if d.Severity != diag.Error || d.Other == nil {
				t.Fatalf("severity %s, other place %v", d.Severity, d.Other)
			}
			if c.other != "" && clauseAt(s.set, d.Other.Span) != c.other {
				t.Errorf("the other place lies in %s, want %s", clauseAt(s.set, d.Other.Span), c.other)
			}
		})
	}
}

// clauseAt names the clause that holds a span.
func clauseAt(set *rule.Set, s abide.Span) string {
	for _, d := range set.Documents {
		for _, c := range d.Clauses {
			if c.Body.File == s.File && c.Body.Start.Byte <= s.Start.Byte && s.Start.Byte < c.Body.End.Byte {
				return c.FullID()
			}
		}
	}
	return ""
}
