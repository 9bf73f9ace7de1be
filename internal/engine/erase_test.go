package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/engine"
	"github.com/abide-privacy/abide/internal/storage"
)

// full is a person of whom something of every kind is held.
func (w *world) full() abide.SubjectID {
	w.t.Helper()
	id := w.person(engine.NewSubject{Reference: "u-1"})
	w.collect(id, "shop", items{"person.name": "Ann", "person.email": "ann@example.test", "person.orders": map[string]int{"n": 1}})
	w.collect(id, "chat", items{"person.account": "ann"})
	w.consent(id, "give")
	must(w.t, w.e.RecordEvent(w.t.Context(), app, id, "order.closed", "1", time.Time{}))
	must2(w.read(app, id, "provide", "person.name"))(w.t)
	return id
}

// gone fails unless nothing can be done with an erased person.
func (w *world) gone(id abide.SubjectID) {
	w.t.Helper()
	ctx := w.t.Context()
	for _, purpose := range []abide.Purpose{"provide", "newsletter", "books", "chat"} {
		_, err := w.read(app, id, purpose, "person.name", "person.email")
		wantReason(w.t, err, abide.DenyErased)
	}
	_, err := w.e.Collect(ctx, app, put(id, "shop", items{"person.name": "Ann"}))
	wantError(w.t, err, abide.CodeErased, "subject_erased")
	_, err = w.e.WriteConsent(ctx, app, say(id, "give"))
	wantError(w.t, err, abide.CodeErased, "subject_erased")
	_, err = w.e.Consents(ctx, app, id)
	wantError(w.t, err, abide.CodeErased, "subject_erased")
	_, _, err = w.e.SubjectLog(ctx, self(id), id, engine.Page{})
	wantError(w.t, err, abide.CodeErased, "subject_erased")
	for _, l := range []engine.Lookup{{Category: "person.email", Value: []byte(`"ann@example.test"`), Purpose: "provide"},
		{Category: "person.account", Value: []byte(`"ann"`), Purpose: "chat"}, {Category: "~reference", Value: []byte(`"u-1"`)}} {
		if ids, err := w.e.Lookup(ctx, app, l); err != nil || len(ids) != 0 {
			w.t.Fatalf("found %v by %s, %v", ids, l.Category, err)
		}
	}
}

// eventually waits for background work, which has no clock of its own to move.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("not in time: %s", what)
		case <-tick.C:
		}
	}
}

// purged waits until the erasure's job ended, and fails if rows are left.
func (w *world) purged(id abide.SubjectID) {
	w.t.Helper()
	ctx := w.t.Context()
	w.jobEnded(id)
	l, err := w.store.Load(ctx, id, storage.Want{AllItems: true})
	must(w.t, err)
	if len(l.Items) != 0 || l.Subject.Sealed != nil || l.Subject.Law != nil {
		w.t.Fatalf("left: %d items, state %d bytes, law %d bytes", len(l.Items), len(l.Subject.Sealed), len(l.Subject.Law))
	}
	if k, err := w.keys.Get(ctx, id); err != nil || len(k) != 0 {
		w.t.Fatalf("keys left: %d, %v", len(k), err)
	}
	if ev, err := w.store.ConsentEvents(ctx, id, 0, 10); err != nil || len(ev) != 0 {
		w.t.Fatalf("ledger rows left: %d, %v", len(ev), err)
	}
}

// jobEnded waits until the erasure's job ended.
func (w *world) jobEnded(id abide.SubjectID) {
	w.t.Helper()
	eventually(w.t, "the erasure's job ends", func() bool {
		l, err := w.store.Load(w.t.Context(), id, storage.Want{Erasure: true})
		must(w.t, err)
		return l.Erasure != nil && l.Erasure.Step == storage.ErasureDone
	})
}

