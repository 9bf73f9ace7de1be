package engine

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"strings"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/log"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/vault"
)

// logs checks the tables of the log from end to end: that entries, bundles,
// tiles, root and checkpoints agree, and that every leaf that came from an entry
// of this store is that entry's.
func (d *doctor) logs(ctx context.Context) error {
	heads, err := d.e.store.LogHeads(ctx)
	if err != nil {
		return storageError(err)
	}
	for i := range heads {
		if err := d.tree(ctx, &heads[i]); err != nil {
			return err
		}
		if err := d.checkpoints(ctx, &heads[i]); err != nil {
			return err
		}
	}
	next := uint64(len(heads)) + 1 // logs are numbered from 1
	if rows, err := d.e.store.Checkpoints(ctx, next); err != nil {
		return storageError(err)
	} else if len(rows) > 0 {
		d.found(AilLogTree, abide.SubjectID{}, "the head of log "+strconv.FormatUint(next, 10)+" is missing")
	}
	return d.ownPending(ctx)
}

func logName(h *storage.LogHead, what string) string { return h.Origin + ": " + what }

// tree rebuilds one log's tree and walks its map rows beside it.
func (d *doctor) tree(ctx context.Context, h *storage.LogHead) error {
	if h.Size == 0 {
		return nil
	}
	head := audit.Checkpoint{Origin: h.Origin, Size: int64(h.Size), Root: h.Root} //nolint:gosec // a size
	leaves := &leafWalk{d: d, h: h}
	_, err := audit.NewLog(log.StoreSource{Store: d.e.store, Log: h.Log}, nil).Verify(ctx, &head, audit.Verification{
		Found: func(f *audit.Fault) {
			d.found(AilLogTree, abide.SubjectID{}, logName(h, strings.TrimPrefix(f.Error(), "audit: ")))
		},
		Entry: func(index int64, entry []byte) error { return leaves.leaf(ctx, uint64(index), entry) }, //nolint:gosec // an index
	})
	return storageError(err)
}

// leafWalk finds for leaf after leaf where it came from.
type leafWalk struct {
	d       *doctor
	h       *storage.LogHead
	m       *storage.LeafMap
	source  int
	first   uint64 // leaf of the source
	damaged bool   // a row cannot be read: nobody knows where the leaves from it on came from
}

func (w *leafWalk) leaf(ctx context.Context, index uint64, entry []byte) error {
	if w.damaged {
		return nil
	}
	if w.m == nil || index >= w.m.First+w.m.Count {
		m, err := w.d.e.store.LeafMapOf(ctx, w.h.Log, index)
		if isNotFound(err) {
			w.d.found(AilLogTree, abide.SubjectID{}, logName(w.h, "nothing says where entry "+strconv.FormatUint(index, 10)+" came from"))
			return nil
		}
		if damagedRow(ctx, err) {
			w.damaged = true
			w.d.found(AilLogTree, abide.SubjectID{}, logName(w.h, "what says where entry "+strconv.FormatUint(index, 10)+" came from cannot be read"))
			return nil
		}
		if err != nil {
			return err
		}
		w.m, w.source, w.first = m, 0, m.First
	}
	for index >= w.first+w.m.Sources[w.source].Count {
		w.first += w.m.Sources[w.source].Count
		w.source++
	}
	src := &w.m.Sources[w.source]
	if src.Lost {
		w.d.did.Lost++
	}
	if len(src.Entries) == 0 {
		return w.looks(ctx, index, src)
	}
	key := src.Entries[index-w.first]
	rows, err := w.d.e.store.Entries(ctx, key.Subject, key.N-1, 1)
	if err != nil {
		return err
	}
	if len(rows) == 0 || rows[0].N != key.N {
		w.d.found(AilEntry, key.Subject, entryName(key.N)+" is in the log, and missing")
	} else if !bytes.Equal(rows[0].Commitment[:], entry) {
		w.d.found(AilEntry, key.Subject, entryName(key.N)+" is not the one in the log")
	}
	return nil
}

// looks checks that a batch of looks says itself where it is in the log.
func (w *leafWalk) looks(ctx context.Context, index uint64, src *storage.LeafSource) error {
	if index != w.first || !w.m.Settled || src.Spool == (storage.SpoolKey{}) {
		return nil
	}
	log, leaf, err := w.d.e.store.SpoolLeaf(ctx, src.Spool)
	if err != nil && !isNotFound(err) {
		return err
	}
	if err != nil || log != w.h.Log || leaf != w.first {
		w.d.found(AilLogTree, abide.SubjectID{}, logName(w.h, "entry "+strconv.FormatUint(index, 10)+" is said to be the first of batch "+
			strconv.FormatUint(src.Spool.Batch, 10)+" of a node, and is not"))
	}
	return nil
}

// damagedRow tells a row that cannot be decoded from a store that cannot be read.
func damagedRow(ctx context.Context, err error) bool {
	return err != nil && ctx.Err() == nil && !isNotFound(err) && abide.ErrorCode(storageError(err)) == abide.CodeInternal
}

// waitingOpens is lookOpens for a look that waits to be indexed, with its
// subject's keys. A key that is damaged is named elsewhere.
func (d *doctor) waitingOpens(ctx context.Context, l *storage.Look) (bool, error) {
	if l.Subject.IsZero() {
		return d.lookOpens(nil, l), nil
	}
	wrapped, err := d.e.keys.Get(ctx, l.Subject)
	if err != nil {
		return false, storageError(err)
	}
	if len(wrapped) == 0 { // erased, or somebody who never was
		if _, err := d.e.store.Load(ctx, l.Subject, storage.Want{}); err != nil {
			return false, storageError(ignoreNotFound(err))
		}
	}
	k, err := d.e.vault.Unlock(l.Subject, wrapped)
	if err != nil {
		return d.lookOpens(nil, l), nil
	}
	defer k.Close()
	return d.lookOpens(k, l), nil
}

