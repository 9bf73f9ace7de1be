package log_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/blob"
	"github.com/abide-privacy/abide/internal/log"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/storage/faultstore"
	"github.com/abide-privacy/abide/internal/testx/s3"
)

// seen is a place that keeps every checkpoint it was ever given, and fails at
// one write, on either side of persistence.
type seen struct {
	log.Place
	mu     sync.Mutex
	notes  [][]byte
	writes int
	failAt int
	when   faultstore.When
	failed bool
}

var errPlace = errors.New("the place fails")

func (p *seen) write(do func() error) error {
	p.mu.Lock()
	p.writes++
	fails := p.writes == p.failAt
	p.mu.Unlock()
	if fails {
		p.failed = true
		if p.when == faultstore.NotPersisted {
			return errPlace
		}
	}
	if err := do(); err != nil {
		return err
	}
	if fails {
		return errPlace
	}
	return nil
}

func (p *seen) Put(ctx context.Context, files []log.File) error {
	return p.write(func() error { return p.Place.Put(ctx, files) })
}

func (p *seen) PutCheckpoint(ctx context.Context, f log.File, newer func([]byte) bool) error {
	return p.write(func() error {
		p.mu.Lock()
		p.notes = append(p.notes, bytes.Clone(f.Data))
		p.mu.Unlock()
		return p.Place.PutCheckpoint(ctx, f, newer)
	})
}

func (p *seen) Remove(ctx context.Context, paths []string) error {
	return p.write(func() error { return p.Place.Remove(ctx, paths) })
}

func (w *world) dir() *seen {
	w.Helper()
	return &seen{Place: must(log.OpenDir(filepath.Join(w.TempDir(), "log")))(w)}
}

// settled steps a node until nothing changes any more, waiting out whoever held
// the log before, and checks that everything is in, that the place verifies as
// well as the database, and that no checkpoint ever shown is of another tree.
func (w *world) settle(s *log.Sequencer, p *seen) {
	w.Helper()
	for range 4 {
		w.ok(s.Step(w.ctx))
		w.watch += 4 * time.Second
	}
	last := w.whole()
	if p == nil {
		return
	}
	entries, outside := w.verified(p)
	if len(entries) != int(last.Size) || !bytes.Equal(outside.Note, last.Note) {
		w.Errorf("outside are %d entries, in the database %d", len(entries), last.Size)
	}
	known := must(audit.NewKeys(must(log.VerifierKeys(w.keys, origin))(w)[0]))(w)
	l := audit.NewLog(p, known)
	for _, n := range p.notes {
		c := must(known.Open(n))(w)
		if err := l.CheckConsistency(w.ctx, &c.Checkpoint, &last.Checkpoint); err != nil {
			w.Errorf("a checkpoint of %d entries was shown, which the log does not continue: %v", c.Size, err)
		}
	}
}

// TestSequencerDiesAtEveryStep breaks each write of a sequencer, of the store
// and of the place, on either side of persistence. Then the same node goes on,
// or another takes over. No fork, no gap, no leaf twice.
func TestSequencerDiesAtEveryStep(t *testing.T) {
	engines(t, func(w *world) {
		t := w.T
		p := w.dir()
		hits := map[string]bool{}
		round := func(f *faultstore.Faults, arm func(), dies bool) bool {
			s := w.node("n1", f.Store(w.store), p)
			next := s
			if dies {
				next = w.node("n2", w.store, p)
			}
			w.write(3)
			w.look("a", 2)
			w.ok(s.Step(w.ctx)) // sees who holds it
			w.watch += 4 * time.Second
			w.ok(s.Step(w.ctx))
			w.write(60)
			w.look("a", 3)
			arm()
			err := s.Step(w.ctx)
			f.Heal()
			p.failAt = 0
			w.settle(next, p)
			return err != nil
		}
		for _, dies := range []bool{false, true} {
			for _, when := range []faultstore.When{faultstore.NotPersisted, faultstore.Persisted} {
				for step := 1; ; step++ {
					f := faultstore.New()
					var failed bool
					f.Watch(func(step string, _ faultstore.When) { hits[step[:4]] = true })
					round(f, func() { f.FailWrite(step, when, nil) }, dies)
					failed = f.Failed() > 0
					if !failed && step > 4 {
						break
					}
				}
				for step := 1; ; step++ {
					p.failed = false
					round(faultstore.New(), func() { p.writes, p.failAt, p.when = 0, step, when }, dies)
					if !p.failed {
						break
					}
				}
			}
		}
		for _, want := range []string{"Grow", "Sett", "Keep"} {
			if !hits[want] {
				t.Errorf("no step %s… was broken: %v", want, hits)
			}
		}
	})
}

