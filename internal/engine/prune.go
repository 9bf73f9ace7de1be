package engine

import (
	"context"
	"errors"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/restore"
)

// The restore ledger grows for as long as there are backups that could need it,
// and no longer: what the store had seen to its end before the declared backup
// window began is pruned, for every backup in the window has seen it, too. Without a declared window nothing is, for nobody knows how
// old the oldest backup is.
const (
	// pruneSlack is how much longer than the window a segment is kept: a backup
	// takes its time, and clocks differ.
	pruneSlack = 24 * time.Hour
	// segmentAge is when a process ends its segment, so that it can be pruned one
	// day though the process goes on.
	segmentAge = 24 * time.Hour
)

// coveredBy refuses a store that is older than what its ledger was pruned of.
// Replayed as far as it goes, it would bring back people who were erased.
func (e *Engine) coveredBy(k *knownLedger) error {
	if k.Ledger != "" && k.Ledger != e.restore.ID() {
		return nil // another ledger: a gap
	}
	err := e.restore.Covers(k.marks, k.Pruned)
	if !errors.Is(err, restore.ErrPruned) {
		return err
	}
	return &abide.Error{Code: abide.CodeConflict, Detail: "backup_too_old", Err: err,
		Message: "this store is older than the declared backup window: the restore ledger no longer holds what it has not seen, so people who were erased would come back",
		Hint:    "restore a backup from within the window (abide keys window); docs/operations.md, Backup and restore, says what is left to do if there is none"}
}

// pruneLedger deletes segments of the ledger that no kept backup can need. Each
// step may be the last: what is to go is noted in the ledger before it goes, the
// store learns that it has seen it, and only then forgets how far.
func (e *Engine) pruneLedger(ctx context.Context, done *Tidied) error {
	if e.restore == nil || e.gap.Load() != nil {
		return nil
	}
	window, declared, err := e.backupWindow(ctx)
	if err != nil || !declared {
		return err
	}
	e.turnSegment()
	now := e.now()
	k, err := e.loadMarks(ctx)
	if err != nil || k.Ledger != e.restore.ID() {
		return err
	}
	old := map[string]restore.Mark{}
	for name, m := range k.marks {
		// Every backup since knows the mark, and with it all that it stands for.
		if !k.since[name].Before(now.Add(-window - pruneSlack)) {
			continue
		}
		ended, err := e.restore.Ended(name, m)
		if err != nil {
			return err
		}
		if ended {
			old[name] = m
		}
	}
	n, err := e.restore.Prune(old, now, now.Add(-2*window-pruneSlack), k.Pruned)
	if errors.Is(err, restore.ErrBusy) {
		return nil // the next round, then
	}
	if err != nil {
		return err
	}
	done.Segments += len(old)
	if k.Pruned < n {
		seen := k.ledgerAbout
		seen.Pruned = n
		if err := e.putLedgerRecord(ctx, recordAbout, k.version, seen); err != nil {
			return err // another node was here; the next round looks again
		}
	}
	return e.forgetPruned(ctx, k, n)
}

// forgetPruned drops the store's marks of segments that went with the prunings
// that it knows of. Of a later one the mark is all that tells that it saw it.
func (e *Engine) forgetPruned(ctx context.Context, k *knownLedger, n uint64) error {
	for name := range k.marks {
		if !e.restore.Gone(name, n) {
			continue
		}
		if err := e.store.DropRecord(ctx, recordLedger, name); err != nil && !isNotFound(err) {
			return storageError(err)
		}
	}
	return nil
}

func (e *Engine) turnSegment() {
	e.marks.mu.Lock()
	defer e.marks.mu.Unlock()
	now := e.now()
	if e.marks.turned.IsZero() {
		e.marks.turned = now
	}
	if now.Sub(e.marks.turned) >= segmentAge {
		e.marks.turned = now
		e.restore.Turn()
	}
}
