// Package flock lets one process at a time have a file or a directory. A lock
// ends with the process, however that ends.
package flock

import "errors"

// ErrHeld says that another process has the lock.
var ErrHeld = errors.New("flock: held by another process")
