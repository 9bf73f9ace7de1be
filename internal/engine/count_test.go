package engine

import (
	"testing"
	"time"
)

// Counts are written in company: a count alone in its minute would tell whose
// request it came with.
func TestCountersWaitForCompany(t *testing.T) {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		calls int
		after time.Duration
		due   bool
	}{
		{0, 24 * time.Hour, false},
		{1, time.Minute, false},
		{counterCrowd - 1, 59 * time.Minute, false},
		{counterCrowd, 59 * time.Second, false},
		{counterCrowd, time.Minute, true},
		{1, time.Hour, true},
	} {
		var cs counters
		for range c.calls {
			cs.add(counterKey{"nobody.device", "P40", "2026-W09"}, 1, start)
		}
		if got := cs.due(start.Add(c.after)); got != c.due {
			t.Errorf("%d calls after %s: due %v, want %v", c.calls, c.after, got, c.due)
		}
	}
	var cs counters
	for i := range counterValues {
		full := cs.add(counterKey{"nobody.device", "P40", time.Duration(i).String()}, 1, start)
		if full != (i == counterValues-1) {
			t.Fatalf("full after %d distinct counts: %v", i+1, full)
		}
	}
}

func TestPeriods(t *testing.T) {
	at := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC) // a Friday: ISO week 53 of 2026
	for per, want := range map[string]string{"day": "2027-01-01", "week": "2026-W53", "month": "2027-01"} {
		if got := period(per, at); got != want {
			t.Errorf("%s: %s, want %s", per, got, want)
		}
	}
}
