package sqlite

import (
	"context"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
)

const (
	subjectColumns = `subject_id, kind, status, version, next_due_at, sealed, law, entry_n, consent_n, created_at`
	itemColumns    = `category, item_id, version, compartment, sealed, index_key, index_value, due_at`
)

func scanSubject(r *row) storage.SubjectRow {
	return storage.SubjectRow{ID: r.id(), Kind: abide.SubjectKind(r.text()), Status: abide.Status(r.text()),
		Version: uint64(r.int()), NextDue: r.maybeAt(), Sealed: r.bytes(), Law: r.bytes(),
		EntryN: uint64(r.int()), ConsentN: uint64(r.int()), Created: r.at()}
}

func scanItem(r *row) storage.Item {
	return storage.Item{Category: abide.Category(r.text()), ID: r.id(), Version: uint32(r.int()),
		Compartment: storage.Compartment(r.int()), Sealed: r.bytes(), IndexKey: r.text(), Index: r.bytes(), Due: r.maybeAt()}
}

func scanErasure(r *row) storage.ErasureJob {
	return storage.ErasureJob{Subject: r.id(), Step: r.text(), Certificate: r.bytes(), Started: r.at()}
}

// Load reads everything in one snapshot.
func (s *Store) Load(ctx context.Context, id abide.SubjectID, want storage.Want) (*storage.Loaded, error) {
	l := &storage.Loaded{}
	found := false
	err := s.f.readers.snapshot(ctx, func(c *conn) error {
		*l = storage.Loaded{}
		if err := c.readEpoch(&l.Epoch); err != nil {
			return err
		}
		var err error
		found, err = c.one(`SELECT `+subjectColumns+` FROM subject WHERE subject_id = ?`,
			func(r *row) { l.Subject = scanSubject(r) }, id[:])
		if err != nil || !found {
			return err
		}
		return c.loadMore(id, &want, l)
	})
	if err != nil {
		return nil, err
	}
	if !found {
		return l, storage.ErrNotFound
	}
	return l, nil
}

func (c *conn) readEpoch(e *storage.Epoch) error {
	_, err := c.one(`SELECT n, version, since, index_keys FROM policy_epoch WHERE id = 1`, func(r *row) {
		*e = storage.Epoch{N: uint64(r.int()), Version: r.text(), Since: r.at(), Index: storage.IndexKeys(r.text())}
	})
	if e.N == 0 {
		*e = storage.Epoch{Index: e.Index} // nothing was published yet
	}
	return err
}

func (c *conn) loadMore(id abide.SubjectID, want *storage.Want, l *storage.Loaded) error {
	add := func(r *row) error {
		l.Items = append(l.Items, scanItem(r))
		return nil
	}
	switch {
	case !want.DueBy.IsZero():
		if err := c.loadDue(id, at(want.DueBy), add, l); err != nil {
			return err
		}
	case want.AllItems:
		if err := c.query(`SELECT `+itemColumns+` FROM item WHERE subject_id = ? ORDER BY category, item_id`, add, id[:]); err != nil {
			return err
		}
	case want.LawItems:
		if err := c.query(`SELECT `+itemColumns+` FROM item INDEXED BY item_law WHERE subject_id = ? AND compartment = 3
			ORDER BY category, item_id`, add, id[:]); err != nil {
			return err
		}
	default:
		for _, cat := range storage.Sorted(want.Items) {
			if err := c.query(`SELECT `+itemColumns+` FROM item WHERE subject_id = ? AND category = ? ORDER BY item_id`,
				add, id[:], string(cat)); err != nil {
				return err
			}
		}
	}
	if want.Counts {
		if err := c.query(`SELECT category, count(*) FROM item WHERE subject_id = ? AND compartment <> 3 GROUP BY category`,
			func(r *row) error {
				if l.Counts == nil {
					l.Counts = map[abide.Category]int{}
				}
				l.Counts[abide.Category(r.text())] = int(r.int())
				return nil
			}, id[:]); err != nil {
			return err
		}
	}
	if want.Idempotency != nil {
		if _, err := c.one(`SELECT key, digest, sealed, expires_at FROM idempotency WHERE subject_id = ? AND key = ?`,
			func(r *row) {
				l.Idempotency = &storage.IdempotencyRow{Key: r.bytes(), Digest: r.bytes(), Sealed: r.bytes(), Expires: r.at()}
			}, id[:], want.Idempotency); err != nil {
			return err
		}
	}
	if want.Erasure {
		if _, err := c.one(`SELECT subject_id, step, certificate, started_at FROM erasure_job WHERE subject_id = ?`,
			func(r *row) {
				j := scanErasure(r)
				l.Erasure = &j
			}, id[:]); err != nil {
			return err
		}
	}
	return nil
}

