package audit

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// Verification says how a log is verified from end to end, and what is told
// meanwhile. All functions are called from one goroutine; any may be nil.
type Verification struct {
	// Since is a checkpoint that was verified earlier: the log must continue it.
	Since *Checkpoint
	// Resume goes on where an earlier run of the same log stopped. What that run
	// looked at is not looked at again, but the tree under the new checkpoint
	// still has to contain it.
	Resume *VerifyState
	// Found gets each fault as it is found.
	Found func(*Fault)
	// Entry gets each entry that is in the tree, in order.
	Entry func(index int64, entry []byte) error
	// Passed is called after every bundle with the state so far; a caller that
	// wants to resume keeps it now and then (State copies it).
	Passed func(*VerifyState)
	// Ahead is how many bundles and tiles are fetched ahead; 8 if zero. A bundle
	// has 8.5 KiB in Abide's logs, and never more than 16 MiB.
	Ahead int
}

// VerifyState is what a verification knows of the entries before Size: the
// partial tiles of that tree, as hashed from the entries. It takes the same
// memory whatever the size of the log.
type VerifyState struct {
	Size   int64    // a multiple of 256 except at the end
	Edge   [][]Hash // partial tiles of levels 1 and up
	Faults int64    // found so far
}

// Verify rebuilds the tree of a verified checkpoint from the entries and
// compares every tile and the root. It tells each fault and goes on, so that one
// changed entry does not hide another; where entries and tiles disagree, what
// the tile above says decides which of them was changed. It returns an error
// only if it could not go on. Memory does not grow with the log.
func (l *Log) Verify(ctx context.Context, c *Checkpoint, v Verification) (*VerifyState, error) {
	r := &rebuild{l: l, c: c, v: v, state: &VerifyState{}}
	if v.Resume != nil {
		if err := v.Resume.check(); err != nil {
			return nil, err
		}
		r.state = v.Resume.clone()
	}
	if r.state.Size > c.Size {
		r.found(&Fault{Code: LogShorter, Path: checkpointPath, Entry: c.Size, Count: r.state.Size - c.Size,
			What: fmt.Sprintf("%d entries were verified earlier, the log has %d", r.state.Size, c.Size)})
		return r.state, nil
	}
	if err := r.since(ctx); err != nil {
		return r.state, err
	}
	if err := r.entries(ctx); err != nil {
		return r.state, err
	}
	return r.state, r.finish(ctx)
}

// rebuild is one run of Verify.
type rebuild struct {
	l     *Log
	c     *Checkpoint
	v     Verification
	state *VerifyState
	// above are the tiles that are being filled, as published; level 1 first.
	above     []publishedTile
	last      []Hash // the partial tile of level 0, as hashed from the entries
	edge      []conflict
	sinceDone bool
}

type publishedTile struct {
	n      int64
	read   bool
	path   string
	hashes []Hash // nil if it is missing or malformed
}

func (r *rebuild) found(f *Fault) {
	r.state.Faults++
	if r.v.Found != nil {
		r.v.Found(f)
	}
}

// tell reports a fault and returns any other error.
func (r *rebuild) tell(err error) error {
	var f *Fault
	if errors.As(err, &f) {
		r.found(f)
		return nil
	}
	return err
}

// since checks what needs no entries; the rest is checked when the rebuilt tree
// has the old size.
func (r *rebuild) since(ctx context.Context) error {
	old := r.v.Since
	if old == nil {
		r.sinceDone = true
		return nil
	}
	done, err := compareCheckpoints(old, r.c)
	if !done && old.Size <= r.state.Size { // passed by an earlier run: the tiles must prove it
		done, err = true, r.l.CheckConsistency(ctx, old, r.c)
	}
	r.sinceDone = done
	return r.tell(err)
}

// sinceAt compares the old root once the tree reaches its size. edge are the
// partial tiles from level 0 on.
func (r *rebuild) sinceAt(first int64, hashes []Hash) {
	if r.sinceDone || r.v.Since.Size > first+int64(len(hashes)) || r.v.Since.Size == first+tileWidth {
		return
	}
	edge := append([][]Hash{hashes[:r.v.Since.Size-first]}, r.state.Edge...)
	r.sinceDone = true
	if rootOf(edge) != r.v.Since.Root {
		r.found(forked(r.v.Since, r.c))
	}
}

// chunk is a bundle and its tile of level 0, being fetched.
type chunk struct {
	n       int64
	width   int
	done    chan struct{}
	entries [][]byte
	hashes  []Hash // as published
	bundle  string // paths
	tile    string
	errs    [2]error
}

