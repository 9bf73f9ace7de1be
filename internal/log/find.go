package log

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/abide-privacy/abide/internal/storage"
)

// noteText is the text of a signed note, without its signatures.
func noteText(raw []byte) (string, error) {
	text, _, ok := bytes.Cut(raw, []byte("\n\n"))
	if !ok {
		return "", errors.New("log: not a signed note")
	}
	return string(text) + "\n", nil
}

// skew is how far clocks of nodes may be apart before FindEntry has to look at
// everything.
const skew = 5 * time.Second

// FindEntry finds the leaf of an entry that was made at a time. An entry comes
// into the log soon after it was made, so the rows since then are searched
// first; after an outage, or with a clock that was wrong, all of them.
// ErrNotFound: it is not in the log yet.
func FindEntry(ctx context.Context, store storage.LogTables, key storage.EntryKey, at time.Time) (log, leaf uint64, err error) {
	heads, err := store.LogHeads(ctx)
	if err != nil {
		return 0, 0, err
	}
	for i := len(heads) - 1; i >= 0; i-- {
		log = heads[i].Log
		rows, err := store.LeafMapsSince(ctx, log, at.Add(-skew), findPage)
		if err != nil {
			return 0, 0, err
		}
		if leaf, ok, err := search(ctx, store, log, rows, key); err != nil || ok {
			return log, leaf, err
		}
		if rows, err = store.LeafMaps(ctx, log, 0, findPage); err != nil {
			return 0, 0, err
		}
		if leaf, ok, err := search(ctx, store, log, rows, key); err != nil || ok {
			return log, leaf, err
		}
	}
	return 0, 0, storage.ErrNotFound
}

const findPage = 16

// search looks through map rows, from those given on.
func search(ctx context.Context, store storage.LogTables, log uint64, rows []storage.LeafMap, key storage.EntryKey) (uint64, bool, error) {
	for len(rows) > 0 {
		for i := range rows {
			if leaf, ok := leafIn(&rows[i], key); ok {
				return leaf, true, nil
			}
		}
		if len(rows) < findPage {
			return 0, false, nil
		}
		last := &rows[len(rows)-1]
		var err error
		if rows, err = store.LeafMaps(ctx, log, last.First+last.Count, findPage); err != nil {
			return 0, false, err
		}
	}
	return 0, false, nil
}

func leafIn(m *storage.LeafMap, key storage.EntryKey) (uint64, bool) {
	leaf := m.First
	for i := range m.Sources {
		src := &m.Sources[i]
		for j, k := range src.Entries {
			if k == key {
				return leaf + uint64(j), true
			}
		}
		leaf += src.Count
	}
	return 0, false
}

// FindLook finds the leaf of a look. ErrNotFound: it is not in the log yet.
func FindLook(ctx context.Context, store storage.LogTables, key storage.LookKey) (log, leaf uint64, err error) {
	log, leaf, err = store.SpoolLeaf(ctx, storage.SpoolKey{Node: key.Node, Batch: key.Batch})
	return log, leaf + uint64(key.Pos), err
}
