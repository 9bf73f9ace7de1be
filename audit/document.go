package audit

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	abide "github.com/abide-privacy/abide"
)

// The forms of documents that prove themselves without a connection
// (spec/log-entry.md, rules 19 to 24).
const (
	// FormProved is a signed receipt or certificate together with the proof that
	// the log has what it says.
	FormProved = "abide-proved/1"
	// FormEvidence is the same within a document of another form, under the
	// member "abide"; its signature is over all of that document.
	FormEvidence = "abide-evidence/1"

	FormKantara = "KI-CR-v1.1.0"                            // Kantara Initiative, Consent Receipt 1.1.0
	FormDPV     = "https://w3id.org/dpv/schema/dpv-27560#"  // ISO/IEC TS 27560 in DPV; the profile follows
	evidenceKey = "abide"                                   // the member of other forms that holds the evidence
	maxDocument = 1 << 20                                   // bytes; nothing of ours comes near it
	contextIRI  = "https://github.com/abide-privacy/abide#" // of the member "abide" in JSON-LD
)

// Context is the JSON-LD context entry of the evidence: its content is JSON, not
// linked data.
func Context() map[string]any {
	return map[string]any{"@id": contextIRI + "evidence", "@type": "@json"}
}

// LogEvidence shows that an entry is in a log (spec/log.md, rule 15).
type LogEvidence struct {
	Origin     string `json:"origin"`
	Index      uint64 `json:"index"`
	Commitment string `json:"commitment"` // hex: the entry in the log
	Proof      string `json:"proof"`      // c2sp.org/tlog-proof, with the checkpoint
	Part       []byte `json:"part"`       // opens to the commitment
	Envelope   []byte `json:"envelope"`   // opens to the same commitment
}

// Evidence is one signed document and, once a checkpoint has its entry, the
// proof of it. Key and Signature are over the whole document that it stands in.
type Evidence struct {
	Form        string          `json:"form"`
	Receipt     json.RawMessage `json:"receipt,omitempty"`
	Certificate json.RawMessage `json:"certificate,omitempty"`
	Disclosure  json.RawMessage `json:"disclosure,omitempty"`
	Log         *LogEvidence    `json:"log,omitempty"`
	Key         string          `json:"key"`
	Signature   Bytes           `json:"signature,omitempty"`
}

// SignProved fills in form, key and signature, and returns the canonical JSON.
func SignProved(e *Evidence, s Signer) ([]byte, error) {
	e.Form, e.Key, e.Signature = FormProved, s.SigningKeyID(), nil
	return sign(e, FormProved, s, func(sig []byte) { e.Signature = sig })
}

// SignExport puts the evidence into a document of another form, signs all of it,
// and returns the canonical JSON.
func SignExport(doc map[string]any, e *Evidence, s Signer) ([]byte, error) {
	e.Form, e.Key, e.Signature = FormEvidence, s.SigningKeyID(), nil
	doc[evidenceKey] = e
	return sign(doc, FormEvidence, s, func(sig []byte) { e.Signature = sig })
}

// DocumentKeys are whom a reader of documents believes.
type DocumentKeys struct {
	Signing []ed25519.PublicKey // of receipts and certificates, all there were
	Log     *Keys               // of the log; nil: no proof of the log is looked at
}

// VerifiedDocument is a document that was verified. One of Receipt, Certificate
// and Disclosure is set.
type VerifiedDocument struct {
	// Form is that of the file: FormProved, FormKantara, a profile of FormDPV, or
	// the form of a document that came without its proof.
	Form        string
	Receipt     *Receipt
	Certificate *Certificate
	Disclosure  *Disclosure
	// Log is the entry that the log has of it; nil if the file has no proof, or
	// no key of the log was given.
	Log *VerifiedEntry
	// Proved says that the file has a proof of the log, looked at or not.
	Proved bool
}

