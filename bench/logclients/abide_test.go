package logclients

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"

	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/keys"
	"github.com/abide-privacy/abide/internal/log"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/storage/postgres"
	"github.com/abide-privacy/abide/internal/storage/sqlite"
	"github.com/abide-privacy/abide/internal/testx/pg"
)

func TestMain(m *testing.M) { os.Exit(pg.Main(m)) }

const (
	writers = 8
	batch   = 256
)

// entries is how many the runs take: a few thousand, or 200,000 by ABIDE_PROOF.
func entries() int {
	if os.Getenv("ABIDE_PROOF") == "" {
		return 2 * writers * batch
	}
	return (200_000/(writers*batch) + 1) * writers * batch
}

// steady is how many entries a second the steady runs are given.
const steady = 20_000

// TestAbideLog fills a log of each engine as nodes do, as fast as it goes and at a
// steady rate, with the sequencer at work, and lets clients that share no code with
// Abide read what it published, over HTTP and from its directory. Then tessera's
// POSIX driver takes as many in.
func TestAbideLog(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) (storage.Store, error){
		"sqlite": func(t *testing.T) (storage.Store, error) {
			return sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "data.db"), sqlite.Options{})
		},
		"postgres": func(t *testing.T) (storage.Store, error) {
			return postgres.Open(t.Context(), pg.Database(t), postgres.Options{})
		},
	} {
		for how, rate := range map[string]int{"as fast as it goes": 0, "steady": steady} {
			t.Run(name+" "+how, func(t *testing.T) {
				store, err := open(t)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = store.Close() })
				abide(t, store, rate)
			})
		}
	}
	t.Run("tessera posix", posixDriver)
}

func abide(t *testing.T, store storage.Store, rate int) {
	ring, err := keys.New()
	if err == nil {
		err = ring.EnsureLog(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	place, err := log.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	s := log.New(log.Options{Store: store, Keys: ring, Origin: "shop.example/log", Node: "n1", Alone: true, Place: place})
	s.Start(t.Context())
	w := &watched{look: func() (uint64, error) {
		c, err := store.Checkpoint(t.Context(), 1)
		if err != nil {
			return 0, err
		}
		return c.Size, nil
	}}
	w.start(t)
	began := time.Now()
	var wg sync.WaitGroup
	durable := make([][]time.Time, writers)
	for i := range writers {
		wg.Go(func() {
			var due <-chan time.Time
			if rate > 0 {
				tick := time.NewTicker(time.Second * writers * batch / time.Duration(rate))
				defer tick.Stop()
				due = tick.C
			}
			for b := range entries() / (writers * batch) {
				if rate > 0 {
					<-due
				}
				if err := store.Spool(t.Context(), looks("w"+strconv.Itoa(i), b+1)); err != nil {
					t.Error(err)
					return
				}
				durable[i] = append(durable[i], time.Now())
			}
		})
	}
	wg.Wait()
	took := time.Since(began)
	w.until(t, uint64(entries()))
	all := time.Since(began)
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	var waits []time.Duration
	for i := range durable {
		for b, at := range durable[i] {
			_, leaf, err := store.SpoolLeaf(t.Context(), storage.SpoolKey{Node: "w" + strconv.Itoa(i), Batch: uint64(b + 1)})
			if err != nil {
				t.Fatal(err)
			}
			waits = append(waits, w.at(leaf+batch).Sub(at))
		}
	}
	report(t, took, all, waits)

	vkeys, err := log.VerifierKeys(ring, "shop.example/log")
	if err != nil {
		t.Fatal(err)
	}
	served := httptest.NewServer(http.StripPrefix("/log", log.NewHandler(store, ring)))
	defer served.Close()
	files := httptest.NewServer(http.FileServer(http.Dir(dir)))
	defer files.Close()
	for _, at := range []string{served.URL + "/log", files.URL} {
		readAll(t, at, vkeys[0])
	}
	known, err := audit.NewKeys(vkeys[0])
	if err != nil {
		t.Fatal(err)
	}
	l := audit.NewLog(audit.Dir(dir), known)
	c, err := l.Checkpoint(t.Context())
	if err != nil || c.Size != int64(entries()) {
		t.Fatalf("the directory has %+v, want %d entries: %v", c, entries(), err)
	}
}

// looks are what a node spools in one commit: sealed payloads of an ordinary size.
func looks(node string, n int) *storage.SpoolBatch {
	b := &storage.SpoolBatch{Node: node, Batch: uint64(n), At: time.Now()}
	sealed := bytes.Repeat([]byte{7}, 250)
	for i := range batch {
		c := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(node), uint64(n*batch+i)))
		b.Looks = append(b.Looks, storage.Look{At: b.At, Kind: "looked", Payload: sealed, Envelope: sealed, Commitment: c})
	}
	return b
}

