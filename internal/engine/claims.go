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

// claim is a subject's claim on one value: a look-up for each index key in
// force. The item that bears the value keeps the first key's.
type claim []storage.Lookup

func claimOn(category abide.Category, id abide.SubjectID, values []storage.IndexValue, unique bool, expires time.Time) claim {
	out := make(claim, len(values))
	for i, v := range values {
		out[i] = storage.Lookup{Category: category, Index: v, Unique: unique, Subject: id, Expires: expires}
	}
	return out
}

// values are those that were claimed.
func (c claim) values() []storage.IndexValue {
	out := make([]storage.IndexValue, len(c))
	for i := range c {
		out[i] = c[i].Index
	}
	return out
}

// lookups are those of all claims.
func lookups(claims []claim) []storage.Lookup { return slices.Concat(claims...) }

// claimed reports whether one of the claims is on the value that the item bears.
func claimed(all []claim, it *storage.Item) bool {
	return slices.ContainsFunc(all, func(c claim) bool { return c[0].Category == it.Category && bearing(it, c.values()) })
}

// bearing reports whether the item bears one of the values.
func bearing(it *storage.Item, values []storage.IndexValue) bool {
	return slices.ContainsFunc(values, func(v storage.IndexValue) bool { return it.IndexKey == v.Key && bytes.Equal(it.Index, v.Value) })
}

// holdsValue reports whether one of the items bears one of the values, which
// are of one datum, under the index keys in force.
func holdsValue(items []storage.Item, category abide.Category, values []storage.IndexValue) bool {
	return slices.ContainsFunc(items, func(it storage.Item) bool { return it.Category == category && bearing(&it, values) })
}

// claim takes the look-ups, made under the index keys in. Of a unique value,
// another subject's claim stands if that subject bears the value, however old
// and unconfirmed the claim is (its process died after the commit), or if it
// has not expired, because it may belong to a change that is on its way. Any
// other is taken over: its subject was erased, changed the value, or was never
// made.
//
// A value is claimed under every key in force, and the keys in force change one
// at a time: so of two nodes, of which one has not heard of the change, both
// meet at one look-up.
func (e *Engine) claim(ctx context.Context, in storage.IndexKeys, all []claim, now time.Time) error {
	for _, c := range all {
		if !c[0].Unique {
			continue
		}
		for _, l := range c {
			if err := e.free(ctx, in, c, l, now); err != nil {
				return err
			}
		}
	}
	return storageError(e.store.Claim(ctx, lookups(all), now))
}

// free makes way for a unique claim under one of its keys, or says that the
// value is taken.
func (e *Engine) free(ctx context.Context, in storage.IndexKeys, c claim, l storage.Lookup, now time.Time) error {
	held, err := e.findIn(ctx, in, l.Category, []storage.IndexValue{l.Index}, 4)
	if err != nil {
		return err
	}
	for _, h := range held {
		if h.Subject == l.Subject {
			continue
		}
		bears, err := e.bears(ctx, in, h, c.values())
		if err != nil {
			return err
		}
		switch {
		case bears && !h.Expires.IsZero():
			if err := e.store.Confirm(ctx, claimOn(l.Category, h.Subject, c.values(), true, time.Time{})); err != nil {
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