// list collects the rows of a query.
func list[T any](ctx context.Context, s *Store, query string, scan func(r *row) T, args ...any) ([]T, error) {
	var out []T
	err := s.f.readers.read(ctx, func(c *conn) error {
		out = nil
		return c.query(query, func(r *row) error {
			out = append(out, scan(r))
			return nil
		}, values(args)...)
	})
	return out, err
}

// Entries pages through the log entries of a subject.
func (s *Store) Entries(ctx context.Context, id abide.SubjectID, after uint64, limit int) ([]storage.Entry, error) {
	return list(ctx, s, `SELECT subject_id, n, at, kind, payload, envelope, commitment FROM entry
		WHERE subject_id = ? AND n > ? ORDER BY n LIMIT ?`, func(r *row) storage.Entry {
		return storage.Entry{Subject: r.id(), N: uint64(r.int()), At: r.at(), Kind: r.text(),
			Payload: r.bytes(), Envelope: r.bytes(), Commitment: r.digest()}
	}, id[:], after, limit)
}

// ConsentEvents pages through the ledger of a subject.
func (s *Store) ConsentEvents(ctx context.Context, id abide.SubjectID, after uint64, limit int) ([]storage.ConsentRow, error) {
	return list(ctx, s, `SELECT n, at, purpose, action, terms, sealed FROM consent_event
		WHERE subject_id = ? AND n > ? ORDER BY n LIMIT ?`, func(r *row) storage.ConsentRow {
		return storage.ConsentRow{N: uint64(r.int()), At: r.at(), Purpose: abide.Purpose(r.text()),
			Action: abide.ConsentAction(r.text()), Terms: r.text(), Sealed: r.bytes()}
	}, id[:], after, limit)
}

// ListSubjects pages through all subjects.
func (s *Store) ListSubjects(ctx context.Context, after abide.SubjectID, limit int) ([]storage.SubjectRow, error) {
	return list(ctx, s, `SELECT `+subjectColumns+` FROM subject WHERE subject_id > ? ORDER BY subject_id LIMIT ?`,
		scanSubject, after[:], limit)
}

// Candidates pages through consent_index.
func (s *Store) Candidates(ctx context.Context, purpose abide.Purpose, effect string, after abide.SubjectID, limit int) ([]storage.ConsentIndexRow, error) {
	return list(ctx, s, `SELECT subject_id, purpose, terms, effect FROM consent_index
		WHERE purpose = ? AND effect = ? AND subject_id > ? ORDER BY subject_id LIMIT ?`, func(r *row) storage.ConsentIndexRow {
		return storage.ConsentIndexRow{Subject: r.id(), Purpose: abide.Purpose(r.text()), Terms: r.text(), Effect: r.text()}
	}, string(purpose), effect, after[:], limit)
}

// ErasureJobs lists erasures that are not finished.
func (s *Store) ErasureJobs(ctx context.Context, limit int) ([]storage.ErasureJob, error) {
	return list(ctx, s, `SELECT subject_id, step, certificate, started_at FROM erasure_job
		WHERE step <> 'done' ORDER BY subject_id LIMIT ?`, scanErasure, limit)
}

// Pending pages through commitments that no tile holds.
func (s *Store) Pending(ctx context.Context, after storage.EntryKey, limit int) ([]storage.PendingRow, error) {
	return list(ctx, s, `SELECT subject_id, n, commitment FROM pending
		WHERE (subject_id, n) > (?, ?) ORDER BY subject_id, n LIMIT ?`, func(r *row) storage.PendingRow {
		return storage.PendingRow{Key: storage.EntryKey{Subject: r.id(), N: uint64(r.int())}, Commitment: r.digest()}
	}, after.Subject[:], after.N, limit)
}

// Count counts subjects under "kind/status". It reads the whole table.
func (s *Store) Count(ctx context.Context) (map[string]int64, error) {
	counts := map[string]int64{}
	err := s.f.readers.read(ctx, func(c *conn) error {
		clear(counts)
		return c.query(`SELECT kind, status, count(*) FROM subject GROUP BY kind, status`, func(r *row) error {
			key := r.text() + "/" + r.text()
			counts[key] = r.int()
			return nil
		})
	})
	return counts, err
}
