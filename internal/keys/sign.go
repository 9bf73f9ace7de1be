package keys

import (
	stded25519 "crypto/ed25519"
	"errors"
	"fmt"
	"slices"

	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/signature/ed25519"

	"github.com/abide-privacy/abide/audit"
)

// PublicKey is one of the ring's public signing keys. Signatures are plain
// Ed25519 (RFC 8032), so that anybody can verify them without Abide.
type PublicKey struct {
	ID  string               `json:"id"`  // audit.KeyID
	Key stded25519.PublicKey `json:"key"` // 32 bytes
}

// Sign signs a message with the primary signing key.
func (k *Keyring) Sign(message []byte) ([]byte, error) {
	sig, err := k.ring.Load().signer.Sign(message)
	if err != nil {
		return nil, fmt.Errorf("keys: sign: %w", err)
	}
	return sig, nil
}

// SigningKeyID names the key that Sign uses.
func (k *Keyring) SigningKeyID() string { return k.ring.Load().signID }

// PublicKeys returns the public signing keys, the primary first; older ones
// verify what they signed.
func (k *Keyring) PublicKeys() []PublicKey { return k.ring.Load().public }

// Verify reports whether sig is a signature of message by the named key.
func (k *Keyring) Verify(id string, message, sig []byte) bool {
	r, err := k.knowing(func(r *ring) bool {
		return slices.ContainsFunc(r.public, func(p PublicKey) bool { return p.ID == id })
	})
	if err != nil {
		return false
	}
	for _, p := range r.public {
		if p.ID == id {
			return stded25519.Verify(p.Key, message, sig)
		}
	}
	return false
}

func publicKeys(h *keyset.Handle) ([]PublicKey, error) {
	pub, err := h.Public()
	if err != nil {
		return nil, err
	}
	var out []PublicKey
	for i := range pub.Len() {
		e, err := pub.Entry(i)
		if err != nil {
			return nil, err
		}
		key, ok := e.Key().(*ed25519.PublicKey)
		if !ok {
			return nil, errors.New("keys: a signing key is not Ed25519")
		}
		p := PublicKey{ID: audit.KeyID(key.KeyBytes()), Key: key.KeyBytes()}
		if e.IsPrimary() {
			out = append([]PublicKey{p}, out...)
		} else {
			out = append(out, p)
		}
	}
	return out, nil
}