func TestErase(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		id := w.full()
		_, err := w.e.Erase(t.Context(), app, id)
		wantError(t, err, abide.CodeDenied, "actor_may_not")
		_, err = w.e.Certificate(t.Context(), admin, id)
		wantError(t, err, abide.CodeNotFound, "not_erased")

		cert, err := w.e.Erase(t.Context(), self(id), id)
		must(t, err)
		w.gone(id)
		if cert.Counts["person.email"] != 1 || cert.Counts["person.orders"] != 1 || len(cert.Counts) != 4 || len(cert.Survives) != 0 {
			t.Fatalf("certificate %+v", cert)
		}
		key := w.e.PublicKeys()[0].Key
		text, err := audit.Canonical(cert)
		must(t, err)
		must2(audit.VerifyCertificate(text, key))(t)

		batches, err := w.store.SpoolBatches(t.Context(), 1000)
		must(t, err)
		refused := 0
		for _, b := range batches {
			for _, l := range b.Looks {
				if l.Subject == id && l.Kind == "refused" {
					refused++
				}
			}
		}
		if refused < 6 {
			t.Fatalf("%d refusals about the erased person on record, want every read and write", refused)
		}
		again, err := w.e.Erase(t.Context(), admin, id)
		must(t, err)
		stored, err := w.e.Certificate(t.Context(), self(id), id)
		must(t, err)
		for _, c := range []engine.Certificate{again, stored} {
			if got, _ := audit.Canonical(c); string(got) != string(text) {
				t.Fatalf("another certificate: %s, first %s", got, text)
			}
		}
		w.purged(id)
		w.gone(id)
		if v, err := w.e.Subject(t.Context(), admin, id); err != nil || v.Status != abide.StatusErased || len(v.Holds) != 0 || v.Erasure != "done" {
			t.Fatalf("subject %+v, %v", v, err)
		}
		entries, err := w.store.Entries(t.Context(), id, 0, 100)
		must(t, err)
		var kinds []string
		for _, e := range entries {
			kinds = append(kinds, e.Kind)
		}
		if n := len(kinds); kinds[n-2] != "erasure_intent" || kinds[n-1] != "erased" {
			t.Fatalf("log %v", kinds)
		}
	})
}

// A process killed at any step of an erasure, before or after the step was
// persisted, leaves it to the next one to finish. From the durable intent on,
// nothing is readable; what was acknowledged stays.
func TestErasureKilledAndResumed(t *testing.T) {
	dead := storage.ErrUnavailable
	lost := storage.ErrOutcomeUnknown
	for _, op := range []string{"commit intent", "destroy", "commit certified", "purge", "scrub", "commit done"} {
		for _, persisted := range []bool{false, true} {
			for _, failure := range []error{dead, lost} {
				name := fmt.Sprintf("%s/persisted=%v/%s", op, persisted, strings.TrimPrefix(failure.Error(), "storage: "))
				t.Run(name, func(t *testing.T) {
					onEvery(t, func(t *testing.T, w *world) {
						id := w.full()
						if persisted {
							w.faults.set(nil, map[string]error{op: failure})
						} else {
							w.faults.set(map[string]error{op: failure}, nil)
						}
						cert, err := w.e.Erase(t.Context(), admin, id)
						if err == nil {
							w.gone(id) // acknowledged
						}
						eventually(t, "the faulty step is reached", func() bool { return w.faults.calls(op) > 0 })
						intent := op != "commit intent" || persisted
						if intent {
							if _, rerr := w.read(app, id, "provide", "person.name"); rerr == nil {
								t.Fatal("readable after the intent was durable")
							}
						}
						w.shut()
						w.faults.clear()
						w.start() // Open recovers
						if intent {
							w.gone(id)
						}
						again, aerr := w.e.Erase(t.Context(), admin, id)
						must(t, aerr)
						if err == nil && again.ID != cert.ID {
							t.Fatalf("acknowledged certificate %s, now %s", cert.ID, again.ID)
						}
						w.purged(id)
						w.gone(id)
					})
				})
			}
		}
	}
}

// What law demands outlives the erasure for that purpose alone, until its
// ground ends, and the certificate says so.
func TestLawRetains(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		id := w.full()
		invoice := put(id, "shop", items{"person.invoice": map[string]any{"currency": "HKD", "amount": "12.50"}})
		invoice.Ref = "1"
		must2(w.e.Collect(t.Context(), app, invoice))(t)
		obtained := w.clock.now()
		cert, err := w.e.Erase(t.Context(), admin, id)
		must(t, err)
		if len(cert.Survives) != 2 || cert.Survives[0].What != "person.invoice" || cert.Survives[0].Ground != "HK, Inland Revenue Ordinance s.51C" ||
			cert.Survives[0].Clause != "privacy#books" || cert.Survives[0].Count != 1 || !cert.Survives[0].Until.Equal(obtained.AddDate(7, 0, 0)) {
			t.Fatalf("survives %+v", cert.Survives)
		}
		w.gone(id)
		eventually(t, "the erasure's job ends", func() bool {
			l, err := w.store.Load(t.Context(), id, storage.Want{Erasure: true, AllItems: true})
			must(t, err)
			return l.Erasure.Step == storage.ErasureDone && len(l.Items) == 1
		})
		got, err := w.read(app, id, "books", "person.invoice")
		must(t, err)
		if len(got.Data["person.invoice"]) != 1 {
			t.Fatalf("the books lost the invoice: %v", got.Data)
		}
		_, err = w.read(app, id, "provide", "person.invoice")
		wantReason(t, err, abide.DenyErased)
		w.clock.add(8 * 365 * day)
		_, err = w.read(app, id, "books", "person.invoice")
		wantReason(t, err, abide.DenyErased)
	})
}

