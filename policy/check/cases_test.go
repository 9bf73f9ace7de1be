package check_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/abide-privacy/abide/policy"
	"github.com/abide-privacy/abide/policy/check"
	"github.com/abide-privacy/abide/policy/diag"
	"github.com/abide-privacy/abide/policy/source"
)

var update = flag.Bool("update", false, "write what the check says into the cases; read the difference before you commit it")

// TestCases runs the corpus: each case is a policy and what the check says of
// it, one finding a line, `code file:line name`, and behind it the other place
// of a conflict. A file laws.json holds the law profiles of the case. A case
// whose name begins with "good" says nothing at all.
func TestCases(t *testing.T) {
	names, err := filepath.Glob("testdata/cases/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			files := fstest.MapFS{}
			want := -1
			var laws *policy.Laws
			for i, f := range a.Files {
				switch f.Name {
				case "want":
					want = i
				case "laws.json":
					laws = readLaws(t, f.Data)
				default:
					files[f.Name] = &fstest.MapFile{Data: f.Data}
				}
			}
			got := said(t, files, laws)
			if want < 0 {
				t.Fatal("the case has no want")
			}
			if *update {
				a.Files[want].Data = []byte(got)
				if err := os.WriteFile(name, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if w := string(a.Files[want].Data); got != w {
				t.Errorf("the check says\n%s\nwant\n%s", got, w)
			}
			if strings.HasPrefix(filepath.Base(name), "good") && got != "" {
				t.Errorf("a good policy has findings:\n%s", got)
			}
		})
	}
}

func readLaws(t *testing.T, data []byte) *policy.Laws {
	t.Helper()
	var profiles []policy.Profile
	if err := json.Unmarshal(data, &profiles); err != nil {
		t.Fatal(err)
	}
	laws, err := policy.NewLaws(profiles)
	if err != nil {
		t.Fatal(err)
	}
	return laws
}

// said runs the check and writes what it says, one finding a line.
func said(t *testing.T, files fs.FS, laws *policy.Laws) string {
	t.Helper()
	set, kept, found := source.Parse(files)
	if found.HasErrors() {
		t.Fatalf("the policy does not parse: %+v", found)
	}
	var b strings.Builder
	for _, d := range check.Check(set, nil, laws).Diagnostics {
		inside(t, kept, d)
		fmt.Fprintf(&b, "%s %s:%d", d.Code, d.Span.File, d.Span.Start.Line)
		if d.Name != "" {
			fmt.Fprintf(&b, " %s", d.Name)
		}
		if d.Other != nil {
			fmt.Fprintf(&b, " | %s:%d", d.Other.Span.File, d.Other.Span.Start.Line)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// inside: every finding points at places inside the files, and says what to do.
func inside(t *testing.T, files *diag.Files, d diag.Diagnostic) {
	t.Helper()
	if _, ok := files.At(d.Span); !ok || d.Span.Start.Line < 1 {
		t.Errorf("%s points outside its file: %+v", d.Code, d.Span)
	}
	if d.Other != nil {
		if _, ok := files.At(d.Other.Span); !ok || d.Other.Span.Start.Line < 1 {
			t.Errorf("the other place of %s lies outside its file: %+v", d.Code, d.Other.Span)
		}
	}
	if d.Hint == "" || d.Message == "" {
		t.Errorf("%s says nothing or gives no hint", d.Code)
	}
}

// TestEveryCodeHasACase keeps the corpus complete.
func TestEveryCodeHasACase(t *testing.T) {
	names, _ := filepath.Glob("testdata/cases/*.txtar")
	var all strings.Builder
	for _, n := range names {
		a, err := txtar.ParseFile(n)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range a.Files {
			if f.Name == "want" {
				all.Write(f.Data)
			}
		}
	}
	var missing []string
	for _, c := range check.Codes() {
		if !strings.Contains(all.String(), string(c)+" ") {
			missing = append(missing, string(c))
		}
	}
	slices.Sort(missing)
	if len(missing) > 0 {
		t.Errorf("no case finds %v: add one to testdata/cases", missing)
	}
}
