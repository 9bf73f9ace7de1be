package engine

import (
	"bytes"
	"context"
	"errors"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
)

// Look-ups lie apart from their subject, sharded by their value, so no
// transaction holds both. A value is claimed first (the claim expires by
// itself), then the item that bears it is committed, then the claim is
// confirmed. A finder believes the item, never the claim.

// claims makes the look-ups of one value: one for each index key, so that a
// rotation of the index writes both and reads both.
func claims(category abide.Category, id abide.SubjectID, values []storage.IndexValue, unique bool, expires time.Time) []storage.Lookup {
	out := make([]storage.Lookup, len(values))
	for i, v := range values {
		out[i] = storage.Lookup{Category: category, Index: v, Unique: unique, Subject: id, Expires: expires}
	}
	return out
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

// claim takes the look-ups. A unique value that another subject holds is taken
// over if that subject does not bear it: it was erased, its value changed, or
// it was never made. A claim that has not expired may belong to a change that
// is on its way, so it stands.
func (e *Engine) claim(ctx context.Context, all []storage.Lookup, now time.Time) error {
	err := e.store.Claim(ctx, all, now)
	if !errors.Is(err, storage.ErrTaken) {
		return storageError(err)
	}
	for _, l := range all {
		if !l.Unique {
			continue
		}
		held, err := e.store.Find(ctx, l.Category, []storage.IndexValue{l.Index}, 4)
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
			pending := !h.Expires.IsZero() && now.Before(h.Expires)
			if bears || pending {
				return taken(l.Category)
			}
			if err := e.store.Drop(ctx, []storage.Lookup{h}); err != nil {
				return storageError(err)
			}
		}
	}
	if err := e.store.Claim(ctx, all, now); !errors.Is(err, storage.ErrTaken) {
		return storageError(err)
	}
	return storageError(storage.ErrTaken)
}

// taken says that another subject holds a unique value, and not which value.
func taken(category abide.Category) error {
	return &abide.Error{Code: abide.CodeConflict, Detail: "value_taken", Field: string(category), Err: storage.ErrTaken,
		Message: "another subject holds this value, which must be unique", Hint: "look the subject up by it"}
}
