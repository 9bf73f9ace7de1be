package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
)

// Backup writes a consistent copy of the database at from to a new file, while
// a server may be writing to it. The copy is one snapshot; as long as it is
// being written, the snapshot keeps what a scrub would remove from the
// write-ahead log. What was deleted before is not in the copy. It is durable
// when Backup returns.
func Backup(ctx context.Context, from, to string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c, err := readOnly(from, false)
	if err != nil {
		return err
	}
	_, err = c.exec(`VACUUM INTO ?`, to)
	if err := errors.Join(err, c.close()); err != nil {
		return fmt.Errorf("sqlite: backup: %w", err)
	}
	return durable(to)
}

// keyPage is how many keys are copied in one snapshot.
const keyPage = 3000

// BackupKeys writes a copy of the key store at from to a new file, page by
// page: no snapshot lasts, so that a key can be destroyed meanwhile. The copy
// holds each key that was there from the beginning to the end.
func BackupKeys(ctx context.Context, from, to string, progress func(keys int)) error {
	src, err := readOnly(from, false)
	if err != nil {
		return err
	}
	defer func() { _ = src.close() }()
	if _, err := os.Lstat(to); err == nil {
		return fmt.Errorf("sqlite: backup: %w", os.ErrExist)
	}
	f, err := openFile(ctx, to, "keys", Options{Readers: 1})
	if err != nil {
		return err
	}
	if err := errors.Join(copyKeys(ctx, src, f, progress), f.close()); err != nil {
		return fmt.Errorf("sqlite: backup of keys: %w", err)
	}
	return durable(to)
}

func copyKeys(ctx context.Context, src *conn, to *file, progress func(int)) error {
	last := []driver.Value{[]byte{}, int64(0), int64(0)}
	for n := 0; ; {
		var page [][]driver.Value
		err := src.query(`SELECT subject_id, compartment, version, kek, wrapped FROM subject_key
			WHERE (subject_id, compartment, version) > (?, ?, ?) ORDER BY subject_id, compartment, version LIMIT ?`,
			func(r *row) error {
				page = append(page, append([]driver.Value(nil), r.v...))
				return nil
			}, last[0], last[1], last[2], int64(keyPage))
		if err != nil {
			return err
		}
		if len(page) == 0 {
			return copyMeta(ctx, src, to)
		}
		err = to.w.do(ctx, 256*len(page), func(w *writeConn) error {
			for _, k := range page {
				if _, err := w.exec(`INSERT INTO subject_key (subject_id, compartment, version, kek, wrapped) VALUES (?, ?, ?, ?, ?)`, k...); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		n += len(page)
		last = page[len(page)-1]
		if progress != nil {
			progress(n)
		}
	}
}

func copyMeta(ctx context.Context, src *conn, to *file) error {
	meta := map[string][]byte{}
	err := src.query(`SELECT name, value FROM meta`, func(r *row) error {
		name := r.text()
		meta[name] = r.bytes()
		return nil
	})
	if err != nil {
		return err
	}
	for name, value := range meta {
		if _, err := to.w.putMeta(ctx, name, value); err != nil {
			return err
		}
	}
	// Not the keyring, which some keep in this file: a backup never has it.
	var fences []driver.Value
	err = src.query(`SELECT kek FROM kek_fence`, func(r *row) error {
		fences = append(fences, r.text())
		return nil
	})
	if err != nil || len(fences) == 0 {
		return err
	}
	return to.w.do(ctx, 64, func(w *writeConn) error {
		for _, kek := range fences {
			if _, err := w.exec(`INSERT INTO kek_fence (kek) VALUES (?) ON CONFLICT DO NOTHING`, kek); err != nil {
				return err
			}
		}
		return nil
	})
}

// readOnly opens a connection that writes nothing. Immutable: to a file that
// nobody writes to, without leaving a file beside it.
func readOnly(path string, immutable bool) (*conn, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	q := url.Values{"mode": {"ro"}, "_pragma": {"busy_timeout(10000)", "trusted_schema(0)", "temp_store(MEMORY)"}}
	if immutable {
		q.Set("immutable", "1")
	}
	c, err := openConn(dsn(path, q))
	if err != nil {
		return nil, mapped(err)
	}
	return c, nil
}

func durable(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Chmod(0o600), f.Sync(), f.Close(), syncDir(filepath.Dir(path)))
}

// Contents is what a file of a store tells without being opened as one.
type Contents struct {
	Schema   int64             // number of the last migration
	Subjects int64             // people, of a data file
	Keys     int64             // keys, of a key file
	Epoch    int64             // policy in force
	Policy   string            // its version
	Meta     map[string][]byte // constants of the store
	Marks    map[string][]byte // of the restore ledger
}

// Inspect reads a file that no process has open, checks that it is whole, and
// changes nothing. SQLite's own check reads every page.
func Inspect(path string, keys bool) (*Contents, error) {
	c, err := readOnly(path, true)
	if err != nil {
		return nil, err
	}
	out := &Contents{Meta: map[string][]byte{}, Marks: map[string][]byte{}}
	err = errors.Join(out.read(c, keys), c.close())
	if err != nil {
		return nil, fmt.Errorf("sqlite: %s: %w", filepath.Base(path), err)
	}
	return out, nil
}

func (o *Contents) read(c *conn, keys bool) error {
	verdict := ""
	if _, err := c.one(`PRAGMA integrity_check(1)`, func(r *row) { verdict = r.text() }); err != nil {
		return err
	}
	if verdict != "ok" {
		return errors.New("the file is damaged")
	}
	if _, err := c.one(`SELECT max(version_id) FROM goose_db_version WHERE is_applied`, func(r *row) { o.Schema = r.int() }); err != nil {
		return err
	}
	into := func(m map[string][]byte) func(*row) error {
		return func(r *row) error {
			name := r.text()
			m[name] = r.bytes()
			return nil
		}
	}
	if err := c.query(`SELECT name, value FROM meta`, into(o.Meta)); err != nil {
		return err
	}
	if keys {
		_, err := c.one(`SELECT count(*) FROM subject_key`, func(r *row) { o.Keys = r.int() })
		return err
	}
	if _, err := c.one(`SELECT count(*) FROM subject`, func(r *row) { o.Subjects = r.int() }); err != nil {
		return err
	}
	if _, err := c.one(`SELECT n, version FROM policy_epoch`, func(r *row) { o.Epoch, o.Policy = r.int(), r.text() }); err != nil {
		return err
	}
	return c.query(`SELECT name, body FROM record WHERE kind = 'restore_ledger'`, into(o.Marks))
}
