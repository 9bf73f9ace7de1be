package engine_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/engine"
	"github.com/abide-privacy/abide/internal/keys"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/storage/faultstore"
)

// fileWorld is a deployment whose keyring lies in a file, as in operation.
func fileWorld(t *testing.T, open stores) (*world, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keyring.json")
	ring, err := keys.Create(path)
	must(t, err)
	w := &world{t: t, open: open, ring: ring, faults: &faults{}, clock: &clock{t: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}}
	w.start()
	must(t, w.e.SetBackupWindow(t.Context(), admin, 30))
	_, _, err = w.e.Publish(t.Context(), admin, os.DirFS("testdata/policy"))
	must(t, err)
	t.Cleanup(w.shut)
	return w, path
}

func onEveryFile(t *testing.T, scenario func(t *testing.T, w *world, keyring string)) {
	for name, fresh := range backends {
		t.Run(name, func(t *testing.T) {
			w, path := fileWorld(t, fresh(t))
			scenario(t, w, path)
		})
	}
}

// second is another node of the deployment, with a keyring of its own read
// from the same file.
func (w *world) second(path string, f *faultstore.Faults) *engine.Engine {
	w.t.Helper()
	ring, err := keys.Open(path)
	must(w.t, err)
	s, k := w.open(w.t)
	if f != nil {
		s, k = f.Store(s), f.Keys(k)
	}
	e, err := engine.Open(context.WithoutCancel(w.t.Context()), engine.Options{Store: s, Keys: k, Keyring: ring, Clock: w.clock.now, Node: "n2"})
	must(w.t, err)
	w.t.Cleanup(func() {
		_ = e.Close(context.Background())
		_ = s.Close()
		_ = k.Close()
	})
	return e
}

func (w *world) people(n int) []abide.SubjectID {
	w.t.Helper()
	ids := make([]abide.SubjectID, n)
	for i := range ids {
		ids[i] = w.person(engine.NewSubject{Reference: fmt.Sprint("ref-", w.ring.Generation(), "-", w.clock.now().Unix(), "-", i)})
		w.collect(ids[i], "shop", items{"person.name": fmt.Sprint("Name ", i), "person.email": fmt.Sprintf("p%d@example.test", i)})
	}
	return ids
}

func (w *world) readable(e *engine.Engine, ids []abide.SubjectID) {
	w.t.Helper()
	for i, id := range ids {
		got, err := e.ReadData(w.t.Context(), app, engine.Read{Subject: id, Purpose: "provide", Categories: []abide.Category{"person.name"}})
		must(w.t, err)
		if len(got.Data["person.name"]) != 1 || string(got.Data["person.name"][0].Value) != fmt.Sprintf("%q", fmt.Sprint("Name ", i)) {
			w.t.Fatalf("person %d reads as %v", i, got.Data["person.name"])
		}
	}
}

func TestRotationWrapsEverythingAnewAndDestroysTheOldEpochInTime(t *testing.T) {
	onEveryFile(t, func(t *testing.T, w *world, path string) {
		ctx := t.Context()
		ids := w.people(5)
		old := w.ring.PrimaryKEK()
		other := w.second(path, nil)
		var seen []engine.Progress
		got, err := w.e.RotateKEK(ctx, admin, engine.RotateKeys{Progress: func(p engine.Progress) { seen = append(seen, p) }})
		must(t, err)
		if got.Key == old || got.Rewrapped != 15 || len(got.Emptied) != 1 || got.Emptied[0] != old || got.Destroyed != nil || got.Resumed {
			t.Fatalf("rotation: %+v", got)
		}
		if len(seen) == 0 || seen[len(seen)-1] != (engine.Progress{Step: "rewrap", Done: 15, Total: 15}) {
			t.Errorf("progress: %+v", seen)
		}
		w.readable(w.e, ids)
		w.readable(other, ids) // it meets a key it does not know, and loads it
		// A node that has not noticed wraps by the old key: it is told.
		late := w.second(path, nil)
		must2(w.e.RotateKEK(ctx, admin, engine.RotateKeys{}))(t)
		made, err := late.CreateSubject(ctx, app, engine.NewSubject{Reference: "late"})
		must(t, err)
		for _, k := range must1(w.keys.Get(ctx, made.ID))(t) {
			if k.KEK != w.ring.PrimaryKEK() {
				t.Errorf("the late node wrapped by %s", k.KEK)
			}
		}
		_, err = w.e.DestroyEpochs(ctx, admin, engine.DestroyEpochs{ID: old})
		wantError(t, err, abide.CodeConflict, "backup_window")
		_, err = w.e.DestroyEpochs(ctx, admin, engine.DestroyEpochs{ID: old, Now: true})
		wantError(t, err, abide.CodeInvalid, "reason_missing")
		_, err = w.e.DestroyEpochs(ctx, admin, engine.DestroyEpochs{ID: w.ring.PrimaryKEK()})
		wantError(t, err, abide.CodeConflict, "epoch_in_use")
		_, err = w.e.DestroyEpochs(ctx, app, engine.DestroyEpochs{})
		wantError(t, err, abide.CodeDenied, "actor_may_not")
		w.clock.add(30*day - time.Second)
		if gone := must1(w.e.DestroyEpochs(ctx, admin, engine.DestroyEpochs{}))(t); len(gone) != 0 {
			t.Errorf("destroyed a second before its time: %v", gone)
		}
		w.clock.add(time.Second)
		if gone := must1(w.e.DestroyEpochs(ctx, admin, engine.DestroyEpochs{}))(t); len(gone) != 2 || gone[0] != old {
			t.Errorf("destroyed %v", gone)
		}
		w.readable(w.e, ids)
		w.restart()
		w.readable(w.e, ids)
		raw, err := os.ReadFile(path)
		must(t, err)
		st := must1(w.e.KeyStatus(ctx, admin))(t)
		if len(st.Epochs) != 3 || st.Epochs[0].State != "destroyed" || st.Epochs[2].State != "current" || st.Epochs[2].Keys != 18 || !bytes.Contains(raw, []byte(old)) {
			t.Errorf("status: %+v", st)
		}
	})
}

