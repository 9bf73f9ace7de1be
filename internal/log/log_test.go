package log_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/keys"
	"github.com/abide-privacy/abide/internal/log"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/storage/postgres"
	"github.com/abide-privacy/abide/internal/storage/sqlite"
	"github.com/abide-privacy/abide/internal/testx/pg"
)

const origin = "shop.example/log"

// world is a store with a log, on either engine, and everything that moves it.
type world struct {
	*testing.T
	ctx   context.Context
	store storage.Store
	// another makes one more store of the same engine.
	another func(t *testing.T) storage.Store
	keys    *keys.Keyring
	watch   time.Duration // the stopwatch of every sequencer
	clock   time.Time
	n       uint64
	spool   map[string]uint64
	want    map[[32]byte]bool // every commitment that was acknowledged
}

// newStore makes an empty SQLite store.
func newStore(t *testing.T) storage.Store {
	t.Helper()
	s := must(sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "data.db"), sqlite.Options{}))(t)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// engines runs a test on both engines.
func engines(t *testing.T, test func(w *world)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		w := newWorld(t, newStore(t))
		w.another = newStore
		test(w)
	})
	t.Run("postgres", func(t *testing.T) {
		w := newWorld(t, newDatabase(t))
		w.another = newDatabase
		test(w)
	})
}

func newDatabase(t *testing.T) storage.Store {
	t.Helper()
	s := must(postgres.Open(t.Context(), pg.Database(t), postgres.Options{}))(t)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// twin is a world with the same keys and clock, and an empty store of the same
// engine.
func (w *world) twin() *world {
	w.Helper()
	other := newWorld(w.T, w.another(w.T))
	other.keys, other.clock, other.another = w.keys, w.clock, w.another
	return other
}

func newWorld(t *testing.T, s storage.Store) *world {
	t.Helper()
	ring := must(keys.New())(t)
	if err := ring.EnsureLog(t.Context()); err != nil {
		t.Fatal(err)
	}
	return &world{T: t, ctx: t.Context(), store: s, keys: ring, clock: time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC),
		spool: map[string]uint64{}, want: map[[32]byte]bool{}}
}

func must[T any](v T, err error) func(t testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// node makes a sequencer over a store.
func (w *world) node(name string, s storage.Store, place log.Place) *log.Sequencer {
	return log.New(log.Options{Store: s, Keys: w.keys, Origin: origin, Node: name, Place: place,
		Clock: func() time.Time { return w.clock }, Watch: func() time.Duration { return w.watch }})
}

func (w *world) commitment() (c [32]byte) {
	w.n++
	c = sha256.Sum256(binary.BigEndian.AppendUint64([]byte("commitment"), w.n))
	w.want[c] = true
	return c
}

// write commits a subject with entries.
func (w *world) write(entries int) (id abide.SubjectID) {
	w.Helper()
	id = abide.NewSubjectID(w.clock)
	c := &storage.Change{Row: storage.SubjectRow{ID: id, Kind: abide.Person, Status: abide.StatusActive, Version: 1, EntryN: uint64(entries)}}
	for n := range entries {
		c.Entries = append(c.Entries, storage.Entry{Subject: id, N: uint64(n + 1), At: w.clock, Kind: "collected", Commitment: w.commitment()})
	}
	w.ok(w.store.Commit(w.ctx, c))
	return id
}

// look spools a batch of looks of a node.
func (w *world) look(node string, looks int) storage.SpoolKey {
	w.Helper()
	w.spool[node]++
	b := &storage.SpoolBatch{Node: node, Batch: w.spool[node], At: w.clock}
	for range looks {
		b.Looks = append(b.Looks, storage.Look{At: w.clock, Kind: "looked", Commitment: w.commitment()})
	}
	w.ok(w.store.Spool(w.ctx, b))
	return storage.SpoolKey{Node: node, Batch: b.Batch}
}

// verified verifies the newest log with package audit and returns its
// entries and checkpoint.
func (w *world) verified(src audit.Source) ([][]byte, *audit.SignedCheckpoint) {
	w.Helper()
	head := must(w.store.LogHead(w.ctx))(w)
	if src == nil {
		src = log.StoreSource{Store: w.store, Log: head.Log}
	}
	known := must(audit.NewKeys(must(log.VerifierKeys(w.keys, head.Origin))(w)[0]))(w)
	l := audit.NewLog(src, known)
	c := must(l.Checkpoint(w.ctx))(w)
	var entries [][]byte
	_, err := l.Verify(w.ctx, &c.Checkpoint, audit.Verification{
		Entry: func(_ int64, e []byte) error {
			entries = append(entries, bytes.Clone(e))
			return nil
		},
		Found: func(f *audit.Fault) { w.Errorf("the log is damaged: %v", f) },
	})
	w.ok(err)
	return entries, c
}

// whole checks that the log has every commitment once, and nothing else.
func (w *world) whole() *audit.SignedCheckpoint {
	w.Helper()
	entries, c := w.verified(nil)
	seen := map[[32]byte]bool{}
	for i, e := range entries {
		leaf := [32]byte(e)
		switch {
		case seen[leaf]:
			w.Errorf("leaf %d is in the log twice", i)
		case !w.want[leaf]:
			w.Errorf("leaf %d was never acknowledged", i)
		}
		seen[leaf] = true
	}
	if len(seen) != len(w.want) {
		w.Errorf("the log has %d of %d entries", len(seen), len(w.want))
	}
	if rows := must(w.store.Pending(w.ctx, storage.EntryKey{}, 1))(w); len(rows) > 0 {
		w.Error("entries still wait")
	}
	if rows := must(w.store.Unlogged(w.ctx, storage.SpoolKey{}, 1))(w); len(rows) > 0 {
		w.Error("looks still wait")
	}
	return c
}

// TestEverythingComesInOnce: entries and looks of several sizes, in several
// steps, verified by package audit, which shares nothing with the sequencer.
func TestEverythingComesInOnce(t *testing.T) {
	engines(t, func(w *world) {
		t := w.T
		s := w.node("n1", w.store, nil)
		w.ok(s.Step(w.ctx))
		if _, err := w.store.Checkpoint(w.ctx, 1); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("an empty log has a checkpoint: %v", err)
		}
		for _, entries := range []int{1, 2, 253, 1, 300, 700} {
			w.write(entries)
			w.look("a", entries%7+1)
			w.look("b", 1)
			w.ok(s.Step(w.ctx))
		}
		c := w.whole()
		if before := c.Note; !bytes.Equal(before, w.whole().Note) {
			t.Error("the checkpoint changed")
		}
		w.ok(s.Step(w.ctx))
		if !bytes.Equal(w.whole().Note, c.Note) {
			t.Error("a step without entries made another checkpoint")
		}
	})
}

