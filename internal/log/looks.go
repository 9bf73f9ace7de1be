package log

import (
	"context"

	"github.com/abide-privacy/abide/internal/storage"
)

const indexPage = 20 // batches of looks in memory at once

// IndexLooks writes the looks of all batches that wait to their subjects, so
// that a person finds theirs; those about nobody to the zero subject. Any number
// of nodes may do it at once, to the same effect.
func IndexLooks(ctx context.Context, store storage.Looks) error {
	_, err := indexLooks(ctx, store, func() bool { return false })
	return err
}

// indexLooks is IndexLooks until it is told, after a page, that it is enough. It
// reports whether all is done.
func indexLooks(ctx context.Context, store storage.Looks, enough func() bool) (all bool, err error) {
	for {
		batches, err := store.SpoolBatches(ctx, indexPage)
		if err != nil {
			return false, err
		}
		for _, b := range batches {
			rows := make([]storage.LookRow, len(b.Looks))
			for i, l := range b.Looks {
				rows[i] = storage.LookRow{Key: storage.LookKey{Node: b.Node, Batch: b.Batch, Pos: uint32(i)}, Look: l} //nolint:gosec // a batch is small
			}
			if err := store.IndexLooks(ctx, b.Node, b.Batch, rows); err != nil {
				return false, err
			}
		}
		if len(batches) < indexPage {
			return true, nil
		}
		if enough() {
			return false, nil
		}
	}
}
