package engine

import (
	"context"

	"github.com/abide-privacy/abide/internal/restore"
)

// LedgerSeen is how far the store has seen its restore ledger, to be remembered
// outside of both: a database that was put back remembers less, and would not
// miss what a ledger that was cut, or put back with it, has lost.
type LedgerSeen struct {
	Ledger string                  `json:"ledger"`
	Marks  map[string]restore.Mark `json:"segments"`
	At     int64                   `json:"at"` // microseconds since 1970, by the node's clock
}

// LedgerSeen returns what is to be remembered, up to now; nil if there is no ledger, or a
// gap that nobody has resolved: then the memory stays as it is.
func (e *Engine) LedgerSeen(ctx context.Context) (*LedgerSeen, error) {
	if e.restore == nil || e.gap.Load() != nil {
		return nil, nil
	}
	if err := e.keepMark(ctx); err != nil {
		return nil, err
	}
	k, err := e.loadMarks(ctx)
	if err != nil || k.Ledger == "" {
		return nil, err
	}
	return &LedgerSeen{Ledger: k.Ledger, Marks: k.marks, At: e.now().UnixMicro()}, nil
}

// recall says why the ledger at hand is not the one that is remembered, or not
// all of it. A memory from before a gap was resolved counts no more.
func (e *Engine) recall(k *knownLedger, tail *restore.Tail) string {
	seen := e.ledgerSeen
	switch {
	case seen == nil || seen.At <= k.Resolved:
		return ""
	case seen.Ledger != e.restore.ID():
		return GapLedgerMissing
	case !tail.Reaches(seen.Marks):
		return GapLedgerShort
	}
	return ""
}
