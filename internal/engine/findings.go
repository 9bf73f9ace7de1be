package engine

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
)

const recordFinding = "finding"

// The codes of findings.
const (
	// FindingSourceMustStop: something still writes for a service that the
	// person left (CLAUSES C04). Name is the service.
	FindingSourceMustStop = "source_must_stop"
	// FindingReviewOverdue: a review of the policy did not take place in time
	// (CLAUSES C17). Name is the review; it stands until the review is entered.
	FindingReviewOverdue = "review_overdue"
)

// findings counts, by day, what someone at the company should look into. The
// refusals behind it are on record one by one; this is the to-do list, so it
// is gathered in memory and written once a second, not once per event.
type findings struct {
	mu  sync.Mutex
	new map[findingKey]*Finding
}

type findingKey struct{ code, name, day string }

func (k findingKey) record() string { return k.day + "|" + k.code + "|" + k.name }

// raise counts a finding. The name is one of the policy's, never a value.
func (e *Engine) raise(code, name string) {
	now := e.now()
	k := findingKey{code, name, now.Format(time.DateOnly)}
	e.findings.mu.Lock()
	defer e.findings.mu.Unlock()
	if e.findings.new == nil {
		e.findings.new = map[findingKey]*Finding{}
	}
	f := e.findings.new[k]
	if f == nil {
		f = &Finding{Code: code, Name: name, Day: k.day}
		e.findings.new[k] = f
	}
	f.Count++
	f.Last = now
	e.metrics.finding(code)
}

// flushFindings adds what was gathered to the store's counts.
func (e *Engine) flushFindings(ctx context.Context) error {
	e.findings.mu.Lock()
	gathered := e.findings.new
	e.findings.new = nil
	e.findings.mu.Unlock()
	if len(gathered) == 0 {
		return nil
	}
	stored, err := e.recordsByName(ctx, recordFinding)
	for k, f := range gathered {
		if err == nil {
			err = e.addFinding(ctx, k, *f, stored)
		}
		if err != nil {
			e.keepFinding(k, f)
		}
	}
	return err
}

func (e *Engine) addFinding(ctx context.Context, k findingKey, f Finding, stored map[string]storage.Record) error {
	for range 5 {
		total, r := f, storage.Record{Kind: recordFinding, Name: k.record(), Version: 1, At: f.Last}
		if old, ok := stored[k.record()]; ok {
			var was Finding
			if err := json.Unmarshal(old.Body, &was); err != nil {
				return storageError(err)
			}
			total.Count += was.Count
			if was.Last.After(total.Last) {
				total.Last = was.Last
			}
			r.Expect, r.Version = old.Version, old.Version+1
		}
		var err error
		if r.Body, err = json.Marshal(total); err != nil {
			return storageError(err)
		}
		if err = e.store.PutRecord(ctx, &r); !errors.Is(err, storage.ErrConflict) {
			return storageError(err)
		}
		if stored, err = e.recordsByName(ctx, recordFinding); err != nil {
			return err
		}
	}
	return storageError(storage.ErrConflict)
}

// keepFinding puts back what could not be written.
func (e *Engine) keepFinding(k findingKey, f *Finding) {
	e.findings.mu.Lock()
	defer e.findings.mu.Unlock()
	if e.findings.new == nil {
		e.findings.new = map[findingKey]*Finding{}
	}
	if later := e.findings.new[k]; later != nil {
		later.Count += f.Count
		return
	}
	e.findings.new[k] = f
}

// Findings lists what someone should look into, newest day first.
func (e *Engine) Findings(ctx context.Context, c Call) ([]Finding, error) {
	if err := authorise(c, opFindings, abide.SubjectID{}); err != nil {
		return nil, err
	}
	if err := e.flushFindings(ctx); err != nil {
		return nil, err
	}
	rows, err := e.store.Records(ctx, recordFinding)
	if err != nil {
		return nil, storageError(err)
	}
	out := make([]Finding, 0, len(rows))
	for _, r := range rows {
		var f Finding
		if err := json.Unmarshal(r.Body, &f); err != nil {
			return nil, storageError(err)
		}
		out = append(out, f)
	}
	overdue, err := e.overdueReviews(ctx)
	if err != nil {
		return nil, err
	}
	duties, err := e.KeyFindings(ctx)
	if err != nil {
		return nil, err
	}
	out = append(append(out, overdue...), duties...)
	slices.SortFunc(out, func(a, b Finding) int { return b.Last.Compare(a.Last) })
	return out, nil
}

// overdueReviews lists the reviews that did not take place in time, each by the
// day it was due. One that never took place counts from the day its policy came
// into force.
func (e *Engine) overdueReviews(ctx context.Context) ([]Finding, error) {
	f, err := e.refresh(ctx)
	if err != nil || f == nil {
		return nil, err
	}
	v, err := e.registers(ctx)
	if err != nil {
		return nil, err
	}
	now := e.now()
	var out []Finding
	for _, r := range f.policy.Set().Reviews {
		if r.Every <= 0 {
			continue
		}
		due := f.epoch.Since
		for _, done := range v.Reviews {
			if t := done.At.AddDate(0, r.Every, 0); done.Name == r.Name && t.After(due) {
				due = t
			}
		}
		if !now.Before(due) {
			out = append(out, Finding{Code: FindingReviewOverdue, Name: r.Name, Day: due.Format(time.DateOnly), Count: 1, Last: due})
		}
	}
	return out, nil
}

func (e *Engine) recordsByName(ctx context.Context, kind string) (map[string]storage.Record, error) {
	rows, err := e.store.Records(ctx, kind)
	if err != nil {
		return nil, storageError(err)
	}
	out := make(map[string]storage.Record, len(rows))
	for _, r := range rows {
		out[r.Name] = r
	}
	return out, nil
}
