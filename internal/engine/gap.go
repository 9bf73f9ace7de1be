package engine

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/restore"
	"github.com/abide-privacy/abide/internal/storage"
)

// The store remembers, in records of its own, which ledger it goes with and how
// far it has seen each segment. They are restored with the store, and so tell
// how far it went back. They lag behind by up to a second, which costs a longer
// replay and nothing else.
const (
	recordLedger = "restore_ledger" // one per segment
	recordAbout  = "about"          // and this one
	recordGap    = "restored_gap"
)

// Why what people decided is not known.
const (
	GapLedgerMissing = "ledger_missing"
	GapLedgerShort   = "ledger_short"
	GapLedgerChanged = "ledger_changed"
	GapStoreWentBack = "store_went_back"
)

// Gap says since when, and why, the store does not know all that people
// decided. Until somebody resolves it, whatever rests on that is denied.
type Gap struct {
	Since time.Time `json:"since"`
	Why   string    `json:"why"`
}

// FindingRestoredGap is the finding that the restore ledger does not tell all
// that people decided. Name is why.
const FindingRestoredGap = "restored_gap"

// RestoreState is how the store stands to its restore ledger.
type RestoreState struct {
	Ledger     string   `json:"ledger,omitempty"` // its id; empty if there is none
	Generation uint64   `json:"generation"`       // counts restores
	Replayed   Replayed `json:"replayed"`         // by this process, when it started
	Gap        *Gap     `json:"gap,omitempty"`
	// KeySweep is how far the search for keys of erased people has come, that a
	// restore may have brought back.
	KeySweep KeySweep `json:"key_sweep"`
	// Pruned counts how often segments of the ledger were deleted that no kept
	// backup can need.
	Pruned uint64 `json:"ledger_pruned"`
}

type ledgerAbout struct {
	Ledger     string `json:"ledger"`
	Generation uint64 `json:"generation"`
	Pruned     uint64 `json:"pruned,omitempty"`    // how often the ledger was pruned of what this store has seen
	Replaying  bool   `json:"replaying,omitempty"` // a replay that changed something has not ended
	Resolved   int64  `json:"resolved,omitempty"`  // microseconds: when a gap was last resolved
}

// knownLedger is what the store remembers.
type knownLedger struct {
	ledgerAbout
	version  uint64
	marks    map[string]restore.Mark
	versions map[string]uint64
	since    map[string]time.Time // when the mark was written
}

// marks are the marks of this process's own segments, as the store has them.
type marks struct {
	mu     sync.Mutex
	own    map[string]ownMark
	turned time.Time // when the segment was ended last
}

type ownMark struct {
	version uint64
	kept    restore.Mark
}

func (e *Engine) loadMarks(ctx context.Context) (*knownLedger, error) {
	rows, err := e.store.Records(ctx, recordLedger)
	if err != nil {
		return nil, storageError(err)
	}
	k := &knownLedger{marks: map[string]restore.Mark{}, versions: map[string]uint64{}, since: map[string]time.Time{}}
	for _, r := range rows {
		if r.Name == recordAbout {
			k.version, err = r.Version, json.Unmarshal(r.Body, &k.ledgerAbout)
		} else {
			var m restore.Mark
			err = json.Unmarshal(r.Body, &m)
			k.marks[r.Name], k.versions[r.Name], k.since[r.Name] = m, r.Version, r.At
		}
		if err != nil {
			return nil, storageError(err)
		}
	}
	return k, nil
}

// saveMarks makes the store remember what was replayed. The ledger that it goes
// with changes only when a gap is resolved.
func (e *Engine) saveMarks(ctx context.Context, k *knownLedger, tail *restore.Tail) error {
	for name, m := range tail.Marks {
		if old := k.marks[name]; m.Seq == 0 || old == m {
			continue
		}
		if err := e.putLedgerRecord(ctx, name, k.versions[name], m); err != nil && !errors.Is(err, storage.ErrConflict) {
			return storageError(err)
		}
	}
	now := ledgerAbout{Ledger: k.Ledger, Generation: e.generation.Load(), Pruned: k.Pruned, Resolved: k.Resolved}
	if now.Ledger == "" {
		now.Ledger, now.Pruned = e.restore.ID(), e.restore.Pruned()
	}
	if now == k.ledgerAbout {
		return nil
	}
	err := e.putLedgerRecord(ctx, recordAbout, k.version, now)
	if errors.Is(err, storage.ErrConflict) {
		return nil // another node starts too, and came to the same
	}
	return storageError(err)
}

func (e *Engine) putLedgerRecord(ctx context.Context, name string, expect uint64, body any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return e.store.PutRecord(ctx, &storage.Record{Kind: recordLedger, Name: name, Expect: expect, Version: expect + 1, Body: raw, At: e.now()})
}

// keepMark writes how far this process's segments are settled, where they moved.
func (e *Engine) keepMark(ctx context.Context) error {
	if e.restore == nil {
		return nil
	}
	e.marks.mu.Lock()
	defer e.marks.mu.Unlock()
	if e.marks.own == nil {
		e.marks.own = map[string]ownMark{}
	}
	for segment, m := range e.restore.Settled() {
		own := e.marks.own[segment]
		if m.Seq == own.kept.Seq {
			continue
		}
		err := e.putLedgerRecord(ctx, segment, own.version, m)
		switch {
		case err == nil:
			e.marks.own[segment] = ownMark{own.version + 1, m}
		case errors.Is(err, storage.ErrConflict):
			if err := e.markConflict(ctx, own, segment); err != nil {
				return err
			}
		default:
			return storageError(err)
		}
	}
	return nil
}

