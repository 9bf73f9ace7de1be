package storage

import (
	"context"
	"slices"
	"strings"

	abide "github.com/abide-privacy/abide"
)

// IndexKeys says which index keys are in force: their ids, separated by
// spaces. An item keeps its value under the first; a look-up is written and
// looked for under each. While a rotation is under way there are two, the new
// one first. Empty: the store was never told.
type IndexKeys string

// IDs lists the ids of the keys.
func (k IndexKeys) IDs() []string { return strings.Fields(string(k)) }

// Has reports whether the key is in force.
func (k IndexKeys) Has(id string) bool { return slices.Contains(k.IDs(), id) }

// IndexKeysOf puts ids together, the one that items keep first.
func IndexKeysOf(ids ...string) IndexKeys { return IndexKeys(strings.Join(ids, " ")) }

// Indexes is what a rotation of the index keys needs.
type Indexes interface {
	// Index returns the index keys in force. Load, Epoch and Find bring them too.
	Index(ctx context.Context) (IndexKeys, error)
	// SetIndex puts other index keys in force; ErrConflict unless those in force
	// are the expected ones, or the next ones already. When it returns, no Commit that was built under
	// others is on its way any more, on any node: each is visible or refused.
	SetIndex(ctx context.Context, expect, next IndexKeys) error
	// Unindexed pages through the items that have an index value under a key that
	// is none of keep, by subject, category and id: those after the one given, of
	// which only these three count.
	Unindexed(ctx context.Context, keep []string, after IndexedItem, limit int) ([]IndexedItem, error)
	// Reindex puts other index values in the place of old ones, each only where
	// the item is still at its version and has its old value, and tells which
	// items have the new value now.
	Reindex(ctx context.Context, items []Reindexed) ([]bool, error)
	// IndexedBy counts the items that have an index value by its key. It reads all
	// rows.
	IndexedBy(ctx context.Context) (map[string]int64, error)
	// ListLookups pages through all look-ups, by value, key, category and holder:
	// those after the one given.
	ListLookups(ctx context.Context, after Lookup, limit int) ([]Lookup, error)
	// Release removes those claims that still expire exactly when they say: one
	// that was confirmed or made again since stays.
	Release(ctx context.Context, claims []Lookup) error
}

// IndexedItem is an item of a subject.
type IndexedItem struct {
	Subject abide.SubjectID
	Item    Item
}

// Reindexed is an item whose index value is replaced by the one in New; of New,
// only that counts.
type Reindexed struct {
	Subject  abide.SubjectID
	Old, New Item
}

// Indexes reports whether the change writes an index value, and so depends on
// the index keys in force.
func (c *Change) Indexes() bool {
	return slices.ContainsFunc(c.PutItems, func(it Item) bool { return it.IndexKey != "" })
}
