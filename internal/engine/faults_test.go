package engine_test

import (
	"context"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/blob"
	"github.com/abide-privacy/abide/internal/restore"
	"github.com/abide-privacy/abide/internal/storage"
)

// faults breaks named operations of the stores on purpose. Tests come in
// pairs: failed and not persisted, failed although persisted.
type faults struct {
	mu     sync.Mutex
	before map[string]error // the operation does nothing and fails
	after  map[string]error // the operation takes effect and fails
	count  map[string]int

	hooks map[string]func() // run once, before the operation

	distributed bool // look-ups lie apart from their subjects

	items    int // read or written
	atIntent int // of them, when the last intent to erase was durable

	rows int // read of logs, at most so many as were asked for

	killer    string // this operation is the last
	persisted bool   // and takes effect
	dead      bool
}

func (f *faults) set(before, after map[string]error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before, f.after, f.count, f.killer, f.dead, f.hooks = before, after, nil, "", false, nil
}

func (f *faults) clear() { f.set(nil, nil) }

// kill lets one operation through, persisted or not, and then nothing more:
// the process is dead from there on.
func (f *faults) kill(op string, persisted bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before, f.after, f.count, f.killer, f.persisted = nil, nil, nil, op, persisted
}

// once runs do before the next such operation.
func (f *faults) once(op string, do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hooks = map[string]func(){op: do}
}

// apart has changes and their look-ups in transactions of their own.
func (f *faults) apart() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.distributed
}

func (f *faults) calls(op string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count[op]
}

func (f *faults) run(op string, do func() error) error {
	f.mu.Lock()
	before, after := f.before[op], f.after[op]
	if f.count == nil {
		f.count = map[string]int{}
	}
	f.count[op]++
	killed := op == f.killer
	dead := f.dead
	hook := f.hooks[op]
	delete(f.hooks, op)
	f.dead = dead || killed
	f.mu.Unlock()
	if hook != nil {
		hook()
	}
	if dead || killed && !f.persisted {
		return storage.ErrUnavailable
	}
	if killed {
		after = storage.ErrUnavailable
	}
	if before != nil {
		return before
	}
	if err := do(); err != nil {
		return err
	}
	return after
}

func (f *faults) touched() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.items
}

type faultyStore struct {
	storage.Store
	f *faults
}

// touching counts items that are read or written.
func (f *faults) touching(items int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.items += items
}

func (s *faultyStore) Load(ctx context.Context, id abide.SubjectID, want storage.Want) (*storage.Loaded, error) {
	l, err := s.Store.Load(ctx, id, want)
	if err == nil {
		s.f.touching(len(l.Items))
	}
	return l, err
}

func (s *faultyStore) Commit(ctx context.Context, c *storage.Change) error {
	op := "commit"
	if c.Erasure != nil {
		op = "commit " + c.Erasure.Step
	}
	s.f.touching(len(c.PutItems) + len(c.DropItems))
	if op == "commit intent" {
		defer func() { s.f.mu.Lock(); s.f.atIntent = s.f.items; s.f.mu.Unlock() }()
	}
	if s.f.apart() {
		return s.commitApart(ctx, op, c)
	}
	return s.f.run(op, func() error { return s.Store.Commit(ctx, c) })
}

// commitApart is what a distributed database makes of a change: look-ups on
// other servers, in transactions of their own, each of which may be the last.
func (s *faultyStore) commitApart(ctx context.Context, op string, c *storage.Change) error {
	for _, l := range c.Claims {
		held, _, err := s.Find(ctx, l.Category, []storage.IndexValue{l.Index}, 10)
		if err != nil {
			return err
		}
		if l.Unique && slices.ContainsFunc(held, func(h storage.Lookup) bool { return h.Subject != l.Subject }) {
			return storage.ErrTaken
		}
	}
	if len(c.Claims) > 0 {
		if err := s.Claim(ctx, c.Claims, c.Claimed); err != nil {
			return err
		}
	}
	alone := *c
	alone.Claims, alone.Stale = nil, nil
	if err := s.f.run(op, func() error { return s.Store.Commit(ctx, &alone) }); err != nil {
		return err
	}
	_ = s.Confirm(ctx, c.Claims) // no part of the outcome
	_ = s.Drop(ctx, c.Stale)
	return nil
}

func (s *faultyStore) Spool(ctx context.Context, b *storage.SpoolBatch) error {
	return s.f.run("spool", func() error { return s.Store.Spool(ctx, b) })
}

// reading counts rows of logs that are asked for.
func (f *faults) reading(rows int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rows += rows
}

