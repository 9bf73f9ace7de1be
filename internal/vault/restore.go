package vault

import (
	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
)

// SealRestore seals what a record of the restore ledger holds about a person,
// under one of their own keys: erasing the person makes the ledger's copy
// unreadable with the rest.
func (v *Vault) SealRestore(k *SubjectKeys, c storage.Compartment, kind string, plain []byte) ([]byte, error) {
	sealed, err := k.seal(c, plain, v.ad(adRestore, k.Subject).text(kind).number(uint64(c)))
	if err != nil {
		return nil, err
	}
	return append([]byte{byte(c)}, sealed...), nil
}

// OpenRestore opens what SealRestore sealed.
func (v *Vault) OpenRestore(k *SubjectKeys, kind string, sealed []byte) ([]byte, error) {
	if len(sealed) == 0 {
		return nil, nameRow(errOpen, "ledger_damaged", "record in the restore ledger")
	}
	c := storage.Compartment(sealed[0])
	plain, err := k.open(c, sealed[1:], v.ad(adRestore, k.Subject).text(kind).number(uint64(c)))
	return plain, nameRow(err, "ledger_damaged", "record in the restore ledger")
}

// SealRestoreErasure seals the record of an erasure under the system key: it
// must be readable when the person's keys are gone. It holds random ids, names
// of categories, and what is sealed already.
func (v *Vault) SealRestoreErasure(subject abide.SubjectID, plain []byte) ([]byte, error) {
	return v.ring.SealSystem(plain, v.ad(adRestore, subject))
}

// OpenRestoreErasure opens what SealRestoreErasure sealed.
func (v *Vault) OpenRestoreErasure(subject abide.SubjectID, sealed []byte) ([]byte, error) {
	return v.ring.OpenSystem(sealed, v.ad(adRestore, subject))
}
