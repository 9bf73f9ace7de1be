package postgres

import (
	"context"
	"strings"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/jackc/pgx/v5"
)

// A load is one statement, so that the database gives it one snapshot: a
// distributed one gives each statement its own, even in one transaction. The
// tables of a subject come out below each other, in columns that mean
// something else in each part. Every part names the subject.
const (
	subjectPart = `SELECT 0 AS part, kind AS a, status AS b, subject_id AS u, version AS n, next_due_at AS due,
		entry_n AS x, consent_n AS y, created_at AS z, sealed AS s, law AS t FROM subject WHERE subject_id = $1`
	itemPart = `SELECT 1, category, index_key, item_id, version, due_at, compartment, NULL, NULL, sealed, index_value
		FROM item WHERE subject_id = $1`
	itemsWanted = ` AND category = ANY($2)`
	lawItems    = ` AND compartment = 3` // storage.Law, literally: an index holds these alone
	dueItems    = ` AND due_at <= $2`
	nextDuePart = `SELECT 5, NULL, NULL, NULL, NULL, min(due_at), NULL, NULL, NULL, NULL, NULL
		FROM item WHERE subject_id = $1 AND due_at > $2`
	countPart = `SELECT 4, category, NULL, NULL, count(*), NULL, NULL, NULL, NULL, NULL, NULL
		FROM item WHERE subject_id = $1 AND compartment <> 3 GROUP BY category`
	idempotencyPart = `SELECT 2, NULL, NULL, NULL, NULL, expires_at, NULL, NULL, NULL, digest, sealed
		FROM idempotency WHERE subject_id = $1 AND key = `
	erasurePart = `SELECT 3, step, NULL, NULL, NULL, started_at, NULL, NULL, NULL, certificate, NULL
		FROM erasure_job WHERE subject_id = $1`
	loadOrder = ` ORDER BY 1, 2, 4`

	epochQuery = `SELECT n, version, since, index_keys FROM policy_epoch WHERE id = 1`
)

// loaded is a row of any part.
type loaded struct {
	part    int64
	a, b    string
	u       abide.SubjectID
	n       uint64
	at      time.Time
	x, y    uint64
	created time.Time
	s, t    []byte
}

func loadedRow(s *scanner, v *loaded) {
	num(s, &v.part)
	text(s, &v.a)
	text(s, &v.b)
	s.maybeID(&v.u)
	maybeNum(s, &v.n)
	s.at(&v.at)
	maybeNum(s, &v.x)
	maybeNum(s, &v.y)
	s.at(&v.created)
	s.bytes(&v.s)
	s.bytes(&v.t)
}

// loadQuery is the statement for what is wanted, with its parameters.
func loadQuery(subject abide.SubjectID, want storage.Want) (string, []any) {
	parts, args := []string{subjectPart}, []any{id(subject)}
	switch {
	case !want.DueBy.IsZero():
		parts = append(parts, itemPart+dueItems, nextDuePart)
		args = append(args, storage.Micros(want.DueBy))
	case want.AllItems:
		parts = append(parts, itemPart)
	case want.LawItems:
		parts = append(parts, itemPart+lawItems)
	case len(want.Items) > 0:
		parts = append(parts, itemPart+itemsWanted)
		args = append(args, names(want.Items))
	}
	if want.Idempotency != nil {
		args = append(args, want.Idempotency)
		parts = append(parts, idempotencyPart+[...]string{2: "$2", 3: "$3"}[len(args)])
	}
	if want.Erasure {
		parts = append(parts, erasurePart)
	}
	if want.Counts {
		parts = append(parts, countPart)
	}
	if len(parts) == 1 {
		return subjectPart, args
	}
	return strings.Join(parts, ` UNION ALL `) + loadOrder, args
}

// Load reads the subject in one statement, and the policy epoch in the same
// round trip before and after it. If a publication came in between, it reads
// again: so the epoch it returns was in force at the instant of the snapshot.
func (s *Store) Load(ctx context.Context, subject abide.SubjectID, want storage.Want) (*storage.Loaded, error) {
	query, args := loadQuery(subject, want)
	for {
		var before, after storage.Epoch
		var rows []loaded
		err := s.d.read(ctx, func(b *pgx.Batch) {
			before, after = storage.Epoch{}, storage.Epoch{}
			one(b, epochRow, func(e storage.Epoch) { before = e }, epochQuery)
			many(b, loadedRow, func(r []loaded) { rows = r }, query, args...)
			one(b, epochRow, func(e storage.Epoch) { after = e }, epochQuery)
		})
		switch {
		case err != nil:
			return nil, err
		case before != after:
			continue
		case len(rows) == 0 || rows[0].part != 0:
			return &storage.Loaded{Epoch: after}, storage.ErrNotFound
		}
		return sorted(subject, rows, want, after), nil
	}
}

// sorted puts the rows of a load where they belong.
func sorted(subject abide.SubjectID, rows []loaded, want storage.Want, epoch storage.Epoch) *storage.Loaded {
	l := &storage.Loaded{Epoch: epoch}
	for i := range rows {
		r := &rows[i]
		switch r.part {
		case 0:
			l.Subject = storage.SubjectRow{ID: r.u, Kind: abide.SubjectKind(r.a), Status: abide.Status(r.b), Version: r.n,
				NextDue: r.at, EntryN: r.x, ConsentN: r.y, Created: r.created, Sealed: r.s, Law: r.t}
		case 1:
			l.Items = append(l.Items, storage.Item{Category: abide.Category(r.a), ID: r.u, Version: uint32(r.n), //nolint:gosec // stored from a uint32
				Compartment: storage.Compartment(r.x), Sealed: r.s, IndexKey: r.b, Index: r.t, Due: r.at}) //nolint:gosec // stored from a uint8
		case 2:
			l.Idempotency = &storage.IdempotencyRow{Key: want.Idempotency, Digest: r.s, Sealed: r.t, Expires: r.at}
		case 3:
			l.Erasure = &storage.ErasureJob{Subject: subject, Step: r.a, Certificate: r.s, Started: r.at}
		case 5:
			l.NextDue = r.at
		case 4:
			if l.Counts == nil {
				l.Counts = map[abide.Category]int{}
			}
			l.Counts[abide.Category(r.a)] = int(r.n) //nolint:gosec // a number of rows
		}
	}
	return l
}

func names(categories []abide.Category) []string {
	out := make([]string, len(categories))
	for i, c := range categories {
		out[i] = string(c)
	}
	return out
}
