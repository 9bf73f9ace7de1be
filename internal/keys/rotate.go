package keys

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/tink-crypto/tink-go/v2/keyset"

	abide "github.com/abide-privacy/abide"
)

// Epoch is the life of one key-encryption key. Times are zero while the thing
// has not happened; Created is zero for keyrings older than epochs.
type Epoch struct {
	ID        string    `json:"id"` // the KEK's
	Created   time.Time `json:"created,omitzero"`
	Emptied   time.Time `json:"emptied,omitzero"`   // since when nothing is wrapped by it any more
	Destroyed time.Time `json:"destroyed,omitzero"` // the ring no longer holds the key
}

// Epochs returns the epochs of key-encryption keys, oldest first, those that
// were destroyed too.
func (k *Keyring) Epochs() []Epoch { return slices.Clone(k.ring.Load().epochs) }

// Generation counts the changes of the ring, from 1.
func (k *Keyring) Generation() uint64 { return k.ring.Load().generation }

// RotateKEK adds a key-encryption key and makes it the primary: a new epoch.
// Keys wrapped by older ones stay readable until RetireKEK. The new ring is
// durable when RotateKEK returns the new KEK's id.
func (k *Keyring) RotateKEK(ctx context.Context, now time.Time) (string, error) {
	err := k.edit(ctx, func(e *edit) error {
		if err := e.addPrimary(setKEK); err != nil {
			return err
		}
		id := keyID(e.handles[setKEK].KeysetInfo().PrimaryKeyId)
		e.epochs = append(e.epochs, Epoch{ID: id, Created: now.UTC()})
		return nil
	})
	if err != nil {
		return "", err
	}
	return k.PrimaryKEK(), nil
}

// EmptyKEK notes that from now on nothing is wrapped by a KEK any more. Called
// again, after an older key store was put back and rotated, it is now that
// counts.
func (k *Keyring) EmptyKEK(ctx context.Context, id string, now time.Time) error {
	return k.edit(ctx, func(e *edit) error {
		ep := e.epoch(id)
		if ep == nil || e.primaryKEK() == id {
			return notRetirable()
		}
		ep.Emptied = now.UTC()
		return nil
	})
}

func notRetirable() error {
	return &abide.Error{Code: abide.CodeInvalid, Detail: "kek_not_retirable",
		Message: "this key-encryption key is the primary or not in the ring", Hint: "rotate first, then retire an older key"}
}

// RetireKEK destroys a KEK that is not the primary. All that it wrapped and
// was not wrapped anew is irrecoverable from then on. The file no longer holds
// the key when RetireKEK returns; copies of the file are the operator's to
// destroy.
func (k *Keyring) RetireKEK(ctx context.Context, id string, now time.Time) error {
	return k.edit(ctx, func(e *edit) error {
		ep := e.epoch(id)
		if ep == nil || !ep.Destroyed.IsZero() || e.primaryKEK() == id {
			return notRetirable()
		}
		ep.Destroyed = now.UTC()
		return e.drop(setKEK, id)
	})
}

// RotateLog adds keys for envelopes of log entries and for system entries, and
// makes them primary. Older ones open what they sealed.
func (k *Keyring) RotateLog(ctx context.Context) error {
	return k.edit(ctx, func(e *edit) error {
		if err := e.addPrimary(setEnvelope); err != nil {
			return err
		}
		return e.addPrimary(setSystem)
	})
}

// LogSeals returns the numbers of the keys that seal envelopes and system
// entries now, in hex: the four bytes behind the first of what they seal.
func (k *Keyring) LogSeals() [2]string {
	h := k.ring.Load().handles
	return [2]string{keyID(h[setEnvelope].KeysetInfo().GetPrimaryKeyId()), keyID(h[setSystem].KeysetInfo().GetPrimaryKeyId())}
}

// RotateSign adds a signing key and makes it the primary. Older public keys
// stay, to verify what they signed.
func (k *Keyring) RotateSign(ctx context.Context) (string, error) {
	if err := k.edit(ctx, func(e *edit) error { return e.addPrimary(setSign) }); err != nil {
		return "", err
	}
	return k.SigningKeyID(), nil
}

// edit is a ring being changed.
type edit struct {
	handles   map[string]*keyset.Handle
	epochs    []Epoch
	retired   []Epoch
	standing  standing
	freshCopy bool    // the recovery copy need not be there yet
	master    *Master // nil: the one it has
}

func (e *edit) epoch(id string) *Epoch {
	for i := range e.epochs {
		if e.epochs[i].ID == id {
			return &e.epochs[i]
		}
	}
	return nil
}

func (e *edit) primaryKEK() string { return keyID(e.handles[setKEK].KeysetInfo().PrimaryKeyId) }

func (e *edit) addPrimary(set string) error {
	id, err := e.add(set)
	if err != nil {
		return err
	}
	return e.setPrimary(set, keyID(id))
}

// add adds a key that is not the primary yet.
func (e *edit) add(set string) (uint32, error) {
	m := keyset.NewManagerFromHandle(e.handles[set])
	for _, t := range templates {
		if t.name != set {
			continue
		}
		id, err := m.Add(t.template())
		if err == nil {
			e.handles[set], err = m.Handle()
		}
		return id, err
	}
	return 0, fmt.Errorf("no template for %s", set)
}

func (e *edit) setPrimary(set, id string) error {
	n, err := strconv.ParseUint(id, 16, 32)
	if err != nil {
		return fmt.Errorf("key id: %w", err)
	}
	m := keyset.NewManagerFromHandle(e.handles[set])
	if err := m.SetPrimary(uint32(n)); err != nil {
		return err
	}
	e.handles[set], err = m.Handle()
	return err
}

func (e *edit) drop(set, id string) error {
	n, err := strconv.ParseUint(id, 16, 32)
	if err != nil {
		return fmt.Errorf("key id: %w", err)
	}
	m := keyset.NewManagerFromHandle(e.handles[set])
	if err := m.Delete(uint32(n)); err != nil {
		return notRetirable()
	}
	e.handles[set], err = m.Handle()
	return err
}

// edit changes the ring: first durably, then for this process. It builds on the
// newest ring there is, and again if another process came first.
func (k *Keyring) edit(ctx context.Context, change func(*edit) error) error {
	k.change.Lock()
	defer k.change.Unlock()
	for try := 1; ; try++ {
		if _, err := k.refresh(ctx); err != nil {
			return err
		}
		old := k.ring.Load()
		e := &edit{handles: maps.Clone(old.handles), epochs: slices.Clone(old.epochs), retired: slices.Clone(old.retired), standing: old.standing}
		if err := change(e); err != nil {
			return fmt.Errorf("keys: change the keyring: %w", err)
		}
		r, err := newRing(e.handles, e.epochs, e.retired)
		if err != nil {
			return err
		}
		r.standing = e.standing
		was := k.master
		if e.master != nil {
			k.master = *e.master
		}
		err = k.save(ctx, r, old.generation, e.freshCopy)
		if err != nil {
			k.master = was
		}
		if changed(err) && try < 5 {
			continue
		}
		if err == nil {
			k.ring.Store(r)
			if e.master != nil {
				k.know(*e.master)
			}
		}
		return err
	}
}
