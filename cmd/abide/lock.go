package main

import (
	"errors"
	"path/filepath"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/flock"
)

// lockData keeps a second server off a data directory: what a scrub removes
// from the file could come back from another process's cache.
func lockData(dir string) (release func(), err error) {
	release, err = flock.TryLock(filepath.Join(dir, "server.lock"))
	switch {
	case errors.Is(err, flock.ErrHeld):
		return nil, &abide.Error{Code: abide.CodeUnavailable, Detail: "data_in_use",
			Message: "another server runs on this data directory",
			Hint:    "stop it first, or use PostgreSQL, which several servers may share", Err: err}
	case err != nil:
		return nil, dataDirectory(err)
	}
	return release, nil
}
