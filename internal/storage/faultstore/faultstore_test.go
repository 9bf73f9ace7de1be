package faultstore_test

import (
	"errors"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/storage/faultstore"
	"github.com/abide-privacy/abide/internal/storage/sqlite"
	"github.com/abide-privacy/abide/internal/storage/storagetest"
)

func wrapped(t *testing.T) (*faultstore.Faults, storage.Store, storage.KeyStore) {
	t.Helper()
	f := faultstore.New()
	b := backend{f}
	return f, b.Open(t), b.OpenKeys(t)
}

type backend struct{ f *faultstore.Faults }

func (b backend) Open(t *testing.T) storage.Store {
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "data.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return b.f.Store(s)
}

func (b backend) OpenKeys(t *testing.T) storage.KeyStore {
	k, err := sqlite.OpenKeys(t.Context(), filepath.Join(t.TempDir(), "keys.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close() })
	return b.f.Keys(k)
}

// TestUnbrokenIsTheStore runs the suite through the wrapper: without faults it
// keeps every promise. And since it counts, it shows that the suite leaves no
// method of the interfaces out.
func TestUnbrokenIsTheStore(t *testing.T) {
	f := faultstore.New()
	storagetest.Run(t, backend{f})
	var want []string
	for prefix, typ := range map[string]reflect.Type{
		"": reflect.TypeFor[storage.Store](), "Keys.": reflect.TypeFor[storage.KeyStore](),
	} {
		for i := range typ.NumMethod() {
			if name := typ.Method(i).Name; name != "Close" { // it is called, and not counted
				want = append(want, prefix+name)
			}
		}
	}
	slices.Sort(want)
	if got := f.Called(); !slices.Equal(got, want) {
		t.Errorf("the suite calls\n%q\nthe interfaces have\n%q", got, want)
	}
}

func change(id abide.SubjectID) *storage.Change {
	return &storage.Change{Row: storage.SubjectRow{ID: id, Kind: abide.Person, Status: abide.StatusActive, Version: 1},
		PutItems: []storage.Item{{Category: "person.email", ID: id, Version: 1, Compartment: storage.Live}},
		Entries:  []storage.Entry{{Subject: id, N: 1, Kind: "collected"}}}
}

func TestWritesFailOnEitherSideOfPersistence(t *testing.T) {
	own := errors.New("own")
	for _, c := range []struct {
		when  faultstore.When
		err   error
		want  error
		there bool
	}{
		{faultstore.NotPersisted, nil, storage.ErrUnavailable, false},
		{faultstore.Persisted, nil, storage.ErrOutcomeUnknown, true},
		{faultstore.NotPersisted, own, own, false},
		{faultstore.Persisted, own, own, true},
	} {
		f, s, _ := wrapped(t)
		id := abide.SubjectID{1}
		f.Fail("Commit", 1, c.when, c.err)
		if err := s.Commit(t.Context(), change(id)); !errors.Is(err, c.want) {
			t.Errorf("%v: error is %v; want %v", c.when, err, c.want)
		}
		_, err := s.Load(t.Context(), id, storage.Want{})
		if there := err == nil; there != c.there {
			t.Errorf("%v: the change is there: %t; want %t", c.when, there, c.there)
		}
		if there := len(f.Effects()) == 1; there != c.there {
			t.Errorf("%v: effects are %q", c.when, f.Effects())
		}
		if f.Failed() != 1 || f.Calls("Commit") != 1 {
			t.Errorf("%v: %d failed of %d calls", c.when, f.Failed(), f.Calls("Commit"))
		}
	}
}

func TestTheNthCallFailsAndHealing(t *testing.T) {
	f, s, k := wrapped(t)
	f.Fail("Commit", 2, faultstore.NotPersisted, nil)
	var failed []int
	for n := range 4 {
		if err := s.Commit(t.Context(), change(abide.SubjectID{byte(n + 1)})); err != nil {
			failed = append(failed, n)
		}
	}
	if !slices.Equal(failed, []int{1}) {
		t.Errorf("calls %v failed; want [1]", failed)
	}
	f.FailAll("Load", faultstore.NotPersisted, nil)
	for range 2 {
		if _, err := s.Load(t.Context(), abide.SubjectID{1}, storage.Want{}); !errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("load: %v; want ErrUnavailable", err)
		}
	}
	f.Heal()
	if _, err := s.Load(t.Context(), abide.SubjectID{1}, storage.Want{}); err != nil {
		t.Errorf("after healing: %v", err)
	}
	// Writes are counted over both stores; reads are not among them.
	f.FailWrite(2, faultstore.NotPersisted, nil)
	err1 := k.Put(t.Context(), []storage.WrappedKey{{Subject: abide.SubjectID{9}, Compartment: storage.Live, Wrapped: []byte("w")}})
	_, err2 := s.Epoch(t.Context())
	err3 := s.Commit(t.Context(), change(abide.SubjectID{9}))
	if err1 != nil || !errors.Is(err2, storage.ErrNotFound) || !errors.Is(err3, storage.ErrUnavailable) {
		t.Errorf("errors are %v, %v, %v", err1, err2, err3)
	}
}

func TestEffectsAreTheSequenceOfWhatBecameDurable(t *testing.T) {
	f, s, k := wrapped(t)
	ctx, id := t.Context(), abide.SubjectID{7}
	keys := []storage.WrappedKey{{Subject: id, Compartment: storage.Live, Version: 1, Wrapped: []byte("w")},
		{Subject: id, Compartment: storage.Law, Version: 1, Wrapped: []byte("w")}}
	second := change(id)
	second.Expect, second.Row.Version, second.Row.Status, second.Row.EntryN = 1, 2, abide.StatusErasing, 2
	second.PutItems, second.Entries[0].N = nil, 2
	second.DropItems = []storage.ItemKey{{Category: "person.email", ID: id}}
	second.Erasure = &storage.ErasureJob{Subject: id, Step: "intent"}
	for _, err := range []error{
		k.Put(ctx, keys), s.Commit(ctx, change(id)), s.Commit(ctx, second), k.Destroy(ctx, id, []storage.Compartment{storage.Live}), s.Scrub(ctx),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Commit(ctx, second); !errors.Is(err, storage.ErrConflict) { // no effect
		t.Fatal(err)
	}
	want := []string{
		"Keys.Put #1/live/1 #1/law/1",
		"Commit #1 v1 active +person.email entry:1/collected",
		"Commit #1 v2 erasing -person.email entry:2/collected erasure:intent",
		"Keys.Destroy #1 live",
		"Scrub",
	}
	if got := f.Effects(); !slices.Equal(got, want) {
		t.Errorf("effects\n%q\nwant\n%q", got, want)
	}
	f.Forget()
	if len(f.Effects()) != 0 || f.Calls("Commit") != 0 {
		t.Error("forgetting leaves something")
	}
}
