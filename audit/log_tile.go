package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/bits"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// Tiles as c2sp.org/tlog-tiles publishes them.
const (
	tileHeight     = 8
	tileWidth      = 1 << tileHeight
	checkpointPath = "checkpoint"
	maxEntry       = 1<<16 - 1
)

// emptyRoot is the root of a log without entries (RFC 6962, section 2.1).
var emptyRoot = sha256.Sum256(nil)

// LeafHash is the hash of an entry as a leaf of the tree (RFC 6962).
func LeafHash(entry []byte) Hash { return Hash(tlog.RecordHash(entry)) }

// TilePath returns where the log publishes a tile of the tree; width is 256 for
// a full one.
func TilePath(level int, n int64, width int) string {
	return "tile/" + strconv.Itoa(level) + "/" + number(n) + partial(width)
}

// BundlePath returns where the log publishes entries.
func BundlePath(n int64, width int) string { return "tile/entries/" + number(n) + partial(width) }

func number(n int64) string {
	s := fmt.Sprintf("%03d", n%1000)
	for n /= 1000; n > 0; n /= 1000 {
		s = fmt.Sprintf("x%03d/%s", n%1000, s)
	}
	return s
}

func partial(width int) string {
	if width == tileWidth {
		return ""
	}
	return ".p/" + strconv.Itoa(width)
}

// parseTile cuts a tile into hashes; it must have exactly that many.
func parseTile(path string, raw []byte, width int) ([]Hash, error) {
	if len(raw) != width*sha256.Size {
		return nil, &Fault{Code: TileMalformed, Path: path, Entry: -1,
			What: fmt.Sprintf("it has %d bytes; %d hashes have %d", len(raw), width, width*sha256.Size)}
	}
	out := make([]Hash, width)
	for i := range out {
		copy(out[i][:], raw[i*sha256.Size:])
	}
	return out, nil
}

// ParseBundle cuts a bundle into its entries, which share its memory. It must
// hold exactly that many, each with its length before it (16 bits, big-endian).
func ParseBundle(path string, first int64, raw []byte, width int) ([][]byte, error) {
	out := make([][]byte, 0, width)
	rest := raw
	for i := range width {
		bad := func(what string) error {
			return &Fault{Code: BundleMalformed, Path: path, Entry: first + int64(i), What: what}
		}
		if len(rest) < 2 {
			return nil, bad(fmt.Sprintf("it ends after %d of %d entries", i, width))
		}
		n := int(binary.BigEndian.Uint16(rest))
		if rest = rest[2:]; len(rest) < n {
			return nil, bad(fmt.Sprintf("the entry has %d bytes, %d are left", n, len(rest)))
		}
		out, rest = append(out, rest[:n:n]), rest[n:]
	}
	if len(rest) > 0 {
		return nil, &Fault{Code: BundleMalformed, Path: path, Entry: -1, What: fmt.Sprintf("%d bytes follow the last entry", len(rest))}
	}
	return out, nil
}

// subtree is the Merkle tree hash of hashes whose number is a power of two.
func subtree(hashes []Hash) Hash {
	if len(hashes) == 1 {
		return hashes[0]
	}
	half := len(hashes) / 2
	return Hash(tlog.NodeHash(tlog.Hash(subtree(hashes[:half])), tlog.Hash(subtree(hashes[half:]))))
}

// rootOf is the root of a tree from its partial tiles, lowest level first. What
// is left of them stands as one hash in the level above.
func rootOf(edge [][]Hash) Hash {
	root, any := emptyRoot, false
	for _, tile := range edge {
		for w := len(tile); w > 0; w &= w - 1 {
			low := 1 << bits.TrailingZeros(uint(w))
			h := subtree(tile[w-low : w])
			if any {
				h = Hash(tlog.NodeHash(tlog.Hash(h), tlog.Hash(root)))
			}
			root, any = h, true
		}
	}
	return root
}

// widthAt returns how wide the tile is at that place in a tree of that size.
func widthAt(size int64, level int, n int64) int {
	return int(min(size>>(tileHeight*level)-n*tileWidth, tileWidth))
}

// entriesUnder returns which entries a hash in a tile is about.
func entriesUnder(level int, n int64, position int) (first, count int64) {
	count = 1 << (tileHeight * level)
	return (n*tileWidth + int64(position)) * count, count
}

// cleanPath reports whether a path is one of a log's resources.
func cleanPath(path string) bool {
	return path == checkpointPath || path == "key" || strings.HasPrefix(path, "tile/") && !strings.Contains(path, "..")
}
