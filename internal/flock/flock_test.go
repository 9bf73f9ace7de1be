package flock_test

import (
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/abide-privacy/abide/internal/flock"
)

func TestLock(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lock")
	unlock, err := flock.Lock(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := flock.TryLock(name); !errors.Is(err, flock.ErrHeld) {
		t.Fatalf("a lock that is held: %v", err)
	}
	unlock()
	unlock, err = flock.TryLock(name)
	if err != nil {
		t.Fatalf("a lock that was given back: %v", err)
	}
	unlock()

	var wg sync.WaitGroup
	var inside atomic.Int32
	for range 8 {
		wg.Go(func() {
			unlock, err := flock.Lock(name)
			if err != nil {
				t.Error(err)
				return
			}
			if inside.Add(1) != 1 {
				t.Error("two hold the lock")
			}
			inside.Add(-1)
			unlock()
		})
	}
	wg.Wait()
}

func TestNowhere(t *testing.T) {
	if _, err := flock.TryLock(filepath.Join(t.TempDir(), "no", "lock")); err == nil || errors.Is(err, flock.ErrHeld) {
		t.Errorf("a lock in no directory: %v", err)
	}
}
