package log

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"golang.org/x/mod/sumdb/note"

	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/keys"
)

// Keys are the keys that sign a log's checkpoints: a keyring.
type Keys interface {
	LogKeys() ([]keys.LogKey, error)
}

// algEd25519 is the type of signed-note keys for Ed25519.
const algEd25519 = 1

// signer signs under the log's origin (note.Signer).
type signer struct {
	name string
	key  keys.LogKey
}

func (s signer) Name() string                     { return s.name }
func (s signer) KeyHash() uint32                  { return keyHash(s.name, s.key.Public) }
func (s signer) Sign(text []byte) ([]byte, error) { return s.key.Sign(text) }

func keyHash(name string, key ed25519.PublicKey) uint32 {
	sum := sha256.Sum256(append([]byte(name+"\n"+string(rune(algEd25519))), key...))
	return binary.BigEndian.Uint32(sum[:4])
}

// VerifierKeys returns the log's keys in signed-note form, the one that signs
// first.
func VerifierKeys(k Keys, origin string) ([]string, error) {
	all, err := k.LogKeys()
	if err != nil {
		return nil, err
	}
	var out []string
	for i := range all {
		v, err := note.NewEd25519VerifierKey(origin, all[i].Public)
		if err != nil {
			return nil, fmt.Errorf("log: verifier key: %w", err)
		}
		out = append(out, v)
	}
	return out, nil
}

// signCheckpoint signs a head with all of the log's keys. The same head gives
// the same bytes.
func signCheckpoint(k Keys, c *audit.Checkpoint) ([]byte, error) {
	all, err := k.LogKeys()
	if err != nil {
		return nil, err
	}
	var signers []note.Signer
	for _, key := range all {
		signers = append(signers, signer{c.Origin, key})
	}
	out, err := note.Sign(&note.Note{Text: c.Text()}, signers...)
	if err != nil {
		return nil, fmt.Errorf("log: sign: %w", err)
	}
	return out, nil
}

// OpenCheckpoint verifies a checkpoint of the log itself, by any of its keys.
func OpenCheckpoint(k Keys, origin string, raw []byte) (*audit.Checkpoint, error) {
	vkeys, err := VerifierKeys(k, origin)
	if err != nil {
		return nil, err
	}
	var failed error
	for _, v := range vkeys {
		known, err := audit.NewKeys(v)
		if err != nil {
			return nil, err
		}
		c, err := known.Open(raw)
		if err == nil {
			return &c.Checkpoint, nil
		}
		failed = err
	}
	return nil, failed
}
