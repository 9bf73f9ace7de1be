package citus_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/storage/postgres"
	"github.com/abide-privacy/abide/internal/testx/citus"
	"github.com/abide-privacy/abide/internal/testx/pg"
	"github.com/jackc/pgx/v5"
)

func TestMain(m *testing.M) { os.Exit(max(pg.Main(m), citus.Main())) }

// worker stands between the coordinator and a worker, and breaks a connection
// at a command: before the worker has it, or when the worker has carried it
// out, but before the coordinator hears of it.
type worker struct {
	target string
	at     atomic.Pointer[fault]
	met    atomic.Int64 // how often the command came by
}

type fault struct {
	command string
	kind    kind
}

type kind int

const (
	watch  kind = iota // and break nothing
	before             // the worker never has the command
	after              // the answer is lost
)

// cluster is a database whose workers are reached through proxies.
type cluster struct {
	*testing.T
	url     string
	workers []*worker
	data    *postgres.Store
	keys    *postgres.KeyStore
}

func newCluster(t *testing.T) *cluster {
	c := &cluster{T: t}
	c.url = citus.Through(t, func(addr string) string {
		w := &worker{target: addr}
		c.workers = append(c.workers, w)
		return w.listen(t)
	})
	var err error
	if c.data, err = postgres.Open(t.Context(), c.url, postgres.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.data.Close() })
	if c.keys, err = postgres.OpenKeysWith(t.Context(), c.url, postgres.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.keys.Close() })
	return c
}

// with sets a fault on some workers for the time of a call, and returns how
// often it happened.
func (c *cluster) with(command string, k kind, on []*worker, call func()) int64 {
	for _, w := range on {
		w.met.Store(0)
		w.at.Store(&fault{command, k})
	}
	call()
	sum := int64(0)
	for _, w := range on {
		w.at.Store(nil)
		sum += w.met.Load()
	}
	return sum
}

