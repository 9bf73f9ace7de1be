package engine

import (
	"context"
	"strconv"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
)

// maxWaiting is how many batches may wait to be indexed for looks to be counted:
// they are in memory.
const maxWaiting = 1000

// lookTally counts the looks that the log has, and those that are found with
// their people: what a look was about is in the look alone, so one that was
// taken out is missed by number. Counted are batches that were complete and
// indexed before the counting began; a server may go on making others.
type lookTally struct {
	last    map[string]uint64 // batch of each node that counts
	waiting map[storage.SpoolKey]bool
	missing int64
}

func (t *lookTally) counts(k storage.SpoolKey) bool {
	return k.Batch <= t.last[k.Node] && !t.waiting[k]
}

// countLooks counts what the log has, and what waits for it.
func (d *doctor) countLooks(ctx context.Context) error {
	if !d.up.After.IsZero() {
		return nil // a part of the people is not looked at
	}
	t := &lookTally{last: map[string]uint64{}, waiting: map[storage.SpoolKey]bool{}}
	if err := d.eachBatch(ctx, func(k storage.SpoolKey, _ int64) { t.last[k.Node] = max(t.last[k.Node], k.Batch) }); err != nil {
		return err
	}
	batches, err := d.e.store.SpoolBatches(ctx, maxWaiting)
	if err != nil && !d.unreadable(ctx, err) {
		return storageError(err)
	}
	if err != nil || len(batches) == maxWaiting {
		return nil //nolint:nilerr // a batch that cannot be read is named where the spool is
	}
	for i := range batches {
		t.waiting[storage.SpoolKey{Node: batches[i].Node, Batch: batches[i].Batch}] = true
	}
	err = d.eachBatch(ctx, func(k storage.SpoolKey, n int64) {
		if t.counts(k) {
			t.missing += n
		}
	})
	d.tally = t
	return err
}

// eachBatch calls fn once with each batch of looks, in the log or waiting for
// it, and how many there are in it.
func (d *doctor) eachBatch(ctx context.Context, fn func(k storage.SpoolKey, n int64)) error {
	unlogged := map[storage.SpoolKey]bool{}
	for at := (storage.SpoolKey{}); ; {
		rows, err := d.e.store.Unlogged(ctx, at, 100)
		if err != nil {
			return storageError(err)
		}
		for i := range rows {
			at = rows[i].Key
			unlogged[at] = true
			fn(at, int64(len(rows[i].Leaves)))
		}
		if len(rows) < 100 {
			break
		}
	}
	heads, err := d.e.store.LogHeads(ctx)
	if err != nil {
		return storageError(err)
	}
	for _, h := range heads {
		for from := uint64(0); ; {
			rows, err := d.e.store.LeafMaps(ctx, h.Log, from, 16)
			if damagedRow(ctx, err) {
				return nil // it was named with the tree; what it holds is not counted
			}
			if err != nil {
				return storageError(err)
			}
			for i := range rows {
				from = rows[i].First + rows[i].Count
				for j := range rows[i].Sources {
					s := &rows[i].Sources[j]
					if s.Spool.Node != "" && !s.Lost && !unlogged[s.Spool] {
						fn(s.Spool, int64(s.Count)) //nolint:gosec // a number of rows
					}
				}
			}
			if len(rows) < 16 {
				break
			}
		}
	}
	return nil
}

// ownLooks checks the looks that found nobody.
func (d *doctor) ownLooks(ctx context.Context) error {
	x := &examination{doctor: d, ctx: ctx}
	if err := x.looks(); err != nil {
		return err
	}
	for _, a := range x.found {
		d.found(a.Code, abide.SubjectID{}, a.What)
	}
	d.looked(x)
	return nil
}

// looked takes the looks of a person off what is missing.
func (d *doctor) looked(x *examination) {
	if d.tally != nil {
		d.tally.missing -= x.counted
	}
}

func (d *doctor) missedLooks(context.Context) error {
	if d.tally != nil && d.tally.missing > 0 {
		d.found(AilLook, abide.SubjectID{}, strconv.FormatInt(d.tally.missing, 10)+" looks that the log has are missing")
	}
	return nil
}
