package engine

import (
	"bytes"
	"context"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/keys"
	"github.com/abide-privacy/abide/internal/storage"
)

// metaKeyCheck names the constant that tells, in both stores, whose keyring
// opens them.
const metaKeyCheck = "key_check"

// checkKeys refuses to start on stores that belong to another keyring, or to
// two different ones: what was sealed so far would not open, and what is
// sealed from now on would not open with the keyring that is missing. A new
// store takes the keyring it is first opened with.
func (e *Engine) checkKeys(ctx context.Context) error {
	return CheckKeyring(ctx, e.store, e.keys, e.vault.Keyring())
}

// CheckKeyring refuses a keyring that is not the one of both stores. Nothing is
// changed in stores that have one.
func CheckKeyring(ctx context.Context, store storage.Store, keyStore storage.KeyStore, ring *keys.Keyring) error {
	ours, err := ring.CheckValue()
	if err != nil {
		return storageError(err)
	}
	for _, s := range []struct {
		detail, message string
		put             func(context.Context, string, []byte) ([]byte, error)
	}{
		{"other_keyring", "the keyring is not the one that this store was made with", store.PutMeta},
		{"other_key_store", "the key store belongs to another keyring", keyStore.PutMeta},
	} {
		kept, err := s.put(ctx, metaKeyCheck, ours)
		if err != nil {
			return storageError(err)
		}
		if !bytes.Equal(kept, ours) {
			return &abide.Error{Code: abide.CodeInvalid, Detail: s.detail, Message: s.message,
				Hint: "open the data with the keyring and the key store that belong to it; restore them from their backup"}
		}
	}
	return nil
}
