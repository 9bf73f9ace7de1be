package log

import (
	"context"
	"errors"
	"fmt"

	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/storage"
)

// adopt takes back the entries that were published after the backup from which
// the database was restored. First all of them are read and hashed: only if
// they make the published root, which the log signed, does anything change. So
// what was published continues the database's tree, and is whole.
//
// Memory grows with what waits in the database, not with what is taken back.
func (s *Sequencer) adopt(ctx context.Context, c *audit.Checkpoint) error {
	trial := s.tree.clone()
	err := s.publishedEntries(ctx, c, func(entries [][]byte) error {
		for _, e := range entries {
			if err := trial.append(e); err != nil {
				return err
			}
		}
		trial.changed()
		return nil
	})
	if err != nil {
		return tilesLost(err)
	}
	if trial.root() != c.Root {
		return s.notContinued(ctx, c)
	}
	w, err := s.allWaiting(ctx)
	if err != nil {
		return err
	}
	err = s.publishedEntries(ctx, c, func(entries [][]byte) error {
		_, err := s.extend(ctx, w.sources(entries), entries)
		return err
	})
	if err != nil {
		return err
	}
	if s.tree.root() != c.Root {
		return tilesLost(fmt.Errorf("they changed while they were read"))
	}
	s.placed = uint64(c.Size)
	s.o.Log.Warn("the log goes on from what was published", "entries", c.Size)
	return nil
}

// notContinued tells a published log that is not the database's from one whose
// bundles are damaged: the published tiles decide.
func (s *Sequencer) notContinued(ctx context.Context, c *audit.Checkpoint) error {
	err := audit.NewLog(under{s.o.Place, prefix(s.head.Log)}, nil).CheckConsistency(ctx, s.checkpoint(), c)
	if err == nil {
		return tilesLost(fmt.Errorf("the published entries are not those of the published tiles"))
	}
	var f *audit.Fault
	if errors.As(err, &f) && (f.Code == audit.LogForked || f.Code == audit.ProofWrong) {
		return forked("the published tree does not continue the database's")
	}
	return tilesLost(err)
}

// publishedEntries reads the published entries beyond the tree's, bundle by
// bundle, and hands them on a page at a time.
func (s *Sequencer) publishedEntries(ctx context.Context, c *audit.Checkpoint, fn func([][]byte) error) error {
	size := uint64(c.Size)
	src := under{s.o.Place, prefix(s.head.Log)}
	var entries [][]byte
	for at := s.head.Size; at < size; {
		k := storage.TileKey{Level: storage.EntriesLevel, N: at / tileWidth}
		width := widthAt(size, k)
		path := pathOf(k, width)
		raw, err := src.Read(ctx, path, tileWidth*(2+maxEntry))
		if err != nil {
			return err
		}
		bundle, err := audit.ParseBundle(path, int64(k.N*tileWidth), raw, width)
		if err != nil {
			return err
		}
		entries = append(entries, bundle[at%tileWidth:]...)
		at = k.N*tileWidth + uint64(width)
		if len(entries) >= page || at == size {
			if err := fn(entries); err != nil {
				return err
			}
			entries = entries[:0]
		}
	}
	return nil
}

// under is a log below a prefix of a place.
type under struct {
	src    audit.Source
	prefix string
}

func (u under) Read(ctx context.Context, path string, limit int64) ([]byte, error) {
	return u.src.Read(ctx, u.prefix+path, limit)
}

// waitingRows is what waits in the database, by commitment.
type waitingRows struct {
	pending map[[32]byte]storage.EntryKey
	spool   map[[32]byte]storage.SpoolLeaves // by the first leaf
	rest    int                              // leaves of the last batch that the next page begins with
}

func (s *Sequencer) allWaiting(ctx context.Context) (*waitingRows, error) {
	w := &waitingRows{pending: map[[32]byte]storage.EntryKey{}, spool: map[[32]byte]storage.SpoolLeaves{}}
	for at := (storage.EntryKey{}); ; {
		rows, err := s.o.Store.Pending(ctx, at, page)
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			w.pending[r.Commitment] = r.Key
			at = r.Key
		}
		if len(rows) < page {
			break
		}
	}
	for at := (storage.SpoolKey{}); ; {
		rows, err := s.o.Store.Unlogged(ctx, at, 64)
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			if len(r.Leaves) > 0 {
				w.spool[r.Leaves[0]] = r
			}
			at = r.Key
		}
		if len(rows) < 64 {
			return w, nil
		}
	}
}

// sources says of entries that were published where the database has them, if
// it has them. A batch of looks came into the log as a whole, so its first leaf
// names it; what of it is on the next page belongs to nobody there.
func (w *waitingRows) sources(entries [][]byte) (out []storage.LeafSource) {
	for len(entries) > 0 {
		next := w.source(entries)
		entries = entries[next.Count:]
		if n := len(out); n > 0 && next.Lost && out[n-1].Lost {
			out[n-1].Count += next.Count
			continue
		}
		out = append(out, next)
	}
	return out
}

// source says where the first of the entries, and those that came with it, are.
func (w *waitingRows) source(entries [][]byte) storage.LeafSource {
	if w.rest > 0 {
		n := min(w.rest, len(entries))
		w.rest -= n
		return storage.LeafSource{Count: uint64(n)}
	}
	if len(entries[0]) == hashSize {
		leaf := [32]byte(entries[0])
		if k, ok := w.pending[leaf]; ok {
			return storage.LeafSource{Entries: []storage.EntryKey{k}, Count: 1}
		}
		if l, ok := w.spool[leaf]; ok {
			n := min(len(l.Leaves), len(entries))
			w.rest = len(l.Leaves) - n
			return storage.LeafSource{Spool: l.Key, Count: uint64(n)}
		}
	}
	return storage.LeafSource{Lost: true, Count: 1}
}
