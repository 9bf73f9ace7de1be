package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/engine"
	"github.com/abide-privacy/abide/internal/keys"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/storage/faultstore"
	"github.com/abide-privacy/abide/internal/vault"
)

// foundBy is whom a node finds by a value.
func foundBy(t *testing.T, e *engine.Engine, c abide.Category, value string) []abide.SubjectID {
	t.Helper()
	raw, err := json.Marshal(value)
	must(t, err)
	ids, err := e.Lookup(t.Context(), app, engine.Lookup{Category: c, Value: raw, Purpose: "provide"})
	must(t, err)
	slices.SortFunc(ids, func(a, b abide.SubjectID) int { return slices.Compare(a[:], b[:]) })
	return ids
}

func (w *world) wantFound(e *engine.Engine, c abide.Category, value string, want ...abide.SubjectID) {
	w.t.Helper()
	slices.SortFunc(want, func(a, b abide.SubjectID) int { return slices.Compare(a[:], b[:]) })
	if got := foundBy(w.t, e, c, value); !slices.Equal(got, want) {
		w.t.Errorf("by %s %q: found %v, want %v", c, value, got, want)
	}
}

func (w *world) rotateIndex(e *engine.Engine) engine.KeyRotation {
	w.t.Helper()
	got, err := e.RotateIndex(w.t.Context(), admin, engine.RotateKeys{})
	must(w.t, err)
	return got
}

// oneIndexKey checks that items and look-ups are under one key, which is all
// that ring and store know.
func (w *world) oneIndexKey(ring *keys.Keyring) {
	w.t.Helper()
	ctx := w.t.Context()
	must2(ring.Refresh(ctx))(w.t)
	roots := ring.IndexKeys()
	in := val(w.store.Index(ctx))(w.t)
	if len(roots) != 1 || in != storage.IndexKeysOf(roots[0].ID) {
		w.t.Fatalf("the ring holds %d index keys, in force is %q", len(roots), in)
	}
	for key, n := range val(w.store.IndexedBy(ctx))(w.t) {
		if key != roots[0].ID && key != vault.StableKey {
			w.t.Errorf("%d items under key %s, in force is %s", n, key, in)
		}
	}
	for _, l := range val(w.store.ListLookups(ctx, storage.Lookup{}, 10_000))(w.t) {
		if l.Index.Key != roots[0].ID && l.Index.Key != vault.StableKey {
			w.t.Errorf("a look-up of %s under key %s; in force is %s", l.Category, l.Index.Key, in)
		}
	}
}

// lookupsOf counts the look-ups that name a subject.
func (w *world) lookupsOf(id abide.SubjectID) int {
	w.t.Helper()
	n := 0
	for _, l := range val(w.store.ListLookups(w.t.Context(), storage.Lookup{}, 10_000))(w.t) {
		if l.Subject == id {
			n++
		}
	}
	return n
}

