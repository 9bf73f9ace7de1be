package traffic

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"time"

	_ "modernc.org/sqlite" // the same driver
)

// plainSQLite has one writer that commits together what waits, and four
// readers, as the adapter has; every commit syncs the log.
type plainSQLite struct {
	readers *sql.DB
	db      *sql.DB
	writer  *sql.Conn
	queue   chan plainWrite
	stopped chan struct{}
	stmts   map[string]*sql.Stmt
}

type plainWrite struct {
	statements []plainStatement
	done       chan error
}

type plainStatement struct {
	query string
	args  []any
}

const (
	sqlToken = `SELECT name FROM token WHERE hash = ?`
	sqlRead  = `SELECT i.category, i.value, s.newsletter FROM person s JOIN item i ON i.person = s.id WHERE s.id = ? AND i.category IN (?, ?)`
)

func openPlainSQLite(ctx context.Context, path string) (*plainSQLite, error) {
	dsn := "file:" + path + "?_pragma=busy_timeout(10000)&_pragma=secure_delete(1)&_pragma=temp_store(MEMORY)"
	p := &plainSQLite{queue: make(chan plainWrite, 1024), stopped: make(chan struct{}), stmts: map[string]*sql.Stmt{}}
	var err error
	if p.db, err = sql.Open("sqlite", dsn+"&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=wal_autocheckpoint(4000)&_pragma=cache_size(-65536)"); err != nil {
		return nil, err
	}
	if p.writer, err = p.db.Conn(ctx); err != nil {
		return nil, err
	}
	for _, q := range plainTables {
		if _, err := p.writer.ExecContext(ctx, q); err != nil {
			return nil, err
		}
	}
	if p.readers, err = sql.Open("sqlite", dsn+"&_pragma=query_only(1)&_pragma=cache_size(-8192)"); err != nil {
		return nil, err
	}
	p.readers.SetMaxOpenConns(4)
	p.readers.SetMaxIdleConns(4)
	for _, q := range []string{sqlToken, sqlRead} {
		if p.stmts[q], err = p.readers.PrepareContext(ctx, q); err != nil {
			return nil, err
		}
	}
	go p.write()
	return p, nil
}

// write commits together what waits. It owns the writer's statements.
func (p *plainSQLite) write() {
	defer close(p.stopped)
	prepared := map[string]*sql.Stmt{}
	for first := range p.queue {
		batch := []plainWrite{first}
		for len(p.queue) > 0 && len(batch) < 512 {
			batch = append(batch, <-p.queue)
		}
		err := p.commit(prepared, batch)
		for _, w := range batch {
			w.done <- err
		}
	}
}

func (p *plainSQLite) commit(prepared map[string]*sql.Stmt, batch []plainWrite) error {
	ctx := context.Background()
	if _, err := p.writer.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	for _, w := range batch {
		for _, s := range w.statements {
			stmt, ok := prepared[s.query]
			if !ok {
				var err error
				if stmt, err = p.writer.PrepareContext(ctx, s.query); err != nil {
					return err
				}
				prepared[s.query] = stmt
			}
			if _, err := stmt.ExecContext(ctx, s.args...); err != nil {
				return fmt.Errorf("%s: %w", s.query, err)
			}
		}
	}
	_, err := p.writer.ExecContext(ctx, "COMMIT")
	return err
}

func (p *plainSQLite) do(statements ...plainStatement) error {
	w := plainWrite{statements, make(chan error, 1)}
	p.queue <- w
	return <-w.done
}

func (p *plainSQLite) token(ctx context.Context, hash []byte) error {
	var name string
	return p.stmts[sqlToken].QueryRowContext(ctx, hex.EncodeToString(hash)).Scan(&name)
}

func (p *plainSQLite) read(ctx context.Context, person, purpose string, categories []string) (map[string]string, error) {
	rows, err := p.stmts[sqlRead].QueryContext(ctx, person, categories[0], categories[1])
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	out := map[string]string{}
	for rows.Next() {
		var category, value, newsletter string
		if err := rows.Scan(&category, &value, &newsletter); err != nil {
			return nil, err
		}
		out[category] = value
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	return out, p.do(plainStatement{`INSERT INTO audit (at, person, purpose, what) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		[]any{time.Now().UnixNano(), person, purpose, "read"}})
}

func (p *plainSQLite) consent(_ context.Context, person, purpose, action string, evidence []byte) error {
	return p.do(
		plainStatement{`UPDATE person SET version = version + 1, newsletter = ? WHERE id = ?`, []any{action, person}},
		plainStatement{`INSERT INTO consent (person, at, purpose, action, evidence) VALUES (?, ?, ?, ?, ?)`,
			[]any{person, time.Now().UnixNano(), purpose, action, string(evidence)}})
}

func (p *plainSQLite) collect(_ context.Context, person, source string, values map[string]string) error {
	statements := []plainStatement{{`UPDATE person SET version = version + 1 WHERE id = ?`, []any{person}}}
	for category, value := range values {
		statements = append(statements, plainStatement{`INSERT INTO item (person, category, value, source, at) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (person, category) DO UPDATE SET value = excluded.value, source = excluded.source, at = excluded.at`,
			[]any{person, category, value, source, time.Now().UnixNano()}})
	}
	return p.do(statements...)
}

func (p *plainSQLite) seed(_ context.Context, people []string, tokenHash []byte) error {
	statements := []plainStatement{{`INSERT INTO token (hash, name) VALUES (?, 'app')`, []any{hex.EncodeToString(tokenHash)}}}
	for _, id := range people {
		statements = append(statements, plainStatement{`INSERT INTO person (id) VALUES (?)`, []any{id}})
		for category, value := range map[string]string{"person.name": "Mira Okafor", "person.email": id + "@example.test"} {
			statements = append(statements, plainStatement{`INSERT INTO item (person, category, value, source, at) VALUES (?, ?, ?, 'checkout', 0)`, []any{id, category, value}})
		}
	}
	return p.do(statements...)
}

func (p *plainSQLite) close() {
	close(p.queue)
	<-p.stopped
	_ = p.readers.Close()
	_ = p.writer.Close()
	_ = p.db.Close()
}
