package postgres

import (
	"context"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Index is the index keys in force.
func (s *Store) Index(ctx context.Context) (storage.IndexKeys, error) {
	e, err := first(list(ctx, s.d, epochRow, epochQuery))
	if err != nil {
		return "", err
	}
	return e.Index, nil
}

// SetIndex puts index keys in force and then waits for every transaction that
// writes items and may not have seen it: a lock in share mode is granted when
// none is left. Called again after an outcome that is unknown, it finds its own.
func (s *Store) SetIndex(ctx context.Context, expect, next storage.IndexKeys) error {
	err := s.d.writeTwice(ctx, func(b *batch) {
		b.refuse(`SELECT 1 / count(*) FROM (SELECT 1 FROM policy_epoch WHERE id = 1 AND coalesce(index_keys, '') IN ($1, $2) FOR UPDATE) AS held`,
			string(expect), string(next))
		b.Queue(`UPDATE policy_epoch SET index_keys = $1 WHERE id = 1`, string(next))
	})
	if err != nil {
		return err
	}
	err = s.d.withConn(ctx, repeatable, func(ctx context.Context, c *pgxpool.Conn) error {
		return pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, `LOCK TABLE item IN SHARE MODE`)
			return err
		})
	})
	if err != nil || !s.d.sharded {
		return err
	}
	return s.d.settled(ctx, "item")
}

// Unindexed pages through items by their primary key.
func (s *Store) Unindexed(ctx context.Context, keep []string, after storage.IndexedItem, limit int) ([]storage.IndexedItem, error) {
	return list(ctx, s.d, func(s *scanner, v *storage.IndexedItem) {
		s.id(&v.Subject)
		itemRow(s, &v.Item)
	}, `SELECT subject_id, `+itemColumns+` FROM item WHERE (subject_id, category, item_id) > ($1, $2, $3)
		AND index_key <> ALL($4) ORDER BY subject_id, category, item_id LIMIT $5`,
		id(after.Subject), string(after.Item.Category), id(after.Item.ID), keep, limit)
}

// Reindex replaces index values where the old ones still stand, in one
// transaction.
func (s *Store) Reindex(ctx context.Context, items []storage.Reindexed) ([]bool, error) {
	if len(items) == 0 {
		return nil, s.d.usable(ctx)
	}
	done := make([]bool, len(items))
	err := s.d.writeTwice(ctx, func(b *batch) {
		clear(done)
		for i := range items {
			o, n := &items[i].Old, &items[i].New
			b.Queue(`UPDATE item SET index_key = $1::text, index_value = $2::bytea
				WHERE subject_id = $3 AND category = $4 AND item_id = $5 AND version = $6
				AND (index_key IS NOT DISTINCT FROM $7::text AND index_value IS NOT DISTINCT FROM $8::bytea
					OR index_key IS NOT DISTINCT FROM $1::text AND index_value IS NOT DISTINCT FROM $2::bytea)`,
				maybeText(n.IndexKey), n.Index, id(items[i].Subject), string(o.Category), id(o.ID), int64(o.Version), maybeText(o.IndexKey), o.Index).
				Exec(func(tag pgconn.CommandTag) error {
					done[i] = tag.RowsAffected() > 0
					return nil
				})
		}
	})
	if err != nil {
		return nil, err
	}
	return done, nil
}

// IndexedBy counts items by their index key.
func (s *Store) IndexedBy(ctx context.Context) (map[string]int64, error) {
	type group struct {
		key string
		n   int64
	}
	groups, err := list(ctx, s.d, func(s *scanner, v *group) {
		text(s, &v.key)
		num(s, &v.n)
	}, `SELECT index_key, count(*) FROM item WHERE index_key IS NOT NULL GROUP BY index_key`)
	if err != nil {
		return nil, err
	}
	out := make(map[string]int64, len(groups))
	for _, g := range groups {
		out[g.key] = g.n
	}
	return out, nil
}

// ListLookups pages through look-ups by their primary key.
func (s *Store) ListLookups(ctx context.Context, after storage.Lookup, limit int) ([]storage.Lookup, error) {
	value := after.Index.Value
	if value == nil {
		value = []byte{}
	}
	return list(ctx, s.d, func(s *scanner, v *storage.Lookup) {
		holder := new(abide.SubjectID)
		s.bytes(&v.Index.Value)
		text(s, &v.Index.Key)
		text(s, &v.Category)
		s.id(holder)
		s.id(&v.Subject)
		s.at(&v.Expires)
		s.after = append(s.after, func() { v.Unique = holder.IsZero() })
	}, `SELECT index_value, index_key, category, holder, subject_id, expires_at FROM lookup
		WHERE (index_value, index_key, category, holder) > ($1, $2, $3, $4)
		ORDER BY index_value, index_key, category, holder LIMIT $5`,
		value, after.Index.Key, string(after.Category), id(storage.Holder(&after)), limit)
}

const releaseClaim = `DELETE FROM lookup WHERE index_value = $1::bytea
	AND index_key = $2::text AND category = $3::text AND subject_id = $4::uuid AND expires_at = $5::bigint`

// Release removes claims that expire when they say.
func (s *Store) Release(ctx context.Context, claims []storage.Lookup) error {
	if len(claims) == 0 {
		return s.d.usable(ctx)
	}
	if s.d.sharded {
		groups := make([][]step, len(claims))
		for i := range claims {
			groups[i] = []step{{releaseClaim, lookupKey(&claims[i]).maybeAt(claims[i].Expires)}}
		}
		_, err := s.d.each(ctx, groups)
		return err
	}
	claims = inOrder(claims)
	return s.d.writeTwice(ctx, func(b *batch) {
		for i := range claims {
			b.Queue(releaseClaim, append(lookupArgs(&claims[i]), maybeAt(claims[i].Expires))...)
		}
	})
}
