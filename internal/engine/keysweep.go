package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/storage"
)

// Keys of people who were erased long ago come back if the key store is put
// back from an older copy than the data. Erasures that a start replays take
// their keys along before anything is served; those that the data knew already
// are swept here, beside serving. That is safe: the row of an erased person
// refuses every read and every change before a key is looked at, no row leaves
// that state, and nobody makes keys for it, so the sweep races with nothing and
// destroys nothing that is needed. What it leaves open until it has come by is
// what it is there for: whoever holds both databases and the keyring could
// still open what the data retains of those people.
const (
	sweepRecord = "keys_of_erased"
	// sweepEvery is when everybody is looked at again, unasked: a key store that
	// was put back by hand, beside data that lost nothing, is noticed by nothing
	// else.
	sweepEvery = 30 * 24 * time.Hour
	// sweepLease is how long after it was heard of last a sweep is left to the
	// node that is at it.
	sweepLease = 5 * time.Minute
	sweepPages = 20 // between two saved positions, unless a test says otherwise
)

// KeySweep is how far the search for keys of erased people has come. Killed
// anywhere, it goes on from its last saved position.
type KeySweep struct {
	Begun     time.Time       `json:"begun"`
	After     abide.SubjectID `json:"after,omitzero"` // ids up to this one are done
	Looked    int             `json:"looked"`         // at subjects that have keys
	Destroyed int             `json:"destroyed"`      // of how many people
	Ended     time.Time       `json:"ended,omitzero"` // zero while it is under way
	Node      string          `json:"node,omitempty"` // that is at it
	At        time.Time       `json:"at,omitzero"`    // when it was heard of last
}

// due reports whether there is something left to do.
func (s *KeySweep) due(now time.Time) bool {
	waited := now.Sub(s.Ended)
	return s.Ended.IsZero() || waited >= sweepEvery || waited < -orphanDay // ended by a clock that was far ahead
}

func (e *Engine) wakeSweeper() { signal(e.sweeps) }

// sweeper sweeps when it is due, until its context ends.
func (e *Engine) sweeper(ctx context.Context) {
	t := time.NewTicker(housekeepingEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.sweeps:
		case <-t.C:
		}
		if err := e.sweepIfDue(ctx); err != nil && ctx.Err() == nil {
			e.log.Warn("the sweep of keys of erased people has not ended yet", "error", err.Error())
		}
	}
}

func (e *Engine) sweepIfDue(ctx context.Context) error {
	if err := e.store.Ready(ctx); err != nil {
		return err
	}
	s, _, err := e.keySweep(ctx)
	now := e.now()
	if err != nil || !s.due(now) || s.Node != "" && s.Node != e.node && now.Sub(s.At).Abs() < sweepLease {
		return err
	}
	_, err = e.SweepKeys(ctx, false, nil)
	return err
}

// keySweep is the sweep as the store remembers it, and the version of that.
func (e *Engine) keySweep(ctx context.Context) (s KeySweep, version uint64, err error) {
	rows, err := e.recordsByName(ctx, recordHousekeeping)
	if err != nil {
		return s, 0, err
	}
	row, found := rows[sweepRecord]
	if !found {
		return s, 0, nil
	}
	return s, row.Version, storageError(json.Unmarshal(row.Body, &s))
}

func (e *Engine) putKeySweep(ctx context.Context, s *KeySweep, expect uint64) error {
	body, err := json.Marshal(s)
	if err != nil {
		return storageError(err)
	}
	return e.store.PutRecord(ctx, &storage.Record{Kind: recordHousekeeping, Name: sweepRecord, Version: expect + 1, Expect: expect, Body: body, At: e.now()})
}

// sweepAnew makes a sweep due that begins at the first id, whatever another one
// has seen: keys may have come back behind it.
func (e *Engine) sweepAnew(ctx context.Context) error {
	return e.repeat(func() error {
		_, version, err := e.keySweep(ctx)
		if err != nil {
			return err
		}
		return e.putKeySweep(ctx, &KeySweep{Begun: e.now()}, version)
	})
}

