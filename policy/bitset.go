package policy

import "math/bits"

// bitset is a set of small integers. The zero value is empty; reading beyond
// the end finds nothing, so sets of different lengths mix freely.
type bitset []uint64

func (b bitset) has(i int32) bool {
	w := int(i) >> 6
	return w < len(b) && b[w]&(1<<(uint(i)&63)) != 0
}

func (b *bitset) add(i int32) {
	w := int(i) >> 6
	for len(*b) <= w {
		*b = append(*b, 0)
	}
	(*b)[w] |= 1 << (uint(i) & 63)
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

// union returns a new set.
func (b bitset) union(o bitset) bitset {
	if len(o) > len(b) {
		b, o = o, b
	}
	out := append(bitset(nil), b...)
	for i, w := range o {
		out[i] |= w
	}
	return out
}

// intersection returns a new set. It is never of length 0, so that one that came
// out empty can be told from one that nobody made.
func (b bitset) intersection(o bitset) bitset {
	out := make(bitset, max(1, min(len(b), len(o))))
	for i := range min(len(b), len(o)) {
		out[i] = b[i] & o[i]
	}
	return out
}

// meets reports whether the sets have a member in common.
func (b bitset) meets(o bitset) bool {
	for i := range min(len(b), len(o)) {
		if b[i]&o[i] != 0 {
			return true
		}
	}
	return false
}

// contains reports whether every member of o is in b.
func (b bitset) contains(o bitset) bool {
	for i, w := range o {
		if w == 0 {
			continue
		}
		if i >= len(b) || w&^b[i] != 0 {
			return false
		}
	}
	return true
}

// each calls f with the members in ascending order.
func (b bitset) each(f func(int32)) {
	for i, w := range b {
		for w != 0 {
			f(int32(i<<6 + bits.TrailingZeros64(w)))
			w &= w - 1
		}
	}
}
