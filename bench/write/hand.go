package main

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"time"

	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/storage/sqlite"
)

// byHand writes the same rows to the same tables, in the way one writes a group
// commit when nothing else is asked: a goroutine takes what waits, runs
// prepared statements in one transaction, commits, answers. It checks no
// versions and no policy epoch, and one error loses the whole batch.
func byHand(c config) (result, error) {
	ctx := context.Background()
	path := filepath.Join(c.dir, "hand.db")
	s, err := sqlite.Open(ctx, path, sqlite.Options{})
	if err != nil {
		return result{}, err
	}
	if err := seed(ctx, s, c.clients); err != nil {
		return result{}, err
	}
	if err := s.Close(); err != nil {
		return result{}, err
	}
	w, err := newHandWriter(path)
	if err != nil {
		return result{}, err
	}
	go w.run()
	r := clients(c.clients, c.length, func(client, i int) error {
		j := job{consent(client, i), make(chan error, 1)}
		w.queue <- j
		return <-j.done
	})
	close(w.queue)
	if err := w.db.Close(); err != nil {
		return r, err
	}
	r.Rows, err = countRows(path)
	return r, err
}

type job struct {
	c    *storage.Change
	done chan error
}

type handWriter struct {
	db    *sql.DB
	conn  *sql.Conn
	queue chan job
	stmts []*sql.Stmt
}

var handSQL = []string{
	`UPDATE subject SET version = ?, sealed = ?, entry_n = ?, consent_n = ? WHERE subject_id = ?`,
	`INSERT INTO consent_event (subject_id, n, at, purpose, action, terms, sealed) VALUES (?, ?, ?, ?, ?, ?, ?)`,
	`INSERT INTO consent_index (subject_id, purpose, terms, effect) VALUES (?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET terms = excluded.terms, effect = excluded.effect`,
	`INSERT INTO entry (subject_id, n, at, kind, payload, envelope, commitment) VALUES (?, ?, ?, ?, ?, ?, ?)`,
	`INSERT INTO pending (subject_id, n, commitment) VALUES (?, ?, ?)`,
	`INSERT INTO idempotency (subject_id, key, digest, sealed, expires_at) VALUES (?, ?, ?, ?, ?)`,
}

func newHandWriter(path string) (*handWriter, error) {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(10000)&_pragma=foreign_keys(1)&_pragma=secure_delete(1)"+
		"&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=wal_autocheckpoint(4000)&_pragma=cache_size(-65536)")
	if err != nil {
		return nil, err
	}
	w := &handWriter{db: db, queue: make(chan job, 1024)}
	if w.conn, err = db.Conn(context.Background()); err != nil {
		return nil, err
	}
	for _, q := range handSQL {
		s, err := w.conn.PrepareContext(context.Background(), q)
		if err != nil {
			return nil, err
		}
		w.stmts = append(w.stmts, s)
	}
	return w, nil
}

func (w *handWriter) run() {
	for first := range w.queue {
		batch := []job{first}
		for len(w.queue) > 0 && len(batch) < 512 {
			batch = append(batch, <-w.queue)
		}
		err := w.commit(batch)
		for _, j := range batch {
			j.done <- err
		}
	}
}

func (w *handWriter) commit(batch []job) error {
	ctx := context.Background()
	if _, err := w.conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	for _, j := range batch {
		if err := w.write(ctx, j.c); err != nil {
			return err
		}
	}
	_, err := w.conn.ExecContext(ctx, "COMMIT")
	return err
}

func (w *handWriter) write(ctx context.Context, c *storage.Change) error {
	id, e, ev, x, m := c.Row.ID[:], &c.Entries[0], &c.Consents[0], &c.ConsentIndex[0], c.Idempotency
	us := func(t time.Time) int64 { return t.UnixMicro() }
	for i, args := range [][]any{
		{int64(c.Row.Version), c.Row.Sealed, int64(c.Row.EntryN), int64(c.Row.ConsentN), id},
		{id, int64(ev.N), us(ev.At), string(ev.Purpose), string(ev.Action), ev.Terms, ev.Sealed},
		{id, string(x.Purpose), x.Terms, x.Effect},
		{id, int64(e.N), us(e.At), e.Kind, e.Payload, e.Envelope, e.Commitment[:]},
		{id, int64(e.N), e.Commitment[:]},
		{id, m.Key, m.Digest, m.Sealed, us(m.Expires)},
	} {
		if _, err := w.stmts[i].ExecContext(ctx, args...); err != nil {
			return fmt.Errorf("statement %d: %w", i, err)
		}
	}
	return nil
}