func TestIndexRotationFindsEverybodyAndDestroysTheOldKey(t *testing.T) {
	onEveryFile(t, func(t *testing.T, w *world, path string) {
		ctx := t.Context()
		ids := w.people(4)
		made := val(w.e.CreateSubject(ctx, once(app, "k-1"), engine.NewSubject{Reference: "r-1"}))(t)
		w.collect(ids[0], "chat", items{"person.account": "a-0"})
		w.collect(ids[1], "shop", items{"person.phone": []string{"+85291234567", "+85291234568"}})
		w.collect(ids[2], "shop", items{"person.phone": []string{"+85291234568"}})
		gone := w.person(engine.NewSubject{Reference: "gone"})
		w.collect(gone, "shop", items{"person.email": "gone@example.test"})
		must2(w.e.Erase(ctx, admin, gone))(t)
		other := w.second(path, nil)
		old := w.ring.IndexKeys()[0].ID
		before := map[abide.SubjectID]uint64{}
		for _, row := range w.everyone() {
			before[row.ID] = row.Version
		}

		_, err := w.e.RotateIndex(ctx, app, engine.RotateKeys{})
		wantError(t, err, abide.CodeDenied, "actor_may_not")
		var seen []engine.Progress
		got, err := w.e.RotateIndex(ctx, admin, engine.RotateKeys{Progress: func(p engine.Progress) { seen = append(seen, p) }})
		must(t, err)
		if got.Key == old || got.Resumed || got.Reindexed != 5+4+1+3 || got.Unfindable != 0 || !slices.Equal(got.Destroyed, []string{old}) {
			t.Fatalf("rotation: %+v", got)
		}
		if len(seen) < 2 || seen[0] != (engine.Progress{Step: "re-index", Done: 13, Total: 13}) {
			t.Errorf("progress: %+v", seen)
		}
		w.oneIndexKey(w.ring)
		for _, e := range []*engine.Engine{other, w.e} { // the other has heard of nothing
			for i, id := range ids {
				w.wantFound(e, "person.email", fmt.Sprintf("P%d@Example.test", i), id)
			}
			w.wantFound(e, "person.account", "a-0", ids[0])
			w.wantFound(e, "person.phone", "+85291234567", ids[1])
			w.wantFound(e, "person.phone", "+85291234568", ids[1], ids[2])
			w.wantFound(e, "~reference", "r-1", made.ID)
			w.wantFound(e, "~reference", "gone")
			w.wantFound(e, "person.email", "gone@example.test")
			again := val(e.CreateSubject(ctx, once(app, "k-1"), engine.NewSubject{Reference: "r-1"}))(t)
			if again.ID != made.ID {
				t.Error("a retried creation makes a second subject after a rotation")
			}
			_, err := e.Collect(ctx, app, put(ids[1], "chat", items{"person.account": "a-0"}))
			wantError(t, err, abide.CodeConflict, "value_taken")
		}
		if n := w.lookupsOf(gone); n != 0 {
			t.Errorf("%d look-ups of an erased person", n)
		}
		for _, row := range w.everyone() {
			if row.Status == abide.StatusActive && before[row.ID] != row.Version {
				t.Errorf("the rotation changed the row of %s", row.ID)
			}
		}
		st := val(w.e.KeyStatus(ctx, admin))(t)
		if len(st.Index) != 2 || st.Index[0].State != "destroyed" || st.Index[0].ID != old || st.Index[1].State != "current" || st.Index[1].Items != 13 {
			t.Errorf("status: %+v", st.Index)
		}
		if ills := w.checkup(); len(ills) != 0 {
			t.Errorf("after a rotation the doctor says %v", ills)
		}
		// What was dropped is gone under the new key, too, and a second rotation
		// goes the same way.
		w.collect(ids[0], "shop", items{"person.email": "new@example.test"})
		w.rotateIndex(other)
		w.wantFound(w.e, "person.email", "p0@example.test")
		w.wantFound(w.e, "person.email", "new@example.test", ids[0])
		w.oneIndexKey(w.ring)
	})
}

// Killed before or after any of its writes, a rotation goes on to the same end.
func TestIndexRotationKilledAtEveryStep(t *testing.T) {
	onEveryFile(t, func(t *testing.T, w *world, path string) {
		ctx := t.Context()
		ids := w.people(2)
		w.collect(ids[0], "chat", items{"person.account": "a-0"})
		steps := 0
		for _, when := range []faultstore.When{faultstore.NotPersisted, faultstore.Persisted} {
			for n := 1; ; n++ {
				f := faultstore.New()
				node := w.second(path, f)
				f.FailWrite(n, when, storage.ErrUnavailable)
				_, err := node.RotateIndex(ctx, admin, engine.RotateKeys{})
				if f.Failed() == 0 {
					must(t, err)
					break
				}
				steps++
				f.Heal()
				_ = node.Close(context.Background())
				// In between, everybody is found and nobody gets another's value.
				for i, id := range ids {
					w.wantFound(w.e, "person.email", fmt.Sprintf("p%d@example.test", i), id)
				}
				_, err = w.e.Collect(ctx, app, put(ids[1], "chat", items{"person.account": "a-0"}))
				wantError(t, err, abide.CodeConflict, "value_taken")
				w.collect(ids[1], "shop", items{"person.email": "moved@example.test"})
				if ills := w.checkup(); len(ills) != 0 {
					t.Errorf("write %d, %v: the doctor says %v", n, when, ills)
				}
				w.collect(ids[1], "shop", items{"person.email": "p1@example.test"})
				w.clock.add(2 * time.Minute) // what the killed one claimed has expired
				w.rotateIndex(w.e)
				w.oneIndexKey(w.ring)
				w.wantFound(w.e, "person.account", "a-0", ids[0])
			}
		}
		if steps < 12 {
			t.Errorf("only %d steps were broken", steps)
		}
		if ills := w.checkup(); len(ills) != 0 {
			t.Errorf("the doctor says %v", ills)
		}
	})
}

