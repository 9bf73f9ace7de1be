package engine

import (
	"bytes"
	"context"
	"slices"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
)

// Look-ups lie apart from their subject, sharded by their value, so no
// transaction need hold both. A value is claimed first (the claim expires by
// itself), then the item that bears it is committed, then the claim is
// confirmed: by the store, in one trip (storage.Change). A finder believes the
// item, never the claim.

// claims makes the look-ups of one value: one for each index key, so that a
// rotation of the index writes both and reads both.
func claims(category abide.Category, id abide.SubjectID, values []storage.IndexValue, unique bool, expires time.Time) []storage.Lookup {
	out := make([]storage.Lookup, len(values))
	for i, v := range values {
		out[i] = storage.Lookup{Category: category, Index: v, Unique: unique, Subject: id, Expires: expires}
	}
	return out
}

// claimed reports whether one of the claims is on the value that the item bears.
func claimed(all []storage.Lookup, it *storage.Item) bool {
	return slices.ContainsFunc(all, func(l storage.Lookup) bool { return holdsValue([]storage.Item{*it}, l) })
}

// holdsValue reports whether one of the items bears the look-up's value.
func holdsValue(items []storage.Item, l storage.Lookup) bool {
	for i := range items {
		it := &items[i]
		if it.Category == l.Category && it.IndexKey == l.Index.Key && bytes.Equal(it.Index, l.Index.Value) {
			return true
		}
	}
	return false
}

// claim takes the look-ups. Of a unique value, another subject's claim stands
// if that subject bears the value, however old and unconfirmed the claim is
// (its process died after the commit), or if it has not expired, because it
// may belong to a change that is on its way. Any other is taken over: its
// subject was erased, changed the value, or was never made.
func (e *Engine) claim(ctx context.Context, all []storage.Lookup, now time.Time) error {
	for _, l := range all {
		if !l.Unique {
			continue
		}
		if err := e.free(ctx, l, now); err != nil {
			return err
		}
	}
	return storageError(e.store.Claim(ctx, all, now))
}

// free makes way for a unique claim, or says that the value is taken.
func (e *Engine) free(ctx context.Context, l storage.Lookup, now time.Time) error {
	held, _, err := e.store.Find(ctx, l.Category, []storage.IndexValue{l.Index}, 4)
	if err != nil {
		return storageError(err)
	}
	for _, h := range held {
		if h.Subject == l.Subject {
			continue
		}
		bears, err := e.bears(ctx, h)
		if err != nil {
			return err
		}
		switch {
		case bears && !h.Expires.IsZero():
			if err := e.store.Confirm(ctx, []storage.Lookup{h}); err != nil {
				return storageError(err)
			}
			return taken(l.Category)
		case bears:
			return taken(l.Category)
		case !h.Expires.IsZero() && now.Before(h.Expires):
			return beingTaken(l.Category)
		case h.Expires.IsZero():
			if err := e.store.Drop(ctx, []storage.Lookup{h}); err != nil {
				return storageError(err)
			}
		}
	}
	return nil
}

// late reports whether a claim made at that time could have expired by the
// time its item commits, and be somebody else's.
func (e *Engine) late(claimed time.Time) bool { return e.now().Sub(claimed) > claimLife-claimMargin }

// beingTaken says that another request claims a unique value and has not
// written who bears it; if it died, the claim expires.
func beingTaken(category abide.Category) error {
	return &abide.Error{Code: abide.CodeConflict, Detail: "value_being_taken", Field: string(category), Err: storage.ErrTaken,
		Message: "another request is writing this value, which must be unique", Hint: "try again in half a minute"}
}

// taken says that another subject holds a unique value, and not which value.
func taken(category abide.Category) error {
	return &abide.Error{Code: abide.CodeConflict, Detail: "value_taken", Field: string(category), Err: storage.ErrTaken,
		Message: "another subject holds this value, which must be unique", Hint: "look the subject up by it"}
}
