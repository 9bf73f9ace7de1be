package engine

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/keys"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/vault"
	"github.com/abide-privacy/abide/policy"
)

const (
	reindexPage   = 500
	reindexAtOnce = 8 // people whose keys are read at once
	reindexRounds = 5 // of the sweep, until nothing is left
)

// RotateIndex replaces the index key while the store serves. Killed at any
// step, it goes on where it was when called again: keyring and store say how
// far it came, and the rows which of them are left.
//
//  1. log entry, and the new key in the keyring's place, beside the old one;
//  2. both in force: from here on every look-up is written and read under both,
//     and every item keeps the new key's value. When the store has taken this,
//     nothing that was built before is on its way any more;
//  3. the sweep: page by page, each item's value is made anew from what it
//     holds, claimed under the new key, and put in the place of the old one if
//     that still stands. The items say which are left;
//  4. the new key alone in force: nothing needs the old look-ups any more;
//  5. the old look-ups go;
//  6. log entry, and the old key is destroyed: old media cannot be searched for
//     an address by guessing. No backup needs it: a store restored from one
//     makes its index anew when it starts.
func (e *Engine) RotateIndex(ctx context.Context, c Call, o RotateKeys) (KeyRotation, error) {
	if err := authorise(c, opKeys, abide.SubjectID{}); err != nil {
		return KeyRotation{}, err
	}
	out, in, err := e.bothIndexKeys(ctx, c)
	if err != nil {
		return out, err
	}
	if len(in.IDs()) > 1 {
		s, err := e.newSweep(ctx, out.Key, &o)
		if err == nil {
			err = s.run(ctx)
		}
		out.Reindexed, out.Unfindable = s.done, s.unfindable
		if err != nil {
			return out, err
		}
		if err := e.setIndex(ctx, in, storage.IndexKeysOf(out.Key)); err != nil {
			return out, err
		}
	}
	if err := e.dropLookups(ctx, out.Key, &o); err != nil {
		return out, err
	}
	out.Destroyed, err = e.retireIndex(ctx, c, out.Key)
	return out, err
}

// bothIndexKeys takes the first two steps, or finds that an earlier run took
// them. Key is the new one; the keys in force are both, or already the new one
// alone.
func (e *Engine) bothIndexKeys(ctx context.Context, c Call) (KeyRotation, storage.IndexKeys, error) {
	ring := e.vault.Keyring()
	if _, err := ring.Refresh(ctx); err != nil {
		return KeyRotation{}, "", storageError(err)
	}
	in, err := e.store.Index(ctx)
	if err != nil {
		return KeyRotation{}, "", storageError(err)
	}
	ids, roots := in.IDs(), ring.IndexKeys()
	switch primary := roots[0].ID; {
	case len(ids) > 1, ids[0] != primary:
		return KeyRotation{Key: ids[0], Resumed: true}, in, nil
	case len(roots) == 1:
		if err := e.noteKey(ctx, c, actNewKey, "index", "", 0); err != nil {
			return KeyRotation{}, "", err
		}
	}
	out := KeyRotation{Resumed: len(roots) > 1}
	if out.Key, err = ring.RotateIndex(ctx); err != nil {
		return out, "", storageError(err)
	}
	both := storage.IndexKeysOf(out.Key, ids[0])
	return out, both, e.setIndex(ctx, in, both)
}

// setIndex puts index keys in force; again, if the outcome is not known.
func (e *Engine) setIndex(ctx context.Context, from, to storage.IndexKeys) error {
	err := e.store.SetIndex(ctx, from, to)
	for range 3 {
		if !isOutcomeUnknown(err) {
			break
		}
		err = e.store.SetIndex(ctx, from, to)
	}
	if errors.Is(err, storage.ErrConflict) {
		return &abide.Error{Code: abide.CodeConflict, Detail: "other_rotation", Err: err,
			Message: "another rotation of the index key came further", Hint: "run `abide keys rotate index` again"}
	}
	if err == nil {
		e.sawIndex(to)
	}
	return storageError(err)
}

func (e *Engine) retireIndex(ctx context.Context, c Call, key string) ([]string, error) {
	for _, root := range e.vault.Keyring().IndexKeys() {
		if root.ID == key {
			continue
		}
		if err := e.noteKey(ctx, c, actDestroyKey, "index "+root.ID, "", 0); err != nil {
			return nil, err
		}
	}
	gone, err := e.vault.Keyring().RetireIndex(ctx, key, e.now())
	if err != nil {
		return nil, storageError(err)
	}
	e.vault.ForgetIndex()
	return gone, storageError(e.store.Scrub(ctx))
}

