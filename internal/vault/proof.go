package vault

import (
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
