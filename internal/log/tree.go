package log

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/storage"
)

const (
	tileWidth = 256
	hashSize  = 32
	// maxEntry is what the length before an entry in a bundle can say.
	maxEntry = 1<<16 - 1
)

// tree is a Merkle tree (RFC 6962) of which only the right edge is in memory:
// for each level the hashes of the tile that is not full yet, and the bundle of
// entries that is not full yet.
type tree struct {
	size   uint64
	bundle []byte
	edge   [][]tlog.Hash // at most 255 each
	dirty  []bool        // levels whose edge is not in full since the last grow
	full   []storage.Tile
}

// append adds an entry. Tiles that it fills are kept for grow.
func (t *tree) append(entry []byte) error {
	if len(entry) > maxEntry {
		return fmt.Errorf("log: an entry has at most %d bytes", maxEntry)
	}
	t.bundle = binary.BigEndian.AppendUint16(t.bundle, uint16(len(entry)))
	t.bundle = append(t.bundle, entry...)
	n := t.size / tileWidth
	t.size++
	if t.size%tileWidth == 0 {
		t.full = append(t.full, storage.Tile{TileKey: storage.TileKey{Level: storage.EntriesLevel, N: n}, Data: t.bundle})
		t.bundle = nil
	}
	h := tlog.RecordHash(entry)
	for level := 0; ; level++ {
		if level == len(t.edge) {
			t.edge, t.dirty = append(t.edge, nil), append(t.dirty, false)
		}
		t.edge[level], t.dirty[level] = append(t.edge[level], h), true
		if len(t.edge[level]) < tileWidth {
			return nil
		}
		t.full = append(t.full, storage.Tile{TileKey: storage.TileKey{Level: level, N: n}, Data: joined(t.edge[level])})
		h = subtree(t.edge[level])
		t.edge[level], t.dirty[level] = nil, false
		n /= tileWidth
	}
}

// changed returns every tile and bundle that append changed since the last call,
// each as far as it is filled now.
func (t *tree) changed() []storage.Tile {
	out := t.full
	t.full = nil
	if len(t.bundle) > 0 && len(t.dirty) > 0 && t.dirty[0] {
		out = append(out, storage.Tile{TileKey: storage.TileKey{Level: storage.EntriesLevel, N: t.size / tileWidth}, Data: append([]byte(nil), t.bundle...)})
	}
	for level := range t.edge {
		if t.dirty[level] {
			out = append(out, storage.Tile{TileKey: storage.TileKey{Level: level, N: t.size >> (8 * (level + 1))}, Data: joined(t.edge[level])})
		}
		t.dirty[level] = false
	}
	return out
}

// root is the Merkle tree hash of all entries.
func (t *tree) root() [32]byte {
	var root tlog.Hash
	any := false
	for _, tile := range t.edge {
		for w := len(tile); w > 0; w &= w - 1 {
			low := 1 << bits.TrailingZeros(uint(w))
			h := subtree(tile[w-low : w])
			if any {
				h = tlog.NodeHash(h, root)
			}
			root, any = h, true
		}
	}
	if !any {
		return emptyRoot
	}
	return root
}

// clone is a tree that grows by itself.
func (t *tree) clone() *tree {
	c := &tree{size: t.size, bundle: append([]byte(nil), t.bundle...), dirty: make([]bool, len(t.edge))}
	for _, tile := range t.edge {
		c.edge = append(c.edge, append([]tlog.Hash(nil), tile...))
	}
	return c
}

// emptyRoot is the root of a tree without entries: the hash of nothing.
var emptyRoot = func() [32]byte {
	h, err := tlog.TreeHash(0, nil)
	if err != nil {
		panic(err) // it reads nothing
	}
	return h
}()

// subtree is the Merkle tree hash of hashes whose number is a power of two.
func subtree(hashes []tlog.Hash) tlog.Hash {
	if len(hashes) == 1 {
		return hashes[0]
	}
	half := len(hashes) / 2
	return tlog.NodeHash(subtree(hashes[:half]), subtree(hashes[half:]))
}

func joined(hashes []tlog.Hash) []byte {
	out := make([]byte, 0, hashSize*len(hashes))
	for i := range hashes {
		out = append(out, hashes[i][:]...)
	}
	return out
}

// edgeKeys names the tiles from which a tree of that size can be continued: the
// bundle that is not full, and the partial tile of each level.
func edgeKeys(size uint64) []storage.TileKey {
	keys := []storage.TileKey{{Level: storage.EntriesLevel, N: size / tileWidth}}
	for level := 0; size>>(8*level) > 0; level++ {
		keys = append(keys, storage.TileKey{Level: level, N: size >> (8 * (level + 1))})
	}
	return keys
}

var errTiles = errors.New("log: tiles are missing or too short")

// treeOf continues a tree of that size from the tiles of edgeKeys, of which it
// takes as much as belongs to the size.
func treeOf(size uint64, tiles [][]byte) (*tree, error) {
	t := &tree{size: size}
	bundle, err := cutBundle(tiles[0], int(size%tileWidth))
	if err != nil {
		return nil, err
	}
	t.bundle = append([]byte(nil), bundle...)
	for level := 0; size>>(8*level) > 0; level++ {
		width := int(size >> (8 * level) % tileWidth)
		raw := tiles[level+1]
		if len(raw) < hashSize*width {
			return nil, errTiles
		}
		var hashes []tlog.Hash
		for i := range width {
			hashes = append(hashes, tlog.Hash(raw[hashSize*i:]))
		}
		t.edge, t.dirty = append(t.edge, hashes), append(t.dirty, false)
	}
	return t, nil
}

// cutBundle returns the first entries of a bundle, still with their lengths.
func cutBundle(raw []byte, entries int) ([]byte, error) {
	at := 0
	for range entries {
		if len(raw) < at+2 {
			return nil, errTiles
		}
		at += 2 + int(binary.BigEndian.Uint16(raw[at:]))
	}
	if len(raw) < at {
		return nil, errTiles
	}
	return raw[:at], nil
}

// widthAt is how wide a tile is in a tree of that size.
func widthAt(size uint64, k storage.TileKey) int {
	level := max(k.Level, 0)
	have := size >> (8 * level)
	if have <= k.N*tileWidth {
		return 0
	}
	return int(min(have-k.N*tileWidth, tileWidth))
}

// pathOf is where a tile or bundle of that width is published.
func pathOf(k storage.TileKey, width int) string {
	if k.Level == storage.EntriesLevel {
		return audit.BundlePath(int64(k.N), width)
	}
	return audit.TilePath(k.Level, int64(k.N), width)
}

// cut returns a tile at a smaller width.
func cut(k storage.TileKey, data []byte, width int) ([]byte, error) {
	if k.Level == storage.EntriesLevel {
		return cutBundle(data, width)
	}
	if len(data) < hashSize*width {
		return nil, errTiles
	}
	return data[:hashSize*width], nil
}
