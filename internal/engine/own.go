package engine

import (
	"encoding/binary"
	"encoding/json"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
)

// Rows that open data and belong to no subject (tokens, registers, policies)
// are sealed under the system key and bound to where they stand. Whoever can
// write to the database, but has no keyring, can take them away and can make
// none: no token, no contract, no policy of theirs.

// ownContext is what a row is bound to: parts that end where their length says.
func ownContext(parts ...[]byte) []byte {
	var b []byte
	for _, p := range parts {
		b = binary.AppendUvarint(b, uint64(len(p)))
		b = append(b, p...)
	}
	return b
}

func micros(t time.Time) []byte { return binary.BigEndian.AppendUint64(nil, uint64(storage.Micros(t))) }

func tokenContext(t *storage.TokenRow) ([]byte, error) {
	actor, err := json.Marshal(t.Actor)
	if err != nil {
		return nil, storageError(err)
	}
	expires := []byte{}
	if !t.Expires.IsZero() {
		expires = micros(t.Expires)
	}
	return ownContext([]byte("token"), t.Hash, []byte(t.Name), actor, expires), nil
}

// sealToken proves a token's row to be ours.
func (e *Engine) sealToken(t *storage.TokenRow) error {
	bound, err := tokenContext(t)
	if err != nil {
		return err
	}
	t.Seal, err = e.vault.Keyring().SealSystem(nil, bound)
	return storageError(err)
}

// ownToken reports an error unless the row is as sealToken left it.
func (e *Engine) ownToken(t *storage.TokenRow) error {
	bound, err := tokenContext(t)
	if err != nil {
		return err
	}
	if _, err := e.vault.Keyring().OpenSystem(t.Seal, bound); err != nil {
		e.log.Error("the row of a token was changed, or made by somebody else; it is refused")
		return &abide.Error{Code: abide.CodeUnauthorized, Detail: "token_damaged",
			Message: "this token's row was changed in the store", Hint: "an administrator revokes it and makes a new one; run abide doctor"}
	}
	return nil
}

func registerContext(r *storage.Record) []byte {
	return ownContext([]byte("register"), []byte(r.Kind), []byte(r.Name), binary.BigEndian.AppendUint64(nil, r.Version))
}

func (e *Engine) sealRegister(r *storage.Record) (err error) {
	r.Body, err = e.vault.Keyring().SealSystem(r.Body, registerContext(r))
	return storageError(err)
}

func (e *Engine) openRegister(r *storage.Record) ([]byte, error) {
	return e.vault.Keyring().OpenSystem(r.Body, registerContext(r))
}

func policyContext(r *storage.PolicyRow) []byte {
	return ownContext([]byte("policy"), []byte(r.Version), binary.BigEndian.AppendUint64(nil, r.N), micros(r.Published))
}

func (e *Engine) sealPolicy(r *storage.PolicyRow) (err error) {
	r.Source, err = e.vault.Keyring().SealSystem(r.Source, policyContext(r))
	return storageError(err)
}

func (e *Engine) openPolicy(r *storage.PolicyRow) ([]byte, error) {
	return e.vault.Keyring().OpenSystem(r.Source, policyContext(r))
}
