package engine

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strings"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/storage"
)

// tokenPrefix lets secret scanners find tokens that leaked.
const tokenPrefix = "abide_"

// CreateToken makes a bearer token and returns its secret, which is kept
// nowhere: the store holds its SHA-256 hash. 256 random bits need no slow hash.
func (e *Engine) CreateToken(ctx context.Context, c Call, n NewToken) (string, TokenInfo, error) {
	if err := authorise(c, opTokens, abide.SubjectID{}); err != nil {
		return "", TokenInfo{}, err
	}
	if err := checkToken(n); err != nil {
		return "", TokenInfo{}, err
	}
	existing, err := e.store.Tokens(ctx)
	if err != nil {
		return "", TokenInfo{}, storageError(err)
	}
	for _, t := range existing {
		if t.Name == n.Name {
			return "", TokenInfo{}, &abide.Error{Code: abide.CodeConflict, Detail: "token_exists",
				Message: "a token of this name exists", Hint: "revoke it first, or choose another name"}
		}
	}
	var secret [32]byte
	if _, err := rand.Read(secret[:]); err != nil {
		panic("engine: no randomness: " + err.Error()) // crypto/rand never fails on supported systems
	}
	text := tokenPrefix + base64.RawURLEncoding.EncodeToString(secret[:])
	hash := sha256.Sum256([]byte(text))
	if n.Actor.Name == "" {
		n.Actor.Name = n.Name
	}
	row := &storage.TokenRow{Hash: hash[:], Name: n.Name, Actor: n.Actor, Created: e.now(), Expires: n.Expires}
	if err := e.sealToken(row); err != nil {
		return "", TokenInfo{}, err
	}
	env := e.envelope(c, audit.TokenCreated)
	env.Object = n.Name
	if err := e.noteStore(ctx, c, env); err != nil {
		return "", TokenInfo{}, err
	}
	if err := e.store.PutToken(ctx, row); err != nil {
		return "", TokenInfo{}, storageError(err)
	}
	return text, infoOf(*row), nil
}

func checkToken(n NewToken) error {
	switch {
	case n.Name == "" || len(n.Name) > 100 || !plainName(n.Name):
		return invalid("bad_token_name", "a token needs a name of at most 100 characters", "name what will use it", "name")
	case n.Actor.Kind == abide.ActorSystem:
		return invalid("bad_token_kind", "no token can act as Abide itself", "use service, staff, subject or guardian", "kind")
	case n.Actor.Kind == abide.ActorSubject, n.Actor.Kind == abide.ActorGuardian:
		if _, err := abide.ParseSubjectID(n.Actor.Name); err != nil {
			return invalid("bad_token_subject", "a person's token is for exactly one subject", "give the subject's id as the actor's name", "actor")
		}
		if n.Actor.Admin || n.Actor.Auditor {
			return invalid("bad_token_kind", "a person's token can neither administer nor audit", "make a staff token", "admin")
		}
	case n.Actor.Kind != abide.ActorService && n.Actor.Kind != abide.ActorStaff:
		return invalid("bad_token_kind", "this is not a kind of actor", "use service, staff, subject or guardian", "kind")
	}
	return nil
}

// Authenticate finds who bears a token. It asks the store each time, so that a
// revoked token is refused at once, on every node.
func (e *Engine) Authenticate(ctx context.Context, bearer string) (abide.Actor, string, error) {
	if !strings.HasPrefix(bearer, tokenPrefix) {
		return abide.Actor{}, "", unknownToken()
	}
	return e.tokenBearer(ctx, Credential(bearer))
}

// Credential is what the store keeps of a token's secret.
func Credential(bearer string) []byte {
	hash := sha256.Sum256([]byte(bearer))
	return hash[:]
}

// tokenBearer finds who bears the token with the hash, now.
func (e *Engine) tokenBearer(ctx context.Context, hash []byte) (abide.Actor, string, error) {
	row, err := e.store.Token(ctx, hash)
	if isNotFound(err) {
		return abide.Actor{}, "", unknownToken()
	}
	if err != nil {
		return abide.Actor{}, "", storageError(err)
	}
	if err := e.ownToken(row); err != nil {
		return abide.Actor{}, "", err
	}
	if !row.Expires.IsZero() && !e.now().Before(row.Expires) {
		return abide.Actor{}, "", &abide.Error{Code: abide.CodeUnauthorized, Detail: "token_expired",
			Message: "this token has expired", Hint: "an administrator makes a new one"}
	}
	return row.Actor, row.Name, nil
}

func unknownToken() error {
	return &abide.Error{Code: abide.CodeUnauthorized, Detail: "token_unknown",
		Message: "this token is not known, or not any more", Hint: "an administrator makes one with `abide token create`"}
}

// Tokens lists tokens without secrets.
func (e *Engine) Tokens(ctx context.Context, c Call) ([]TokenInfo, error) {
	if err := authorise(c, opTokens, abide.SubjectID{}); err != nil {
		return nil, err
	}
	rows, err := e.store.Tokens(ctx)
	if err != nil {
		return nil, storageError(err)
	}
	out := make([]TokenInfo, len(rows))
	for i, r := range rows {
		out[i] = infoOf(r)
	}
	return out, nil
}

// RevokeToken ends a token. Revoking one that is not there is no error.
func (e *Engine) RevokeToken(ctx context.Context, c Call, name string) error {
	if err := authorise(c, opTokens, abide.SubjectID{}); err != nil {
		return err
	}
	if !plainName(name) {
		return nil // no token has such a name
	}
	env := e.envelope(c, audit.TokenDropped)
	env.Object = name
	if err := e.noteStore(ctx, c, env); err != nil {
		return err
	}
	if err := e.store.DropToken(ctx, name); err != nil && !isNotFound(err) {
		return storageError(err)
	}
	return nil
}

func infoOf(r storage.TokenRow) TokenInfo {
	return TokenInfo{Name: r.Name, Actor: r.Actor, Created: r.Created, Expires: r.Expires}
}
