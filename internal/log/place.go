package log

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/flock"
)

// File is a resource of a published log: its path below the log's prefix, and
// its bytes.
type File struct {
	Path string
	Data []byte
}

// Beside is the name of a file that may lie beside a published log and is none
// of its resources: how far the restore ledger was seen. It is put as a
// checkpoint is.
const Beside = "restore-ledger.json"

// Place keeps the published log outside the database, so that a restored
// database can go on from what was published. One sequencer writes at a time;
// one that was overtaken may write what it was about to, which is the same
// tiles, and a checkpoint that is not put over a larger one.
type Place interface {
	audit.Source
	// Name says where it is, for people.
	Name() string
	// Put makes files durable, each whole or not at all. A file that is there
	// already is replaced by the same bytes.
	Put(ctx context.Context, files []File) error
	// PutCheckpoint makes a checkpoint durable at its path in the place of an older
	// one, at once or not at all, unless newer says that what is there is newer.
	PutCheckpoint(ctx context.Context, f File, newer func(there []byte) bool) error
	// Remove removes files, which may not be there.
	Remove(ctx context.Context, paths []string) error
}

// Dir is a place in a directory, of which a web server may serve the files. Its
// file system honours fsync, rename and, if several nodes share it, flock.
type Dir struct{ root string }

// OpenDir opens a directory, and makes it if it is not there.
func OpenDir(root string) (*Dir, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(root, 0o755); err != nil { //nolint:gosec // published for everybody
		return nil, err
	}
	return &Dir{root}, syncDir(filepath.Dir(root))
}

// Name implements Place.
func (d *Dir) Name() string { return d.root }

// Read implements audit.Source.
func (d *Dir) Read(ctx context.Context, path string, limit int64) ([]byte, error) {
	dir := d.root
	if path == Beside {
		return os.ReadFile(filepath.Join(dir, path)) //nolint:gosec // a name of ours
	}
	if number, rest, ok := strings.Cut(path, "/"); ok {
		if _, ok := decimal(number, 1<<32); ok {
			dir, path = filepath.Join(dir, number), rest
		}
	}
	return audit.Dir(dir).Read(ctx, path, limit)
}

// writers bounds how many files are synced at once.
const writers = 8

// Put implements Place. After a crash a file is there whole, or is not; beside
// it may lie a temporary one, whose name no log has.
func (d *Dir) Put(ctx context.Context, files []File) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(writers)
	dirs := map[string]bool{}
	for _, f := range files {
		full := filepath.Join(d.root, filepath.FromSlash(f.Path))
		dir := filepath.Dir(full)
		if !dirs[dir] {
			made, err := makeDir(d.root, dir)
			if err != nil {
				return err
			}
			for _, m := range made {
				dirs[m] = true
			}
			dirs[dir] = true
		}
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return writeFile(full, f.Data)
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for dir := range dirs {
		if err := syncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

// makeDir makes a directory below root, and returns the directories whose
// entries that changed.
func makeDir(root, dir string) ([]string, error) {
	if _, err := os.Stat(dir); err == nil {
		return nil, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // published for everybody
		return nil, err
	}
	var changed []string
	for d := filepath.Dir(dir); strings.HasPrefix(d, root); d = filepath.Dir(d) {
		changed = append(changed, d)
		if d == root {
			break
		}
	}
	return changed, nil
}

// writeFile writes a file under a temporary name, syncs it, and gives it its
// own.
func writeFile(name string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".incoming-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// PutCheckpoint implements Place. Nodes that share the directory take turns by
// a lock on a file in it.
func (d *Dir) PutCheckpoint(ctx context.Context, f File, newer func([]byte) bool) error {
	full := filepath.Join(d.root, filepath.FromSlash(f.Path))
	if _, err := makeDir(d.root, filepath.Dir(full)); err != nil {
		return err
	}
	unlock, err := flock.Lock(filepath.Join(d.root, ".lock"))
	if err != nil {
		return err
	}
	defer unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	there, err := os.ReadFile(full)
	switch {
	case err == nil && newer(there):
		return nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := writeFile(full, f.Data); err != nil {
		return err
	}
	return syncDir(filepath.Dir(full))
}

// Remove implements Place. A directory that is empty after it goes too.
func (d *Dir) Remove(_ context.Context, paths []string) error {
	for _, p := range paths {
		full := filepath.Join(d.root, filepath.FromSlash(p))
		if err := os.Remove(full); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if strings.HasSuffix(path.Dir(p), ".p") {
			_ = os.Remove(filepath.Dir(full)) // refuses as long as something is in it
		}
	}
	return nil
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
