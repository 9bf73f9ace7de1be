// Package sqlite keeps Abide's data in an SQLite file, in process and without
// cgo (modernc.org/sqlite). One goroutine writes (writer.go); changes that wait
// while a commit syncs share the next one. A bounded pool of read-only
// connections reads.
//
// A write is acknowledged after its transaction is in the write-ahead log and
// the log is synced (synchronous=FULL). secure_delete overwrites what is
// deleted; Scrub then empties the log, after which the deleted bytes are in no
// file of the store.
package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/abide-privacy/abide/internal/storage"
	"github.com/pressly/goose/v3"
)

//go:embed migrations/data/*.sql migrations/keys/*.sql
var migrations embed.FS

// Options tunes a store. The zero value is right for a server.
type Options struct {
	// Readers is the number of read-only connections; 0 means 4.
	Readers int

	// Rehearse applies every change twice, the first time taken back, which
	// must come out the same. The conformance suite runs so.
	Rehearse bool

	hooks hooks
}

// pragmas of every connection.
var pragmas = []string{
	"busy_timeout(10000)",
	"foreign_keys(1)",
	"secure_delete(1)",
	"temp_store(MEMORY)", // nothing personal in temporary files
	"trusted_schema(0)",
}

var (
	writerPragmas = []string{
		"journal_mode(WAL)",
		"synchronous(" + synchronous + ")",
		"wal_autocheckpoint(4000)",
		"journal_size_limit(67108864)",
		cachePages(writerCache),
	}
	readerPragmas = []string{"query_only(1)", cachePages(readerCache)}
)

// The page caches of the connections, in pages of 4 KiB: 8 MB for a writer,
// 2 MB for a reader. The driver's heap makes them occupy more than that, and a
// table whose keys are random fills them. Larger ones gain little: a page that
// is not in a cache is one copy away, in the operating system's.
const (
	writerCache = 2048
	readerCache = 512
)

func cachePages(n int) string { return "cache_size(" + strconv.Itoa(n) + ")" }

func dsnWith(path string, more ...string) string {
	q := url.Values{}
	for _, p := range pragmas {
		q.Add("_pragma", p)
	}
	for _, p := range more {
		q.Add("_pragma", p)
	}
	return dsn(path, q)
}

// file is an open database: its writer and its readers.
type file struct {
	w       *writer
	readers *pool
	closing sync.Once
	err     error
}

// openFile opens or creates path, readable by its owner only, and brings its
// tables up to date.
func openFile(ctx context.Context, path, tables string, opts Options) (*file, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := create(path); err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	if err := migrate(ctx, path, tables); err != nil {
		return nil, err
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	w, err := newWriter(path, dsnWith(path, writerPragmas...), opts)
	if err != nil {
		return nil, mapped(err)
	}
	n := opts.Readers
	if n <= 0 {
		n = 4
	}
	readers, err := newPool(dsnWith(path, readerPragmas...), n)
	if err != nil {
		_ = errors.Join(w.close(), w.release()) // the error worth reporting is the first one
		return nil, mapped(err)
	}
	return &file{w: w, readers: readers}, nil
}

// create makes an empty file for its owner only. A file that exists is not
// touched: closing a descriptor of it would give up the locks that another
// store of this process may have on it.
func create(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.Close()
}

// syncDir makes a newly created file's name durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}

// migrate applies the numbered files under migrations/tables that the file does
// not have yet, strictly in order.
func migrate(ctx context.Context, path, tables string) error {
	sub, err := fs.Sub(migrations, "migrations/"+tables)
	if err != nil {
		return err
	}
	db, err := sql.Open("sqlite", dsnWith(path, writerPragmas...))
	if err != nil {
		return err
	}
	defer db.Close()
	p, err := goose.NewProvider(goose.DialectSQLite3, db, sub, goose.WithAllowOutofOrder(false), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("sqlite: migrations: %w", err)
	}
	return nil
}

func (f *file) close() error {
	f.closing.Do(func() {
		f.readers.close()
		f.err = errors.Join(f.w.close(), f.w.release())
	})
	return f.err
}

// ready asks the writer for an empty transaction, which takes the write lock
// and syncs nothing, and checks that commits are synced.
func (f *file) ready(ctx context.Context) error {
	var sync, readOnly int64
	var journal string
	err := f.w.do(ctx, 0, func(w *writeConn) error {
		if _, err := w.one("PRAGMA synchronous", func(r *row) { sync = r.int() }); err != nil {
			return err
		}
		if _, err := w.one("PRAGMA journal_mode", func(r *row) { journal = r.text() }); err != nil {
			return err
		}
		_, err := w.one("PRAGMA query_only", func(r *row) { readOnly = r.int() })
		return err
	})
	switch {
	case err != nil:
		return err
	case sync < 2 || journal != "wal" || readOnly != 0:
		return fmt.Errorf("%w: sqlite: commits are not synced (synchronous=%d, journal_mode=%s, query_only=%d)",
			storage.ErrUnavailable, sync, journal, readOnly)
	}
	return nil
}
