package storage

import (
	"time"

	abide "github.com/abide-privacy/abide"
)

// Compartment is one of the keys of a subject.
type Compartment uint8

// The compartments (docs/decisions/0002-keys.md).
const (
	Live Compartment = 1 // ordinary items and the sealed state
	Log  Compartment = 2 // the subject's part of log payloads
	Law  Compartment = 3 // items whose ground is law, and evidence of consent
)

// WrappedKey is a subject's key, wrapped by a key-encryption key.
type WrappedKey struct {
	Subject     abide.SubjectID
	Compartment Compartment
	Version     uint32
	KEK         string // id of the key-encryption key
	Wrapped     []byte
}

// Rewrapped is one key in an old and a new wrapping.
type Rewrapped struct {
	Old, New WrappedKey
}

// SubjectRow is a subject. The sealed state is the authority on facts and
// current consents; the rest is in the clear.
type SubjectRow struct {
	ID      abide.SubjectID
	Kind    abide.SubjectKind
	Status  abide.Status
	Version uint64 // counts changes, from 1
	NextDue time.Time
	Sealed  []byte // sealed state, Live compartment
	Law     []byte // what outlives erasure: sealed in the Law compartment; nil if nothing
	// EntryN and ConsentN are the last numbers given in entry and consent_event.
	EntryN   uint64
	ConsentN uint64
	Created  time.Time
}

// Item is one stored value.
type Item struct {
	Category    abide.Category
	ID          abide.SubjectID // UUIDv7 of the item
	Version     uint32
	Compartment Compartment
	Sealed      []byte // value with source, obtained, purposes, ref
	IndexKey    string // id of the index key; "" if not findable
	Index       []byte // blind index value
	Due         time.Time
}

// IndexValue is a blind index value under one index key.
type IndexValue struct {
	Key   string
	Value []byte
}

// Lookup is a claim of a subject on a blind index value.
type Lookup struct {
	Category abide.Category
	Index    IndexValue
	Unique   bool
	Subject  abide.SubjectID
	Expires  time.Time // zero: confirmed
	// Borne says, of a claim being made, that the subject bears the value already:
	// a claim that it has and that has not expired stays as it is.
	Borne bool
}

// ConsentRow is an event of the ledger. Purpose and Action are in the clear;
// evidence and receipt are sealed under the law key.
type ConsentRow struct {
	N       uint64
	At      time.Time
	Purpose abide.Purpose
	Action  abide.ConsentAction
	Terms   string
	Sealed  []byte
}

// ConsentIndexRow is the current effect of one purpose for one subject.
type ConsentIndexRow struct {
	Subject abide.SubjectID
	Purpose abide.Purpose
	Terms   string
	Effect  string // policy.ConsentState
}

// FactRow is an event that deadlines wait for. The time is in the clear; Event
// is an opaque id.
type FactRow struct {
	Anchor string
	Event  string
	At     time.Time
}

// EntryKey is the primary key of entry and pending. The zero subject is the
// store itself.
type EntryKey struct {
	Subject abide.SubjectID
	N       uint64
}

// Entry is a log entry: the subject's part, the envelope, and the commitment
// that becomes a leaf of the tree.
type Entry struct {
	Subject    abide.SubjectID
	N          uint64
	At         time.Time
	Kind       string
	Payload    []byte // sealed: subject's part and randomness, Log compartment (or system key)
	Envelope   []byte // sealed under the audit key
	Commitment [32]byte
}

// PendingRow is a commitment that waits for the sequencer.
type PendingRow struct {
	Key        EntryKey
	Commitment [32]byte
}

// IdempotencyRow remembers the answer to a mutating call.
type IdempotencyRow struct {
	Key     []byte // hash of the caller's key and the token's name
	Digest  []byte // of the request: another request with the same key is an error
	Sealed  []byte // the answer, Live compartment
	Expires time.Time
}

// ErasureJob says how far an erasure has come.
type ErasureJob struct {
	Subject     abide.SubjectID
	Step        string // intent, ledgered, keys_destroyed, certified, rows_purged; removed when done
	Certificate []byte // sealed under the system key: it outlives the subject's keys
	Started     time.Time
}

// Due is a subject and when its next item may go, a hint: at that time or later.
type Due struct {
	At      time.Time
	Subject abide.SubjectID
}

