package engine_test

import (
	"testing"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/engine"
)

// A store opens with the keyring it was made with, and with no other.
func TestAnotherKeyringIsRefused(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		w.restart() // the same keyring opens it again
		ours, place := w.ring, w.place
		w.shut()
		w.ring, w.place = newRing(t), t.TempDir()
		wantError(t, w.tryStart(), abide.CodeInvalid, "other_keyring")
		_ = w.store.Close()
		_ = w.keys.Close()
		w.ring, w.place = ours, place
		w.start()
	})
}

// Data of one store beside the keys of another: nothing would open.
func TestAnotherKeyStoreIsRefused(t *testing.T) {
	onEveryBackend(t, func(t *testing.T, fresh func(*testing.T) stores) {
		one, other := newWorld(t, fresh(t)), newWorld(t, fresh(t))
		_, err := engine.Open(t.Context(), engine.Options{Store: one.store, Keys: other.keys, Keyring: one.ring, Clock: one.clock.now})
		wantError(t, err, abide.CodeInvalid, "other_key_store")
	})
}
