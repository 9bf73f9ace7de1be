package engine

import (
	"slices"
	"testing"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/vault"
)

// A derived item serves the purposes that all of its sources share.
func TestDerivePurposes(t *testing.T) {
	for _, c := range []struct {
		name    string
		sources [][]abide.Purpose
		want    []abide.Purpose
	}{
		{"one source", [][]abide.Purpose{{"a", "b"}}, []abide.Purpose{"a", "b"}},
		{"what two share", [][]abide.Purpose{{"a", "b"}, {"b", "c"}}, []abide.Purpose{"b"}},
		{"what three share", [][]abide.Purpose{{"a", "b", "c"}, {"b", "c"}, {"c", "a"}}, []abide.Purpose{"c"}},
		{"nothing shared", [][]abide.Purpose{{"a"}, {"b"}}, nil},
		{"a source that serves nothing", [][]abide.Purpose{{"a"}, nil}, nil},
	} {
		var sources []source
		for _, p := range c.sources {
			sources = append(sources, source{ref: vault.ItemRef{Category: "x.y"}, purposes: p})
		}
		var r vault.Record
		derive(&r, sources)
		if !r.Derived || len(r.From) != len(c.sources) || !slices.Equal(r.Purposes, c.want) {
			t.Errorf("%s: %+v, want %v", c.name, r, c.want)
		}
	}
}