func must1[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T { t.Helper(); must(t, err); return v }
}

// Killed before or after any of its writes, a rotation goes on to the same
// end: everybody readable, nothing under the old key, no erased key back.
func TestRotationKilledAtEveryStep(t *testing.T) {
	onEveryFile(t, func(t *testing.T, w *world, path string) {
		ctx := t.Context()
		ids := w.people(3)
		gone := w.person(engine.NewSubject{})
		must2(w.e.Erase(ctx, admin, gone))(t)
		steps := 0
		for _, when := range []faultstore.When{faultstore.NotPersisted, faultstore.Persisted} {
			for n := 1; ; n++ {
				f := faultstore.New()
				node := w.second(path, f)
				f.FailWrite(n, when, storage.ErrUnavailable)
				before := must1(keys.Open(path))(t).Epochs()
				_, err := node.RotateKEK(ctx, admin, engine.RotateKeys{})
				if f.Failed() == 0 {
					must(t, err)
					break
				}
				steps++
				_ = err // a kill in the spool may be retried and succeed
				f.Heal()
				_ = node.Close(context.Background())
				must2(w.e.RotateKEK(ctx, admin, engine.RotateKeys{}))(t)
				w.readable(w.e, ids)
				after := w.ring.Epochs()
				if len(after) <= len(before) {
					t.Fatalf("%v, write %d: no new epoch", when, n)
				}
				counts := must1(w.keys.WrappedBy(ctx))(t)
				if len(counts) != 1 || counts[w.ring.PrimaryKEK()] != 9 {
					t.Fatalf("%v, write %d: wrapped by %v, primary %s", when, n, counts, w.ring.PrimaryKEK())
				}
				for _, ep := range after[:len(after)-1] {
					if ep.Emptied.IsZero() {
						t.Fatalf("%v, write %d: epoch %s is not noted as emptied", when, n, ep.ID)
					}
				}
			}
		}
		if steps < 8 {
			t.Errorf("only %d steps were broken", steps)
		}
		if left := must1(w.keys.Get(ctx, gone))(t); len(left) != 0 {
			t.Errorf("keys of an erased person: %d", len(left))
		}
	})
}

// People are erased, and others come, while everything is wrapped anew.
func TestRotationNeverBringsADestroyedKeyBack(t *testing.T) {
	onEveryFile(t, func(t *testing.T, w *world, path string) {
		ctx := t.Context()
		ids := w.people(12)
		node := w.second(path, nil)
		var wg sync.WaitGroup
		errs := make(chan error, 100)
		for _, id := range ids[6:] {
			wg.Go(func() { _, err := node.Erase(ctx, admin, id); errs <- err })
		}
		for range 3 {
			wg.Go(func() { _, err := w.e.RotateKEK(ctx, admin, engine.RotateKeys{}); errs <- err })
			wg.Go(func() {
				_, err := node.CreateSubject(ctx, app, engine.NewSubject{})
				errs <- err
			})
		}
		wg.Wait()
		close(errs)
		for err := range errs {
			must(t, err)
		}
		must2(w.e.RotateKEK(ctx, admin, engine.RotateKeys{}))(t)
		w.readable(w.e, ids[:6])
		for _, id := range ids[6:] {
			if left := must1(w.keys.Get(ctx, id))(t); len(left) != 0 {
				t.Errorf("%d keys of an erased person are back", len(left))
			}
		}
		if counts := must1(w.keys.WrappedBy(ctx))(t); counts[w.ring.PrimaryKEK()] != 27 || len(counts) != 1 {
			t.Errorf("wrapped by %v", counts)
		}
	})
}

// An erasure between the reading of a page and its writing: the deterministic
// form of the test above.
func TestErasureBetweenReadingAndRewrapping(t *testing.T) {
	onEveryFile(t, func(t *testing.T, w *world, _ string) {
		ctx := t.Context()
		ids := w.people(2)
		w.faults.once("rewrap", func() { must2(w.e.Erase(ctx, admin, ids[1]))(t) })
		must2(w.e.RotateKEK(ctx, admin, engine.RotateKeys{}))(t)
		if left := must1(w.keys.Get(ctx, ids[1]))(t); len(left) != 0 {
			t.Errorf("%d keys of an erased person are back", len(left))
		}
		w.readable(w.e, ids[:1])
	})
}

func unmarshal(t *testing.T, raw []byte, v any) {
	t.Helper()
	must(t, json.Unmarshal(raw, v))
}
