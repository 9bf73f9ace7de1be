package policy

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Sets of bits behave as sets of numbers do.
func TestBitset(t *testing.T) {
	numbers := rapid.SliceOfNDistinct(rapid.Int32Range(0, 300), 0, 20, rapid.ID[int32])
	make := func(ns []int32) (b bitset) {
		for _, n := range ns {
			b.add(n)
		}
		return b
	}
	list := func(b bitset) (out []int32) {
		b.each(func(i int32) { out = append(out, i) })
		return out
	}
	rapid.Check(t, func(t *rapid.T) {
		xs, ys := numbers.Draw(t, "xs"), numbers.Draw(t, "ys")
		a, b := make(xs), make(ys)
		slices.Sort(xs)
		slices.Sort(ys)
		if !slices.Equal(list(a), xs) || a.len() != len(xs) || a.empty() != (len(xs) == 0) {
			t.Fatalf("%v became %v", xs, list(a))
		}
		both := slices.Concat(xs, ys)
		slices.Sort(both)
		if got := list(a.union(b)); !slices.Equal(got, slices.Compact(both)) {
			t.Fatalf("union of %v and %v is %v", xs, ys, got)
		}
		within := !slices.ContainsFunc(ys, func(y int32) bool { return !slices.Contains(xs, y) })
		if a.contains(b) != within {
			t.Fatalf("%v contains %v: %v", xs, ys, a.contains(b))
		}
		n := rapid.Int32Range(0, 400).Draw(t, "n")
		if a.has(n) != slices.Contains(xs, n) {
			t.Fatalf("%v has %d: %v", xs, n, a.has(n))
		}
		if !slices.Equal(list(a), xs) {
			t.Fatal("reading changed the set")
		}
	})
}
