package audit

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	abide "github.com/abide-privacy/abide"
)

// Signer signs with one Ed25519 key (RFC 8032).
type Signer interface {
	SigningKeyID() string
	Sign(message []byte) ([]byte, error)
}

// Errors of verification.
var (
	ErrForm      = errors.New("audit: not a document of this form")
	ErrKey       = errors.New("audit: signed with another key")
	ErrSignature = errors.New("audit: the signature does not match: the document was changed")
)

// KeyID returns the id by which documents name a public key: "ed25519:" and
// the first 8 bytes of its SHA-256 in hex.
func KeyID(key ed25519.PublicKey) string {
	sum := sha256.Sum256(key)
	return "ed25519:" + hex.EncodeToString(sum[:8])
}

// The forms of signed documents, and the tags of their signatures.
const (
	FormReceipt     = "abide-receipt/1"
	FormCertificate = "abide-erasure-certificate/1"
)

// Receipt is the signed record of one event in the ledger of consent. Its
// fields are those that ISO/IEC TS 27560 and the Kantara consent receipt 1.1
// ask for, so that both can be made from it.
type Receipt struct {
	Form         string              `json:"form"`
	ID           string              `json:"id"`         // UUIDv7
	Controller   string              `json:"controller"` // as the policy names it
	Subject      abide.SubjectID     `json:"subject"`
	Event        uint64              `json:"event"`     // number in the subject's ledger
	LogEntry     uint64              `json:"log_entry"` // number in the subject's log
	Action       abide.ConsentAction `json:"action"`
	Purpose      abide.Purpose       `json:"purpose,omitempty"`
	Document     abide.DocumentName  `json:"document,omitempty"`
	Terms        string              `json:"terms,omitempty"` // digest of what was agreed to
	Topics       []abide.Topic       `json:"topics,omitempty"`
	Channels     []abide.Channel     `json:"channels,omitempty"`
	Grade        abide.Grade         `json:"grade"`
	WordingHash  string              `json:"wording_hash,omitempty"`
	LayoutHash   string              `json:"layout_hash,omitempty"`
	Language     string              `json:"language,omitempty"`
	Separate     bool                `json:"separate,omitempty"`
	Source       string              `json:"source,omitempty"`
	Signal       string              `json:"signal,omitempty"`
	Cites        string              `json:"cites,omitempty"`
	Jurisdiction abide.Place         `json:"jurisdiction,omitempty"`
	Policy       string              `json:"policy"` // version in force
	Actor        Who                 `json:"actor"`
	At           time.Time           `json:"at"`
	Expires      time.Time           `json:"expires,omitzero"`
	Key          string              `json:"key"`
	Signature    Bytes               `json:"signature,omitempty"` // base64 of 64 bytes
}

// Certificate states that a person was erased and what outlives the erasure.
type Certificate struct {
	Form       string                 `json:"form"`
	ID         string                 `json:"id"`
	Controller string                 `json:"controller"`
	Subject    abide.SubjectID        `json:"subject"`
	Requested  time.Time              `json:"requested"`
	Erased     time.Time              `json:"erased"`
	Counts     map[abide.Category]int `json:"counts"` // items erased
	Survives   []Survivor             `json:"survives"`
	Policy     string                 `json:"policy"`
	LogEntry   uint64                 `json:"log_entry,omitempty"`
	Key        string                 `json:"key"`
	Signature  Bytes                  `json:"signature,omitempty"`
}

// Survivor is what an erasure leaves, why, and until when.
type Survivor struct {
	What   string    `json:"what"`             // a category, or "suppression hash"
	Ground string    `json:"ground"`           // the law or purpose that demands it
	Clause string    `json:"clause,omitempty"` // where the policy says so
	Count  int       `json:"count,omitempty"`
	Until  time.Time `json:"until,omitzero"`
}

// SignReceipt fills in form, key and signature and returns the canonical JSON.
func SignReceipt(r *Receipt, s Signer) ([]byte, error) {
	r.Form, r.Key, r.Signature = FormReceipt, s.SigningKeyID(), nil
	r.At, r.Expires = utc(r.At), utc(r.Expires)
	return sign(r, FormReceipt, s, func(sig []byte) { r.Signature = sig })
}

// VerifyReceipt checks a receipt against a public key. Any change of a byte
// that changes its meaning fails.
func VerifyReceipt(receipt []byte, key ed25519.PublicKey) (*Receipt, error) {
	var r Receipt
	if err := strict(receipt, &r); err != nil || r.Form != FormReceipt {
		return nil, ErrForm
	}
	if err := verify(receipt, FormReceipt, r.Key, r.Signature, key); err != nil {
		return nil, err
	}
	return &r, nil
}

// SignCertificate fills in form, key and signature and returns the canonical JSON.
func SignCertificate(c *Certificate, s Signer) ([]byte, error) {
	c.Form, c.Key, c.Signature = FormCertificate, s.SigningKeyID(), nil
	c.Requested, c.Erased = utc(c.Requested), utc(c.Erased)
	if c.Counts == nil {
		c.Counts = map[abide.Category]int{}
	}
	if c.Survives == nil {
		c.Survives = []Survivor{}
	}
	return sign(c, FormCertificate, s, func(sig []byte) { c.Signature = sig })
}

// VerifyCertificate checks a certificate against a public key.
func VerifyCertificate(certificate []byte, key ed25519.PublicKey) (*Certificate, error) {
	var c Certificate
	if err := strict(certificate, &c); err != nil || c.Form != FormCertificate {
		return nil, ErrForm
	}
	if err := verify(certificate, FormCertificate, c.Key, c.Signature, key); err != nil {
		return nil, err
	}
	return &c, nil
}

// sign signs the form, a newline, and the canonical JSON of a document without
// its signature.
func sign(doc any, form string, s Signer, put func([]byte)) ([]byte, error) {
	body, err := Canonical(doc)
	if err != nil {
		return nil, fmt.Errorf("audit: encode %s: %w", form, err)
	}
	sig, err := s.Sign(signed(form, body))
	if err != nil {
		return nil, fmt.Errorf("audit: sign %s: %w", form, err)
	}
	put(sig)
	return Canonical(doc)
}

// verify takes the signature out of the document as it came, not as it was
// decoded, so that whatever the signer wrote is what is checked.
func verify(doc []byte, form, keyID string, sig []byte, key ed25519.PublicKey) error {
	if len(key) != ed25519.PublicKeySize || keyID != KeyID(key) {
		return ErrKey
	}
	canonical, err := Canonicalize(doc)
	if err != nil {
		return ErrForm
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(canonical, &members); err != nil {
		return ErrForm
	}
	delete(members, "signature")
	body, err := Canonical(members)
	if err != nil {
		return ErrForm
	}
	if !ed25519.Verify(key, signed(form, body), sig) {
		return ErrSignature
	}
	return nil
}

func signed(form string, body []byte) []byte {
	return bytes.Join([][]byte{[]byte(form), body}, []byte{'\n'})
}

func utc(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC()
}
