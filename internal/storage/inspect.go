package storage

import (
	"context"

	abide "github.com/abide-privacy/abide"
)

// Rest is what Load, Entries and ConsentEvents leave out of a subject's rows.
type Rest struct {
	ConsentIndex []ConsentIndexRow
	Facts        []FactRow
	Idempotency  []IdempotencyRow
}

// Stray is a row of a subject that does not exist.
type Stray struct {
	Table   string
	Subject abide.SubjectID
}

// Inspector reads what only a check of the whole store needs. Both adapters
// are one.
type Inspector interface {
	Rest(ctx context.Context, id abide.SubjectID) (*Rest, error)
	// Strays returns up to limit rows per table whose subject does not exist.
	Strays(ctx context.Context, limit int) ([]Stray, error)
}

// StrayTables are the tables whose rows must belong to a subject that exists;
// of the log, the store's own rows (the zero subject) aside.
var StrayTables = []string{"item", "consent_event", "consent_index", "fact", "idempotency", "erasure_job", "entry", "pending"}