// entries goes through all bundles in order, fetching ahead.
func (r *rebuild) entries(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var fetching sync.WaitGroup
	defer fetching.Wait()
	defer cancel()
	ahead := r.v.Ahead
	if ahead < 1 {
		ahead = 8
	}
	chunks := make(chan *chunk, ahead-1)
	from := r.state.Size / tileWidth
	fetching.Go(func() {
		defer close(chunks)
		for n := from; n*tileWidth < r.c.Size; n++ {
			ch := &chunk{n: n, width: widthAt(r.c.Size, 0, n), done: make(chan struct{})}
			select {
			case chunks <- ch:
			case <-ctx.Done():
				return
			}
			fetching.Go(func() { r.l.fetch(ctx, ch) })
		}
	})
	for ch := range chunks {
		<-ch.done
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.take(ctx, ch); err != nil {
			return err
		}
		if r.v.Passed != nil {
			r.v.Passed(r.state)
		}
	}
	return ctx.Err()
}

func (l *Log) fetch(ctx context.Context, ch *chunk) {
	defer close(ch.done)
	ch.entries, ch.bundle, ch.errs[0] = l.bundle(ctx, ch.n, ch.width)
	ch.hashes, ch.tile, ch.errs[1] = l.tile(ctx, 0, ch.n, ch.width)
}

// take adds a bundle to the tree.
func (r *rebuild) take(ctx context.Context, ch *chunk) error {
	for _, err := range ch.errs {
		if err != nil {
			if err := r.tell(err); err != nil {
				return err
			}
		}
	}
	var below []Hash
	if ch.entries != nil {
		below = make([]Hash, ch.width)
		for i, e := range ch.entries {
			below[i] = LeafHash(e)
		}
	}
	c := conflict{n: ch.n, width: ch.width, below: below, published: ch.hashes, belowPath: ch.bundle, path: ch.tile}
	if ch.width < tileWidth {
		r.edge = append(r.edge, c)
		r.last = c.prefer()
		r.sinceAt(ch.n*tileWidth, r.last)
		r.state.Size += int64(ch.width)
		return r.hand(ch, r.last)
	}
	chosen, root, err := r.settle(ctx, c)
	if err != nil {
		return err
	}
	r.sinceAt(ch.n*tileWidth, chosen)
	if err := r.push(ctx, 1, root); err != nil {
		return err
	}
	r.state.Size += tileWidth
	r.sinceAt(r.state.Size, nil)
	return r.hand(ch, chosen)
}

// hand passes on the entries that are in the tree.
func (r *rebuild) hand(ch *chunk, chosen []Hash) error {
	if r.v.Entry == nil {
		return nil
	}
	for i, e := range ch.entries {
		if LeafHash(e) == chosen[i] {
			if err := r.v.Entry(ch.n*tileWidth+int64(i), e); err != nil {
				return err
			}
		}
	}
	return nil
}

// push adds a hash to the tile that is being filled at a level, and that tile to
// the one above once it is full.
func (r *rebuild) push(ctx context.Context, level int, h Hash) error {
	for len(r.state.Edge) < level {
		r.state.Edge = append(r.state.Edge, nil)
	}
	r.state.Edge[level-1] = append(r.state.Edge[level-1], h)
	tile := r.state.Edge[level-1]
	if len(tile) < tileWidth {
		return nil
	}
	n := (r.state.Size+tileWidth)>>(tileHeight*(level+1)) - 1
	p, err := r.published(ctx, level, n)
	if err != nil {
		return err
	}
	_, root, err := r.settle(ctx, conflict{level: level, n: n, width: tileWidth, below: tile, published: p.hashes, path: p.path})
	if err != nil {
		return err
	}
	r.state.Edge[level-1] = nil
	return r.push(ctx, level+1, root)
}

// published fetches the tile above the entries that are being read, once.
func (r *rebuild) published(ctx context.Context, level int, n int64) (*publishedTile, error) {
	for len(r.above) < level {
		r.above = append(r.above, publishedTile{})
	}
	p := &r.above[level-1]
	if p.read && p.n == n {
		return p, nil
	}
	width := widthAt(r.c.Size, level, n)
	*p = publishedTile{n: n, read: true}
	if width < 1 {
		return p, nil // above the top of the tree
	}
	var err error
	p.hashes, p.path, err = r.l.tile(ctx, level, n, width)
	if err != nil {
		p.hashes = nil
		return p, r.tell(err)
	}
	return p, nil
}

// finish compares the partial tiles and the root.
func (r *rebuild) finish(ctx context.Context) error {
	if r.c.Size%tileWidth == 0 {
		r.edge = append(r.edge, conflict{})
	}
	for level := 1; level <= len(r.state.Edge); level++ {
		c := conflict{level: level}
		if tile := r.state.Edge[level-1]; len(tile) > 0 {
			n := r.c.Size >> (tileHeight * level) / tileWidth
			p, err := r.published(ctx, level, n)
			if err != nil {
				return err
			}
			c = conflict{level: level, n: n, width: len(tile), below: tile, published: p.hashes, path: p.path}
		}
		r.edge = append(r.edge, c)
	}
	r.settleEdge()
	return nil
}