// TestEntriesAreFoundAndProved: by key, wherever they came in.
func TestEntriesAreFoundAndProved(t *testing.T) {
	engines(t, func(w *world) {
		t := w.T
		s := w.node("n1", w.store, nil)
		var ids []abide.SubjectID
		for range 40 {
			ids = append(ids, w.write(2))
			w.clock = w.clock.Add(time.Minute)
			w.ok(s.Step(w.ctx))
		}
		w.clock = w.clock.Add(-3 * time.Hour) // what comes now says it is older than all before
		ids = append(ids, w.write(2))
		look := w.look("a", 5)
		w.ok(s.Step(w.ctx))
		known := must(audit.NewKeys(must(log.VerifierKeys(w.keys, origin))(t)[0]))(t)
		prove := func(logN, leaf uint64, commitment [32]byte) {
			t.Helper()
			p, _, err := log.Prove(w.ctx, w.store, logN, leaf)
			w.ok(err)
			read := must(audit.ParseProof(p.Encode()))(t)
			_, err = read.Verify(known, commitment[:])
			w.ok(err)
		}
		for _, id := range ids {
			for _, e := range must(w.store.Entries(w.ctx, id, 0, 10))(t) {
				for _, at := range []time.Time{e.At, e.At.Add(10 * time.Hour)} {
					n, leaf, err := log.FindEntry(w.ctx, w.store, storage.EntryKey{Subject: id, N: e.N}, at)
					w.ok(err)
					prove(n, leaf, e.Commitment)
				}
			}
		}
		n, leaf, err := log.FindLook(w.ctx, w.store, storage.LookKey{Node: look.Node, Batch: look.Batch, Pos: 3})
		w.ok(err)
		kept := must(w.store.Look(w.ctx, abide.SubjectID{}, storage.LookKey{Node: look.Node, Batch: look.Batch, Pos: 3}))(t)
		prove(n, leaf, kept.Commitment)
		id := w.write(1)
		if _, _, err := log.FindEntry(w.ctx, w.store, storage.EntryKey{Subject: id, N: 1}, w.clock); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("an entry that waits: %v", err)
		}
		if _, _, err := log.Prove(w.ctx, w.store, 1, must(w.store.LogHead(w.ctx))(t).Size); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("a proof of what is not there: %v", err)
		}
	})
}