// TestTwoSequencers: both believe that they are alone, and so take the log from
// each other all the time, while entries come in. The clock steps back and
// forth.
func TestTwoSequencers(t *testing.T) {
	engines(t, func(w *world) {
		t := w.T
		p := w.dir()
		var clock sync.Mutex
		node := func(name string) *log.Sequencer {
			return log.New(log.Options{Store: w.store, Keys: w.keys, Origin: origin, Node: name, Alone: true, Place: p,
				Clock: func() time.Time {
					clock.Lock()
					defer clock.Unlock()
					return w.clock.Add(time.Duration(rand.IntN(7200)-3600) * time.Second)
				}})
		}
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for _, name := range []string{"n1", "n2"} {
			s := node(name)
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					if err := s.Step(w.ctx); err != nil {
						t.Errorf("%s: %v", name, err)
						return
					}
				}
			})
		}
		for range 60 {
			w.write(rand.IntN(40) + 1)
			w.look("a", rand.IntN(5)+1)
		}
		close(stop)
		wg.Wait()
		if head := must(w.store.LogHead(w.ctx))(t); head.Epoch < 3 {
			t.Errorf("they never took the log from each other: epoch %d", head.Epoch)
		}
		w.settle(node("n3"), p)
	})
}

// TestNoClockDecides: a holder that shows no sign of life is overtaken after
// the observer's own three seconds, whatever clocks say; one that does is not.
func TestNoClockDecides(t *testing.T) {
	engines(t, func(w *world) {
		t := w.T
		a, b := w.node("a", w.store, nil), w.node("b", w.store, nil)
		w.ok(a.Step(w.ctx))
		holder := func() string { return must(w.store.LogHead(w.ctx))(t).Holder }
		w.clock = w.clock.Add(-24 * time.Hour)
		for range 10 {
			w.watch += 2 * time.Second
			w.ok(a.Step(w.ctx))
			w.ok(b.Step(w.ctx))
		}
		if holder() != "a" {
			t.Fatal("a living holder was overtaken")
		}
		w.clock = w.clock.Add(48 * time.Hour)
		w.ok(b.Step(w.ctx))
		if holder() != "a" {
			t.Fatal("a clock decided")
		}
		w.watch += 3 * time.Second
		w.ok(b.Step(w.ctx))
		if holder() != "b" {
			t.Fatal("a dead holder was not overtaken")
		}
		w.write(1)
		w.ok(a.Step(w.ctx))
		if rows := must(w.store.Pending(w.ctx, storage.EntryKey{}, 1))(t); len(rows) != 1 {
			t.Fatal("whoever was overtaken went on")
		}
		w.ok(b.Stop(w.ctx))
		w.ok(a.Step(w.ctx))
		if holder() != "a" {
			t.Fatal("a holder that left was waited for")
		}
		w.settle(a, nil)
	})
}

// TestBacklog: more than a page waits, in both tables, and comes in once.
func TestBacklog(t *testing.T) {
	engines(t, func(w *world) {
		t := w.T
		for range 12 {
			w.write(1500)
		}
		for range 40 {
			w.look("a", 512)
			w.look("b", 100)
		}
		s := w.node("n1", w.store, nil)
		w.ok(s.Step(w.ctx))
		if c := w.whole(); c.Size != 12*1500+40*612 {
			t.Errorf("%d entries", c.Size)
		}
	})
}

