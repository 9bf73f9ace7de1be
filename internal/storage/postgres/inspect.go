package postgres

import (
	"context"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
)

var _ storage.Inspector = (*Store)(nil)

// Rest reads the small tables of a subject.
func (s *Store) Rest(ctx context.Context, subject abide.SubjectID) (*storage.Rest, error) {
	out := &storage.Rest{}
	var err error
	if out.ConsentIndex, err = list(ctx, s.d, func(s *scanner, v *storage.ConsentIndexRow) {
		v.Subject = subject
		text(s, &v.Purpose)
		text(s, &v.Terms)
		text(s, &v.Effect)
	}, `SELECT purpose, terms, effect FROM consent_index WHERE subject_id = $1 ORDER BY purpose`, id(subject)); err != nil {
		return nil, err
	}
	if out.Facts, err = list(ctx, s.d, func(s *scanner, v *storage.FactRow) {
		text(s, &v.Anchor)
		text(s, &v.Event)
		s.at(&v.At)
	}, `SELECT anchor, event, at FROM fact WHERE subject_id = $1 ORDER BY anchor, event`, id(subject)); err != nil {
		return nil, err
	}
	out.Idempotency, err = list(ctx, s.d, func(s *scanner, v *storage.IdempotencyRow) {
		s.bytes(&v.Key)
		s.bytes(&v.Digest)
		s.bytes(&v.Sealed)
		s.at(&v.Expires)
	}, `SELECT key, digest, sealed, expires_at FROM idempotency WHERE subject_id = $1 ORDER BY key`, id(subject))
	return out, err
}

// Strays finds rows of subjects that do not exist. Each table and the subjects
// are distributed by the same column, so each shard looks at itself.
func (s *Store) Strays(ctx context.Context, limit int) ([]storage.Stray, error) {
	var out []storage.Stray
	for _, table := range storage.StrayTables {
		rows, err := list(ctx, s.d, func(s *scanner, v *storage.Stray) {
			v.Table = table
			s.id(&v.Subject)
		}, `SELECT DISTINCT t.subject_id FROM `+table+` AS t LEFT JOIN subject USING (subject_id)
			WHERE t.subject_id <> $1 AND subject.subject_id IS NULL LIMIT $2`, id(abide.SubjectID{}), limit)
		if err != nil {
			return nil, err
		}
		out = append(out, rows...)
	}
	return out, nil
}

// SpoolGaps finds nodes whose batches are not contiguous from 1. A node's lie on
// one shard.
func (s *Store) SpoolGaps(ctx context.Context, limit int) ([]storage.SpoolGap, error) {
	return list(ctx, s.d, func(s *scanner, g *storage.SpoolGap) {
		text(s, &g.Node)
		num(s, &g.Last)
		num(s, &g.Missing)
	}, `SELECT node, max(batch), max(batch) - count(*) FROM spool
		GROUP BY node HAVING max(batch) <> count(*) ORDER BY node LIMIT $1`, limit)
}
