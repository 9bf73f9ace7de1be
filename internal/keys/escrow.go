package keys

import (
	"context"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	abide "github.com/abide-privacy/abide"
)

// Escrow is a recovery key whose private half exists only as shares. Every
// change of the ring is also sealed to its public half, in a recovery copy, so
// that the shares stay good however often keys are rotated.
type Escrow struct {
	Set        string    `json:"set"`
	Made       time.Time `json:"made"`
	Threshold  int       `json:"threshold"`
	Custodians []string  `json:"custodians"` // offices rather than names, in the order of their shares
	Shares     [][]byte  `json:"shares"`     // digests, in the same order
	Public     []byte    `json:"public"`     // ML-KEM-768 with X25519, as HPKE (RFC 9180) serialises it
	Copy       string    `json:"copy"`       // file of the recovery copy, an absolute path
}

// recoveryKEM holds against whoever keeps an old recovery copy until there are
// quantum computers: the shares themselves tell nothing whatever is computed.
var recoveryKEM = hpke.MLKEM768X25519()

// NewEscrow is an escrow that is not in force yet: its shares are handed out
// first, and only then does the ring rely on it.
type NewEscrow struct {
	Escrow
	Given []Share // in the order of the custodians
}

// PrepareEscrow draws a recovery key and its shares, one for each custodian.
// Nothing is changed until BeginEscrow.
func (k *Keyring) PrepareEscrow(custodians []string, threshold int, copyAt string, now time.Time) (*NewEscrow, error) {
	if len(custodians) > MaxShares || threshold < 2 || threshold > len(custodians) {
		return nil, &abide.Error{Code: abide.CodeInvalid, Detail: "bad_threshold",
			Message: fmt.Sprintf("%d shares of which %d are needed make no escrow", len(custodians), threshold),
			Hint:    fmt.Sprintf("at least 2 must be needed, so that nobody alone can open the keyring; at most %d can be made", MaxShares)}
	}
	for i, c := range custodians {
		if c == "" || len(c) > 100 || slices.Contains(custodians[:i], c) {
			return nil, &abide.Error{Code: abide.CodeInvalid, Detail: "bad_custodian",
				Message: "each share needs a custodian of its own, in at most 100 letters", Hint: "name offices rather than people: finance, notary"}
		}
	}
	path, err := filepath.Abs(copyAt)
	if err != nil {
		return nil, fmt.Errorf("keys: recovery copy: %w", err)
	}
	secret, shares, err := split(len(custodians), threshold)
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	private, err := recoveryKEM.DeriveKeyPair(secret)
	if err != nil {
		return nil, fmt.Errorf("keys: recovery key: %w", err)
	}
	public := private.PublicKey().Bytes()
	print, err := k.fingerprint()
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(lengthPrefixed("abide/escrow-set/1", k.store[:], public))
	n := &NewEscrow{Escrow: Escrow{Set: hex.EncodeToString(sum[:8]), Made: now.UTC().Truncate(time.Second), Threshold: threshold,
		Custodians: slices.Clone(custodians), Public: public, Copy: path}, Given: shares}
	for i := range shares {
		shares[i].Set, shares[i].Keyring = [8]byte(sum[:8]), print
		n.Shares = append(n.Shares, shares[i].digest())
	}
	return n, nil
}

// fingerprint is the first half of CheckValue, which backups carry too.
func (k *Keyring) fingerprint() (out [8]byte, err error) {
	check, err := k.CheckValue()
	if err != nil {
		return out, err
	}
	return [8]byte(check[:8]), nil
}

// Fingerprint names the ring for people: it stands on every share.
func (k *Keyring) Fingerprint() (string, error) {
	print, err := k.fingerprint()
	return hex.EncodeToString(print[:]), err
}

// Escrow returns the escrow in force; nil if there is none. The caller does not
// change it.
func (k *Keyring) Escrow() *Escrow { return k.ring.Load().standing.Escrow }

// BeginEscrow puts an escrow in force: from now on every change of the ring is
// sealed to it first. An earlier escrow's copy is overwritten, and its shares
// open nothing that is written from now on.
func (k *Keyring) BeginEscrow(ctx context.Context, n *NewEscrow) error {
	if k.place == nil {
		return &abide.Error{Code: abide.CodeInvalid, Detail: "keyring_in_memory",
			Message: "this keyring lives in memory only", Hint: "there is nothing to recover"}
	}
	var was *Escrow
	err := k.edit(ctx, func(e *edit) error {
		was = e.standing.Escrow
		fresh := n.Escrow
		e.standing.Escrow, e.freshCopy = &fresh, true
		return nil
	})
	if err == nil && was != nil && was.Copy != n.Copy {
		err = wipe(was.Copy)
	}
	return err
}

// RewriteCopy writes the recovery copy anew: in the place of one that was lost,
// or at another path, and then the one at the old path is overwritten.
func (k *Keyring) RewriteCopy(ctx context.Context, copyAt string) error {
	var was string
	err := k.edit(ctx, func(e *edit) error {
		if e.standing.Escrow == nil {
			return noEscrow()
		}
		next := *e.standing.Escrow
		was = next.Copy
		if copyAt != "" {
			path, err := filepath.Abs(copyAt)
			if err != nil {
				return err
			}
			next.Copy = path
		}
		copyAt = next.Copy
		e.standing.Escrow, e.freshCopy = &next, true
		return nil
	})
	if err == nil && was != copyAt {
		err = wipe(was)
	}
	return err
}

// EndEscrow gives the escrow up and overwrites its copy.
func (k *Keyring) EndEscrow(ctx context.Context) error {
	var was *Escrow
	err := k.edit(ctx, func(e *edit) error {
		if e.standing.Escrow == nil {
			return noEscrow()
		}
		was, e.standing.Escrow = e.standing.Escrow, nil
		return nil
	})
	if err != nil {
		return err
	}
	return wipe(was.Copy)
}

func noEscrow() error {
	return &abide.Error{Code: abide.CodeNotFound, Detail: "no_escrow",
		Message: "no shares of this keyring have been made", Hint: "make them with `abide keys escrow`"}
}

// How a recovery copy stands to the ring.
const (
	CopyCurrent     = "current"
	CopyOutdated    = "outdated" // it lacks keys, or holds one that was destroyed
	CopyMissing     = "missing"
	CopyUnreadable  = "unreadable"
	CopyDamaged     = "damaged" // it was not written by this ring
	copyLockedLabel = ".lock"
)

// CopyState tells whether the recovery copy holds the keys of the ring and no
// others; "" if there is no escrow. It needs no share.
func (k *Keyring) CopyState() string {
	r := k.ring.Load()
	if r.standing.Escrow == nil {
		return ""
	}
	raw, err := os.ReadFile(r.standing.Escrow.Copy)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return CopyMissing
	case err != nil:
		return CopyUnreadable
	}
	c, err := parseCopy(raw)
	if err != nil {
		return CopyDamaged
	}
	if mac, err := r.copyMAC(c); err != nil || !slices.Equal(mac, c.MAC) {
		return CopyDamaged
	}
	if c.Set != r.standing.Escrow.Set || c.Keys != r.description() {
		return CopyOutdated
	}
	return CopyCurrent
}
