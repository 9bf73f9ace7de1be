package engine_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/engine"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/storage/postgres"
	"github.com/abide-privacy/abide/internal/testx/pg"
	"github.com/abide-privacy/abide/internal/testx/proxy"
)

// behind opens PostgreSQL stores of which a proxy sees every byte.
func behind(t *testing.T, p *proxy.Proxy) stores {
	t.Helper()
	through := func(url string) string { return strings.Replace(url, pg.Shared(t).Addr(), p.Addr(), 1) }
	data, keys := through(pg.Database(t)), through(pg.Database(t))
	return func(t *testing.T) (storage.Store, storage.KeyStore) {
		s, err := postgres.Open(t.Context(), data, postgres.Options{})
		must(t, err)
		k, err := postgres.OpenKeys(t.Context(), keys)
		must(t, err)
		return s, k
	}
}

// TestTripsOnTheWire counts the sequential round trips of the hot paths where
// they take place, from the call to its answer, and holds them to the table of
// docs/decisions/0015-round-trips.md.
//
// A trip too many is there every time, and one that the pool adds (a
// connection is new, or was idle) is not: the least of several calls counts.
func TestTripsOnTheWire(t *testing.T) {
	p, err := proxy.New(pg.Shared(t).Addr())
	must(t, err)
	defer p.Close()
	w := newWorld(t, behind(t, p))
	ctx, n := t.Context(), 0
	some := func() abide.SubjectID {
		id := w.person(engine.NewSubject{})
		w.collect(id, "shop", items{"person.name": "Ann", "person.email": "ann@example.test", "person.orders": map[string]int{"n": 1}})
		return id
	}
	account := func(id abide.SubjectID) engine.Collect {
		n++
		return put(id, "chat", items{"person.account": fmt.Sprint("a-", n)})
	}
	for _, c := range []struct {
		path string
		want int
		make func() func() error // what comes before, and the call
	}{
		{"audited read", 2, func() func() error {
			id := some()
			return func() error { _, err := w.read(app, id, "provide", "person.name"); return err }
		}},
		{"refused read", 2, func() func() error {
			id := some()
			return func() error {
				if _, err := w.read(app, id, "newsletter", "person.orders"); abide.ErrorCode(err) != abide.CodeDenied {
					return fmt.Errorf("want a refusal, got %w", err)
				}
				return nil
			}
		}},
		{"consent write", 2, func() func() error {
			id := some()
			return func() error { _, err := w.e.WriteConsent(ctx, app, say(id, "give")); return err }
		}},
		{"withdrawal", 2, func() func() error {
			id := some()
			w.consent(id, "give")
			return func() error { _, err := w.e.WriteConsent(ctx, app, say(id, "withdraw")); return err }
		}},
		{"collect", 2, func() func() error {
			id := some()
			return func() error {
				_, err := w.e.Collect(ctx, once(app, "a"), put(id, "shop", items{"person.name": "Ann"}))
				return err
			}
		}},
		{"collect with look-up", 2, func() func() error {
			id := some()
			return func() error { _, err := w.e.Collect(ctx, app, account(id)); return err }
		}},
		{"collect that replaces a look-up", 2, func() func() error {
			id := some()
			must2(w.e.Collect(ctx, app, account(id)))(t)
			return func() error { _, err := w.e.Collect(ctx, app, account(id)); return err }
		}},
		{"look-up", 4, func() func() error {
			must2(w.e.Collect(ctx, app, account(some())))(t)
			value := fmt.Sprintf("\"a-%d\"", n)
			return func() error {
				found, err := w.e.Lookup(ctx, app, engine.Lookup{Category: "person.account", Value: []byte(value), Purpose: "chat"})
				if err == nil && len(found) != 1 {
					err = fmt.Errorf("found %d", len(found))
				}
				return err
			}
		}},
		{"erasure", 5, func() func() error {
			id := some()
			must2(w.e.Collect(ctx, app, account(id)))(t)
			return func() error { _, err := w.e.Erase(ctx, admin, id); return err }
		}},
	} {
		var counts []int
		for range 4 {
			call := c.make()
			if c.path == "erasure" {
				w.settled(t)
			}
			p.Set(proxy.Faults{Delay: 5 * time.Millisecond})
			p.Turns()
			err := call()
			counts = append(counts, proxy.Sequential(p.Turns()))
			p.Heal()
			must(t, err)
		}
		t.Logf("%-34s %d", c.path, slices.Min(counts))
		if got := slices.Min(counts); got != c.want {
			t.Errorf("%s takes %d round trips (of %v); want %d", c.path, got, counts, c.want)
		}
	}
}

// settled waits until no erasure is on its way in the background.
func (w *world) settled(t *testing.T) {
	t.Helper()
	eventually(t, "erasures end", func() bool {
		jobs, err := w.store.ErasureJobs(t.Context(), 1)
		must(t, err)
		return len(jobs) == 0
	})
}