// Two people claim one value, one of them on a node that made its change before
// other index keys were in force and commits it after: one of them gets it.
func TestUniqueValueAcrossTheSwitch(t *testing.T) {
	onEveryFile(t, func(t *testing.T, w *world, path string) {
		ctx := t.Context()
		people := w.people(2)
		ann, bob := people[0], people[1]
		other := w.second(path, nil)
		account := func(e *engine.Engine, id abide.SubjectID, v string) error {
			_, err := e.Collect(ctx, app, put(id, "chat", items{"person.account": v}))
			return err
		}
		// Ann's change was made under the old key; Bob comes first, while both are in
		// force: her change must not land.
		met := false
		w.faults.once("commit", func() {
			w.faults.once("reindex", func() {
				met = true
				must(t, account(other, bob, "a-1"))
			})
			w.rotateIndex(w.e)
		})
		wantError(t, account(w.e, ann, "a-1"), abide.CodeConflict, "value_taken")
		w.wantFound(other, "person.account", "a-1", bob)
		if !met {
			t.Error("nobody claimed between the two keys")
		}
		// The same, when the new key is alone in force: the two changes meet at no
		// look-up.
		w.faults.once("commit", func() {
			w.rotateIndex(other)
			w.clock.add(time.Minute)
			must(t, account(other, bob, "a-2"))
		})
		wantError(t, account(w.e, ann, "a-2"), abide.CodeConflict, "value_taken")
		w.wantFound(w.e, "person.account", "a-2", bob)
		w.wantFound(w.e, "person.account", "a-1")
		// Two creations of one reference.
		var there engine.CreatedSubject
		w.faults.once("commit", func() {
			w.rotateIndex(other)
			w.clock.add(time.Minute)
			there = val(other.CreateSubject(ctx, app, engine.NewSubject{Reference: "one"}))(t)
		})
		here := val(w.e.CreateSubject(ctx, app, engine.NewSubject{Reference: "one"}))(t)
		if here.ID != there.ID || !here.Existing {
			t.Errorf("one reference, two people: %v and %v", there, here)
		}
		if ills := w.checkup(); len(ills) != 0 {
			t.Errorf("the doctor says %v", ills)
		}
	})
}

