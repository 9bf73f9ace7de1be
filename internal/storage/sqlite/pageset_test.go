package sqlite

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestPageSetHoldsWhatWasAddedOnceInOrder(t *testing.T) {
	var s pageSet
	var want []uint32
	order := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		n := 1 + order.Uint32N(5000)
		s.add(n)
		want = append(want, n)
	}
	slices.Sort(want)
	want = slices.Compact(want)
	if got := slices.Collect(s.all()); !slices.Equal(got, want) {
		t.Errorf("%d pages, want %d: %v", len(got), len(want), got)
	}
	clear(s)
	if got := slices.Collect(s.all()); len(got) != 0 {
		t.Errorf("a cleared set holds %v", got)
	}
	s.add(64)
	for range s.all() {
		break // a range may end early
	}
	if got := slices.Collect(s.all()); !slices.Equal(got, []uint32{64}) {
		t.Errorf("%v, want page 64", got)
	}
}
