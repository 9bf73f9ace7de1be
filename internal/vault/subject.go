package vault

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"fmt"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
)

const (
	keySize   = 32
	nonceSize = 12
	tagSize   = 16
)

// Compartments lists the three keys of a subject.
func Compartments() []storage.Compartment {
	return []storage.Compartment{storage.Live, storage.Log, storage.Law}
}

// SubjectKeys are the unwrapped keys of one subject, for the length of one
// request. They are never cached across requests: another node may have
// destroyed them. Not safe for concurrent use. The holder calls Close.
type SubjectKeys struct {
	Subject abide.SubjectID
	keys    []subjectKey // newest version first within a compartment
}

type subjectKey struct {
	compartment storage.Compartment
	version     uint32
	raw         [keySize]byte
	gcm         cipher.AEAD // made at first use
}

// NewSubjectKeys draws the three keys of a new subject, and wraps them for the
// key store, where they must be durable before any row sealed under them.
func (v *Vault) NewSubjectKeys(id abide.SubjectID) (*SubjectKeys, []storage.WrappedKey, error) {
	k := &SubjectKeys{Subject: id, keys: make([]subjectKey, 3)}
	wrapped := make([]storage.WrappedKey, 3)
	for i, c := range Compartments() {
		k.keys[i].compartment, k.keys[i].version = c, 1
		if _, err := rand.Read(k.keys[i].raw[:]); err != nil {
			return nil, nil, fmt.Errorf("vault: no randomness: %w", err)
		}
		w, err := v.ring.Wrap(id, c, 1, k.keys[i].raw[:])
		if err != nil {
			return nil, nil, err
		}
		wrapped[i] = w
	}
	return k, wrapped, nil
}

// Unlock unwraps a subject's keys. Compartments that were destroyed are simply
// absent; sealing or opening under them fails with CodeErased. All keys must
// belong to the subject.
func (v *Vault) Unlock(id abide.SubjectID, wrapped []storage.WrappedKey) (*SubjectKeys, error) {
	k := &SubjectKeys{Subject: id, keys: make([]subjectKey, 0, len(wrapped))}
	for _, w := range wrapped {
		if w.Subject != id {
			return nil, damaged("key_damaged", "a wrapped key stands in the row of another subject", "")
		}
		raw, err := v.ring.Unwrap(w)
		if err != nil {
			return nil, err
		}
		if len(raw) != keySize {
			return nil, damaged("key_damaged", "a subject's key has the wrong length", "")
		}
		at := len(k.keys)
		for at > 0 && k.keys[at-1].compartment == w.Compartment && k.keys[at-1].version < w.Version {
			at--
		}
		k.keys = append(k.keys, subjectKey{})
		copy(k.keys[at+1:], k.keys[at:])
		k.keys[at] = subjectKey{compartment: w.Compartment, version: w.Version, raw: [keySize]byte(raw)}
		clear(raw)
	}
	return k, nil
}

// Has reports whether the subject still has a key for the compartment.
func (k *SubjectKeys) Has(c storage.Compartment) bool {
	for i := range k.keys {
		if k.keys[i].compartment == c {
			return true
		}
	}
	return false
}

// Close clears the keys. Expanded cipher state may remain in memory until it
// is collected: Go offers no way to clear it.
func (k *SubjectKeys) Close() {
	for i := range k.keys {
		clear(k.keys[i].raw[:])
		k.keys[i].gcm = nil
	}
	k.keys = nil
}

// find returns the newest key of a compartment, or the one of a version.
func (k *SubjectKeys) find(c storage.Compartment, version uint32) (*subjectKey, error) {
	for i := range k.keys {
		key := &k.keys[i]
		if key.compartment != c || (version != 0 && key.version != version) {
			continue
		}
		if key.gcm == nil {
			block, err := aes.NewCipher(key.raw[:])
			if err != nil {
				return nil, fmt.Errorf("vault: cipher: %w", err)
			}
			if key.gcm, err = cipher.NewGCM(block); err != nil {
				return nil, fmt.Errorf("vault: cipher: %w", err)
			}
		}
		return key, nil
	}
	return nil, &abide.Error{Code: abide.CodeErased, Detail: "key_destroyed",
		Message: "the key that this was sealed with no longer exists", Hint: "the subject was erased"}
}

// sealedForm is the first byte of everything sealed under a subject key. Then
// follow the key's version, the nonce, and the ciphertext with its tag.
const sealedForm = 1

// seal encrypts with AES-256-GCM under a random 96-bit nonce. One subject key
// seals far fewer than 2^32 messages (NIST SP 800-38D, section 8.3).
func (k *SubjectKeys) seal(c storage.Compartment, plain, ad []byte) ([]byte, error) {
	key, err := k.find(c, 0)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, 1+binary.MaxVarintLen32+nonceSize+len(plain)+tagSize)
	out = append(out, sealedForm)
	out = binary.AppendUvarint(out, uint64(key.version))
	nonce := out[len(out) : len(out)+nonceSize]
	if _, err := rand.Read(nonce); err != nil {
		return nil, fmt.Errorf("vault: no randomness: %w", err)
	}
	out = out[:len(out)+nonceSize]
	return key.gcm.Seal(out, nonce, plain, ad), nil
}

// errOpen is what open fails with; callers name the row.
var errOpen = damaged("row_damaged", "a sealed row does not open: it was changed, or moved from another row", "")

func (k *SubjectKeys) open(c storage.Compartment, sealed, ad []byte) ([]byte, error) {
	if len(sealed) < 1+1+nonceSize+tagSize || sealed[0] != sealedForm {
		return nil, errOpen
	}
	version, n := binary.Uvarint(sealed[1:])
	if n <= 0 || version == 0 || version > 1<<32-1 || len(sealed) < 1+n+nonceSize+tagSize {
		return nil, errOpen
	}
	key, err := k.find(c, uint32(version))
	if err != nil {
		if k.Has(c) {
			return nil, errOpen // the compartment lives, only that version never was
		}
		return nil, err
	}
	body := sealed[1+n:]
	plain, err := key.gcm.Open(nil, body[:nonceSize], body[nonceSize:], ad)
	if err != nil {
		return nil, errOpen
	}
	return plain, nil
}

// damaged is an error about bytes that are not what was written. field names a
// category or a kind of row.
func damaged(detail, message, field string) *abide.Error {
	return &abide.Error{Code: abide.CodeInternal, Detail: detail, Message: message,
		Hint: "run abide doctor, and restore the row from a backup", Field: field}
}

// Wrap wraps a subject's keys anew under the primary key-encryption key.
func (v *Vault) Wrap(k *SubjectKeys) ([]storage.WrappedKey, error) {
	out := make([]storage.WrappedKey, len(k.keys))
	for i := range k.keys {
		w, err := v.ring.Wrap(k.Subject, k.keys[i].compartment, k.keys[i].version, k.keys[i].raw[:])
		if err != nil {
			return nil, err
		}
		out[i] = w
	}
	return out, nil
}
