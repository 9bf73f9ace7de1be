//go:build unix

package restore

import (
	"os"
	"syscall"
)

// lockShared opens a file and locks it together with others.
func lockShared(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_SH); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// onlyUser reports whether nobody else holds the lock. The shared lock is held
// again afterwards.
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
