package engine

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/vault"
	"github.com/abide-privacy/abide/policy"
)

// subject is one data subject as one request sees it: a consistent snapshot
// with the policy epoch of the same instant. It lives as long as the request;
// whoever loads it calls close.
type subject struct {
	id          abide.SubjectID
	row         storage.SubjectRow
	facts       policy.Facts
	keys        *vault.SubjectKeys // nil unless the subject is active
	items       []storage.Item
	nextDue     time.Time              // of those that were left out because they are not due
	counts      map[abide.Category]int // of items in other compartments than law, if wanted
	force       *inForce               // nil: no policy was published
	index       storage.IndexKeys
	idempotency *storage.IdempotencyRow
	erasure     *storage.ErasureJob
	now         time.Time
}

func (s *subject) close() {
	if s.keys != nil {
		s.keys.Close()
	}
}

func (s *subject) active() bool { return s.row.Status == abide.StatusActive }

// policy returns the policy in force, nil if there is none.
func (s *subject) policy() *policy.Policy {
	if s.force == nil {
		return nil
	}
	return s.force.policy
}

// load reads a subject and its keys at the same time. A decision is linearized
// here: whatever was acknowledged on any node before is seen.
//
// Of a subject that is being erased, or was, only kind and status are known.
func (e *Engine) load(ctx context.Context, id abide.SubjectID, want storage.Want) (*subject, error) {
	s, err := e.loadOnce(ctx, id, want)
	if err == nil && s.active() && !s.keys.Has(storage.Live) {
		// The keys were read after an erasure that the row was read before.
		s.close()
		s, err = e.loadOnce(ctx, id, want)
	}
	if err == nil && s.active() && !s.keys.Has(storage.Live) {
		s.close()
		return nil, &abide.Error{Code: abide.CodeInternal, Detail: "keys_missing",
			Message: "the keys of this subject are not in the key store", Hint: "restore the key store from its backup; run abide doctor"}
	}
	return s, err
}

func (e *Engine) loadOnce(ctx context.Context, id abide.SubjectID, want storage.Want) (*subject, error) {
	var loaded *storage.Loaded
	var wrapped []storage.WrappedKey
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) { loaded, err = e.store.Load(gctx, id, want); return err })
	g.Go(func() (err error) { wrapped, err = e.keys.Get(gctx, id); return err })
	if err := g.Wait(); err != nil {
		return nil, storageError(err)
	}
	s := &subject{id: id, row: loaded.Subject, items: loaded.Items, nextDue: loaded.NextDue, counts: loaded.Counts, idempotency: loaded.Idempotency, erasure: loaded.Erasure, index: loaded.Epoch.Index, now: e.now()}
	e.sawIndex(s.index)
	var err error
	if s.force, err = e.follow(ctx, loaded.Epoch); err != nil {
		return nil, err
	}
	if s.keys, err = e.vault.Unlock(id, wrapped); err != nil {
		return nil, err
	}
	if !s.active() || !s.keys.Has(storage.Live) {
		s.facts = policy.Facts{Kind: s.row.Kind, Status: s.row.Status}
		return s, nil
	}
	if err := e.vault.OpenState(s.keys, &s.row, &s.facts); err != nil {
		s.close()
		return nil, err
	}
	if s.facts.Kind != s.row.Kind {
		s.close()
		return nil, &abide.Error{Code: abide.CodeInternal, Detail: "state_damaged",
			Message: "the kind of a subject is not the one that was sealed: its row was changed", Hint: "restore the row from a backup; run abide doctor"}
	}
	s.facts.Status = s.row.Status
	s.facts.RestoredGap = e.gap.Load() != nil
	s.now = notBefore(s.now, &s.facts)
	return s, nil
}

// nodeSkew is how far apart the clocks of ready nodes may be.
const nodeSkew = time.Second

// notBefore is the time to decide at: the node's clock, or the time of the last
// thing the person said, if that was written by a node whose clock is a little
// ahead. Otherwise what was acknowledged there would lie in the future here,
// and not yet count. A clock further off than nodes may be moves nothing:
// consent from the future stays no consent.
func notBefore(now time.Time, f *policy.Facts) time.Time {
	last := now
	see := func(t time.Time) {
		if t.After(last) && t.Sub(now) <= nodeSkew {
			last = t
		}
	}
	for i := range f.Consents {
		see(f.Consents[i].Last)
	}
	for i := range f.Services {
		see(f.Services[i].Since)
		see(f.Services[i].Left)
	}
	for i := range f.Accepted {
		see(f.Accepted[i].At)
	}
	return last
}

// opened is an item with its content.
type opened struct {
	item   *storage.Item
	record *vault.Record
}

// open opens the items of one category, oldest first. Of an erased person
// only what law retains is left to open.
func (e *Engine) open(s *subject, category abide.Category) ([]opened, error) {
	var out []opened
	for i := range s.items {
		it := &s.items[i]
		if it.Category != category || !s.keys.Has(it.Compartment) || !s.active() && it.Compartment != storage.Law {
			continue
		}
		r, err := e.vault.OpenItem(s.keys, it)
		if err != nil {
			return nil, err
		}
		out = append(out, opened{it, r})
	}
	return out, nil
}

// fact is what a decision needs to know of an item.
func (o opened) fact() policy.ItemFact {
	f := policy.ItemFact{Category: o.item.Category, ID: o.item.ID, Obtained: o.record.Obtained, Ref: o.record.Ref, Law: o.item.Compartment == storage.Law}
	if o.record.Derived {
		f.Purposes = o.record.Purposes
		if f.Purposes == nil {
			f.Purposes = []abide.Purpose{}
		}
	}
	return f
}