// lookOpens reports whether both parts of a look open, as far as keys are left.
func (d *doctor) lookOpens(k *vault.SubjectKeys, l *storage.Look) bool {
	env, err := d.e.vault.OpenEnvelope(l.Envelope, l.Commitment)
	if err != nil || string(env.Kind) != l.Kind || !env.At.Equal(l.At) {
		return false
	}
	_, err = d.e.vault.OpenLook(k, l)
	return err == nil || abide.ErrorCode(err) == abide.CodeErased
}

// checkpoints checks that the log signed what is kept, and continues it.
func (d *doctor) checkpoints(ctx context.Context, h *storage.LogHead) error {
	rows, err := d.e.store.Checkpoints(ctx, h.Log)
	if err != nil {
		return storageError(err)
	}
	reader := audit.NewLog(log.StoreSource{Store: d.e.store, Log: h.Log}, nil)
	head := audit.Checkpoint{Origin: h.Origin, Size: int64(h.Size), Root: h.Root} //nolint:gosec // a size
	for i := range rows {
		name := "checkpoint of " + strconv.FormatUint(rows[i].Size, 10) + " entries"
		if rows[i].Size > h.Size {
			continue // the log grew since the head was read
		}
		c, err := log.OpenCheckpoint(d.e.vault.Keyring(), h.Origin, rows[i].Note)
		if err != nil || uint64(c.Size) != rows[i].Size { //nolint:gosec // a size
			d.found(AilCheckpoint, abide.SubjectID{}, logName(h, name+" is not one that the log signed"))
			continue
		}
		var fault *audit.Fault
		switch err := reader.CheckConsistency(ctx, c, &head); {
		case errors.As(err, &fault):
			d.found(AilCheckpoint, abide.SubjectID{}, logName(h, name+": the log does not continue it"))
		case err != nil:
			return storageError(err)
		}
	}
	return nil
}

// ownPending compares what waits of the store's own entries with the entries.
func (d *doctor) ownPending(ctx context.Context) error {
	var none abide.SubjectID
	for at := (storage.EntryKey{}); ; {
		rows, err := d.e.store.Pending(ctx, at, 500)
		if err != nil {
			return storageError(err)
		}
		for _, r := range rows {
			if r.Key.Subject != none {
				return nil
			}
			at = r.Key
			entries, err := d.e.store.Entries(ctx, none, r.Key.N-1, 1)
			if err != nil {
				return storageError(err)
			}
			if len(entries) == 0 || entries[0].N != r.Key.N || entries[0].Commitment != r.Commitment {
				d.found(AilPending, none, entryName(r.Key.N))
			}
		}
		if len(rows) < 500 {
			return nil
		}
	}
}

// leaves compares the commitments of batches that wait for the log with their
// looks.
func (d *doctor) leaves(ctx context.Context, batches []storage.SpoolBatch) error {
	looks := map[storage.SpoolKey]*storage.SpoolBatch{}
	for i := range batches {
		looks[storage.SpoolKey{Node: batches[i].Node, Batch: batches[i].Batch}] = &batches[i]
	}
	for at := (storage.SpoolKey{}); ; {
		rows, err := d.e.store.Unlogged(ctx, at, 100)
		if err != nil {
			return storageError(err)
		}
		for i := range rows {
			at = rows[i].Key
			b := looks[at]
			if b == nil {
				continue // indexed already; the looks are checked where they are
			}
			same := len(b.Looks) == len(rows[i].Leaves)
			for j := 0; same && j < len(b.Looks); j++ {
				same = b.Looks[j].Commitment == rows[i].Leaves[j]
			}
			if !same {
				d.found(AilPending, abide.SubjectID{}, "batch "+strconv.FormatUint(at.Batch, 10)+" of node "+at.Node)
			}
		}
		if len(rows) < 100 {
			return nil
		}
	}
}

// allWait finds entries that are neither in the log nor waiting for it. An
// entry may come into the log meanwhile, so what waits is counted first: then
// none is missed, and some may be counted twice.
func (d *doctor) allWait(ctx context.Context) error {
	if !d.up.After.IsZero() {
		return nil // a part of the entries was not counted
	}
	heads, err := d.e.store.LogHeads(ctx)
	if err != nil || len(heads) == 0 {
		return storageError(err)
	}
	seen, have := d.did.Entries, 0
	for at := (storage.EntryKey{}); ; {
		rows, err := d.e.store.Pending(ctx, at, 10000)
		if err != nil {
			return storageError(err)
		}
		have += len(rows)
		if len(rows) < 10000 {
			break
		}
		at = rows[len(rows)-1].Key
	}
	for _, h := range heads {
		for from := uint64(0); ; {
			rows, err := d.e.store.LeafMaps(ctx, h.Log, from, 16)
			if damagedRow(ctx, err) {
				return nil // it was named with the tree
			}
			if err != nil {
				return storageError(err)
			}
			for i := range rows {
				from = rows[i].First + rows[i].Count
				for j := range rows[i].Sources {
					have += len(rows[i].Sources[j].Entries)
				}
			}
			if len(rows) < 16 {
				break
			}
		}
	}
	if seen > have {
		d.found(AilPending, abide.SubjectID{}, strconv.Itoa(seen-have)+" entries are neither in the log nor waiting for it")
	}
	return nil
}

func ignoreNotFound(err error) error {
	if isNotFound(err) {
		return nil
	}
	return err
}
