package faultstore

import (
	"context"
	"fmt"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
)

type keyStore struct {
	f *Faults
	k storage.KeyStore
}

func (w *keyStore) Put(ctx context.Context, keys []storage.WrappedKey) error {
	return w.f.write("Keys.Put", func() string { return w.f.wrapped(keys) }, func() error { return w.k.Put(ctx, keys) })
}

func (w *keyStore) Destroy(ctx context.Context, id abide.SubjectID, cs []storage.Compartment) error {
	return w.f.write("Keys.Destroy", func() string { return w.f.name(id) + compartments(cs) },
		func() error { return w.k.Destroy(ctx, id, cs) })
}

func (w *keyStore) PutMeta(ctx context.Context, name string, value []byte) (stored []byte, err error) {
	err = w.f.write("Keys.PutMeta", func() string { return name }, func() (err error) {
		stored, err = w.k.PutMeta(ctx, name, value)
		return err
	})
	if err != nil {
		return nil, err
	}
	return stored, nil
}

func (w *keyStore) Scrub(ctx context.Context) error {
	return w.f.write("Keys.Scrub", nothing, func() error { return w.k.Scrub(ctx) })
}

// Close always reaches the store.
func (w *keyStore) Close() error { return w.k.Close() }

func (w *keyStore) Ready(ctx context.Context) error {
	_, err := read(w.f, "Keys.Ready", func() (struct{}, error) { return struct{}{}, w.k.Ready(ctx) })
	return err
}

func (w *keyStore) Get(ctx context.Context, id abide.SubjectID) ([]storage.WrappedKey, error) {
	return read(w.f, "Keys.Get", func() ([]storage.WrappedKey, error) { return w.k.Get(ctx, id) })
}

func (w *keyStore) Orphans(ctx context.Context, after abide.SubjectID, limit int) ([]abide.SubjectID, error) {
	return read(w.f, "Keys.Orphans", func() ([]abide.SubjectID, error) { return w.k.Orphans(ctx, after, limit) })
}

func (w *keyStore) List(ctx context.Context, after storage.WrappedKey, limit int) ([]storage.WrappedKey, error) {
	return read(w.f, "Keys.List", func() ([]storage.WrappedKey, error) { return w.k.List(ctx, after, limit) })
}

func (w *keyStore) Rewrap(ctx context.Context, keys []storage.Rewrapped) (n int, err error) {
	err = w.f.write("Keys.Rewrap", func() string { return fmt.Sprintf("%d of %d", n, len(keys)) }, func() (err error) {
		n, err = w.k.Rewrap(ctx, keys)
		return err
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

func (w *keyStore) Fence(ctx context.Context, kek string) error {
	return w.f.write("Keys.Fence", nothing, func() error { return w.k.Fence(ctx, kek) })
}

func (w *keyStore) WrappedBy(ctx context.Context) (map[string]int64, error) {
	return read(w.f, "Keys.WrappedBy", func() (map[string]int64, error) { return w.k.WrappedBy(ctx) })
}

func (w *keyStore) Keyring(ctx context.Context) (raw []byte, generation uint64, err error) {
	raw, err = read(w.f, "Keys.Keyring", func() (raw []byte, err error) {
		raw, generation, err = w.k.Keyring(ctx)
		return raw, err
	})
	return raw, generation, err
}

func (w *keyStore) PutKeyring(ctx context.Context, raw []byte, generation, expect uint64) error {
	return w.f.write("Keys.PutKeyring", func() string { return fmt.Sprint(generation) },
		func() error { return w.k.PutKeyring(ctx, raw, generation, expect) })
}
