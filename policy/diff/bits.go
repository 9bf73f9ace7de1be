package diff

import (
	"math/bits"
	"slices"
)

// bitset is a set of small integers below a size fixed when it is made. Sets
// that meet in one operation have the same size.
type bitset []uint64

// cleared returns an empty set of integers below n, in place if there is room.
func (b bitset) cleared(n int) bitset {
	b = resize(b, (n+63)/64)
	clear(b)
	return b
}

func (b bitset) set(i int)      { b[i/64] |= 1 << (i % 64) }
func (b bitset) has(i int) bool { return b[i/64]&(1<<(i%64)) != 0 }

func (b bitset) fill(n int) {
	for i := range n {
		b.set(i)
	}
}

func (b bitset) empty() bool {
	for _, w := range b {
		if w != 0 {
			return false
		}
	}
	return true
}

func (b bitset) len() int {
	n := 0
	for _, w := range b {
		n += bits.OnesCount64(w)
	}
	return n
}

func (b bitset) each(visit func(int)) {
	for i, w := range b {
		for ; w != 0; w &= w - 1 {
			visit(i*64 + bits.TrailingZeros64(w))
		}
	}
}

// both is x and y, others x without y; they write into b.
func (b bitset) both(x, y bitset) {
	for i := range b {
		b[i] = x[i] & y[i]
	}
}

func (b bitset) others(x, y bitset) {
	for i := range b {
		b[i] = x[i] &^ y[i]
	}
}

func (b bitset) join(x bitset) {
	for i := range b {
		b[i] |= x[i]
	}
}

// appendTo writes the set as bytes that no other set of its size has.
func (b bitset) appendTo(key []byte) []byte {
	for _, w := range b {
		for range 8 {
			key = append(key, byte(w))
			w >>= 8
		}
	}
	return key
}

// table is a list of sets of one size.
type table struct {
	words []uint64
	width int // of one set, in words
}

// cleared returns a table of rows empty sets below n, in place if there is
// room.
func (t table) cleared(rows, n int) table {
	t.width = (n + 63) / 64
	t.words = resize(t.words, rows*t.width)
	clear(t.words)
	return t
}

func (t table) row(i int) bitset { return t.words[i*t.width : (i+1)*t.width] }

func (t table) equal(o table) bool { return slices.Equal(t.words, o.words) }
func (t table) empty() bool        { return bitset(t.words).empty() }

// resize returns a slice of n elements, whatever they are, in place if there is
// room.
func resize[T any](s []T, n int) []T { return slices.Grow(s[:0], n)[:n] }
