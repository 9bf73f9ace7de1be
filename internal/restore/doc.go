// Package restore keeps the restore ledger: the append-only record, outside
// database and backup, of what must not be undone when a backup is restored.
// Erasures, withdrawals, objections, restrictions, corrections, holds, facts
// that deadlines wait for.
//
// A ledger is a directory. Each process appends to a segment of its own, which
// it makes with its first record; all processes of a store share the
// directory. A record is a frame:
//
//	length of the body   4 bytes, big endian
//	body                 encoded by Record
//	hash                 keyed hash over the hash of the frame before, and the body
//
// The hash of the first frame follows the header's. The key is the store's, so
// nobody without the keyring can take out, put in or reorder a record. What was
// cut off at the end of a segment is noticed by memory alone: the store
// remembers how far it has seen each segment (Mark).
//
// Append returns when its records are on disk; records that wait share a sync.
// Nothing in here is personal: ids are random, payloads are sealed by the
// caller.
package restore
