// Package log keeps the log that nobody can rewrite (spec/log.md): it takes the
// commitments that wait in the store, in pending and spool, into a Merkle tree in
// the form of c2sp.org/tlog-tiles, signs its head, and publishes both.
//
// One node at a time is the sequencer. What it may lose at any instant, and what
// is never lost, stands with each step in sequencer.go; docs/decisions/0016-log.md
// has the reasons. Reading, proving and verifying is package audit, which this
// package hands the store's own tiles (StoreSource).
package log
