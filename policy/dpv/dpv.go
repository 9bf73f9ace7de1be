// Package dpv holds the names of the Data Privacy Vocabulary, version 2.3
// (https://w3id.org/dpv), by which a policy may say what kind of purpose a
// purpose is and what kind of personal data a category is. Receipts of consent
// (ISO/IEC TS 27560) name them, so that a reader that knows no Abide
// understands them.
package dpv

import (
	_ "embed"
	"slices"
	"strings"
)

//go:embed terms.txt
var list string

// Term is a term for personal data.
type Term struct {
	Name string
	// Special: of a special category (GDPR, Article 9). Sensitive: that, or
	// sensitive for another reason.
	Special, Sensitive bool
}

var purposes, data = read(list)

func read(list string) (map[string]bool, map[string]Term) {
	p, d := map[string]bool{}, map[string]Term{}
	for line := range strings.Lines(list) {
		f := strings.Fields(line)
		switch {
		case len(f) < 2 || f[0] == "#":
		case f[0] == "purpose":
			p[f[1]] = true
		case f[0] == "data":
			t := Term{Name: f[1], Special: slices.Contains(f[2:], "special")}
			t.Sensitive = t.Special || slices.Contains(f[2:], "sensitive")
			d[f[1]] = t
		}
	}
	return p, d
}

// Purposes lists the names of kinds of purpose, sorted.
func Purposes() []string { return sorted(purposes) }

// PersonalData lists the names of kinds of personal data, sorted.
func PersonalData() []string { return sorted(data) }

// Data returns the term for personal data of that name.
func Data(name string) (Term, bool) {
	t, ok := data[name]
	return t, ok
}

func sorted[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for n := range m {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}
