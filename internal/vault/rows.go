package vault

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/consent"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/wire"
	"github.com/abide-privacy/abide/policy"
)

// nameRow replaces the bare errors of opening and decoding by one that names
// the kind of row.
func nameRow(err error, detail, row string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errOpen) || errors.Is(err, wire.ErrDamaged):
		e := damaged(detail, "the "+row+" of a subject does not open: its row was changed, or moved from another", "")
		e.Err = err
		return e
	case errors.Is(err, wire.ErrNewer):
		return newer(err, row)
	}
	return err
}

// SealState seals a subject's facts for the row at that version. A state put
// back from an older version of the row does not open.
func (v *Vault) SealState(k *SubjectKeys, version uint64, f *policy.Facts) ([]byte, error) {
	return k.seal(storage.Live, EncodeState(f), v.ad(adState, k.Subject).number(version))
}

// OpenState opens the facts of a subject into f. The detail of the error is
// state_damaged if the row was changed.
func (v *Vault) OpenState(k *SubjectKeys, row *storage.SubjectRow, f *policy.Facts) error {
	plain, err := k.open(storage.Live, row.Sealed, v.ad(adState, k.Subject).number(row.Version))
	if err == nil {
		err = DecodeState(plain, f)
	}
	return nameRow(err, "state_damaged", "state")
}

// SealLaw seals what outlives an erasure, for SubjectRow.Law. It is not bound
// to the row's version: it changes seldom, the row often.
func (v *Vault) SealLaw(k *SubjectKeys, plain []byte) ([]byte, error) {
	return k.seal(storage.Law, plain, v.ad(adLaw, k.Subject))
}

// OpenLaw opens what SealLaw sealed; nil if the row holds nothing.
func (v *Vault) OpenLaw(k *SubjectKeys, row *storage.SubjectRow) ([]byte, error) {
	if row.Law == nil {
		return nil, nil
	}
	plain, err := k.open(storage.Law, row.Law, v.ad(adLaw, k.Subject))
	return plain, nameRow(err, "law_damaged", "retained state")
}

// SealConsent makes the row of a ledger event. Event and signed receipt are
// sealed under the law key: the proof of what was agreed outlives an erasure
// for as long as the law compartment does.
func (v *Vault) SealConsent(k *SubjectKeys, e *abide.ConsentEvent, receipt []byte) (storage.ConsentRow, error) {
	event := consent.Encode(e)
	plain := binary.AppendUvarint(make([]byte, 0, len(event)+len(receipt)+3), uint64(len(event)))
	plain = append(append(plain, event...), receipt...)
	sealed, err := k.seal(storage.Law, plain, v.ad(adConsent, k.Subject).number(e.N))
	if err != nil {
		return storage.ConsentRow{}, err
	}
	return storage.ConsentRow{N: e.N, At: e.At, Purpose: e.Purpose, Action: e.Action, Terms: e.Terms, Sealed: sealed}, nil
}

// OpenConsent opens a ledger row: the event and its signed receipt. A row
// whose clear columns disagree with the sealed event is damaged.
func (v *Vault) OpenConsent(k *SubjectKeys, row *storage.ConsentRow) (*abide.ConsentEvent, []byte, error) {
	const detail, name = "consent_damaged", "ledger"
	plain, err := k.open(storage.Law, row.Sealed, v.ad(adConsent, k.Subject).number(row.N))
	if err != nil {
		return nil, nil, nameRow(err, detail, name)
	}
	n, size := binary.Uvarint(plain)
	if size <= 0 || n > uint64(len(plain)-size) {
		return nil, nil, nameRow(wire.ErrDamaged, detail, name)
	}
	body := plain[size:]
	e, err := consent.Decode(body[:n])
	if err == nil && (e.N != row.N || e.At.UnixMicro() != row.At.UnixMicro() || e.Purpose != row.Purpose || e.Action != row.Action || e.Terms != row.Terms) {
		err = wire.ErrDamaged
	}
	if err != nil {
		return nil, nil, nameRow(err, detail, name)
	}
	return e, body[n:], nil
}

// IdempotencyKey hashes a caller's key together with its scope, so that the keys
// of two callers never meet and the stored one tells nothing.
func (v *Vault) IdempotencyKey(scope, key string) []byte {
	sum := sha256.Sum256(v.ad("abide/idempotency/1", abide.SubjectID{}).text(scope).text(key))
	return sum[:]
}

// RequestDigest hashes a request, to notice another one under the same key.
// It stands in the clear, so it is keyed: values must not be guessable from it.
// No rotation changes it.
func (v *Vault) RequestDigest(request []byte) ([]byte, error) {
	return v.ring.Digest(request)
}

// SealAnswer seals the answer to a mutating call, for the call's retries.
func (v *Vault) SealAnswer(k *SubjectKeys, key, answer []byte) ([]byte, error) {
	return k.seal(storage.Live, answer, v.ad(adAnswer, k.Subject).bytes(key))
}

// OpenAnswer opens a remembered answer.
func (v *Vault) OpenAnswer(k *SubjectKeys, row *storage.IdempotencyRow) ([]byte, error) {
	plain, err := k.open(storage.Live, row.Sealed, v.ad(adAnswer, k.Subject).bytes(row.Key))
	return plain, nameRow(err, "answer_damaged", "remembered answer")
}

// SealCertificate seals an erasure certificate under the system key: it
// outlives the subject's keys, and names nothing but a random id.
func (v *Vault) SealCertificate(subject abide.SubjectID, certificate []byte) ([]byte, error) {
	return v.ring.SealSystem(certificate, v.ad(adCertificate, subject))
}

// OpenCertificate opens an erasure certificate.
func (v *Vault) OpenCertificate(job *storage.ErasureJob) ([]byte, error) {
	return v.ring.OpenSystem(job.Certificate, v.ad(adCertificate, job.Subject))
}

// EventName is what stands in the clear for the fact that a deadline waits for:
// a keyed hash of which one.
func (v *Vault) EventName(subject abide.SubjectID, anchor, ref string) (string, error) {
	sum, err := v.ring.Digest([]byte("event\x00" + subject.String() + "\x00" + anchor + "\x00" + ref))
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(sum[:12]), nil
}
