package storage

import (
	"encoding/binary"
	"errors"
	"slices"
	"time"

	abide "github.com/abide-privacy/abide"
)

// ErasureDone is the step of an erasure of which only the certificate is left.
const ErasureDone = "done"

// Micros is how both adapters keep a time: microseconds since 1970, UTC. What
// is finer is cut off. The zero time keeps its meaning.
func Micros(t time.Time) int64 { return t.UnixMicro() }

// FromMicros is the inverse of Micros, in UTC.
func FromMicros(us int64) time.Time { return time.UnixMicro(us).UTC() }

// looksFormat is the first byte of encoded looks, so that the form can change
// while old batches still wait to be indexed.
const looksFormat = 1

var errLooks = errors.New("storage: spooled looks are damaged")

// EncodeLooks packs the looks of a batch into the one value that a spool row
// holds: for each, subject, time, kind, payload, envelope and commitment,
// variable parts preceded by their length (binary.AppendUvarint).
func EncodeLooks(looks []Look) []byte {
	n := 1 + binary.MaxVarintLen64
	for i := range looks {
		l := &looks[i]
		n += 16 + 8 + 32 + 3*binary.MaxVarintLen32 + len(l.Kind) + len(l.Payload) + len(l.Envelope)
	}
	b := make([]byte, 0, n)
	b = append(b, looksFormat)
	b = binary.AppendUvarint(b, uint64(len(looks)))
	for i := range looks {
		l := &looks[i]
		b = append(b, l.Subject[:]...)
		b = binary.BigEndian.AppendUint64(b, uint64(Micros(l.At)))
		b = append(b, l.Commitment[:]...)
		b = binary.AppendUvarint(b, uint64(len(l.Kind)))
		b = append(b, l.Kind...)
		b = binary.AppendUvarint(b, uint64(len(l.Payload)))
		b = append(b, l.Payload...)
		b = binary.AppendUvarint(b, uint64(len(l.Envelope)))
		b = append(b, l.Envelope...)
	}
	return b
}

// DecodeLooks is the inverse of EncodeLooks. The looks own their bytes.
func DecodeLooks(b []byte) ([]Look, error) {
	if len(b) == 0 || b[0] != looksFormat {
		return nil, errLooks
	}
	r := reader{b: b[1:]}
	n := r.uvarint()
	if n > uint64(len(b)) {
		return nil, errLooks
	}
	looks := make([]Look, 0, n)
	for range n {
		var l Look
		copy(l.Subject[:], r.take(16))
		if at := r.take(8); at != nil {
			l.At = FromMicros(int64(binary.BigEndian.Uint64(at)))
		}
		copy(l.Commitment[:], r.take(32))
		l.Kind = string(r.prefixed())
		l.Payload = append([]byte(nil), r.prefixed()...)
		l.Envelope = append([]byte(nil), r.prefixed()...)
		looks = append(looks, l)
	}
	if r.bad || len(r.b) != 0 {
		return nil, errLooks
	}
	return looks, nil
}

// reader takes values off the front of b until one is missing.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n uint64) []byte {
	if r.bad || n > uint64(len(r.b)) {
		r.bad = true
		return nil
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if r.bad || n <= 0 {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) prefixed() []byte { return r.take(r.uvarint()) }

// Sorted returns the categories in order, each once: the order in which Load
// returns items.
func Sorted(categories []abide.Category) []abide.Category {
	out := slices.Clone(categories)
	slices.Sort(out)
	return slices.Compact(out)
}
