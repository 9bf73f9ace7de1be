//go:build !abide_nosync

package sqlite

// synchronous FULL syncs the write-ahead log before each commit returns.
const synchronous = "FULL"
