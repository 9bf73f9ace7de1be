package source_test

import (
	"os"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"
	"unicode/utf8"

	"pgregory.net/rapid"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy/diag"
	"github.com/abide-privacy/abide/policy/rule"
	"github.com/abide-privacy/abide/policy/source"
)

// TestSpansAreTheTokensTheySpeakOf lays rules into Markdown in many ways and
// holds every position of the tree against the file.
func TestSpansAreTheTokensTheySpeakOf(t *testing.T) {
	sketch, err := os.ReadFile("testdata/sketch.md")
	if err != nil {
		t.Fatal(err)
	}
	rules := pieces(string(sketch))
	rapid.Check(t, func(t *rapid.T) {
		var b strings.Builder
		b.WriteString("# Privacy\n```abide\ndocument \"privacy\" { controller = \"Lantern Ltd\" }\n```\n")
		for _, r := range rapid.Permutation(rules).Draw(t, "order")[:rapid.IntRange(1, len(rules)).Draw(t, "count")] {
			b.WriteString(rapid.SampledFrom([]string{"", "## Ünï 語 {#%}\n", "Wörds, *語* &amp; `code` 😀.\n\n", "1. Eins\n", "\t \n"}).Draw(t, "before"))
			b.WriteString(rapid.SampledFrom([]func(string) string{plain, quoted, listed, tilde}).Draw(t, "wrap")(r))
		}
		text := strings.ReplaceAll(b.String(), "%", "x")
		for strings.Contains(text, "{#x}") { // anchors are written once only
			text = strings.Replace(text, " {#x}", "", 1)
		}
		if rapid.Bool().Draw(t, "crlf") {
			text = strings.ReplaceAll(text, "\n", "\r\n")
		}
		if rapid.Bool().Draw(t, "bom") {
			text = "\ufeff" + text
		}
		set, files, found := source.Parse(fstest.MapFS{"privacy.md": {Data: []byte(text)}})
		for _, d := range found {
			t.Fatalf("%+v in\n%s", d, text)
		}
		if n := holdSpans(t, set, files); n == 0 {
			t.Fatal("no position was held against the file")
		}
		holdProse(t, set, files)
	})
}

func plain(r string) string { return "```abide\n" + r + "\n```\n\n" }
func tilde(r string) string {
	return "~~~~ abide\n   " + strings.ReplaceAll(r, "\n", "\n ") + "\n~~~~\n\n"
}
func quoted(r string) string {
	return "> ```abide\n> " + strings.ReplaceAll(r, "\n", "\n> ") + "\n> ```\n\n"
}
func listed(r string) string {
	return "- item\n\n  ```abide\n  " + strings.ReplaceAll(r, "\n", "\n  ") + "\n  ```\n\n"
}

// pieces returns the rules of a policy, one by one.
func pieces(doc string) []string {
	var out []string
	for i, part := range strings.Split(doc, "```") {
		if i%2 == 0 {
			continue
		}
		var piece []string
		for _, l := range strings.Split(strings.TrimPrefix(part, "abide\n"), "\n") {
			piece = append(piece, l)
			if l == "}" || strings.HasSuffix(l, "}") && !strings.HasPrefix(l, " ") || strings.Contains(l, "}  #") && !strings.HasPrefix(l, " ") {
				if text := strings.TrimSpace(strings.Join(piece, "\n")); !strings.HasPrefix(text, "document") {
					out = append(out, text)
				}
				piece = nil
			}
		}
	}
	return out
}

type failer interface {
	Fatalf(string, ...any)
}

// holdSpans goes through the whole tree, whatever fields it has, and compares
// each name with the text at its span.
func holdSpans(t failer, set *rule.Set, files *diag.Files) int {
	held := 0
	same := func(what, want string, at abide.Span) {
		if at.File == "" {
			t.Fatalf("%s %q has no place", what, want)
		}
		got, ok := files.At(at)
		if !ok || got != want {
			t.Fatalf("%s %q: the file says %q at %+v", what, want, got, at)
		}
		if p := files.Pos(at.File, at.Start.Byte); p != at.Start {
			t.Fatalf("%s %q starts at %+v, the file says %+v", what, want, at.Start, p)
		}
		if p := files.Pos(at.File, at.End.Byte); p != at.End {
			t.Fatalf("%s %q ends at %+v, the file says %+v", what, want, at.End, p)
		}
		held++
	}
	seen := map[any]bool{}
	var walk func(v reflect.Value)
	walk = func(v reflect.Value) {
		switch v.Kind() {
		case reflect.Pointer:
			if v.IsNil() || seen[v.Interface()] {
				return
			}
			seen[v.Interface()] = true
			walk(v.Elem())
		case reflect.Slice:
			for i := range v.Len() {
				walk(v.Index(i))
			}
		case reflect.Struct:
			switch x := v.Interface().(type) {
			case rule.Ref:
				same("name", x.Name, x.Span)
				return
			case rule.Word:
				if text, _ := files.At(x.Span); text != x.Text && strings.ReplaceAll(text, "_", " ") != x.Text {
					same("word", x.Text, x.Span)
				}
				held++
				return
			case rule.Category:
				same("row", string(x.Name[strings.IndexByte(string(x.Name), '.')+1:]), x.Label)
			}
			if label, named := v.Type().FieldByName("Label"); named && label.Type == reflect.TypeFor[abide.Span]() && v.FieldByName("Name").Kind() == reflect.String {
				if name := v.FieldByName("Name").String(); !strings.Contains(name, ".") {
					same(v.Type().Name(), name, v.FieldByName("Label").Interface().(abide.Span))
				}
			}
			for i := range v.NumField() {
				if v.Type().Field(i).IsExported() {
					walk(v.Field(i))
				}
			}
		}
	}
	walk(reflect.ValueOf(set))
	return held
}

// holdProse compares every letter of the prose with the file at its place.
func holdProse(t failer, set *rule.Set, files *diag.Files) {
	for _, d := range set.Documents {
		text, _ := files.Text(d.File)
		for _, c := range d.Clauses {
			for i := range c.Prose {
				run := &c.Prose[i]
				for at, r := range run.Text {
					pos := run.Pos(at)
					if real := files.Pos(d.File, pos.Byte); real != pos {
						t.Fatalf("%q at %d: place %+v, the file says %+v", run.Text, at, pos, real)
					}
					if got, _ := utf8.DecodeRuneInString(text[pos.Byte:]); got != r && got != '&' && got != '\\' && r != ' ' {
						t.Fatalf("%q at %d is %q, the file has %q at %+v", run.Text, at, r, got, pos)
					}
					if pos.Byte < c.Body.Start.Byte || pos.Byte >= c.Body.End.Byte {
						t.Fatalf("%q stands at %+v, outside its clause %+v", run.Text, pos, c.Body)
					}
				}
			}
		}
	}
}
