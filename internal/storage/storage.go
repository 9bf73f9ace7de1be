// Package storage says what Abide needs of a database. Two adapters satisfy
// it, sqlite and postgres; storagetest is the suite both must pass; faultstore
// breaks any of them on purpose.
//
// A change is a value, not a closure: the engine loads a subject, decides,
// validates and encrypts outside of any transaction, and hands over the rows
// together with the version it loaded. The adapter applies them if the subject
// is still at that version. So a change may be applied twice (a group commit
// that reruns its survivors, a serialization retry) and comes out the same,
// several changes commit together on SQLite, and PostgreSQL sends one as a
// single pipeline. docs/decisions/0003-changes-are-values.md gives the reasons.
//
// No change touches more than one subject, so a distributed PostgreSQL can
// shard every table that grows with people by subject id.
package storage

import (
	"context"
	"errors"
	"time"

	abide "github.com/abide-privacy/abide"
)

// Sentinels. Adapters map their driver's errors to these once.
var (
	ErrNotFound = errors.New("storage: not found")
	// ErrConflict: the subject is not at the expected version. Load and build again.
	ErrConflict = errors.New("storage: another change came first")
	// ErrTaken: another subject holds a unique look-up value.
	ErrTaken = errors.New("storage: value is held by another subject")
	// ErrOutcomeUnknown: the commit may or may not be durable. The caller
	// retries with the same idempotency key.
	ErrOutcomeUnknown = errors.New("storage: outcome of the commit is unknown")
	// ErrUnavailable: nothing was done; try again later.
	ErrUnavailable = errors.New("storage: not available")
	// ErrFull: the disk is full; nothing was done.
	ErrFull = errors.New("storage: disk full")
	// ErrFenced: the key-encryption key is being given up. Load the keyring anew
	// and wrap under its primary.
	ErrFenced = errors.New("storage: key-encryption key is fenced")
	ErrClosed = errors.New("storage: closed")
)

// Store holds everything but keys. Methods are safe for concurrent use. When a
// writing method returns nil, the write is durable. Reads see the newest
// acknowledged writes of every node (they go to the primary).
type Store interface {
	Subjects
	Lookups
	Indexes
	Looks
	Reference
	LogTables
	// Ready reports nil if the store accepts durable writes now.
	Ready(ctx context.Context) error
	// Scrub removes what was deleted from the files: free pages, slack, write-ahead
	// log. It returns when the bytes are gone, where the engine allows that
	// (SQLite); elsewhere it does nothing.
	Scrub(ctx context.Context) error
	Close() error
}

// Subjects is the part of the store that is sharded by subject.
type Subjects interface {
	// Load returns a consistent snapshot of one subject with the policy epoch
	// in force at the same instant. ErrNotFound if there is no such subject;
	// Loaded.Epoch is set even then.
	Load(ctx context.Context, id abide.SubjectID, want Want) (*Loaded, error)
	// Commit applies a change, all or nothing, and returns when it is durable.
	Commit(ctx context.Context, c *Change) error
	// Entries returns the subject's log entries with N > after, in order.
	Entries(ctx context.Context, id abide.SubjectID, after uint64, limit int) ([]Entry, error)
	// ConsentEvents returns ledger rows with N > after, in order.
	ConsentEvents(ctx context.Context, id abide.SubjectID, after uint64, limit int) ([]ConsentRow, error)
	// ListSubjects pages through ids in order, the zero id excluded.
	ListSubjects(ctx context.Context, after abide.SubjectID, limit int) ([]SubjectRow, error)
	// DueSubjects pages through subjects by (NextDue, id): those due at that time
	// or before, after the one given. It reads no others, however many there are.
	DueSubjects(ctx context.Context, at time.Time, after Due, limit int) ([]Due, error)
	// DueItems counts the items due at that time or before, by category, and the
	// subjects they are of. It reads no others.
	DueItems(ctx context.Context, at time.Time) (items map[abide.Category]int64, subjects int64, err error)
	// Candidates pages through consent_index: a filter, never the authority.
	Candidates(ctx context.Context, purpose abide.Purpose, effect string, after abide.SubjectID, limit int) ([]ConsentIndexRow, error)
	// ErasureJobs returns subjects whose erasure is not finished.
	ErasureJobs(ctx context.Context, limit int) ([]ErasureJob, error)
	// PurgeItems deletes up to limit items of an erased subject with their
	// rows in every subject table that erasure empties, and returns the
	// look-ups those items held and whether more remain. It is resumable.
	PurgeItems(ctx context.Context, id abide.SubjectID, compartments []Compartment, limit int) (dropped []Lookup, more bool, err error)
	// ForgetAnswers deletes up to limit remembered answers that expired at that
	// time or before, the oldest first, and returns how many.
	ForgetAnswers(ctx context.Context, expired time.Time, limit int) (int, error)
	// Pending returns commitments that no tile holds yet, by key order.
	Pending(ctx context.Context, after EntryKey, limit int) ([]PendingRow, error)
	// Count returns the number of subjects by kind and status, for the console.
	Count(ctx context.Context) (map[string]int64, error)
}