// A change comes between the sweep's reading of an item and its writing.
func TestChangesBetweenReadingAndReindexing(t *testing.T) {
	onEveryFile(t, func(t *testing.T, w *world, path string) {
		ctx := t.Context()
		ids := w.people(4)
		other := w.second(path, nil)
		w.faults.once("reindex", func() {
			must2(w.e.Erase(ctx, admin, ids[0]))(t)
			must2(other.Collect(ctx, app, put(ids[1], "shop", items{"person.email": "new@example.test"})))(t)
			must2(other.Collect(ctx, app, put(ids[2], "shop", items{"person.email": "p2@example.test"})))(t) // the same again
			w.wantFound(other, "person.email", "p3@example.test", ids[3])
		})
		w.rotateIndex(w.e)
		w.wantFound(w.e, "person.email", "p0@example.test")
		w.wantFound(w.e, "person.email", "p1@example.test")
		w.wantFound(w.e, "person.email", "new@example.test", ids[1])
		w.wantFound(w.e, "person.email", "p2@example.test", ids[2])
		w.wantFound(w.e, "person.email", "p3@example.test", ids[3])
		w.purged(ids[0])
		for i, want := range []int{0, 2, 2, 2} {
			if n := w.lookupsOf(ids[i]); n != want {
				t.Errorf("person %d has %d look-ups, want %d", i, n, want)
			}
		}
		w.oneIndexKey(w.ring)
		// And between its reading and its claim: what it claims for nothing, it
		// gives back.
		w.faults.once("claim", func() {
			must2(other.Collect(ctx, app, put(ids[1], "shop", items{"person.email": "newer@example.test"})))(t)
			must2(other.Erase(ctx, admin, ids[2]))(t)
		})
		w.rotateIndex(w.e)
		w.purged(ids[2])
		for i, want := range []int{0, 2, 0, 2} {
			if n := w.lookupsOf(ids[i]); n != want {
				t.Errorf("person %d has %d look-ups, want %d", i, n, want)
			}
		}
		w.oneIndexKey(w.ring)
		// A look-up that begins before a rotation and ends after it.
		w.faults.once("find", func() { w.rotateIndex(other) })
		w.wantFound(w.e, "person.email", "p3@example.test", ids[3])
		if ills := w.checkup(); len(ills) != 0 {
			t.Errorf("the doctor says %v", ills)
		}
	})
}

// A rotation ended after both keys were in force and before the sweep. Whatever
// is written then goes under the new key, and leaves nothing under either.
func TestChangesUnderTwoIndexKeys(t *testing.T) {
	onEveryFile(t, func(t *testing.T, w *world, path string) {
		ctx := t.Context()
		ids := w.people(4)
		old := w.ring.IndexKeys()[0].ID
		w.faults.set(map[string]error{"reindex": storage.ErrUnavailable}, nil)
		_, err := w.e.RotateIndex(ctx, admin, engine.RotateKeys{})
		wantError(t, err, abide.CodeUnavailable, "storage_unavailable")
		w.faults.clear()
		w.restart()
		under := func(id abide.SubjectID, c abide.Category) string {
			l := val(w.store.Load(ctx, id, storage.Want{Items: []abide.Category{c}}))(t)
			return l.Items[0].IndexKey
		}
		if under(ids[0], "person.email") != old {
			t.Fatal("the sweep came further than this test wants")
		}
		must(t, w.e.RecordEvent(ctx, app, ids[0], "order.closed", "", w.clock.now())) // moves the deadline of the address
		if under(ids[0], "person.email") == old {
			t.Error("an item went back under the old key")
		}
		w.collect(ids[2], "shop", items{"person.email": "new@example.test"})
		must2(w.e.Erase(ctx, admin, ids[1]))(t)
		w.purged(ids[1])
		if n := w.lookupsOf(ids[1]); n != 0 {
			t.Errorf("%d look-ups of an erased person", n)
		}
		w.collect(ids[3], "chat", items{"person.account": "a-3"})
		if n := w.lookupsOf(ids[2]); n != 1+1+2 { // the reference, as the killed sweep claimed it too; the new address under both
			t.Errorf("%d look-ups after an address was replaced", n)
		}
		if ills := w.checkup(); len(ills) != 0 {
			t.Errorf("amid a rotation the doctor says %v", ills)
		}
		second := w.second(path, nil)
		for range 2 {
			for _, e := range []*engine.Engine{w.e, second} {
				w.wantFound(e, "person.email", "p0@example.test", ids[0])
				w.wantFound(e, "person.email", "p1@example.test")
				w.wantFound(e, "person.email", "p2@example.test")
				w.wantFound(e, "person.email", "new@example.test", ids[2])
				w.wantFound(e, "person.email", "p3@example.test", ids[3])
				w.wantFound(e, "person.account", "a-3", ids[3])
			}
			w.clock.add(2 * time.Minute)
			if got := w.rotateIndex(second); !got.Resumed && got.Destroyed[0] == old {
				t.Errorf("a rotation that went on: %+v", got)
			}
			w.oneIndexKey(w.ring)
		}
		if ills := w.checkup(); len(ills) != 0 {
			t.Errorf("the doctor says %v", ills)
		}
	})
}

