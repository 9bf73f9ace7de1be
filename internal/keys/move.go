package keys

import (
	"context"

	abide "github.com/abide-privacy/abide"
)

// Move encrypts the ring by another master key. Other processes that have the
// ring open take it over if they were told of that key too (OpenAt). A ring
// that a key service encrypts is never moved into the clear.
func (k *Keyring) Move(ctx context.Context, to Master) error {
	if to.AEAD == nil {
		return &abide.Error{Code: abide.CodeInvalid, Detail: "bad_master",
			Message: "a keyring is moved to a master key, never into the clear", Hint: "to leave a key service, move it to file:PATH on a medium of its own"}
	}
	if k.place == nil {
		return &abide.Error{Code: abide.CodeInvalid, Detail: "keyring_in_memory",
			Message: "this keyring lives in memory only", Hint: "there is nothing to move"}
	}
	return k.edit(ctx, func(e *edit) error {
		e.master = &to
		return nil
	})
}
