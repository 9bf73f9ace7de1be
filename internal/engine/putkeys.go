package engine

import (
	"context"
	"errors"

	"github.com/abide-privacy/abide/internal/storage"
)

// putKeys makes the keys of new subjects durable. If their key-encryption key
// is being given up, which another node decided, they are wrapped anew under
// the one that replaces it.
func (e *Engine) putKeys(ctx context.Context, born ...*newborn) error {
	for try := 1; ; try++ {
		var all []storage.WrappedKey
		for _, b := range born {
			all = append(all, b.wrapped...)
		}
		err := e.keys.Put(ctx, all)
		if !errors.Is(err, storage.ErrFenced) || try == 3 {
			return storageError(err)
		}
		if _, err := e.vault.Keyring().Refresh(ctx); err != nil {
			return storageError(err)
		}
		for _, b := range born {
			if b.wrapped, err = e.vault.Wrap(b.keys); err != nil {
				return storageError(err)
			}
		}
	}
}
