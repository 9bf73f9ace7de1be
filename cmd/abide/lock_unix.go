//go:build unix

package main

import (
	"os"
	"path/filepath"
	"syscall"

	abide "github.com/abide-privacy/abide"
)

// lockData keeps a second server off a data directory: what a scrub removes
// from the file could come back from another process's cache. The lock ends
// with the process, however that ends.
func lockData(dir string) (release func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, "server.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, dataDirectory(err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, &abide.Error{Code: abide.CodeUnavailable, Detail: "data_in_use",
			Message: "another server runs on this data directory",
			Hint:    "stop it first, or use PostgreSQL, which several servers may share", Err: err}
	}
	return func() { _ = f.Close() }, nil
}
