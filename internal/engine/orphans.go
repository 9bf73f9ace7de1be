package engine

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"slices"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/vault"
)

// Keys come before their data, so a create that dies in between leaves keys of
// nobody. Next to an older backup that is put back by mistake, the keys of
// everybody newer look the same, and destroying is for ever. So keys go only
// after they were found to be nobody's on so many days, a day apart: whatever a
// clock does, one jump of it makes one such day and not a week.
const (
	// orphanAge is how old a subject's id must be before its keys are looked at:
	// keys come first, and their subject follows within seconds.
	orphanAge  = time.Hour
	orphanDay  = 24 * time.Hour
	orphanDays = 7
	maxOrphans = 1000 // noted at a time; the others wait
	// orphanPass is when the search begins at the first id again: a clock that
	// went back, or was ahead, let it pass ids that were made later.
	orphanPass = 30 * 24 * time.Hour

	recordHousekeeping = "housekeeping"
	orphanRecord       = "orphans"
)

// orphanSearch is how far the search for keys without a subject has come. Ids
// begin with their time, so what lies behind needs no second look soon.
type orphanSearch struct {
	Began time.Time       `json:"began"`
	After abide.SubjectID `json:"after"`
	Noted []orphan        `json:"noted,omitempty"`
}

// orphan is a subject of whom there are keys and nothing else.
type orphan struct {
	ID   abide.SubjectID `json:"id"`
	Seen time.Time       `json:"seen"` // counted last
	Days int             `json:"days"` // on which it was found to be nobody's, but for the first
}

// collectOrphans destroys keys of nobody. While it is not known what a restore
// lost, it destroys none: a newer backup may be found.
func (e *Engine) collectOrphans(ctx context.Context, done *Tidied) error {
	if e.gap.Load() != nil {
		return nil
	}
	var s orphanSearch
	was, err := e.readSearch(ctx, &s)
	if err != nil {
		return err
	}
	if err := e.destroyOrphans(ctx, &s, done); err != nil {
		return err
	}
	if err := e.searchOrphans(ctx, &s); err != nil {
		return err
	}
	e.metrics.orphansNoted(len(s.Noted))
	body, err := json.Marshal(&s)
	if err != nil || bytes.Equal(body, was.Body) {
		return err
	}
	err = e.store.PutRecord(ctx, &storage.Record{Kind: recordHousekeeping, Name: orphanRecord,
		Version: was.Version + 1, Expect: was.Version, Body: body, At: e.now()})
	if errors.Is(err, storage.ErrConflict) {
		return nil // another node has come as far
	}
	return err
}

func (e *Engine) readSearch(ctx context.Context, s *orphanSearch) (was storage.Record, err error) {
	rows, err := e.recordsByName(ctx, recordHousekeeping)
	if err != nil {
		return was, err
	}
	was = rows[orphanRecord]
	if was.Version == 0 {
		s.Began = e.now()
		return was, nil
	}
	return was, json.Unmarshal(was.Body, s)
}

// destroyOrphans counts another day for those noted a day ago that still have
// no subject, and destroys the keys whose days are full.
func (e *Engine) destroyOrphans(ctx context.Context, s *orphanSearch, done *Tidied) error {
	now := e.now()
	keep := s.Noted[:0:0]
	for _, o := range s.Noted {
		waited := now.Sub(o.Seen)
		if waited < -orphanDay {
			o.Seen = now // noted by a clock that was far ahead
		}
		if waited < orphanDay {
			keep = append(keep, o)
			continue
		}
		there, err := e.exists(ctx, o.ID)
		if err != nil {
			return err
		}
		if there {
			continue // its data was put back meanwhile
		}
		if o.Seen, o.Days = now, o.Days+1; o.Days < orphanDays {
			keep = append(keep, o)
			continue
		}
		if err := e.keys.Destroy(ctx, o.ID, vault.Compartments()); err != nil {
			return err
		}
		done.Orphans++
	}
	s.Noted = keep
	return nil
}

// exists reports whether the store has the subject, in whatever state.
func (e *Engine) exists(ctx context.Context, id abide.SubjectID) (bool, error) {
	_, err := e.store.Load(ctx, id, storage.Want{})
	if isNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// searchOrphans goes on with the search, so many pages.
func (e *Engine) searchOrphans(ctx context.Context, s *orphanSearch) error {
	for range housekeepingPages {
		more, err := e.noteOrphans(ctx, s)
		if err != nil {
			return err
		}
		if !more {
			if now := e.now(); !now.Before(s.Began.Add(orphanPass)) {
				s.Began, s.After = now, abide.SubjectID{}
			}
			return nil
		}
	}
	return nil
}

// noteOrphans looks at the next page of subjects that have keys, and reports
// whether there may be more.
func (e *Engine) noteOrphans(ctx context.Context, s *orphanSearch) (bool, error) {
	ids, err := e.keys.Orphans(ctx, s.After, housekeepingPage)
	if err != nil {
		return false, err
	}
	more := len(ids) == housekeepingPage
	if young := slices.IndexFunc(ids, func(id abide.SubjectID) bool { return e.now().Sub(madeAt(id)) < orphanAge }); young >= 0 {
		ids, more = ids[:young], false
	}
	if len(ids) == 0 {
		return false, nil
	}
	nobodys, err := e.nobodys(ctx, s.After, ids)
	if err != nil {
		return false, err
	}
	for _, id := range ids {
		if nobodys[id] && !slices.ContainsFunc(s.Noted, func(o orphan) bool { return o.ID == id }) {
			if len(s.Noted) == maxOrphans {
				return false, nil
			}
			s.Noted = append(s.Noted, orphan{ID: id, Seen: e.now()})
		}
		s.After = id
	}
	return more, nil
}

// nobodys tells which of the ids, which follow the one given in their order,
// are of no subject.
func (e *Engine) nobodys(ctx context.Context, after abide.SubjectID, ids []abide.SubjectID) (map[abide.SubjectID]bool, error) {
	var kept canary
	if _, err := e.setting(ctx, settingCanary, &kept); err != nil {
		return nil, err
	}
	rows, err := e.among(ctx, after, ids)
	if err != nil {
		return nil, err
	}
	left := map[abide.SubjectID]bool{}
	for _, id := range ids {
		if rows[id] == nil && id != kept.ID { // that has keys and is nobody, on purpose
			left[id] = true
		}
	}
	return left, nil
}

// madeAt is when an id was made (UUIDv7: its first six bytes are the time).
func madeAt(id abide.SubjectID) time.Time {
	var ms [8]byte
	copy(ms[2:], id[:6])
	return time.UnixMilli(int64(binary.BigEndian.Uint64(ms[:]))) //nolint:gosec // 48 bits
}
