package load_test

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/abide-privacy/abide/policy/diag"
	"github.com/abide-privacy/abide/policy/load"
	"github.com/abide-privacy/abide/policy/source"
)

const good = `# Pebble {#pebble}
We hold your name and e-mail address to deliver what you order, and let both go a year later.
` + "```abide" + `
document "privacy" { controller = "Pebble, privacy@pebble.example" }
data "person" {
  name  = "name"
  email = { words = "e-mail address", format = email, find = unique }
}
purpose "deliver" {
  uses  = [person.name, person.email]
  basis = contract
  keep  = obtained + 1 * years
}
example "delivering is not writing" { refused = contact(deliver, person.email) }
` + "```\n"

func codes(l diag.List) []string {
	var out []string
	for _, d := range l {
		out = append(out, string(d.Code))
	}
	return out
}

func file(text string) fstest.MapFS { return fstest.MapFS{"privacy.md": {Data: []byte(text)}} }

func TestAGoodPolicyDecides(t *testing.T) {
	r := load.Load(file(good), nil, nil)
	if len(r.Diagnostics) > 0 || r.Policy == nil || len(r.Set.Purposes) != 1 || r.Report.Coverage.Bound != 1 {
		t.Fatalf("%v, policy %v, coverage %+v", codes(r.Diagnostics), r.Policy != nil, r.Report.Coverage)
	}
	if text, ok := r.Files.Text("privacy.md"); !ok || text != good {
		t.Error("the file's text is not kept")
	}
	if v := r.Policy.Version(); v != load.Load(file(good), nil, nil).Policy.Version() || v == "" {
		t.Errorf("version %q is not that of the same text", v)
	}
}

// TestEachStageReports breaks a good policy once for each stage.
func TestEachStageReports(t *testing.T) {
	for _, c := range []struct {
		stage, old, new, code string
		compiles              bool
	}{
		{"reading", "basis = contract", "basis = contrat", "unknown_word", false},
		{"compiling", "person.name, person.email]", "person.name, person.emial]", "unknown_name", false},
		{"checking", "name and e-mail address", "name", "rule_not_in_prose", true},
		{"trying examples", "refused = contact(deliver", "permitted = contact(deliver", "example_fails", true},
	} {
		t.Run(c.stage, func(t *testing.T) {
			text := strings.Replace(good, c.old, c.new, 1)
			r := load.Load(file(text), nil, nil)
			if !slices.Contains(codes(r.Diagnostics), c.code) || !r.Diagnostics.HasErrors() {
				t.Errorf("no %s among %v", c.code, codes(r.Diagnostics))
			}
			if (r.Policy != nil) != c.compiles {
				t.Errorf("policy: %v, want %v", r.Policy != nil, c.compiles)
			}
			if r.Set == nil || r.Files == nil || r.Report == nil {
				t.Error("set, files and report are there whatever happens")
			}
		})
	}
}

// TestReadingComesFirst says that missing rules are not reported as unknown
// names all over the policy.
func TestReadingComesFirst(t *testing.T) {
	r := load.Load(file(strings.Replace(good, "data \"person\"", "dta \"person\"", 1)), nil, nil)
	if got := fmt.Sprint(codes(r.Diagnostics)); got != "[unknown_block]" {
		t.Errorf("got %s", got)
	}
}

func TestFindingsOfAllStagesStandInOrder(t *testing.T) {
	text := strings.NewReplacer("name and e-mail address", "name", "refused = contact(deliver", "permitted = contact(deliver").Replace(good)
	r := load.Load(file(text), nil, nil)
	if len(r.Diagnostics) < 2 || !sort.SliceIsSorted(r.Diagnostics, func(i, j int) bool {
		return r.Diagnostics[i].Span.Start.Byte < r.Diagnostics[j].Span.Start.Byte
	}) {
		t.Errorf("got %+v", r.Diagnostics)
	}
}

// TestAChangedNoticeIsCheckedAllTheSame says that a changed text hides no other
// finding about it.
func TestAChangedNoticeIsCheckedAllTheSame(t *testing.T) {
	words, rules, _ := strings.Cut(good, "```abide\n")
	document, rules, _ := strings.Cut(strings.TrimSuffix(rules, "```\n"), "\n")
	sidecar := document + "\nbind \"pebble\" {\ntext = \"sha256:" + strings.Repeat("0", 64) + "\"\n" + rules + "}\n"
	notices := fstest.MapFS{"notice.md": {Data: []byte(strings.Replace(words, "name and e-mail address", "name", 1))}}
	r := load.LoadSidecars(fstest.MapFS{"notice.rules.hcl": {Data: []byte(sidecar)}}, notices, nil, nil)
	got := codes(r.Diagnostics)
	if !slices.Contains(got, string(diag.NoticeTextChanged)) || !slices.Contains(got, string(diag.RuleNotInProse)) || r.Policy == nil {
		t.Errorf("got %v", got)
	}
	fsys := fstest.MapFS{"notice.rules.hcl": {Data: []byte(sidecar)}}
	other := fstest.MapFS{"newer.md": notices["notice.md"]}
	r = load.LoadWith(fsys, source.Options{Notices: other, NoticeFile: map[string]string{"notice.rules.hcl": "newer.md"}}, nil, nil)
	if fmt.Sprint(codes(r.Diagnostics)) != fmt.Sprint(got) {
		t.Errorf("got %v, want %v", codes(r.Diagnostics), got)
	}
}
