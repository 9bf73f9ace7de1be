package engine_test

import (
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/engine"
)

// TestSweepCostsWhatIsDue sweeps the same due items beside little and beside
// ten times as much that is not due, and prints how long it takes and how long
// the reads of others take meanwhile and without it. That the cost is that of
// what is due is held by the items that are touched, not by time.
//
//	ABIDE_PROOF=1 go test ./internal/engine -run SweepCosts -v -timeout 30m
func TestSweepCostsWhatIsDue(t *testing.T) {
	due, little := 20, 20
	if os.Getenv("ABIDE_PROOF") == "1" {
		due, little = 1000, 1000
	}
	onEvery(t, func(t *testing.T, w *world) {
		var others []abide.SubjectID
		touched := map[int]int{}
		for _, held := range []int{little, 10 * little} {
			others = append(others, w.many(held-len(others), false)...)
			w.many(due, true)
			if w.t.Failed() {
				return
			}
			before := w.faults.touched()
			without := w.readsWhile(others, nil)
			reading := w.faults.touched() - before
			before = w.faults.touched()
			var took time.Duration
			var swept engine.Swept
			var failed error
			during := w.readsWhile(others, func() {
				start := time.Now()
				swept, failed = w.e.Sweep(t.Context(), admin, engine.Sweep{Gently: true})
				took = time.Since(start)
			})
			must(t, failed)
			if swept.People != due || swept.Items["person.orders"] != 10*due {
				t.Fatalf("swept %+v", swept)
			}
			touched[held] = w.faults.touched() - before - len(during)*reading/max(1, len(without))
			t.Logf("%s: %6d items due beside %6d held: swept in %v (%.0f items/s); p99 of a read %v without, %v during it (%d reads)",
				t.Name(), 10*due, 10*held, took.Round(time.Millisecond), float64(10*due)/took.Seconds(), p99(without), p99(during), len(during))
		}
		if a, b := touched[little], touched[10*little]; a != b || a == 0 {
			t.Errorf("items touched by the sweep: %v; want the same", touched)
		}
	})
}

// many makes people of whom ten orders are held, past their deadline or not.
func (w *world) many(n int, overdue bool) []abide.SubjectID {
	w.t.Helper()
	ids := make([]abide.SubjectID, n)
	list := make([]any, 10)
	for i := range list {
		list[i] = map[string]int{"n": i}
	}
	ctx := w.t.Context()
	var g errgroup.Group
	g.SetLimit(8)
	for i := range ids {
		g.Go(func() error {
			got, err := w.e.CreateSubject(ctx, app, engine.NewSubject{Jurisdiction: "HK", BirthDate: abide.Date{Year: 1990, Month: 4, Day: 2}})
			if err != nil {
				return err
			}
			ids[i] = got.ID
			req := put(got.ID, "shop", items{"person.orders": list})
			if req.Ref = "open"; overdue {
				req.Ref, req.Obtained = "old", w.clock.now().AddDate(-3, 0, 0)
			}
			if _, err := w.e.Collect(ctx, app, req); err != nil || !overdue {
				return err
			}
			return w.e.RecordEvent(ctx, app, got.ID, "order.closed", "old", w.clock.now().AddDate(-2, 0, 0))
		})
	}
	must(w.t, g.Wait())
	return ids
}

// readsWhile reads one person after another while do runs, or 300 times, and returns
// how long each read took, in order of length.
func (w *world) readsWhile(of []abide.SubjectID, do func()) []time.Duration {
	w.t.Helper()
	done := make(chan struct{})
	if do != nil {
		go func() { defer close(done); do() }()
	}
	var took []time.Duration
	for i := 0; do != nil || i < 300; i++ {
		select {
		case <-done:
			slices.Sort(took)
			return took
		default:
		}
		start := time.Now()
		_, err := w.read(app, of[i%len(of)], "provide", "person.orders")
		must(w.t, err)
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	return took
}

func p99(took []time.Duration) time.Duration {
	if len(took) == 0 {
		return 0
	}
	return took[len(took)*99/100].Round(10 * time.Microsecond)
}
