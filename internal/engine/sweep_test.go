package engine_test

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/engine"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/testx/canary"
)

// overdue is a person with a phone number and two orders that belong to an
// order closed long ago, and a name that does not.
func (w *world) overdue() abide.SubjectID {
	w.t.Helper()
	id := w.person(engine.NewSubject{})
	open := put(id, "shop", items{"person.name": "Ann", "person.email": "ann@example.test"})
	open.Ref = "open"
	must2(w.e.Collect(w.t.Context(), app, open))(w.t)
	old := put(id, "shop", items{"person.phone": []string{"+85291234567"}, "person.orders": []any{map[string]int{"n": 1}, map[string]int{"n": 2}}})
	old.Ref, old.Obtained = "old", w.clock.now().AddDate(-3, 0, 0)
	must2(w.e.Collect(w.t.Context(), app, old))(w.t)
	must(w.t, w.e.RecordEvent(w.t.Context(), app, id, "order.closed", "old", w.clock.now().AddDate(-2, 0, 0)))
	return id
}

func (w *world) expire() engine.Swept {
	w.t.Helper()
	got, err := w.e.Sweep(w.t.Context(), admin, engine.Sweep{})
	must(w.t, err)
	return got
}

// swept fails unless exactly what was due of the person went, with what leads
// to it, and the log says so once.
func (w *world) swept(id abide.SubjectID) {
	w.t.Helper()
	l, err := w.store.Load(w.t.Context(), id, storage.Want{AllItems: true})
	must(w.t, err)
	held := map[abide.Category]int{}
	for _, it := range l.Items {
		held[it.Category]++
	}
	if held["person.phone"] != 0 || held["person.orders"] != 0 || held["person.name"] != 1 || held["person.email"] != 1 {
		w.t.Fatalf("held after the sweep: %v", held)
	}
	if !l.Subject.NextDue.After(w.clock.now()) {
		w.t.Fatalf("still due at %v", l.Subject.NextDue)
	}
	lookups, err := w.store.ListLookups(w.t.Context(), storage.Lookup{}, 100)
	must(w.t, err)
	for _, l := range lookups {
		if l.Category == "person.phone" {
			w.t.Fatal("the look-up of what went is left")
		}
	}
	if n := strings.Count(strings.Join(w.kinds(id), " "), "expired"); n != 1 {
		w.t.Fatalf("%d entries say that something went: %v", n, w.kinds(id))
	}
}

// A sweep killed at any step, before or after the step was persisted, is
// carried on by the next, which lets go exactly what the first did not.
func TestSweepKilledAndResumed(t *testing.T) {
	for _, op := range []string{"commit", "scrub", "spool"} {
		for _, persisted := range []bool{false, true} {
			for _, failure := range []error{storage.ErrUnavailable, storage.ErrOutcomeUnknown} {
				t.Run(fmt.Sprintf("%s/persisted=%v/%v", op, persisted, failure), func(t *testing.T) {
					onEvery(t, func(t *testing.T, w *world) {
						id := w.overdue()
						if persisted {
							w.faults.set(nil, map[string]error{op: failure})
						} else {
							w.faults.set(map[string]error{op: failure}, nil)
						}
						_, _ = w.e.Sweep(t.Context(), admin, engine.Sweep{})
						if w.faults.calls(op) == 0 {
							t.Fatal("the faulty step is not reached")
						}
						if r, err := w.read(app, id, "provide", "person.phone"); err == nil && len(r.Data) > 0 {
							t.Fatal("readable past its deadline")
						}
						w.shut()
						w.faults.clear()
						w.start()
						w.expire()
						w.swept(id)
						if again := w.expire(); again.People != 0 || again.Later != 0 {
							t.Fatalf("swept again: %+v", again)
						}
					})
				})
			}
		}
	}
}

// What law retained of an erased person goes when its ground ends, the law key
// with the last of it; killed anywhere, the next sweep ends it.
func TestSweepOfTheErasedKilledAndResumed(t *testing.T) {
	for _, op := range []string{"destroy", "purge", "commit", "none"} {
		for _, persisted := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/persisted=%v", op, persisted), func(t *testing.T) {
				onEvery(t, func(t *testing.T, w *world) {
					ctx := t.Context()
					id := w.full()
					must2(w.e.Collect(ctx, app, put(id, "shop", items{"person.invoice": map[string]any{"currency": "HKD", "amount": "12.50"}})))(t)
					must2(w.e.Erase(ctx, admin, id))(t)
					w.jobEnded(id)
					w.clock.add(6 * 365 * day)
					if got := w.expire(); got.People != 0 {
						t.Fatalf("before its time: %+v", got)
					}
					if _, err := w.read(app, id, "books", "person.invoice"); err != nil {
						t.Fatalf("before its time: %v", err)
					}
					w.clock.add(370 * day)
					w.faults.kill(op, persisted)
					_, _ = w.e.Sweep(ctx, admin, engine.Sweep{})
					w.shut()
					w.faults.clear()
					w.start()
					w.expire()
					w.purged(id)
					w.gone(id)
				})
			})
		}
	}
}

