package keys

import (
	"context"
	"crypto/hmac"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/flock"
)

const copyFormat = "abide-recovery/1"

// recoveryCopy is the file that shares open. It lies outside of the database,
// its backups and the keyring's place, there is one of it, and each change of
// the ring overwrites it: so a key that was destroyed is in no copy that the
// shares could open. What stands in the clear names keys and opens nothing.
type recoveryCopy struct {
	Format     string   `json:"format"`
	Store      string   `json:"store"`
	Keyring    string   `json:"keyring"` // fingerprint
	Generation uint64   `json:"generation"`
	Keys       string   `json:"keys"` // digest of the ids of all keys in it
	Set        string   `json:"set"`
	Threshold  int      `json:"threshold"`
	Shares     [][]byte `json:"shares"`        // digests
	Sealed     []byte   `json:"sealed"`        // HPKE: ML-KEM-768 with X25519, HKDF-SHA-256, AES-256-GCM
	MAC        []byte   `json:"mac,omitempty"` // by the ring, so that it knows its own copy
}

func parseCopy(raw []byte) (*recoveryCopy, error) {
	var c recoveryCopy
	if err := json.Unmarshal(raw, &c); err != nil || c.Format != copyFormat || c.Threshold < 2 || len(c.Shares) < c.Threshold {
		return nil, &abide.Error{Code: abide.CodeInvalid, Detail: "recovery_copy_damaged",
			Message: "this file is not a recovery copy of a form that this program knows", Hint: "name the file that `abide keys status` shows, or use a newer abide"}
	}
	return &c, nil
}

// bound is what the seal binds: a sealed ring does not open under another
// header.
func (c *recoveryCopy) bound() []byte {
	return lengthPrefixed(copyFormat, []byte(c.Store), []byte(c.Keyring), []byte(c.Set), []byte(c.Keys),
		binary.BigEndian.AppendUint64(nil, c.Generation), []byte{byte(c.Threshold)}, slices.Concat(c.Shares...))
}

func (r *ring) copyMAC(c *recoveryCopy) ([]byte, error) {
	out, err := r.stable().ComputePRF(lengthPrefixed("abide/recovery-copy/1", c.bound(), c.Sealed), 32)
	if err != nil {
		return nil, fmt.Errorf("keys: hash the recovery copy: %w", err)
	}
	return out, nil
}