// restored are two stores with the same log up to a point. The second is what a
// backup of the first would be: it lacks what came after, and has looks and
// entries waiting that came into the first one's log.
func restored(w *world, place log.Place, after func(other *world)) (backup *world) {
	w.Helper()
	other := w.twin()
	a, b := w.node("n1", w.store, place), other.node("n1", other.store, nil)
	both := func(c *storage.Change) {
		w.ok(w.store.Commit(w.ctx, c))
		w.ok(other.store.Commit(w.ctx, c))
	}
	change := func(entries int) *storage.Change {
		id := abide.NewSubjectID(w.clock)
		c := &storage.Change{Row: storage.SubjectRow{ID: id, Kind: abide.Person, Status: abide.StatusActive, Version: 1, EntryN: uint64(entries)}}
		for n := range entries {
			c.Entries = append(c.Entries, storage.Entry{Subject: id, N: uint64(n + 1), At: w.clock, Kind: "collected", Commitment: w.commitment()})
		}
		return c
	}
	both(change(300))
	w.ok(a.Step(w.ctx))
	w.ok(b.Step(w.ctx))
	both(change(5)) // waits in the backup, is in the first one's log
	looks := &storage.SpoolBatch{Node: "x", Batch: 1, At: w.clock}
	for range 300 {
		looks.Looks = append(looks.Looks, storage.Look{At: w.clock, Kind: "looked", Commitment: w.commitment()})
	}
	w.ok(w.store.Spool(w.ctx, looks))
	w.ok(other.store.Spool(w.ctx, looks))
	w.ok(a.Step(w.ctx))
	if after != nil {
		after(other)
	}
	w.write(700) // is lost with the first one
	w.ok(a.Step(w.ctx))
	other.want, other.n = w.want, w.n+1000
	other.ok(b.Stop(w.ctx))
	return other
}

// TestRestoredDatabaseGoesOn: from the last published checkpoint. What was lost
// stays in the tree as payload lost, and what waits is not taken twice.
func TestRestoredDatabaseGoesOn(t *testing.T) {
	engines(t, func(w *world) {
		t := w.T
		p := w.dir()
		backup := restored(w, p, nil)
		last := w.whole()
		backup.write(4) // after the restore, before the log goes on
		s := backup.node("n9", backup.store, p)
		backup.settle(s, p)
		c := backup.whole()
		if c.Size != last.Size+4 {
			t.Errorf("%d entries, %d were published", c.Size, last.Size)
		}
		var lost, other uint64
		for _, m := range must(backup.store.LeafMaps(w.ctx, 1, 0, 100))(t) {
			for _, src := range m.Sources {
				switch {
				case src.Lost:
					lost += src.Count
				case len(src.Entries) == 0 && src.Spool == (storage.SpoolKey{}):
					other += src.Count
				}
			}
		}
		if lost != 700 || other != 0 {
			t.Errorf("%d leaves are lost, and %d nobody's; want 700 and none", lost, other)
		}
		n, leaf, err := log.FindLook(w.ctx, backup.store, storage.LookKey{Node: "x", Batch: 1, Pos: 299})
		w.ok(err)
		if _, _, err := log.Prove(w.ctx, backup.store, n, leaf); err != nil {
			t.Error(err)
		}
	})
}

// TestForkIsRefused: a restored database that let its own log grow is not the
// published one, and signs nothing any more.
func TestForkIsRefused(t *testing.T) {
	engines(t, func(w *world) {
		t := w.T
		p := w.dir()
		backup := restored(w, p, func(other *world) {
			other.write(1)
			other.ok(other.node("n1", other.store, nil).Step(w.ctx))
		})
		size := must(backup.store.LogHead(w.ctx))(t).Size
		s := backup.node("n9", backup.store, p)
		backup.write(1)
		for range 3 {
			backup.watch += 4 * time.Second
			if err := s.Step(w.ctx); err != nil && abide.ErrorDetail(err) != log.DetailForked {
				t.Fatalf("error is %v", err)
			}
		}
		if abide.ErrorDetail(s.State()) != log.DetailForked {
			t.Errorf("state is %v", s.State())
		}
		if now := must(backup.store.LogHead(w.ctx))(t).Size; now != size {
			t.Errorf("the log grew from %d to %d", size, now)
		}
	})
}

