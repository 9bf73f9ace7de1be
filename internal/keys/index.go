package keys

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"

	abide "github.com/abide-privacy/abide"
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

// IndexKeys returns the roots of blind index keys, the primary first. Which of
// them are in force is for the store to say: a second root is there from the
// beginning of a rotation, and becomes the primary, and the only one, when
// nothing is left under the other.
func (k *Keyring) IndexKeys() []IndexKey { return k.ring.Load().index }

// IndexKey returns a root by its id, after a look at the keyring's place if it
// is not known: another process may have begun a rotation.
//
// The error's detail is index_key_unknown if the ring does not hold it.
func (k *Keyring) IndexKey(id string) (IndexKey, error) {
	find := func(r *ring) int {
		return slices.IndexFunc(r.index, func(x IndexKey) bool { return x.ID == id })
	}
	r, err := k.knowing(func(r *ring) bool { return find(r) >= 0 })
	if err != nil {
		return IndexKey{}, err
	}
	if i := find(r); i >= 0 {
		return r.index[i], nil
	}
	return IndexKey{}, &abide.Error{Code: abide.CodeUnavailable, Detail: "index_key_unknown",
		Message: "the keyring does not hold an index key that is in force in the store",
		Hint:    "open the store with its newest keyring"}
}

// RetiredIndex lists the roots that were destroyed, with the time.
func (k *Keyring) RetiredIndex() []Epoch { return slices.Clone(k.ring.Load().retired) }

// RotateIndex adds a root of index keys and returns its id. The older root
// stays the primary until RetireIndex; a new root that an earlier rotation left
// there is used.
func (k *Keyring) RotateIndex(ctx context.Context) (string, error) {
	var id string
	err := k.edit(ctx, func(e *edit) error {
		info := e.handles[setIndex].KeysetInfo()
		for _, x := range info.GetKeyInfo() {
			if x.GetKeyId() != info.GetPrimaryKeyId() {
				id = keyID(x.GetKeyId())
				return nil
			}
		}
		n, err := e.add(setIndex)
		id = keyID(n)
		return err
	})
	return id, err
}

// RetireIndex makes a root the only one and destroys the others: values that
// they made, on whatever medium, cannot be tested by guessing any more. The
// place no longer holds them when RetireIndex returns; copies of it are the
// operator's to destroy.
func (k *Keyring) RetireIndex(ctx context.Context, id string, now time.Time) ([]string, error) {
	var gone []string
	err := k.edit(ctx, func(e *edit) error {
		gone = nil
		if err := e.setPrimary(setIndex, id); err != nil {
			return err
		}
		for _, x := range e.handles[setIndex].KeysetInfo().GetKeyInfo() {
			if old := keyID(x.GetKeyId()); old != id {
				if err := e.drop(setIndex, old); err != nil {
					return err
				}
				e.retired = append(e.retired, Epoch{ID: old, Destroyed: now.UTC()})
				gone = append(gone, old)
			}
		}
		return nil
	})
	return gone, err
}

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
