package check_test

import (
	"bufio"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/abide-privacy/abide/policy/check"
	"github.com/abide-privacy/abide/policy/diag"
	"github.com/abide-privacy/abide/policy/rule"
	"github.com/abide-privacy/abide/policy/source"
)

// TestANoticeThatStaysAsItIs lays rules over an invented notice, which says
// some things that its rules do not keep.
func TestANoticeThatStaysAsItIs(t *testing.T) {
	set, kept, found := source.Parse(os.DirFS("testdata/notice"))
	if found.HasErrors() {
		t.Fatalf("the sidecar does not parse: %+v", found)
	}
	r := check.Check(set, nil, shippedLaws(t))
	var got []string
	for _, d := range r.Diagnostics {
		inside(t, kept, d)
		got = append(got, strings.TrimSpace(string(d.Code)+" "+d.Clause+" "+d.Name))
	}
	slices.Sort(got)
	want := []string{
		"category_unused notice#when-you-buy-a-ticket person.birth",
		"category_unused notice#when-you-buy-a-ticket person.card",
		"category_unused notice#when-you-buy-a-ticket person.phone",
		"clause_without_rule notice#lost-property",
		"promise_without_rule notice#talking-to-us",
		"rule_not_in_prose notice#paying ticket",
		"rule_not_in_prose notice#when-you-buy-a-ticket person.birth",
		"rule_not_in_prose notice#when-you-buy-a-ticket person.card",
		"rule_not_in_prose notice#when-you-buy-a-ticket person.phone",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if c := r.Coverage; c.Bound != 4 || c.Informative != 1 || c.Unbound != 2 {
		t.Errorf("coverage %+v", c)
	}
}

// allowedFalse is the share of findings about a published notice that may be
// false.
const allowedFalse = 0.1

// TestPublishedNotices lays the sidecars of examples/notices over the notices
// they were written for, which are not part of this repository: ABIDE_NOTICES
// names the folder that holds them. Which findings are false was judged by
// hand, in testdata/false_findings.txt. Without the folder the invented notice
// stands in, so that the count is always made.
func TestPublishedNotices(t *testing.T) {
	notices, sidecars := os.Getenv("ABIDE_NOTICES"), "../../examples/notices"
	if notices == "" {
		set, _, found := source.Parse(os.DirFS("testdata/notice"))
		all, _ := count(t, "an invented notice", set, found)
		if all == 0 {
			t.Error("nothing is found")
		}
		return
	}
	folders, err := fs.ReadDir(os.DirFS(sidecars), ".")
	if err != nil {
		t.Fatal(err)
	}
	all, wrong := 0, 0
	for _, f := range folders {
		if !f.IsDir() {
			continue
		}
		set, _, found := source.ParseSidecars(os.DirFS(path.Join(sidecars, f.Name())), os.DirFS(notices))
		a, w := count(t, f.Name(), set, found)
		all, wrong = all+a, wrong+w
	}
	if all == 0 || float64(wrong) > allowedFalse*float64(all) {
		t.Errorf("%d of %d findings are false, at most %.0f %% may be", wrong, all, 100*allowedFalse)
	}
}

// count prints what was found about a notice, and returns how many findings
// there are and how many of them are false.
func count(t *testing.T, name string, set *rule.Set, found diag.List) (all, wrong int) {
	t.Helper()
	if found.HasErrors() {
		t.Fatalf("%s does not parse: %+v", name, found)
	}
	r := check.Check(set, nil, shippedLaws(t))
	headings := 0
	for _, d := range set.Documents {
		headings += len(d.Clauses)
	}
	judged := falseFindings(t)
	by := map[diag.Code]int{}
	for _, d := range r.Diagnostics {
		by[d.Code]++
		if judged[strings.TrimSpace(string(d.Code)+" "+d.Clause+" "+d.Name)] {
			wrong++
			t.Logf("%s: false: %s", name, d.Message)
		}
	}
	c := r.Coverage
	t.Logf("%s: %d headings, %d bound, %d informative, %d promise without a rule, %d mentions; %d findings, %d of them false, %d suppressed: %v",
		name, headings, c.Bound, c.Informative, c.Unbound, c.Mentions, len(r.Diagnostics), wrong, c.Suppressed, by)
	if c.Bound == 0 || c.Mentions == 0 {
		t.Errorf("%s: nothing is bound", name)
	}
	return len(r.Diagnostics), wrong
}

func falseFindings(t *testing.T) map[string]bool {
	t.Helper()
	f, err := os.Open("testdata/false_findings.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out := map[string]bool{}
	for in := bufio.NewScanner(f); in.Scan(); {
		if line, _, _ := strings.Cut(in.Text(), " — "); !strings.HasPrefix(line, "#") {
			out[strings.TrimSpace(line)] = true
		}
	}
	return out
}
