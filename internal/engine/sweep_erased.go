package engine

import (
	"context"
	"slices"

	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/vault"
	"github.com/abide-privacy/abide/policy"
)

// erased lets go what law retained of an erased person and retains no longer.
// With the last of it the law key is destroyed, and what it sealed besides goes:
// the evidence of consent and the facts. Killed anywhere, the subject is still
// due and the next sweep begins again; rows whose key is gone are let go unread.
func (w *sweeping) erased(ctx context.Context, s *subject) ([]gone, error) {
	ch := &change{subject: s, call: w.call, engine: w.e, sweeping: true}
	ch.Expect, ch.Row, ch.Row.NextDue = s.row.Version, s.row, s.nextDue
	out, err := w.retained(ch)
	if err != nil || w.dry {
		return out, err
	}
	last, err := w.nothingStays(ctx, ch)
	if err == nil && last {
		err = w.lastOf(ctx, ch)
	}
	if err != nil {
		return nil, err
	}
	env := w.e.envelope(w.call, audit.Expired)
	for _, g := range out {
		env.Categories = append(env.Categories, g.key.Category)
	}
	env.Categories = storage.Sorted(env.Categories)
	ch.entries = append(ch.entries, pendingEntry{envelope: env, system: true})
	if err := ch.commit(ctx); err != nil {
		return nil, err
	}
	if len(out) == 0 {
		return nil, nil
	}
	return out, w.e.purgeBlobs(ctx, s.id)
}

// retained decides, item by item, whether law still retains it.
func (w *sweeping) retained(ch *change) ([]gone, error) {
	facts := policy.Facts{}
	readable := ch.row.Law != nil && ch.keys.Has(storage.Law)
	if readable {
		plain, err := w.e.vault.OpenLaw(ch.keys, &ch.row)
		if err != nil {
			return nil, err
		}
		if err := vault.DecodeState(plain, &facts); err != nil {
			return nil, storageError(err)
		}
	}
	var out []gone
	for i := range ch.items {
		it := ch.items[i]
		if it.Compartment != storage.Law {
			continue // the erasure's own job takes it
		}
		g := gone{key: storage.ItemKey{Category: it.Category, ID: it.ID}, then: "erase"}
		if readable && !isPseudo(it.Category) {
			r, err := w.e.vault.OpenItem(ch.keys, &it)
			if err != nil {
				return nil, err
			}
			o := opened{&it, r}
			kept := ch.policy().RetainedByLaw(it.Category, o.fact(), &facts)
			if !kept.Ends || ch.now.Before(kept.Due) {
				it.Due = kept.Due
				ch.PutItems = append(ch.PutItems, it)
				ch.Row.NextDue = sooner(ch.Row.NextDue, it.Due)
				continue
			}
			g.ground = kept.Ground
		}
		ch.DropItems = append(ch.DropItems, g.key)
		out = append(out, g)
	}
	return out, nil
}

// nothingStays reports whether nothing stays but what the change lets go. What has no
// known end is not due, and was not loaded.
func (w *sweeping) nothingStays(ctx context.Context, ch *change) (bool, error) {
	if !ch.Row.NextDue.IsZero() {
		return false, nil
	}
	l, err := w.e.store.Load(ctx, ch.id, storage.Want{LawItems: true})
	if err != nil {
		return false, storageError(err)
	}
	for i := range l.Items {
		if !slices.Contains(ch.DropItems, storage.ItemKey{Category: l.Items[i].Category, ID: l.Items[i].ID}) {
			return false, nil
		}
	}
	return true, nil
}

// lastOf destroys what outlived the erasure.
func (w *sweeping) lastOf(ctx context.Context, ch *change) error {
	if err := w.e.keys.Destroy(ctx, ch.id, vault.Compartments()); err != nil {
		return storageError(err)
	}
	ch.Row.Law = nil
	ch.DropItems = nil
	return w.e.purgeItems(ctx, ch.id, vault.Compartments())
}