// TestWhatIsServed: the resources of tlog-tiles with their types and caching,
// read by a client over HTTP; nothing beyond the checkpoint, nothing by another
// name.
func TestWhatIsServed(t *testing.T) {
	w := newWorld(t, newStore(t))
	seq := w.node("n1", w.store, nil)
	server := httptest.NewServer(http.StripPrefix("/log", log.NewHandler(w.store, w.keys)))
	t.Cleanup(server.Close)
	get := func(path string) (*http.Response, []byte) {
		t.Helper()
		res := must(server.Client().Get(server.URL + "/log/" + path))(t)
		defer res.Body.Close()
		var b bytes.Buffer
		must(b.ReadFrom(res.Body))(t)
		return res, b.Bytes()
	}
	if res, _ := get("checkpoint"); res.StatusCode != http.StatusNotFound {
		t.Errorf("before the first entry: %d", res.StatusCode)
	}
	w.write(300)
	w.ok(seq.Step(w.ctx))
	w.write(100) // durable, and under no checkpoint yet
	for path, want := range map[string]string{
		"checkpoint":               "text/plain; charset=utf-8",
		"key":                      "text/plain; charset=utf-8",
		"tile/0/000":               "application/octet-stream",
		"tile/0/001.p/44":          "application/octet-stream",
		"tile/0/001.p/7":           "application/octet-stream",
		"tile/1/000.p/1":           "application/octet-stream",
		"tile/entries/000":         "application/octet-stream",
		"tile/entries/001.p/44":    "application/octet-stream",
		"tile/0/001":               "",
		"tile/0/001.p/45":          "",
		"tile/entries/001.p/45":    "",
		"tile/0/001.p/0":           "",
		"tile/0/000.p/256":         "",
		"tile/0/000.p/044":         "",
		"tile/0/0":                 "",
		"tile/0/x000/000":          "",
		"tile/00/000":              "",
		"tile/1/000":               "",
		"tile/8/000.p/1":           "",
		"tile/0/000/":              "",
		"2/checkpoint":             "",
		"1/checkpoint":             "",
		"checkpoint/":              "",
		"":                         "",
		"tile/0/x999/x999/999":     "",
		"tile/data/000":            "",
		"tile/entries/000.p/256":   "",
		"tile/entries/x001/000":    "",
		"tile/0/000.p/1.p/1":       "",
		"tile/0/%2e%2e/checkpoint": "",
	} {
		res, body := get(path)
		if got := res.Header.Get("Content-Type"); want != "" && (res.StatusCode != http.StatusOK || got != want || len(body) == 0) {
			t.Errorf("%s: %d, %s, %d bytes", path, res.StatusCode, got, len(body))
		}
		if want == "" && res.StatusCode != http.StatusNotFound {
			t.Errorf("%s is served: %d", path, res.StatusCode)
		}
		immutable := res.Header.Get("Cache-Control") == "public, max-age=31536000, immutable"
		if immutable != (want == "application/octet-stream") {
			t.Errorf("%s: Cache-Control %q", path, res.Header.Get("Cache-Control"))
		}
	}
	res := must(server.Client().Post(server.URL+"/log/checkpoint", "text/plain", nil))(t)
	res.Body.Close()
	if res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", res.StatusCode)
	}
	_, vkey := get("key")
	verifier := must(note.NewVerifier(string(bytes.TrimSpace(vkey))))(t)
	_, checkpoint := get("checkpoint")
	n := must(note.Open(checkpoint, note.VerifierList(verifier)))(t)
	if want := origin + "\n300\n"; n.Text[:len(want)] != want {
		t.Errorf("the checkpoint is %q", n.Text)
	}
	entries, _ := w.verified(must(audit.URL(server.URL+"/log/", nil))(t))
	if len(entries) != 300 {
		t.Errorf("%d entries", len(entries))
	}
}

// TestTreeIsThatOfTlog: whatever the entries and wherever the tree is left and
// taken up again, its root is the one that sumdb/tlog computes.
func TestTreeIsThatOfTlog(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfN(rapid.IntRange(0, 300), 1, 6).Draw(rt, "entries in each step")
		tree := log.NewTestTree()
		var hashes []tlog.Hash
		var n int64
		reader := tlog.HashReaderFunc(func(at []int64) (out []tlog.Hash, err error) {
			for _, i := range at {
				out = append(out, hashes[i])
			}
			return out, nil
		})
		for _, step := range steps {
			for range step {
				e := fmt.Appendf(nil, "entry %d", n)
				stored, err := tlog.StoredHashes(n, e, reader)
				if err != nil {
					rt.Fatal(err)
				}
				hashes = append(hashes, stored...)
				n++
				tree.Append(e)
			}
			want, err := tlog.TreeHash(n, reader)
			if err != nil {
				rt.Fatal(err)
			}
			if got := tree.Leave(); got != want {
				rt.Fatalf("root of %d entries: %x, want %x", n, got, want)
			}
		}
	})
}

func isNone(err error) bool { return errors.Is(err, fs.ErrNotExist) }