// What a sweep reads and writes of a person is what is due, whatever else is
// held.
func TestSweepTouchesWhatIsDue(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		touched := map[int]int{}
		for _, n := range []int{1, 400} {
			id := w.overdue()
			list := make([]any, n)
			for i := range list {
				list[i] = map[string]int{"n": i}
			}
			more := put(id, "shop", items{"person.orders": list})
			more.Ref = "open"
			must2(w.e.Collect(t.Context(), app, more))(t)
			before := w.faults.touched()
			if got := w.expire(); got.People != 1 || got.Items["person.orders"] != 2 || got.Items["person.phone"] != 1 {
				t.Fatalf("swept %+v", got)
			}
			touched[n] = w.faults.touched() - before
		}
		if touched[1] != touched[400] || touched[1] == 0 {
			t.Errorf("beside 1 item the sweep touches %d, beside 400 it touches %d", touched[1], touched[400])
		}
	})
}

// A yes that came after the deadline was noted keeps the item, although it
// notes nothing anew: the sweep goes by what is so.
func TestSweepBelievesFactsNotHints(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		id := w.person(engine.NewSubject{})
		w.collect(id, "shop", items{"person.name": "Ann", "person.phone": []string{"+85291234567"}})
		must(t, w.e.RecordEvent(t.Context(), app, id, "order.closed", "", w.clock.now()))
		w.consent(id, "give")
		w.clock.add(366 * day)
		if got := w.expire(); got.People != 1 || len(got.Items) != 1 || got.Items["person.phone"] != 1 {
			t.Fatalf("swept %+v", got)
		}
		if _, err := w.read(app, id, "newsletter", "person.name"); err != nil {
			t.Fatal(err)
		}
		if again := w.expire(); again.People != 0 || again.Later != 0 {
			t.Fatalf("the hint was not set anew: %+v", again)
		}
		w.consent(id, "withdraw")
		if got := w.expire(); got.Items["person.name"] != 1 {
			t.Fatalf("after the no, swept %+v", got)
		}
	})
}

// Unlinked, nothing in the files, the log or the counts ties an item to its
// person, or tells its value.
func TestUnlinkedIsNobodys(t *testing.T) {
	for name, medium := range media {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			open, raw := medium(t)
			w := newWorld(t, open)
			text, err := os.ReadFile("testdata/policy/privacy.md")
			must(t, err)
			text = bytes.Replace(text, []byte("  at_most = obtained + 5 * years\n"), []byte("  at_most = obtained + 5 * years\n  then = unlink\n"), 1)
			_, _, err = w.e.Publish(ctx, admin, fstest.MapFS{"privacy.md": {Data: text}})
			must(t, err)
			set := &canary.Set{}
			for i := range 20 {
				id := w.overdue()
				l, err := w.store.Load(ctx, id, storage.Want{DueBy: w.clock.now()})
				must(t, err)
				for _, it := range l.Items {
					set.AddBytes(fmt.Sprint("sealed ", i), it.Sealed)
					set.AddBytes(fmt.Sprint("id ", i), it.ID[:])
					if it.Index != nil {
						set.AddBytes(fmt.Sprint("index ", i), it.Index)
					}
				}
			}
			if found := search(t, set, raw); found == 0 {
				t.Fatal("the search finds nothing before the sweep")
			}
			got := w.expire()
			if got.Unlinked["person.phone"] != 20 || got.Unlinked["person.orders"] != 40 || got.People != 20 {
				t.Fatalf("swept %+v", got)
			}
			w.clock.add(2 * time.Minute)
			eventually(t, "the counts are written", func() bool {
				rows, err := w.store.Counters(ctx, "person.orders")
				must(t, err)
				return len(rows) > 0
			})
			// All that is left of it: so many, of a month.
			for category, n := range map[abide.Category]int64{"person.phone": 20, "person.orders": 40} {
				rows, err := w.store.Counters(ctx, string(category))
				must(t, err)
				want := storage.Counter{Name: string(category), Value: "unlinked", Period: "2023-03", N: n}
				if len(rows) != 1 || rows[0] != want {
					t.Errorf("%s leaves %+v, want %+v", category, rows, want)
				}
			}
			if name == "sqlite" { // PostgreSQL keeps old row versions until it vacuums them
				if found := search(t, set, raw); found > 0 {
					t.Errorf("%d traces of what was unlinked are in the files", found)
				}
			}
		})
	}
}

