package engine_test

import (
	"testing"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/engine"
)

// A yes that was acknowledged counts at once on a node whose clock is a little
// behind, as a no does; one from further ahead than clocks may be apart does
// not count before its time.
func TestClocksApart(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		for _, c := range []struct {
			behind  time.Duration
			permits bool
		}{{500 * time.Millisecond, true}, {time.Second, true}, {2 * time.Second, false}, {time.Hour, false}} {
			other, err := engine.Open(t.Context(), engine.Options{Store: w.store, Keys: w.keys, Keyring: w.ring,
				Clock: func() time.Time { return w.clock.now().Add(-c.behind) }})
			must(t, err)
			id := w.person(engine.NewSubject{})
			ask := func() bool {
				d, err := other.Decide(t.Context(), app, engine.Decide{Subject: id, Purpose: "newsletter", Act: abide.ActContact,
					Categories: []abide.Category{"person.email"}})
				must(t, err)
				return d.Allowed()
			}
			w.consent(id, "give")
			if ask() != c.permits {
				t.Errorf("a node %s behind: permitted %t after a yes, want %t", c.behind, !c.permits, c.permits)
			}
			w.consent(id, "withdraw")
			if ask() {
				t.Errorf("a node %s behind permits after a no", c.behind)
			}
			must(t, other.Close(t.Context()))
		}
	})
}
