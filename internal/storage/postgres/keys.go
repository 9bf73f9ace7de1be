package postgres

import (
	"context"
	"errors"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
)

// KeyStore is a storage.KeyStore in a PostgreSQL database.
type KeyStore struct{ d *database }

var _ storage.KeyStore = (*KeyStore)(nil)

// OpenKeys connects to the database of the keys, which ought to be another than
// that of the data: they are backed up and destroyed apart.
func OpenKeys(ctx context.Context, url string) (*KeyStore, error) {
	return OpenKeysWith(ctx, url, Options{})
}

// OpenKeysWith is OpenKeys with options.
func OpenKeysWith(ctx context.Context, url string, opts Options) (*KeyStore, error) {
	d, err := openDatabase(ctx, url, "keys", opts)
	if err != nil {
		return nil, err
	}
	return &KeyStore{d}, nil
}

// Put makes keys durable, all or none.
func (s *KeyStore) Put(ctx context.Context, keys []storage.WrappedKey) error {
	switch {
	case len(keys) == 0:
		return s.d.usable(ctx)
	case s.d.sharded:
		return s.putBySubject(ctx, keys)
	}
	return s.put(ctx, keys)
}

// putBySubject gives each subject a transaction of its own. One over several
// shards is committed in two phases, and until the second has reached a shard,
// what was acknowledged is not there: a key could come back after its subject
// was erased. Nobody knows of these subjects yet, so if one is refused, those
// before it are taken back; whoever is killed in between leaves orphans.
func (s *KeyStore) putBySubject(ctx context.Context, keys []storage.WrappedKey) error {
	subjects, of := []abide.SubjectID{}, map[abide.SubjectID][]storage.WrappedKey{}
	for i := range keys {
		if id := keys[i].Subject; of[id] == nil {
			subjects = append(subjects, id)
		}
		of[keys[i].Subject] = append(of[keys[i].Subject], keys[i])
	}
	for i, id := range subjects {
		if err := s.put(ctx, of[id]); err != nil {
			for _, done := range subjects[:i] {
				err = errors.Join(err, s.takeBack(ctx, of[done]))
			}
			return err
		}
	}
	return nil
}

func (s *KeyStore) takeBack(ctx context.Context, keys []storage.WrappedKey) error {
	return s.d.writeTwice(ctx, func(b *batch) {
		for i := range keys {
			b.Queue(`DELETE FROM subject_key WHERE subject_id = $1 AND compartment = $2 AND version = $3`,
				id(keys[i].Subject), int64(keys[i].Compartment), int64(keys[i].Version))
		}
	})
}

func (s *KeyStore) put(ctx context.Context, keys []storage.WrappedKey) error {
	under := map[string]bool{}
	err := s.d.write(ctx, func(b *batch) {
		for i := range keys {
			k := &keys[i]
			under[k.KEK] = true
			b.insertNew(`INSERT INTO subject_key (subject_id, compartment, version, kek, wrapped) VALUES ($1, $2, $3, $4, $5)`,
				id(k.Subject), int64(k.Compartment), int64(k.Version), k.KEK, k.Wrapped)
		}
		queueFence(b, under)
	})
	return s.orFenced(ctx, err, under)
}

// Get returns a subject's keys.
func (s *KeyStore) Get(ctx context.Context, subject abide.SubjectID) ([]storage.WrappedKey, error) {
	return list(ctx, s.d, func(s *scanner, v *storage.WrappedKey) {
		v.Subject = subject
		num(s, &v.Compartment)
		num(s, &v.Version)
		text(s, &v.KEK)
		s.bytes(&v.Wrapped)
	}, `SELECT compartment, version, kek, wrapped FROM subject_key WHERE subject_id = $1
		ORDER BY compartment, version DESC`, id(subject))
}

// Destroy removes keys, durably. Their wrapped bytes stay in PostgreSQL's log
// and free space until the epoch of their key-encryption key is destroyed.
func (s *KeyStore) Destroy(ctx context.Context, subject abide.SubjectID, compartments []storage.Compartment) error {
	set := make([]int64, len(compartments))
	for i, c := range compartments {
		set[i] = int64(c)
	}
	return s.d.writeTwice(ctx, func(b *batch) {
		b.Queue(`DELETE FROM subject_key WHERE subject_id = $1 AND compartment = ANY($2)`, id(subject), set)
	})
}

// Orphans pages through subjects that have keys.
func (s *KeyStore) Orphans(ctx context.Context, after abide.SubjectID, limit int) ([]abide.SubjectID, error) {
	return list(ctx, s.d, func(s *scanner, v *abide.SubjectID) { s.id(v) },
		`SELECT DISTINCT subject_id FROM subject_key WHERE subject_id > $1 ORDER BY subject_id LIMIT $2`, id(after), limit)
}

// PutMeta keeps the first value put under a name.
func (s *KeyStore) PutMeta(ctx context.Context, name string, value []byte) ([]byte, error) {
	return s.d.putMeta(ctx, "key_meta", name, value)
}

// Ready is as for Store.
func (s *KeyStore) Ready(ctx context.Context) error { return s.d.safe(ctx) }

// Scrub does nothing; see Destroy.
func (s *KeyStore) Scrub(ctx context.Context) error { return ctx.Err() }

// Close closes the connections when they are no longer in use.
func (s *KeyStore) Close() error { return s.d.close() }
