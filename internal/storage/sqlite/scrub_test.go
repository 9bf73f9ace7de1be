package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
)

// holding returns the names of the files of a directory that hold b.
func holding(t *testing.T, dir string, b []byte) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) == 0 {
		t.Fatal("there is no file to search")
	}
	var names []string
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(data, b) {
			names = append(names, e.Name())
		}
	}
	return names
}

// canaryOf is what stands for the data of subject n: long enough to lie in
// overflow pages for some.
func canaryOf(n, version int) []byte {
	return bytes.Repeat(fmt.Appendf(nil, "<canary %04d v%d>", n, version), 1+n%7*30)
}

func needle(n int) []byte { return fmt.Appendf(nil, "<canary %04d ", n) }

// full is a change that writes canaries of subject n into every sealed column.
func full(n, version int) *storage.Change {
	id, sealed := idOf(n), canaryOf(n, version)
	c := &storage.Change{
		Expect: uint64(version - 1),
		Row: storage.SubjectRow{ID: id, Kind: abide.Person, Status: abide.StatusActive, Version: uint64(version),
			Sealed: sealed, EntryN: uint64(version)},
		Entries:      []storage.Entry{{Subject: id, N: uint64(version), Kind: "collected"}},
		ConsentIndex: []storage.ConsentIndexRow{{Purpose: "marketing", Effect: "given"}},
		Consents:     []storage.ConsentRow{{N: uint64(version), Purpose: "marketing", Action: abide.ConsentGiven, Sealed: sealed}},
		Idempotency:  &storage.IdempotencyRow{Key: fmt.Append(nil, version), Digest: []byte("d"), Sealed: sealed},
	}
	for i := range 3 {
		c.PutItems = append(c.PutItems, storage.Item{Category: abide.Category(fmt.Sprint("c", i)), ID: id, Version: uint32(version),
			Compartment: storage.Live, Sealed: sealed, IndexKey: "k", Index: needle(n)})
	}
	return c
}

