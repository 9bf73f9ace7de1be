package sqlite

import (
	"context"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
)

// Claim tries every claim; one that is taken does not undo the others.
func (s *Store) Claim(ctx context.Context, claims []storage.Lookup, now time.Time) error {
	if len(claims) == 0 {
		return ctx.Err()
	}
	taken := false
	err := s.f.w.do(ctx, 128*len(claims), func(w *writeConn) error {
		taken = false
		for i := range claims {
			n, err := w.claim(&claims[i], now)
			if err != nil {
				return err
			}
			taken = taken || n == 0
		}
		return nil
	})
	if err == nil && taken {
		err = storage.ErrTaken
	}
	return err
}

// claim writes one row, or none if the value is taken. A confirmed claim stays
// confirmed when its own subject claims it again.
func (w *writeConn) claim(l *storage.Lookup, now time.Time) (int64, error) {
	holder := storage.Holder(l)
	return w.exec(`INSERT INTO lookup (index_value, index_key, category, holder, subject_id, expires_at, claimed_at)
		SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE ?4 = ?5 OR NOT EXISTS (SELECT 1 FROM lookup
			WHERE index_value = ?1 AND index_key = ?2 AND category = ?3 AND holder <> ?4
			AND subject_id <> ?5 AND (expires_at IS NULL OR expires_at > ?7))
		ON CONFLICT DO UPDATE SET subject_id = excluded.subject_id, claimed_at = excluded.claimed_at,
			expires_at = CASE WHEN subject_id = excluded.subject_id AND (expires_at IS NULL OR ?8 AND expires_at > ?7)
				THEN expires_at ELSE excluded.expires_at END
		WHERE subject_id = excluded.subject_id OR expires_at <= ?7`,
		l.Index.Value, l.Index.Key, string(l.Category), holder[:], l.Subject[:], maybeAt(l.Expires), at(now), l.Borne)
}

// free refuses claims of a change that another subject has made before.
func (w *writeConn) free(claims []storage.Lookup) error {
	for i := range claims {
		l := &claims[i]
		if !l.Unique {
			continue
		}
		held, err := w.one(`SELECT 1 FROM lookup WHERE index_value = ? AND index_key = ? AND category = ?
			AND subject_id <> ? LIMIT 1`, func(*row) {}, l.Index.Value, l.Index.Key, string(l.Category), l.Subject[:])
		switch {
		case err != nil:
			return err
		case held:
			return storage.ErrTaken
		}
	}
	return nil
}

// putLookups writes what free let pass, confirmed at once, and drops what is
// stale: all of it commits with the change.
func (w *writeConn) putLookups(c *storage.Change) error {
	for i := range c.Claims {
		l := c.Claims[i]
		l.Expires = time.Time{}
		if _, err := w.claim(&l, c.Claimed); err != nil {
			return err
		}
	}
	for i := range c.Stale {
		l := &c.Stale[i]
		if _, err := w.exec(dropLookup, l.Index.Value, l.Index.Key, string(l.Category), l.Subject[:]); err != nil {
			return err
		}
	}
	return nil
}

const dropLookup = `DELETE FROM lookup WHERE index_value = ? AND index_key = ? AND category = ? AND subject_id = ?`

// Confirm makes claims permanent. A claim that expired and was taken by
// another subject meanwhile is left alone.
func (s *Store) Confirm(ctx context.Context, claims []storage.Lookup) error {
	return s.eachLookup(ctx, claims, `UPDATE lookup SET expires_at = NULL
		WHERE index_value = ? AND index_key = ? AND category = ? AND subject_id = ?`)
}

// Drop removes look-ups.
func (s *Store) Drop(ctx context.Context, claims []storage.Lookup) error {
	return s.eachLookup(ctx, claims, dropLookup)
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
func (s *Store) Find(ctx context.Context, category abide.Category, values []storage.IndexValue, limit int) ([]storage.Lookup, storage.IndexKeys, error) {
	var found []storage.Claimed
	var epoch storage.Epoch
	err := s.f.readers.snapshot(ctx, func(c *conn) error {
		found = nil
		for _, v := range values {
			err := c.query(`SELECT subject_id, holder, expires_at, claimed_at FROM lookup
				WHERE index_value = ? AND index_key = ? AND category = ? ORDER BY claimed_at DESC, subject_id LIMIT ?`,
				func(r *row) error {
					l := storage.Lookup{Category: category, Index: v, Subject: r.id(), Unique: r.id().IsZero(), Expires: r.maybeAt()}
					found = append(found, storage.Claimed{Lookup: l, At: r.int()})
					return nil
				}, v.Value, v.Key, string(category), int64(limit))
			if err != nil {
				return err
			}
		}
		return c.readEpoch(&epoch)
	})
	return storage.NewestFirst(found, limit), epoch.Index, err
}
