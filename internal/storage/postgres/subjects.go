package postgres

import (
	"context"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/jackc/pgx/v5"
)

const (
	subjectColumns = `subject_id, kind, status, version, next_due_at, sealed, law, entry_n, consent_n, created_at`
	itemColumns    = `category, item_id, version, compartment, sealed, index_key, index_value, due_at`
	erasureColumns = `subject_id, step, certificate, started_at`
)

func subjectRow(s *scanner, v *storage.SubjectRow) {
	s.id(&v.ID)
	text(s, &v.Kind)
	text(s, &v.Status)
	num(s, &v.Version)
	s.at(&v.NextDue)
	s.bytes(&v.Sealed)
	s.bytes(&v.Law)
	num(s, &v.EntryN)
	num(s, &v.ConsentN)
	s.at(&v.Created)
}

func itemRow(s *scanner, v *storage.Item) {
	text(s, &v.Category)
	s.id(&v.ID)
	num(s, &v.Version)
	num(s, &v.Compartment)
	s.bytes(&v.Sealed)
	text(s, &v.IndexKey)
	s.bytes(&v.Index)
	s.at(&v.Due)
}

func erasureRow(s *scanner, v *storage.ErasureJob) {
	s.id(&v.Subject)
	text(s, &v.Step)
	s.bytes(&v.Certificate)
	s.at(&v.Started)
}

func epochRow(s *scanner, v *storage.Epoch) {
	num(s, &v.N)
	text(s, &v.Version)
	s.at(&v.Since)
	text(s, &v.Index)
	s.after = append(s.after, func() {
		if v.N == 0 {
			*v = storage.Epoch{Index: v.Index} // nothing was published yet
		}
	})
}

// one queues a query for at most one row, which goes to set.
func one[T any](b *pgx.Batch, columns func(*scanner, *T), set func(T), query string, args ...any) {
	many(b, columns, func(rows []T) {
		if len(rows) > 0 {
			set(rows[0])
		}
	}, query, args...)
}

func many[T any](b *pgx.Batch, columns func(*scanner, *T), set func([]T), query string, args ...any) {
	b.Queue(query, args...).Query(func(rows pgx.Rows) error {
		out, err := collect(rows, columns)
		if err == nil {
			set(out)
		}
		return err
	})
}

// Entries pages through the log entries of a subject.
func (s *Store) Entries(ctx context.Context, subject abide.SubjectID, after uint64, limit int) ([]storage.Entry, error) {
	return list(ctx, s.d, func(s *scanner, v *storage.Entry) {
		s.id(&v.Subject)
		num(s, &v.N)
		s.at(&v.At)
		text(s, &v.Kind)
		s.bytes(&v.Payload)
		s.bytes(&v.Envelope)
		s.digest(&v.Commitment)
	}, `SELECT subject_id, n, at, kind, payload, envelope, commitment FROM entry
		WHERE subject_id = $1 AND n > $2 ORDER BY n LIMIT $3`, id(subject), int64(after), limit)
}

// ConsentEvents pages through the ledger of a subject.
func (s *Store) ConsentEvents(ctx context.Context, subject abide.SubjectID, after uint64, limit int) ([]storage.ConsentRow, error) {
	return list(ctx, s.d, func(s *scanner, v *storage.ConsentRow) {
		num(s, &v.N)
		s.at(&v.At)
		text(s, &v.Purpose)
		text(s, &v.Action)
		text(s, &v.Terms)
		s.bytes(&v.Sealed)
	}, `SELECT n, at, purpose, action, terms, sealed FROM consent_event
		WHERE subject_id = $1 AND n > $2 ORDER BY n LIMIT $3`, id(subject), int64(after), limit)
}

// ListSubjects pages through all subjects.
func (s *Store) ListSubjects(ctx context.Context, after abide.SubjectID, limit int) ([]storage.SubjectRow, error) {
	return list(ctx, s.d, subjectRow, `SELECT `+subjectColumns+` FROM subject WHERE subject_id > $1
		ORDER BY subject_id LIMIT $2`, id(after), limit)
}

// Candidates pages through consent_index.
func (s *Store) Candidates(ctx context.Context, purpose abide.Purpose, effect string, after abide.SubjectID, limit int) ([]storage.ConsentIndexRow, error) {
	return list(ctx, s.d, func(s *scanner, v *storage.ConsentIndexRow) {
		s.id(&v.Subject)
		text(s, &v.Purpose)
		text(s, &v.Terms)
		text(s, &v.Effect)
	}, `SELECT subject_id, purpose, terms, effect FROM consent_index
		WHERE purpose = $1 AND effect = $2 AND subject_id > $3 ORDER BY subject_id LIMIT $4`,
		string(purpose), effect, id(after), limit)
}

// ErasureJobs lists erasures that are not finished.
func (s *Store) ErasureJobs(ctx context.Context, limit int) ([]storage.ErasureJob, error) {
	return list(ctx, s.d, erasureRow, `SELECT `+erasureColumns+` FROM erasure_job
		WHERE step <> 'done' ORDER BY subject_id LIMIT $1`, limit)
}

// Pending pages through commitments that no tile holds.
func (s *Store) Pending(ctx context.Context, after storage.EntryKey, limit int) ([]storage.PendingRow, error) {
	return list(ctx, s.d, func(s *scanner, v *storage.PendingRow) {
		s.id(&v.Key.Subject)
		num(s, &v.Key.N)
		s.digest(&v.Commitment)
	}, `SELECT subject_id, n, commitment FROM pending WHERE (subject_id, n) > ($1, $2)
		ORDER BY subject_id, n LIMIT $3`, id(after.Subject), int64(after.N), limit)
}

// Count counts subjects under "kind/status". It reads the whole table.
func (s *Store) Count(ctx context.Context) (map[string]int64, error) {
	type group struct {
		kind, status string
		n            int64
	}
	groups, err := list(ctx, s.d, func(s *scanner, v *group) {
		text(s, &v.kind)
		text(s, &v.status)
		num(s, &v.n)
	}, `SELECT kind, status, count(*) FROM subject GROUP BY kind, status`)
	if err != nil {
		return nil, err
	}
	counts := make(map[string]int64, len(groups))
	for _, g := range groups {
		counts[g.kind+"/"+g.status] = g.n
	}
	return counts, nil
}
