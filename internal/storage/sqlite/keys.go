package sqlite

import (
	"context"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
)

// KeyStore is a storage.KeyStore in an SQLite file of its own.
type KeyStore struct{ f *file }

var _ storage.KeyStore = (*KeyStore)(nil)

// OpenKeys opens the key store in the file path, or makes one there. It must
// not be the file of the data: they are backed up and destroyed apart.
func OpenKeys(ctx context.Context, path string) (*KeyStore, error) {
	return OpenKeysWith(ctx, path, Options{})
}

// OpenKeysWith is OpenKeys with options.
func OpenKeysWith(ctx context.Context, path string, opts Options) (*KeyStore, error) {
	f, err := openFile(ctx, path, "keys", opts)
	if err != nil {
		return nil, err
	}
	return &KeyStore{f}, nil
}

// Put makes keys durable, all or none.
func (s *KeyStore) Put(ctx context.Context, keys []storage.WrappedKey) error {
	return s.f.w.do(ctx, 256*len(keys), func(w *writeConn) error {
		if err := w.fenced(func(yield func(string) bool) {
			for i := range keys {
				if !yield(keys[i].KEK) {
					return
				}
			}
		}); err != nil {
			return err
		}
		for i := range keys {
			k := &keys[i]
			there, err := w.one(`SELECT 1 FROM subject_key WHERE subject_id = ? AND compartment = ? AND version = ?`,
				func(*row) {}, k.Subject[:], num(k.Compartment), num(k.Version))
			if err != nil || there {
				return orConflict(err)
			}
		}
		for i := range keys {
			k := &keys[i]
			if _, err := w.exec(`INSERT INTO subject_key (subject_id, compartment, version, kek, wrapped) VALUES (?, ?, ?, ?, ?)`,
				k.Subject[:], num(k.Compartment), num(k.Version), k.KEK, k.Wrapped); err != nil {
				return err
			}
		}
		return nil
	})
}

// Get returns a subject's keys.
func (s *KeyStore) Get(ctx context.Context, id abide.SubjectID) ([]storage.WrappedKey, error) {
	var out []storage.WrappedKey
	err := s.f.readers.read(ctx, func(c *conn) error {
		out = nil
		return c.query(`SELECT compartment, version, kek, wrapped FROM subject_key WHERE subject_id = ?
			ORDER BY compartment, version DESC`, func(r *row) error {
			out = append(out, storage.WrappedKey{Subject: id, Compartment: storage.Compartment(r.int()),
				Version: uint32(r.int()), KEK: r.text(), Wrapped: r.bytes()})
			return nil
		}, id[:])
	})
	return out, err
}

// Destroy removes keys, durably, and then their bytes from the file and its
// write-ahead log. If it returns nil they are in no file of the store. If a
// reader kept the log from being emptied, it fails with storage.ErrUnavailable
// although the keys are removed; calling it again, or Scrub, completes it.
func (s *KeyStore) Destroy(ctx context.Context, id abide.SubjectID, compartments []storage.Compartment) error {
	err := s.f.w.do(ctx, 256, func(w *writeConn) error {
		for _, c := range compartments {
			if _, err := w.exec(`DELETE FROM subject_key WHERE subject_id = ? AND compartment = ?`, id[:], num(c)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.f.w.scrub(context.WithoutCancel(ctx))
}

// Orphans pages through subjects that have keys.
func (s *KeyStore) Orphans(ctx context.Context, after abide.SubjectID, limit int) ([]abide.SubjectID, error) {
	var out []abide.SubjectID
	err := s.f.readers.read(ctx, func(c *conn) error {
		out = nil
		return c.query(`SELECT DISTINCT subject_id FROM subject_key WHERE subject_id > ? ORDER BY subject_id LIMIT ?`,
			func(r *row) error {
				out = append(out, r.id())
				return nil
			}, after[:], int64(limit))
	})
	return out, err
}

// PutMeta keeps the first value put under a name.
func (s *KeyStore) PutMeta(ctx context.Context, name string, value []byte) ([]byte, error) {
	return s.f.w.putMeta(ctx, name, value)
}

// Ready reports nil if a durable write would be accepted now.
func (s *KeyStore) Ready(ctx context.Context) error { return s.f.ready(ctx) }

// Scrub returns when nothing that was destroyed before the call is left in any
// file of the store.
func (s *KeyStore) Scrub(ctx context.Context) error { return s.f.w.scrub(ctx) }

// Close waits for reads and queued writes to finish.
func (s *KeyStore) Close() error { return s.f.close() }
