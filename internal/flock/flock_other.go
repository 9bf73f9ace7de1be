//go:build !unix

package flock

import "sync"

// Where there is no flock, only callers of one process are kept apart: the
// operator sees to it that there is one process.
var (
	mu   sync.Mutex
	held = map[string]*sync.Mutex{}
)

func of(name string) *sync.Mutex {
	mu.Lock()
	defer mu.Unlock()
	if held[name] == nil {
		held[name] = &sync.Mutex{}
	}
	return held[name]
}

// Lock waits until nobody else holds the lock of this name.
func Lock(name string) (unlock func(), err error) {
	l := of(name)
	l.Lock()
	return l.Unlock, nil
}

// TryLock takes the lock, or returns ErrHeld at once.
func TryLock(name string) (unlock func(), err error) {
	l := of(name)
	if !l.TryLock() {
		return nil, ErrHeld
	}
	return l.Unlock, nil
}
