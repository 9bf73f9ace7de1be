package whole_test

import (
	"strings"
	"testing"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/testx/node"
	"github.com/abide-privacy/abide/internal/testx/whole"
	"github.com/abide-privacy/abide/internal/vault"
	"github.com/abide-privacy/abide/policy"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// populated is a store in which one person is active and one erased.
func populated(t *testing.T) (s whole.Store, active, erased abide.SubjectID) {
	t.Helper()
	ctx := t.Context()
	s, err := node.Deployment{Dir: t.TempDir()}.Open(ctx)
	must(t, err)
	t.Cleanup(func() { _ = node.Close(s) })
	e, err := node.Start(ctx, s, time.Now)
	must(t, err)
	c, err := node.Find("erase")
	must(t, err)
	must(t, c.Prepare(ctx, e))
	must(t, node.Again(ctx, e, c))
	must(t, node.Settle(ctx, s.Data))
	must(t, e.Close(ctx))
	rows, err := s.Data.ListSubjects(ctx, abide.SubjectID{}, 10)
	must(t, err)
	for _, r := range rows {
		if r.Status == abide.StatusErased {
			erased = r.ID
		} else {
			active = r.ID
		}
	}
	return s, active, erased
}

// TestHalfStatesAreFound makes each half state on purpose.
func TestHalfStatesAreFound(t *testing.T) {
	for name, c := range map[string]struct {
		harm func(s whole.Store, active, erased *storage.Loaded) error
		want string
	}{
		"nothing": {func(whole.Store, *storage.Loaded, *storage.Loaded) error { return nil }, ""},
		"data without its key": {func(s whole.Store, a, _ *storage.Loaded) error {
			return s.Keys.Destroy(t.Context(), a.Subject.ID, []storage.Compartment{storage.Log})
		}, "data without its key"},
		"erased with its key": {func(s whole.Store, _, e *storage.Loaded) error {
			return s.Keys.Put(t.Context(), keysOf(t, s, e.Subject.ID))
		}, "its keys are not as the certificate says"},
		"a change without its entry": {func(s whole.Store, a, _ *storage.Loaded) error {
			return next(s, t, a, func(c *storage.Change) { c.Row.EntryN++ })
		}, "the row says"},
		"an item without its entry": {func(s whole.Store, a, _ *storage.Loaded) error {
			return next(s, t, a, func(c *storage.Change) {
				it := a.Items[0]
				it.ID, it.Category, it.IndexKey, it.Index = abide.SubjectID{9}, "person.name", "", nil
				c.PutItems = []storage.Item{it}
			})
		}, "without a log entry of its own"},
		"an event of which the state knows nothing": {func(s whole.Store, a, _ *storage.Loaded) error {
			return next(s, t, a, func(c *storage.Change) { c.Row.ConsentN++ })
		}, "1 events, the row says 2"},
		"an index that says otherwise": {func(s whole.Store, a, _ *storage.Loaded) error {
			return next(s, t, a, func(c *storage.Change) {
				c.ConsentIndex = []storage.ConsentIndexRow{{Subject: a.Subject.ID, Purpose: "newsletter", Effect: "withdrawn"}}
			})
		}, "the index of consents does not say given"},
		"an item that nobody finds": {func(s whole.Store, a, _ *storage.Loaded) error {
			return s.Data.Drop(t.Context(), storage.LookupsOf(a.Subject.ID, a.Items))
		}, "is not found by its value"},
		"erased without a certificate": {func(s whole.Store, a, _ *storage.Loaded) error {
			return next(s, t, a, func(c *storage.Change) { c.Row.Status, c.Row.Sealed = abide.StatusErased, nil })
		}, "erased without a certificate"},
		"a batch of looks lost": {func(s whole.Store, _, _ *storage.Loaded) error {
			for _, n := range []uint64{1, 3} {
				if err := s.Data.Spool(t.Context(), &storage.SpoolBatch{Node: "x", Batch: n, At: time.Unix(0, 0)}); err != nil {
					return err
				}
			}
			return nil
		}, "batch 3 follows 1"},
	} {
		t.Run(name, func(t *testing.T) {
			s, active, erased := populated(t)
			a, err := s.Data.Load(t.Context(), active, storage.Want{AllItems: true})
			must(t, err)
			e, err := s.Data.Load(t.Context(), erased, storage.Want{})
			must(t, err)
			must(t, c.harm(s, a, e))
			r, err := whole.Check(t.Context(), s)
			must(t, err)
			if got := strings.Join(r.Findings, "\n"); c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("found %q; want %q", got, c.want)
			}
		})
	}
}

// next commits a change that no engine makes, with the state as it was.
func next(s whole.Store, t *testing.T, l *storage.Loaded, harm func(*storage.Change)) error {
	t.Helper()
	v := vault.New(s.Ring)
	wrapped, err := s.Keys.Get(t.Context(), l.Subject.ID)
	must(t, err)
	k, err := v.Unlock(l.Subject.ID, wrapped)
	must(t, err)
	var f policy.Facts
	must(t, v.OpenState(k, &l.Subject, &f))
	c := &storage.Change{Expect: l.Subject.Version, Row: l.Subject}
	c.Row.Version++
	c.Row.Sealed, err = v.SealState(k, c.Row.Version, &f)
	must(t, err)
	harm(c)
	return s.Data.Commit(t.Context(), c)
}

// keysOf makes new keys for a subject.
func keysOf(t *testing.T, s whole.Store, id abide.SubjectID) []storage.WrappedKey {
	t.Helper()
	_, wrapped, err := vault.New(s.Ring).NewSubjectKeys(id)
	must(t, err)
	return wrapped
}
