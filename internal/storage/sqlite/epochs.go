package sqlite

import (
	"context"
	"iter"

	"github.com/abide-privacy/abide/internal/storage"
)

// fenced refuses a write under a key-encryption key that is being given up.
// There is one writer to a file at a time, so what a fence has not seen comes
// after it.
func (w *writeConn) fenced(keks iter.Seq[string]) error {
	last := ""
	for kek := range keks {
		if kek == last {
			continue
		}
		last = kek
		there, err := w.one(`SELECT 1 FROM kek_fence WHERE kek = ?`, func(*row) {}, kek)
		if err != nil {
			return err
		}
		if there {
			return storage.ErrFenced
		}
	}
	return nil
}

// List pages through all wrapped keys.
func (s *KeyStore) List(ctx context.Context, after storage.WrappedKey, limit int) ([]storage.WrappedKey, error) {
	var out []storage.WrappedKey
	err := s.f.readers.read(ctx, func(c *conn) error {
		out = nil
		return c.query(`SELECT subject_id, compartment, version, kek, wrapped FROM subject_key
			WHERE (subject_id, compartment, version) > (?, ?, ?) ORDER BY subject_id, compartment, version LIMIT ?`,
			func(r *row) error {
				out = append(out, storage.WrappedKey{Subject: r.id(), Compartment: storage.Compartment(r.int()),
					Version: uint32(r.int()), KEK: r.text(), Wrapped: r.bytes()})
				return nil
			}, after.Subject[:], num(after.Compartment), num(after.Version), int64(limit))
	})
	return out, err
}

// Rewrap replaces wrappings where the old one still stands.
func (s *KeyStore) Rewrap(ctx context.Context, keys []storage.Rewrapped) (int, error) {
	if len(keys) == 0 {
		return 0, ctx.Err()
	}
	n := 0
	err := s.f.w.do(ctx, 256*len(keys), func(w *writeConn) error {
		n = 0
		if err := w.fenced(func(yield func(string) bool) {
			for i := range keys {
				if !yield(keys[i].New.KEK) {
					return
				}
			}
		}); err != nil {
			return err
		}
		for i := range keys {
			o, k := &keys[i].Old, &keys[i].New
			changed, err := w.exec(`UPDATE subject_key SET kek = ?, wrapped = ?
				WHERE subject_id = ? AND compartment = ? AND version = ? AND wrapped = ?`,
				k.KEK, k.Wrapped, o.Subject[:], num(o.Compartment), num(o.Version), o.Wrapped)
			if err != nil {
				return err
			}
			n += int(changed)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// Fence gives up a key-encryption key for writing.
func (s *KeyStore) Fence(ctx context.Context, kek string) error {
	return s.f.w.do(ctx, 64, func(w *writeConn) error {
		_, err := w.exec(`INSERT INTO kek_fence (kek) VALUES (?) ON CONFLICT DO NOTHING`, kek)
		return err
	})
}

// WrappedBy counts keys by their key-encryption key.
func (s *KeyStore) WrappedBy(ctx context.Context) (map[string]int64, error) {
	var out map[string]int64
	err := s.f.readers.read(ctx, func(c *conn) error {
		out = map[string]int64{}
		return c.query(`SELECT kek, count(*) FROM subject_key GROUP BY kek`, func(r *row) error {
			kek := r.text()
			out[kek] = r.int()
			return nil
		})
	})
	return out, err
}

// Keyring returns the keyring kept here.
func (s *KeyStore) Keyring(ctx context.Context) (raw []byte, generation uint64, err error) {
	found := false
	err = s.f.readers.read(ctx, func(c *conn) error {
		found, err = c.one(`SELECT generation, body FROM keyring WHERE id = 1`, func(r *row) {
			generation, raw = uint64(r.int()), r.bytes()
		})
		return err
	})
	if err == nil && !found {
		err = storage.ErrNotFound
	}
	return raw, generation, err
}

// PutKeyring replaces the keyring kept here.
func (s *KeyStore) PutKeyring(ctx context.Context, raw []byte, generation, expect uint64) error {
	return s.f.w.do(ctx, len(raw), func(w *writeConn) error {
		var now uint64
		if _, err := w.one(`SELECT generation FROM keyring WHERE id = 1`, func(r *row) { now = uint64(r.int()) }); err != nil {
			return err
		}
		if now != expect {
			return storage.ErrConflict
		}
		_, err := w.exec(`INSERT INTO keyring (id, generation, body) VALUES (1, ?, ?)
			ON CONFLICT DO UPDATE SET generation = excluded.generation, body = excluded.body`, num(generation), raw)
		return err
	})
}
