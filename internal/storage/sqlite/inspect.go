package sqlite

import (
	"context"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
)

var _ storage.Inspector = (*Store)(nil)

// Rest reads the small tables of a subject.
func (s *Store) Rest(ctx context.Context, id abide.SubjectID) (*storage.Rest, error) {
	out := &storage.Rest{}
	err := s.f.readers.snapshot(ctx, func(c *conn) error {
		*out = storage.Rest{}
		if err := c.query(`SELECT purpose, terms, effect FROM consent_index WHERE subject_id = ? ORDER BY purpose`, func(r *row) error {
			out.ConsentIndex = append(out.ConsentIndex, storage.ConsentIndexRow{Subject: id, Purpose: abide.Purpose(r.text()), Terms: r.text(), Effect: r.text()})
			return nil
		}, id[:]); err != nil {
			return err
		}
		if err := c.query(`SELECT anchor, event, at FROM fact WHERE subject_id = ? ORDER BY anchor, event`, func(r *row) error {
			out.Facts = append(out.Facts, storage.FactRow{Anchor: r.text(), Event: r.text(), At: r.at()})
			return nil
		}, id[:]); err != nil {
			return err
		}
		return c.query(`SELECT key, digest, sealed, expires_at FROM idempotency WHERE subject_id = ? ORDER BY key`, func(r *row) error {
			out.Idempotency = append(out.Idempotency, storage.IdempotencyRow{Key: r.bytes(), Digest: r.bytes(), Sealed: r.bytes(), Expires: r.at()})
			return nil
		}, id[:])
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Strays finds rows of subjects that do not exist.
func (s *Store) Strays(ctx context.Context, limit int) ([]storage.Stray, error) {
	var out []storage.Stray
	err := s.f.readers.read(ctx, func(c *conn) error {
		out = nil
		for _, table := range storage.StrayTables {
			if err := c.query(`SELECT DISTINCT subject_id FROM `+table+` AS t WHERE subject_id <> zeroblob(16)
				AND NOT EXISTS (SELECT 1 FROM subject WHERE subject.subject_id = t.subject_id) LIMIT ?`, func(r *row) error {
				out = append(out, storage.Stray{Table: table, Subject: r.id()})
				return nil
			}, int64(limit)); err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}

// SpoolGaps finds nodes whose batches are not contiguous from 1.
func (s *Store) SpoolGaps(ctx context.Context, limit int) ([]storage.SpoolGap, error) {
	return list(ctx, s, `SELECT node, max(batch), max(batch) - count(*) FROM spool
		GROUP BY node HAVING max(batch) <> count(*) ORDER BY node LIMIT ?`, func(r *row) storage.SpoolGap {
		return storage.SpoolGap{Node: r.text(), Last: r.int(), Missing: r.int()}
	}, limit)
}
