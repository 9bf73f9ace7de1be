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

// SpoolGap is a node that has fewer batches than the number of its last one.
type SpoolGap struct {
	Node          string
	Last, Missing int64
}

// Inspector reads what only a check of the whole store needs. Both adapters
// are one.
type Inspector interface {
	Rest(ctx context.Context, id abide.SubjectID) (*Rest, error)
	// Strays returns up to limit rows per table whose subject does not exist.
	Strays(ctx context.Context, limit int) ([]Stray, error)
	// SpoolGaps returns up to limit nodes some of whose batches are missing: the
	// numbers of a node are contiguous from 1, and rows stay when they are indexed.
	SpoolGaps(ctx context.Context, limit int) ([]SpoolGap, error)
}

// StrayTables are the tables whose rows must belong to a subject that exists;
// of the log, the store's own rows (the zero subject) aside.
var StrayTables = []string{"item", "consent_event", "consent_index", "fact", "idempotency", "erasure_job", "entry", "pending"}
