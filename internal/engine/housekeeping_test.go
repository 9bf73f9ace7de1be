package engine_test

import (
	"slices"
	"testing"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/engine"
)

// keep does one round of housekeeping.
func (w *world) keep(want engine.Tidied) {
	w.t.Helper()
	got, err := w.e.Housekeep(w.t.Context())
	must(w.t, err)
	if got != want {
		w.t.Fatalf("housekeeping removed %+v, want %+v", got, want)
	}
}

// cutOff runs a request that dies with the operation, and starts anew.
func (w *world) cutOff(op string, request func() error) {
	w.t.Helper()
	w.faults.kill(op, false)
	err := request()
	if op != "confirm" && err == nil { // a look-up is confirmed after the answer is sure
		w.t.Fatalf("a request that died at %q succeeded", op)
	}
	w.faults.clear()
	w.restart()
}

func (w *world) unconfirmed() int {
	w.t.Helper()
	claims, err := w.store.Expired(w.t.Context(), w.clock.now().Add(1000*day), 100)
	must(w.t, err)
	return len(claims)
}

func (w *world) withKeys() []abide.SubjectID {
	w.t.Helper()
	ids, err := w.keys.Orphans(w.t.Context(), abide.SubjectID{}, 100)
	must(w.t, err)
	return ids
}

func TestHousekeepingForgetsAnswers(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		id := w.person(engine.NewSubject{})
		ask := func(name string) error {
			_, err := w.e.Collect(t.Context(), once(app, "key"), put(id, "shop", items{"person.name": name}))
			return err
		}
		must(t, ask("Ann"))
		w.clock.add(day - time.Second)
		w.keep(engine.Tidied{})
		wantError(t, ask("Bob"), abide.CodeConflict, "idempotency_mismatch")
		w.clock.add(time.Second)
		w.keep(engine.Tidied{Answers: 1})
		w.keep(engine.Tidied{})
		must(t, ask("Bob"))
	})
}

func TestHousekeepingGivesUpClaims(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		w.faults.distributed = true // elsewhere look-ups commit with their change
		id := w.person(engine.NewSubject{})
		w.collect(id, "shop", items{"person.email": "ann@example.test"})
		change := func(mail string) error {
			_, err := w.e.Collect(t.Context(), app, put(id, "shop", items{"person.email": mail}))
			return err
		}
		w.cutOff("commit", func() error { return change("never@example.test") })
		w.cutOff("confirm", func() error { return change("late@example.test") })
		if n := w.unconfirmed(); n != 2 {
			t.Fatalf("%d claims are not confirmed, want those of the two requests cut off", n)
		}
		w.clock.add(time.Hour)
		w.keep(engine.Tidied{}) // they expired half a minute too late for this round
		w.clock.add(time.Minute)
		w.keep(engine.Tidied{}) // seen
		w.keep(engine.Tidied{})
		w.keep(engine.Tidied{Claims: 1, Confirmed: 1})
		if n := w.unconfirmed(); n != 0 {
			t.Fatalf("%d claims are left", n)
		}
		found, err := w.e.Lookup(t.Context(), app, engine.Lookup{Category: "person.email", Value: []byte(`"late@example.test"`), Purpose: "provide"})
		must(t, err)
		if !slices.Equal(found, []abide.SubjectID{id}) {
			t.Fatalf("found %v, want the person whose claim was confirmed", found)
		}
	})
}

// TestErasureLeavesNoClaim erases a person one of whose writes was cut off
// between the claim and the item: no item tells the erasure of that claim.
func TestErasureLeavesNoClaim(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		w.faults.distributed = true // elsewhere look-ups commit with their change
		id := w.person(engine.NewSubject{})
		w.cutOff("commit", func() error {
			_, err := w.e.Collect(t.Context(), app, put(id, "shop", items{"person.email": "ann@example.test"}))
			return err
		})
		must2(w.e.Erase(t.Context(), self(id), id))(t)
		w.clock.add(2 * time.Hour)
		w.keep(engine.Tidied{})
		w.keep(engine.Tidied{})
		w.keep(engine.Tidied{Claims: 1})
		if n := w.unconfirmed(); n != 0 {
			t.Fatalf("%d claims of an erased person are left", n)
		}
	})
}
