// Package rotate measures a rotation of key-encryption keys over many people
// while a store serves.
package rotate

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/engine"
	"github.com/abide-privacy/abide/internal/keys"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/storage/postgres"
	"github.com/abide-privacy/abide/internal/storage/sqlite"
	"github.com/abide-privacy/abide/internal/testx/pg"
)

func TestMain(m *testing.M) { os.Exit(pg.Main(m)) }

// policyDir is a small policy with a shop.
const policyDir = "../../internal/engine/testdata/policy"

var (
	admin = engine.Call{Actor: abide.Actor{Kind: abide.ActorStaff, Name: "lead", Admin: true}, Token: "lead"}
	app   = engine.Call{Actor: abide.Actor{Kind: abide.ActorService, Name: "app", Purposes: []abide.Purpose{"provide"}}, Token: "app"}
)

// subjects is how many people the run has: a million by ABIDE_PROOF, or as
// many as ABIDE_PROOF_ROWS says.
func subjects() int {
	if n, err := strconv.Atoi(os.Getenv("ABIDE_PROOF_ROWS")); err == nil {
		return n
	}
	if os.Getenv("ABIDE_PROOF") == "1" {
		return 1_000_000
	}
	return 2_000
}

// TestProofOfRotation wraps every key anew while eight callers make audited
// reads and people come and go: no error, everybody readable afterwards,
// nothing left under the old key. It prints how the callers fared without the
// rotation and with it, and what it took.
func TestProofOfRotation(t *testing.T) {
	onBoth(t, func(t *testing.T, s storage.Store, k storage.KeyStore) { run(t, s, k, subjects()) })
}

// onBoth gives the test a fresh store on each engine.
func onBoth(t *testing.T, test func(t *testing.T, s storage.Store, k storage.KeyStore)) {
	with := func(name string, open func(t *testing.T) (storage.Store, storage.KeyStore)) {
		t.Run(name, func(t *testing.T) {
			s, k := open(t)
			t.Cleanup(func() { _ = s.Close(); _ = k.Close() })
			test(t, s, k)
		})
	}
	with("sqlite", func(t *testing.T) (storage.Store, storage.KeyStore) {
		dir := t.TempDir()
		s, err := sqlite.Open(t.Context(), filepath.Join(dir, "data.db"), sqlite.Options{})
		must(t, err)
		k, err := sqlite.OpenKeys(t.Context(), filepath.Join(dir, "keys.db"))
		must(t, err)
		return s, k
	})
	with("postgres", func(t *testing.T) (storage.Store, storage.KeyStore) {
		s, err := postgres.Open(t.Context(), pg.Database(t), postgres.Options{})
		must(t, err)
		k, err := postgres.OpenKeys(t.Context(), pg.Database(t))
		must(t, err)
		return s, k
	})
}

// populated starts an engine with a policy and people to read of.
func populated(t *testing.T, s storage.Store, k storage.KeyStore) (*keys.Keyring, *engine.Engine, []abide.SubjectID) {
	t.Helper()
	ring, err := keys.Create(filepath.Join(t.TempDir(), "keyring.json"))
	must(t, err)
	e, err := engine.Open(context.WithoutCancel(t.Context()), engine.Options{Store: s, Keys: k, Keyring: ring})
	must(t, err)
	t.Cleanup(func() { _ = e.Close(context.Background()) })
	_, _, err = e.Publish(t.Context(), admin, os.DirFS(policyDir))
	must(t, err)
	people := make([]abide.SubjectID, 64)
	for i := range people {
		people[i] = person(t, e)
	}
	return ring, e, people
}

// measured is a rotation, and how callers fared without it and beside it.
type measured struct {
	engine.KeyRotation
	took        time.Duration
	peak        uint64 // bytes of heap
	quiet, busy fared
}

// beside measures a rotation while callers are served; before it, they are
// served alone for the pause.
func beside(t *testing.T, e *engine.Engine, people []abide.SubjectID, pause time.Duration,
	rotate func(context.Context, engine.Call, engine.RotateKeys) (engine.KeyRotation, error)) (m measured) {
	t.Helper()
	ctx := t.Context()
	pause = max(time.Second, min(pause, 10*time.Second))
	m.quiet = serve(t, e, people, func() { rest(ctx, pause) })
	var err error
	m.busy = serve(t, e, people, func() {
		began := time.Now()
		m.KeyRotation, err = rotate(ctx, admin, engine.RotateKeys{Progress: func(engine.Progress) {
			var now runtime.MemStats
			runtime.ReadMemStats(&now)
			m.peak = max(m.peak, now.HeapAlloc)
		}})
		m.took = time.Since(began)
	})
	must(t, err)
	if m.quiet.errors+m.busy.errors > 0 {
		t.Errorf("%d errors without the rotation, %d with it", m.quiet.errors, m.busy.errors)
	}
	return m
}

