package engine_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/engine"
	"github.com/abide-privacy/abide/internal/storage"
)

// row is a row of an import with a mail address and a consent to the
// newsletter, given on a day of 2025.
func row(n int64, reference, mail string, day int) engine.ImportPerson {
	raw, err := json.Marshal(mail)
	if err != nil {
		panic(err)
	}
	return engine.ImportPerson{Row: n, Reference: reference, Jurisdiction: "HK", Items: map[abide.Category]json.RawMessage{"person.email": raw},
		Consents: []engine.ImportConsent{{Purpose: "newsletter", Action: "give", Grade: abide.GradeClaimed,
			At: time.Date(2025, 1, day, 0, 0, 0, 0, time.UTC)}}}
}

func (w *world) imports(id string, people ...engine.ImportPerson) []engine.ImportOutcome {
	w.t.Helper()
	out, err := w.e.Import(w.t.Context(), admin, engine.Import{ID: id, Service: "shop", People: people,
		Evidence: map[abide.Purpose]engine.ImportEvidence{"newsletter": {Separate: true}}})
	must(w.t, err)
	if len(out) != len(people) {
		w.t.Fatalf("%d outcomes for %d rows", len(out), len(people))
	}
	return out
}

// everyone lists the subjects that are persons.
func (w *world) everyone() []storage.SubjectRow {
	w.t.Helper()
	rows, err := w.store.ListSubjects(w.t.Context(), abide.SubjectID{}, 1000)
	must(w.t, err)
	return rows
}

func (w *world) byReference(ref string) abide.SubjectID {
	w.t.Helper()
	got, err := w.e.CreateSubject(w.t.Context(), app, engine.NewSubject{Reference: ref})
	must(w.t, err)
	if !got.Existing {
		w.t.Fatalf("nobody had the reference %s", ref)
	}
	return got.ID
}

// A row is taken in once, however often and in whatever company it is sent.
func TestImportTakesARowInOnce(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		var people []engine.ImportPerson
		for i := range int64(20) {
			people = append(people, row(i+2, fmt.Sprint("c-", i), fmt.Sprintf("p%d@example.test", i), 3))
		}
		for _, o := range w.imports("one", people[:12]...) {
			if o.Code != "" || o.Repeated {
				t.Errorf("first time: %+v", o)
			}
		}
		for i, o := range w.imports("one", people...) {
			if o.Code != "" || o.Repeated != (i < 12) {
				t.Errorf("second time, row %d: %+v", i, o)
			}
		}
		if n := len(w.everyone()); n != 20 {
			t.Errorf("%d subjects, want 20", n)
		}
		for _, s := range w.everyone() {
			if s.ConsentN != 1 || s.Version != 1 {
				t.Errorf("a subject has %d consent events after %d changes, want 1 after 1", s.ConsentN, s.Version)
			}
		}
		v, err := w.e.Consents(t.Context(), app, w.byReference("c-19"))
		must(t, err)
		if len(v.Events) != 1 || !v.Events[0].Evidence.Separate || v.Events[0].Grade != abide.GradeClaimed {
			t.Errorf("the ledger says %+v", v.Events)
		}
	})
}

// Rows of one person take effect in their order, within a batch too.
func TestImportKeepsTheOrderOfAPersonsRows(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		out := w.imports("one", row(2, "c", "first@example.test", 3), row(3, "c", "second@example.test", 4), row(4, "c", "third@example.test", 5))
		for _, o := range out {
			if o.Code != "" {
				t.Errorf("%+v", o)
			}
		}
		all := w.everyone()
		if len(all) != 1 || all[0].ConsentN != 3 {
			t.Fatalf("%d subjects, want one with three consent events", len(all))
		}
		// Sent again a month later, by a run that goes on: still once.
		w.clock.add(30 * day)
		for _, o := range w.imports("one", row(3, "c", "second@example.test", 4)) {
			if o.Code != "" || !o.Repeated {
				t.Errorf("again: %+v", o)
			}
		}
		// Another file that says what the ledger ends with adds no event.
		w.imports("two", row(9, "c", "third@example.test", 5))
		if all = w.everyone(); all[0].ConsentN != 3 {
			t.Errorf("%d consent events, want 3", all[0].ConsentN)
		}
	})
}

// A row that does not fit has a code, leaves nothing, and harms no other.
func TestImportRefusesRowByRow(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		indicated := row(4, "c-3", "three@example.test", 3)
		indicated.Consents[0].Action = "indicate_no_objection"
		told := row(5, "c-4", "four@example.test", 3)
		told.Consents = append([]engine.ImportConsent{{Purpose: "newsletter", Action: "tell", Grade: abide.GradeClaimed,
			At: time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)}}, told.Consents...)
		told.Consents[1].Action = "indicate_no_objection"
		out := w.imports("one", row(2, "c-1", "not-an-address", 3), row(3, "", "two@example.test", 3), indicated, told)
		want := []engine.ImportOutcome{{Row: 2, Code: "bad_email", Field: "person.email"}, {Row: 3, Code: "no_reference"},
			{Row: 4, Code: "not_told", Field: "newsletter"}, {Row: 5}}
		for i := range want {
			if out[i] != want[i] {
				t.Errorf("got %+v, want %+v", out[i], want[i])
			}
		}
		if n := len(w.everyone()); n != 1 {
			t.Errorf("%d subjects, want the one whose row fits", n)
		}
	})
}

// Killed at any step, before or after it is durable: the same rows again, once
// what the dead run claimed has expired, are all there and there once.
func TestImportGoesOnWhereverItWasKilled(t *testing.T) {
	for _, op := range []string{"put keys", "claim", "commit", "confirm"} {
		for _, persisted := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s persisted %t", op, persisted), func(t *testing.T) {
				onEvery(t, func(t *testing.T, w *world) {
					people := []engine.ImportPerson{row(2, "c-1", "one@example.test", 3), row(3, "c-2", "two@example.test", 3), row(4, "c-3", "three@example.test", 3)}
					w.faults.kill(op, persisted)
					_, err := w.e.Import(t.Context(), admin, engine.Import{ID: "one", Service: "shop", People: people})
					if err == nil && op != "confirm" {
						t.Fatal("the import outlived its process")
					}
					w.faults.clear()
					w.restart()
					w.clock.add(time.Minute)
					for _, o := range w.imports("one", people...) {
						if o.Code != "" {
							t.Errorf("%+v", o)
						}
					}
					all := w.everyone()
					for _, s := range all {
						if s.ConsentN != 1 {
							t.Errorf("a subject has %d consent events, want 1", s.ConsentN)
						}
					}
					if len(all) != 3 {
						t.Errorf("%d subjects, want 3", len(all))
					}
				})
			})
		}
	}
}

// A value that only one person may bear goes to the first row that brings it.
func TestImportKeepsUniqueValuesUnique(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		first, second := row(2, "c-1", "one@example.test", 3), row(3, "c-2", "two@example.test", 3)
		first.Items["person.account"], second.Items["person.account"] = json.RawMessage(`"A-1"`), json.RawMessage(`"A-1"`)
		out := w.imports("one", first, second)
		if out[0].Code != "" || out[1].Code != "value_taken" || out[1].Field != "person.account" {
			t.Errorf("got %+v", out)
		}
		out = w.imports("two", second)
		if out[0].Code != "value_taken" || len(w.everyone()) != 1 {
			t.Errorf("another import: %+v", out)
		}
	})
}