// sweep gives items their index value under another key.
type sweep struct {
	e                *Engine
	to               storage.IndexKeys // one key
	policy           *policy.Policy    // nil: none was published
	tell             func(Progress)
	p                Progress
	done, unfindable int64
	damaged          int
}

func (e *Engine) newSweep(ctx context.Context, key string, o *RotateKeys) (*sweep, error) {
	s := &sweep{e: e, to: storage.IndexKeysOf(key), tell: o.tell, p: Progress{Step: "re-index"}}
	f, err := e.refresh(ctx)
	if err != nil {
		return s, err
	}
	if f != nil {
		s.policy = f.policy
	}
	counts, err := e.store.IndexedBy(ctx)
	if err != nil {
		return s, storageError(err)
	}
	for id, n := range counts {
		if id != key && id != vault.StableKey {
			s.p.Total += n
		}
	}
	return s, nil
}

// run goes through the items until none is left. What a person who is being
// erased still holds is left to the purge.
func (s *sweep) run(ctx context.Context) error {
	for range reindexRounds {
		before := s.done + s.unfindable
		s.damaged = 0
		left, err := s.round(ctx)
		switch {
		case err != nil:
			return err
		case s.damaged > 0:
			return &abide.Error{Code: abide.CodeInternal, Detail: "items_not_reindexed",
				Message: "some items do not open, so the old index key is kept",
				Hint:    "run abide doctor, restore those rows, and rotate again"}
		case left == 0 && s.done+s.unfindable == before:
			return nil
		}
	}
	return &abide.Error{Code: abide.CodeConflict, Detail: "changed_meanwhile",
		Message: "items kept changing while they were indexed anew", Hint: "run `abide keys rotate index` again"}
}

// round goes through all items once, and returns how many it met and could not
// replace because they changed under its hands.
func (s *sweep) round(ctx context.Context) (left int, err error) {
	var last storage.IndexedItem
	for {
		if err := ctx.Err(); err != nil {
			return left, storageError(err)
		}
		page, err := s.e.store.Unindexed(ctx, append(s.to.IDs(), vault.StableKey), last, reindexPage)
		if err != nil {
			return left, storageError(err)
		}
		if len(page) == 0 {
			return left, nil
		}
		n, err := s.page(ctx, page)
		if err != nil {
			return left, err
		}
		left += n
		last = page[len(page)-1]
		last.Item.Sealed = nil
	}
}

// page makes the index values of a page anew. Its claims expire at a moment of
// their own, by which those are told that a change made that came between.
func (s *sweep) page(ctx context.Context, page []storage.IndexedItem) (left int, err error) {
	values, err := s.derive(ctx, page)
	if err != nil {
		return 0, err
	}
	now := s.e.now()
	expires := now.Add(claimLife + time.Second + time.Duration(rand.IntN(1e6))*time.Microsecond) //nolint:gosec // a mark, not a secret
	var swap []storage.Reindexed
	var claims []storage.Lookup
	for i := range page {
		v := values[i]
		if v == nil {
			continue
		}
		it := &page[i]
		r := storage.Reindexed{Subject: it.Subject, Old: it.Item, New: it.Item}
		r.Old.Sealed, r.New.Sealed = nil, nil
		r.New.IndexKey, r.New.Index = v.Key, v.Value
		swap = append(swap, r)
		if v.Key != "" {
			claims = append(claims, storage.Lookup{Category: it.Item.Category, Index: *v, Subject: it.Subject,
				Unique: s.e.isUnique(s.policy, it.Item.Category), Expires: expires})
		}
	}
	if err := s.e.claimBorne(ctx, claims, now); err != nil {
		return 0, err
	}
	replaced, err := s.e.store.Reindex(ctx, swap)
	for range 3 {
		if !isOutcomeUnknown(err) {
			break
		}
		replaced, err = s.e.store.Reindex(ctx, swap)
	}
	if err != nil {
		return 0, storageError(err)
	}
	return s.settle(ctx, swap, claims, replaced)
}

// settle confirms the claims of what was replaced and releases the others.
func (s *sweep) settle(ctx context.Context, swap []storage.Reindexed, claims []storage.Lookup, replaced []bool) (left int, err error) {
	var confirm, release []storage.Lookup
	at := 0
	for i := range swap {
		unfindable := swap[i].New.IndexKey == ""
		switch {
		case replaced[i] && unfindable:
			s.unfindable++
		case replaced[i]:
			s.done++
		default:
			left++
		}
		if unfindable {
			continue
		}
		if replaced[i] {
			confirm = append(confirm, claims[at])
		} else {
			release = append(release, claims[at])
		}
		at++
	}
	if err := s.e.store.Confirm(ctx, confirm); err != nil {
		return left, storageError(err)
	}
	if err := s.e.store.Release(ctx, release); err != nil {
		return left, storageError(err)
	}
	s.p.Done += int64(len(swap) - left)
	s.tell(s.p)
	return left, nil
}

