package engine_test

import (
	"context"
	"testing"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/engine"
	"github.com/abide-privacy/abide/internal/storage"
)

// tampered is a store whose rows somebody edited.
type tampered struct {
	storage.Store
	dropEvent uint64
	kind      abide.SubjectKind
	source    []byte // of the policy sourceOf
	sourceOf  string
	forged    *storage.PolicyRow
	token     func(*storage.TokenRow)
	record    func(*storage.Record)
}

func (s *tampered) Token(ctx context.Context, hash []byte) (*storage.TokenRow, error) {
	t, err := s.Store.Token(ctx, hash)
	if err == nil && s.token != nil {
		s.token(t)
	}
	return t, err
}

func (s *tampered) Records(ctx context.Context, kind string) ([]storage.Record, error) {
	rows, err := s.Store.Records(ctx, kind)
	for i := range rows {
		if s.record != nil {
			s.record(&rows[i])
		}
	}
	return rows, err
}

func (s *tampered) ConsentEvents(ctx context.Context, id abide.SubjectID, after uint64, limit int) ([]storage.ConsentRow, error) {
	rows, err := s.Store.ConsentEvents(ctx, id, after, limit)
	var kept []storage.ConsentRow
	for _, r := range rows {
		if r.N != s.dropEvent {
			kept = append(kept, r)
		}
	}
	return kept, err
}

func (s *tampered) Load(ctx context.Context, id abide.SubjectID, want storage.Want) (*storage.Loaded, error) {
	l, err := s.Store.Load(ctx, id, want)
	if err == nil && s.kind != "" {
		l.Subject.Kind = s.kind
	}
	if err == nil && s.forged != nil {
		l.Epoch = storage.Epoch{N: s.forged.N, Version: s.forged.Version, Since: s.forged.Published}
	}
	return l, err
}

func (s *tampered) Policy(ctx context.Context, version string) (*storage.PolicyRow, error) {
	row, err := s.Store.Policy(ctx, version)
	if err == nil && s.source != nil && version == s.sourceOf {
		row.Source = s.source
	}
	if s.forged != nil && version == s.forged.Version {
		return s.forged, nil
	}
	return row, err
}

// over opens a second engine on the world's stores, with rows edited.
func (w *world) over(s *tampered) *engine.Engine {
	w.t.Helper()
	s.Store = w.store
	e, err := engine.Open(w.t.Context(), engine.Options{Store: s, Keys: w.keys, Keyring: w.ring, Clock: w.clock.now})
	must(w.t, err)
	w.t.Cleanup(func() { _ = e.Close(context.WithoutCancel(w.t.Context())) })
	return e
}

// An event taken out of the ledger is missed: the past would otherwise read as
// if nobody had said no.
func TestMissingLedgerEvent(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		id := w.person(engine.NewSubject{})
		for _, action := range []string{"give", "withdraw"} {
			must2(w.e.WriteConsent(t.Context(), app, engine.ConsentWrite{Subject: id, Purpose: "newsletter", Action: action,
				Evidence: abide.Evidence{Wording: "Yes."}}))(t)
		}
		at := w.clock.now()
		w.clock.add(time.Hour)
		for _, n := range []uint64{1, 2} {
			e := w.over(&tampered{dropEvent: n})
			_, err := e.Consents(t.Context(), app, id)
			wantError(t, err, abide.CodeInternal, "ledger_damaged")
			_, err = e.Decide(t.Context(), app, engine.Decide{Subject: id, Purpose: "newsletter", Act: abide.ActContact, AsOf: at})
			wantError(t, err, abide.CodeInternal, "ledger_damaged")
		}
	})
}

func TestEditedKind(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		id := w.person(engine.NewSubject{})
		e := w.over(&tampered{kind: abide.Visitor})
		_, err := e.Subject(t.Context(), app, id)
		wantError(t, err, abide.CodeInternal, "state_damaged")
	})
}

// A policy edited in the store denies everything, and does not keep another
// from being published.
func TestEditedPolicy(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		id := w.person(engine.NewSubject{})
		s := &tampered{source: []byte("PK"), sourceOf: w.e.Policy().Version()}
		e := w.over(s)
		_, err := e.Decide(t.Context(), app, engine.Decide{Subject: id, Purpose: "provide", Act: abide.ActRead})
		wantError(t, err, abide.CodeUnavailable, string(abide.DenyPolicyUnavailable))
		if e.Ready(t.Context()) == nil {
			t.Error("ready without a policy")
		}
		must3(e.Publish(t.Context(), admin, edit(t, "five years after", "four years after", "obtained + 5 * years", "obtained + 4 * years")))(t)
		must(t, e.Ready(t.Context()))
	})
}
