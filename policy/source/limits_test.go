package source_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/abide-privacy/abide/policy/diag"
	"github.com/abide-privacy/abide/policy/source"
)

// TestNonsenseIsRefused holds inputs on which parsers that descend by recursion
// would run out of stack, which nothing can recover from.
func TestNonsenseIsRefused(t *testing.T) {
	const n = 1 << 19
	repeat := strings.Repeat
	rules := func(expr string) string { return "```abide\npurpose \"x\" {\n  keep = " + expr + "\n}\n```\n" }
	for name, text := range map[string]string{
		"a large file":       repeat("words\n\n", 1<<19),
		"quotations":         repeat(">", n),
		"lists":              repeat("- ", n/2) + "a",
		"indented lists":     repeat(" ", 300) + "- a\n",
		"a long paragraph":   repeat("*a* ", n/4),
		"brackets":           rules(repeat("[", n)),
		"parentheses":        rules(repeat("(", n)),
		"calls":              rules(repeat("f(", n/2)),
		"objects":            rules(repeat("{a=", n/3)),
		"templates":          rules(repeat(`"${`, n/3)),
		"texts over lines":   rules("<<A\n" + repeat("  b\n", n/32) + "A"),
		"texts of dollars":   rules(`"` + repeat("$$", n/32) + `"`),
		"directives":         rules(`"` + repeat("%{if a}", n/32) + `"`),
		"signs":              rules(repeat("-", n)),
		"conditions":         rules(repeat("a?b:", n/4) + "c"),
		"sums":               rules("a" + repeat("+a", n/2)),
		"sums over lines":    rules("(a" + repeat("\n+a", n/4) + ")"),
		"blocks in blocks":   "```abide\n" + repeat(" a {\n", n/5) + "```\n",
		"brackets in system": "",
	} {
		t.Run(name, func(t *testing.T) {
			fsys := fstest.MapFS{"p.md": {Data: []byte("# P\n```abide\ndocument \"p\" { controller = \"x\" }\n```\n" + text)}}
			if text == "" {
				fsys["systems.hcl"] = &fstest.MapFile{Data: []byte("system \"x\" {\n  holds = " + repeat("[", n) + "\n}\n")}
			}
			_, _, found := source.Parse(fsys)
			for _, d := range found {
				if d.Code == diag.TooMuch || name == "blocks in blocks" && d.Code == diag.Syntax && len(found) < 1000 {
					return
				}
			}
			t.Errorf("%d findings, none of them too_much", len(found))
		})
	}
}
