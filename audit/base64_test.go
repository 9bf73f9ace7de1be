package audit_test

import (
	"bytes"
	"crypto/ed25519"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
)

// everyBit gives a test every text that differs in one bit from one that is
// accepted. None may be.
func everyBit(t *testing.T, what string, raw []byte, accepts func([]byte) bool) {
	t.Helper()
	if !accepts(raw) {
		t.Fatalf("%s is not accepted as it is:\n%s", what, raw)
	}
	for at := range raw {
		for bit := range 8 {
			bad := slices.Clone(raw)
			bad[at] ^= 1 << bit
			if accepts(bad) {
				t.Errorf("%s: bit %d of byte %d (%q) changed, and not noticed", what, bit, at, raw[at])
			}
		}
	}
}

// oneKey signs receipts.
type oneKey struct{ ed25519.PrivateKey }

func (k oneKey) public() ed25519.PublicKey           { return k.Public().(ed25519.PublicKey) }
func (k oneKey) SigningKeyID() string                { return audit.KeyID(k.public()) }
func (k oneKey) Sign(message []byte) ([]byte, error) { return ed25519.Sign(k.PrivateKey, message), nil }

// TestEveryBit: checkpoint with a cosignature, proof, verifier keys, receipt and
// certificate are each read in one form only, down to the bits that base64 leaves
// open.
func TestEveryBit(t *testing.T) {
	p := publish(t, 300)
	cosigner, err := audit.NewCosigner("w1.example", bytes.Repeat([]byte{7}, 32), func() time.Time { return time.Unix(1e9, 0) })
	if err != nil {
		t.Fatal(err)
	}
	keys, err := audit.NewKeys(p.log.Key, cosigner.VerifierKey())
	if err != nil {
		t.Fatal(err)
	}
	keys.Quorum = 1
	c := p.checkpoint(t)
	cosigned, err := note.Sign(&note.Note{Text: c.Text(), Sigs: signatures(t, c.Note, p.log.Key)}, cosigner)
	if err != nil {
		t.Fatal(err)
	}
	everyBit(t, "a checkpoint", cosigned, func(raw []byte) bool {
		_, err := keys.Open(raw)
		return err == nil
	})
	proof, err := p.reader().Prove(t.Context(), c, 257)
	if err != nil {
		t.Fatal(err)
	}
	proof.Checkpoint = cosigned
	everyBit(t, "a proof", proof.Encode(), func(raw []byte) bool {
		q, err := audit.ParseProof(raw)
		if err == nil {
			_, err = q.Verify(keys, q.Extra)
		}
		return err == nil
	})
	everyBit(t, "the key of a witness", []byte(cosigner.VerifierKey()), func(raw []byte) bool {
		_, err := audit.NewKeys(p.log.Key, string(raw))
		return err == nil
	})
	everyBit(t, "the key of a log", []byte(p.log.Key), func(raw []byte) bool {
		_, err := audit.NewKeys(string(raw))
		return err == nil
	})

	k := oneKey{ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32))}
	receipt, err := audit.SignReceipt(&audit.Receipt{ID: "r-1", Controller: "Lantern", Action: abide.ConsentGiven, Grade: abide.GradeProved,
		At: time.Unix(1e9, 0), Actor: audit.Who{Kind: abide.ActorSubject}}, k)
	if err != nil {
		t.Fatal(err)
	}
	everyBit(t, "a receipt", receipt, func(raw []byte) bool {
		_, err := audit.VerifyReceipt(raw, k.public())
		return err == nil
	})
	certificate, err := audit.SignCertificate(&audit.Certificate{ID: "c-1", Controller: "Lantern"}, k)
	if err != nil {
		t.Fatal(err)
	}
	everyBit(t, "a certificate", certificate, func(raw []byte) bool {
		_, err := audit.VerifyCertificate(raw, k.public())
		return err == nil
	})
}

// TestBase64HasOneForm: what decoders pass over, or leave open.
func TestBase64HasOneForm(t *testing.T) {
	for text, ok := range map[string]bool{
		`"QUI="`: true, `"QUJD"`: true, `""`: true, `null`: true,
		`"QUJ="`: false, `"QUI"`: false, `"QUJD\n"`: false, `"QU\r\nJD"`: false, `" QUJD"`: false, `"QUJD=="`: false, `"_-A="`: false, `7`: false,
	} {
		var b audit.Bytes
		if err := b.UnmarshalJSON([]byte(text)); (err == nil) != ok {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// signatures are those of a note that this key made.
func signatures(t *testing.T, signed []byte, vkey string) []note.Signature {
	t.Helper()
	v, err := note.NewVerifier(strings.TrimSpace(vkey))
	if err != nil {
		t.Fatal(err)
	}
	n, err := note.Open(signed, note.VerifierList(v))
	if err != nil {
		t.Fatal(err)
	}
	return n.Sigs
}