func (s *faultyStore) Entries(ctx context.Context, id abide.SubjectID, after uint64, limit int) ([]storage.Entry, error) {
	s.f.reading(limit)
	return s.Store.Entries(ctx, id, after, limit)
}

func (s *faultyStore) LooksOf(ctx context.Context, id abide.SubjectID, after storage.LookKey, limit int) ([]storage.LookRow, error) {
	s.f.reading(limit)
	return s.Store.LooksOf(ctx, id, after, limit)
}

func (s *faultyStore) Claim(ctx context.Context, l []storage.Lookup, now time.Time) error {
	return s.f.run("claim", func() error { return s.Store.Claim(ctx, l, now) })
}

func (s *faultyStore) Find(ctx context.Context, c abide.Category, v []storage.IndexValue, n int) (found []storage.Lookup, now storage.IndexKeys, err error) {
	err = s.f.run("find", func() error {
		found, now, err = s.Store.Find(ctx, c, v, n)
		return err
	})
	return found, now, err
}

func (s *faultyStore) Reindex(ctx context.Context, items []storage.Reindexed) (done []bool, err error) {
	err = s.f.run("reindex", func() error {
		done, err = s.Store.Reindex(ctx, items)
		return err
	})
	return done, err
}

func (s *faultyStore) Confirm(ctx context.Context, l []storage.Lookup) error {
	return s.f.run("confirm", func() error { return s.Store.Confirm(ctx, l) })
}

func (s *faultyStore) DropRecord(ctx context.Context, kind, name string) error {
	return s.f.run("drop record", func() error { return s.Store.DropRecord(ctx, kind, name) })
}

func (s *faultyStore) PurgeItems(ctx context.Context, id abide.SubjectID, c []storage.Compartment, n int) (dropped []storage.Lookup, more bool, err error) {
	err = s.f.run("purge", func() error {
		dropped, more, err = s.Store.PurgeItems(ctx, id, c, n)
		return err
	})
	return dropped, more, err
}

func (s *faultyStore) Scrub(ctx context.Context) error {
	return s.f.run("scrub", func() error { return s.Store.Scrub(ctx) })
}

func (s *faultyStore) Policy(ctx context.Context, version string) (row *storage.PolicyRow, err error) {
	err = s.f.run("policy", func() error {
		row, err = s.Store.Policy(ctx, version)
		return err
	})
	return row, err
}

type faultyKeys struct {
	storage.KeyStore
	f *faults
}

func (k *faultyKeys) Put(ctx context.Context, keys []storage.WrappedKey) error {
	return k.f.run("put keys", func() error { return k.KeyStore.Put(ctx, keys) })
}

func (k *faultyKeys) Destroy(ctx context.Context, id abide.SubjectID, c []storage.Compartment) error {
	return k.f.run("destroy", func() error { return k.KeyStore.Destroy(ctx, id, c) })
}

func (k *faultyKeys) Rewrap(ctx context.Context, keys []storage.Rewrapped) (n int, err error) {
	err = k.f.run("rewrap", func() error {
		n, err = k.KeyStore.Rewrap(ctx, keys)
		return err
	})
	return n, err
}

type faultyLedger struct {
	*restore.Ledger
	f *faults
}

func (l *faultyLedger) Append(ctx context.Context, records []restore.Record) (t restore.Ticket, err error) {
	err = l.f.run("ledger", func() error {
		t, err = l.Ledger.Append(ctx, records)
		return err
	})
	return t, err
}

func (l *faultyLedger) Prune(what map[string]restore.Mark, now, forget time.Time, seen uint64) (n uint64, err error) {
	err = l.f.run("prune", func() error {
		n, err = l.Ledger.Prune(what, now, forget, seen)
		return err
	})
	return n, err
}

type faultyBlobs struct {
	blob.Store
	f *faults
}

func (b *faultyBlobs) Put(ctx context.Context, name string, r io.Reader) error {
	op := "put blob"
	if strings.HasPrefix(name, "p/") {
		op = "put marker"
	}
	return b.f.run(op, func() error { return b.Store.Put(ctx, name, r) })
}

func (b *faultyBlobs) Delete(ctx context.Context, name string) error {
	op := "delete blob"
	if strings.HasPrefix(name, "p/") {
		op = "delete marker"
	}
	return b.f.run(op, func() error { return b.Store.Delete(ctx, name) })
}

func (b *faultyBlobs) Range(ctx context.Context, name string, off, n int64) (r io.ReadCloser, err error) {
	err = b.f.run("range", func() error {
		r, err = b.Store.Range(ctx, name, off, n)
		return err
	})
	return r, err
}
