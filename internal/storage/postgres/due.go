package postgres

import (
	"context"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
)

// The statements of retention. Each reads what is due and nothing else
// (TestPlansOfRetention); on a distributed database each shard does.
const (
	// A row comparison alone would begin at the first row of all for each page.
	dueSubjects = `SELECT next_due_at, subject_id FROM subject
		WHERE next_due_at >= $1 AND next_due_at <= $3 AND (next_due_at, subject_id) > ($1, $2)
		ORDER BY next_due_at, subject_id LIMIT $4`
	dueCounts = `SELECT i.category, count(*) FROM subject AS s JOIN item AS i ON i.subject_id = s.subject_id AND i.due_at <= $1
		WHERE s.next_due_at <= $1 GROUP BY i.category`
	duePeople = `SELECT count(*) FROM subject AS s WHERE s.next_due_at <= $1
		AND EXISTS (SELECT 1 FROM item AS i WHERE i.subject_id = s.subject_id AND i.due_at <= $1)`
)

// DueSubjects pages through the subjects that may have something due.
func (s *Store) DueSubjects(ctx context.Context, until time.Time, after storage.Due, limit int) ([]storage.Due, error) {
	return list(ctx, s.d, func(s *scanner, v *storage.Due) {
		s.at(&v.At)
		s.id(&v.Subject)
	}, dueSubjects, storage.Micros(after.At), id(after.Subject), storage.Micros(until), limit)
}

// DueItems counts what is due.
func (s *Store) DueItems(ctx context.Context, until time.Time) (map[abide.Category]int64, int64, error) {
	type count struct {
		category abide.Category
		n        int64
	}
	rows, err := list(ctx, s.d, func(s *scanner, v *count) {
		text(s, &v.category)
		num(s, &v.n)
	}, dueCounts, storage.Micros(until))
	if err != nil {
		return nil, 0, err
	}
	items := map[abide.Category]int64{}
	for _, r := range rows {
		items[r.category] = r.n
	}
	people, err := list(ctx, s.d, func(s *scanner, v *int64) { num(s, v) }, duePeople, storage.Micros(until))
	if err != nil || len(people) != 1 {
		return nil, 0, err
	}
	return items, people[0], nil
}
