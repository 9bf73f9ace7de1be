package check_test

import (
	"bytes"
	"maps"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/abide-privacy/abide/policy/check"
	"github.com/abide-privacy/abide/policy/diag"
	"github.com/abide-privacy/abide/policy/source"
)

// wrongEdit is one line of testdata/wrong_edits.txt.
type wrongEdit struct{ clause, was, is, kind, why string }

func wrongEdits(t *testing.T) []wrongEdit {
	t.Helper()
	text, err := os.ReadFile("testdata/wrong_edits.txt")
	if err != nil {
		t.Fatal(err)
	}
	var out []wrongEdit
	for line := range strings.SplitSeq(string(text), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		f := strings.Split(line, " | ")
		if len(f) < 4 || len(f) > 5 {
			t.Fatalf("not an edit: %s", line)
		}
		out = append(out, wrongEdit{f[0], f[1], f[2], f[3], strings.Join(f[4:], "")})
	}
	return out
}

// TestWrongEditsOfEveryClause makes edits of the prose that change what is
// promised, and leaves the rules as they are. The check finds each, by a
// finding in that clause that was not there before, or the list says why not;
// a reason that is no longer needed fails too.
func TestWrongEditsOfEveryClause(t *testing.T) {
	m := newMutator(t, os.DirFS("../../examples/shop/policy"))
	laws := shippedLaws(t)
	set, _, _ := source.Parse(m.files)
	before := keys(check.Check(set, nil, laws).Diagnostics)
	found, all := 0, 0
	each, kinds := map[string]int{}, map[string][2]int{}
	for _, e := range wrongEdits(t) {
		all++
		each[e.clause]++
		by := findings(t, m.files, e, before)
		k := kinds[e.kind]
		k[1]++
		switch {
		case len(by) > 0:
			found++
			k[0]++
			if e.why != "" {
				t.Errorf("%s: %q is found (%s), but listed as not found", e.clause, e.is, by[0].Code)
			}
		case e.why == "":
			t.Errorf("%s: %q for %q is not found: find it, or say why not", e.clause, e.is, e.was)
		}
		kinds[e.kind] = k
	}
	for i := range 24 {
		id := "C" + string(rune('0'+(i+1)/10)) + string(rune('0'+(i+1)%10))
		if each[id] < 5 {
			t.Errorf("%s has %d edits, want five", id, each[id])
		}
	}
	t.Logf("%d of %d wrong edits found (%.0f %%)", found, all, 100*float64(found)/float64(all))
	for kind, k := range kinds {
		t.Logf("    %-28s %d of %d", kind, k[0], k[1])
	}
	if all < 120 || float64(found) < wantedEdits*float64(all) {
		t.Errorf("%d of %d found", found, all)
	}
}

// wantedEdits is the share of wrong edits that is found today; it may rise.
const wantedEdits = 0.7

// findings are what the check says of an edited clause and did not say before.
func findings(t *testing.T, files fstest.MapFS, e wrongEdit, before map[string]bool) diag.List {
	t.Helper()
	files = maps.Clone(files)
	text := files["privacy.md"].Data
	at := bytes.Index(text, []byte("{#"+e.clause+"}"))
	end := at + bytes.Index(append(text[at:len(text):len(text)], []byte("\n## ")...), []byte("\n## "))
	words := strings.Fields(e.was)
	for i, w := range words {
		words[i] = regexp.QuoteMeta(w)
	}
	hit := regexp.MustCompile("(?i)" + strings.Join(words, `\s+`)).FindIndex(text[at:end])
	if hit == nil {
		t.Errorf("%s does not say %q", e.clause, e.was)
		return nil
	}
	files["privacy.md"] = &fstest.MapFile{Data: bytes.Join([][]byte{text[:at+hit[0]], []byte(e.is), text[at+hit[1]:]}, nil)}
	set, _, _ := source.Parse(files)
	var out diag.List
	for _, d := range check.Check(set, nil, shippedLaws(t)).Diagnostics {
		if !before[key(d)] && d.Clause == "privacy#"+e.clause {
			out = append(out, d)
		}
	}
	return out
}
