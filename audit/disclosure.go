package audit

import (
	"crypto/ed25519"
	"slices"
	"time"

	abide "github.com/abide-privacy/abide"
)

// FormDisclosure is the form of a certificate of disclosure.
const FormDisclosure = "abide-disclosure-certificate/1"

// Disclosure states that data of a person went to a recipient, for what, and by
// which rule. It is made from the log's record of it and holds no value.
type Disclosure struct {
	Form       string           `json:"form"`
	ID         string           `json:"id"`
	Controller string           `json:"controller"`
	Subject    abide.SubjectID  `json:"subject"`
	Recipient  abide.Recipient  `json:"recipient"`
	Purpose    abide.Purpose    `json:"purpose"`
	Categories []abide.Category `json:"categories"`
	Items      []Item           `json:"items"` // those that were released
	Grounds    []Ground         `json:"grounds"`
	Actor      Who              `json:"actor"`
	At         time.Time        `json:"at"`
	Policy     string           `json:"policy"`
	Commitment string           `json:"commitment"` // hex: the log's entry of it
	Key        string           `json:"key"`
	Signature  Bytes            `json:"signature,omitempty"`
}

// SignDisclosure fills in form, key and signature and returns the canonical JSON.
func SignDisclosure(d *Disclosure, s Signer) ([]byte, error) {
	d.Form, d.Key, d.Signature = FormDisclosure, s.SigningKeyID(), nil
	d.At = utc(d.At)
	if d.Categories == nil {
		d.Categories = []abide.Category{}
	}
	if d.Items == nil {
		d.Items = []Item{}
	}
	if d.Grounds == nil {
		d.Grounds = []Ground{}
	}
	return sign(d, FormDisclosure, s, func(sig []byte) { d.Signature = sig })
}

// VerifyDisclosure checks a certificate of disclosure against a public key.
func VerifyDisclosure(certificate []byte, key ed25519.PublicKey) (*Disclosure, error) {
	var d Disclosure
	if err := strict(certificate, &d); err != nil || d.Form != FormDisclosure {
		return nil, ErrForm
	}
	if err := verify(certificate, FormDisclosure, d.Key, d.Signature, key); err != nil {
		return nil, err
	}
	return &d, nil
}

// recordedBy reports whether a log entry is the record of the disclosure.
func (d *Disclosure) recordedBy(p *Part, env *Envelope) bool {
	return env.Kind == Disclosed && p.Subject == d.Subject && slices.Equal(p.Items, d.Items) &&
		env.Recipient == d.Recipient && env.Purpose == d.Purpose && slices.Equal(env.Categories, d.Categories) &&
		env.At.Equal(d.At) && env.Actor == d.Actor && env.Policy == d.Policy && slices.Equal(env.Reasons, d.Grounds)
}
