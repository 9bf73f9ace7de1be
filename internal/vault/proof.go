package vault

import (
	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/storage"
)

// Opened is a log entry as it can be proved to somebody: the subject's part and
// the envelope, each with its randomness and the hash of the other
// (spec/log-entry.md, rule 5).
type Opened struct {
	Part, Envelope []byte
}

// ProveEntry opens an entry for its proof.
func (v *Vault) ProveEntry(k *SubjectKeys, e *storage.Entry) (Opened, error) {
	if _, err := v.OpenEntry(k, e); err != nil {
		return Opened{}, err
	}
	return v.opened(k, e.Payload, e.Envelope, e.Commitment, v.entryAD(e))
}

// ProveLook opens the record of a look for its proof.
func (v *Vault) ProveLook(k *SubjectKeys, l *storage.Look) (Opened, error) {
	if _, err := v.OpenLook(k, l); err != nil {
		return Opened{}, err
	}
	return v.opened(k, l.Payload, l.Envelope, l.Commitment, v.lookAD(l))
}

// AuditEntry is ProveEntry for an auditor, who may
// come after the erasure: without the subject's log key the part stays closed,
// and the envelope proves what was done.
func (v *Vault) AuditEntry(k *SubjectKeys, e *storage.Entry) (Opened, error) {
	o, err := v.ProveEntry(k, e)
	if abide.ErrorCode(err) != abide.CodeErased {
		return o, err
	}
	return v.openedEnvelope(e.Envelope, e.Commitment)
}

// AuditLook is AuditEntry for the record of a look.
func (v *Vault) AuditLook(k *SubjectKeys, l *storage.Look) (Opened, error) {
	o, err := v.ProveLook(k, l)
	if abide.ErrorCode(err) != abide.CodeErased {
		return o, err
	}
	return v.openedEnvelope(l.Envelope, l.Commitment)
}

// openedEnvelope opens the envelope alone, which names no subject.
func (v *Vault) openedEnvelope(envelope []byte, commitment audit.Hash) (o Opened, err error) {
	if _, err := v.OpenEnvelope(envelope, commitment); err != nil {
		return Opened{}, err
	}
	o.Envelope, err = v.ring.OpenEnvelope(envelope, v.envelopeAD(commitment))
	return o, err
}

// ProveEnvelope opens the envelope of an entry or look by its commitment.
func (v *Vault) ProveEnvelope(envelope []byte, commitment audit.Hash) ([]byte, error) {
	o, err := v.openedEnvelope(envelope, commitment)
	return o.Envelope, err
}

func (v *Vault) opened(k *SubjectKeys, payload, envelope []byte, commitment audit.Hash, a ad) (o Opened, err error) {
	if o.Part, err = v.openPayload(k, payload, a); err != nil {
		return Opened{}, err
	}
	if _, err := v.OpenEnvelope(envelope, commitment); err != nil {
		return Opened{}, err
	}
	o.Envelope, err = v.ring.OpenEnvelope(envelope, v.envelopeAD(commitment))
	return o, err
}
