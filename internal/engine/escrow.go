package engine

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/keys"
	"github.com/abide-privacy/abide/internal/storage"
)

// What the log says was done about the escrow and the master key.
const (
	actEscrow  = "escrow"
	actRecover = "recovered"
	actMove    = "new_master"
	actDrill   = "drill"
)

// PrepareEscrow draws shares of a recovery key for the keyring. They are handed
// out before BeginEscrow puts them in force; until then nothing is changed.
func (e *Engine) PrepareEscrow(c Call, custodians []string, threshold int, copyAt string) (*keys.NewEscrow, error) {
	if err := authorise(c, opKeys, abide.SubjectID{}); err != nil {
		return nil, err
	}
	n, err := e.vault.Keyring().PrepareEscrow(custodians, threshold, copyAt, e.now())
	return n, storageError(err)
}

// BeginEscrow puts shares in force, and a canary into the store for drills. The
// log holds how many there are, and not who has them.
func (e *Engine) BeginEscrow(ctx context.Context, c Call, n *keys.NewEscrow) error {
	if err := authorise(c, opKeys, abide.SubjectID{}); err != nil {
		return err
	}
	if err := e.noteKey(ctx, c, actEscrow, fmt.Sprintf("set %s, %d of %d shares", n.Set, n.Threshold, len(n.Custodians)), "", 0); err != nil {
		return err
	}
	if err := e.putCanary(ctx); err != nil {
		return err
	}
	return storageError(e.vault.Keyring().BeginEscrow(ctx, n))
}

// RewriteRecoveryCopy writes the recovery copy anew, at another path if one is
// named.
func (e *Engine) RewriteRecoveryCopy(ctx context.Context, c Call, copyAt string) error {
	if err := authorise(c, opKeys, abide.SubjectID{}); err != nil {
		return err
	}
	if err := e.noteKey(ctx, c, actEscrow, "recovery copy written anew", "", 0); err != nil {
		return err
	}
	if e.vault.Keyring().Escrow() != nil {
		if err := e.putCanary(ctx); err != nil {
			return err
		}
	}
	return storageError(e.vault.Keyring().RewriteCopy(ctx, copyAt))
}

// EndEscrow gives the escrow up: the shares open nothing from then on.
func (e *Engine) EndEscrow(ctx context.Context, c Call) error {
	if err := authorise(c, opKeys, abide.SubjectID{}); err != nil {
		return err
	}
	if err := e.noteKey(ctx, c, actEscrow, "ended", "", 0); err != nil {
		return err
	}
	return storageError(e.vault.Keyring().EndEscrow(ctx))
}

// MoveKeyring encrypts the keyring by another master key. Servers that were
// started with that key as a further one take it over.
func (e *Engine) MoveKeyring(ctx context.Context, c Call, to keys.Master) error {
	if err := authorise(c, opKeys, abide.SubjectID{}); err != nil {
		return err
	}
	if err := e.noteKey(ctx, c, actMove, to.URI, "", 0); err != nil {
		return err
	}
	return storageError(e.vault.Keyring().Move(ctx, to))
}

const (
	settingKeyring = "keyring"
	settingCanary  = "canary"
)

// knownKeyring is what the store remembers of its keyring: a ring from before
// the last recovery, or from before an epoch was destroyed, is refused. It is
// restored with the store, and so never refuses the ring of a backup's time.
type knownKeyring struct {
	Generation uint64 `json:"generation"` // at least
	Recovery   int    `json:"recovery,omitempty"`
	Lineage    string `json:"lineage,omitempty"`
}

// checkLineage refuses a ring that was superseded.
func (e *Engine) checkLineage(ctx context.Context) (known knownKeyring, err error) {
	if _, err := e.setting(ctx, settingKeyring, &known); err != nil {
		return known, err
	}
	ring := e.vault.Keyring()
	now := ring.Recovered()
	switch {
	case now.N < known.Recovery, now.N == known.Recovery && now.ID != known.Lineage:
		return known, &abide.Error{Code: abide.CodeInvalid, Detail: "keyring_superseded",
			Message: "this keyring was replaced by one that was recovered from shares", Hint: "open the store with the recovered keyring"}
	case ring.Generation() < known.Generation:
		return known, &abide.Error{Code: abide.CodeInvalid, Detail: "keyring_superseded",
			Message: "this keyring is older than the last destruction of a key epoch, and may still hold what was destroyed",
			Hint:    "open the store with its newest keyring, and destroy this copy"}
	}
	return known, nil
}