// posixDriver takes as many entries of 32 bytes into tessera's POSIX driver, which
// syncs what it writes too. An entry is durable once its index is known.
func posixDriver(t *testing.T) {
	skey, _, err := note.GenerateKey(rand.Reader, "tessera.example/log")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	driver, err := posix.New(ctx, posix.Config{Path: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	appender, shutdown, reader, err := tessera.NewAppender(ctx, driver, tessera.NewAppendOptions().WithCheckpointSigner(signer).
		WithBatching(writers*batch, 50*time.Millisecond).WithCheckpointInterval(time.Second).WithPushback(uint(entries())+1))
	if err != nil {
		t.Fatal(err)
	}
	w := &watched{look: func() (uint64, error) {
		raw, err := reader.ReadCheckpoint(ctx)
		if err != nil {
			return 0, err
		}
		lines := bytes.SplitN(raw, []byte("\n"), 3)
		if len(lines) < 3 {
			return 0, nil
		}
		return strconv.ParseUint(string(lines[1]), 10, 64)
	}}
	w.start(t)
	began := time.Now()
	type done struct {
		index uint64
		at    time.Time
	}
	got := make([][]done, writers)
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			for b := range entries() / (writers * batch) {
				var futures []tessera.IndexFuture
				for j := range batch {
					h := sha256.Sum256(fmt.Append(nil, i, b, j))
					futures = append(futures, appender.Add(ctx, tessera.NewEntry(h[:])))
				}
				var last uint64
				for _, f := range futures {
					index, err := f()
					if err != nil {
						t.Error(err)
						return
					}
					last = max(last, index.Index)
				}
				got[i] = append(got[i], done{last, time.Now()})
			}
		})
	}
	wg.Wait()
	took := time.Since(began)
	w.until(t, uint64(entries()))
	all := time.Since(began)
	var waits []time.Duration
	for i := range got {
		for _, d := range got[i] {
			waits = append(waits, max(0, w.at(d.index+1).Sub(d.at)))
		}
	}
	report(t, took, all, waits)
	if err := shutdown(ctx); err != nil {
		t.Fatal(err)
	}
}

func report(t *testing.T, took, all time.Duration, waits []time.Duration) {
	t.Helper()
	slices.Sort(waits)
	t.Logf("%d entries, durable at %.0f/s, all under a checkpoint at %.0f/s; from durable to checkpoint p50 %v, p99 %v", entries(),
		float64(entries())/took.Seconds(), float64(entries())/all.Seconds(),
		waits[len(waits)/2].Round(time.Millisecond), waits[len(waits)*99/100].Round(time.Millisecond))
}

// watched notes when which size was shown first.
type watched struct {
	look func() (uint64, error)

	mu    sync.Mutex
	sizes []uint64
	times []time.Time
}

func (w *watched) start(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	t.Cleanup(func() { stop(); wg.Wait() })
	wg.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
			size, err := w.look()
			w.mu.Lock()
			if err == nil && (len(w.sizes) == 0 || w.sizes[len(w.sizes)-1] < size) {
				w.sizes, w.times = append(w.sizes, size), append(w.times, time.Now())
			}
			w.mu.Unlock()
		}
	})
}

// at is when that many entries were under a checkpoint.
func (w *watched) at(size uint64) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	i, _ := slices.BinarySearch(w.sizes, size)
	if i == len(w.times) {
		return time.Time{}
	}
	return w.times[i]
}

func (w *watched) until(t *testing.T, size uint64) {
	t.Helper()
	deadline := time.NewTimer(5 * time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for w.at(size).IsZero() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatal("not all entries came under a checkpoint")
		}
	}
}
