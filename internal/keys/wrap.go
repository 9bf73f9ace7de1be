package keys

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
)

// Wrap seals a subject's key under the primary KEK. Store, KEK, subject,
// compartment and version are bound as associated data: a wrapped key that was
// moved to another row does not open.
func (k *Keyring) Wrap(subject abide.SubjectID, c storage.Compartment, version uint32, key []byte) (storage.WrappedKey, error) {
	r := k.ring.Load()
	w := storage.WrappedKey{Subject: subject, Compartment: c, Version: version, KEK: r.kekID}
	sealed, err := r.kek.Encrypt(key, k.wrapAD(&w))
	if err != nil {
		return storage.WrappedKey{}, fmt.Errorf("keys: wrap: %w", err)
	}
	w.Wrapped = sealed
	return w, nil
}

// Unwrap opens a subject's key with the KEK it names. The caller owns the
// returned bytes and clears them after use.
//
// The error's detail is kek_unknown if the ring does not hold that KEK (its
// epoch was destroyed, or the ring is an older backup), and key_damaged if the
// row was changed.
func (k *Keyring) Unwrap(w storage.WrappedKey) ([]byte, error) {
	r, err := k.knowing(func(r *ring) bool { return r.keks[w.KEK] })
	if err != nil {
		return nil, err
	}
	if !r.keks[w.KEK] {
		return nil, &abide.Error{Code: abide.CodeInternal, Detail: "kek_unknown",
			Message: "the keyring does not hold the key-encryption key that this key was wrapped with",
			Hint:    "open the store with its newest keyring"}
	}
	damaged := &abide.Error{Code: abide.CodeInternal, Detail: "key_damaged",
		Message: "a subject's wrapped key does not open: its row was changed",
		Hint:    "run abide doctor; restore the key store from its backup"}
	// Tink prefixes a ciphertext with 0x01 and the key's number (4 bytes, big
	// endian); the row's KEK must say the same.
	if len(w.Wrapped) < 5 || hex.EncodeToString(w.Wrapped[1:5]) != w.KEK {
		return nil, damaged
	}
	key, err := r.kek.Decrypt(w.Wrapped, k.wrapAD(&w))
	if err != nil {
		return nil, damaged
	}
	return key, nil
}

func (k *Keyring) wrapAD(w *storage.WrappedKey) []byte {
	var cv [5]byte
	cv[0] = byte(w.Compartment)
	binary.BigEndian.PutUint32(cv[1:], w.Version)
	return lengthPrefixed("abide/wrap/1", k.store[:], []byte(w.KEK), w.Subject[:], cv[:])
}

// knowing returns the ring, after a refresh if it does not hold what a row
// names: another node may have rotated keys.
func (k *Keyring) knowing(holds func(*ring) bool) (*ring, error) {
	r := k.ring.Load()
	if k.place == nil || holds(r) {
		return r, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if _, err := k.Refresh(ctx); err != nil {
		return nil, err
	}
	return k.ring.Load(), nil
}

// opens reports whether a key of the ring has the number in a ciphertext's
// prefix.
func (r *ring) opens(sealed []byte) bool {
	return len(sealed) >= 5 && r.seals[binary.BigEndian.Uint32(sealed[1:5])]
}

// PrimaryKEK returns the id of the KEK that Wrap uses.
func (k *Keyring) PrimaryKEK() string { return k.ring.Load().kekID }

// SealEnvelope seals the envelope of a log entry under the audit key.
func (k *Keyring) SealEnvelope(plain, ad []byte) ([]byte, error) {
	out, err := k.ring.Load().envelope.Encrypt(plain, lengthPrefixed("abide/envelope/1", k.store[:], ad))
	if err != nil {
		return nil, fmt.Errorf("keys: seal envelope: %w", err)
	}
	return out, nil
}

// OpenEnvelope opens what SealEnvelope sealed.
func (k *Keyring) OpenEnvelope(sealed, ad []byte) ([]byte, error) {
	r, err := k.knowing(func(r *ring) bool { return r.opens(sealed) })
	if err != nil {
		return nil, err
	}
	out, err := r.envelope.Decrypt(sealed, lengthPrefixed("abide/envelope/1", k.store[:], ad))
	if err != nil {
		return nil, &abide.Error{Code: abide.CodeInternal, Detail: "envelope_damaged",
			Message: "the envelope of a log entry does not open: its row was changed", Hint: "run abide doctor"}
	}
	return out, nil
}

// SealSystem seals what concerns no subject, or must outlive a subject's keys.
func (k *Keyring) SealSystem(plain, ad []byte) ([]byte, error) {
	out, err := k.ring.Load().system.Encrypt(plain, lengthPrefixed("abide/system/1", k.store[:], ad))
	if err != nil {
		return nil, fmt.Errorf("keys: seal under the system key: %w", err)
	}
	return out, nil
}

// OpenSystem opens what SealSystem sealed.
func (k *Keyring) OpenSystem(sealed, ad []byte) ([]byte, error) {
	r, err := k.knowing(func(r *ring) bool { return r.opens(sealed) })
	if err != nil {
		return nil, err
	}
	out, err := r.system.Decrypt(sealed, lengthPrefixed("abide/system/1", k.store[:], ad))
	if err != nil {
		return nil, &abide.Error{Code: abide.CodeInternal, Detail: "system_damaged",
			Message: "a row sealed under the system key does not open: it was changed", Hint: "run abide doctor"}
	}
	return out, nil
}