// Lookups finds subjects by blind index. Its rows are sharded by index value,
// so no row here is ever written in a subject's transaction.
type Lookups interface {
	// Claim takes the look-ups for their subjects until Expires, each in its
	// own right. A unique value held by another subject whose claim has not
	// expired fails the call with ErrTaken; the other claims stay (a
	// dangling claim is harmless: finders check the item). A value already
	// claimed by the same subject is refreshed.
	Claim(ctx context.Context, claims []Lookup, now time.Time) error
	// Confirm makes claims permanent after the item that bears them committed.
	Confirm(ctx context.Context, claims []Lookup) error
	// Find returns the subjects that claim any of the values, newest claim first,
	// and the index keys that were in force while it looked: values made under
	// others may miss what is there.
	Find(ctx context.Context, category abide.Category, values []IndexValue, limit int) ([]Lookup, IndexKeys, error)
	// Drop removes look-ups. Absent rows are no error.
	Drop(ctx context.Context, claims []Lookup) error
	// Expired returns claims that were never confirmed and expired at that time
	// or before, the oldest first.
	Expired(ctx context.Context, at time.Time, limit int) ([]Lookup, error)
}

// Looks is the durable record of what changed nothing: looks, disclosures,
// refusals, decisions.
type Looks interface {
	// Spool makes one batch of looks durable as one row. Batches of a node are
	// numbered contiguously from 1 by the caller; the same (node, batch) twice
	// is applied once.
	Spool(ctx context.Context, b *SpoolBatch) error
	// SpoolBatches returns batches not yet indexed, by key order.
	SpoolBatches(ctx context.Context, limit int) ([]SpoolBatch, error)
	// IndexLooks writes a batch's look rows to their subjects (those about nobody
	// to the zero subject) and then marks it indexed. Killed in between, it is done
	// again, to the same effect. It is apart from the log, which takes the batch's
	// commitments in its own time.
	IndexLooks(ctx context.Context, node string, batch uint64, rows []LookRow) error
	// SpoolSubjects returns whom the looks of an indexed batch are about, in their
	// order: for an auditor, who comes from the log and knows nobody's id.
	// ErrNotFound if there is no such batch, or it is not indexed yet.
	SpoolSubjects(ctx context.Context, k SpoolKey) ([]abide.SubjectID, error)
	// LooksOf returns the looks at one subject, oldest first.
	LooksOf(ctx context.Context, id abide.SubjectID, after LookKey, limit int) ([]LookRow, error)
	// Look returns one look at a subject. ErrNotFound: none, or not indexed yet.
	Look(ctx context.Context, id abide.SubjectID, k LookKey) (*Look, error)
	// AddCounters adds to counters about nobody, in one batch.
	AddCounters(ctx context.Context, counts []Counter) error
	Counters(ctx context.Context, name string) ([]Counter, error)
}

