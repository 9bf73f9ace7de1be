package engine

import (
	"context"
	"encoding/json"
	"errors"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/restore"
	"github.com/abide-privacy/abide/internal/storage"
)

// Replayed tells what a start brought back from the restore ledger.
type Replayed struct {
	Records    int `json:"records"`            // beyond what the store had seen
	Held       int `json:"held"`               // of them, what the store holds all the same
	Changed    int `json:"changed"`            // people to whom something was brought back
	Erased     int `json:"erased"`             // people who were erased again
	Tombstones int `json:"tombstones"`         // erased people whom the backup does not know
	Unknown    int `json:"unknown"`            // other people whom the backup does not know: they are lost
	Unreadable int `json:"unreadable"`         // records whose key is gone
	Unclaimed  int `json:"values_not_claimed"` // values that somebody else holds now
}

// replayLedger brings back what the store does not know of the restore ledger,
// before anything is served. Killed anywhere, it begins again: what is there
// already is recognised. A database that was restored by hand is noticed in the
// same way as one that Abide restored: its marks lie behind the ledger.
//
// Nodes that start together take turns: the first replays and counts the
// restore, the others find it done.
func (e *Engine) replayLedger(ctx context.Context) (err error) {
	if err := e.followGap(ctx); err != nil || e.restore == nil {
		return err
	}
	started, err := e.restore.Start(ctx)
	if err != nil {
		return storageError(err)
	}
	defer func() { err = errors.Join(err, started()) }()
	known, err := e.loadMarks(ctx)
	if err != nil {
		return err
	}
	if err := e.coveredBy(known); err != nil {
		return err
	}
	tail, err := e.restore.Tail(known.marks)
	if err != nil {
		return err
	}
	why := gapReason(tail.Gap)
	if known.Ledger != "" && known.Ledger != e.restore.ID() {
		why = GapLedgerMissing
	}
	if why == "" {
		why = e.recall(known, tail)
	}
	if why != "" && e.gap.Load() == nil {
		if err := e.openGap(ctx, why); err != nil {
			return err
		}
	}
	e.generation.Store(max(known.Generation, tail.Generation, 1))
	e.replayed.Records = tail.Records
	e.known = known
	if err := tail.Each(func(id abide.SubjectID, records []restore.Record) error { return e.replaySubject(ctx, id, records) }); err != nil {
		return err
	}
	if known.Replaying {
		if err := e.sweepAnew(ctx); err != nil {
			return storageError(err)
		}
		e.wakeSweeper()
		if e.restore.Alone() {
			// The versions of people went back: from here on they are counted anew.
			e.generation.Add(1)
			if err := e.replayedOnRecord(ctx); err != nil {
				return err
			}
		}
	}
	return e.saveMarks(ctx, known, tail)
}

// replayedOnRecord logs the restore.
func (e *Engine) replayedOnRecord(ctx context.Context) error {
	env := e.envelope(systemCall, audit.Restored)
	env.Object, env.Count = replayedNote, int64(e.replayed.Changed+e.replayed.Erased+e.replayed.Tombstones)
	return e.noteStore(ctx, systemCall, env)
}

// beginReplay makes it durable, before the first change of a replay, that one
// is under way: killed in it, the next start finds some of it done, and must
// know all the same that the store went back.
func (e *Engine) beginReplay(ctx context.Context) error {
	k := e.known
	if k.Replaying {
		return nil
	}
	now := k.ledgerAbout
	now.Replaying = true
	err := e.putLedgerRecord(ctx, recordAbout, k.version, now)
	if errors.Is(err, storage.ErrConflict) {
		fresh, err := e.loadMarks(ctx)
		if err != nil {
			return err
		}
		k.ledgerAbout, k.version = fresh.ledgerAbout, fresh.version
		return storage.ErrConflict // another node starts too; whoever is at it builds again
	}
	if err != nil {
		return storageError(err)
	}
	k.ledgerAbout, k.version = now, k.version+1
	return nil
}

// replaySubject brings back what the ledger holds of one subject, in its order.
func (e *Engine) replaySubject(ctx context.Context, id abide.SubjectID, records []restore.Record) error {
	defer e.alone(id)()
	var erasure *restore.Record
	rest := records[:0:0]
	for i := range records {
		if records[i].Kind == restore.Erasure {
			erasure = &records[i]
			continue
		}
		rest = append(rest, records[i])
	}
	if len(rest) > 0 {
		if err := e.repeat(func() error { return e.replayChanges(ctx, id, rest, erasure == nil) }); err != nil {
			return err
		}
	}
	if erasure == nil {
		return nil
	}
	return e.repeat(func() error { return e.replayErasure(ctx, id, erasure) })
}

