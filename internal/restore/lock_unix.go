//go:build unix

package restore

import (
	"os"
	"syscall"
)

// lockShared locks a file together with others.
func lockShared(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_SH) }

// onlyUser reports whether nobody else holds the lock. The shared lock is held
// afterwards.
func onlyUser(f *os.File) bool {
	if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		// A failed conversion may have given up the shared lock.
		_ = syscall.Flock(int(f.Fd()), syscall.LOCK_SH)
		return false
	}
	_ = syscall.Flock(int(f.Fd()), syscall.LOCK_SH)
	return true
}

// lockAlone locks a file for its writer.
func lockAlone(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }

// beingWritten reports whether another holds the writer's lock.
func beingWritten(f *os.File) bool {
	if syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) != nil {
		return true
	}
	_ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN)
	return false
}
