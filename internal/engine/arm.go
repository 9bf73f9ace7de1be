package engine

import (
	"context"
	"encoding/json"
	"errors"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/storage"
)

// A policy that is published may let things go sooner than the one before. Reads
// go by it from that instant; the stored deadlines, by which the sweep finds
// what is due, are armed anew in the background, page by page. The record says
// under which policy all are armed, and how far the work for the next one is.
const (
	recordArmed = "retention"
	armedName   = "armed"
)

type armed struct {
	Rules string          `json:"rules"` // digest of what deadlines follow from, under which all are armed
	Next  string          `json:"next,omitempty"`
	After abide.SubjectID `json:"after,omitzero"` // how far the work for Next is
}

// ArmDeadlines arms the deadlines of all people anew if they were armed under other
// rules, and reports how many changed. Killed anywhere, it goes on at the page
// where it was; several nodes may do it at once.
func (e *Engine) ArmDeadlines(ctx context.Context) (changed int, err error) {
	f, err := e.refresh(ctx)
	if err != nil || f == nil {
		return 0, err
	}
	rules := f.policy.RetentionDigest()
	a, version, err := e.armed(ctx)
	if err != nil || a.Rules == rules {
		return 0, err
	}
	if a.Next != rules {
		a.Next, a.After = rules, abide.SubjectID{}
	}
	for {
		page, err := e.store.ListSubjects(ctx, a.After, sweepPage)
		if err != nil {
			return changed, storageError(err)
		}
		for i := range page {
			did, err := e.armOne(ctx, &page[i])
			if err != nil {
				return changed, err
			}
			if did {
				changed++
			}
		}
		if len(page) > 0 {
			a.After = page[len(page)-1].ID
		}
		if len(page) < sweepPage {
			a = armed{Rules: rules}
		}
		err = e.putArmed(ctx, a, version)
		version++
		if errors.Is(err, storage.ErrConflict) {
			return changed, nil // another node is at it
		}
		if err != nil || a.Rules == rules {
			return changed, storageError(err)
		}
	}
}

// armOne arms one person's deadlines; of an erased person law's are, when they
// are due. A person who cannot be read is the doctor's business, and keeps
// nobody else waiting.
func (e *Engine) armOne(ctx context.Context, row *storage.SubjectRow) (changed bool, err error) {
	if row.Status != abide.StatusActive {
		return false, nil
	}
	_, err = update(ctx, e, systemCall, opSweep, row.ID, everything, nil, func(ch *change) (struct{}, error) {
		was := ch.Row.NextDue
		if err := ch.rearm(); err != nil {
			return struct{}{}, err
		}
		if changed = len(ch.PutItems) > 0 || !ch.Row.NextDue.Equal(was); changed {
			env := e.envelope(systemCall, audit.Retained)
			env.Policy = ch.policy().Version()
			ch.log(audit.Part{Note: "deadlines under another policy"}, env)
		}
		return struct{}{}, nil
	})
	switch abide.ErrorCode(err) {
	case abide.CodeErased, abide.CodeNotFound:
		return false, nil
	case abide.CodeInternal:
		e.log.Error("the deadlines of a subject cannot be armed anew", "subject", row.ID.String(), "error", err.Error())
		return false, nil
	}
	return changed, err
}

func (e *Engine) armed(ctx context.Context) (armed, uint64, error) {
	rows, err := e.recordsByName(ctx, recordArmed)
	if err != nil {
		return armed{}, 0, err
	}
	var a armed
	row, ok := rows[armedName]
	if !ok {
		return a, 0, nil
	}
	if err := json.Unmarshal(row.Body, &a); err != nil {
		return armed{}, row.Version, nil //nolint:nilerr // armed anew, from the beginning
	}
	return a, row.Version, nil
}

func (e *Engine) putArmed(ctx context.Context, a armed, expect uint64) error {
	body, err := json.Marshal(a)
	if err != nil {
		return err
	}
	return e.store.PutRecord(ctx, &storage.Record{Kind: recordArmed, Name: armedName, Expect: expect, Version: expect + 1, Body: body, At: e.now()})
}
