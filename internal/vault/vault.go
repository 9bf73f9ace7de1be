// Package vault turns personal values into rows that tell nothing, and back.
//
// It validates and normalises values at the door (Normalize), seals items,
// subject state, ledger events and log entries under the three keys of their
// subject, and computes blind index values. It is pure but for randomness: it
// reads no clock, no database, and caches no subject key beyond the
// SubjectKeys value that one request holds.
//
// Everything sealed binds, as associated data, what it is and where it
// belongs: the store, the subject, the row. Bytes moved to another row, or
// changed in place, fail to open with an error that names the row and never
// its content.
package vault

import (
	"sync"

	"github.com/abide-privacy/abide/internal/keys"
)

// Vault seals and opens with the keyring of one store. It is safe for
// concurrent use.
type Vault struct {
	ring  *keys.Keyring
	store keys.StoreID
	// index caches derived blind index keys, which belong to the store and to
	// no subject: by root id and category.
	index sync.Map
}

// New returns a vault over a keyring.
func New(ring *keys.Keyring) *Vault {
	return &Vault{ring: ring, store: ring.Store()}
}

// Keyring returns the ring the vault seals with.
func (v *Vault) Keyring() *keys.Keyring { return v.ring }
