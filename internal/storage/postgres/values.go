package postgres

import (
	"context"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/jackc/pgx/v5"
)

// id is a uuid to pgx; SubjectID itself would be sent as text.
func id(s abide.SubjectID) [16]byte { return s }

// maybeAt keeps the zero time as NULL, so that indexes on deadlines leave it out.
func maybeAt(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	us := storage.Micros(t)
	return &us
}

func maybeText(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// scanner names where the columns of a result row go, in order, with the kinds
// of value that storage has.
type scanner struct {
	dest  []any
	after []func()
}

func (s *scanner) id(p *abide.SubjectID) { s.dest = append(s.dest, (*[16]byte)(p)) }

// maybeID scans an id; NULL leaves it zero.
func (s *scanner) maybeID(p *abide.SubjectID) {
	v := new(*[16]byte)
	s.dest = append(s.dest, v)
	s.after = append(s.after, func() {
		if *v != nil {
			*p = **v
		}
	})
}

func (s *scanner) bytes(p *[]byte) { s.dest = append(s.dest, p) }

func text[T ~string](s *scanner, p *T) {
	v := new(*string)
	s.dest = append(s.dest, v)
	s.after = append(s.after, func() {
		if *v != nil {
			*p = T(**v)
		}
	})
}

func num[T ~uint8 | ~uint32 | ~uint64 | ~int64](s *scanner, p *T) {
	v := new(int64)
	s.dest = append(s.dest, v)
	s.after = append(s.after, func() { *p = T(*v) })
}

// maybeNum scans a number; NULL leaves it zero.
func maybeNum(s *scanner, p *uint64) {
	v := new(*int64)
	s.dest = append(s.dest, v)
	s.after = append(s.after, func() {
		if *v != nil {
			*p = uint64(**v) //nolint:gosec // stored from a uint64
		}
	})
}

// at scans a time; NULL leaves it zero.
func (s *scanner) at(p *time.Time) {
	v := new(*int64)
	s.dest = append(s.dest, v)
	s.after = append(s.after, func() {
		if *v != nil {
			*p = storage.FromMicros(**v)
		}
	})
}

func (s *scanner) digest(p *[32]byte) {
	v := new([]byte)
	s.dest = append(s.dest, v)
	s.after = append(s.after, func() { copy(p[:], *v) })
}

// scan reads the current row into what columns names.
func scan[T any](rows pgx.Row, columns func(s *scanner, v *T)) (T, error) {
	var v T
	var s scanner
	columns(&s, &v)
	if err := rows.Scan(s.dest...); err != nil {
		return v, err
	}
	for _, f := range s.after {
		f()
	}
	return v, nil
}

func collect[T any](rows pgx.Rows, columns func(s *scanner, v *T)) ([]T, error) {
	defer rows.Close()
	var out []T
	for rows.Next() {
		v, err := scan(rows, columns)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

// list runs a query of one statement.
func list[T any](ctx context.Context, d *database, columns func(s *scanner, v *T), query string, args ...any) ([]T, error) {
	var out []T
	err := d.reread(ctx, func() error {
		rows, err := d.pool.Query(ctx, query, args...)
		if err == nil {
			out, err = collect(rows, columns)
		}
		return err
	})
	return out, err
}

func first[T any](rows []T, err error) (*T, error) {
	switch {
	case err != nil:
		return nil, err
	case len(rows) == 0:
		return nil, storage.ErrNotFound
	}
	return &rows[0], nil
}

// read sends a pipeline of queries. build is called for each try.
func (d *database) read(ctx context.Context, build func(b *pgx.Batch)) error {
	return d.reread(ctx, func() error {
		var b pgx.Batch
		build(&b)
		return d.pool.SendBatch(ctx, &b).Close()
	})
}
