package postgres

import (
	"context"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/jackc/pgx/v5"
)

// Claim tries every claim, each in a transaction of its own; one that is taken
// does not undo the others. A confirmed claim stays confirmed when its own
// subject claims it again.
func (s *Store) Claim(ctx context.Context, claims []storage.Lookup, now time.Time) error {
	rows := make([]*raw, len(claims))
	for i := range claims {
		holder := storage.Holder(&claims[i])
		rows[i] = lookupKey(&claims[i]).binary(holder[:]).maybeAt(claims[i].Expires).maybeAt(now)
	}
	changed, err := s.d.each(ctx, `INSERT INTO lookup AS l
		(index_value, index_key, category, holder, subject_id, expires_at, claimed_at)
		SELECT $1::bytea, $2::text, $3::text, $5::uuid, $4::uuid, $6::bigint, $7::bigint
		WHERE $5::uuid = $4::uuid OR NOT EXISTS (SELECT 1 FROM lookup WHERE index_value = $1::bytea
			AND index_key = $2::text AND category = $3::text AND holder <> $5::uuid AND subject_id <> $4::uuid
			AND (expires_at IS NULL OR expires_at > $7::bigint))
		ON CONFLICT (index_value, index_key, category, holder) DO UPDATE
		SET subject_id = excluded.subject_id, claimed_at = excluded.claimed_at, expires_at =
			CASE WHEN l.subject_id = excluded.subject_id AND l.expires_at IS NULL THEN NULL ELSE excluded.expires_at END
		WHERE l.subject_id = excluded.subject_id OR l.expires_at <= $7::bigint`, rows)
	if err != nil {
		return err
	}
	for _, n := range changed {
		if n == 0 {
			return storage.ErrTaken
		}
	}
	return nil
}

// lookupKey is the first four parameters of the statements here.
func lookupKey(l *storage.Lookup) *raw {
	return new(raw).binary(l.Index.Value).text(l.Index.Key).text(string(l.Category)).binary(l.Subject[:])
}

// Confirm makes claims permanent. A claim that expired and was taken by
// another subject meanwhile is left alone.
func (s *Store) Confirm(ctx context.Context, claims []storage.Lookup) error {
	return s.eachLookup(ctx, claims, `UPDATE lookup SET expires_at = NULL WHERE index_value = $1::bytea
		AND index_key = $2::text AND category = $3::text AND subject_id = $4::uuid`)
}

// Drop removes look-ups.
func (s *Store) Drop(ctx context.Context, claims []storage.Lookup) error {
	return s.eachLookup(ctx, claims, `DELETE FROM lookup WHERE index_value = $1::bytea
		AND index_key = $2::text AND category = $3::text AND subject_id = $4::uuid`)
}

func (s *Store) eachLookup(ctx context.Context, claims []storage.Lookup, query string) error {
	rows := make([]*raw, len(claims))
	for i := range claims {
		rows[i] = lookupKey(&claims[i])
	}
	_, err := s.d.each(ctx, query, rows)
	return err
}

// Find returns claims on any of the values, expired ones too: the finder
// checks each against the subject's item.
func (s *Store) Find(ctx context.Context, category abide.Category, values []storage.IndexValue, limit int) ([]storage.Lookup, error) {
	var found []storage.Claimed
	var b pgx.Batch
	for _, v := range values {
		columns := func(s *scanner, c *storage.Claimed) {
			c.Category, c.Index = category, v
			s.id(&c.Subject)
			s.dest = append(s.dest, &c.Unique)
			s.at(&c.Expires)
			num(s, &c.At)
		}
		many(&b, columns, func(rows []storage.Claimed) { found = append(found, rows...) },
			`SELECT subject_id, holder <> subject_id, expires_at, claimed_at FROM lookup
			WHERE index_value = $1 AND index_key = $2 AND category = $3 ORDER BY claimed_at DESC, subject_id LIMIT $4`,
			v.Value, v.Key, string(category), limit)
	}
	if b.Len() == 0 {
		return nil, s.d.usable(ctx)
	}
	if err := s.d.read(ctx, &b); err != nil {
		return nil, err
	}
	return storage.NewestFirst(found, limit), nil
}
