package log_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/keys"
	"github.com/abide-privacy/abide/internal/log"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/storage/postgres"
	"github.com/abide-privacy/abide/internal/storage/sqlite"
	"github.com/abide-privacy/abide/internal/testx/pg"
)

// nodeVariable makes this binary a node, which a test kills.
const nodeVariable = "ABIDE_LOG_NODE"

func TestMain(m *testing.M) {
	if raw := os.Getenv(nodeVariable); raw != "" {
		var n logNode
		err := json.Unmarshal([]byte(raw), &n)
		if err == nil {
			err = n.run(context.Background())
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(pg.Main(m))
}

// logNode is a process that writes as fast as it can, says what was acknowledged,
// and lets the log grow, with a clock that jumps by up to an hour.
type logNode struct{ Dir, URL, Name string }

func (n logNode) open(ctx context.Context) (storage.Store, *keys.Keyring, log.Place, error) {
	ring, err := keys.Open(filepath.Join(n.Dir, "keyring.json"))
	if err != nil {
		return nil, nil, nil, err
	}
	place, err := log.OpenDir(filepath.Join(n.Dir, "log"))
	if err != nil {
		return nil, nil, nil, err
	}
	if n.URL != "" {
		s, err := postgres.Open(ctx, n.URL, postgres.Options{})
		return s, ring, place, err
	}
	s, err := sqlite.Open(ctx, filepath.Join(n.Dir, "data.db"), sqlite.Options{})
	return s, ring, place, err
}

func (n logNode) run(ctx context.Context) error {
	store, ring, place, err := n.open(ctx)
	if err != nil {
		return err
	}
	log.New(log.Options{Store: store, Keys: ring, Origin: origin, Node: n.Name, Alone: true, Interval: 10 * time.Millisecond, Place: place,
		Clock: func() time.Time { return time.Now().Add(time.Duration(rand.IntN(7200)-3600) * time.Second) }}).Start(ctx)
	go func() { _, _ = os.Stdin.Read(make([]byte, 1)); os.Exit(1) }() // the test is gone
	count := 0
	commitment := func() (c [32]byte) {
		count++
		return sha256.Sum256(fmt.Appendf(nil, "%s %d", n.Name, count))
	}
	for batch := uint64(1); ; batch++ {
		var done bytes.Buffer
		looks := &storage.SpoolBatch{Node: n.Name, Batch: batch, At: time.Now()}
		for range rand.IntN(20) + 1 {
			looks.Looks = append(looks.Looks, storage.Look{At: looks.At, Kind: "looked", Commitment: commitment()})
			fmt.Fprintf(&done, "%x\n", looks.Looks[len(looks.Looks)-1].Commitment)
		}
		id := abide.NewSubjectID(time.Now())
		c := &storage.Change{Row: storage.SubjectRow{ID: id, Kind: abide.Person, Status: abide.StatusActive, Version: 1, EntryN: 3}}
		for e := range uint64(3) {
			c.Entries = append(c.Entries, storage.Entry{Subject: id, N: e + 1, At: looks.At, Kind: "collected", Commitment: commitment()})
			fmt.Fprintf(&done, "%x\n", c.Entries[e].Commitment)
		}
		if err := errors.Join(store.Spool(ctx, looks), store.Commit(ctx, c)); err != nil {
			return err
		}
		if _, err := os.Stdout.Write(done.Bytes()); err != nil {
			return err
		}
	}
}

// killed starts a node and kills it (SIGKILL) after it has acknowledged so many
// entries. It returns what was acknowledged.
func (n logNode) killed(t *testing.T, after int) (acknowledged [][32]byte) {
	raw, err := json.Marshal(n)
	if err != nil {
		t.Error(err)
		return nil
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), nodeVariable+"="+string(raw))
	var said bytes.Buffer
	cmd.Stderr = &said
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		t.Error(err)
		return nil
	}
	defer func() { _ = in.Close() }()
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var c [32]byte
		if n, err := hex.Decode(c[:], lines.Bytes()); err != nil || n != 32 {
			break // the line that it was writing
		}
		acknowledged = append(acknowledged, c)
		if len(acknowledged) == after {
			_ = cmd.Process.Kill()
		}
	}
	_ = cmd.Wait() // it was killed
	if len(acknowledged) < after {
		t.Errorf("a node ended by itself: %s", said.Bytes())
	}
	return acknowledged
}

