package source_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/tools/txtar"

	"github.com/abide-privacy/abide/policy/rule"
	"github.com/abide-privacy/abide/policy/source"
)

// TestProse reads each testdata/prose/*.txtar: a document, and its clauses as
// they are wanted: depth, anchor and title, then the prose block by block, runs
// apart by |, links as [text](to) and code as `text`.
func TestProse(t *testing.T) {
	for _, path := range archives(t, "testdata/prose/*.txtar") {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			fsys := fstest.MapFS{}
			for _, f := range a.Files[:len(a.Files)-1] {
				fsys[f.Name] = &fstest.MapFile{Data: unescaped(f.Data)}
			}
			set, files, found := source.Parse(fsys)
			for _, d := range found {
				t.Errorf("%+v", d)
			}
			holdSpans(t, set, files)
			holdProse(t, set, files)
			want := &a.Files[len(a.Files)-1]
			if got := clauses(set); got != string(want.Data) {
				if *update {
					want.Data = []byte(got)
					if err := os.WriteFile(path, txtar.Format(a), 0o644); err != nil {
						t.Fatal(err)
					}
					return
				}
				t.Errorf("got:\n%s\nwant:\n%s", got, want.Data)
			}
		})
	}
}

func clauses(set *rule.Set) string {
	var b strings.Builder
	for _, d := range set.Documents {
		fmt.Fprintf(&b, "%s %q (%s)\n", d.Name, d.Title, d.Language)
		for _, c := range d.Clauses {
			fmt.Fprintf(&b, "%d #%s %q lines %d-%d", c.Depth, c.ID, c.Title, c.Body.Start.Line, c.Body.End.Line)
			if c.HasRules {
				b.WriteString(" with rules")
			}
			if c.Informative != "" {
				fmt.Fprintf(&b, " informative: %s", c.Informative)
			}
			block := -1
			for _, r := range c.Prose {
				if r.Block != block {
					fmt.Fprintf(&b, "\n  %d ", r.Block)
					block = r.Block
				} else {
					b.WriteString("|")
				}
				text := strings.ReplaceAll(r.Text, "\n", `\n`)
				if r.Code {
					text = "`" + text + "`"
				}
				if r.Link != "" {
					text = "[" + text + "](" + r.Link + ")"
				}
				b.WriteString(text)
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}

// TestDigest says what changes the digest of a clause and what does not.
func TestDigest(t *testing.T) {
	base := "We use your *name* and [phone](#person.phone).\n\n- One\n- Two\n"
	was := digestOf(t, "# Title\n", base)
	for name, text := range map[string]string{
		"emphasis":    "We use your **name** and [phone](#person.phone).\n\n- One\n- Two\n",
		"line breaks": "We use your *name*\nand   [phone](#person.phone).\n\n* One\n* Two\n",
		"a link":      "We use your *name* and [phone](https://example.test).\n\n- One\n- Two\n",
		"rules":       base + "\n```abide\nlevel \"x\" { floor_for = [person] }\n```\n",
		"a comment":   base + "\n<!-- a remark -->\n",
		"an entity":   strings.Replace(base, "and", "&#97;nd", 1),
	} {
		if got := digestOf(t, "# Title\n", text); got != was {
			t.Errorf("%s changes the digest", name)
		}
	}
	if digestOf(t, "# Another title\n", base) != was {
		t.Error("the title is part of the digest")
	}
	for name, text := range map[string]string{
		"a word":      strings.Replace(base, "We use", "We never use", 1),
		"a sign":      strings.Replace(base, "phone)", "phone),", 1),
		"case":        strings.Replace(base, "One", "one", 1),
		"an item":     base + "- Three\n",
		"joining":     strings.Replace(base, "- One\n- Two", "- One Two", 1),
		"code":        base + "\n    in code\n",
		"a table":     base + "\n| a |\n|---|\n| b |\n",
		"HTML's text": base + "\n<div>more</div>\n",
	} {
		if digestOf(t, "# Title\n", text) == was {
			t.Errorf("%s does not change the digest", name)
		}
	}
	if digestOf(t, "# T\n", "caf\u00e9\n") != digestOf(t, "# T\n", "cafe\u0301\n") {
		t.Error("two ways of writing é differ")
	}
}

func digestOf(t *testing.T, title, text string) string {
	t.Helper()
	set, _, _ := source.Parse(fstest.MapFS{"p.md": {Data: []byte("# Top\n```abide\ndocument \"p\" { controller = \"x\" }\n```\n" + title + text)}})
	if len(set.Documents) != 1 || len(set.Documents[0].Clauses) != 2 {
		t.Fatalf("%d documents", len(set.Documents))
	}
	return set.Documents[0].Clauses[1].Digest
}
