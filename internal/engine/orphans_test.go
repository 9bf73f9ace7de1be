package engine_test

import (
	"context"
	"encoding/json"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/engine"
	"github.com/abide-privacy/abide/internal/storage"
)

// orphan is somebody of whom there are keys and nothing else: a create that
// died between them and the data.
func (w *world) orphan() abide.SubjectID {
	w.t.Helper()
	before := w.withKeys()
	w.cutOff("commit", func() error {
		_, err := w.e.CreateSubject(w.t.Context(), app, engine.NewSubject{Jurisdiction: "HK"})
		return err
	})
	for _, id := range w.withKeys() {
		if !slices.Contains(before, id) {
			return id
		}
	}
	w.t.Fatal("no keys were left behind")
	return abide.SubjectID{}
}

// keepDays lets so many days pass, with a round of housekeeping after each.
func (w *world) keepDays(n int) {
	w.t.Helper()
	for range n {
		w.clock.add(day)
		w.keep(engine.Tidied{})
	}
}

// beside opens another node on the same stores.
func (w *world) beside() *engine.Engine {
	w.t.Helper()
	e, err := engine.Open(w.t.Context(), engine.Options{Store: w.store, Keys: w.keys, Keyring: w.ring, Clock: w.clock.now, Node: "n2"})
	must(w.t, err)
	w.t.Cleanup(func() { _ = e.Close(context.WithoutCancel(w.t.Context())) })
	return e
}

func (w *world) wantKeys(want ...abide.SubjectID) {
	w.t.Helper()
	slices.SortFunc(want, func(a, b abide.SubjectID) int { return slices.Compare(a[:], b[:]) })
	if got := w.withKeys(); !slices.Equal(got, want) {
		w.t.Fatalf("there are keys of %v, want %v", got, want)
	}
}

func TestHousekeepingCollectsOrphanKeys(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		person, back, gone := w.person(engine.NewSubject{}), w.orphan(), w.orphan()
		w.keepDays(4) // noted on the first, whenever they were made
		w.restart()
		w.keepDays(3)
		// The data of one is put back from a newer backup.
		must(t, w.store.Commit(t.Context(), &storage.Change{Row: storage.SubjectRow{ID: back, Kind: abide.Person,
			Status: abide.StatusActive, Version: 1, Created: w.clock.now()}}))
		w.clock.add(day - time.Second)
		w.keep(engine.Tidied{})
		w.clock.add(time.Second)
		w.cutOff("destroy", func() error {
			_, err := w.e.Housekeep(t.Context())
			return err
		})
		w.keep(engine.Tidied{Orphans: 1})
		w.keepDays(30)
		w.wantKeys(person, back)
		if slices.Contains(w.withKeys(), gone) {
			t.Error("keys of nobody are left")
		}
	})
}

// Keys and claims of a request that is under way stay, whatever the clock does
// meanwhile: it may jump by years, forth and back.
func TestHousekeepingLeavesRequestsUnderWay(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		var jumps time.Duration
		jump := func(by ...time.Duration) func() {
			return func() {
				for _, d := range by {
					w.clock.add(d)
					jumps += d
					w.keep(engine.Tidied{})
				}
			}
		}
		w.faults.once("commit", jump(2*time.Hour, 8*day, 365*day, 3650*day, -3650*day, day))
		nameless := w.person(engine.NewSubject{})
		w.faults.once("commit", jump(2*time.Hour, 365*day))
		id := w.person(engine.NewSubject{Reference: "u-1"})
		w.faults.once("commit", jump(2*time.Hour, 365*day))
		w.collect(id, "shop", items{"person.email": "ann@example.test"})
		w.clock.add(-jumps)
		w.keep(engine.Tidied{})
		w.keepDays(9)
		w.wantKeys(nameless, id)
		for _, l := range []engine.Lookup{{Category: "person.email", Value: []byte(`"ann@example.test"`), Purpose: "provide"},
			{Category: "~reference", Value: []byte(`"u-1"`)}} {
			if found := val(w.e.Lookup(t.Context(), app, l))(t); !slices.Equal(found, []abide.SubjectID{id}) {
				t.Errorf("by %s we find %v, want the person whose claim was under way", l.Category, found)
			}
		}
		if got := val(w.read(app, id, "provide", "person.email"))(t); len(got.Data) != 1 {
			t.Error("the person cannot be read")
		}
	})
}

// An erasure between its steps is not disturbed, and neither is a create that
// stalls for so long that its keys are noted.
func TestHousekeepingBesideChanges(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		id := w.person(engine.NewSubject{})
		w.collect(id, "shop", items{"person.email": "ann@example.test"})
		w.clock.add(2 * time.Hour)
		for _, step := range []string{"destroy", "commit certified"} {
			w.faults.once(step, func() { w.keepDays(9) })
			if cert := val(w.e.Erase(t.Context(), admin, id))(t); cert.Subject != id || len(cert.Signature) == 0 {
				t.Errorf("the certificate is %+v", cert)
			}
		}
		w.purged(id)
		w.wantKeys()
		w.faults.once("commit", func() {
			w.clock.add(2 * time.Hour)
			w.keep(engine.Tidied{})
			w.keepDays(6)
		})
		late := w.person(engine.NewSubject{})
		w.clock.add(2 * time.Hour)
		w.keep(engine.Tidied{})
		w.faults.once("commit", func() { // it is not passed over as if there was nothing to find
			before := val(w.store.Records(t.Context(), "housekeeping"))(t)
			w.keep(engine.Tidied{})
			if after := val(w.store.Records(t.Context(), "housekeeping"))(t); !reflect.DeepEqual(after, before) {
				t.Errorf("a subject on its way counts as looked at: %s", after[0].Body)
			}
		})
		w.person(engine.NewSubject{})
		w.keepDays(9)
		w.collect(late, "shop", items{"person.name": "Bo"})
	})
}

