package sqlite

import (
	"context"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
)

// The statements of retention. INDEXED BY makes one that cannot go by its index
// an error: each reads what is due and nothing else (TestPlansOfRetention).
const (
	dueItems = `SELECT ` + itemColumns + ` FROM item INDEXED BY item_due WHERE subject_id = ? AND due_at <= ?
		ORDER BY due_at, category, item_id`
	nextDue = `SELECT due_at FROM item INDEXED BY item_due WHERE subject_id = ? AND due_at > ? ORDER BY due_at LIMIT 1`
	// A row comparison alone would begin at the first row of all for each page.
	dueSubjects = `SELECT next_due_at, subject_id FROM subject INDEXED BY subject_due
		WHERE next_due_at >= ?1 AND next_due_at <= ?3 AND (next_due_at, subject_id) > (?1, ?2)
		ORDER BY next_due_at, subject_id LIMIT ?4`
	dueCounts = `SELECT i.category, count(*) FROM subject AS s INDEXED BY subject_due CROSS JOIN item AS i INDEXED BY item_due
		WHERE s.next_due_at <= ?1 AND i.subject_id = s.subject_id AND i.due_at <= ?1 GROUP BY i.category`
	duePeople = `SELECT count(*) FROM subject AS s INDEXED BY subject_due WHERE s.next_due_at <= ?1
		AND EXISTS (SELECT 1 FROM item AS i INDEXED BY item_due WHERE i.subject_id = s.subject_id AND i.due_at <= ?1)`
)

func (c *conn) loadDue(id abide.SubjectID, by any, add func(*row) error, l *storage.Loaded) error {
	if err := c.query(dueItems, add, id[:], by); err != nil {
		return err
	}
	_, err := c.one(nextDue, func(r *row) { l.NextDue = r.maybeAt() }, id[:], by)
	return err
}

// DueSubjects pages through the subjects that may have something due.
func (s *Store) DueSubjects(ctx context.Context, until time.Time, after storage.Due, limit int) ([]storage.Due, error) {
	return list(ctx, s, dueSubjects, func(r *row) storage.Due { return storage.Due{At: r.at(), Subject: r.id()} },
		storage.Micros(after.At), after.Subject[:], storage.Micros(until), limit)
}

// DueItems counts what is due.
func (s *Store) DueItems(ctx context.Context, until time.Time) (map[abide.Category]int64, int64, error) {
	items, people := map[abide.Category]int64{}, int64(0)
	err := s.f.readers.snapshot(ctx, func(c *conn) error {
		clear(items)
		if err := c.query(dueCounts, func(r *row) error {
			category := abide.Category(r.text())
			items[category] = r.int()
			return nil
		}, storage.Micros(until)); err != nil {
			return err
		}
		_, err := c.one(duePeople, func(r *row) { people = r.int() }, storage.Micros(until))
		return err
	})
	return items, people, err
}
