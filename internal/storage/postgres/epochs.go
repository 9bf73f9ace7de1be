package postgres

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/abide-privacy/abide/internal/storage"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// queueFence refuses a transaction that wrote under a fenced key-encryption
// key. It comes last: from its first row on the transaction holds a lock on
// subject_key that Fence waits for, so either this statement sees the fence or
// whoever set it sees the rows.
func queueFence(b *batch, keks map[string]bool) {
	b.refuse(`SELECT 1 / (CASE WHEN EXISTS (SELECT 1 FROM kek_fence WHERE kek = ANY($1)) THEN 0 ELSE 1 END)`,
		slices.Sorted(maps.Keys(keks)))
}

// orFenced tells a conflict that a fence made from another.
func (s *KeyStore) orFenced(ctx context.Context, err error, keks map[string]bool) error {
	if !errors.Is(err, storage.ErrConflict) {
		return err
	}
	rows, lerr := list(ctx, s.d, func(s *scanner, v *string) { text(s, v) },
		`SELECT kek FROM kek_fence WHERE kek = ANY($1)`, slices.Sorted(maps.Keys(keks)))
	if lerr == nil && len(rows) > 0 {
		return storage.ErrFenced
	}
	return err
}

// List pages through all wrapped keys.
func (s *KeyStore) List(ctx context.Context, after storage.WrappedKey, limit int) ([]storage.WrappedKey, error) {
	return list(ctx, s.d, func(s *scanner, v *storage.WrappedKey) {
		s.id(&v.Subject)
		num(s, &v.Compartment)
		num(s, &v.Version)
		text(s, &v.KEK)
		s.bytes(&v.Wrapped)
	}, `SELECT subject_id, compartment, version, kek, wrapped FROM subject_key
		WHERE (subject_id, compartment, version) > ($1, $2, $3) ORDER BY subject_id, compartment, version LIMIT $4`,
		id(after.Subject), int64(after.Compartment), int64(after.Version), limit)
}

// Rewrap replaces wrappings where the old one still stands, in one transaction.
func (s *KeyStore) Rewrap(ctx context.Context, keys []storage.Rewrapped) (int, error) {
	if len(keys) == 0 {
		return 0, s.d.usable(ctx)
	}
	under := map[string]bool{}
	n := 0
	err := s.d.writeTwice(ctx, func(b *batch) {
		n = 0
		for i := range keys {
			o, k := &keys[i].Old, &keys[i].New
			under[k.KEK] = true
			b.Queue(`UPDATE subject_key SET kek = $5, wrapped = $6
				WHERE subject_id = $1 AND compartment = $2 AND version = $3 AND wrapped = $4`,
				id(o.Subject), int64(o.Compartment), int64(o.Version), o.Wrapped, k.KEK, k.Wrapped).
				Exec(func(tag pgconn.CommandTag) error {
					n += int(tag.RowsAffected())
					return nil
				})
		}
		queueFence(b, under)
	})
	if err != nil {
		return 0, s.orFenced(ctx, err, under)
	}
	return n, nil
}

// Fence sets the fence and waits for every transaction that writes keys and
// may not have seen it: a lock in share mode is granted when none is left. On
// a distributed database one may have ended here and not yet on its shards.
func (s *KeyStore) Fence(ctx context.Context, kek string) error {
	err := s.d.writeTwice(ctx, func(b *batch) {
		b.Queue(`INSERT INTO kek_fence (kek) VALUES ($1) ON CONFLICT DO NOTHING`, kek)
	})
	if err != nil {
		return err
	}
	err = s.d.withConn(ctx, repeatable, func(ctx context.Context, c *pgxpool.Conn) error {
		return pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, `LOCK TABLE subject_key IN SHARE MODE`)
			return err
		})
	})
	if err != nil || !s.d.sharded {
		return err
	}
	return s.d.settled(ctx, "subject_key")
}

// WrappedBy counts keys by their key-encryption key.
func (s *KeyStore) WrappedBy(ctx context.Context) (map[string]int64, error) {
	type group struct {
		kek string
		n   int64
	}
	groups, err := list(ctx, s.d, func(s *scanner, v *group) {
		text(s, &v.kek)
		num(s, &v.n)
	}, `SELECT kek, count(*) FROM subject_key GROUP BY kek`)
	if err != nil {
		return nil, err
	}
	out := make(map[string]int64, len(groups))
	for _, g := range groups {
		out[g.kek] = g.n
	}
	return out, nil
}

// Keyring returns the keyring kept here.
func (s *KeyStore) Keyring(ctx context.Context) ([]byte, uint64, error) {
	type row struct {
		generation uint64
		body       []byte
	}
	r, err := first(list(ctx, s.d, func(s *scanner, v *row) {
		num(s, &v.generation)
		s.bytes(&v.body)
	}, `SELECT generation, body FROM keyring WHERE id = 1`))
	if err != nil {
		return nil, 0, err
	}
	return r.body, r.generation, nil
}

// PutKeyring replaces the keyring kept here.
func (s *KeyStore) PutKeyring(ctx context.Context, raw []byte, generation, expect uint64) error {
	return s.d.write(ctx, func(b *batch) {
		if expect == 0 {
			b.insertNew(`INSERT INTO keyring (id, generation, body) VALUES (1, $1, $2)`, int64(generation), raw)
			return
		}
		b.refuse(`SELECT 1 / count(*) FROM (SELECT 1 FROM keyring WHERE id = 1 AND generation = $1 FOR UPDATE) AS held`, int64(expect))
		b.Queue(`UPDATE keyring SET generation = $1, body = $2 WHERE id = 1`, int64(generation), raw)
	})
}