// TestLostTilesBeginANewLog: its first entry is the old one's last checkpoint.
func TestLostTilesBeginANewLog(t *testing.T) {
	engines(t, func(w *world) {
		t := w.T
		p := w.dir()
		backup := restored(w, p, nil)
		last := w.whole()
		w.ok(os.Remove(filepath.Join(p.Name(), "tile", "entries", "001")))
		s := backup.node("n9", backup.store, p)
		backup.write(2)
		for range 2 {
			backup.watch += 4 * time.Second
			_ = s.Step(w.ctx)
		}
		if abide.ErrorDetail(s.State()) != log.DetailTilesLost {
			t.Fatalf("state is %v", s.State())
		}
		head := must(log.Renew(w.ctx, backup.store, w.keys, p, nil))(t)
		if head.Origin != origin+"/2" || head.Log != 2 {
			t.Errorf("the new log is %+v", head)
		}
		w.ok(s.Step(w.ctx))
		entries, c := backup.verified(nil)
		checkpoint, ok := log.Continues(entries[0])
		if !ok || !bytes.Equal(checkpoint, last.Note) {
			t.Errorf("the first entry is %q, want the checkpoint %q", entries[0], last.Note)
		}
		if c.Size != 1+305-300+300+2 {
			t.Errorf("%d entries", c.Size)
		}
		if _, err := os.Stat(filepath.Join(p.Name(), "2", "checkpoint")); err != nil {
			t.Error(err)
		}
		if raw := must(p.Read(w.ctx, "checkpoint", 1<<20))(t); !bytes.Equal(raw, last.Note) {
			t.Error("the old log's checkpoint is not what it was")
		}
	})
}

// TestDamageStopsTheLog: a tile of the right edge, or a checkpoint, changed by
// one bit in the place it is read from.
func TestDamageStopsTheLog(t *testing.T) {
	engines(t, func(w *world) {
		t := w.T
		p := w.dir()
		s := w.node("n1", w.store, p)
		w.write(300)
		w.ok(s.Step(w.ctx))
		w.ok(s.Stop(w.ctx))
		name := filepath.Join(p.Name(), "checkpoint")
		raw := must(os.ReadFile(name))(t)
		for i := range raw {
			bad := bytes.Clone(raw)
			bad[i] ^= 2
			w.ok(os.WriteFile(name, bad, 0o600))
			s := w.node("n2", w.store, p)
			if err := s.Step(w.ctx); abide.ErrorDetail(err) != log.DetailDamaged {
				t.Fatalf("byte %d of the checkpoint is changed: %v", i, err)
			}
			w.ok(w.store.LeaveLog(w.ctx, 1, must(w.store.LogHead(w.ctx))(t).Epoch))
		}
		w.ok(os.WriteFile(name, raw, 0o600))
		w.ok(w.node("n3", w.store, p).Step(w.ctx))
		head := must(w.store.LogHead(w.ctx))(t)
		key := storage.TileKey{Level: 0, N: 1}
		tile := must(w.store.Tiles(w.ctx, 1, []storage.TileKey{key}))(t)[0]
		tile[40] ^= 1
		w.ok(w.store.GrowLog(w.ctx, &storage.Growth{Log: 1, Epoch: head.Epoch, From: head.Size, To: head.Size, Root: head.Root,
			Tiles: []storage.Tile{{TileKey: key, Data: tile}}}))
		w.ok(w.store.LeaveLog(w.ctx, 1, head.Epoch))
		if err := w.node("n4", w.store, p).Step(w.ctx); abide.ErrorDetail(err) != log.DetailDamaged {
			t.Errorf("a changed tile: %v", err)
		}
	})
}

// TestPublishedToABucket: tile by tile what a directory gets, and an older
// checkpoint never over a newer one.
func TestPublishedToABucket(t *testing.T) {
	server := s3.Start(t)
	bucket := must(log.OpenS3(blob.S3Options{Bucket: server.Bucket, Endpoint: server.Endpoint, AccessKey: server.AccessKey,
		SecretKey: server.SecretKey, Region: "us-east-1", Prefix: "log"}))(t)
	w := newWorld(t, newStore(t))
	p := &seen{Place: bucket}
	s := w.node("n1", w.store, p)
	for _, n := range []int{3, 300, 1, 600} {
		w.write(n)
		w.ok(s.Step(w.ctx))
	}
	w.settle(s, p)
	newest := must(p.Read(w.ctx, "checkpoint", 1<<20))(t)
	w.ok(bucket.PutCheckpoint(w.ctx, log.File{Path: "checkpoint", Data: []byte("older")}, func([]byte) bool { return true }))
	if got := must(p.Read(w.ctx, "checkpoint", 1<<20))(t); !bytes.Equal(got, newest) {
		t.Error("an older checkpoint replaced a newer one")
	}
	if _, err := p.Read(w.ctx, "tile/0/000.p/3", 1<<20); !isNone(err) {
		t.Errorf("the partial form of a full tile is still there: %v", err)
	}
}
