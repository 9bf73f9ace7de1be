package engine

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/consent"
	"github.com/abide-privacy/abide/policy"
)

// history is what the log and the ledger of consent tell of a person's facts at
// every version of the subject's row.
type history struct {
	subject *subject
	states  []pastState // by version, from the first
	events  []abide.ConsentEvent
	// whole: the log tells the facts from the first entry on. One that was begun
	// by a version of Abide that did not record them tells only what changed.
	whole bool
}

// pastState is a version of a subject's row, as its log entry tells it.
type pastState struct {
	version uint64
	entry   uint64 // that recorded it
	at      time.Time
	facts   *policy.Facts // without the ledger's
	ledger  uint64        // events of the ledger by then
	changed []string      // names of the facts that this version changed
}

// history reads a person's entries and ledger.
func (e *Engine) history(ctx context.Context, s *subject) (*history, error) {
	h := &history{subject: s}
	var err error
	if h.events, err = e.ledger(ctx, s); err != nil {
		return nil, err
	}
	last := pastState{facts: &policy.Facts{}}
	for {
		rows, err := e.store.Entries(ctx, s.id, last.entry, 500)
		if err != nil {
			return nil, storageError(err)
		}
		for i := range rows {
			part, err := e.vault.OpenEntry(s.keys, &rows[i])
			if err != nil {
				return nil, err
			}
			last.entry, last.at = rows[i].N, rows[i].At
			if err := h.add(&last, part); err != nil {
				return nil, storageError(err)
			}
		}
		if len(rows) < 500 {
			return h, nil
		}
	}
}

// add takes in one entry; the last one of a change makes a new state.
func (h *history) add(last *pastState, part *audit.Part) error {
	last.ledger = max(last.ledger, part.Consent)
	if len(part.Facts) > 0 {
		facts := *last.facts
		ledger, err := applyFacts(&facts, part.Facts)
		if err != nil {
			return err
		}
		last.facts, last.ledger = &facts, max(last.ledger, ledger)
		last.changed = factNames(part.Facts)
	}
	version, _, ok := strings.Cut(part.State, ":")
	if !ok {
		return nil
	}
	n, err := strconv.ParseUint(version, 10, 64)
	if err != nil {
		return err
	}
	if len(h.states) == 0 {
		h.whole = last.facts.Kind != ""
	}
	last.version = n
	h.states = append(h.states, *last)
	last.changed = nil
	return nil
}

// at returns the last state up to a version; nil if there is none.
func (h *history) at(version uint64) *pastState {
	return h.last(func(s *pastState) bool { return s.version <= version })
}

// when returns the last state up to an instant; nil if there is none. Between a
// person's creation and the entry that records it, moments later, it is the first.
func (h *history) when(t time.Time) *pastState {
	st := h.last(func(s *pastState) bool { return !s.at.After(t) })
	if st == nil && len(h.states) > 0 && !t.Before(h.subject.row.Created) {
		st = &h.states[0]
	}
	return st
}

func (h *history) last(in func(*pastState) bool) *pastState {
	for i := len(h.states) - 1; i >= 0; i-- {
		if in(&h.states[i]) {
			return &h.states[i]
		}
	}
	return nil
}

// factsOf returns the facts of a state, the ledger's among them, as they were
// stored then.
func (h *history) factsOf(st *pastState) policy.Facts {
	f := *st.facts
	f.Status = abide.StatusActive
	var state consent.State
	for i := range h.known(st) {
		state = consent.Apply(state, &h.events[i])
	}
	state.Put(&f)
	return f
}

// known are the events of the ledger that a state has.
func (h *history) known(st *pastState) []abide.ConsentEvent {
	return h.events[:min(st.ledger, uint64(len(h.events)))]
}

// agreed are the events about a purpose, or those it stands within, and the
// documents accepted, among some.
func agreed(events []abide.ConsentEvent, purposes []abide.Purpose) []abide.ConsentEvent {
	return slices.DeleteFunc(slices.Clone(events), func(ev abide.ConsentEvent) bool {
		return ev.Purpose != "" && !slices.Contains(purposes, ev.Purpose)
	})
}
