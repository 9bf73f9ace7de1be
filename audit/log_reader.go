package audit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/mod/sumdb/tlog"
)

const (
	maxNote   = 1 << 20
	maxTile   = tileWidth * sha256.Size
	maxBundle = tileWidth * (2 + maxEntry)
)

// Log reads a published log and believes nothing of it but what the keys, and
// the hashes under what they signed, prove.
type Log struct {
	src  Source
	keys *Keys
}

// NewLog returns a reader of the log published there under these keys.
func NewLog(src Source, keys *Keys) *Log { return &Log{src, keys} }

// Checkpoint fetches and verifies the checkpoint that is published now.
func (l *Log) Checkpoint(ctx context.Context) (*SignedCheckpoint, error) {
	raw, err := l.src.Read(ctx, checkpointPath, maxNote)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &Fault{Code: CheckpointMissing, Path: checkpointPath, Entry: -1, What: "no checkpoint is published", Err: err}
	}
	if err != nil {
		return nil, err
	}
	return l.keys.Open(raw)
}

// ProveInclusion returns the hashes that lead from an entry's leaf to the root,
// the leaf's sibling first (RFC 6962, section 2.1.1), and the leaf. All are
// verified against the checkpoint.
func (l *Log) ProveInclusion(ctx context.Context, c *Checkpoint, index int64) (leaf Hash, proof []Hash, err error) {
	if index < 0 || index >= c.Size {
		return Hash{}, nil, fmt.Errorf("audit: the log has the entries 0 to %d", c.Size-1)
	}
	r := l.tree(ctx, c)
	got, err := r.ReadHashes([]int64{tlog.StoredHashIndex(0, index)})
	if err != nil {
		return Hash{}, nil, err
	}
	p, err := tlog.ProveRecord(c.Size, index, r)
	if err != nil {
		return Hash{}, nil, err
	}
	return Hash(got[0]), hashesOf(p), nil
}

// ProveConsistency returns the proof that the tree of the old size is the
// beginning of the checkpoint's (RFC 6962, section 2.1.2). It is empty if there
// is nothing to prove.
func (l *Log) ProveConsistency(ctx context.Context, c *Checkpoint, old int64) ([]Hash, error) {
	if old < 0 || old > c.Size {
		return nil, fmt.Errorf("audit: there is no proof from %d entries to %d", old, c.Size)
	}
	if old == 0 || old == c.Size {
		return nil, nil
	}
	p, err := tlog.ProveTree(c.Size, old, l.tree(ctx, c))
	if err != nil {
		return nil, err
	}
	return hashesOf(p), nil
}

// CheckConsistency verifies that the log at the new checkpoint continues what
// it was at the old one. A Fault of LogShorter or LogForked says that it does
// not; another error, that it could not be found out.
func (l *Log) CheckConsistency(ctx context.Context, old, now *Checkpoint) error {
	if done, err := compareCheckpoints(old, now); done {
		return err
	}
	root, err := tlog.TreeHash(old.Size, l.tree(ctx, now))
	if err != nil {
		return err
	}
	if Hash(root) != old.Root {
		return forked(old, now)
	}
	return nil
}

// compareCheckpoints judges what needs no proof.
func compareCheckpoints(old, now *Checkpoint) (done bool, err error) {
	switch {
	case old.Origin != now.Origin:
		return true, &Fault{Code: CheckpointOrigin, Path: checkpointPath, Entry: -1, What: "the two checkpoints are of different logs"}
	case now.Size < old.Size:
		return true, &Fault{Code: LogShorter, Path: checkpointPath, Entry: now.Size, Count: old.Size - now.Size,
			What: fmt.Sprintf("the log had %d entries and has %d", old.Size, now.Size)}
	case now.Size == old.Size && now.Root != old.Root:
		return true, forked(old, now)
	}
	return now.Size == old.Size || old.Size == 0, nil
}

func forked(old, now *Checkpoint) *Fault {
	return &Fault{Code: LogForked, Path: checkpointPath, Entry: 0, Count: old.Size,
		What: fmt.Sprintf("the first %d of %d entries are not those that the log signed before", old.Size, now.Size)}
}

// Entry returns one entry, verified against the checkpoint.
func (l *Log) Entry(ctx context.Context, c *Checkpoint, index int64) ([]byte, error) {
	leaf, _, err := l.ProveInclusion(ctx, c, index)
	if err != nil {
		return nil, err
	}
	n := index / tileWidth
	entries, path, err := l.bundle(ctx, n, widthAt(c.Size, 0, n))
	if err != nil {
		return nil, err
	}
	e := entries[index%tileWidth]
	if LeafHash(e) != leaf {
		return nil, &Fault{Code: EntryDiffers, Path: path, Entry: index, What: "it is not the entry whose hash is in the tree"}
	}
	return e, nil
}

// Find returns the index of an entry, searching from the newest on. It returns
// -1 if the log under this checkpoint does not have it. passed, which may be
// nil, is told how many entries were searched.
func (l *Log) Find(ctx context.Context, c *Checkpoint, entry []byte, passed func(int64)) (int64, error) {
	for n := (c.Size - 1) / tileWidth; n >= 0 && c.Size > 0; n-- {
		entries, _, err := l.bundle(ctx, n, widthAt(c.Size, 0, n))
		if err != nil {
			return -1, err
		}
		for i, e := range entries {
			if bytes.Equal(e, entry) {
				return n*tileWidth + int64(i), nil
			}
		}
		if passed != nil {
			passed(c.Size - n*tileWidth)
		}
	}
	return -1, nil
}

// bundle fetches entries. The log may have dropped a partial bundle once the
// full one exists.
func (l *Log) bundle(ctx context.Context, n int64, width int) ([][]byte, string, error) {
	path, full := BundlePath(n, width), BundlePath(n, tileWidth)
	raw, err := l.src.Read(ctx, path, maxBundle)
	if path != full && errors.Is(err, fs.ErrNotExist) {
		if wide, err2 := l.src.Read(ctx, full, maxBundle); err2 == nil {
			entries, err := ParseBundle(full, n*tileWidth, wide, tileWidth)
			if err != nil {
				return nil, full, err
			}
			return entries[:width], full, nil
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, path, &Fault{Code: BundleMissing, Path: path, Entry: n * tileWidth, Count: int64(width), What: "the bundle is not published"}
	}
	if err != nil {
		return nil, path, err
	}
	entries, err := ParseBundle(path, n*tileWidth, raw, width)
	return entries, path, err
}

// tile fetches hashes, likewise.
func (l *Log) tile(ctx context.Context, level int, n int64, width int) ([]Hash, string, error) {
	path, full := TilePath(level, n, width), TilePath(level, n, tileWidth)
	raw, err := l.src.Read(ctx, path, maxTile)
	if path != full && errors.Is(err, fs.ErrNotExist) {
		if wide, err2 := l.src.Read(ctx, full, maxTile); err2 == nil {
			hashes, err := parseTile(full, wide, tileWidth)
			if err != nil {
				return nil, full, err
			}
			return hashes[:width], full, nil
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		first, each := entriesUnder(level, n, 0)
		return nil, path, &Fault{Code: TileMissing, Path: path, Entry: first, Count: each * int64(width), What: "the tile is not published"}
	}
	if err != nil {
		return nil, path, err
	}
	hashes, err := parseTile(path, raw, width)
	return hashes, path, err
}

func hashesOf(in []tlog.Hash) []Hash {
	out := make([]Hash, len(in))
	for i, h := range in {
		out[i] = Hash(h)
	}
	return out
}
