package engine_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/engine"
	"github.com/abide-privacy/abide/internal/storage"
)

func TestCreateSubject(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		first, err := w.e.CreateSubject(ctx, app, engine.NewSubject{Reference: "u-1", Jurisdiction: "HK"})
		must(t, err)
		if first.Existing {
			t.Fatal("a new subject is said to exist")
		}
		again, err := w.e.CreateSubject(ctx, app, engine.NewSubject{Reference: "u-1"})
		must(t, err)
		if again.ID != first.ID || !again.Existing {
			t.Fatalf("same reference again: %+v, want %s and existing", again, first.ID)
		}
		other, err := w.e.CreateSubject(ctx, app, engine.NewSubject{Reference: "U-1"})
		must(t, err)
		if other.ID == first.ID {
			t.Fatal("references that differ in case are one subject")
		}
		found, err := w.e.Lookup(ctx, app, engine.Lookup{Category: "~reference", Value: []byte(`"u-1"`)})
		must(t, err)
		if len(found) != 1 || found[0] != first.ID {
			t.Fatalf("found %v by reference", found)
		}

		_, err = w.e.Erase(ctx, admin, first.ID)
		must(t, err)
		anew, err := w.e.CreateSubject(ctx, app, engine.NewSubject{Reference: "u-1"})
		must(t, err)
		if anew.ID == first.ID || anew.Existing {
			t.Fatalf("after erasure the reference finds %+v", anew)
		}
	})
}

func TestCreateSubjectRefuses(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		for _, c := range []struct {
			name   string
			call   engine.Call
			n      engine.NewSubject
			code   abide.Code
			detail string
		}{
			{"nobody", engine.Call{}, engine.NewSubject{}, abide.CodeUnauthorized, "token_missing"},
			{"a person", self(abide.SubjectID{1}), engine.NewSubject{}, abide.CodeDenied, "actor_may_not"},
			{"unknown kind", app, engine.NewSubject{Kind: "dog"}, abide.CodeInvalid, "bad_kind"},
			{"place in words", app, engine.NewSubject{Jurisdiction: "Hong Kong"}, abide.CodeInvalid, "bad_place"},
			{"place in small letters", app, engine.NewSubject{Jurisdiction: "hk"}, abide.CodeInvalid, "bad_place"},
			{"whereabouts in words", app, engine.NewSubject{Whereabouts: "home"}, abide.CodeInvalid, "bad_place"},
			{"long reference", app, engine.NewSubject{Reference: string(make([]byte, 513))}, abide.CodeInvalid, "reference_too_long"},
		} {
			_, err := w.e.CreateSubject(t.Context(), c.call, c.n)
			if abide.ErrorCode(err) != c.code || abide.ErrorDetail(err) != c.detail {
				t.Errorf("%s: %v, want %s (%s)", c.name, err, c.code, c.detail)
			}
		}
	})
}

// Many callers that create a subject under one reference at the same time get
// one subject.
func TestConcurrentCreationsAreOne(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		var wg sync.WaitGroup
		ids := make([]abide.SubjectID, 24)
		errs := make([]error, len(ids))
		fresh := make([]bool, len(ids))
		for i := range ids {
			wg.Go(func() {
				got, err := w.e.CreateSubject(t.Context(), app, engine.NewSubject{Reference: "same"})
				ids[i], errs[i], fresh[i] = got.ID, err, !got.Existing
			})
		}
		wg.Wait()
		made := 0
		for i := range ids {
			must(t, errs[i])
			if ids[i] != ids[0] {
				t.Fatalf("two subjects: %s and %s", ids[i], ids[0])
			}
			if fresh[i] {
				made++
			}
		}
		if made != 1 {
			t.Fatalf("%d calls say that they made it", made)
		}
		rows, err := w.store.ListSubjects(t.Context(), abide.SubjectID{}, 10)
		must(t, err)
		if len(rows) != 1 {
			t.Fatalf("%d subjects in the store", len(rows))
		}
	})
}

