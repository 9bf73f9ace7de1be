// Package audit is the public form of what Abide can prove: log entries and
// their commitments, signed receipts of consent, certificates of erasure.
// Whoever holds such a document and a public key can check it with this
// package alone, trusting nobody and without a connection.
//
// # Log entries
//
// A log entry has two parts. The subject's part holds what is about the person
// (ids of the subject and of items, the reason that was stated) and is sealed
// under the subject's own log key, so that erasing the person erases it. The
// envelope (kind, actor, purpose, effect, policy version, time) names no
// subject and is sealed under the audit key: a member of staff who snooped is
// not cleared by erasing the victim.
//
// The leaf published in the log is a commitment to both, of which each can be
// proved without the other:
//
//	subject hash  S = SHA-256("abide/log/subject/1"  ‖ 0x00 ‖ r1 ‖ subject's part)
//	envelope hash E = SHA-256("abide/log/envelope/1" ‖ 0x00 ‖ r2 ‖ envelope)
//	leaf            = SHA-256("abide/log/leaf/1"     ‖ 0x00 ‖ S ‖ E)
//
// r1 and r2 are 32 random bytes each, drawn anew for every entry and kept only
// inside the sealed parts; both parts are canonical JSON (RFC 8785). Nothing
// can be guessed from a leaf, nor from one part about the other: each sealed
// part carries its own randomness, the other part's hash, and its own JSON.
// spec/log-entry.md gives the form and test vectors.
//
// # The log
//
// Log reads a published log (c2sp.org/tlog-tiles) from a URL or a directory
// under keys that came another way. It believes nothing that is not proved:
// Checkpoint verifies signatures, CheckConsistency that a log continues what it
// was, Prove makes a proof of an entry that verifies offline, and Verify
// rebuilds the whole tree and tells every tile, bundle and entry that was
// changed. What is wrong is a Fault with a stable code and its place.
package audit