// print says how it went; n is how many of what were rotated.
func (m measured) print(t *testing.T, n int64, what string) {
	t.Helper()
	t.Logf("rotation of %d %s: %.1f s, %.0f/s, peak heap %d MB, errors %d", n, what, m.took.Seconds(), float64(n)/m.took.Seconds(), m.peak>>20, m.busy.errors)
	t.Logf("reads without: %s", m.quiet)
	t.Logf("reads with:    %s", m.busy)
}

func run(t *testing.T, s storage.Store, k storage.KeyStore, n int) {
	ctx := t.Context()
	ring, e, people := populated(t, s, k)
	began := time.Now()
	fill(t, k, ring, n-len(people))
	t.Logf("%d people, %d keys, laid down in %.1f s", n, 3*n, time.Since(began).Seconds())

	m := beside(t, e, people, time.Duration(n)*10*time.Microsecond, e.RotateKEK)
	counts, err := k.WrappedBy(ctx)
	must(t, err)
	if len(counts) != 1 || counts[ring.PrimaryKEK()] < int64(3*n) || m.Rewrapped < int64(3*n) {
		t.Errorf("wrapped by %v, rewrapped %d", counts, m.Rewrapped)
	}
	for _, id := range people {
		_, err := e.ReadData(ctx, app, engine.Read{Subject: id, Purpose: "provide", Categories: []abide.Category{"person.name"}})
		must(t, err)
	}
	m.print(t, m.Rewrapped, "keys")
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func person(t *testing.T, e *engine.Engine) abide.SubjectID {
	t.Helper()
	got, err := e.CreateSubject(t.Context(), app, engine.NewSubject{Jurisdiction: "HK", BirthDate: abide.Date{Year: 1990, Month: 1, Day: 1}})
	must(t, err)
	_, err = e.Collect(t.Context(), app, engine.Collect{Subject: got.ID, Service: "shop", Items: map[abide.Category]json.RawMessage{"person.name": json.RawMessage(`"Ann"`)}})
	must(t, err)
	return got.ID
}

// fill lays down the keys of n more people. A rotation reads and writes wrapped
// keys only, so they need no data.
func fill(t *testing.T, k storage.KeyStore, ring *keys.Keyring, n int) {
	t.Helper()
	const page = 1000
	now := time.Now()
	for n > 0 {
		var batch []storage.WrappedKey
		for range min(n, page) {
			id := abide.NewSubjectID(now)
			for _, c := range []storage.Compartment{storage.Live, storage.Log, storage.Law} {
				var key [32]byte
				_, _ = rand.Read(key[:])
				w, err := ring.Wrap(id, c, 1, key[:])
				must(t, err)
				batch = append(batch, w)
			}
		}
		must(t, k.Put(t.Context(), batch))
		n -= page
	}
}

// fared is how callers fared.
type fared struct {
	reads  int
	errors int64
	p50    time.Duration
	p99    time.Duration
	worst  time.Duration
}

func (f fared) String() string {
	return strconv.Itoa(f.reads) + " reads, p50 " + f.p50.Round(10*time.Microsecond).String() + ", p99 " +
		f.p99.Round(10*time.Microsecond).String() + ", worst " + f.worst.Round(10*time.Microsecond).String()
}

// serve has eight callers read, and one register people and erase them, while
// during runs.
func serve(t *testing.T, e *engine.Engine, people []abide.SubjectID, during func()) fared {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var out fared
	var errs atomic.Int64
	var mu sync.Mutex
	var times []time.Duration
	var wg sync.WaitGroup
	fails := func(err error) {
		if err != nil && ctx.Err() == nil {
			errs.Add(1)
			t.Log(err)
		}
	}
	for c := range 8 {
		wg.Go(func() {
			var own []time.Duration
			for i := c; ctx.Err() == nil; i++ {
				began := time.Now()
				_, err := e.ReadData(ctx, app, engine.Read{Subject: people[i%len(people)], Purpose: "provide", Categories: []abide.Category{"person.name"}})
				own = append(own, time.Since(began))
				fails(err)
			}
			mu.Lock()
			defer mu.Unlock()
			times = append(times, own...)
		})
	}
	wg.Go(func() {
		for ctx.Err() == nil {
			got, err := e.CreateSubject(ctx, app, engine.NewSubject{Jurisdiction: "HK"})
			fails(err)
			if err == nil {
				_, err = e.Erase(ctx, admin, got.ID)
				fails(err)
			}
			rest(ctx, 50*time.Millisecond)
		}
	})
	during()
	stop()
	wg.Wait()
	slices.Sort(times)
	out.reads, out.errors = len(times), errs.Load()
	out.p50, out.p99, out.worst = times[len(times)/2], times[len(times)*99/100], times[len(times)-1]
	return out
}

// rest waits, or until ctx ends.
func rest(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
