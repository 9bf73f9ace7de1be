// Package wire is the compact binary form of what the vault seals: bit masks
// of the fields that are present, variable-length integers, strings with their
// length. It is deterministic: equal values give equal bytes.
//
// Each record begins with a form number, and each mask knows the fields of its
// version. A reader that meets a bit it does not know fails with ErrNewer
// instead of dropping what it cannot understand.
package wire

import (
	"encoding/binary"
	"errors"
	"time"
)

// Errors of reading. Neither says what the bytes held.
var (
	ErrNewer   = errors.New("wire: written by a newer version of abide")
	ErrDamaged = errors.New("wire: not a record of this form")
)

// AppendString appends the length of s and s.
func AppendString[S ~string](b []byte, s S) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// AppendBytes appends the length of p and p.
func AppendBytes(b, p []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(p)))
	return append(b, p...)
}

// AppendStrings appends how many strings there are, and each.
func AppendStrings[S ~string](b []byte, list []S) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, s := range list {
		b = AppendString(b, s)
	}
	return b
}

// AppendTime appends an instant to the nanosecond; its zone is not kept. It
// takes 12 bytes: a state holds many instants, and fixed ones are read fastest.
func AppendTime(b []byte, t time.Time) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(t.Unix()))
	return binary.BigEndian.AppendUint32(b, uint32(t.Nanosecond()))
}

// Mask collects which fields are present, lowest bit first.
type Mask uint64

// Set sets a bit if on.
func (m *Mask) Set(bit int, on bool) {
	if on {
		*m |= 1 << bit
	}
}

// Has reports whether a bit is set.
func (m Mask) Has(bit int) bool { return m&(1<<bit) != 0 }

// Reader reads a record. The first error sticks: everything read after it is
// zero, and Done returns it. Strings it returns are parts of the one string it
// reads, so that reading allocates nothing for them.
type Reader struct {
	s   string
	off int
	err error
}

// NewReader returns a reader of a record in memory.
func NewReader(s string) *Reader { return &Reader{s: s} }

// Fail makes the reader fail if it has not already.
func (r *Reader) Fail(err error) {
	if r.err == nil {
		r.err = err
		r.off = len(r.s)
	}
}

// Done returns the first error, ErrDamaged if bytes are left over.
func (r *Reader) Done() error {
	if r.err == nil && r.off != len(r.s) {
		return ErrDamaged
	}
	return r.err
}

// Form reads the form number that begins a record.
func (r *Reader) Form(want byte) {
	switch {
	case r.off >= len(r.s):
		r.Fail(ErrDamaged)
	case r.s[r.off] > want:
		r.Fail(ErrNewer)
	case r.s[r.off] < want:
		r.Fail(ErrDamaged)
	default:
		r.off++
	}
}

// Mask reads a mask whose version knows the first n bits.
func (r *Reader) Mask(n int) Mask {
	m := r.Uvarint()
	if m>>n != 0 {
		r.Fail(ErrNewer)
		return 0
	}
	return Mask(m)
}

// Uvarint reads an unsigned integer. Most fit in one byte; that path is short
// enough to be inlined.
func (r *Reader) Uvarint() uint64 {
	if r.off < len(r.s) && r.s[r.off] < 0x80 {
		r.off++
		return uint64(r.s[r.off-1])
	}
	return r.uvarint()
}

func (r *Reader) uvarint() uint64 {
	var x uint64
	for shift := 0; shift < 64; shift += 7 {
		if r.off >= len(r.s) {
			break
		}
		c := r.s[r.off]
		r.off++
		if c < 0x80 {
			if shift == 63 && c > 1 {
				break
			}
			return x | uint64(c)<<shift
		}
		x |= uint64(c&0x7f) << shift
	}
	r.Fail(ErrDamaged)
	return 0
}

// Varint reads a signed integer.
func (r *Reader) Varint() int64 {
	u := r.Uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

// Raw reads n bytes.
func (r *Reader) Raw(n int) string {
	if n < 0 || n > len(r.s)-r.off {
		r.Fail(ErrDamaged)
		return ""
	}
	r.off += n
	return r.s[r.off-n : r.off]
}

// Byte reads one byte.
func (r *Reader) Byte() byte {
	if r.off >= len(r.s) {
		r.Fail(ErrDamaged)
		return 0
	}
	r.off++
	return r.s[r.off-1]
}

// String reads a string.
func (r *Reader) String() string {
	n := r.Uvarint()
	if n > uint64(len(r.s)-r.off) {
		r.Fail(ErrDamaged)
		return ""
	}
	return r.Raw(int(n))
}

// Count reads how many elements follow, each of at least min bytes, so that a
// damaged length cannot ask for more memory than the record could fill.
func (r *Reader) Count(min int) int {
	n := r.Uvarint()
	if n > uint64((len(r.s)-r.off)/min) {
		r.Fail(ErrDamaged)
		return 0
	}
	return int(n)
}

// Time reads an instant, in UTC.
func (r *Reader) Time() time.Time {
	if len(r.s)-r.off < 12 {
		r.Fail(ErrDamaged)
		return time.Time{}
	}
	b := r.s[r.off : r.off+12]
	r.off += 12
	sec := uint64(b[0])<<56 | uint64(b[1])<<48 | uint64(b[2])<<40 | uint64(b[3])<<32 |
		uint64(b[4])<<24 | uint64(b[5])<<16 | uint64(b[6])<<8 | uint64(b[7])
	nsec := uint32(b[8])<<24 | uint32(b[9])<<16 | uint32(b[10])<<8 | uint32(b[11])
	if nsec >= 1e9 {
		r.Fail(ErrDamaged)
		return time.Time{}
	}
	return time.Unix(int64(sec), int64(nsec)).UTC()
}

// Strings reads a list of strings; an empty one is nil.
func Strings[S ~string](r *Reader) []S {
	n := r.Count(1)
	if n == 0 {
		return nil
	}
	out := make([]S, n)
	for i := range out {
		out[i] = S(r.String())
	}
	if r.err != nil {
		return nil
	}
	return out
}