// VerifyDocument checks a receipt or certificate, in any of the forms that Abide
// gives out, without a connection. Whatever is changed in it is refused: each
// byte that means anything is under a signature of one of the keys, and what
// the receipt, the log's entry and the rendering say must agree. Errors are
// Faults.
func VerifyDocument(raw []byte, k DocumentKeys) (*VerifiedDocument, error) {
	if len(raw) > maxDocument {
		return nil, documentFault(TooLarge, fmt.Sprintf("a receipt or certificate has at most %d bytes", maxDocument))
	}
	canonical, err := Canonicalize(raw)
	if err != nil {
		return nil, documentFault(DocumentMalformed, "it is not one JSON value")
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(canonical, &members); err != nil {
		return nil, documentFault(DocumentMalformed, "it is not a JSON object")
	}
	var form string
	_ = json.Unmarshal(members["form"], &form) // no form is no form that is known
	v := documentVerifier{keys: k, out: &VerifiedDocument{Form: form}}
	switch {
	case form == FormProved:
		return v.out, v.proved(canonical)
	case members[evidenceKey] != nil:
		return v.out, v.exported(canonical, members)
	case form == FormReceipt, form == FormCertificate, form == FormDisclosure:
		return v.out, v.document(form, canonical)
	}
	return nil, documentFault(DocumentMalformed, "it is no receipt or certificate of a form that is known here")
}

func documentFault(code FaultCode, what string) *Fault {
	return &Fault{Code: code, Entry: -1, What: what}
}

type documentVerifier struct {
	keys   DocumentKeys
	out    *VerifiedDocument
	digest string // hex SHA-256 of the canonical receipt
}

// key returns the key that a document says it was signed with, if it is one to
// believe.
func (v *documentVerifier) key(id string) (ed25519.PublicKey, error) {
	for _, k := range v.keys.Signing {
		if len(k) == ed25519.PublicKeySize && KeyID(k) == id {
			return k, nil
		}
	}
	return nil, documentFault(DocumentKey, "it is signed with a key that is not among those given")
}

func (v *documentVerifier) proved(canonical []byte) error {
	var e Evidence
	if err := exact(canonical, &e); err != nil {
		return err
	}
	key, err := v.key(e.Key)
	if err != nil {
		return err
	}
	if err := verify(canonical, FormProved, e.Key, e.Signature, key); err != nil {
		return signatureFault(err)
	}
	return v.evidence(&e)
}

// exported verifies a document of another form.
func (v *documentVerifier) exported(canonical []byte, members map[string]json.RawMessage) error {
	var e Evidence
	if err := exact(members[evidenceKey], &e); err != nil {
		return err
	}
	key, err := v.key(e.Key)
	if err != nil {
		return err
	}
	body, err := withoutSignature(members, evidenceKey)
	if err != nil {
		return documentFault(DocumentMalformed, "the evidence is not an object")
	}
	if e.Form != FormEvidence || !ed25519.Verify(key, signed(FormEvidence, body), e.Signature) {
		return signatureFault(ErrSignature)
	}
	if e.Receipt == nil {
		return documentFault(DocumentMalformed, "the evidence has no receipt")
	}
	if err := v.evidence(&e); err != nil {
		return err
	}
	r, err := rendered(canonical)
	if err != nil {
		return err
	}
	v.out.Form = r.form
	return r.agrees(v.out.Receipt)
}

func (v *documentVerifier) evidence(e *Evidence) error {
	form, doc := FormReceipt, e.Receipt
	switch {
	case e.Receipt != nil && e.Certificate == nil && e.Disclosure == nil:
	case e.Certificate != nil && e.Receipt == nil && e.Disclosure == nil:
		form, doc = FormCertificate, e.Certificate
	case e.Disclosure != nil && e.Receipt == nil && e.Certificate == nil:
		form, doc = FormDisclosure, e.Disclosure
	default:
		return documentFault(DocumentMalformed, "it has not exactly one receipt or certificate")
	}
	if err := v.document(form, doc); err != nil {
		return err
	}
	if v.out.Proved = e.Log != nil; !v.out.Proved || v.keys.Log == nil {
		return nil
	}
	if d := v.out.Disclosure; d != nil && d.Commitment != e.Log.Commitment {
		return documentFault(DocumentDiffers, "the proof is of another entry than the certificate")
	}
	var err error
	if v.out.Log, err = v.keys.logged(e.Log); err != nil {
		return err
	}
	return v.recorded(v.out.Log)
}

// document verifies a signed document by itself.
func (v *documentVerifier) document(form string, doc []byte) error {
	var head struct {
		Key string `json:"key"`
	}
	_ = json.Unmarshal(doc, &head) // without a key it is signed with none of those given
	key, err := v.key(head.Key)
	if err != nil {
		return err
	}
	switch form {
	case FormReceipt:
		v.digest = ReceiptDigest(doc)
		v.out.Receipt, err = VerifyReceipt(doc, key)
	case FormCertificate:
		v.out.Certificate, err = VerifyCertificate(doc, key)
	default:
		v.out.Disclosure, err = VerifyDisclosure(doc, key)
	}
	return signatureFault(err)
}

// ReceiptDigest returns the hex SHA-256 of the canonical form of a signed
// receipt, which the log's entry of it holds.
func ReceiptDigest(receipt []byte) string {
	canonical, err := Canonicalize(receipt)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(canonical)
	return hex.EncodeToString(sum[:])
}

// logged verifies the proof of an entry, and opens it.
func (k DocumentKeys) logged(l *LogEvidence) (*VerifiedEntry, error) {
	if l.Origin != k.Log.Origin() {
		return nil, &Fault{Code: CheckpointOrigin, Entry: -1, What: "the proof is of another log than the key"}
	}
	p, err := ParseProof([]byte(l.Proof))
	if err != nil {
		return nil, err
	}
	bad := func(what string) (*VerifiedEntry, error) {
		return nil, &Fault{Code: ProofWrong, Entry: int64(l.Index), What: what} //nolint:gosec // shown only
	}
	commitment, err := hex.DecodeString(l.Commitment)
	if err != nil || uint64(p.Index) != l.Index { //nolint:gosec // ParseProof takes no negative index
		return bad("the proof is of another entry")
	}
	v := &VerifiedEntry{Index: p.Index}
	var one, two Hash
	if v.Part, one, err = OpenPart(l.Part); err != nil || !bytes.Equal(one[:], commitment) {
		return bad("the subject's part is not the one that was committed to")
	}
	if v.Envelope, two, err = OpenEnvelope(l.Envelope); err != nil || !bytes.Equal(two[:], commitment) {
		return bad("the envelope is not the one that was committed to")
	}
	v.Checkpoint, err = p.Verify(k.Log, commitment)
	return v, err
}

// recorded checks that the log's entry says what the document says.
func (v *documentVerifier) recorded(e *VerifiedEntry) error {
	p, env := e.Part, e.Envelope
	var same bool
	switch {
	case v.out.Receipt != nil:
		r := v.out.Receipt
		same = env.Kind == Consented && p.Receipt == r.ID && p.Subject == r.Subject && p.Consent == r.Event && p.N == r.LogEntry &&
			p.Action == r.Action && p.Terms == r.Terms && p.Document == r.Document && env.Purpose == r.Purpose && env.Policy == r.Policy &&
			(p.Digest == "" || p.Digest == v.digest)
	case v.out.Certificate != nil:
		c := v.out.Certificate
		same = env.Kind == Erased && p.Subject == c.Subject && p.N == c.LogEntry && env.Policy == c.Policy
	default:
		same = v.out.Disclosure.recordedBy(p, env)
	}
	if !same {
		return &Fault{Code: DocumentDiffers, Entry: e.Index, What: "the log's entry is not about this document"}
	}
	return nil
}

// exact decodes what this package wrote, and refuses whatever it would write
// otherwise: members it does not know, base64 with other bits at its end.
func exact(canonical []byte, v any) error {
	if err := strict(canonical, v); err != nil {
		return documentFault(DocumentMalformed, "it has a member that is not known here, or one of another kind")
	}
	again, err := Canonical(v)
	if err != nil || !bytes.Equal(again, canonical) {
		return documentFault(DocumentMalformed, "it is not written as it was")
	}
	return nil
}

// withoutSignature is the canonical form of a document without the signature in
// one of its members.
func withoutSignature(members map[string]json.RawMessage, in string) ([]byte, error) {
	var inner map[string]json.RawMessage
	if err := json.Unmarshal(members[in], &inner); err != nil {
		return nil, err
	}
	delete(inner, "signature")
	without := make(map[string]any, len(members))
	for name, value := range members {
		without[name] = value
	}
	without[in] = inner
	return Canonical(without)
}

// signatureFault gives errors of signed documents the codes of faults.
func signatureFault(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrKey):
		return documentFault(DocumentKey, "it is signed with a key that is not among those given")
	case errors.Is(err, ErrSignature):
		return documentFault(DocumentSignature, "the signature does not match: it was changed, or somebody else made it")
	}
	return documentFault(DocumentMalformed, "a signed document in it is none")
}