// markConflict finds out why the store does not hold the mark that this process
// wrote: its outcome was unknown, or the database was put back under a running
// server.
func (e *Engine) markConflict(ctx context.Context, own ownMark, segment string) error {
	k, err := e.loadMarks(ctx)
	if err != nil {
		return err
	}
	stored := k.marks[segment]
	if stored.Seq < own.kept.Seq && e.gap.Load() == nil {
		e.marks.own[segment] = ownMark{k.versions[segment], own.kept}
		return e.openGap(ctx, GapStoreWentBack)
	}
	e.marks.own[segment] = ownMark{k.versions[segment], stored}
	return nil
}

func gapReason(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, restore.ErrShort):
		return GapLedgerShort
	}
	return GapLedgerChanged
}

// openGap denies, from now on and on every node, what rests on what people
// decided, and says so where operators look.
func (e *Engine) openGap(ctx context.Context, why string) error {
	g := &Gap{Since: e.now(), Why: why}
	raw, err := json.Marshal(g)
	if err != nil {
		return storageError(err)
	}
	err = e.store.PutRecord(ctx, &storage.Record{Kind: recordGap, Name: "gap", Version: 1, Body: raw, At: g.Since})
	if err != nil && !errors.Is(err, storage.ErrConflict) {
		return storageError(err)
	}
	e.setGap(g)
	e.raise(FindingRestoredGap, why)
	env := e.envelope(systemCall, audit.Alert)
	env.Object = FindingRestoredGap + ": " + why
	return e.noteStore(ctx, systemCall, env)
}

func (e *Engine) setGap(g *Gap) {
	e.gap.Store(g)
	e.metrics.gap.Set(0)
	if g != nil {
		e.metrics.gap.Set(1)
	}
}

// followGap learns of a gap that another node found, or that was resolved.
func (e *Engine) followGap(ctx context.Context) error {
	rows, err := e.store.Records(ctx, recordGap)
	if err != nil {
		return storageError(err)
	}
	if len(rows) == 0 {
		e.setGap(nil)
		return nil
	}
	var g Gap
	if err := json.Unmarshal(rows[0].Body, &g); err != nil {
		return storageError(err)
	}
	e.setGap(&g)
	return nil
}

// RestoreState tells how the store stands to its restore ledger.
func (e *Engine) RestoreState(ctx context.Context, c Call) (RestoreState, error) {
	if err := authorise(c, opRestore, abide.SubjectID{}); err != nil {
		return RestoreState{}, err
	}
	if err := e.followGap(ctx); err != nil {
		return RestoreState{}, err
	}
	sweep, _, err := e.keySweep(ctx)
	if err != nil {
		return RestoreState{}, storageError(err)
	}
	s := RestoreState{Generation: e.generation.Load(), Replayed: e.replayed, Gap: e.gap.Load(), KeySweep: sweep}
	if e.restore != nil {
		s.Ledger, s.Pruned = e.restore.ID(), e.restore.Pruned()
	}
	return s, nil
}

// Gap returns the gap as this node knows it, nil if there is none.
func (e *Engine) Gap() *Gap { return e.gap.Load() }

// ResolveGap ends a gap: a named operator has found out what people decided
// meanwhile, or takes the consequences, and says why. The ledger at hand is the
// store's from then on.
func (e *Engine) ResolveGap(ctx context.Context, c Call, operator, reason string) error {
	operator, reason = strings.TrimSpace(operator), strings.TrimSpace(reason)
	switch err := authorise(c, opRestore, abide.SubjectID{}); {
	case err != nil:
		return err
	case operator == "" || len(operator) > 64:
		return invalid("operator_missing", "it is not said who resolves the gap", "send the operator's name, of at most 64 characters", "operator")
	case reason == "" || len(reason) > 500:
		return invalid("reason_missing", "it is not said why the gap is resolved", "send a reason of at most 500 characters; it stands in the log, so no personal data", "reason")
	}
	rows, err := e.store.Records(ctx, recordGap)
	if err != nil {
		return storageError(err)
	}
	if len(rows) == 0 {
		return &abide.Error{Code: abide.CodeNotFound, Detail: "no_gap", Message: "there is no gap to resolve", Hint: "GET /v1/restore tells how the store stands to its restore ledger"}
	}
	if err := e.adoptLedger(ctx); err != nil {
		return err
	}
	env := e.envelope(c, audit.Restored)
	env.Object = FindingRestoredGap + " resolved by " + operator + ": " + reason
	if err := e.noteStore(ctx, c, env); err != nil {
		return err
	}
	if err := e.store.DropRecord(ctx, recordGap, "gap"); err != nil && !isNotFound(err) {
		return storageError(err)
	}
	return e.followGap(ctx)
}

// adoptLedger makes the ledger at hand the store's, and forgets marks of
// segments that it does not have.
func (e *Engine) adoptLedger(ctx context.Context) error {
	if e.restore == nil {
		return nil
	}
	k, err := e.loadMarks(ctx)
	if err != nil {
		return err
	}
	tail, err := e.restore.Tail(nil)
	if err != nil {
		return err
	}
	own := e.restore.Settled()
	for name, m := range k.marks {
		if _, mine := own[name]; mine || tail.Reaches(map[string]restore.Mark{name: m}) {
			continue
		}
		if err := e.store.DropRecord(ctx, recordLedger, name); err != nil && !isNotFound(err) {
			return storageError(err)
		}
	}
	now := k.ledgerAbout
	now.Ledger, now.Generation, now.Pruned, now.Resolved = e.restore.ID(), e.generation.Load(), e.restore.Pruned(), e.now().UnixMicro()
	return storageError(e.putLedgerRecord(ctx, recordAbout, k.version, now))
}
