package keys

import (
	"fmt"

	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"
)

// IndexKey is a root from which one blind index key per category is derived.
type IndexKey struct {
	ID   string // stored beside every index value it made
	root prf.PRF
}

// Derive returns the 256-bit key for one purpose of the root: HKDF-SHA-256
// (RFC 5869) with info as its info string.
func (x IndexKey) Derive(info string) ([]byte, error) {
	key, err := x.root.ComputePRF([]byte(info), 32)
	if err != nil {
		return nil, fmt.Errorf("keys: derive index key: %w", err)
	}
	return key, nil
}

// IndexKeys returns the roots of blind index keys, the primary first. New
// index values are written under all of them and looked for under all of them,
// until a rotation has re-derived every value and retires the older root.
func (k *Keyring) IndexKeys() []IndexKey { return k.ring.Load().index }

func indexKeys(h *keyset.Handle) ([]IndexKey, error) {
	set, err := prf.NewPRFSet(h)
	if err != nil {
		return nil, err
	}
	out := []IndexKey{{ID: keyID(set.PrimaryID), root: set.PRFs[set.PrimaryID]}}
	for i := range h.Len() {
		e, err := h.Entry(i)
		if err != nil {
			return nil, err
		}
		root, ok := set.PRFs[e.KeyID()]
		if ok && e.KeyID() != set.PrimaryID {
			out = append(out, IndexKey{ID: keyID(e.KeyID()), root: root})
		}
	}
	return out, nil
}
