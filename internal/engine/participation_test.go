package engine_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/engine"
)

// chatUntilNo has the chat rest on a basis that holds until the person says no.
func (w *world) chatUntilNo() {
	w.t.Helper()
	w.publish(edit(w.t, "  basis = contract\n  keep  = obtained + 2 * years", "  basis = legitimate_interest\n  keep  = obtained + 2 * years"))
}

func (w *world) says(id abide.SubjectID, purpose abide.Purpose, action string) {
	w.t.Helper()
	req := say(id, action)
	req.Purpose = purpose
	must2(w.e.WriteConsent(w.t.Context(), app, req))(w.t)
}

// What is collected for a purpose alone could be for any service that serves it
// (CLAUSES C04): who left it is not written for by leaving its name out.
func TestClause_C04_CollectedForNoServiceNamed(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		ctx, id := t.Context(), w.person(engine.NewSubject{})
		req := put(id, "", items{"person.name": "Ann"})
		req.Purpose, req.Source = "provide", "call centre"
		_, err := w.e.Collect(ctx, app, req)
		wantReason(t, err, abide.DenyNotParticipating)

		must2(w.e.JoinService(ctx, app, id, "shop"))(t)
		w.clock.add(time.Second)
		must2(w.e.Collect(ctx, app, req))(t)

		must2(w.e.LeaveService(ctx, self(id), id, "shop"))(t)
		w.clock.add(time.Second)
		_, err = w.e.Collect(ctx, app, req)
		wantReason(t, err, abide.DenySourceStopped)
		if v := w.values(id, "provide", "person.name"); !slices.Equal(v, []string{`"Ann"`}) {
			t.Errorf("kept %v", v)
		}
		found, err := w.e.Findings(ctx, admin)
		must(t, err)
		if len(found) != 1 || found[0].Code != engine.FindingSourceMustStop || found[0].Name != "shop" || found[0].Count != 1 {
			t.Errorf("findings %+v, want the write raised for the service that was left", found)
		}

		// What law demands goes by no service.
		law := put(id, "", items{"person.invoice": map[string]any{"amount": "10.00", "currency": "HKD"}})
		law.Purpose = "books"
		must2(w.e.Collect(ctx, app, law))(t)
	})
}

// A two-party item that one of the parties refuses is kept for neither.
func TestTwoPartiesOneRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		refuse func(*world, abide.SubjectID)
		want   abide.ReasonCode
	}{
		"objected":   {func(w *world, id abide.SubjectID) { w.says(id, "chat", "object") }, abide.DenyObjected},
		"refused":    {func(w *world, id abide.SubjectID) { w.says(id, "chat", "refuse") }, abide.DenyRefused},
		"left":       {func(w *world, id abide.SubjectID) { leave(w, id) }, abide.DenySourceStopped},
		"restricted": {restrict, abide.DenyRestricted},
	} {
		t.Run(name, func(t *testing.T) {
			onEvery(t, func(t *testing.T, w *world) {
				w.chatUntilNo()
				ann, bob := w.person(engine.NewSubject{}), w.person(engine.NewSubject{})
				c.refuse(w, bob)
				w.clock.add(time.Second)
				for _, way := range [][2]abide.SubjectID{{ann, bob}, {bob, ann}} {
					req := put(way[0], "chat", items{"person.message": "hello"})
					req.Other = way[1]
					_, err := w.e.Collect(t.Context(), app, req)
					wantReason(t, err, c.want)
					if v, err := w.e.Subject(t.Context(), app, ann); err != nil || len(v.Holds) != 0 {
						t.Errorf("ann holds %v, %v: one refused, and something was kept", v.Holds, err)
					}
					if v, err := w.e.Subject(t.Context(), app, bob); err != nil || len(v.Holds) != 0 {
						t.Errorf("bob holds %v, %v: he refused", v.Holds, err)
					}
				}
				if k := w.kinds(bob); k[len(k)-1] != "refused" {
					t.Errorf("bob's log ends with %v: want the refusal on record", k)
				}

				// Who sends to him is not told what he decided.
				req := put(ann, "chat", items{"person.message": "hello"})
				req.Other = bob
				_, err := w.e.Collect(t.Context(), self(ann), req)
				wantError(t, err, abide.CodeDenied, "actor_may_not")
				if strings.Contains(err.Error(), string(c.want)) {
					t.Errorf("ann is told: %v", err)
				}
				notes, err := w.store.Records(t.Context(), "copy")
				must(t, err)
				if len(notes) != 0 {
					t.Errorf("%d notes of copies left", len(notes))
				}
			})
		})
	}
}

func leave(w *world, id abide.SubjectID) {
	w.t.Helper()
	must2(w.e.JoinService(w.t.Context(), app, id, "chat"))(w.t)
	w.clock.add(time.Second)
	must2(w.e.LeaveService(w.t.Context(), self(id), id, "chat"))(w.t)
}

func restrict(w *world, id abide.SubjectID) {
	w.t.Helper()
	yes := true
	must2(w.e.UpdateSubject(w.t.Context(), app, id, engine.SubjectPatch{Restricted: &yes}))(w.t)
}

// Who refuses between the two copies, while nobody is at work, gets none when
// the next process finishes what was begun.
func TestTwoPartiesRefusedBetween(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		w.chatUntilNo()
		ann, bob := w.person(engine.NewSubject{}), w.person(engine.NewSubject{})
		req := put(ann, "chat", items{"person.message": "hello"})
		req.Other = bob
		w.faults.kill("commit", true)
		if _, err := w.e.Collect(t.Context(), app, req); err == nil {
			t.Fatal("acknowledged with one copy")
		}
		w.shut()
		w.faults.clear()
		w.start() // the note is still left to the process that made it
		w.says(bob, "chat", "object")
		w.clock.add(2 * time.Minute)
		w.restart()
		if v, err := w.e.Subject(t.Context(), app, bob); err != nil || len(v.Holds) != 0 {
			t.Errorf("bob holds %v, %v: he objected before it was written", v.Holds, err)
		}
		if v := w.values(ann, "chat", "person.message"); len(v) != 1 {
			t.Errorf("ann has %v", v)
		}
		if k := w.kinds(bob); k[len(k)-1] != "refused" {
			t.Errorf("bob's log ends with %v", k)
		}
		notes, err := w.store.Records(t.Context(), "copy")
		must(t, err)
		if len(notes) != 0 {
			t.Errorf("%d notes left", len(notes))
		}
	})
}
