package check_test

import (
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/abide-privacy/abide/policy/check"
	"github.com/abide-privacy/abide/policy/source"
)

// FuzzCheck: whatever a policy file holds, the check comes to an end, and every
// finding points into the file.
func FuzzCheck(f *testing.F) {
	names, _ := filepath.Glob("testdata/cases/*.txtar")
	for _, n := range names {
		a, err := txtar.ParseFile(n)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(a.Files[0].Data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		set, files, _ := source.Parse(fstest.MapFS{"privacy.md": {Data: data}})
		for _, d := range check.Check(set, nil, nil).Diagnostics {
			if _, ok := files.At(d.Span); !ok {
				t.Errorf("%s points outside its file: %+v", d.Code, d.Span)
			}
			if d.Other != nil {
				if _, ok := files.At(d.Other.Span); !ok {
					t.Errorf("other place of %s lies outside its file: %+v", d.Code, d.Other.Span)
				}
			}
		}
	})
}