// Holds are in the restore ledger: a backup from before one brings it back,
// with what it keeps.
func TestRestoreKeepsHolds(t *testing.T) {
	onEveryDeployment(t, func(t *testing.T, w *world, backup func(t *testing.T) func(t *testing.T) stores) {
		ctx := t.Context()
		id := w.overdue()
		copied := backup(t)
		must2(w.e.PlaceHold(ctx, admin, id, engine.Hold{Name: "claim 17", Categories: []abide.Category{"person.orders"}, Reason: "a claim"}))(t)
		if got := w.expire(); got.Items["person.phone"] != 1 || got.Items["person.orders"] != 0 {
			t.Fatalf("swept %+v", got)
		}
		w.restoreFrom(copied)
		// The phone number came back, unreadable, and goes again.
		_, err := w.read(app, id, "provide", "person.phone")
		wantReason(t, err, abide.DenyRetention)
		if got := w.expire(); got.Items["person.phone"] != 1 || got.Items["person.orders"] != 0 {
			t.Fatalf("after the restore, swept %+v", got)
		}
		r, err := w.e.Retention(ctx, admin, id)
		must(t, err)
		if len(r.Holds) != 1 || r.Holds[0].Name != "claim 17" || r.Holds[0].Reason != "a claim" || r.Holds[0].By != "lead" {
			t.Fatalf("holds %+v", r.Holds)
		}
		cert := val(w.e.Erase(ctx, admin, id))(t)
		if len(cert.Survives) != 1 || cert.Survives[0].What != "person.orders" || cert.Survives[0].Count != 2 || cert.Survives[0].Ground != "legal hold" {
			t.Fatalf("survives %+v", cert.Survives)
		}
	})
}

// A policy that keeps things shorter binds reads at once, and lets go what is
// past by it: the deadlines of people whom nothing happens to are armed anew.
func TestPublishingArmsDeadlinesAnew(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		id := w.person(engine.NewSubject{})
		w.collect(id, "shop", items{"person.phone": []string{"+85291234567"}})
		must2(w.e.ArmDeadlines(ctx))(t) // under the first policy
		w.clock.add(100 * day)
		publish := func(keep, prose string) {
			text, err := os.ReadFile("testdata/policy/privacy.md")
			must(t, err)
			text = bytes.Replace(text, []byte("at_most = obtained + 5 * years"), []byte("at_most = obtained + "+keep), 1)
			text = bytes.Replace(text, []byte("five years after we received them they go in any case"), []byte(prose), 1)
			_, _, err = w.e.Publish(ctx, admin, fstest.MapFS{"privacy.md": {Data: text}})
			must(t, err)
		}
		publish("5 * years", "five years after we received them they go, whatever happens")
		if n, err := w.e.ArmDeadlines(ctx); err != nil || n != 0 {
			t.Fatalf("a change of words armed %d, %v", n, err)
		}
		publish("90 * days", "ninety days after we received them they go in any case")
		_, err := w.read(app, id, "provide", "person.phone")
		wantReason(t, err, abide.DenyRetention)
		if got := w.expire(); got.People != 0 {
			t.Fatalf("swept by a hint that nobody had written: %+v", got)
		}
		w.faults.kill("commit", false)
		_, err = w.e.ArmDeadlines(ctx)
		if err == nil {
			t.Fatal("armed without a commit")
		}
		w.shut()
		w.faults.clear()
		w.start()
		if n, err := w.e.ArmDeadlines(ctx); err != nil || n != 1 {
			t.Fatalf("armed %d, %v", n, err)
		}
		if n, err := w.e.ArmDeadlines(ctx); err != nil || n != 0 {
			t.Fatalf("armed %d again, %v", n, err)
		}
		if got := w.expire(); got.Items["person.phone"] != 1 {
			t.Fatalf("swept %+v", got)
		}
	})
}
