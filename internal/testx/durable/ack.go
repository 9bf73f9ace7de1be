// Package durable holds the proof that an acknowledged write is durable: what
// the writer program acknowledges (writer/), how a trace of its system calls is
// judged (trace.go), and the tests that kill it and trace it.
package durable

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"path/filepath"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage/sqlite"
)

// Names of the two databases in the writer's directory.
const (
	dataFile = "data.db"
	keysFile = "keys.db"
)

// Open opens the stores in the writer's directory.
func Open(ctx context.Context, dir string) (*sqlite.Store, *sqlite.KeyStore, error) {
	data, err := sqlite.Open(ctx, filepath.Join(dir, dataFile), sqlite.Options{})
	if err != nil {
		return nil, nil, err
	}
	keys, err := sqlite.OpenKeys(ctx, filepath.Join(dir, keysFile))
	if err != nil {
		_ = data.Close()
		return nil, nil, err
	}
	return data, keys, nil
}

// tokenMark begins every token, so that they are quickly found in a page.
const tokenMark = "tkn:"

// NewToken draws a token.
func NewToken() (t [16]byte) {
	rand.Read(t[:]) // it never fails (crypto/rand)
	copy(t[:], tokenMark)
	return t
}

// Ack is an acknowledged write. The token stands in the data and in the keys.
type Ack struct {
	Subject abide.SubjectID
	Version uint64
	Token   [16]byte
}

// Line is the ack as the writer prints it.
func (a Ack) Line() string { return fmt.Sprintf("ack %s %d %x\n", a.Subject, a.Version, a.Token) }

// ParseAck reads a line that Line made, without its end.
func ParseAck(line string) (Ack, error) {
	var a Ack
	var id, token string
	if _, err := fmt.Sscanf(line, "ack %s %d %s", &id, &a.Version, &token); err != nil {
		return a, fmt.Errorf("not an acknowledgement: %q", line)
	}
	var err error
	if a.Subject, err = abide.ParseSubjectID(id); err != nil {
		return a, err
	}
	b, err := hex.DecodeString(token)
	if err != nil || len(b) != len(a.Token) {
		return a, fmt.Errorf("not a token: %q", token)
	}
	copy(a.Token[:], b)
	return a, nil
}
