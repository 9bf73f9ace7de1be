package postgres

import (
	"context"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
)

// ForgetAnswers deletes remembered answers whose time is over, each by itself:
// they belong to many subjects. One that was written anew meanwhile stays.
func (s *Store) ForgetAnswers(ctx context.Context, expired time.Time, limit int) (int, error) {
	type answer struct {
		subject abide.SubjectID
		key     []byte
	}
	rows, err := list(ctx, s.d, func(s *scanner, v *answer) {
		s.id(&v.subject)
		s.bytes(&v.key)
	}, `SELECT subject_id, key FROM idempotency WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2`, storage.Micros(expired), limit)
	if err != nil {
		return 0, err
	}
	groups := make([][]step, len(rows))
	for i := range rows {
		groups[i] = []step{{`DELETE FROM idempotency WHERE subject_id = $1::uuid AND key = $2::bytea AND expires_at <= $3::bigint`,
			new(raw).binary(rows[i].subject[:]).binary(rows[i].key).maybeAt(expired)}}
	}
	changed, err := s.d.each(ctx, groups)
	n := 0
	for _, c := range changed {
		n += int(c)
	}
	return n, err
}

// Expired lists claims that nobody confirmed in their time.
func (s *Store) Expired(ctx context.Context, until time.Time, limit int) ([]storage.Lookup, error) {
	return list(ctx, s.d, func(s *scanner, l *storage.Lookup) {
		text(s, &l.Category)
		text(s, &l.Index.Key)
		s.bytes(&l.Index.Value)
		s.dest = append(s.dest, &l.Unique)
		s.id(&l.Subject)
		s.at(&l.Expires)
	}, `SELECT category, index_key, index_value, holder <> subject_id, subject_id, expires_at FROM lookup
		WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2`, storage.Micros(until), limit)
}
