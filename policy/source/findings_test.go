package source_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/tools/txtar"

	"github.com/abide-privacy/abide/policy/diag"
	"github.com/abide-privacy/abide/policy/source"
)

// TestFindings reads each testdata/findings/*.txtar: the files of a policy, and
// the findings wanted, one a line: file:line:column code "token" message / hint.
// Files below notices/ are notices of another folder. With -update the wanted
// findings are written anew, to be read before they are committed.
func TestFindings(t *testing.T) {
	seen := map[diag.Code]bool{}
	for _, path := range archives(t, "testdata/findings/*.txtar") {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			fsys, notices, want := fstest.MapFS{}, fstest.MapFS{}, -1
			for i, f := range a.Files {
				switch {
				case f.Name == "want":
					want = i
				case strings.HasPrefix(f.Name, "notices/"):
					notices[strings.TrimPrefix(f.Name, "notices/")] = &fstest.MapFile{Data: unescaped(f.Data)}
				default:
					fsys[f.Name] = &fstest.MapFile{Data: unescaped(f.Data)}
				}
			}
			o := source.Options{}
			if len(notices) > 0 {
				o.Notices = notices
			}
			_, files, found := source.ParseWith(fsys, o)
			var b strings.Builder
			for _, d := range found {
				seen[d.Code] = true
				b.WriteString(line(files, d))
			}
			if want < 0 {
				t.Fatal("no file called want")
			}
			if got := b.String(); got != string(a.Files[want].Data) {
				if *update {
					a.Files[want].Data = []byte(got)
					if err := os.WriteFile(path, txtar.Format(a), 0o644); err != nil {
						t.Fatal(err)
					}
					return
				}
				t.Errorf("got:\n%s\nwant:\n%s", got, a.Files[want].Data)
			}
		})
	}
	for _, in := range diag.ParseCodes() {
		if !seen[in.Code] && in.Code != diag.Unreadable && in.Code != diag.TooMuch { // they have tests of their own
			t.Errorf("no case finds %s", in.Code)
		}
	}
}

func line(files *diag.Files, d diag.Diagnostic) string {
	token, _ := files.At(d.Span)
	token, _, _ = strings.Cut(token, "\n")
	s := fmt.Sprintf("%s:%d:%d %s %q %s", d.Span.File, d.Span.Start.Line, d.Span.Start.Column, d.Code, token, d.Message)
	if d.Clause != "" {
		s += " [" + d.Clause + "]"
	}
	if d.Other != nil {
		s += fmt.Sprintf(" (%s %s:%d)", d.Other.Label, d.Other.Span.File, d.Other.Span.Start.Line)
	}
	if d.Hint != "" {
		s += " / " + d.Hint
	}
	return s + "\n"
}

// unescaped turns \xHH of an archive into the byte it stands for: archives are
// text, and some cases are about what is not.
func unescaped(b []byte) []byte {
	s := string(b)
	for _, hex := range []struct{ in, out string }{{`\xff`, "\xff"}, {`\x00`, "\x00"}, {`\ufeff`, "\ufeff"}, {`\r`, "\r"}} {
		s = strings.ReplaceAll(s, hex.in, hex.out)
	}
	return []byte(s)
}

func archives(t *testing.T, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("no archives at %s: %v", pattern, err)
	}
	return paths
}

// unreadable is a folder whose files cannot be opened.
type unreadable struct{ fs.FS }

func (u unreadable) Open(name string) (fs.File, error) {
	if strings.HasSuffix(name, ".md") {
		return nil, fs.ErrPermission
	}
	return u.FS.Open(name)
}

func TestUnreadableFilesAreReported(t *testing.T) {
	fsys := unreadable{fstest.MapFS{"privacy.md": {Data: []byte("# P\n")}}}
	_, _, found := source.Parse(fsys)
	if len(found) != 1 || found[0].Code != diag.Unreadable || found[0].Span.File != "privacy.md" {
		t.Errorf("got %+v", found)
	}
	_, _, found = source.Parse(os.DirFS("testdata/not there"))
	if len(found) != 1 || found[0].Code != diag.Unreadable {
		t.Errorf("got %+v", found)
	}
}