// rendering is what a document of another form says of the receipt in it.
type rendering struct {
	form, id string
	subject  string
	at       int64 // seconds, where the form says it so
}

// rendered reads the members of a foreign form that repeat the receipt.
func rendered(canonical []byte) (rendering, error) {
	var d struct {
		Version   string `json:"version"`
		ID        string `json:"consentReceiptID"`
		Principal string `json:"piiPrincipalId"`
		At        int64  `json:"consentTimestamp"`
		Conforms  string `json:"dct:conformsTo"`
		Receipt   string `json:"dct:identifier"`
		Subject   struct {
			ID string `json:"dct:identifier"`
		} `json:"dpv:hasDataSubject"`
		Record *struct {
			Subject struct {
				ID string `json:"dct:identifier"`
			} `json:"dpv:hasDataSubject"`
		} `json:"dpv:hasRecordOfActivity"`
	}
	if err := json.Unmarshal(canonical, &d); err != nil {
		return rendering{}, documentFault(DocumentMalformed, "a member of it is of another kind than its form says")
	}
	switch {
	case d.Version == FormKantara:
		return rendering{d.Version, d.ID, d.Principal, d.At}, nil
	case len(d.Conforms) > len(FormDPV) && d.Conforms[:len(FormDPV)] == FormDPV && d.Record != nil:
		return rendering{form: d.Conforms, id: d.Receipt, subject: d.Record.Subject.ID}, nil
	case len(d.Conforms) > len(FormDPV) && d.Conforms[:len(FormDPV)] == FormDPV:
		return rendering{form: d.Conforms, id: d.Receipt, subject: d.Subject.ID}, nil
	}
	return rendering{}, documentFault(DocumentMalformed, "it is of no form that is known here")
}

func (r *rendering) agrees(with *Receipt) error {
	id := with.ID
	if r.form != FormKantara && !bytes.HasPrefix([]byte(r.form[len(FormDPV):]), []byte("receipt")) {
		id = RecordID(with.ID)
	}
	if r.id != id || r.subject != with.Subject.String() || r.at != 0 && r.at != with.At.Unix() {
		return documentFault(DocumentDiffers, "the receipt in it is another one than the document shows")
	}
	return nil
}

// RecordID is the id of the record that a receipt is about, where a form tells
// the two apart: a UUID of version 8 (RFC 9562) made of the receipt's.
func RecordID(receipt string) string {
	sum := hashOf("abide/consent-record\x00", nil, []byte(receipt))
	sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80
	return abide.SubjectID(sum[:16]).String()
}
