package keys

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/abide-privacy/abide/internal/storage"
)

// StorePlace keeps a keyring beside the wrapped keys, for several nodes on one
// database. It must be encrypted by a master key: in the clear it would open
// what lies next to it.
func StorePlace(s storage.KeyStore) Place { return storePlace{s} }

type storePlace struct{ s storage.KeyStore }

func (storePlace) Name() string { return "the table keyring of the key database" }

func (p storePlace) Read(ctx context.Context) ([]byte, error) {
	raw, _, err := p.s.Keyring(ctx)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, fmt.Errorf("keys: no keyring in the key database: %w", fs.ErrNotExist)
	}
	if err != nil {
		return nil, fmt.Errorf("keys: read the keyring: %w", err)
	}
	return raw, nil
}

// Write repeats a write whose outcome is unknown by looking at what is there.
func (p storePlace) Write(ctx context.Context, raw []byte, generation, expect uint64) error {
	f, _, err := parse(raw)
	if err != nil {
		return err
	}
	if f.Master == "" {
		return errors.New("keys: a keyring in the key database must be encrypted by a master key")
	}
	err = p.s.PutKeyring(ctx, raw, generation, expect)
	if errors.Is(err, storage.ErrOutcomeUnknown) || errors.Is(err, storage.ErrConflict) {
		there, _, rerr := p.s.Keyring(ctx)
		switch {
		case rerr == nil && string(there) == string(raw):
			return nil
		case errors.Is(err, storage.ErrConflict):
			return fmt.Errorf("keys: another keyring lies there: %w", fs.ErrExist)
		}
	}
	if err != nil {
		return fmt.Errorf("keys: write the keyring: %w", err)
	}
	return nil
}
