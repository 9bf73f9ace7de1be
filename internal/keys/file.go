package keys

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"

	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"

	abide "github.com/abide-privacy/abide"
)

// Master is a key of a key service that encrypts the keysets in the file. The
// Tink modules of the key services provide the AEAD.
type Master struct {
	URI  string // names the key, such as gcp-kms://…; kept in the file
	AEAD tink.AEADWithContext
}

// fileFormat is bound into keysets that a master key encrypts, so it stays;
// files of version 2 add the generation and the epochs.
const (
	fileFormat  = "abide-keyring/1"
	fileFormat2 = "abide-keyring/2"
)

// file is the form of a keyring at rest.
type file struct {
	Format     string                     `json:"format"`
	Store      string                     `json:"store"`
	Generation uint64                     `json:"generation"`       // counts changes, from 1
	Master     string                     `json:"master,omitempty"` // "": keysets are in the clear, protected by the file's mode only
	Epochs     []Epoch                    `json:"epochs"`
	Retired    []Epoch                    `json:"retired_index,omitempty"` // roots of index keys that were destroyed
	Keysets    map[string]json.RawMessage `json:"keysets"`                 // Tink JSON keysets

	Standing    json.RawMessage `json:"standing,omitempty"`
	StandingMAC []byte          `json:"standing_mac,omitempty"`
}

// Create makes a keyring of fresh keys and keeps it at path, mode 0600. The
// folder is created, mode 0700, if need be. It fails with fs.ErrExist if the
// file exists: a keyring is never overwritten by a new one. When Create
// returns, the file and its folder are synced.
func Create(path string) (*Keyring, error) {
	return CreateAt(context.Background(), FilePlace(path), Master{})
}

// CreateAt is Create anywhere, with the keysets encrypted by a master key, if
// one is given.
func CreateAt(ctx context.Context, p Place, m Master) (*Keyring, error) {
	k, err := New()
	if err != nil {
		return nil, err
	}
	k.place, k.master = p, m
	k.know(m)
	if err := k.save(ctx, k.ring.Load(), 0, false); err != nil {
		return nil, err
	}
	return k, nil
}

// Open reads a keyring from its file. It refuses a file that others may read.
func Open(path string) (*Keyring, error) {
	return OpenAt(context.Background(), FilePlace(path), Master{})
}

// OpenAt is Open anywhere, for a keyring whose keysets a master key encrypts,
// if one is given. Further ones are keys to which the ring may be moved while
// it is open here.
func OpenAt(ctx context.Context, p Place, m Master, also ...Master) (*Keyring, error) {
	k := &Keyring{place: p}
	k.know(append([]Master{m}, also...)...)
	raw, err := p.Read(ctx)
	if err != nil {
		return nil, err
	}
	defer clear(raw)
	if err := k.load(ctx, raw); err != nil {
		return nil, err
	}
	return k, nil
}

// know remembers master keys that may encrypt the ring.
func (k *Keyring) know(all ...Master) {
	for _, m := range all {
		if m.AEAD != nil {
			k.known = append(k.known, m)
		}
	}
}

func badKeyring() error {
	return &abide.Error{Code: abide.CodeInvalid, Detail: "bad_keyring",
		Message: "this file is not a keyring of a version that this program knows",
		Hint:    "restore the keyring from its backup, or use a newer abide"}
}

