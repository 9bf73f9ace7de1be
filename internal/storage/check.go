package storage

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"

	abide "github.com/abide-privacy/abide"
)

// errChange is a change that no caller of ours should have built. It is not a
// conflict: building it again gives the same error.
var errChange = errors.New("storage: malformed change")

// Check reports whether the change keeps the promises that Change states. Both
// adapters call it before they write anything, so that a mistake in a caller
// is found in the same way on either engine.
func (c *Change) Check() error {
	switch {
	case c.Row.ID.IsZero():
		return fmt.Errorf("%w: no subject", errChange)
	case c.Row.Version != c.Expect+1:
		return fmt.Errorf("%w: version is not the expected one plus one", errChange)
	case c.Row.Kind == "" || c.Row.Status == "":
		return fmt.Errorf("%w: kind or status missing", errChange)
	}
	for i := range c.Entries {
		if c.Entries[i].Subject != c.Row.ID {
			return fmt.Errorf("%w: entry of another subject", errChange)
		}
	}
	for i := range c.ConsentIndex {
		if s := c.ConsentIndex[i].Subject; s != c.Row.ID && !s.IsZero() {
			return fmt.Errorf("%w: consent index of another subject", errChange)
		}
	}
	for _, l := range slices.Concat(c.Claims, c.Stale) {
		if l.Subject != c.Row.ID {
			return fmt.Errorf("%w: look-up of another subject", errChange)
		}
	}
	if c.Erasure != nil && c.Erasure.Subject != c.Row.ID {
		return fmt.Errorf("%w: erasure of another subject", errChange)
	}
	return nil
}

// Check reports whether p may follow the epoch expect.
func (p *PolicyRow) Check(expect uint64, entry *Entry) error {
	switch {
	case p.Version == "":
		return fmt.Errorf("%w: policy without version", errChange)
	case p.N != expect+1:
		return fmt.Errorf("%w: policy number is not the expected epoch plus one", errChange)
	case !entry.Subject.IsZero():
		return fmt.Errorf("%w: publishing is an entry of the store itself", errChange)
	}
	return nil
}

// LookupsOf returns the look-ups that items of a subject hold.
func LookupsOf(id abide.SubjectID, items []Item) []Lookup {
	var out []Lookup
	for i := range items {
		if it := &items[i]; it.IndexKey != "" {
			out = append(out, Lookup{Category: it.Category, Subject: id, Index: IndexValue{Key: it.IndexKey, Value: it.Index}})
		}
	}
	return out
}

// Claimed is a look-up with the time of its claim, in microseconds.
type Claimed struct {
	Lookup
	At int64
}

// NewestFirst orders what was found under several values: newest claim first,
// a subject only once, at most limit.
func NewestFirst(found []Claimed, limit int) []Lookup {
	slices.SortStableFunc(found, func(a, b Claimed) int {
		return cmp.Or(cmp.Compare(b.At, a.At), bytes.Compare(a.Subject[:], b.Subject[:]))
	})
	var out []Lookup
	seen := make(map[abide.SubjectID]bool, len(found))
	for i := range found {
		if len(out) == limit {
			break
		}
		if !seen[found[i].Subject] {
			seen[found[i].Subject] = true
			out = append(out, found[i].Lookup)
		}
	}
	return out
}

// Holder is the last part of a look-up's primary key: the zero id for a unique
// claim, so that a value has only one, and the subject's id otherwise.
func Holder(l *Lookup) abide.SubjectID {
	if l.Unique {
		return abide.SubjectID{}
	}
	return l.Subject
}