// repeat builds a change again while others come first.
func (e *Engine) repeat(build func() error) error {
	for range changeTries {
		if err := build(); !errors.Is(err, storage.ErrConflict) {
			return err
		}
	}
	return storageError(storage.ErrConflict)
}

// replayErasure erases a person again: the keys that came with the backup go
// first, then the row says so, with the certificate that the person has. What
// the backup does not know of is kept as a tombstone.
func (e *Engine) replayErasure(ctx context.Context, id abide.SubjectID, r *restore.Record) error {
	plain, err := e.vault.OpenRestoreErasure(id, r.Payload)
	if err != nil {
		return err
	}
	var was ledgerErasure
	if err := json.Unmarshal(plain, &was); err != nil {
		return storageError(err)
	}
	if err := e.keys.Destroy(ctx, id, erased(was.Law != nil)); err != nil {
		return storageError(err)
	}
	if err := e.dropApprovals(ctx, id); err != nil {
		return err
	}
	loaded, err := e.store.Load(ctx, id, storage.Want{AllItems: true})
	switch {
	case isNotFound(err):
		return e.tombstone(ctx, id, &was, r)
	case err != nil:
		return storageError(err)
	case loaded.Subject.Status == abide.StatusErased:
		e.replayed.Held++
		return nil
	}
	ch := &storage.Change{Expect: loaded.Subject.Version, Row: loaded.Subject}
	ch.Row.Version++
	ch.Row.Status, ch.Row.Sealed, ch.Row.Law = abide.StatusErased, nil, was.Law
	stale := retain(ch, loaded.Items, was.Items)
	if err := e.sealReplayedErasure(ch, &was, stepCertified); err != nil {
		return err
	}
	if err := e.beginReplay(ctx); err != nil {
		return err
	}
	if err := e.commit(ctx, ch); err != nil {
		return err
	}
	if loaded.Subject.Status == abide.StatusErasing {
		e.replayed.Held++ // the store knew; it was interrupted
	} else {
		e.replayed.Erased++
	}
	return storageError(e.store.Drop(ctx, stale))
}

// retain keeps what the erasure found that law retains, with its deadline, and
// drops what else lies in that compartment. It returns the look-ups to drop.
func retain(ch *storage.Change, held, kept []storage.Item) []storage.Lookup {
	due := map[storage.ItemKey]*storage.Item{}
	for i := range kept {
		due[storage.ItemKey{Category: kept[i].Category, ID: kept[i].ID}] = &kept[i]
	}
	var stale []storage.Lookup
	for i := range held {
		it := held[i]
		if it.Compartment != storage.Law {
			continue // under a key that is gone; the purge drops it
		}
		key := storage.ItemKey{Category: it.Category, ID: it.ID}
		stale = append(stale, storage.LookupsOf(ch.Row.ID, []storage.Item{it})...)
		if k := due[key]; k != nil {
			it.IndexKey, it.Index, it.Due = "", nil, k.Due
			ch.PutItems = append(ch.PutItems, it)
		} else {
			ch.DropItems = append(ch.DropItems, key)
		}
	}
	ch.Row.NextDue = earliest(ch.PutItems)
	return stale
}

// tombstone keeps that somebody was erased whom the backup does not know.
func (e *Engine) tombstone(ctx context.Context, id abide.SubjectID, was *ledgerErasure, r *restore.Record) error {
	kind := was.Kind
	if kind == "" {
		kind = abide.Person
	}
	ch := &storage.Change{Row: storage.SubjectRow{ID: id, Kind: kind, Status: abide.StatusErased, Version: 1, Created: r.At}}
	if err := e.sealReplayedErasure(ch, was, storage.ErasureDone); err != nil {
		return err
	}
	if err := e.beginReplay(ctx); err != nil {
		return err
	}
	if err := e.commit(ctx, ch); err != nil {
		return err
	}
	e.replayed.Tombstones++
	return nil
}

// sealReplayedErasure adds the log entry and the certificate.
func (e *Engine) sealReplayedErasure(ch *storage.Change, was *ledgerErasure, step string) error {
	env := e.envelope(systemCall, audit.Erased)
	env.Object = replayedNote
	ch.Row.EntryN++
	entry, err := e.vault.SealEntry(nil, ch.Row.ID, ch.Row.EntryN, audit.Part{}, env)
	if err != nil {
		return storageError(err)
	}
	ch.Entries = append(ch.Entries, entry)
	ch.Erasure, err = e.erasureJob(ch.Row.ID, step, was.Certificate.Requested, was.Certificate)
	return err
}
