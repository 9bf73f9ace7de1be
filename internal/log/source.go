package log

import (
	"context"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/abide-privacy/abide/internal/storage"
)

// StoreSource reads a log's own tables as a published log (audit.Source): what
// the sequencer has made of it so far, under the checkpoint that counts.
type StoreSource struct {
	Store storage.LogTables
	Log   uint64
	// Size, if not 0, hides what a tree of that size does not have.
	Size uint64
}

// Read implements audit.Source.
func (s StoreSource) Read(ctx context.Context, path string, _ int64) ([]byte, error) {
	if path == "checkpoint" {
		c, err := s.Store.Checkpoint(ctx, s.Log)
		if err != nil {
			return nil, notThere(err, path)
		}
		return c.Note, nil
	}
	k, width, ok := parsePath(path)
	if !ok || s.Size != 0 && widthAt(s.Size, k) < width {
		return nil, notThere(storage.ErrNotFound, path)
	}
	tiles, err := s.Store.Tiles(ctx, s.Log, []storage.TileKey{k})
	if err != nil {
		return nil, err
	}
	if tiles[0] == nil {
		return nil, notThere(storage.ErrNotFound, path)
	}
	if len(tiles[0]) < hashSize*width {
		return tiles[0], nil // let the reader say what is wrong with it
	}
	if out, err := cut(k, tiles[0], width); err == nil {
		return out, nil
	}
	return tiles[0], nil
}

func notThere(err error, path string) error {
	if isNotFound(err) {
		return fmt.Errorf("log: no %s: %w", path, fs.ErrNotExist)
	}
	return err
}

// parsePath reads tile/<L>/<N>[.p/<W>] and tile/entries/<N>[.p/<W>]. It accepts
// exactly the paths that c2sp.org/tlog-tiles has: a tile has one name.
func parsePath(path string) (storage.TileKey, int, bool) {
	none := storage.TileKey{}
	rest, ok := strings.CutPrefix(path, "tile/")
	if !ok {
		return none, 0, false
	}
	level, rest, ok := strings.Cut(rest, "/")
	if !ok {
		return none, 0, false
	}
	k := storage.TileKey{Level: storage.EntriesLevel}
	if level != "entries" {
		l, ok := decimal(level, 63)
		if !ok {
			return none, 0, false
		}
		k.Level = int(l)
	}
	width := uint64(tileWidth)
	if number, w, partial := strings.Cut(rest, ".p/"); partial {
		if width, ok = decimal(w, tileWidth-1); !ok || width == 0 {
			return none, 0, false
		}
		rest = number
	}
	parts := strings.Split(rest, "/")
	for i, p := range parts {
		if i < len(parts)-1 {
			if p, ok = strings.CutPrefix(p, "x"); !ok {
				return none, 0, false
			}
		}
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || len(p) != 3 || k.N > 1<<50 || i == 0 && len(parts) > 1 && n == 0 {
			return none, 0, false
		}
		k.N = 1000*k.N + n
	}
	if k.Level > 7 {
		return none, 0, false // a tree of 2^64 entries has no such tile
	}
	return k, int(width), true
}

// decimal reads a number without sign and leading zeroes.
func decimal(s string, most uint64) (uint64, bool) {
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil && n <= most && strconv.FormatUint(n, 10) == s
}
