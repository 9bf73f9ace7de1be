package audit

import (
	"context"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// tree reads hashes of a checkpoint's tree. Every tile is verified before any
// hash of it is used: those on the right edge together against the root, all
// others each against the tile above. It lives for one proof and keeps the
// tiles of that.
type tree struct {
	ctx   context.Context
	l     *Log
	c     *Checkpoint
	edge  [][]Hash
	tiles map[[2]int64][]Hash
}

func (l *Log) tree(ctx context.Context, c *Checkpoint) *tree {
	return &tree{ctx: ctx, l: l, c: c, tiles: map[[2]int64][]Hash{}}
}

// ReadHashes implements tlog.HashReader.
func (t *tree) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		height, n := tlog.SplitStoredHashIndex(x)
		if (n+1)<<height > t.c.Size {
			return nil, fmt.Errorf("audit: there is no such hash in a tree of %d entries", t.c.Size)
		}
		level, in := height/tileHeight, height%tileHeight
		first := n << in
		hashes, err := t.tile(level, first/tileWidth)
		if err != nil {
			return nil, err
		}
		at := first % tileWidth
		out[i] = tlog.Hash(subtree(hashes[at : at+1<<in]))
	}
	return out, nil
}

// tile returns a tile as wide as it is in this tree.
func (t *tree) tile(level int, n int64) ([]Hash, error) {
	if err := t.readEdge(); err != nil {
		return nil, err
	}
	if n == t.c.Size>>(tileHeight*level)/tileWidth {
		return t.edge[level], nil
	}
	if got := t.tiles[[2]int64{int64(level), n}]; got != nil {
		return got, nil
	}
	above, err := t.tile(level+1, n/tileWidth)
	if err != nil {
		return nil, err
	}
	hashes, path, err := t.l.tile(t.ctx, level, n, tileWidth)
	if err != nil {
		return nil, err
	}
	if subtree(hashes) != above[n%tileWidth] {
		first, count := entriesUnder(level+1, n/tileWidth, int(n%tileWidth))
		return nil, &Fault{Code: TileDiffers, Path: path, Entry: first, Count: count, What: "it does not hash to what the tile above says"}
	}
	t.tiles[[2]int64{int64(level), n}] = hashes
	return hashes, nil
}

// readEdge fetches the partial tiles, which together make the root.
func (t *tree) readEdge() error {
	if t.edge != nil {
		return nil
	}
	edge, paths := [][]Hash{}, []string{}
	for level := 0; t.c.Size>>(tileHeight*level) > 0; level++ {
		n := t.c.Size >> (tileHeight * level) / tileWidth
		var hashes []Hash
		if width := widthAt(t.c.Size, level, n); width > 0 {
			var path string
			var err error
			if hashes, path, err = t.l.tile(t.ctx, level, n, width); err != nil {
				return err
			}
			paths = append(paths, path)
		}
		edge = append(edge, hashes)
	}
	if rootOf(edge) != t.c.Root {
		path := strings.Join(paths, " ")
		return &Fault{Code: CheckpointRoot, Path: path, Entry: -1, What: "the partial tiles do not hash to the checkpoint's root: one of them was changed, or the checkpoint signs another tree"}
	}
	t.edge = edge
	return nil
}