// Want says which parts of a subject to load besides its row.
type Want struct {
	Items    []abide.Category // these categories
	AllItems bool
	LawItems bool // those in the law compartment; costs by their number, not by that of all
	// DueBy loads, instead of all that, the items due then or before, and when
	// the next one is; costs by their number.
	DueBy       time.Time
	Counts      bool   // of the items in other compartments
	Idempotency []byte // key, if any
	Erasure     bool   // the erasure job or certificate
}

// Loaded is a consistent snapshot of one subject.
type Loaded struct {
	Subject     SubjectRow
	Items       []Item
	NextDue     time.Time // of the items that DueBy leaves out; zero if none is due ever
	Counts      map[abide.Category]int
	Idempotency *IdempotencyRow
	Erasure     *ErasureJob
	Epoch       Epoch
}

// Change is everything that one use case writes for one subject. Applying it
// twice equals applying it once.
type Change struct {
	// Expect is the version the change was built on; 0: the subject must not
	// exist yet. Row.Version is Expect+1.
	Expect uint64
	Row    SubjectRow
	// Epoch, if not zero, is the policy epoch the change was decided under; a
	// different one in force fails with ErrConflict.
	Epoch uint64
	// Index is the index keys that the index values of PutItems were made under.
	// With others in force, a change that writes such values fails with
	// ErrConflict.
	Index IndexKeys

	PutItems     []Item // inserted, or replaced by (category, id)
	DropItems    []ItemKey
	Consents     []ConsentRow
	ConsentIndex []ConsentIndexRow
	Facts        []FactRow
	Entries      []Entry // to entry and pending
	Idempotency  *IdempotencyRow
	Erasure      *ErasureJob // put; Step "done" removes the job but keeps the certificate

	// Claims are the look-ups that the change's items bear, taken at Claimed. A
	// unique value that another subject claims, however old its claim is, fails
	// with ErrTaken: whoever calls finds out whether that subject bears it.
	// With the change they are confirmed; then Stale ones are dropped.
	//
	// Where look-ups lie on other servers than their subject, claims commit by
	// themselves before the change, and confirmation and dropping after it. Then
	// a claim may be left by a change that failed, until Expires, and a change
	// may be in force whose look-ups are not settled yet: finders believe items.
	Claims  []Lookup
	Claimed time.Time
	Stale   []Lookup
}

// ItemKey names an item of the subject at hand.
type ItemKey struct {
	Category abide.Category
	ID       abide.SubjectID
}

// SpoolBatch is one group commit of looks by one node.
type SpoolBatch struct {
	Node  string
	Batch uint64
	At    time.Time
	Looks []Look
}

// Look is a record of what changed nothing.
type Look struct {
	Subject    abide.SubjectID // zero if the subject is unknown
	At         time.Time
	Kind       string
	Payload    []byte
	Envelope   []byte
	Commitment [32]byte
}

// LookKey is where a look stands, for its subject.
type LookKey struct {
	Node  string
	Batch uint64
	Pos   uint32
}

// LookRow is a look, found by its subject.
type LookRow struct {
	Key  LookKey
	Look Look
}

// Counter is a count about nobody.
type Counter struct {
	Name   string // category
	Value  string // device model and version
	Period string // "2026-W48"
	N      int64
}

// Epoch is the policy in force.
type Epoch struct {
	N       uint64
	Version string
	Since   time.Time
	Index   IndexKeys // in force; known even if no policy was published
}

// PolicyRow is a published policy.
type PolicyRow struct {
	Version   string
	N         uint64
	Source    []byte // deterministic archive of the policy folder
	Published time.Time
	By        string
}

// TermsRow is a set of terms in canonical form.
type TermsRow struct {
	Digest    string
	Purpose   abide.Purpose
	Canonical []byte
}

// TokenRow is a bearer token, hashed at rest.
type TokenRow struct {
	Hash    []byte // SHA-256 of the token
	Name    string
	Actor   abide.Actor
	Created time.Time
	Expires time.Time
	Seal    []byte // proves the row to be the engine's; kept beside the actor
}

// Record is a row of a register.
type Record struct {
	Kind    string
	Name    string
	Version uint64
	Expect  uint64
	Body    []byte
	At      time.Time
}