// description is a digest of the ids of all keys in the ring: two rings with
// the same keys have the same one.
func (r *ring) description() string {
	h := sha256.New()
	for _, t := range templates {
		for _, info := range r.handles[t.name].KeysetInfo().GetKeyInfo() {
			fmt.Fprintf(h, "%s %d %s\n", t.name, info.GetKeyId(), info.GetStatus())
		}
		fmt.Fprintf(h, "%s primary %d\n", t.name, r.handles[t.name].KeysetInfo().GetPrimaryKeyId())
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// SameKeys reports whether two rings of one store hold the same keys.
func (k *Keyring) SameKeys(other *Keyring) bool {
	return k.store == other.store && k.ring.Load().description() == other.ring.Load().description()
}

// lockCopy waits until no other process changes the ring or its copy. A folder
// that is not there is not made: its medium is not mounted.
func lockCopy(path string) (unlock func(), err error) {
	if _, err := os.Stat(filepath.Dir(path)); err != nil {
		return nil, copyUnreachable(err)
	}
	unlock, err = flock.Lock(path + copyLockedLabel)
	if err != nil {
		return nil, copyUnreachable(err)
	}
	return unlock, nil
}

func copyUnreachable(err error) error {
	return &abide.Error{Code: abide.CodeUnavailable, Detail: "recovery_copy_unreachable", Err: err,
		Message: "the recovery copy of the keyring cannot be written, so the keyring is not changed: its shares would no longer open it",
		Hint:    "mount the medium of the file that `abide keys status` shows; if it is lost: `abide keys escrow rewrite`"}
}

// writeCopy puts a ring into its recovery copy, durably, in the place of the
// older one, whose bytes are overwritten. fresh: there need not be one. The
// caller holds the lock.
func (k *Keyring) writeCopy(r *ring, fresh bool) error {
	x := r.standing.Escrow
	there, err := os.ReadFile(x.Copy)
	missing := errors.Is(err, fs.ErrNotExist)
	switch {
	case missing && !fresh, err != nil && !missing:
		return copyUnreachable(err)
	case !missing:
		old, err := parseCopy(there)
		if err != nil || old.Store != k.store.String() {
			return &abide.Error{Code: abide.CodeConflict, Detail: "recovery_copy_in_the_way",
				Message: "another file lies where the recovery copy belongs", Hint: "move it away, or name another file with --copy"}
		}
		if err := r.notBehind(old); err != nil {
			return err
		}
	}
	public, err := recoveryKEM.NewPublicKey(x.Public)
	if err != nil {
		return fmt.Errorf("keys: recovery key: %w", err)
	}
	print, err := k.fingerprint()
	if err != nil {
		return err
	}
	c := &recoveryCopy{Format: copyFormat, Store: k.store.String(), Keyring: hex.EncodeToString(print[:]), Generation: r.generation,
		Keys: r.description(), Set: x.Set, Threshold: x.Threshold, Shares: x.Shares}
	plain, err := k.encode(context.Background(), r, Master{})
	if err != nil {
		return err
	}
	defer clear(plain)
	if c.Sealed, err = hpke.Seal(public, hpke.HKDFSHA256(), hpke.AES256GCM(), c.bound(), plain); err != nil {
		return fmt.Errorf("keys: seal the recovery copy: %w", err)
	}
	if c.MAC, err = r.copyMAC(c); err != nil {
		return err
	}
	raw, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return fmt.Errorf("keys: recovery copy: %w", err)
	}
	if err := filePlace(x.Copy).replace(append(raw, '\n'), missing); err != nil {
		return copyUnreachable(err)
	}
	return nil
}

// notBehind keeps an old ring that was put back from overwriting the one file
// that still has the newer keys. A copy of the same generation is that of a
// change whose ring was not written: nobody uses its key.
func (r *ring) notBehind(c *recoveryCopy) error {
	mac, err := r.copyMAC(c)
	if err != nil || !hmac.Equal(mac, c.MAC) || c.Generation <= r.generation {
		return err
	}
	return &abide.Error{Code: abide.CodeConflict, Detail: "keyring_older",
		Message: "the recovery copy is newer than the keyring: an old keyring was put back, and the copy has keys that it lacks",
		Hint:    "put the newest keyring back, or recover it from the copy with shares: abide keys recover"}
}

// OpenCopy opens a recovery copy with shares, in memory. An error names the
// share that is damaged, of another set or keyring, given twice or forged, or
// says how many are missing.
func OpenCopy(raw []byte, shares []Share) (*Keyring, error) {
	c, err := parseCopy(raw)
	if err != nil {
		return nil, err
	}
	if err := c.agree(shares); err != nil {
		return nil, err
	}
	secret, err := join(shares)
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	private, err := recoveryKEM.DeriveKeyPair(secret)
	if err != nil {
		return nil, fmt.Errorf("keys: recovery key: %w", err)
	}
	damaged := &abide.Error{Code: abide.CodeInvalid, Detail: "recovery_copy_damaged",
		Message: "the recovery copy does not open, although the shares are right: the file was changed", Hint: "use another copy of the file"}
	plain, err := hpke.Open(private, hpke.HKDFSHA256(), hpke.AES256GCM(), c.bound(), c.Sealed)
	if err != nil {
		return nil, damaged
	}
	defer clear(plain)
	k := &Keyring{}
	if err := k.load(context.Background(), plain); err != nil {
		return nil, err
	}
	if print, err := k.Fingerprint(); err != nil || print != c.Keyring || k.store.String() != c.Store {
		return nil, errors.Join(damaged, err)
	}
	return k, nil
}

// Recover gives a ring that shares opened a place of its own under a new master
// key. It goes on with the same recovery copy, which now lies at copyAt, and
// begins a new lineage: stores that have seen it refuse the rings before it. A
// ring of the same store that lies in the place is overwritten, unless it is
// newer than the copy: then the copy lacks keys.
func (k *Keyring) Recover(ctx context.Context, p Place, m Master, copyAt string, now time.Time) error {
	k.change.Lock()
	defer k.change.Unlock()
	old := k.ring.Load()
	if k.place != nil || old.standing.Escrow == nil {
		return errors.New("keys: only a ring that was opened from its recovery copy is recovered")
	}
	expect, err := inPlace(ctx, p, k.store, old.generation)
	if err != nil {
		return err
	}
	path, err := filepath.Abs(copyAt)
	if err != nil {
		return fmt.Errorf("keys: recovery copy: %w", err)
	}
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		return fmt.Errorf("keys: no randomness: %w", err)
	}
	next := *old
	x := *old.standing.Escrow
	x.Copy = path
	next.standing = standing{Escrow: &x, Recovered: Recovery{N: old.standing.Recovered.N + 1, ID: hex.EncodeToString(id), Set: x.Set, At: now.UTC().Truncate(time.Second)}}
	k.place, k.master = p, m
	if err := k.saveAs(ctx, &next, max(old.generation, expect)+1, expect, true); err != nil {
		k.place, k.master = nil, Master{}
		return err
	}
	k.know(m)
	k.ring.Store(&next)
	return nil
}

// inPlace returns the generation of the ring that lies in a place; 0 if none.
func inPlace(ctx context.Context, p Place, store StoreID, newest uint64) (uint64, error) {
	raw, err := p.Read(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer clear(raw)
	f, id, err := parse(raw)
	if err != nil {
		return 0, err
	}
	if id != store {
		return 0, &abide.Error{Code: abide.CodeConflict, Detail: "other_keyring",
			Message: "the keyring of another store lies where the recovered one belongs", Hint: "name the data directory of this store"}
	}
	if at := max(f.Generation, 1); at <= newest {
		return at, nil
	}
	return 0, &abide.Error{Code: abide.CodeConflict, Detail: "recovery_copy_older",
		Message: "the keyring that lies in its place is newer than the recovery copy, which lacks keys that the store uses",
		Hint:    "use the newest copy; if there is none, move the keyring away and try again: what its newer keys sealed stays unreadable"}
}