// TestSequencerIsKilled kills processes at random instants while they write and
// sequence; on PostgreSQL two at a time, each of which takes the log from the
// other. Nothing acknowledged is missing, no leaf is in twice, and no checkpoint
// ever shown is of another tree. Ten times, or two hundred by ABIDE_PROOF.
func TestSequencerIsKilled(t *testing.T) {
	kills := 10
	if os.Getenv("ABIDE_PROOF") != "" {
		kills = 200
	}
	for _, engine := range []string{"sqlite", "postgres"} {
		t.Run(engine, func(t *testing.T) {
			n := logNode{Dir: t.TempDir()}
			ring := must(keys.Create(filepath.Join(n.Dir, "keyring.json")))(t)
			if err := ring.EnsureLog(t.Context()); err != nil {
				t.Fatal(err)
			}
			atOnce := 1
			if engine == "postgres" {
				n.URL, atOnce = pg.Database(t), 2
			}
			k := &killing{t: t, seen: map[[32]byte]int{}}
			for round := 0; round < kills; round += atOnce {
				var wg sync.WaitGroup
				for i := range atOnce {
					one := n
					one.Name = fmt.Sprintf("n%d-%d", round, i)
					wg.Go(func() { k.acknowledged(one.killed(t, 1+rand.IntN(900))) })
				}
				wg.Wait()
				raw, err := os.ReadFile(filepath.Join(n.Dir, "log", "checkpoint"))
				if err == nil {
					k.notes = append(k.notes, raw)
				} else if !errors.Is(err, fs.ErrNotExist) {
					t.Fatal(err)
				}
			}
			store, _, place, err := n.open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = store.Close() })
			w := newWorld(t, store)
			w.keys = ring
			last := log.New(log.Options{Store: store, Keys: ring, Origin: origin, Node: "last", Alone: true, Place: place})
			w.ok(last.Step(w.ctx))
			k.check(w, place)
			t.Logf("%d kills, %d entries acknowledged, %d in the log, %d checkpoints seen; epoch %d", kills, len(k.all), k.entries, len(k.notes),
				must(store.LogHead(w.ctx))(t).Epoch)
		})
	}
}

// killing is what nodes acknowledged and showed before they were killed.
type killing struct {
	t       *testing.T
	mu      sync.Mutex
	all     [][32]byte
	notes   [][]byte
	seen    map[[32]byte]int
	entries int
}

func (k *killing) acknowledged(c [][32]byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.all = append(k.all, c...)
}

func (k *killing) check(w *world, place log.Place) {
	entries, c := w.verified(place)
	inside, same := w.verified(nil)
	if len(inside) != len(entries) || !bytes.Equal(c.Note, same.Note) {
		k.t.Errorf("%d entries outside, %d in the database", len(entries), len(inside))
	}
	k.entries = len(entries)
	for _, e := range entries {
		k.seen[[32]byte(e)]++
	}
	for leaf, times := range k.seen {
		if times > 1 {
			k.t.Errorf("leaf %x is in the log %d times", leaf, times)
		}
	}
	for _, a := range k.all {
		if k.seen[a] == 0 {
			k.t.Errorf("%x was acknowledged, and is not in the log", a)
		}
	}
	if rows := must(w.store.Pending(w.ctx, storage.EntryKey{}, 1))(k.t); len(rows) > 0 {
		k.t.Error("entries still wait")
	}
	if rows := must(w.store.Unlogged(w.ctx, storage.SpoolKey{}, 1))(k.t); len(rows) > 0 {
		k.t.Error("looks still wait")
	}
	known := must(audit.NewKeys(must(log.VerifierKeys(w.keys, origin))(k.t)[0]))(k.t)
	reader := audit.NewLog(place, known)
	for _, n := range k.notes {
		shown := must(known.Open(n))(k.t)
		if err := reader.CheckConsistency(w.ctx, &shown.Checkpoint, &c.Checkpoint); err != nil {
			k.t.Errorf("a checkpoint of %d entries was shown, which the log does not continue: %v", shown.Size, err)
		}
	}
}
