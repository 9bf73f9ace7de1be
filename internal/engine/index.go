package engine

import (
	"context"
	"errors"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/vault"
	"github.com/abide-privacy/abide/policy"
)

// Which index keys are in force is a matter of the store, like the policy: a
// rotation changes it while every node serves. Each node remembers what it last
// saw and trusts it in nothing: a load and a find bring what is in force, and a
// commit that writes index values names the keys that they were made under. So
// nobody answers "not found" by values that are no longer complete, and nobody
// writes a value where the others do not look.

// openIndex learns the index keys in force. A new store takes the primary of
// the keyring it is first opened with.
func (e *Engine) openIndex(ctx context.Context) error {
	in, err := e.store.Index(ctx)
	if err == nil && in == "" {
		err = e.store.SetIndex(ctx, "", storage.IndexKeysOf(e.vault.Keyring().IndexKeys()[0].ID))
		if err == nil || errors.Is(err, storage.ErrConflict) {
			in, err = e.store.Index(ctx)
		}
	}
	if err != nil {
		return storageError(err)
	}
	e.sawIndex(in)
	return nil
}

// indexKeys is what this node last saw.
func (e *Engine) indexKeys() storage.IndexKeys {
	in, _ := e.index.Load().(storage.IndexKeys)
	return in
}

func (e *Engine) sawIndex(in storage.IndexKeys) {
	if in != "" && in != e.indexKeys() {
		e.index.Store(in)
	}
}

// moved reports whether other keys are in force than values were made under,
// and remembers them.
func (e *Engine) moved(in, now storage.IndexKeys) bool {
	e.sawIndex(now)
	return now != "" && now != in
}

// indexTries is how often a look-up begins again: the keys in force change
// twice in a rotation.
const indexTries = 5

// underKeys looks something up by values under the keys that this node last
// saw, and again if others are in force.
func underKeys[T any](e *Engine, find func(in storage.IndexKeys) (T, error)) (T, error) {
	for try := 1; ; try++ {
		got, err := find(e.indexKeys())
		if try == indexTries || !errors.Is(err, storage.ErrConflict) {
			return got, storageError(err)
		}
	}
}

// findIn finds by values that were made under the keys in. storage.ErrConflict:
// others are in force, and something may lie under them.
func (e *Engine) findIn(ctx context.Context, in storage.IndexKeys, category abide.Category, values []storage.IndexValue, limit int) ([]storage.Lookup, error) {
	found, now, err := e.store.Find(ctx, category, values, limit)
	if err != nil {
		return nil, storageError(err)
	}
	if e.moved(in, now) {
		return nil, storage.ErrConflict
	}
	return found, nil
}

// indexValues makes the index values of a normalised value, one for each of the
// keys in. storage.ErrConflict: one of them is gone, and others are in force.
func (e *Engine) indexValues(ctx context.Context, in storage.IndexKeys, category abide.Category, normal []byte) ([]storage.IndexValue, error) {
	values, err := e.vault.Index(in, category, normal)
	if abide.ErrorDetail(err) != "index_key_unknown" {
		return values, storageError(err)
	}
	now, rerr := e.store.Index(ctx)
	if rerr != nil {
		return nil, storageError(rerr)
	}
	if e.moved(in, now) {
		return nil, storage.ErrConflict
	}
	return nil, err
}

// indexReference is indexValues for the caller's own reference.
func (e *Engine) indexReference(ctx context.Context, in storage.IndexKeys, reference string) ([]storage.IndexValue, error) {
	return e.indexValues(ctx, in, vault.Reference, []byte(reference))
}

// giveUp notes that an item's value is no longer borne: its look-ups are
// dropped after the commit.
func (ch *change) giveUp(it *storage.Item) error {
	gone, err := ch.lookupsOf(it)
	ch.Stale = append(ch.Stale, gone...)
	return err
}

// lookupsOf are the look-ups that lead to an item: its own, and while two index
// keys are in force, those under the other, which only the value tells.
func (ch *change) lookupsOf(it *storage.Item) ([]storage.Lookup, error) {
	own := storage.LookupsOf(ch.id, []storage.Item{*it})
	if len(own) == 0 || len(ch.index.IDs()) < 2 || it.IndexKey == vault.StableKey {
		return own, nil
	}
	values, err := ch.engine.rederive(ch.policyOrNil(), ch.index, ch.keys, it)
	if abide.ErrorDetail(err) == "item_damaged" {
		return own, nil // doctor names it; the end of the rotation removes the rest
	}
	if err != nil {
		return nil, err
	}
	for _, l := range claimOn(it.Category, ch.id, values, false, own[0].Expires) {
		if l.Index.Key != it.IndexKey {
			own = append(own, l)
		}
	}
	return own, nil
}

func (ch *change) policyOrNil() *policy.Policy {
	if ch.force == nil {
		return nil
	}
	return ch.policy()
}

// reindex brings items that a change writes again, and that have their value
// under a key that is being given up, under the new one. So in a rotation
// nothing goes back under the old key once the sweep has passed.
func (ch *change) reindex(ctx context.Context) error {
	if ch.index == "" {
		return nil
	}
	first := ch.index.IDs()[0]
	var borne []storage.Lookup
	for i := range ch.PutItems {
		it := &ch.PutItems[i]
		if it.IndexKey == "" || it.IndexKey == first || it.IndexKey == vault.StableKey {
			continue
		}
		values, err := ch.engine.rederive(ch.policyOrNil(), ch.index, ch.keys, it)
		if err != nil {
			return err
		}
		if len(values) == 0 {
			ch.Stale = append(ch.Stale, storage.LookupsOf(ch.id, []storage.Item{*it})...)
			it.IndexKey, it.Index = "", nil
			continue
		}
		it.IndexKey, it.Index = values[0].Key, values[0].Value
		one := claimOn(it.Category, ch.id, values, ch.engine.isUnique(ch.policyOrNil(), it.Category), ch.now.Add(claimLife))
		borne = append(borne, one...)
	}
	if len(borne) == 0 {
		return nil
	}
	if err := ch.engine.claimBorne(ctx, borne, ch.now); err != nil {
		return err
	}
	ch.borne = borne
	return nil
}

// isUnique reports whether only one person may have a value of the category.
func (e *Engine) isUnique(p *policy.Policy, c abide.Category) bool {
	if c == vault.Reference {
		return true
	}
	if p == nil {
		return false
	}
	cat, ok := p.Category(c)
	return ok && cat.Find == "unique"
}