// TestScrubLeavesNoDeletedByte writes and rewrites subjects in random order, so
// that pages split, merge and are freed, erases some, and searches the files.
// The first scrub looks at the whole file, the later ones at what was logged.
func TestScrubLeavesNoDeletedByte(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(t.Context(), filepath.Join(dir, "data.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	const subjects, rounds = 120, 4
	order := rand.New(rand.NewPCG(1, 2))
	versions := make([]int, subjects)
	for round := range rounds {
		for range subjects * 3 {
			if n := order.IntN(subjects); n%rounds >= round { // not erased yet
				versions[n]++
				write(t, s, n, versions[n])
			}
		}
		if len(holding(t, dir, needle(rounds-1))) == 0 {
			t.Fatal("the search does not find what is there")
		}
		for n := round; n < subjects; n += rounds {
			erase(t, s, n, versions[n])
		}
		if err := s.Scrub(t.Context()); err != nil {
			t.Fatal(err)
		}
		for n := range subjects {
			found := holding(t, dir, needle(n))
			if n%rounds <= round && len(found) > 0 {
				t.Errorf("round %d: erased subject %d is still in %q", round, n, found)
			}
			if n%rounds > round && versions[n] > 0 && len(found) == 0 {
				t.Errorf("round %d: subject %d, which was not erased, is nowhere", round, n)
			}
		}
		if s.f.w.slack.all {
			t.Error("the next scrub would look at the whole file again")
		}
		intact(t, s)
	}
}

func write(t *testing.T, s *Store, n, version int) {
	t.Helper()
	c := full(n, version)
	err := errors.Join(s.Claim(t.Context(), storage.LookupsOf(c.Row.ID, c.PutItems), time.Unix(1, 0)), s.Commit(t.Context(), c))
	if err != nil {
		t.Fatal(err)
	}
}

// intact asks SQLite whether the file is in order.
func intact(t *testing.T, s *Store) {
	t.Helper()
	err := s.f.readers.read(t.Context(), func(c *conn) error {
		return c.query("PRAGMA integrity_check", func(r *row) error {
			if line := r.text(); line != "ok" {
				t.Errorf("integrity check: %s", line)
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestScrubBesideWritersAndReaders scrubs again and again while others write
// and read: nothing acknowledged may be lost, nothing read may be damaged.
func TestScrubBesideWritersAndReaders(t *testing.T) {
	s := open(t, Options{})
	const clients, each = 4, 60
	var wg sync.WaitGroup
	for client := range clients {
		wg.Go(func() {
			for v := 1; v <= each; v++ {
				if err := s.Commit(t.Context(), full(client, v)); err != nil {
					t.Errorf("commit: %v", err)
					return
				}
				l, err := s.Load(t.Context(), idOf(client), storage.Want{AllItems: true})
				if err != nil || !bytes.Equal(l.Items[2].Sealed, canaryOf(client, v)) {
					t.Errorf("client %d does not read its version %d back: %v", client, v, err)
					return
				}
			}
		})
	}
	stop := make(chan struct{})
	scrubs := make(chan int)
	go func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				scrubs <- n
				return
			default:
				if err := s.Scrub(t.Context()); err != nil {
					t.Errorf("scrub: %v", err)
				}
			}
		}
	}()
	wg.Wait()
	close(stop)
	if n := <-scrubs; n == 0 {
		t.Error("no scrub took place")
	}
	intact(t, s)
}

func erase(t *testing.T, s *Store, n, version int) {
	t.Helper()
	if version == 0 {
		return
	}
	id := idOf(n)
	err := s.Commit(t.Context(), &storage.Change{Expect: uint64(version), Row: storage.SubjectRow{ID: id, Kind: abide.Person,
		Status: abide.StatusErased, Version: uint64(version) + 1}})
	if err != nil {
		t.Fatal(err)
	}
	all := []storage.Compartment{storage.Live, storage.Log, storage.Law}
	for more := true; more; {
		if _, more, err = s.PurgeItems(t.Context(), id, all, 2); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDestroyedKeysAreGoneAtReturn(t *testing.T) {
	dir := t.TempDir()
	k, err := OpenKeys(t.Context(), filepath.Join(dir, "keys.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close() })
	wrapped := func(n int, c storage.Compartment) []byte {
		return fmt.Appendf(nil, "<wrapped %d %04d, as long as a wrapped key of 256 bits is with its nonce and tag>", c, n)
	}
	gone := []storage.Compartment{storage.Live, storage.Log}
	order := rand.New(rand.NewPCG(3, 4))
	var living, destroyed []int
	// In random order, so that pages split and merge and keys move about.
	for _, n := range order.Perm(400) {
		var keys []storage.WrappedKey
		for _, c := range append(gone, storage.Law) {
			keys = append(keys, storage.WrappedKey{Subject: idOf(n), Compartment: c, Version: 1, KEK: "k", Wrapped: wrapped(n, c)})
		}
		if err := k.Put(t.Context(), keys); err != nil {
			t.Fatal(err)
		}
		if living = append(living, n); len(living) < 100 {
			continue
		}
		i := order.IntN(len(living))
		n, living[i] = living[i], living[len(living)-1]
		living = living[:len(living)-1]
		if err := k.Destroy(t.Context(), idOf(n), gone); err != nil {
			t.Fatal(err)
		}
		destroyed = append(destroyed, n)
		look := destroyed[len(destroyed)-1:]
		if len(destroyed)%50 == 0 {
			look = destroyed // a balance may bring an old one back
		}
		for _, n := range look {
			for _, c := range gone {
				if found := holding(t, dir, wrapped(n, c)); len(found) > 0 {
					t.Fatalf("key %d of subject %d, destroyed, is in %q", c, n, found)
				}
			}
			if len(holding(t, dir, wrapped(n, storage.Law))) == 0 {
				t.Fatalf("subject %d has lost the key that law keeps", n)
			}
		}
	}
}

// TestScrubWaitsForReaders keeps a snapshot open: the scrub must not claim that
// bytes are gone which that snapshot keeps in the log.
func TestScrubWaitsForReaders(t *testing.T) {
	s := open(t, Options{})
	if err := s.Commit(t.Context(), full(1, 1)); err != nil {
		t.Fatal(err)
	}
	reading, release := make(chan struct{}), make(chan struct{})
	scrubbed := make(chan error, 1)
	go s.f.readers.snapshot(context.Background(), func(c *conn) error { //nolint:errcheck // it only holds a snapshot
		_, err := c.one(`SELECT count(*) FROM subject`, func(*row) {})
		close(reading)
		<-release
		return err
	})
	<-reading
	if err := s.Commit(t.Context(), full(1, 2)); err != nil {
		t.Fatal(err)
	}
	// The busy timeout is cut short, so that the refusal comes at once.
	if err := s.f.w.setBusyTimeout(t, 1); err != nil {
		t.Fatal(err)
	}
	if err := s.Scrub(t.Context()); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("scrub beside a snapshot: %v; want ErrUnavailable", err)
	}
	if err := s.f.w.setBusyTimeout(t, 10000); err != nil {
		t.Fatal(err)
	}
	go func() { scrubbed <- s.Scrub(context.Background()) }()
	close(release)
	if err := <-scrubbed; err != nil {
		t.Errorf("scrub after the snapshot ended: %v", err)
	}
}

func (w *writer) setBusyTimeout(t *testing.T, ms int) error {
	return w.do(t.Context(), 0, func(w *writeConn) error {
		_, err := w.one(fmt.Sprintf("PRAGMA busy_timeout = %d", ms), func(*row) {})
		return err
	})
}

func TestNotReadyIfCommitsAreNotSynced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data.db")
	s, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, pragma := range []string{"synchronous(NORMAL)", "synchronous(OFF)"} {
		w, err := newWriter(path, dsnWith(path, "journal_mode(WAL)", pragma), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := (&file{w: w}).ready(t.Context()); !errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("%s: %v; want ErrUnavailable", pragma, err)
		}
		if err := w.close(); err != nil {
			t.Error(err)
		}
	}
}

func TestFilesAreTheOwnersOnly(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(t.Context(), filepath.Join(dir, "data.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Commit(t.Context(), change(1)); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 3 { // database, log, index of the log
		t.Errorf("%d files; want 3", len(entries))
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", e.Name(), info.Mode())
		}
	}
}
