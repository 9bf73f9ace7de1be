package sqlite

import (
	"context"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
)

// ForgetAnswers deletes remembered answers whose time is over.
func (s *Store) ForgetAnswers(ctx context.Context, expired time.Time, limit int) (int, error) {
	var n int64
	err := s.f.w.do(ctx, 64*limit, func(w *writeConn) error {
		var err error
		n, err = w.exec(`DELETE FROM idempotency WHERE (subject_id, key) IN
			(SELECT subject_id, key FROM idempotency WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)`, at(expired), int64(limit))
		return err
	})
	if err != nil {
		return 0, err
	}
	return int(n), nil
}

// Expired lists claims that nobody confirmed in their time.
func (s *Store) Expired(ctx context.Context, until time.Time, limit int) ([]storage.Lookup, error) {
	return list(ctx, s, `SELECT category, index_key, index_value, holder, subject_id, expires_at FROM lookup
		WHERE expires_at <= ? ORDER BY expires_at LIMIT ?`, func(r *row) storage.Lookup {
		l := storage.Lookup{Category: abide.Category(r.text()), Index: storage.IndexValue{Key: r.text(), Value: r.bytes()}}
		l.Unique, l.Subject, l.Expires = r.id().IsZero(), r.id(), r.at()
		return l
	}, storage.Micros(until), limit)
}