// Each party erases their own copy of a message, not the other's.
func TestTwoParties(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		ann, bob := w.person(engine.NewSubject{}), w.person(engine.NewSubject{Kind: abide.Other})
		req := put(ann, "chat", items{"person.message": "hello", "person.account": "ann"})
		req.Other = bob
		got, err := w.e.Collect(t.Context(), once(app, "k"), req)
		must(t, err)
		again, err := w.e.Collect(t.Context(), once(app, "k"), req)
		must(t, err)
		if !slices.Equal(got.Items, again.Items) {
			t.Fatalf("the retry kept %v, the first try %v", again.Items, got.Items)
		}
		for _, id := range []abide.SubjectID{ann, bob} {
			if v := w.values(id, "chat", "person.message"); !slices.Equal(v, []string{`"hello"`}) {
				t.Fatalf("copies of %s: %v", id, v)
			}
		}
		if v := w.values(bob, "chat", "person.account"); v != nil {
			t.Fatalf("bob got ann's account: %v", v)
		}
		must2(w.e.Erase(t.Context(), admin, ann))(t)
		if v := w.values(bob, "chat", "person.message"); len(v) != 1 {
			t.Fatalf("bob's copy went with ann: %v", v)
		}
		alone := put(bob, "shop", items{"person.name": "Bob"})
		alone.Other = ann
		_, err = w.e.Collect(t.Context(), app, alone)
		wantError(t, err, abide.CodeErased, "subject_erased")
		alone.Other = w.person(engine.NewSubject{})
		_, err = w.e.Collect(t.Context(), app, alone)
		wantError(t, err, abide.CodeInvalid, "no_second_party")
	})
}

// A process killed between the two copies leaves a note, and the next one
// finishes.
func TestTwoPartiesKilled(t *testing.T) {
	for name, persisted := range map[string]bool{"first copy not persisted": false, "first copy persisted": true} {
		t.Run(name, func(t *testing.T) {
			onEvery(t, func(t *testing.T, w *world) {
				ann, bob := w.person(engine.NewSubject{}), w.person(engine.NewSubject{})
				req := put(ann, "chat", items{"person.message": "hello"})
				req.Other = bob
				w.faults.kill("commit", persisted)
				_, err := w.e.Collect(t.Context(), once(app, "k"), req)
				if err == nil {
					t.Fatal("acknowledged with one copy")
				}
				w.shut()
				w.faults.clear()
				w.clock.add(2 * time.Minute)
				w.start()
				a, b := w.values(ann, "chat", "person.message"), w.values(bob, "chat", "person.message")
				if !slices.Equal(a, b) || (len(a) == 1) != persisted {
					t.Fatalf("ann has %v, bob has %v", a, b)
				}
				must2(w.e.Collect(t.Context(), once(app, "k"), req))(t)
				a, b = w.values(ann, "chat", "person.message"), w.values(bob, "chat", "person.message")
				if len(a) != 1 || len(b) != 1 {
					t.Fatalf("after the retry ann has %v, bob has %v", a, b)
				}
				notes, err := w.store.Records(t.Context(), "copy")
				must(t, err)
				if len(notes) != 0 {
					t.Fatalf("%d notes left", len(notes))
				}
			})
		})
	}
}

// The certificate, and what the store keeps in clear about an erased person,
// holds no value of theirs.
func TestCertificateTellsNothing(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		id := w.full()
		cert, err := w.e.Erase(t.Context(), admin, id)
		must(t, err)
		text, err := json.Marshal(cert)
		must(t, err)
		for _, v := range []string{"Ann", "ann@example", "u-1"} {
			if strings.Contains(string(text), v) {
				t.Errorf("the certificate holds %q", v)
			}
		}
	})
}
