package keys

import (
	"context"
	"fmt"
	"maps"
	"os"
	"strconv"

	"github.com/tink-crypto/tink-go/v2/keyset"

	abide "github.com/abide-privacy/abide"
)

// RotateKEK adds a key-encryption key and makes it the primary: a new epoch.
// Keys wrapped by older ones stay readable until RetireKEK. The new ring is
// durable when RotateKEK returns the new KEK's id.
func (k *Keyring) RotateKEK(ctx context.Context) (string, error) {
	if err := k.edit(ctx, setKEK, addPrimary(setKEK)); err != nil {
		return "", err
	}
	return k.PrimaryKEK(), nil
}

// RotateIndex adds a root of index keys and makes it the primary.
func (k *Keyring) RotateIndex(ctx context.Context) (string, error) {
	if err := k.edit(ctx, setIndex, addPrimary(setIndex)); err != nil {
		return "", err
	}
	return k.IndexKeys()[0].ID, nil
}

// RetireKEK destroys a KEK that is not the primary. All that it wrapped and
// was not wrapped anew is irrecoverable from then on. The file no longer holds
// the key when RetireKEK returns; copies of the file are the operator's to
// destroy.
func (k *Keyring) RetireKEK(ctx context.Context, id string) error {
	if _, known := k.ring.Load().keks[id]; !known || id == k.PrimaryKEK() {
		return &abide.Error{Code: abide.CodeInvalid, Detail: "kek_not_retirable",
			Message: "this key-encryption key is the primary or not in the ring", Hint: "rotate first, then retire an older key"}
	}
	n, err := strconv.ParseUint(id, 16, 32)
	if err != nil {
		return fmt.Errorf("keys: kek id: %w", err)
	}
	return k.edit(ctx, setKEK, func(m *keyset.Manager) error { return m.Delete(uint32(n)) })
}

func addPrimary(set string) func(*keyset.Manager) error {
	return func(m *keyset.Manager) error {
		for _, t := range templates {
			if t.name != set {
				continue
			}
			id, err := m.Add(t.template())
			if err != nil {
				return err
			}
			return m.SetPrimary(id)
		}
		return fmt.Errorf("no template for %s", set)
	}
}

// edit changes one keyset: first durably, then for this process.
func (k *Keyring) edit(ctx context.Context, set string, change func(*keyset.Manager) error) error {
	k.change.Lock()
	defer k.change.Unlock()
	old := k.ring.Load()
	m := keyset.NewManagerFromHandle(old.handles[set])
	if err := change(m); err != nil {
		return fmt.Errorf("keys: rotate %s: %w", set, err)
	}
	h, err := m.Handle()
	if err != nil {
		return fmt.Errorf("keys: rotate %s: %w", set, err)
	}
	handles := maps.Clone(old.handles)
	handles[set] = h
	r, err := newRing(handles)
	if err != nil {
		return err
	}
	if k.path != "" {
		if err := k.save(ctx, r, os.Rename); err != nil {
			return err
		}
	}
	k.ring.Store(r)
	return nil
}
