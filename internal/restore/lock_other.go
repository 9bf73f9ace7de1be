//go:build !unix

package restore

import "os"

// Without locks, one server at a time may use a ledger.

func lockShared(*os.File) error  { return nil }
func onlyUser(*os.File) bool     { return true }
func lockAlone(*os.File) error   { return nil }
func beingWritten(*os.File) bool { return false }
