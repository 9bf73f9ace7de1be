package sqlite

import (
	"iter"
	"math/bits"
)

// pageSet is a set of page numbers, a bit each: a server may write for weeks
// between two scrubs, and then nearly every page of its file is in it. 16 GB
// of file are 256 kB of set.
type pageSet []uint64

func (s *pageSet) add(n uint32) {
	for int(n/64) >= len(*s) {
		*s = append(*s, 0)
	}
	(*s)[n/64] |= 1 << (n % 64)
}

// all ranges over the pages in the order of the file.
func (s pageSet) all() iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for i, word := range s {
			for ; word != 0; word &= word - 1 {
				if !yield(uint32(i*64 + bits.TrailingZeros64(word))) {
					return
				}
			}
		}
	}
}
