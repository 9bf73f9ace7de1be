package engine

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/vault"
)

// importBatch takes in, together, the rows of people whom the store does not
// know yet: one write of all keys, one of all claims, the subjects side by side
// in the store's group commits, one confirmation. Each subject is still a
// change of its own, written whole or not at all, and the order of the steps is
// that of CreateSubject, so a crash leaves what it leaves there: keys without
// data, claims that expire, or a subject whose claims its finder confirms.
//
// A row that meets anything unusual (a reference or a unique value that is
// known, an earlier row of the batch with the same, another change in between)
// is left to importRow, which takes such cases one step at a time.
type importBatch struct {
	e    *Engine
	call Call
	in   *Import
	rows []importing
	// claimed is when the claims were made: all late in building, so that they
	// need not live long, and a killed run is not in its own way for long.
	claimed time.Time
	index   storage.IndexKeys // in force when it began
}

// importClaimLife is how long the claims of a batch keep others out.
const importClaimLife = 20 * time.Second

// importing is a row of a batch under way.
type importing struct {
	person  *ImportPerson
	out     *ImportOutcome
	born    *newborn // nil: not made here
	settled bool     // out is the row's outcome
}

// run takes in what it can and marks it settled.
func (b *importBatch) run(ctx context.Context) error {
	err := b.build(ctx)
	defer func() {
		for i := range b.rows {
			if r := &b.rows[i]; r.born != nil {
				r.born.close()
			}
		}
	}()
	if err == nil {
		err = b.leaveTaken(ctx)
	}
	if errors.Is(err, storage.ErrConflict) {
		return nil // other index keys are in force by now: row by row
	}
	if err != nil {
		return err
	}
	var born []*newborn
	var claims []storage.Lookup
	for r := range b.making {
		born = append(born, r.born)
		claims = append(claims, lookups(r.born.claims)...)
	}
	if len(born) == 0 {
		return nil
	}
	if err := b.e.putKeys(ctx, born...); err != nil {
		return err
	}
	b.claimed = b.e.now()
	for i := range claims {
		claims[i].Expires = b.claimed.Add(importClaimLife)
	}
	if err := b.e.store.Claim(ctx, claims, b.claimed); err != nil {
		if errors.Is(err, storage.ErrTaken) {
			// Somebody took one of the values meanwhile: give way with all.
			return storageError(b.e.store.Drop(ctx, claims))
		}
		return storageError(err)
	}
	return b.commit(ctx)
}

// making ranges over the rows that are being made here.
func (b *importBatch) making(yield func(*importing) bool) {
	for i := range b.rows {
		if r := &b.rows[i]; r.born != nil && !r.settled && !yield(r) {
			return
		}
	}
}

// build decides, validates and seals, on all processors.
func (b *importBatch) build(ctx context.Context) error {
	force, err := b.e.refresh(ctx)
	if err != nil {
		return err
	}
	if force == nil {
		return noPolicy()
	}
	b.index = b.e.indexKeys()
	fresh, err := b.unknown(ctx)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, cr := range fresh {
		if cr == nil || cr.index != b.index {
			continue
		}
		g.Go(func() error {
			r := &b.rows[i]
			born, err := cr.buildWith(ctx, force, func(ch *change) error { return b.e.importInto(ctx, ch, b.in, r.person) })
			if err == nil {
				r.born = born
				return nil
			}
			if comesAgain(err) {
				return nil
			}
			r.settled = true
			return r.out.failed(err)
		})
	}
	return g.Wait()
}

// unknown makes the creations of the rows whose reference nobody bears or
// claims, and that no earlier row of the batch has; nil for the others.
func (b *importBatch) unknown(ctx context.Context) ([]*creation, error) {
	made := make([]*creation, len(b.rows))
	first := map[string]bool{}
	var values []storage.IndexValue
	for i := range b.rows {
		p := b.rows[i].person
		if p.Reference == "" || first[p.Reference] {
			continue
		}
		first[p.Reference] = true
		cr, err := b.e.importCreation(ctx, b.call, b.in, p)
		if err != nil {
			continue // importRow says what is wrong
		}
		made[i] = cr
		values = append(values, cr.finds[0].values...)
	}
	known, err := b.held(ctx, vault.Reference, values)
	if err != nil {
		return nil, err
	}
	for i, cr := range made {
		if cr != nil && slices.ContainsFunc(cr.finds[0].values, func(v storage.IndexValue) bool { return known[indexKey(v)] }) {
			made[i] = nil
		}
	}
	return made, nil
}

func indexKey(v storage.IndexValue) string { return v.Key + "\x00" + string(v.Value) }

// held tells which of the values anybody claims.
func (b *importBatch) held(ctx context.Context, category abide.Category, values []storage.IndexValue) (map[string]bool, error) {
	held := map[string]bool{}
	if len(values) == 0 {
		return held, nil
	}
	// One claimant of each value is enough, but the limit is on all together.
	found, err := b.e.findIn(ctx, b.index, category, values, 4*len(values))
	if err != nil {
		return nil, err
	}
	for _, l := range found {
		held[indexKey(l.Index)] = true
	}
	return held, nil
}

// leaveTaken leaves rows with a unique value that is held, or that an earlier
// row of the batch brings, to importRow.
func (b *importBatch) leaveTaken(ctx context.Context) error {
	values := map[abide.Category][]storage.IndexValue{}
	for r := range b.making {
		for _, l := range lookups(r.born.claims) {
			if l.Unique && l.Category != vault.Reference {
				values[l.Category] = append(values[l.Category], l.Index)
			}
		}
	}
	for category, v := range values {
		taken, err := b.held(ctx, category, v)
		if err != nil {
			return err
		}
		for r := range b.making {
			var mine []string
			for _, l := range lookups(r.born.claims) {
				if l.Unique && l.Category == category {
					mine = append(mine, indexKey(l.Index))
				}
			}
			if slices.ContainsFunc(mine, func(k string) bool { return taken[k] }) {
				r.born.close()
				r.born = nil
				continue
			}
			for _, k := range mine {
				taken[k] = true
			}
		}
	}
	return nil
}

// commit commits each subject, and then settles the claims of all.
func (b *importBatch) commit(ctx context.Context) error {
	g, gctx := errgroup.WithContext(ctx)
	for r := range b.making {
		if b.e.now().Sub(b.claimed) > importClaimLife-claimMargin {
			continue // the claims could expire before the commit: again, with fresh ones
		}
		g.Go(func() error {
			err := r.born.commit(gctx)
			if errors.Is(err, storage.ErrConflict) {
				return nil // a policy was published, or index keys were put in force meanwhile
			}
			r.settled = err == nil
			return err
		})
	}
	failed := g.Wait()
	var confirm, drop []storage.Lookup
	for i := range b.rows {
		switch r := &b.rows[i]; {
		case r.born == nil:
		case r.settled:
			confirm = append(confirm, lookups(r.born.claims)...)
		case failed == nil:
			drop = append(drop, lookups(r.born.claims)...)
		}
	}
	after := context.WithoutCancel(ctx)
	if err := b.e.store.Confirm(after, confirm); err != nil {
		b.e.log.Warn("look-ups not confirmed yet", "error", err.Error())
	}
	if failed != nil {
		return failed
	}
	return storageError(b.e.store.Drop(after, drop))
}