// adoptRing records that a recovered ring is in use, before anything is done
// under it but the start itself.
func (e *Engine) adoptRing(ctx context.Context, known knownKeyring) error {
	ring := e.vault.Keyring()
	now := ring.Recovered()
	if now.N == known.Recovery {
		return nil
	}
	if err := e.noteKey(ctx, systemCall, actRecover, "keyring, by the shares of set "+now.Set, "", int64(now.N)); err != nil {
		return err
	}
	return e.putSetting(ctx, settingKeyring, knownKeyring{Generation: ring.Generation(), Recovery: now.N, Lineage: now.ID})
}

// forgetOlderRings makes the store refuse every ring from before this one: they
// may hold an epoch that was destroyed.
func (e *Engine) forgetOlderRings(ctx context.Context) error {
	ring := e.vault.Keyring()
	return e.putSetting(ctx, settingKeyring, knownKeyring{Generation: ring.Generation(), Recovery: ring.Recovered().N, Lineage: ring.Recovered().ID})
}

// canary is a value about nobody, sealed like a person's: its key is wrapped in
// the key store and goes through every rotation. A drill reads it back.
type canary struct {
	ID     abide.SubjectID `json:"id"`
	Sealed []byte          `json:"sealed"`
	Digest []byte          `json:"digest"` // SHA-256
}

// readCanary opens the canary. It fails with no_canary if there is none, and
// with canary_lost if it does not open.
func (e *Engine) readCanary(ctx context.Context) error {
	var kept canary
	found, err := e.setting(ctx, settingCanary, &kept)
	if err != nil {
		return err
	}
	if !found {
		return &abide.Error{Code: abide.CodeNotFound, Detail: "no_canary",
			Message: "the backup is older than the shares: it holds no canary",
			Hint:    "make a backup now, and rehearse with it; after `abide keys escrow rewrite`, if the store is a restored one"}
	}
	wrapped, err := e.keys.Get(ctx, kept.ID)
	if err != nil {
		return storageError(err)
	}
	lost := &abide.Error{Code: abide.CodeInternal, Detail: "canary_lost",
		Message: "the canary does not open: the backup's data, its keys and the shares do not belong together",
		Hint:    "check the backup with `abide backup verify`, and make another"}
	own, err := e.vault.Unlock(kept.ID, wrapped)
	if err != nil {
		return errors.Join(lost, err)
	}
	defer own.Close()
	plain, err := e.vault.OpenRestore(own, settingCanary, kept.Sealed)
	if err != nil {
		return errors.Join(lost, err)
	}
	defer clear(plain)
	if sum := sha256.Sum256(plain); !bytes.Equal(sum[:], kept.Digest) {
		return lost
	}
	return nil
}

// putCanary makes a canary, unless there is one that opens.
func (e *Engine) putCanary(ctx context.Context) error {
	switch err := e.readCanary(ctx); abide.ErrorDetail(err) {
	case "no_canary", "canary_lost":
	default:
		return err
	}
	c := canary{ID: abide.NewSubjectID(e.now())}
	own, wrapped, err := e.vault.NewSubjectKeys(c.ID)
	if err != nil {
		return storageError(err)
	}
	defer own.Close()
	born := &newborn{wrapped: wrapped}
	born.subject = &subject{id: c.ID, keys: own}
	if err := e.putKeys(ctx, born); err != nil {
		return err
	}
	plain := make([]byte, 32)
	if _, err := rand.Read(plain); err != nil {
		return storageError(err)
	}
	sum := sha256.Sum256(plain)
	c.Digest = sum[:]
	if c.Sealed, err = e.vault.SealRestore(own, storage.Live, settingCanary, plain); err != nil {
		return storageError(err)
	}
	return e.putSetting(ctx, settingCanary, c)
}
