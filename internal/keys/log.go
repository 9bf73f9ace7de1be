package keys

import (
	"context"
	stded25519 "crypto/ed25519"
	"errors"
	"fmt"

	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/signature"
	"github.com/tink-crypto/tink-go/v2/signature/ed25519"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// setLog holds the keys that sign checkpoints of the log. They are apart from
// those of receipts, because whoever verifies a log has its key pinned. A
// keyring older than the log has none until EnsureLog makes them.
const setLog = "log"

// LogKey signs checkpoints: plain Ed25519 (RFC 8032).
type LogKey struct {
	Public stded25519.PublicKey
	signer tink.Signer
}

// Sign signs the text of a checkpoint.
func (k *LogKey) Sign(text []byte) ([]byte, error) { return k.signer.Sign(text) }

// EnsureLog makes the log's first key if there is none.
func (k *Keyring) EnsureLog(ctx context.Context) error {
	if k.ring.Load().handles[setLog] != nil {
		return nil
	}
	return k.edit(ctx, func(e *edit) error {
		if e.handles[setLog] != nil {
			return nil // another node came first
		}
		h, err := keyset.NewHandle(signature.ED25519KeyWithoutPrefixTemplate())
		e.handles[setLog] = h
		return err
	})
}

// LogKeys returns the log's keys, the primary first. All of them sign: readers
// who pinned an older one go on reading. Call EnsureLog before.
func (k *Keyring) LogKeys() ([]LogKey, error) {
	h := k.ring.Load().handles[setLog]
	if h == nil {
		return nil, errors.New("keys: the keyring has no key for the log yet")
	}
	var out []LogKey
	for i := range h.Len() {
		e, err := h.Entry(i)
		if err != nil {
			return nil, fmt.Errorf("keys: log keys: %w", err)
		}
		if e.KeyStatus() != keyset.Enabled {
			continue
		}
		key, err := logKey(h, e)
		if err != nil {
			return nil, fmt.Errorf("keys: log keys: %w", err)
		}
		if e.IsPrimary() {
			out = append([]LogKey{key}, out...)
		} else {
			out = append(out, key)
		}
	}
	return out, nil
}

// logKey opens one key of the set: Tink's signer is that of the primary.
func logKey(h *keyset.Handle, e *keyset.Entry) (LogKey, error) {
	m := keyset.NewManagerFromHandle(h)
	if err := m.SetPrimary(e.KeyID()); err != nil {
		return LogKey{}, err
	}
	alone, err := m.Handle()
	if err != nil {
		return LogKey{}, err
	}
	signer, err := signature.NewSigner(alone)
	if err != nil {
		return LogKey{}, err
	}
	private, ok := e.Key().(*ed25519.PrivateKey)
	if !ok {
		return LogKey{}, errors.New("a key is not Ed25519")
	}
	pub, err := private.PublicKey()
	if err != nil {
		return LogKey{}, err
	}
	edPub, ok := pub.(*ed25519.PublicKey)
	if !ok {
		return LogKey{}, errors.New("a key is not Ed25519")
	}
	return LogKey{Public: edPub.KeyBytes(), signer: signer}, nil
}
