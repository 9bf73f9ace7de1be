package audit

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	abide "github.com/abide-privacy/abide"
)

type signer struct{ key ed25519.PrivateKey }

func newSigner(seed byte) signer {
	return signer{ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))}
}
func (s signer) public() ed25519.PublicKey           { return s.key.Public().(ed25519.PublicKey) }
func (s signer) SigningKeyID() string                { return KeyID(s.public()) }
func (s signer) Sign(message []byte) ([]byte, error) { return ed25519.Sign(s.key, message), nil }

func receipt() *Receipt {
	return &Receipt{ID: "r-1", Controller: "Lantern Ltd <privacy@lantern.test>", Subject: abide.SubjectID{1}, Event: 3, LogEntry: 4,
		Action: abide.ConsentGiven, Purpose: "marketing", Terms: "sha256:aa", Topics: []abide.Topic{"offers"}, Grade: abide.GradeProved,
		WordingHash: strings.Repeat("a", 64), Language: "en", Jurisdiction: "HK", Policy: "sha256:bb",
		Actor: Who{Kind: abide.ActorSubject}, At: time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("x", 3600))}
}

func TestReceiptVerifiesOffline(t *testing.T) {
	s := newSigner(1)
	doc, err := SignReceipt(receipt(), s)
	if err != nil {
		t.Fatal(err)
	}
	got, err := VerifyReceipt(doc, s.public())
	if err != nil {
		t.Fatal(err)
	}
	if got.Purpose != "marketing" || !got.At.Equal(receipt().At) || got.Key != s.SigningKeyID() {
		t.Errorf("verified, but says %+v", got)
	}
	spaced := bytes.ReplaceAll(doc, []byte(`","`), []byte("\" ,\n \""))
	if _, err := VerifyReceipt(spaced, s.public()); err != nil {
		t.Errorf("white space is not content: %v", err)
	}
	if _, err := VerifyReceipt(doc, newSigner(2).public()); !errors.Is(err, ErrKey) {
		t.Errorf("another key: %v", err)
	}
}

// Whatever field is changed, added or taken away: the signature notices.
func TestForgedReceiptFails(t *testing.T) {
	s := newSigner(1)
	doc, err := SignReceipt(receipt(), s)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(doc, &fields); err != nil {
		t.Fatal(err)
	}
	forge := func(name string, change func(map[string]any)) {
		var f map[string]any
		if err := json.Unmarshal(doc, &f); err != nil {
			t.Fatal(err)
		}
		change(f)
		forged, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := VerifyReceipt(forged, s.public()); err == nil {
			t.Errorf("%s: still verifies", name)
		}
	}
	for name, value := range fields {
		forge("without "+name, func(f map[string]any) { delete(f, name) })
		switch v := value.(type) {
		case string:
			forge("changed "+name, func(f map[string]any) { f[name] = v + "x" })
		case float64:
			forge("changed "+name, func(f map[string]any) { f[name] = v + 1 })
		}
	}
	forge("added separate", func(f map[string]any) { f["separate"] = true })
	forge("added unknown", func(f map[string]any) { f["unknown"] = true })
	if _, err := VerifyReceipt(append(bytes.Clone(doc), doc...), s.public()); err == nil {
		t.Error("two receipts in a row verify as one")
	}
	twice := bytes.Replace(doc, []byte(`{"action":`), []byte(`{"action":"withdrawn","action":`), 1)
	if _, err := VerifyReceipt(twice, s.public()); err == nil {
		t.Error("a repeated key verifies")
	}
}

func TestCertificateIsNoReceipt(t *testing.T) {
	s := newSigner(1)
	cert := &Certificate{ID: "c-1", Controller: "Lantern", Subject: abide.SubjectID{1}, Erased: time.Unix(1, 0),
		Counts:   map[abide.Category]int{"person.email": 2},
		Survives: []Survivor{{What: "person.invoice", Ground: "HK Inland Revenue Ordinance s.51C", Clause: "privacy#C05", Count: 1, Until: time.Unix(9, 0).UTC()}},
		Policy:   "sha256:bb"}
	doc, err := SignCertificate(cert, s)
	if err != nil {
		t.Fatal(err)
	}
	got, err := VerifyCertificate(doc, s.public())
	if err != nil || got.Counts["person.email"] != 2 || len(got.Survives) != 1 || got.Survives[0].Ground == "" {
		t.Fatalf("got %+v, %v", got, err)
	}
	if _, err := VerifyReceipt(doc, s.public()); !errors.Is(err, ErrForm) {
		t.Errorf("a certificate as a receipt: %v", err)
	}
	forged := bytes.Replace(doc, []byte(`"person.email":2`), []byte(`"person.email":3`), 1)
	if _, err := VerifyCertificate(forged, s.public()); !errors.Is(err, ErrSignature) {
		t.Errorf("forged count: %v", err)
	}
	empty, err := SignCertificate(&Certificate{ID: "c-2"}, s)
	if err != nil || !bytes.Contains(empty, []byte(`"survives":[]`)) {
		t.Errorf("a certificate says so when nothing survives: %s, %v", empty, err)
	}
}

// The signature is over the form's name, a newline and the canonical JSON
// without the signature: nothing else is needed to verify it elsewhere.
func TestSignatureCanBeCheckedByHand(t *testing.T) {
	s := newSigner(1)
	doc, err := SignReceipt(receipt(), s)
	if err != nil {
		t.Fatal(err)
	}
	i := bytes.Index(doc, []byte(`,"signature":"`))
	j := i + len(`,"signature":"`) + 88 // base64 of 64 bytes
	var sig []byte
	if err := json.Unmarshal(append(append([]byte{'"'}, doc[j-88:j]...), '"'), &sig); err != nil {
		t.Fatal(err)
	}
	body := string(doc[:i]) + string(doc[j+1:])
	if !ed25519.Verify(s.public(), []byte("abide-receipt/1\n"+body), sig) {
		t.Error("the documented construction does not verify")
	}
}