// Two nodes at once count one day as one.
func TestHousekeepingOfTwoNodes(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		person, gone := w.person(engine.NewSubject{}), w.orphan()
		nodes := []*engine.Engine{w.e, w.beside()}
		round := func() (orphans int) {
			var all sync.WaitGroup
			var mu sync.Mutex
			for _, e := range nodes {
				all.Go(func() {
					for range 3 {
						did, err := e.Housekeep(context.WithoutCancel(t.Context()))
						mu.Lock()
						orphans += did.Orphans
						mu.Unlock()
						if err != nil {
							t.Error(err)
						}
					}
				})
			}
			all.Wait()
			return orphans
		}
		for range 7 {
			w.clock.add(day)
			if n := round(); n != 0 {
				t.Fatalf("%d were collected early", n)
			}
			w.wantKeys(person, gone)
		}
		w.clock.add(day)
		if n := round(); n == 0 {
			t.Error("nothing was collected")
		}
		w.wantKeys(person)
	})
}

// A rotation beside it neither brings the keys of nobody back nor is kept from
// ending by them, whichever of the two comes first.
func TestHousekeepingBesideARotation(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		person := w.person(engine.NewSubject{})
		w.orphan()
		w.keepDays(7)
		w.clock.add(day)
		rotate := func() {
			if did := val(w.e.RotateKEK(t.Context(), admin, engine.RotateKeys{}))(t); len(did.Emptied) != 1 {
				t.Errorf("the rotation emptied %v", did.Emptied)
			}
		}
		w.faults.once("rewrap", func() { w.keep(engine.Tidied{Orphans: 1}) }) // the page was read before
		rotate()
		w.wantKeys(person)
		w.orphan()
		w.keepDays(7)
		w.clock.add(day)
		w.faults.once("destroy", rotate)
		w.keep(engine.Tidied{Orphans: 1})
		w.wantKeys(person)
		must2(w.read(app, person, "provide", "person.name"))(t)
	})
}

// An older backup of the data beside the newer keys: nothing is destroyed in
// the week in which the newer data may be put back, the replay of the restore
// ledger goes on beside it, and what is erased stays erased.
func TestHousekeepingBesideARestore(t *testing.T) {
	onEveryDeployment(t, func(t *testing.T, w *world, backup func(t *testing.T) func(t *testing.T) stores) {
		ctx := t.Context()
		old := w.person(engine.NewSubject{})
		w.clock.add(2 * time.Hour)
		copied, newest := backup(t), w.open
		newer, erased := w.person(engine.NewSubject{}), w.person(engine.NewSubject{})
		w.collect(newer, "shop", items{"person.name": "Ann"})
		must2(w.e.Erase(ctx, admin, erased))(t)
		w.purged(erased)
		w.clock.add(2 * time.Hour)
		w.faults.once("destroy", func() { // of the replayed erasure
			other := w.beside()
			for range 3 {
				did, err := other.Housekeep(context.WithoutCancel(ctx))
				if err != nil || did != (engine.Tidied{}) {
					t.Errorf("beside the replay, housekeeping did %+v: %v", did, err)
				}
			}
		})
		w.shut()
		older := copied(t)
		w.open = func(t *testing.T) (storage.Store, storage.KeyStore) {
			data, unused := older(t)
			_ = unused.Close()
			wrong, keys := newest(t)
			_ = wrong.Close()
			return data, keys
		}
		w.start()
		if r := w.replayed(); r.Tombstones != 1 {
			t.Fatalf("the replay brought back %+v", r)
		}
		w.keepDays(6)
		w.wantKeys(old, newer)
		cert := val(w.e.Certificate(ctx, admin, erased))(t)
		raw := val(json.Marshal(cert))(t)
		must2(audit.VerifyCertificate(raw, w.ring.PublicKeys()[0].Key))(t)

		w.shut()
		w.open = newest
		w.start()
		w.keepDays(9)
		w.wantKeys(old, newer)
		if got := val(w.read(app, newer, "provide", "person.name"))(t); len(got.Data) != 1 {
			t.Error("the person of the newer data cannot be read")
		}
	})
}

// While it is not known what a restore lost, no keys are destroyed.
func TestHousekeepingWaitsForAGapToBeResolved(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		person, gone := w.person(engine.NewSubject{}), w.orphan()
		w.consent(person, "give")
		w.consent(person, "withdraw")
		w.keepDays(7)
		w.shut()
		w.place = t.TempDir() // the ledger is lost
		w.start()
		w.keepDays(9)
		w.wantKeys(person, gone)
		must(t, w.e.ResolveGap(t.Context(), admin, "mara", "everybody was asked again"))
		w.keep(engine.Tidied{Orphans: 1})
		w.wantKeys(person)
	})
}