// Reference is the small tables.
type Reference interface {
	// Publish stores a policy version with its terms and makes it the epoch in
	// force, with a log entry of the store's own, in one transaction. ErrConflict
	// if the epoch is not expect. ErrNotFound from Epoch means none was published.
	Publish(ctx context.Context, p *PolicyRow, terms []TermsRow, expect uint64, entry Entry) error
	Epoch(ctx context.Context) (Epoch, error)
	Policies(ctx context.Context) ([]PolicyRow, error) // without Source, oldest first
	Policy(ctx context.Context, version string) (*PolicyRow, error)
	AllTerms(ctx context.Context) ([]TermsRow, error)

	PutToken(ctx context.Context, t *TokenRow) error
	Token(ctx context.Context, hash []byte) (*TokenRow, error)
	Tokens(ctx context.Context) ([]TokenRow, error)
	DropToken(ctx context.Context, name string) error

	// Records are the registers (members, contracts, staff, reviews, findings,
	// import progress): small, few, by kind and name, with a sealed or plain
	// JSON body. Expect is the version read, 0 for new; ErrConflict otherwise.
	PutRecord(ctx context.Context, r *Record) error
	Records(ctx context.Context, kind string) ([]Record, error)
	DropRecord(ctx context.Context, kind, name string) error

	// Meta holds the store's own constants: its id, its key check value.
	// PutMeta keeps the first value ever put and returns what is stored.
	PutMeta(ctx context.Context, name string, value []byte) ([]byte, error)
}

// KeyStore holds the wrapped keys of subjects, apart from the data: another
// file, another database. No step needs both atomically.
type KeyStore interface {
	// Put makes the keys durable before the data that they seal is written.
	// A key that exists already is ErrConflict and changes nothing; ErrFenced if
	// one of them is wrapped under a key-encryption key that is being given up.
	Put(ctx context.Context, keys []WrappedKey) error
	// Get returns all of a subject's keys, newest version first within a
	// compartment; none is no error.
	Get(ctx context.Context, id abide.SubjectID) ([]WrappedKey, error)
	// Destroy removes keys and overwrites their bytes where the engine can. It
	// returns when that is durable.
	Destroy(ctx context.Context, id abide.SubjectID, compartments []Compartment) error
	// Orphans pages through subjects that have keys, for collecting those that
	// have no data.
	Orphans(ctx context.Context, after abide.SubjectID, limit int) ([]abide.SubjectID, error)

	// List pages through all wrapped keys, by subject, compartment and version:
	// those after the one given, of which only these three count.
	List(ctx context.Context, after WrappedKey, limit int) ([]WrappedKey, error)
	// Rewrap puts new wrappings in the place of old ones, each only where the
	// row still holds exactly the old one: a key that was destroyed meanwhile
	// stays destroyed. It returns how many it replaced.
	Rewrap(ctx context.Context, keys []Rewrapped) (int, error)
	// Fence makes every Put and Rewrap under the key-encryption key fail with
	// ErrFenced, on every node. When it returns, none is on its way any more:
	// what List shows afterwards under that KEK is all there is.
	Fence(ctx context.Context, kek string) error
	// WrappedBy counts the keys by their key-encryption key. It reads all rows.
	WrappedBy(ctx context.Context) (map[string]int64, error)

	// Keyring returns the keyring kept here, encrypted by a key service, and its
	// generation. ErrNotFound if it is kept elsewhere.
	Keyring(ctx context.Context) (raw []byte, generation uint64, err error)
	// PutKeyring replaces the keyring of generation expect; 0: there must be
	// none yet. ErrConflict otherwise.
	PutKeyring(ctx context.Context, raw []byte, generation, expect uint64) error

	PutMeta(ctx context.Context, name string, value []byte) ([]byte, error)
	Ready(ctx context.Context) error
	Scrub(ctx context.Context) error
	Close() error
}
