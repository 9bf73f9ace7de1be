package engine_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/engine"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/testx/canary"
)

// TestErasureIsFlat erases a person of whom little is held and one of whom much
// is, and prints how long it takes until every node refuses to read, until the
// certificate, and until the rows are gone and, on SQLite, their bytes from the
// files (G4). PostgreSQL serves three nodes; there the bytes are unreadable when
// the keys are destroyed and the old media when their epoch is
// (docs/decisions/0012-key-epochs.md).
//
// That it is flat is held by what is touched before the refusal, not by time.
//
//	ABIDE_PROOF=1 go test ./internal/engine -run ErasureIsFlat -v -timeout 30m
func TestErasureIsFlat(t *testing.T) {
	much := 500
	if os.Getenv("ABIDE_PROOF") == "1" {
		much = 100_000
	}
	for name, medium := range media {
		t.Run(name, func(t *testing.T) {
			open, raw := medium(t)
			w := newWorld(t, open)
			nodes := []*engine.Engine{w.e}
			for i := 2; name == "postgres" && i <= 3; i++ {
				nodes = append(nodes, w.another(fmt.Sprint("n", i)))
			}
			touched := map[int]int{}
			for _, n := range []int{10, much} {
				touched[n] = flat(t, w, nodes, n, raw, name == "sqlite")
			}
			if touched[10] != touched[much] {
				t.Errorf("before reads are refused, an erasure touches %d items of %d and %d of %d; want the same",
					touched[10], 10, touched[much], much)
			}
		})
	}
}

// another is a further node of the deployment, with connections of its own.
func (w *world) another(name string) *engine.Engine {
	w.t.Helper()
	s, k := w.open(w.t)
	e, err := engine.Open(context.WithoutCancel(w.t.Context()), engine.Options{Store: s, Keys: k, Keyring: w.ring, Clock: w.clock.now, Node: name})
	must(w.t, err)
	w.t.Cleanup(func() { _ = e.Close(context.Background()); _ = s.Close(); _ = k.Close() })
	return e
}

// flat erases a person with n items and returns how many of them were touched
// until the refusal was durable.
func flat(t *testing.T, w *world, nodes []*engine.Engine, n int, raw []string, searched bool) int {
	t.Helper()
	ctx := t.Context()
	id := w.person(engine.NewSubject{})
	for left := n; left > 0; left -= 500 {
		orders := make([]any, min(left, 500))
		for i := range orders {
			orders[i] = map[string]int{"n": left - i}
		}
		w.collect(id, "shop", items{"person.orders": orders})
	}
	set := secretsOf(t, w, id, n)
	if found := search(t, set, raw); found == 0 {
		t.Fatal("the search finds nothing on the disk before the erasure")
	}
	w.faults.touching(-w.faults.items)

	start := time.Now()
	refused := make([]time.Duration, len(nodes))
	var readers sync.WaitGroup
	for i, e := range nodes {
		readers.Go(func() {
			for ctx.Err() == nil {
				_, err := e.ReadData(ctx, app, engine.Read{Subject: id, Purpose: "provide", Categories: []abide.Category{"person.name"}})
				var known *abide.Error
				if errors.As(err, &known) && known.Decision != nil && hasReason(*known.Decision, abide.DenyErased) {
					refused[i] = time.Since(start)
					return
				}
			}
		})
	}
	cert, err := w.e.Erase(ctx, admin, id)
	must(t, err)
	certified := time.Since(start)
	readers.Wait()
	if cert.Counts["person.orders"] != n {
		t.Errorf("the certificate counts %d; want %d", cert.Counts["person.orders"], n)
	}
	if keys, err := w.keys.Get(ctx, id); err != nil || len(keys) != 0 {
		t.Errorf("%d keys are left, %v", len(keys), err)
	}
	w.within(time.Minute, "the erasure's job ends", func() bool {
		l, err := w.store.Load(ctx, id, storage.Want{Erasure: true})
		must(t, err)
		return l.Erasure.Step == storage.ErasureDone
	})
	ended := time.Since(start)
	if found := search(t, set, raw); searched && found > 0 {
		t.Errorf("%d of its bytes are in the files", found)
	}
	w.faults.mu.Lock()
	defer w.faults.mu.Unlock()
	t.Logf("%6d items: reads refused after %v (each node), certified after %v, rows gone after %v; %d items touched before the refusal",
		n, refused, certified.Round(time.Microsecond), ended.Round(time.Microsecond), w.faults.atIntent)
	return w.faults.atIntent
}

// secretsOf are the bytes of a person that must leave the files: wrapped keys,
// state, and some of the items.
func secretsOf(t *testing.T, w *world, id abide.SubjectID, n int) *canary.Set {
	t.Helper()
	loaded, err := w.store.Load(t.Context(), id, storage.Want{AllItems: true})
	must(t, err)
	if len(loaded.Items) < n {
		t.Fatalf("%d items are held; want %d", len(loaded.Items), n)
	}
	wrapped, err := w.keys.Get(t.Context(), id)
	must(t, err)
	set := &canary.Set{}
	set.AddBytes("state", loaded.Subject.Sealed)
	for _, k := range wrapped {
		set.AddBytes(fmt.Sprint("key ", k.Compartment), k.Wrapped)
	}
	for i := 0; i < len(loaded.Items); i += max(1, len(loaded.Items)/20) {
		set.AddBytes(fmt.Sprint("item ", i), loaded.Items[i].Sealed)
	}
	return set
}

func search(t *testing.T, set *canary.Set, dirs []string) int {
	t.Helper()
	n := 0
	for _, dir := range dirs {
		found, err := set.SearchDir(dir)
		must(t, err)
		n += len(found)
	}
	return n
}

// within waits for what is promised in that time.
func (w *world) within(limit time.Duration, what string, ok func() bool) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), limit)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			w.t.Fatalf("not within %s: %s", limit, what)
		case <-tick.C:
		}
	}
}
