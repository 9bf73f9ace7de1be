package faultstore

import (
	"context"
	"fmt"

	"github.com/abide-privacy/abide/internal/storage"
)

func (w *store) Index(ctx context.Context) (storage.IndexKeys, error) {
	return read(w.f, "Index", func() (storage.IndexKeys, error) { return w.s.Index(ctx) })
}

func (w *store) SetIndex(ctx context.Context, expect, next storage.IndexKeys) error {
	return w.f.write("SetIndex", func() string { return fmt.Sprintf("%d keys", len(next.IDs())) },
		func() error { return w.s.SetIndex(ctx, expect, next) })
}

func (w *store) Unindexed(ctx context.Context, keep []string, after storage.IndexedItem, limit int) ([]storage.IndexedItem, error) {
	return read(w.f, "Unindexed", func() ([]storage.IndexedItem, error) { return w.s.Unindexed(ctx, keep, after, limit) })
}

func (w *store) Reindex(ctx context.Context, items []storage.Reindexed) (done []bool, err error) {
	err = w.f.write("Reindex", func() string { return fmt.Sprintf("%d items", len(items)) }, func() (err error) {
		done, err = w.s.Reindex(ctx, items)
		return err
	})
	if err != nil {
		return nil, err
	}
	return done, nil
}

func (w *store) IndexedBy(ctx context.Context) (map[string]int64, error) {
	return read(w.f, "IndexedBy", func() (map[string]int64, error) { return w.s.IndexedBy(ctx) })
}

func (w *store) ListLookups(ctx context.Context, after storage.Lookup, limit int) ([]storage.Lookup, error) {
	return read(w.f, "ListLookups", func() ([]storage.Lookup, error) { return w.s.ListLookups(ctx, after, limit) })
}

func (w *store) Release(ctx context.Context, claims []storage.Lookup) error {
	return w.f.write("Release", func() string { return w.f.lookups(claims) }, func() error { return w.s.Release(ctx, claims) })
}
