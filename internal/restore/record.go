package restore

import (
	"encoding/binary"
	"errors"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/wire"
)

// Kind says what a record restores.
type Kind string

// The kinds of record. What each payload holds is the caller's business.
const (
	Erasure  Kind = "erasure"
	Consent  Kind = "consent"  // an event of the ledger of consent
	Facts    Kind = "facts"    // residence, age, restriction, guardian
	Holds    Kind = "holds"    // what is held, as a whole
	Services Kind = "services" // which the person takes part in, or left
	Event    Kind = "event"    // a fact that deadlines wait for
	Item     Kind = "item"     // a corrected value
	Removed  Kind = "removed"  // a value that was taken out
)

// Record is one thing to restore, about one subject.
type Record struct {
	Kind    Kind
	Subject abide.SubjectID
	// Call names the request that the record comes from: a request that builds
	// its change again, or is retried under its idempotency key, appends under
	// the same name. Pos orders the records of one change.
	Call [16]byte
	Pos  uint32
	// Generation counts the restores of the store. Within one, Version (the
	// subject's, after the change) orders the records of a subject.
	Generation uint64
	Version    uint64
	At         time.Time
	// EntryN and Commitment are those of the change's last log entry, by which
	// a store tells whether it holds the change. Zero for an erasure.
	EntryN     uint64
	Commitment [32]byte
	Payload    []byte // sealed
}

const recordForm = 1

var errRecord = errors.New("restore: a record of the ledger cannot be read")

// Append appends the encoded record to b.
func (r *Record) Append(b []byte) []byte {
	b = append(b, recordForm)
	b = wire.AppendString(b, r.Kind)
	b = append(b, r.Subject[:]...)
	b = append(b, r.Call[:]...)
	for _, n := range []uint64{uint64(r.Pos), r.Generation, r.Version, r.EntryN} {
		b = binary.AppendUvarint(b, n)
	}
	b = wire.AppendTime(b, r.At)
	b = append(b, r.Commitment[:]...)
	return wire.AppendBytes(b, r.Payload)
}

// DecodeRecord is the inverse of Append.
func DecodeRecord(b []byte) (Record, error) {
	in := wire.NewReader(string(b))
	in.Form(recordForm)
	r := Record{Kind: Kind(in.String())}
	copy(r.Subject[:], in.Raw(16))
	copy(r.Call[:], in.Raw(16))
	r.Pos = uint32(in.Uvarint())
	r.Generation, r.Version, r.EntryN = in.Uvarint(), in.Uvarint(), in.Uvarint()
	r.At = in.Time()
	copy(r.Commitment[:], in.Raw(32))
	r.Payload = []byte(in.String())
	if err := in.Done(); err != nil {
		return Record{}, errors.Join(errRecord, err)
	}
	return r, nil
}