func TestCreateSubjectIdempotency(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		n := engine.NewSubject{Jurisdiction: "HK"}
		a, err := w.e.CreateSubject(ctx, once(app, "k"), n)
		must(t, err)
		b, err := w.e.CreateSubject(ctx, once(app, "k"), n)
		must(t, err)
		if a != b {
			t.Fatalf("the retry answers %+v, the first try %+v", b, a)
		}
		_, err = w.e.CreateSubject(ctx, once(app, "k"), engine.NewSubject{Jurisdiction: "GB"})
		wantError(t, err, abide.CodeConflict, "idempotency_mismatch")
		elsewhere := once(app, "k")
		elsewhere.Token = "another"
		c, err := w.e.CreateSubject(ctx, elsewhere, n)
		must(t, err)
		if c.ID == a.ID {
			t.Fatal("keys of two tokens meet")
		}
	})
}

// A creation cut off anywhere, and tried again, leaves one subject.
func TestCreationCutOff(t *testing.T) {
	lost := storage.ErrOutcomeUnknown
	for _, c := range []struct {
		name          string
		before, after map[string]error
	}{
		{"claim not persisted", map[string]error{"claim": storage.ErrUnavailable}, nil},
		{"claim persisted", nil, map[string]error{"claim": storage.ErrUnavailable}},
		{"keys not persisted", map[string]error{"put keys": storage.ErrUnavailable}, nil},
		{"keys persisted", nil, map[string]error{"put keys": storage.ErrUnavailable}},
		{"subject not persisted", map[string]error{"commit": lost}, nil},
		{"subject persisted", nil, map[string]error{"commit": lost}},
		{"confirmation not persisted", map[string]error{"confirm": lost}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			onEvery(t, func(t *testing.T, w *world) {
				call, n := once(app, "k"), engine.NewSubject{Reference: "u-1"}
				w.faults.set(c.before, c.after)
				first, ferr := w.e.CreateSubject(t.Context(), call, n)
				w.faults.clear()
				w.restart()
				w.clock.add(time.Minute) // claims of the dead process have expired
				second, err := w.e.CreateSubject(t.Context(), call, n)
				must(t, err)
				if ferr == nil && second.ID != first.ID {
					t.Fatalf("acknowledged %s, then %s", first.ID, second.ID)
				}
				rows, err := w.store.ListSubjects(t.Context(), abide.SubjectID{}, 10)
				must(t, err)
				if len(rows) != 1 || rows[0].ID != second.ID {
					t.Fatalf("%d subjects in the store", len(rows))
				}
			})
		})
	}
}

// A node so slow that its claim expires before it commits claims again, and
// finds that another node was faster.
func TestLateClaim(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		other, err := engine.Open(t.Context(), engine.Options{Store: w.store, Keys: w.keys, Keyring: w.ring, Clock: w.clock.now})
		must(t, err)
		defer other.Close(t.Context())
		var faster engine.CreatedSubject
		w.faults.once("put keys", func() {
			w.clock.add(time.Minute)
			faster, err = other.CreateSubject(t.Context(), app, engine.NewSubject{Reference: "u-1"})
			must(t, err)
		})
		slow, err := w.e.CreateSubject(t.Context(), app, engine.NewSubject{Reference: "u-1"})
		must(t, err)
		if slow.ID != faster.ID || !slow.Existing {
			t.Fatalf("the slow node made %s, the fast one %s", slow.ID, faster.ID)
		}

		ann, bob := w.person(engine.NewSubject{}), w.person(engine.NewSubject{})
		w.faults.once("claim", func() { w.clock.add(25 * time.Second) })
		w.collect(ann, "chat", items{"person.account": "a"})
		_, err = w.e.Collect(t.Context(), app, put(bob, "chat", items{"person.account": "a"}))
		wantError(t, err, abide.CodeConflict, "value_taken")
	})
}

func TestStorageErrorsKeepTheirCause(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		w.faults.set(map[string]error{"commit": storage.ErrFull}, nil)
		_, err := w.e.CreateSubject(t.Context(), app, engine.NewSubject{})
		wantError(t, err, abide.CodeUnavailable, "disk_full")
		if !errors.Is(err, storage.ErrFull) {
			t.Fatal("the cause is lost")
		}
	})
}
