package log

import "github.com/abide-privacy/abide/internal/storage"

// TestTree is a tree with the tiles that it wrote.
type TestTree struct {
	t     *tree
	tiles map[storage.TileKey][]byte
}

// NewTestTree returns an empty tree.
func NewTestTree() *TestTree { return &TestTree{&tree{}, map[storage.TileKey][]byte{}} }

// Append adds an entry.
func (x *TestTree) Append(entry []byte) {
	if err := x.t.append(entry); err != nil {
		panic(err)
	}
}

// Leave writes the tiles, takes the tree up again from them alone, and returns
// its root.
func (x *TestTree) Leave() [32]byte {
	for _, tile := range x.t.changed() {
		x.tiles[tile.TileKey] = tile.Data
	}
	var raw [][]byte
	for _, k := range edgeKeys(x.t.size) {
		raw = append(raw, x.tiles[k])
	}
	t, err := treeOf(x.t.size, raw)
	if err != nil {
		panic(err)
	}
	x.t = t
	return t.root()
}

// Tile returns what was written of a tile.
func (x *TestTree) Tile(k storage.TileKey) []byte { return x.tiles[k] }
