//go:build unix

package flock

import (
	"errors"
	"os"
	"syscall"
)

// Lock waits until nobody else holds the lock of this name, a file that is made
// if it is not there.
func Lock(name string) (unlock func(), err error) { return take(name, syscall.LOCK_EX) }

// TryLock takes the lock, or returns ErrHeld at once.
func TryLock(name string) (unlock func(), err error) {
	unlock, err = take(name, syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = ErrHeld
	}
	return unlock, err
}

func take(name string, how int) (unlock func(), err error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), how); err != nil {
		_ = f.Close()
		return nil, err
	}
	return func() { _ = f.Close() }, nil
}