// SweepKeys destroys the keys of erased people that are there all the same: a
// page at a time, from the last saved position, or from the beginning. It
// returns when there is nothing left to do. Several may be at it at once.
func (e *Engine) SweepKeys(ctx context.Context, anew bool, progress func(KeySweep)) (KeySweep, error) {
	if anew {
		if err := e.sweepAnew(ctx); err != nil {
			return KeySweep{}, storageError(err)
		}
	}
	for {
		s, err := e.sweepPart(ctx)
		switch {
		case errors.Is(err, storage.ErrConflict):
			continue // another came further, or it begins anew
		case err != nil:
			return s, storageError(err)
		}
		if progress != nil {
			progress(s)
		}
		if !s.due(e.now()) {
			return s, nil
		}
	}
}

// sweepPart does some pages and saves how far it has come.
func (e *Engine) sweepPart(ctx context.Context) (KeySweep, error) {
	s, version, err := e.keySweep(ctx)
	now := e.now()
	if err != nil || !s.due(now) {
		return s, err
	}
	if !s.Ended.IsZero() || s.Begun.IsZero() {
		s = KeySweep{Begun: now}
	}
	before := s.Destroyed
	for range e.sweepPages {
		more, err := e.sweepPage(ctx, &s)
		if err != nil {
			return s, err
		}
		if !more {
			s.Ended = e.now()
			break
		}
	}
	if s.Destroyed > before {
		if err := e.keys.Scrub(ctx); err != nil {
			return s, err
		}
	}
	if !s.Ended.IsZero() && s.Destroyed > 0 {
		const what = "keys of erased people had come back, and were destroyed"
		e.log.Warn(what, "people", s.Destroyed)
		env := e.envelope(systemCall, audit.Restored)
		env.Object, env.Count = what, int64(s.Destroyed)
		if err := e.noteStore(ctx, systemCall, env); err != nil {
			return s, err
		}
	}
	s.Node, s.At = e.node, e.now()
	return s, e.putKeySweep(ctx, &s, version)
}

// sweepPage looks at the next page of subjects that have keys, and reports
// whether there may be more.
func (e *Engine) sweepPage(ctx context.Context, s *KeySweep) (bool, error) {
	ids, err := e.keys.Orphans(ctx, s.After, e.sweepRows)
	if err != nil || len(ids) == 0 {
		return false, err
	}
	rows, err := e.among(ctx, s.After, ids)
	if err != nil {
		return false, err
	}
	for _, id := range ids {
		if row := rows[id]; row != nil && row.Status == abide.StatusErased {
			gone, err := e.destroyAgain(ctx, row)
			if err != nil {
				return false, err
			}
			if gone {
				s.Destroyed++
			}
		}
		s.After = id
		s.Looked++
	}
	return len(ids) == e.sweepRows, nil
}

// destroyAgain destroys what is there of an erased person's keys, but for that
// of what law retains.
func (e *Engine) destroyAgain(ctx context.Context, row *storage.SubjectRow) (bool, error) {
	held, err := e.keys.Get(ctx, row.ID)
	if err != nil {
		return false, err
	}
	for _, k := range held {
		if row.Law == nil || k.Compartment != storage.Law {
			return true, e.keys.Destroy(ctx, row.ID, erased(row.Law != nil))
		}
	}
	return false, nil
}

// among returns the rows of those of the ids that are of a subject. The ids
// follow the one given, in their order.
func (e *Engine) among(ctx context.Context, after abide.SubjectID, ids []abide.SubjectID) (map[abide.SubjectID]*storage.SubjectRow, error) {
	found := make(map[abide.SubjectID]*storage.SubjectRow, len(ids))
	for _, id := range ids {
		found[id] = nil
	}
	last := ids[len(ids)-1]
	for {
		rows, err := e.store.ListSubjects(ctx, after, housekeepingPage)
		if err != nil {
			return nil, err
		}
		for i := range rows {
			after = rows[i].ID
			if _, wanted := found[after]; wanted {
				found[after] = &rows[i]
			}
		}
		if len(rows) < housekeepingPage || bytes.Compare(after[:], last[:]) >= 0 {
			return found, nil
		}
	}
}
