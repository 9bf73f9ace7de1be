package vault

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/storage"
)

// SealEntry makes the log entry of a change. The part is completed with the
// subject and the entry's number, and sealed under the subject's log key.
//
// With keys nil, the part is sealed under the system key: entries about no
// subject (zero id), and those about an erasure, which must stay readable when
// the subject's keys are gone. Such a part may hold nothing but random ids and
// names; SealEntry refuses one with a stated reason or a note.
func (v *Vault) SealEntry(k *SubjectKeys, subject abide.SubjectID, n uint64, p audit.Part, e audit.Envelope) (storage.Entry, error) {
	p.Subject, p.N = subject, n
	leaf, err := audit.NewLeaf(&p, &e)
	if err != nil {
		return storage.Entry{}, err
	}
	out := storage.Entry{Subject: subject, N: n, At: e.At.UTC(), Kind: string(e.Kind), Commitment: leaf.Commitment}
	if out.Payload, err = v.sealPart(k, subject, &p, leaf, v.entryAD(&out)); err != nil {
		return storage.Entry{}, err
	}
	out.Envelope, err = v.ring.SealEnvelope(leaf.Envelope, v.envelopeAD(leaf.Commitment))
	return out, err
}

// SealLook makes the log entry of what changed nothing.
func (v *Vault) SealLook(k *SubjectKeys, subject abide.SubjectID, p audit.Part, e audit.Envelope) (storage.Look, error) {
	p.Subject, p.N = subject, 0
	leaf, err := audit.NewLeaf(&p, &e)
	if err != nil {
		return storage.Look{}, err
	}
	out := storage.Look{Subject: subject, At: e.At.UTC(), Kind: string(e.Kind), Commitment: leaf.Commitment}
	if out.Payload, err = v.sealPart(k, subject, &p, leaf, v.lookAD(&out)); err != nil {
		return storage.Look{}, err
	}
	out.Envelope, err = v.ring.SealEnvelope(leaf.Envelope, v.envelopeAD(leaf.Commitment))
	return out, err
}

// The first byte of a sealed part says whose key it is under.
const (
	partOfSubject = 's'
	partOfSystem  = 'y'
)

func (v *Vault) sealPart(k *SubjectKeys, subject abide.SubjectID, p *audit.Part, leaf audit.Leaf, a ad) ([]byte, error) {
	if k != nil {
		if k.Subject != subject {
			return nil, errors.New("vault: log entry of one subject, keys of another")
		}
		sealed, err := k.seal(storage.Log, leaf.Part, a)
		if err != nil {
			return nil, err
		}
		return append([]byte{partOfSubject}, sealed...), nil
	}
	if p.Reason != "" || p.Note != "" || p.Actor != "" || p.Ref != "" || p.Source != "" || p.Facts != nil || p.Judged != nil {
		return nil, errors.New("vault: a log entry under the system key may hold only random ids")
	}
	sealed, err := v.ring.SealSystem(leaf.Part, a)
	if err != nil {
		return nil, err
	}
	return append([]byte{partOfSystem}, sealed...), nil
}

// OpenEntry opens the subject's part of an entry and proves it against the
// commitment. Without the subject's log key (k nil, or erased) a part sealed
// under it fails with CodeErased; parts under the system key always open.
func (v *Vault) OpenEntry(k *SubjectKeys, e *storage.Entry) (*audit.Part, error) {
	p, err := v.openPart(k, e.Payload, e.Commitment, v.entryAD(e))
	if err != nil {
		return nil, nameRow(err, "entry_damaged", "log entry "+fmt.Sprint(e.N))
	}
	if p.Subject != e.Subject || p.N != e.N {
		return nil, nameRow(errOpen, "entry_damaged", "log entry "+fmt.Sprint(e.N))
	}
	return p, nil
}

// OpenLook opens the subject's part of a look.
func (v *Vault) OpenLook(k *SubjectKeys, l *storage.Look) (*audit.Part, error) {
	p, err := v.openPart(k, l.Payload, l.Commitment, v.lookAD(l))
	if err == nil && p.Subject != l.Subject {
		err = errOpen
	}
	if err != nil {
		return nil, nameRow(err, "entry_damaged", "record of a look")
	}
	return p, nil
}

func (v *Vault) openPart(k *SubjectKeys, payload []byte, want audit.Hash, a ad) (*audit.Part, error) {
	plain, err := v.openPayload(k, payload, a)
	if err != nil {
		return nil, err
	}
	p, got, err := audit.OpenPart(plain)
	if err != nil {
		return nil, err
	}
	if got != want {
		return nil, errOpen
	}
	return p, nil
}

// openPayload opens a sealed part under the key that its first byte names.
func (v *Vault) openPayload(k *SubjectKeys, payload []byte, a ad) ([]byte, error) {
	switch {
	case len(payload) == 0:
		return nil, errOpen
	case payload[0] == partOfSystem:
		return v.ring.OpenSystem(payload[1:], a)
	case payload[0] != partOfSubject:
		return nil, errOpen
	case k == nil:
		_, err := (&SubjectKeys{}).find(storage.Log, 0)
		return nil, err
	}
	return k.open(storage.Log, payload[1:], a)
}

// OpenEnvelope opens the envelope of an entry or look by its commitment, and
// proves it. Kind and time in the clear columns of the row are copies to search
// by; the envelope is the authority.
func (v *Vault) OpenEnvelope(sealed []byte, commitment audit.Hash) (*audit.Envelope, error) {
	plain, err := v.ring.OpenEnvelope(sealed, v.envelopeAD(commitment))
	if err != nil {
		return nil, err
	}
	e, got, err := audit.OpenEnvelope(plain)
	if err != nil {
		return nil, err
	}
	if got != commitment {
		return nil, damaged("envelope_damaged", "the envelope of a log entry does not match its commitment", "")
	}
	return e, nil
}

func (v *Vault) entryAD(e *storage.Entry) ad {
	return v.ad(adEntryPart, e.Subject).number(e.N).bytes(e.Commitment[:])
}

func (v *Vault) lookAD(l *storage.Look) ad {
	return v.ad(adLookPart, l.Subject).bytes(l.Commitment[:])
}

func (v *Vault) envelopeAD(commitment audit.Hash) ad {
	return v.ad(adEnvelope, abide.SubjectID{}).bytes(commitment[:])
}

// Digest returns the hex SHA-256 of an item's sealed bytes, for the log entry
// of the change that wrote it: an old row put back later is found by it.
func Digest(sealed []byte) string {
	sum := sha256.Sum256(sealed)
	return hex.EncodeToString(sum[:])
}
