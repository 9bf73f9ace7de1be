package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Dir keeps blobs as files in a directory that may be shared by several nodes,
// if its file system honours fsync and rename.
type Dir struct {
	root string
	// step, if set, is called before each durable effect of Put; tests end the
	// write there.
	step func(name string) error
	// dirs keeps this process from removing an empty directory between the
	// making of it and the first file in it. Other nodes are met by trying again.
	dirs *sync.RWMutex
}

const (
	blobsDir = "blobs"
	tempDir  = "incoming"
)

// OpenDir opens a directory, and makes it if it is not there.
func OpenDir(root string) (*Dir, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	for _, sub := range []string{blobsDir, tempDir} {
		if err := os.MkdirAll(filepath.Join(root, sub), 0o700); err != nil {
			return nil, mapped(err)
		}
	}
	d := &Dir{root: root, dirs: new(sync.RWMutex)}
	return d, syncDir(root)
}

// WithSteps returns a store on the same directory that asks step before each
// durable effect of Put: "write", "sync", "rename", "sync directory".
func (d *Dir) WithSteps(step func(name string) error) *Dir {
	return &Dir{root: d.root, step: step, dirs: d.dirs}
}

func (d *Dir) before(step string) error {
	if d.step == nil {
		return nil
	}
	return d.step(step)
}

func (d *Dir) path(name string) string {
	return filepath.Join(d.root, blobsDir, filepath.FromSlash(name))
}

// Put implements Store. What a crash leaves behind:
//
//	while writing, or before the rename: a file in incoming/, for Tidy
//	after the rename, before the directory is synced: the blob, or that file
//	after the directory is synced: the blob
func (d *Dir) Put(ctx context.Context, name string, r io.Reader) (err error) {
	if err := valid(name); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Join(d.root, tempDir), "*")
	if err != nil {
		return mapped(err)
	}
	temp := f.Name()
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(temp) // Tidy finds what stays
		}
	}()
	if err := d.before("write"); err != nil {
		return err
	}
	if err := fill(ctx, f, r); err != nil {
		return err
	}
	if err := d.before("sync"); err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return mapped(err)
	}
	return d.land(temp, d.path(name))
}

// fill copies r into the file. Errors of r stay as they are.
func fill(ctx context.Context, f *os.File, r io.Reader) error {
	buf := make([]byte, 128<<10)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := r.Read(buf)
		if _, werr := f.Write(buf[:n]); werr != nil {
			return mapped(werr)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// landTries is how often a blob is put in place while other nodes remove its
// directory, which was empty just then.
const landTries = 10

// land gives a synced file its name, durably.
func (d *Dir) land(temp, path string) error {
	if err := d.before("rename"); err != nil {
		return err
	}
	for try := 1; ; try++ {
		err := d.place(temp, path)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) || try == landTries {
			return mapped(err)
		}
	}
	if err := d.before("sync directory"); err != nil {
		_ = os.Remove(path)
		return err
	}
	if err := d.syncAbove(path); err != nil {
		_ = os.Remove(path)
		return mapped(err)
	}
	return nil
}

func (d *Dir) place(temp, path string) error {
	d.dirs.RLock()
	defer d.dirs.RUnlock()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return os.Rename(temp, path)
}

// syncAbove makes the name of a file durable, and every directory above it:
// one that was there already may be another node's, not synced yet.
func (d *Dir) syncAbove(path string) error {
	for dir := filepath.Dir(path); dir != d.root; dir = filepath.Dir(dir) {
		if err := syncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

// Size implements Store.
func (d *Dir) Size(_ context.Context, name string) (int64, error) {
	if err := valid(name); err != nil {
		return 0, err
	}
	info, err := os.Stat(d.path(name))
	if err != nil {
		return 0, mapped(err)
	}
	if !info.Mode().IsRegular() {
		return 0, ErrNotFound
	}
	return info.Size(), nil
}

// Range implements Store.
func (d *Dir) Range(_ context.Context, name string, off, n int64) (io.ReadCloser, error) {
	if err := valid(name); err != nil {
		return nil, err
	}
	f, err := os.Open(d.path(name))
	if err != nil {
		return nil, mapped(err)
	}
	return struct {
		io.Reader
		io.Closer
	}{io.NewSectionReader(f, off, n), f}, nil
}

// Delete implements Store.
func (d *Dir) Delete(_ context.Context, name string) error {
	if err := valid(name); err != nil {
		return err
	}
	path := d.path(name)
	if err := os.Remove(path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return mapped(err)
	}
	dir := filepath.Dir(path)
	if err := syncDir(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return mapped(err)
	}
	d.removeEmpty(dir)
	return nil
}

// removeEmpty removes a directory and those above it, up to the first that
// holds something. One that stays is no harm.
func (d *Dir) removeEmpty(dir string) {
	d.dirs.Lock()
	defer d.dirs.Unlock()
	top := filepath.Join(d.root, blobsDir)
	for dir != top && os.Remove(dir) == nil {
		dir = filepath.Dir(dir)
	}
}

// List implements Store.
func (d *Dir) List(ctx context.Context, prefix string, fn func(string, time.Time) error) error {
	if err := valid(strings.TrimSuffix(prefix, "/")); err != nil {
		return err
	}
	top := filepath.Join(d.root, blobsDir)
	return filepath.WalkDir(d.path(strings.TrimSuffix(prefix, "/")), func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // gone meanwhile
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return mapped(err)
		}
		if !e.Type().IsRegular() {
			return nil
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return mapped(err)
		}
		name, err := filepath.Rel(top, path)
		if err != nil {
			return err
		}
		return fn(filepath.ToSlash(name), info.ModTime())
	})
}

// Tidy implements Store.
func (d *Dir) Tidy(_ context.Context, before time.Time) error {
	dir := filepath.Join(d.root, tempDir)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return mapped(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.ModTime().Before(before) {
			continue // gone meanwhile, or not old enough
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return mapped(err)
		}
	}
	return nil
}

// Ready implements Store.
func (d *Dir) Ready(context.Context) error {
	f, err := os.CreateTemp(filepath.Join(d.root, tempDir), "*")
	if err != nil {
		return mapped(err)
	}
	return mapped(errors.Join(f.Close(), os.Remove(f.Name())))
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// mapped turns an error of the file system into one of ours. The path is left
// out: it stays with the operator's log, not with callers.
func mapped(err error) error {
	var path *fs.PathError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w (%w)", ErrNotFound, err)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		return fmt.Errorf("%w (%w)", ErrFull, err)
	case errors.As(err, &path):
		return fmt.Errorf("%w (%w)", ErrUnavailable, path.Err)
	}
	return fmt.Errorf("%w (%w)", ErrUnavailable, err)
}
