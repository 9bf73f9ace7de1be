package rotate

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/keys"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/vault"
)

// TestProofOfIndexRotation makes the look-up of every person's address anew
// while eight callers make audited reads and people come and go: no error,
// everybody found afterwards, nothing left under the old key. A tenth as many
// people as TestProofOfRotation has.
func TestProofOfIndexRotation(t *testing.T) {
	onBoth(t, func(t *testing.T, s storage.Store, k storage.KeyStore) { runIndex(t, s, k, subjects()/10) })
}

func runIndex(t *testing.T, s storage.Store, k storage.KeyStore, n int) {
	ctx := t.Context()
	ring, e, people := populated(t, s, k)
	old := ring.IndexKeys()[0].ID
	ids := layDown(t, s, k, ring, n)

	m := beside(t, e, people, time.Duration(n)*100*time.Microsecond, e.RotateIndex)
	counts, err := s.IndexedBy(ctx)
	must(t, err)
	if m.Reindexed < int64(n) || counts[old] != 0 || counts[m.Key] < int64(n) {
		t.Errorf("re-indexed %d of %d; by key %v, the old one is %s", m.Reindexed, n, counts, old)
	}
	for i := 0; i < n; i += max(n/100, 1) {
		raw, err := json.Marshal(address(i))
		must(t, err)
		found, _, err := s.Find(ctx, "person.email", valuesOf(t, ring, m.Key, address(i)), 10)
		must(t, err)
		if len(found) != 1 || found[0].Subject != ids[i] {
			t.Fatalf("%s finds %v", raw, found)
		}
	}
	m.print(t, m.Reindexed, "look-ups")
}

func address(i int) string { return fmt.Sprintf("p%d@example.test", i) }

func valuesOf(t *testing.T, ring *keys.Keyring, key, value string) []storage.IndexValue {
	t.Helper()
	values, err := vault.New(ring).Index(storage.IndexKeys(key), "person.email", []byte(value))
	must(t, err)
	return values
}

// layDown writes n people with an address each, without their log.
func layDown(t *testing.T, s storage.Store, k storage.KeyStore, ring *keys.Keyring, n int) []abide.SubjectID {
	t.Helper()
	ctx, began := t.Context(), time.Now()
	in, err := s.Index(ctx)
	must(t, err)
	v := vault.New(ring)
	ids := make([]abide.SubjectID, n)
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(64)
	for i := range ids {
		ids[i] = abide.NewSubjectID(began)
		g.Go(func() error {
			sk, wrapped, err := v.NewSubjectKeys(ids[i])
			if err != nil {
				return err
			}
			defer sk.Close()
			if err := k.Put(gctx, wrapped); err != nil {
				return err
			}
			raw, err := json.Marshal(address(i))
			if err != nil {
				return err
			}
			values, err := v.Index(in, "person.email", []byte(address(i)))
			if err != nil {
				return err
			}
			it := storage.Item{Category: "person.email", ID: ids[i], Version: 1, Compartment: storage.Live, IndexKey: values[0].Key, Index: values[0].Value}
			if err := v.SealItem(sk, &it, &vault.Record{Value: raw, Obtained: began}); err != nil {
				return err
			}
			return s.Commit(gctx, &storage.Change{Index: in, Claimed: began, PutItems: []storage.Item{it},
				Row:    storage.SubjectRow{ID: ids[i], Kind: abide.Person, Status: abide.StatusActive, Version: 1, Created: began},
				Claims: []storage.Lookup{{Category: it.Category, Index: values[0], Subject: ids[i]}}})
		})
	}
	must(t, g.Wait())
	t.Logf("%d people with an address each, laid down in %.1f s", n, time.Since(began).Seconds())
	return ids
}
