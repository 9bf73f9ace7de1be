package audit

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// algCosignature is the type of signed-note keys for timestamped Ed25519
// cosignatures of checkpoints.
const algCosignature = 4

// A cosignature is Ed25519 over a header with the time, and the checkpoint
// (c2sp.org/tlog-cosignature, cosignature/v1).
type cosignatureVerifier struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

// NewCosignatureVerifier reads the verifier key of a witness.
func NewCosignatureVerifier(vkey string) (note.Verifier, error) {
	bad := func(what string) (note.Verifier, error) {
		return nil, &Fault{Code: KeyMalformed, Entry: -1, What: "not the verifier key of a witness: " + what}
	}
	name, rest, _ := strings.Cut(vkey, "+")
	id, key, ok := strings.Cut(rest, "+")
	if !ok || !validKeyName(name) {
		return bad("it has the form name+id+key")
	}
	hash, err := strconv.ParseUint(id, 16, 32)
	if err != nil || len(id) != 8 || strings.ToLower(id) != id {
		return bad("the id is eight hexadecimal digits")
	}
	raw, ok := decodeBase64(key)
	if !ok || len(raw) != 1+ed25519.PublicKeySize || raw[0] != algCosignature {
		return bad("the key is not of the type of Ed25519 cosignatures")
	}
	v := &cosignatureVerifier{name: name, key: raw[1:]}
	if v.hash = keyHash(name, raw); v.hash != uint32(hash) {
		return bad("the id does not fit name and key")
	}
	return v, nil
}

func (v *cosignatureVerifier) Name() string    { return v.name }
func (v *cosignatureVerifier) KeyHash() uint32 { return v.hash }

func (v *cosignatureVerifier) Verify(msg, sig []byte) bool {
	if len(sig) != 8+ed25519.SignatureSize {
		return false
	}
	at := binary.BigEndian.Uint64(sig)
	return at <= math.MaxInt64 && ed25519.Verify(v.key, cosignedMessage(at, msg), sig[8:])
}

// Cosigner signs checkpoints as a witness, at the time its clock says.
type Cosigner struct {
	cosignatureVerifier
	private ed25519.PrivateKey
	now     func() time.Time
}

// NewCosigner makes the witness of that name from a 32-byte seed. It must be
// used for nothing but cosignatures of this one witness.
func NewCosigner(name string, seed []byte, now func() time.Time) (*Cosigner, error) {
	if !validKeyName(name) {
		return nil, errors.New("audit: the name of a witness has neither spaces nor plus signs")
	}
	if len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("audit: the seed of a witness has %d bytes", ed25519.SeedSize)
	}
	private := ed25519.NewKeyFromSeed(seed)
	public := private.Public().(ed25519.PublicKey)
	hash := keyHash(name, append([]byte{algCosignature}, public...))
	return &Cosigner{cosignatureVerifier{name, hash, public}, private, now}, nil
}

// Sign signs the text of a checkpoint. What it returns is the part of the
// signature after the key's id.
func (c *Cosigner) Sign(text []byte) ([]byte, error) {
	at := c.now().Unix()
	if at <= 0 {
		return nil, errors.New("audit: the clock of the witness is before 1970")
	}
	sig := binary.BigEndian.AppendUint64(nil, uint64(at))
	return append(sig, ed25519.Sign(c.private, cosignedMessage(uint64(at), text))...), nil
}

// VerifierKey is the witness's verifier key in signed-note form.
func (c *Cosigner) VerifierKey() string {
	return fmt.Sprintf("%s+%08x+%s", c.name, c.hash, base64.StdEncoding.EncodeToString(append([]byte{algCosignature}, c.key...)))
}

// CosignatureTime returns when a cosignature was made. It must have been
// verified before.
func CosignatureTime(s note.Signature) (time.Time, error) {
	raw, ok := decodeBase64(s.Base64)
	if !ok || len(raw) != 4+8+ed25519.SignatureSize {
		return time.Time{}, errors.New("audit: not a cosignature")
	}
	return time.Unix(int64(binary.BigEndian.Uint64(raw[4:])), 0).UTC(), nil
}

func cosignedMessage(at uint64, text []byte) []byte {
	return append([]byte("cosignature/v1\ntime "+strconv.FormatUint(at, 10)+"\n"), text...)
}

func keyHash(name string, key []byte) uint32 {
	sum := sha256.Sum256(append([]byte(name+"\n"), key...))
	return binary.BigEndian.Uint32(sum[:4])
}

func validKeyName(name string) bool {
	return name != "" && !strings.Contains(name, "+") && len(strings.Fields(name)) == 1 && strings.TrimSpace(name) == name
}
