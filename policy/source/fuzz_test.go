package source_test

import (
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"golang.org/x/tools/txtar"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy/diag"
	"github.com/abide-privacy/abide/policy/source"
)

// seeds adds the files of all archives whose names end so.
func seeds(f *testing.F, add func(text []byte), suffixes ...string) {
	paths, err := filepath.Glob("testdata/*/*.txtar")
	if err != nil || len(paths) == 0 {
		f.Fatal("no archives", err)
	}
	for _, p := range paths {
		a, err := txtar.ParseFile(p)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range a.Files {
			for _, s := range suffixes {
				if filepath.Ext(file.Name) == s {
					add(unescaped(file.Data))
				}
			}
		}
	}
}

// FuzzParse says: no document makes reading fail, and every finding, and every
// letter of prose, has its place in its file.
func FuzzParse(f *testing.F) {
	sketch, err := os.ReadFile("testdata/sketch.md")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sketch)
	seeds(f, func(text []byte) { f.Add(text) }, ".md")
	f.Fuzz(func(t *testing.T, text []byte) {
		hold(t, fstest.MapFS{"privacy.md": {Data: text}})
	})
}

// FuzzRules is FuzzParse with every input in a block of rules.
func FuzzRules(f *testing.F) {
	seeds(f, func(text []byte) { f.Add(text) }, ".hcl")
	sketch, err := os.ReadFile("testdata/sketch.md")
	if err != nil {
		f.Fatal(err)
	}
	for _, r := range pieces(string(sketch)) {
		f.Add([]byte(r))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		hold(t, fstest.MapFS{"privacy.md": {Data: []byte("# P\n```abide\ndocument \"p\" { controller = \"x\" }\n" + string(text) + "\n```\n")}})
		hold(t, fstest.MapFS{"systems.hcl": {Data: text}})
	})
}

// FuzzSidecar lays rules over a notice.
func FuzzSidecar(f *testing.F) {
	seeds(f, func(text []byte) { f.Add(text, []byte("# Newsletter\nWords.\n")) }, ".hcl")
	f.Fuzz(func(t *testing.T, rules, notice []byte) {
		hold(t, fstest.MapFS{"n.rules.hcl": {Data: rules}, "n.md": {Data: notice}})
		hold(t, fstest.MapFS{"n.rules.md": {Data: rules}, "n.md": {Data: notice}})
	})
}

func hold(t *testing.T, fsys fstest.MapFS) {
	set, files, found := source.Parse(fsys)
	inside := func(d diag.Diagnostic, s abide.Span) {
		text, ok := files.Text(s.File)
		if !ok {
			t.Fatalf("%s: no file %q", d.Code, s.File)
		}
		if s.Start.Byte < 0 || s.End.Byte < s.Start.Byte || s.End.Byte > len(text) || s.Start.Line < 1 || s.Start.Column < 1 {
			t.Fatalf("%s: %+v is outside %q of %d bytes", d.Code, s, s.File, len(text))
		}
		if files.Pos(s.File, s.Start.Byte) != s.Start || files.Pos(s.File, s.End.Byte) != s.End {
			t.Fatalf("%s: line and column of %+v are not those of its bytes", d.Code, s)
		}
	}
	for _, d := range found {
		inside(d, d.Span)
		if d.Other != nil {
			inside(d, d.Other.Span)
		}
		if d.Message == "" || d.Severity == "" {
			t.Fatalf("%s says nothing", d.Code)
		}
	}
	holdProse(t, set, files)
}
