package audit

import (
	"context"
	"fmt"
)

// conflict is a tile in two forms: as hashed from what is below it, and as
// published. Either may be missing.
type conflict struct {
	level     int
	n         int64
	width     int
	below     []Hash
	published []Hash
	path      string
	belowPath string // of the bundle, at level 0
}

func (c *conflict) settled() bool {
	if c.below == nil || c.published == nil {
		return true // what is missing was told already
	}
	return len(c.differing()) == 0
}

func (c *conflict) differing() (at []int) {
	for i := range c.below {
		if c.below[i] != c.published[i] {
			at = append(at, i)
		}
	}
	return at
}

// prefer returns the form to go on with when nothing decides. A bundle and its
// tile that are both missing leave a hole of zeroes, which fits no root.
func (c *conflict) prefer() []Hash {
	switch {
	case c.below != nil:
		return c.below
	case c.published != nil:
		return c.published
	}
	return make([]Hash, c.width)
}

// settle chooses between the forms of a full tile by what the published tile
// above says of it, tells which was changed, and returns the tile and its hash.
func (r *rebuild) settle(ctx context.Context, c conflict) ([]Hash, Hash, error) {
	if c.settled() && (c.below != nil || c.published != nil) {
		return c.prefer(), subtree(c.prefer()), nil
	}
	up, err := r.published(ctx, c.level+1, c.n/tileWidth)
	if err != nil {
		return nil, Hash{}, err
	}
	if up.hashes == nil {
		if !c.settled() {
			r.undecided(&c)
		}
		return c.prefer(), subtree(c.prefer()), nil
	}
	says := up.hashes[c.n%tileWidth]
	switch {
	case c.settled(): // both are missing: what is above stands for them
		return c.prefer(), says, nil
	case subtree(c.published) == says:
		r.belowChanged(&c)
		return c.published, says, nil
	case subtree(c.below) == says:
		r.tileChanged(&c, "it is not what the entries below hash to, and the tile above agrees with them")
		return c.below, says, nil
	}
	r.undecided(&c)
	return c.below, subtree(c.below), nil
}

// belowChanged tells that what is under a tile was changed, and the tile not.
func (r *rebuild) belowChanged(c *conflict) {
	for _, i := range c.differing() {
		first, count := entriesUnder(c.level, c.n, i)
		if c.level == 0 {
			r.found(&Fault{Code: EntryDiffers, Path: c.belowPath, Entry: first, Count: count,
				What: "it is not the entry whose hash is in the tree"})
			continue
		}
		if r.v.Resume != nil && first < r.v.Resume.Size {
			r.found(&Fault{Code: LogForked, Path: c.path, Entry: first, Count: count,
				What: "these are not the entries that an earlier run verified"})
			continue
		}
		r.found(&Fault{Code: SubtreeDiffers, Path: TilePath(c.level-1, c.n*tileWidth+int64(i), tileWidth), Entry: first, Count: count,
			What: "the tile and what is below it agree on other entries than " + c.path + " has"})
	}
}

// tileChanged tells that a tile was changed, and neither what is under it nor
// what is above.
func (r *rebuild) tileChanged(c *conflict, what string) {
	for _, i := range c.differing() {
		first, count := entriesUnder(c.level, c.n, i)
		r.found(&Fault{Code: TileDiffers, Path: c.path, Entry: first, Count: count, Position: &i, What: what})
	}
}

func (r *rebuild) undecided(c *conflict) {
	r.tileChanged(c, "it is not what the entries below hash to, and nothing above agrees with either")
}

// settleEdge chooses between the forms of the partial tiles so that they make
// the checkpoint's root.
func (r *rebuild) settleEdge() {
	var open []int
	edge := make([][]Hash, len(r.edge))
	for i := range r.edge {
		if r.edge[i].width > 0 {
			edge[i] = r.edge[i].prefer()
		}
		if !r.edge[i].settled() {
			open = append(open, i)
		}
	}
	// One bit for each level in doubt: set, the published tile is taken. There
	// are as many levels as bytes in a size, so at most 256 choices.
	for choice := range 1 << len(open) {
		for bit, i := range open {
			edge[i] = r.edge[i].below
			if choice>>bit&1 == 1 {
				edge[i] = r.edge[i].published
			}
		}
		if rootOf(edge) != r.c.Root {
			continue
		}
		for bit, i := range open {
			if choice>>bit&1 == 1 {
				r.belowChanged(&r.edge[i])
			} else {
				r.tileChanged(&r.edge[i], "it is not what the entries below hash to, and the checkpoint agrees with them")
			}
		}
		return
	}
	for _, i := range open {
		r.undecided(&r.edge[i])
	}
	r.found(&Fault{Code: CheckpointRoot, Path: checkpointPath, Entry: 0, Count: r.c.Size,
		What: fmt.Sprintf("the %d entries do not make the tree that the checkpoint signs", r.c.Size)})
}
