package engine_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/engine"
	"github.com/abide-privacy/abide/internal/storage"
)

func (w *world) segments() int {
	w.t.Helper()
	all, err := filepath.Glob(filepath.Join(w.place, "*.segment"))
	must(w.t, err)
	return len(all)
}

// restoreRefused fails unless a copy is refused for its age.
func (w *world) restoreRefused(copied func(t *testing.T) stores) {
	w.t.Helper()
	back := w.open
	w.shut()
	w.open = copied(w.t)
	err := w.tryStart()
	wantError(w.t, err, abide.CodeConflict, "backup_too_old")
	w.e = nil
	w.shut()
	w.open = back
	w.start()
}

// What lies before the declared backup window is pruned. A backup from within
// the window is restored as ever, one from before it is refused, whatever a
// pruning that was killed has left; and the store itself is never refused.
func TestLedgerIsPruned(t *testing.T) {
	onEveryDeployment(t, func(t *testing.T, w *world, backup func(t *testing.T) func(t *testing.T) stores) {
		ctx := t.Context()
		erased, withdrawn := w.full0(), w.person(engine.NewSubject{})
		w.consent(withdrawn, "give")
		before := backup(t)
		must2(w.e.Erase(ctx, admin, erased))(t)
		w.purged(erased)
		w.restart() // ends the segment
		within := backup(t)
		w.clock.add(20 * day)
		w.consent(withdrawn, "withdraw")
		w.restart()
		w.clock.add(11*day - time.Second)
		w.keep(engine.Tidied{})
		w.clock.add(2 * time.Second)
		w.keep(engine.Tidied{}) // nobody said how long backups are kept
		must(t, w.e.SetBackupWindow(ctx, admin, 31))
		w.keep(engine.Tidied{})
		must(t, w.e.SetBackupWindow(ctx, admin, 30))

		w.seen = val(w.e.LedgerSeen(ctx))(t) // kept outside, it must not miss what is pruned
		prune := func() error { _, err := w.e.Housekeep(ctx); return err }
		for _, c := range []struct {
			op        string
			persisted bool
		}{{"prune", false}, {"prune", true}, {"drop record", false}} {
			w.faults.kill(c.op, c.persisted)
			if prune() == nil {
				t.Fatalf("a round that died at %q ended", c.op)
			}
			w.faults.clear()
			w.restart()
			if w.e.Gap() != nil {
				t.Fatalf("killed at %q: %+v", c.op, w.e.Gap())
			}
		}
		w.keep(engine.Tidied{})
		if n := w.segments(); n != 1 {
			t.Fatalf("%d segments are left, want that of the withdrawal", n)
		}
		if rows := val(w.store.Records(ctx, "restore_ledger"))(t); len(rows) != 2 {
			t.Fatalf("%d marks, want one, and what the store knows of its ledger", len(rows))
		}
		if ills := w.checkup(); len(ills) > 0 {
			t.Fatalf("the doctor says %v", ills)
		}
		after := backup(t)

		w.restoreRefused(before)
		w.restoreFrom(within)
		w.gone(erased)
		if w.e.Gap() != nil || w.writesTo(withdrawn) || w.replayed().Changed != 1 {
			t.Fatalf("from within the window: gap %v, %+v", w.e.Gap(), w.replayed())
		}
		w.keep(engine.Tidied{}) // it learns of the pruning
		w.restoreFrom(after)
		w.gone(erased)
		if w.e.Gap() != nil || w.writesTo(withdrawn) {
			t.Fatal("from after the pruning")
		}

		// Years later the ledger does not even tell any more what is gone; what is
		// remembered outside is of today.
		w.seen = nil
		for range 3 {
			w.clock.add(40 * day)
			w.consent(withdrawn, "give")
			w.consent(withdrawn, "withdraw")
			w.restart()
			must(t, prune())
		}
		w.restoreRefused(within)
		w.restart()
		if w.e.Gap() != nil {
			t.Fatalf("%+v", w.e.Gap())
		}
		raw := val(os.ReadFile(filepath.Join(w.place, "pruned.json")))(t)

		// Without the note, what is missing is a gap.
		w.shut()
		must(t, os.WriteFile(filepath.Join(w.place, "pruned.json"), slices.Concat(raw[:len(raw)/2], []byte("0"), raw[len(raw)/2:]), 0o600))
		w.open = within(t)
		must(t, w.tryStart())
		if g := w.e.Gap(); g == nil || g.Why != engine.GapLedgerShort {
			t.Fatalf("an edited note, and the gap is %+v", g)
		}
	})
}

// A process that goes on for long ends its segments, so that they can be pruned.
func TestLongRunningProcessIsPruned(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		must(t, w.e.SetBackupWindow(ctx, admin, 0))
		id := w.person(engine.NewSubject{})
		var first string
		for range 4 {
			w.consent(id, "give")
			w.consent(id, "withdraw")
			w.e.KeepMark(ctx)
			if first == "" {
				first = val(filepath.Glob(filepath.Join(w.place, "*.segment")))(t)[0]
			}
			w.clock.add(day)
			must2(w.e.Housekeep(ctx))(t)
		}
		if _, err := os.Stat(first); err == nil || w.segments() != 1 {
			t.Fatalf("%d segments, want that of the last day", w.segments())
		}
		w.restart()
		if g := w.e.Gap(); g != nil {
			t.Fatalf("%+v", g)
		}
		w.faults.set(nil, map[string]error{"prune": storage.ErrUnavailable})
		w.clock.add(3 * day)
		if _, err := w.e.Housekeep(ctx); err == nil {
			t.Fatal("a pruning that failed is not told")
		}
	})
}
