package keys

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

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

const fileFormat = "abide-keyring/1"

// file is the form of a keyring on disk.
type file struct {
	Format  string                     `json:"format"`
	Store   string                     `json:"store"`
	Master  string                     `json:"master,omitempty"` // "": keysets are in the clear, protected by the file's mode only
	Keysets map[string]json.RawMessage `json:"keysets"`          // Tink JSON keysets
}

// Create makes a keyring of fresh keys and keeps it at path, mode 0600. The
// folder is created, mode 0700, if need be. It fails with fs.ErrExist if the
// file exists: a keyring is never overwritten by a new one. When Create
// returns, the file and its folder are synced.
func Create(path string) (*Keyring, error) {
	return CreateWith(context.Background(), path, Master{})
}

// CreateWith is Create with the keysets encrypted by a master key.
func CreateWith(ctx context.Context, path string, m Master) (*Keyring, error) {
	if _, err := os.Lstat(path); err == nil {
		return nil, fmt.Errorf("keys: create %s: %w", path, fs.ErrExist)
	}
	k, err := New()
	if err != nil {
		return nil, err
	}
	k.path, k.master = path, m
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("keys: create folder: %w", err)
	}
	if err := k.save(ctx, k.ring.Load(), os.Link); err != nil {
		return nil, err
	}
	return k, nil
}

// Open reads a keyring from its file. It refuses a file that others may read.
func Open(path string) (*Keyring, error) {
	return OpenWith(context.Background(), path, Master{})
}

// OpenWith is Open for a file whose keysets a master key encrypts.
func OpenWith(ctx context.Context, path string, m Master) (*Keyring, error) {
	if err := checkMode(path); err != nil {
		return nil, err
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("keys: open: %w", err)
	}
	defer clear(raw)
	bad := &abide.Error{Code: abide.CodeInvalid, Detail: "bad_keyring",
		Message: "this file is not a keyring of a version that this program knows",
		Hint:    "restore the keyring from its backup, or use a newer abide"}
	var f file
	if err := json.Unmarshal(raw, &f); err != nil || f.Format != fileFormat {
		return nil, bad
	}
	id, err := hex.DecodeString(f.Store)
	if err != nil || len(id) != len(StoreID{}) {
		return nil, bad
	}
	if f.Master != "" && m.AEAD == nil {
		return nil, &abide.Error{Code: abide.CodeUnavailable, Detail: "master_key_needed",
			Message: "the keyring is encrypted by a key service", Hint: "configure the key service for " + f.Master}
	}
	k := &Keyring{path: path, master: m, store: StoreID(id)}
	if f.Master == "" {
		k.master = Master{}
	}
	handles := make(map[string]*keyset.Handle, len(f.Keysets))
	for name, set := range f.Keysets {
		if handles[name], err = k.readKeyset(ctx, name, set); err != nil {
			return nil, fmt.Errorf("keys: read %s keyset: %w", name, err)
		}
	}
	r, err := newRing(handles)
	if err != nil {
		return nil, err
	}
	k.ring.Store(r)
	return k, nil
}

func checkMode(path string) error {
	st, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("keys: open: %w", err)
	}
	if runtime.GOOS != "windows" && st.Mode().Perm()&0o077 != 0 {
		return &abide.Error{Code: abide.CodeInvalid, Detail: "keyring_readable_by_others",
			Message: "the keyring file may be read by other users of this machine",
			Hint:    "make it readable by its owner only: chmod 600"}
	}
	return nil
}

func (k *Keyring) masterAD(name string) []byte {
	return lengthPrefixed(fileFormat, k.store[:], []byte(name))
}

func (k *Keyring) readKeyset(ctx context.Context, name string, raw []byte) (*keyset.Handle, error) {
	r := keyset.NewJSONReader(bytes.NewReader(raw))
	if k.master.AEAD == nil {
		return insecurecleartextkeyset.Read(r)
	}
	return keyset.ReadWithContext(ctx, r, k.master.AEAD, k.masterAD(name))
}

func (k *Keyring) writeKeyset(ctx context.Context, name string, h *keyset.Handle) ([]byte, error) {
	var buf bytes.Buffer
	w := keyset.NewJSONWriter(&buf)
	if k.master.AEAD == nil {
		if err := insecurecleartextkeyset.Write(h, w); err != nil {
			return nil, err
		}
		return buf.Bytes(), nil
	}
	if err := h.WriteWithContext(ctx, w, k.master.AEAD, k.masterAD(name)); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// save writes the ring beside its file, syncs it, and puts it in place:
// os.Link for a new file, os.Rename for a changed one. A crash leaves the old
// file or the new one, never a mixture.
func (k *Keyring) save(ctx context.Context, r *ring, place func(from, to string) error) error {
	f := file{Format: fileFormat, Store: k.store.String(), Master: k.master.URI, Keysets: map[string]json.RawMessage{}}
	for name, h := range r.handles {
		raw, err := k.writeKeyset(ctx, name, h)
		if err != nil {
			return fmt.Errorf("keys: write %s keyset: %w", name, err)
		}
		f.Keysets[name] = raw
	}
	raw, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return fmt.Errorf("keys: write: %w", err)
	}
	defer clear(raw)
	dir := filepath.Dir(k.path)
	tmp, err := os.CreateTemp(dir, ".keyring-*") // mode 0600
	if err != nil {
		return fmt.Errorf("keys: write: %w", err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // absent after a rename
	_, err = tmp.Write(append(raw, '\n'))
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = place(tmp.Name(), k.path)
	}
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		return fmt.Errorf("keys: write: %w", err)
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
