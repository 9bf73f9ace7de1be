package sqlite

import (
	"database/sql/driver"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
)

func at(t time.Time) driver.Value { return storage.Micros(t) }

// maybeAt keeps the zero time as NULL, so that indexes on deadlines leave it out.
func maybeAt(t time.Time) driver.Value {
	if t.IsZero() {
		return nil
	}
	return storage.Micros(t)
}

func maybeText(s string) driver.Value {
	if s == "" {
		return nil
	}
	return s
}

func num[T ~uint8 | ~uint32 | ~uint64](n T) driver.Value { return int64(n) }

func (r *row) at() time.Time { return storage.FromMicros(r.int()) }

func (r *row) maybeAt() time.Time {
	if us, ok := r.next().(int64); ok {
		return storage.FromMicros(us)
	}
	return time.Time{}
}

func (r *row) id() (id abide.SubjectID) {
	copy(id[:], r.bytes())
	return id
}

func (r *row) digest() (d [32]byte) {
	copy(d[:], r.bytes())
	return d
}

// values turns Go values into those the driver takes.
func values(args []any) []driver.Value {
	out := make([]driver.Value, len(args))
	for i, a := range args {
		switch a := a.(type) {
		case int:
			out[i] = int64(a)
		case uint32:
			out[i] = int64(a)
		case uint64:
			out[i] = int64(a)
		default:
			out[i] = a
		}
	}
	return out
}
