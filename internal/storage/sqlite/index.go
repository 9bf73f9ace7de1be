package sqlite

import (
	"context"
	"strings"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
)

// Index is the index keys in force.
func (s *Store) Index(ctx context.Context) (storage.IndexKeys, error) {
	var e storage.Epoch
	err := s.f.readers.read(ctx, func(c *conn) error { return c.readEpoch(&e) })
	return e.Index, err
}

// SetIndex puts index keys in force. There is one writer to a file at a time,
// so what was built under others comes after it and is refused.
func (s *Store) SetIndex(ctx context.Context, expect, next storage.IndexKeys) error {
	return s.f.w.do(ctx, 64, func(w *writeConn) error {
		if now, err := w.epochNow(); err != nil || now.Index != expect && now.Index != next {
			return orConflict(err)
		}
		w.hasEpoch = false
		_, err := w.exec(`UPDATE policy_epoch SET index_keys = ? WHERE id = 1`, string(next))
		return err
	})
}

// Unindexed pages through items by their primary key.
func (s *Store) Unindexed(ctx context.Context, keep []string, after storage.IndexedItem, limit int) ([]storage.IndexedItem, error) {
	args := []any{after.Subject[:], string(after.Item.Category), after.Item.ID[:]}
	for _, k := range keep {
		args = append(args, k)
	}
	return list(ctx, s, `SELECT subject_id, `+itemColumns+` FROM item
		WHERE (subject_id, category, item_id) > (?, ?, ?) AND index_key NOT IN (`+strings.TrimSuffix(strings.Repeat("?,", len(keep)), ",")+`)
		ORDER BY subject_id, category, item_id LIMIT ?`, func(r *row) storage.IndexedItem {
		return storage.IndexedItem{Subject: r.id(), Item: scanItem(r)}
	}, append(args, limit)...)
}

// Reindex replaces index values where the old ones still stand.
func (s *Store) Reindex(ctx context.Context, items []storage.Reindexed) ([]bool, error) {
	if len(items) == 0 {
		return nil, ctx.Err()
	}
	var done []bool
	err := s.f.w.do(ctx, 128*len(items), func(w *writeConn) error {
		done = make([]bool, len(items))
		for i := range items {
			o, n := &items[i].Old, &items[i].New
			changed, err := w.exec(`UPDATE item SET index_key = ?1, index_value = ?2
				WHERE subject_id = ?3 AND category = ?4 AND item_id = ?5 AND version = ?6
				AND (index_key IS ?7 AND index_value IS ?8 OR index_key IS ?1 AND index_value IS ?2)`,
				maybeText(n.IndexKey), n.Index, items[i].Subject[:], string(o.Category), o.ID[:], num(o.Version), maybeText(o.IndexKey), o.Index)
			if err != nil {
				return err
			}
			done[i] = changed > 0
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return done, nil
}

// IndexedBy counts items by their index key.
func (s *Store) IndexedBy(ctx context.Context) (map[string]int64, error) {
	var out map[string]int64
	err := s.f.readers.read(ctx, func(c *conn) error {
		out = map[string]int64{}
		return c.query(`SELECT index_key, count(*) FROM item WHERE index_key IS NOT NULL GROUP BY index_key`, func(r *row) error {
			key := r.text()
			out[key] = r.int()
			return nil
		})
	})
	return out, err
}

// ListLookups pages through look-ups by their primary key.
func (s *Store) ListLookups(ctx context.Context, after storage.Lookup, limit int) ([]storage.Lookup, error) {
	holder := storage.Holder(&after)
	value := after.Index.Value
	if value == nil {
		value = []byte{}
	}
	return list(ctx, s, `SELECT index_value, index_key, category, holder, subject_id, expires_at FROM lookup
		WHERE (index_value, index_key, category, holder) > (?, ?, ?, ?)
		ORDER BY index_value, index_key, category, holder LIMIT ?`, func(r *row) storage.Lookup {
		var l storage.Lookup
		l.Index.Value, l.Index.Key, l.Category = r.bytes(), r.text(), abide.Category(r.text())
		l.Unique, l.Subject, l.Expires = r.id().IsZero(), r.id(), r.maybeAt()
		return l
	}, value, after.Index.Key, string(after.Category), holder[:], limit)
}

// Release removes claims that expire when they say.
func (s *Store) Release(ctx context.Context, claims []storage.Lookup) error {
	if len(claims) == 0 {
		return ctx.Err()
	}
	return s.f.w.do(ctx, 128*len(claims), func(w *writeConn) error {
		for i := range claims {
			l := &claims[i]
			if _, err := w.exec(`DELETE FROM lookup WHERE index_value = ? AND index_key = ? AND category = ? AND subject_id = ? AND expires_at = ?`,
				l.Index.Value, l.Index.Key, string(l.Category), l.Subject[:], maybeAt(l.Expires)); err != nil {
				return err
			}
		}
		return nil
	})
}