// load takes over the keyring in raw. The store is set once, when the ring is
// opened: everything reads it without a lock. A ring may be moved to another of
// the master keys that were named, and one whose keysets a master key encrypts
// must not become one without by being read anew.
func (k *Keyring) load(ctx context.Context, raw []byte) error {
	f, id, err := parse(raw)
	if err != nil {
		return err
	}
	if k.store != (StoreID{}) && k.store != id {
		return &abide.Error{Code: abide.CodeInvalid, Detail: "other_keyring",
			Message: "the keyring was replaced by that of another store", Hint: "restore the keyring of this store"}
	}
	opened := k.ring.Load() != nil
	if !opened {
		k.store = id
	}
	m := Master{}
	if i := slices.IndexFunc(k.known, func(known Master) bool { return known.URI == f.Master }); i >= 0 {
		m = k.known[i]
	}
	switch {
	case f.Master != "" && len(k.known) == 0:
		return &abide.Error{Code: abide.CodeUnavailable, Detail: "master_key_needed",
			Message: "the keyring is encrypted by a key service", Hint: "name its key with --master " + f.Master}
	case f.Master != "" && m.AEAD == nil:
		return &abide.Error{Code: abide.CodeInvalid, Detail: "other_master_key",
			Message: "the keyring is encrypted by another key of a key service", Hint: "name its key with --master " + f.Master}
	case f.Master == "" && opened && k.master.AEAD != nil:
		return &abide.Error{Code: abide.CodeInvalid, Detail: "master_key_dropped",
			Message: "the keyring was replaced by one that no key service encrypts",
			Hint:    "put the newest keyring back"}
	}
	handles := make(map[string]*keyset.Handle, len(f.Keysets))
	for name, set := range f.Keysets {
		if handles[name], err = k.readKeyset(ctx, m, name, set); err != nil {
			var known *abide.Error
			if errors.As(err, &known) {
				return err
			}
			return fmt.Errorf("keys: read %s keyset: %w", name, err)
		}
	}
	r, err := newRing(handles, f.Epochs, f.Retired)
	if err != nil {
		return err
	}
	if err := r.readStanding(&f); err != nil {
		return err
	}
	r.generation, r.sum = max(f.Generation, 1), sha256.Sum256(raw)
	k.master = m
	k.ring.Store(r)
	return nil
}

func parse(raw []byte) (file, StoreID, error) {
	var f file
	if err := json.Unmarshal(raw, &f); err != nil || f.Format != fileFormat && f.Format != fileFormat2 {
		return file{}, StoreID{}, badKeyring()
	}
	id, err := hex.DecodeString(f.Store)
	if err != nil || len(id) != len(StoreID{}) || StoreID(id) == (StoreID{}) {
		return file{}, StoreID{}, badKeyring()
	}
	return f, StoreID(id), nil
}

// Refresh takes over what another process wrote to the keyring's place. It
// reports whether there was anything new. A ring in memory has no place.
func (k *Keyring) Refresh(ctx context.Context) (bool, error) {
	if k.place == nil {
		return false, nil
	}
	k.change.Lock()
	defer k.change.Unlock()
	return k.refresh(ctx)
}

func (k *Keyring) refresh(ctx context.Context) (bool, error) {
	if k.place == nil {
		return false, nil
	}
	raw, err := k.place.Read(ctx)
	if err != nil {
		return false, &abide.Error{Code: abide.CodeUnavailable, Detail: "keyring_unreachable", Err: err,
			Message: "the keyring cannot be read anew", Hint: "make " + k.place.Name() + " readable again; other nodes may have changed it"}
	}
	defer clear(raw)
	old := k.ring.Load()
	if sha256.Sum256(raw) == old.sum {
		return false, nil
	}
	if err := k.load(ctx, raw); err != nil {
		return false, err
	}
	if now := k.ring.Load(); now.generation < old.generation {
		k.ring.Store(old)
		return false, &abide.Error{Code: abide.CodeUnavailable, Detail: "keyring_older",
			Message: "an older keyring was put in the place of the newest",
			Hint:    "put the newest keyring back"}
	}
	return true, nil
}

func (k *Keyring) masterAD(name string) []byte {
	return lengthPrefixed(fileFormat, k.store[:], []byte(name))
}

func (k *Keyring) readKeyset(ctx context.Context, m Master, name string, raw []byte) (*keyset.Handle, error) {
	r := keyset.NewJSONReader(bytes.NewReader(raw))
	if m.AEAD == nil {
		return insecurecleartextkeyset.Read(r)
	}
	service := &telling{AEADWithContext: m.AEAD}
	h, err := keyset.ReadWithContext(ctx, r, service, k.masterAD(name))
	return h, cmp.Or(service.err, err)
}

