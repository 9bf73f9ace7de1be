package keys

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/flock"
)

// Place is where the bytes of a keyring lie: a file, or the key database of
// several nodes. Every node of a store reads the same place.
type Place interface {
	// Read returns the newest bytes; fs.ErrNotExist if there are none.
	Read(ctx context.Context) ([]byte, error)
	// Write replaces what is of generation expect, durably and whole; 0: there
	// must be nothing yet. It fails with fs.ErrExist if there is something
	// else, and then changes nothing.
	Write(ctx context.Context, raw []byte, generation, expect uint64) error
	// Name is for people.
	Name() string
}

// FilePlace keeps a keyring in a file, mode 0600, whose folder is created, mode
// 0700, if need be. Several nodes may share the file if its file system
// knows locks.
func FilePlace(path string) Place { return filePlace(path) }

type filePlace string

func (p filePlace) Name() string { return string(p) }

// Read refuses a file that others may read.
func (p filePlace) Read(context.Context) ([]byte, error) {
	if err := checkMode(string(p)); err != nil {
		return nil, err
	}
	raw, err := os.ReadFile(string(p))
	if err != nil {
		return nil, fmt.Errorf("keys: open: %w", err)
	}
	return raw, nil
}

// Write puts a synced file in the place of the old one. A crash leaves the old
// file or the new one, never a mixture. The bytes of the old file are
// overwritten; if a crash comes between, the next write does it.
func (p filePlace) Write(_ context.Context, raw []byte, _, expect uint64) error {
	path := string(p)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("keys: create folder: %w", err)
	}
	unlock, err := flock.Lock(path + ".lock")
	if err != nil {
		return fmt.Errorf("keys: lock: %w", err)
	}
	defer unlock()
	if err := p.is(expect); err != nil {
		return err
	}
	return p.replace(raw, expect == 0)
}

// replace is Write for whoever holds the lock. fresh: there is no file yet.
func (p filePlace) replace(raw []byte, fresh bool) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(string(p)), ".keyring-*") // mode 0600
	if err != nil {
		return fmt.Errorf("keys: write: %w", err)
	}
	defer func() {
		if err != nil {
			_ = wipe(tmp.Name()) // nothing if it was put in place
		}
	}()
	_, err = tmp.Write(raw)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return fmt.Errorf("keys: write: %w", err)
	}
	if err = p.put(tmp.Name(), fresh); err != nil {
		return fmt.Errorf("keys: write: %w", err)
	}
	return nil
}

// put renames tmp into place and overwrites what was there.
func (p filePlace) put(tmp string, fresh bool) error {
	path, old := string(p), string(p)+".old"
	if fresh {
		if err := os.Rename(tmp, path); err != nil {
			return err
		}
		return syncDir(filepath.Dir(path))
	}
	if err := p.sweep(); err != nil {
		return err
	}
	if err := os.Link(path, old); err != nil {
		return err
	}
	if err := errors.Join(os.Rename(tmp, path), syncDir(filepath.Dir(path))); err != nil {
		return err
	}
	return p.sweep()
}

// sweep overwrites a former keyring file that a crash left behind. One that is
// still the keyring loses only its second name.
func (p filePlace) sweep() error {
	old, err := os.Stat(string(p) + ".old")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if now, err := os.Stat(string(p)); err == nil && os.SameFile(now, old) {
		return os.Remove(string(p) + ".old")
	}
	return wipe(string(p) + ".old")
}

// is checks the generation of the file.
func (p filePlace) is(expect uint64) error {
	raw, err := os.ReadFile(string(p))
	defer clear(raw)
	if errors.Is(err, fs.ErrNotExist) && expect == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	var f struct {
		Generation uint64 `json:"generation"`
	}
	if err := json.Unmarshal(raw, &f); err != nil || expect == 0 || max(f.Generation, 1) != expect {
		return fmt.Errorf("keys: another keyring lies there: %w", fs.ErrExist)
	}
	return nil
}

// wipe overwrites a file and removes it. Where the file system writes in place
// the bytes are gone; where it copies on write, and inside flash memory, they
// are not, which docs/operations.md says.
func wipe(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	st, err := f.Stat()
	if err == nil {
		_, err = io.CopyN(f, zeros{}, st.Size())
	}
	return errors.Join(err, f.Sync(), f.Close(), os.Remove(path))
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
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

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