// Several people have a value that the policy made unique since: a rotation
// keeps all of them found by it, and the rest of their page unique.
func TestIndexRotationOfSharedValuesThatBecameUnique(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		ids := w.people(7)
		for _, i := range []int{1, 4, 5} {
			w.collect(ids[i], "shop", items{"person.email": "family@example.test"})
		}
		w.publish(edit(t, "format = email, find = many", "format = email, find = unique"))
		for range 2 {
			w.rotateIndex(w.e)
			w.oneIndexKey(w.ring)
			w.wantFound(w.e, "person.email", "family@example.test", ids[1], ids[4], ids[5])
			for _, i := range []int{0, 2, 3, 6} {
				w.wantFound(w.e, "person.email", fmt.Sprintf("p%d@example.test", i), ids[i])
			}
			for _, taken := range []string{"family@example.test", "p6@example.test"} {
				_, err := w.e.Collect(t.Context(), app, put(ids[0], "shop", items{"person.email": taken}))
				wantError(t, err, abide.CodeConflict, "value_taken")
			}
		}
		if ills := w.checkup(); len(ills) != 0 {
			t.Errorf("the doctor says %v", ills)
		}
	})
}

// An import is on its way while the index key is rotated.
func TestImportAcrossARotation(t *testing.T) {
	onEveryFile(t, func(t *testing.T, w *world, path string) {
		other := w.second(path, nil)
		var people []engine.ImportPerson
		for i := range int64(20) {
			people = append(people, row(i+1, fmt.Sprint("i-", i), fmt.Sprintf("i%d@example.test", i), 3))
		}
		w.faults.once("commit", func() { w.rotateIndex(other) })
		for _, o := range w.imports("one", people...) {
			if o.Code != "" || o.Repeated {
				t.Fatalf("row %d: %+v", o.Row, o)
			}
		}
		w.rotateIndex(other)
		for _, o := range w.imports("one", people...) {
			if o.Code != "" || !o.Repeated {
				t.Fatalf("row %d, again: %+v", o.Row, o)
			}
		}
		if n := len(w.everyone()); n != 20 {
			t.Errorf("%d people, want 20", n)
		}
		for i := range 20 {
			w.wantFound(w.e, "person.email", fmt.Sprintf("i%d@example.test", i), w.byReference(fmt.Sprint("i-", i)))
		}
		if ills := w.checkup(); len(ills) != 0 {
			t.Errorf("the doctor says %v", ills)
		}
	})
}