// telling remembers the error of a key service, which Tink hands on as text.
type telling struct {
	tink.AEADWithContext
	err error
}

func (t *telling) EncryptWithContext(ctx context.Context, plain, ad []byte) (out []byte, err error) {
	out, t.err = t.AEADWithContext.EncryptWithContext(ctx, plain, ad)
	return out, t.err
}

func (t *telling) DecryptWithContext(ctx context.Context, sealed, ad []byte) (out []byte, err error) {
	out, t.err = t.AEADWithContext.DecryptWithContext(ctx, sealed, ad)
	return out, t.err
}

func (k *Keyring) writeKeyset(ctx context.Context, m Master, name string, h *keyset.Handle) ([]byte, error) {
	var buf bytes.Buffer
	w := keyset.NewJSONWriter(&buf)
	if m.AEAD == nil {
		if err := insecurecleartextkeyset.Write(h, w); err != nil {
			return nil, err
		}
		return buf.Bytes(), nil
	}
	service := &telling{AEADWithContext: m.AEAD}
	if err := h.WriteWithContext(ctx, w, service, k.masterAD(name)); err != nil {
		return nil, cmp.Or(service.err, err)
	}
	return buf.Bytes(), nil
}

// encode writes a ring in the form at rest, under a master key if one is given.
func (k *Keyring) encode(ctx context.Context, r *ring, m Master) ([]byte, error) {
	f := file{Format: fileFormat2, Store: k.store.String(), Generation: r.generation, Master: m.URI,
		Epochs: r.epochs, Retired: r.retired, Keysets: map[string]json.RawMessage{}}
	for name, h := range r.handles {
		raw, err := k.writeKeyset(ctx, m, name, h)
		if err != nil {
			return nil, fmt.Errorf("keys: write %s keyset: %w", name, err)
		}
		f.Keysets[name] = raw
	}
	if err := r.writeStanding(&f); err != nil {
		return nil, err
	}
	raw, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("keys: write: %w", err)
	}
	return append(raw, '\n'), nil
}

// save makes the ring the next generation after expect, durably.
func (k *Keyring) save(ctx context.Context, r *ring, expect uint64, freshCopy bool) error {
	return k.saveAs(ctx, r, expect+1, expect, freshCopy)
}

// saveAs writes the recovery copy before the ring, if there is an escrow. So
// whatever is sealed by a new key, the shares open; a key that is destroyed is
// gone from the copy first; and a crash between the two leaves a copy with a
// key that nobody uses yet, or without one by which nothing is wrapped any more.
func (k *Keyring) saveAs(ctx context.Context, r *ring, generation, expect uint64, freshCopy bool) error {
	r.generation = generation
	if k.place == nil {
		return nil
	}
	raw, err := k.encode(ctx, r, k.master)
	if err != nil {
		return err
	}
	defer clear(raw)
	if x := r.standing.Escrow; x != nil {
		unlock, err := lockCopy(x.Copy)
		if err != nil {
			return err
		}
		defer unlock()
		// Another process may have come first: then the copy is of its ring.
		switch at, err := inPlace(ctx, k.place, k.store, math.MaxUint64); {
		case err != nil:
			return err
		case at != expect:
			return fmt.Errorf("keys: another keyring lies there: %w", fs.ErrExist)
		}
		if err := k.writeCopy(r, freshCopy); err != nil {
			return err
		}
	}
	if err := k.place.Write(ctx, raw, r.generation, expect); err != nil {
		return err
	}
	r.sum = sha256.Sum256(raw)
	return nil
}

// changed reports whether an error of save means that another process changed
// the keyring first.
func changed(err error) bool { return errors.Is(err, fs.ErrExist) }
