package engine_test

import (
	"testing"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/engine"
	"github.com/abide-privacy/abide/internal/storage"
)

// olderKeys goes on with the data as it is beside an older copy of the keys.
func (w *world) olderKeys(copied func(t *testing.T) stores) {
	w.t.Helper()
	data, older := w.open, copied(w.t)
	w.shut()
	w.open = func(t *testing.T) (storage.Store, storage.KeyStore) {
		unused, keys := older(t)
		_ = unused.Close()
		store, wrong := data(t)
		_ = wrong.Close()
		return store, keys
	}
	w.start()
}

func (w *world) sweep(anew bool) engine.KeySweep {
	w.t.Helper()
	return val(w.e.SweepKeys(w.t.Context(), anew, nil))(w.t)
}

// Keys of people who are erased come back with an older copy of the key store.
// Until the sweep has come by, everything about these people is refused all the
// same; it destroys what came back and nothing else, and killed anywhere it
// goes on where it was.
func TestSweepOfKeysThatCameBack(t *testing.T) {
	onEveryDeployment(t, func(t *testing.T, w *world, backup func(t *testing.T) func(t *testing.T) stores) {
		ctx := t.Context()
		var erased, others []abide.SubjectID
		for range 3 {
			erased = append(erased, w.full0())
			others = append(others, w.full0())
		}
		retained := w.person(engine.NewSubject{})
		must2(w.e.Collect(ctx, app, engine.Collect{Subject: retained, Purpose: "books", Source: "till", Items: put(retained, "", items{"person.invoice": map[string]any{"currency": "HKD", "amount": "12.50"}}).Items}))(t)
		if s := w.sweep(false); s.Looked != 7 || s.Destroyed != 0 || s.Ended.IsZero() {
			t.Fatalf("a store to which nothing came back: %+v", s)
		}
		copied := backup(t)
		must2(w.e.Erase(ctx, admin, retained))(t)
		for _, id := range erased {
			must2(w.e.Erase(ctx, admin, id))(t)
			w.purged(id)
		}
		w.olderKeys(copied)
		if len(val(w.keys.Get(ctx, erased[0]))(t)) == 0 || w.replayed().Records != 0 {
			t.Fatal("no keys came back, or the start noticed")
		}
		w.gone(erased[0])
		wantError(t, w.e.RecordEvent(ctx, app, erased[0], "order.closed", "", w.clock.now()), abide.CodeErased, "subject_erased")

		// Nothing asks for it, and a month later it is due.
		if s := w.sweep(false); s.Destroyed != 0 {
			t.Fatalf("it is not due, and did %+v", s)
		}
		w.clock.add(31 * day)
		w.e.SweepBy(2)
		w.faults.set(map[string]error{"destroy": storage.ErrUnavailable}, nil)
		_, err := w.e.SweepKeys(ctx, false, nil)
		wantError(t, err, abide.CodeUnavailable, "storage_unavailable")
		w.faults.clear()
		destroyed := 0
		w.faults.once("destroy", func() { w.faults.kill("destroy", true) }) // that of the second person is the last thing done
		if _, err = w.e.SweepKeys(ctx, false, nil); err == nil {
			t.Fatal("it went on after its process had died")
		}
		for range 3 {
			if len(val(w.keys.Get(ctx, erased[destroyed]))(t)) > 0 {
				break
			}
			destroyed++
		}
		w.faults.clear()
		w.restart()
		w.e.SweepBy(2)
		st := val(w.e.RestoreState(ctx, admin))(t)
		if destroyed == 0 || destroyed == 3 || st.KeySweep.After == (abide.SubjectID{}) || !st.KeySweep.Ended.IsZero() {
			t.Fatalf("%d were destroyed when it was killed; it is remembered as %+v", destroyed, st.KeySweep)
		}
		seen := st.KeySweep.Looked
		first := true
		s := val(w.e.SweepKeys(ctx, false, func(s engine.KeySweep) {
			if first && s.Looked != seen+2 {
				t.Errorf("it had looked at %d people, and after one page more at %d", seen, s.Looked)
			}
			first = false
		}))(t)
		w.nothingOpens(erased...)
		if got := val(w.keys.Get(ctx, retained))(t); len(got) != 1 || got[0].Compartment != storage.Law {
			t.Fatalf("of whom law retains something there are keys %v", got)
		}
		for _, id := range others {
			must2(w.read(app, id, "provide", "person.name"))(t)
		}
		if s.Destroyed < 3 || s.Ended.IsZero() {
			t.Fatalf("%+v", s)
		}
		if ills := w.checkup(); len(ills) != 0 {
			t.Fatalf("the doctor says %v", ills)
		}
		w.clock.add(31 * day) // and then there is nothing to do
		if s := w.sweep(false); s.Destroyed != 0 || s.Looked != 4 {
			t.Fatalf("%+v", s)
		}
	})
}

// full0 is a person with a name.
func (w *world) full0() abide.SubjectID {
	w.t.Helper()
	w.clock.add(time.Second) // ids are in the order of their making
	id := w.person(engine.NewSubject{})
	w.collect(id, "shop", items{"person.name": "Di"})
	return id
}

// A replay makes a sweep due from the first id on, also one that was killed
// before its end, after which nothing is left to replay: and the restore counts.
func TestReplayThatIsKilledIsNoticed(t *testing.T) {
	for _, at := range []int{1, 2} { // during the first change, after it
		onEveryDeployment(t, func(t *testing.T, w *world, backup func(t *testing.T) func(t *testing.T) stores) {
			ctx := t.Context()
			id := w.person(engine.NewSubject{})
			w.consent(id, "give")
			w.sweep(false)
			copied := backup(t)
			w.clock.add(time.Hour)
			w.consent(id, "withdraw")
			w.shut()
			w.open = copied(t)
			w.faults.kill("commit", at == 2)
			if err := w.tryStart(); err == nil {
				t.Fatal("it serves after its process had died")
			}
			w.faults.clear()
			w.restart()
			st := val(w.e.RestoreState(ctx, admin))(t)
			if st.Generation != 2 {
				t.Fatalf("generation %d, want 2: %+v", st.Generation, st.Replayed)
			}
			if w.writesTo(id) {
				t.Fatal("the withdrawal is lost")
			}
			if s := w.sweep(false); s.Looked != 1 || s.Begun.Before(w.clock.now()) {
				t.Fatalf("the sweep %+v", s)
			}
			w.restart()
			if st := val(w.e.RestoreState(ctx, admin))(t); st.Generation != 2 {
				t.Fatalf("a start that brought nothing back counts as a restore: generation %d", st.Generation)
			}
		})
	}
}