// derive opens the items of a page and returns their new values: nil for an
// item that is left as it is, one without a key for an item that cannot be found
// any more.
func (s *sweep) derive(ctx context.Context, page []storage.IndexedItem) ([]*storage.IndexValue, error) {
	out := make([]*storage.IndexValue, len(page))
	damaged := make([]bool, len(page))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(reindexAtOnce)
	for from := 0; from < len(page); {
		to := from + 1
		for to < len(page) && page[to].Subject == page[from].Subject {
			to++
		}
		items, values, bad := page[from:to], out[from:to], damaged[from:to]
		g.Go(func() error { return s.deriveOf(gctx, items, values, bad) })
		from = to
	}
	err := g.Wait()
	for _, d := range damaged {
		if d {
			s.damaged++
		}
	}
	return out, err
}

// deriveOf is derive for the items of one person.
func (s *sweep) deriveOf(ctx context.Context, items []storage.IndexedItem, out []*storage.IndexValue, damaged []bool) error {
	id := items[0].Subject
	wrapped, err := s.e.keys.Get(ctx, id)
	if err != nil {
		return storageError(err)
	}
	keys, err := s.e.vault.Unlock(id, wrapped)
	if err != nil {
		return s.notOpened(ctx, id, err, damaged)
	}
	defer keys.Close()
	for i := range items {
		values, err := s.e.rederive(s.policy, s.to, keys, &items[i].Item)
		switch {
		case abide.ErrorDetail(err) == "index_key_unknown":
			return err
		case err != nil:
			if err := s.notOpened(ctx, id, err, damaged[i:i+1]); err != nil {
				return err
			}
		case len(values) == 0:
			out[i] = &storage.IndexValue{}
		default:
			out[i] = &values[0]
		}
	}
	return nil
}

// notOpened decides what it means that an item does not open. The keys of a
// person who is erased are gone; anything else is damage.
func (s *sweep) notOpened(ctx context.Context, id abide.SubjectID, why error, damaged []bool) error {
	loaded, err := s.e.store.Load(ctx, id, storage.Want{})
	switch {
	case isNotFound(err):
		return nil
	case err != nil:
		return storageError(err)
	case loaded.Subject.Status != abide.StatusActive:
		return nil
	}
	s.e.log.Error("an item does not open and keeps its index value", "subject", id.String(), "error", why.Error())
	for i := range damaged {
		damaged[i] = true
	}
	return nil
}

// dropLookups removes all look-ups under other keys once the key is alone in
// force. Claims under it that nobody came to bear are left to housekeeping.
func (e *Engine) dropLookups(ctx context.Context, key string, o *RotateKeys) error {
	p := Progress{Step: "look-ups"}
	var last storage.Lookup
	for {
		if err := ctx.Err(); err != nil {
			return storageError(err)
		}
		page, err := e.store.ListLookups(ctx, last, reindexPage)
		if err != nil {
			return storageError(err)
		}
		if len(page) == 0 {
			return nil
		}
		last = page[len(page)-1]
		p.Done += int64(len(page))
		p.Total = p.Done
		drop := slices.DeleteFunc(page, func(l storage.Lookup) bool { return l.Index.Key == key || l.Index.Key == vault.StableKey })
		if err := e.store.Drop(ctx, drop); err != nil {
			return storageError(err)
		}
		o.tell(p)
	}
}

// reindexRestored makes the index anew if the store came back from a backup in
// which it was under keys that were destroyed since. Nothing is served before:
// what lies under those keys cannot be found.
func (e *Engine) reindexRestored(ctx context.Context) error {
	in, ring := e.indexKeys(), e.vault.Keyring()
	retired := ring.RetiredIndex()
	gone := false
	for _, id := range in.IDs() {
		_, err := ring.IndexKey(id)
		switch {
		case err == nil:
		case slices.ContainsFunc(retired, func(ep keys.Epoch) bool { return ep.ID == id }):
			gone = true
		default:
			return err // the keyring is older than the store
		}
	}
	if !gone {
		return nil
	}
	key := ring.IndexKeys()[0].ID
	o := RotateKeys{Progress: func(p Progress) {
		e.log.Info("making the index of a restored store anew", "step", p.Step, "done", p.Done, "total", p.Total)
	}}
	s, err := e.newSweep(ctx, key, &o)
	if err == nil {
		err = s.run(ctx)
	}
	if err == nil {
		err = e.dropLookups(ctx, key, &o)
	}
	if err == nil {
		err = e.setIndex(ctx, in, storage.IndexKeysOf(key))
	}
	return err
}