// Two nodes make, change, find and erase people, and fight for unique values,
// while the index key is rotated again and again.
func TestIndexRotationWhileServing(t *testing.T) {
	onEveryFile(t, func(t *testing.T, w *world, path string) {
		ctx := t.Context()
		ids := w.people(8)
		nodes := []*engine.Engine{w.e, w.second(path, nil)}
		const fights = 24
		var won [fights]atomic.Int64
		var winner [fights]atomic.Value
		var wg, busy sync.WaitGroup
		stop := make(chan struct{})
		for n, e := range nodes {
			busy.Go(func() {
				for i := range fights {
					id := ids[2*n+i%2]
					_, err := e.Collect(ctx, app, put(id, "chat", items{"person.account": fmt.Sprint("fight-", i)}))
					switch d := abide.ErrorDetail(err); {
					case err == nil:
						won[i].Add(1)
						winner[i].Store(id)
					case d != "value_taken" && d != "value_being_taken":
						t.Errorf("collect: %v", err)
					}
				}
			})
			busy.Go(func() {
				for i := range 6 {
					made, err := e.CreateSubject(ctx, app, engine.NewSubject{Reference: fmt.Sprint("new-", i)}) // both nodes the same
					if err != nil {
						t.Errorf("create: %v", err)
						continue
					}
					if _, err := e.Collect(ctx, app, put(made.ID, "shop", items{"person.email": fmt.Sprintf("new%d@example.test", i)})); err != nil {
						t.Errorf("collect: %v", err)
					}
				}
			})
			wg.Go(func() {
				for k := 0; ; k++ {
					select {
					case <-stop:
						return
					default:
					}
					i := 4 + k%2
					raw := fmt.Appendf(nil, "%q", fmt.Sprintf("p%d@example.test", i))
					got, err := e.Lookup(ctx, app, engine.Lookup{Category: "person.email", Value: raw, Purpose: "provide"})
					if err != nil || !slices.Equal(got, []abide.SubjectID{ids[i]}) {
						t.Errorf("found %v, want %v: %v", got, ids[i], err)
						return
					}
				}
			})
		}
		busy.Go(func() {
			for _, id := range ids[6:] {
				if _, err := nodes[1].Erase(ctx, admin, id); err != nil {
					t.Errorf("erase: %v", err)
				}
			}
		})
		for range 3 {
			w.rotateIndex(nodes[0])
		}
		busy.Wait()
		w.rotateIndex(nodes[1])
		close(stop)
		wg.Wait()
		w.purged(ids[6])
		w.purged(ids[7])
		w.clock.add(2 * time.Minute)
		w.rotateIndex(nodes[0]) // settles what lost its fight
		w.oneIndexKey(w.ring)
		for i := range fights {
			if n := won[i].Load(); n == 0 {
				t.Errorf("nobody got value %d", i)
			}
			// One account a person: whoever won another value since gave this one up.
			if got := foundBy(t, nodes[1], "person.account", fmt.Sprint("fight-", i)); len(got) > 1 {
				t.Errorf("value %d is held by %v", i, got)
			}
		}
		for i := range 6 {
			a, b := foundBy(t, nodes[0], "~reference", fmt.Sprint("new-", i)), foundBy(t, nodes[1], "person.email", fmt.Sprintf("new%d@example.test", i))
			if len(a) != 1 || !slices.Equal(a, b) {
				t.Errorf("by reference %v, by address %v", a, b)
			}
		}
		for _, id := range ids[6:] {
			if n := w.lookupsOf(id); n != 0 {
				t.Errorf("%d look-ups of an erased person", n)
			}
		}
		if ills := w.checkup(); len(ills) != 0 {
			t.Errorf("the doctor says %v", ills)
		}
	})
}

// A backup from before a rotation, or from amid it, is restored when the old key
// is destroyed: its index is made anew before anything is served.
func TestRestoreFromBeforeAnIndexRotation(t *testing.T) {
	onEveryDeployment(t, func(t *testing.T, w *world, backup func(t *testing.T) func(t *testing.T) stores) {
		ctx := t.Context()
		ids := w.people(4)
		w.collect(ids[3], "chat", items{"person.account": "a-3"})
		before := backup(t)
		var amid func(t *testing.T) stores
		w.faults.once("reindex", func() { amid = backup(t) })
		w.rotateIndex(w.e)
		must2(w.e.Erase(ctx, admin, ids[0]))(t)
		w.collect(ids[1], "shop", items{"person.email": "corrected@example.test"})
		for name, from := range map[string]func(t *testing.T) stores{"before": before, "amid": amid} {
			w.restoreFrom(from)
			w.oneIndexKey(w.ring)
			w.wantFound(w.e, "person.email", "p0@example.test")
			w.wantFound(w.e, "person.email", "p1@example.test")
			w.wantFound(w.e, "person.email", "corrected@example.test", ids[1])
			w.wantFound(w.e, "person.email", "p2@example.test", ids[2])
			w.wantFound(w.e, "person.account", "a-3", ids[3])
			_, err := w.e.Collect(ctx, app, put(ids[2], "chat", items{"person.account": "a-3"}))
			wantError(t, err, abide.CodeConflict, "value_taken")
			w.purged(ids[0])
			if n := w.lookupsOf(ids[0]); n != 0 {
				t.Errorf("%s: %d look-ups of an erased person", name, n)
			}
			if ills := w.checkup(); len(ills) != 0 {
				t.Errorf("%s: the doctor says %v", name, ills)
			}
		}
		w.rotateIndex(w.e)
		w.oneIndexKey(w.ring)
		w.wantFound(w.e, "person.email", "corrected@example.test", ids[1])
	})
}
