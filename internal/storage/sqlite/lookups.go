package sqlite

import (
	"context"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
)

// Claim takes the claims in order, up to the first that is taken.
func (s *Store) Claim(ctx context.Context, claims []storage.Lookup, now time.Time) error {
	if len(claims) == 0 {
		return ctx.Err()
	}
	taken := false
	err := s.f.w.do(ctx, 128*len(claims), func(w *writeConn) error {
		taken = false
		for i := range claims {
			var err error
			if taken, err = w.claim(&claims[i], now); err != nil || taken {
				return err
			}
		}
		return nil
	})
	if err == nil && taken {
		err = storage.ErrTaken
	}
	return err
}

func (w *writeConn) claim(l *storage.Lookup, now time.Time) (taken bool, err error) {
	v, key, cat := l.Index.Value, l.Index.Key, string(l.Category)
	if l.Unique {
		taken, err = w.one(`SELECT 1 FROM lookup WHERE index_value = ? AND index_key = ? AND category = ?
			AND subject_id <> ? AND (expires_at IS NULL OR expires_at > ?) LIMIT 1`,
			func(*row) {}, v, key, cat, l.Subject[:], at(now))
		if err != nil || taken {
			return taken, err
		}
		if _, err = w.exec(`DELETE FROM lookup WHERE index_value = ? AND index_key = ? AND category = ? AND subject_id <> ?`,
			v, key, cat, l.Subject[:]); err != nil {
			return false, err
		}
	}
	_, err = w.exec(`INSERT INTO lookup (index_value, index_key, category, subject_id, only_one, expires_at, claimed_at)
		VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET only_one = excluded.only_one,
		claimed_at = excluded.claimed_at,
		expires_at = CASE WHEN expires_at IS NULL THEN NULL ELSE excluded.expires_at END`,
		v, key, cat, l.Subject[:], flag(l.Unique), maybeAt(l.Expires), at(now))
	return false, err
}

// Confirm makes claims permanent. A claim that expired and was taken by
// another subject meanwhile is left alone.
func (s *Store) Confirm(ctx context.Context, claims []storage.Lookup) error {
	return s.eachLookup(ctx, claims, `UPDATE lookup SET expires_at = NULL
		WHERE index_value = ? AND index_key = ? AND category = ? AND subject_id = ?`)
}

// Drop removes look-ups.
func (s *Store) Drop(ctx context.Context, claims []storage.Lookup) error {
	return s.eachLookup(ctx, claims, `DELETE FROM lookup
		WHERE index_value = ? AND index_key = ? AND category = ? AND subject_id = ?`)
}

func (s *Store) eachLookup(ctx context.Context, claims []storage.Lookup, query string) error {
	if len(claims) == 0 {
		return ctx.Err()
	}
	return s.f.w.do(ctx, 128*len(claims), func(w *writeConn) error {
		for i := range claims {
			l := &claims[i]
			if _, err := w.exec(query, l.Index.Value, l.Index.Key, string(l.Category), l.Subject[:]); err != nil {
				return err
			}
		}
		return nil
	})
}

// Find returns claims on any of the values, expired ones too: the finder
// checks each against the subject's item.
func (s *Store) Find(ctx context.Context, category abide.Category, values []storage.IndexValue, limit int) ([]storage.Lookup, error) {
	var found []storage.Claimed
	err := s.f.readers.snapshot(ctx, func(c *conn) error {
		found = nil
		for _, v := range values {
			err := c.query(`SELECT subject_id, only_one, expires_at, claimed_at FROM lookup
				WHERE index_value = ? AND index_key = ? AND category = ? ORDER BY claimed_at DESC, subject_id LIMIT ?`,
				func(r *row) error {
					l := storage.Lookup{Category: category, Index: v, Subject: r.id(), Unique: r.int() != 0, Expires: r.maybeAt()}
					found = append(found, storage.Claimed{Lookup: l, At: r.int()})
					return nil
				}, v.Value, v.Key, string(category), int64(limit))
			if err != nil {
				return err
			}
		}
		return nil
	})
	return storage.NewestFirst(found, limit), err
}