func (c *cluster) must(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

// admin asks the coordinator.
func admin[T any](c *cluster, query string) (v T) {
	c.Helper()
	conn, err := pgx.Connect(c.Context(), c.url)
	c.must(err)
	defer conn.Close(context.Background())
	c.must(conn.QueryRow(c.Context(), query).Scan(&v))
	return v
}

// onClusters runs a test on the cluster there is; without one the list of
// clusters is empty.
func onClusters(t *testing.T, test func(c *cluster)) {
	if citus.Here() {
		test(newCluster(t))
	}
}

func subject(n int) abide.SubjectID {
	return abide.SubjectID{6: 0x70, 8: 0x80, 14: byte(n >> 8), 15: byte(n)}
}

func person(n int) *storage.Change {
	id := subject(n)
	return &storage.Change{Row: storage.SubjectRow{ID: id, Kind: abide.Person, Status: abide.StatusActive, Version: 1},
		Entries: []storage.Entry{{Subject: id, N: 1, Kind: "collected"}}}
}

func keysOf(kek string, people int) (out []storage.WrappedKey) {
	for n := range people {
		for compartment := range storage.Compartment(3) {
			out = append(out, storage.WrappedKey{Subject: subject(n), Compartment: compartment + 1, Version: 1, KEK: kek, Wrapped: []byte(kek)})
		}
	}
	return out
}

// TestAnswerOfAShardIsLost: the coordinator cannot tell whether a shard carried
// out its COMMIT, and calls that an internal error. It must not come out as a
// refusal.
func TestAnswerOfAShardIsLost(t *testing.T) {
	onClusters(t, func(c *cluster) {
		for i, k := range []kind{before, after} {
			var err error
			n := c.with("COMMIT\x00", k, c.workers, func() { err = c.data.Commit(t.Context(), person(i)) })
			if n != 1 || !errors.Is(err, storage.ErrOutcomeUnknown) {
				t.Errorf("%d commits broken; error %v, want ErrOutcomeUnknown", n, err)
			}
			_, err = c.data.Load(t.Context(), subject(i), storage.Want{})
			if want := map[kind]error{before: storage.ErrNotFound}[k]; !errors.Is(err, want) {
				t.Errorf("load: %v; want %v", err, want)
			}
			t.Logf("answer lost: shard committed %v", err == nil)
		}
	})
}

// TestOnePhase: what somebody relies on as soon as it is acknowledged is
// committed on one shard, in one phase.
func TestOnePhase(t *testing.T) {
	onClusters(t, func(c *cluster) {
		ctx, now := t.Context(), time.Unix(1_800_000_000, 0)
		var claims []storage.Lookup
		for n := range 10 {
			claims = append(claims, storage.Lookup{Category: "person.email", Index: storage.IndexValue{Key: "k", Value: []byte{byte(n)}}, Subject: subject(n), Unique: true})
			c.must(c.data.PutToken(ctx, &storage.TokenRow{Hash: []byte{byte(n)}, Name: "shared", Created: now}))
		}
		for name, call := range map[string]func() error{
			"change":      func() error { return c.data.Commit(ctx, person(100)) },
			"keys":        func() error { return c.keys.Put(ctx, keysOf("k1", 20)) },
			"keys' end":   func() error { return c.keys.Destroy(ctx, subject(300), []storage.Compartment{1, 2, 3}) },
			"claims":      func() error { return c.data.Claim(ctx, claims, now) },
			"token's end": func() error { return c.data.DropToken(ctx, "shared") },
			"spooled look": func() error {
				return c.data.Spool(ctx, &storage.SpoolBatch{Node: "n", Batch: 1, At: now, Looks: []storage.Look{{Subject: subject(1), Kind: "looked"}}})
			},
		} {
			n := c.with("PREPARE TRANSACTION", watch, c.workers, func() { c.must(call()) })
			if n != 0 {
				t.Errorf("%s: prepared %d times", name, n)
			}
		}
		// And the check can fail: a page of a rotation spans shards.
		if n := c.with("PREPARE TRANSACTION", watch, c.workers, func() { c.rewrap("k1", "k2", 20) }); n == 0 {
			t.Error("a rotation was not seen to prepare")
		}
	})
}

func (c *cluster) rewrap(from, to string, people int) {
	c.Helper()
	var page []storage.Rewrapped
	news := keysOf(to, people)
	for i, old := range keysOf(from, people) {
		page = append(page, storage.Rewrapped{Old: old, New: news[i]})
	}
	n, err := c.keys.Rewrap(c.Context(), page)
	c.must(err)
	if n != len(page) {
		c.Fatalf("%d of %d keys re-wrapped", n, len(page))
	}
}

// TestSecondPhaseIsLost: a rotation that was acknowledged has not reached a
// shard when the next one begins. The fence waits for it: otherwise the keys
// there would come to light under a key-encryption key that is destroyed.
func TestSecondPhaseIsLost(t *testing.T) {
	onClusters(t, func(c *cluster) {
		const people = 20
		c.must(c.keys.Put(t.Context(), keysOf("k1", people)))
		n := c.with("COMMIT PREPARED", before, c.workers[1:], func() { c.rewrap("k1", "k2", people) })
		by, err := c.keys.WrappedBy(t.Context())
		if err != nil || n != 1 || by["k1"] == 0 || by["k2"] == 0 {
			t.Fatalf("second phase broken %d times; keys by wrapping: %v, %v", n, by, err)
		}
		t.Logf("acknowledged, and seen: %v", by)
		done := make(chan error, 1)
		go func() { done <- c.keys.Fence(t.Context(), "k2") }()
		for waiting := false; !waiting; {
			select {
			case err := <-done:
				by, _ := c.keys.WrappedBy(t.Context())
				t.Fatalf("the fence stands (%v), and what is under the new key is not all there: %v", err, by)
			default:
				waiting = admin[bool](c, `SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database()
					AND application_name = 'abide' AND query LIKE '%run_command_on_placements%'`)
			}
		}
		// Citus' maintenance daemon does this once a minute.
		t.Logf("recovered: %d", admin[int](c, `SELECT recover_prepared_transactions()`))
		c.must(<-done)
		if by, err = c.keys.WrappedBy(t.Context()); err != nil || by["k2"] != 3*people || by["k1"] != 0 {
			t.Errorf("keys by wrapping: %v, %v; want all under the new one", by, err)
		}
	})
}

// listen serves on loopback until the test ends.
func (w *worker) listen(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			go w.forward(near)
		}
	}()
	return l.Addr().String()
}

func (w *worker) forward(near net.Conn) {
	defer near.Close()
	far, err := net.Dial("tcp", w.target)
	if err != nil {
		return
	}
	defer far.Close()
	var silent atomic.Bool // nothing more comes back
	go func() {
		defer near.Close()
		buf := make([]byte, 1<<16)
		for {
			n, err := far.Read(buf)
			if err != nil || silent.Load() {
				return
			}
			if _, err := near.Write(buf[:n]); err != nil {
				return
			}
		}
	}()
	buf := make([]byte, 1<<16)
	for {
		n, err := near.Read(buf)
		if err != nil {
			return
		}
		if f := w.at.Load(); f != nil && bytes.Contains(buf[:n], []byte(f.command)) {
			w.met.Add(1)
			if f.kind == before {
				return
			}
			silent.Store(f.kind == after)
		}
		if _, err := far.Write(buf[:n]); err != nil {
			return
		}
	}
}
