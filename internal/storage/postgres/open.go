// Package postgres keeps Abide's data in PostgreSQL (pgx, SQL by hand).
//
// Every table that grows with people begins its primary key with the subject's
// id, foreign keys run only along it, there are no triggers, and a change is
// one pipeline of statements about one subject: PostgreSQL runs the statements
// up to a Sync message in one transaction (protocol documentation, 55.2.3
// "Pipelining"), so a commit costs one round trip.
//
// A write is acknowledged when the server has reported its commit, which with
// fsync and synchronous_commit on means that it is durable. Ready refuses
// servers without.
package postgres

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"sync/atomic"
	"time"

	"github.com/abide-privacy/abide/internal/storage"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/data/*.sql migrations/keys/*.sql
var migrations embed.FS

// Options tunes a store. The zero value is right for a server.
type Options struct {
	// MaxConns bounds the connections; 0 means what the URL says
	// (pool_max_conns) or 16.
	MaxConns int32
	// Now is the clock that Ready compares with the server's; nil means time.Now.
	Now func() time.Time
	// Rehearse applies every change twice, the first time taken back, which
	// must come out the same. The conformance suite runs so.
	Rehearse bool

	dial pgconn.DialFunc // for tests that watch the connection; nil means pgx's own
}

// database is a pool of connections to one database.
type database struct {
	pool     *pgxpool.Pool
	closed   atomic.Bool
	now      func() time.Time
	sharded  bool // the database is distributed by Citus
	rehearse bool // run every change twice, the first time rolled back
}

// settings of every connection. A change relies on read committed: it locks
// its subject first, and later statements see what was committed before.
var settings = map[string]string{
	"default_transaction_isolation":       "read committed",
	"lock_timeout":                        "10s",
	"idle_in_transaction_session_timeout": "60s",
	"application_name":                    "abide",
}

func openDatabase(ctx context.Context, url, tables string, opts Options) (*database, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("postgres: the URL cannot be read: %w", err)
	}
	for k, v := range settings {
		cfg.ConnConfig.RuntimeParams[k] = v
	}
	if opts.dial != nil {
		cfg.ConnConfig.DialFunc = opts.dial
	}
	switch {
	case opts.MaxConns > 0:
		cfg.MaxConns = opts.MaxConns
	case cfg.MaxConns < 16:
		cfg.MaxConns = 16
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	if err := migrate(ctx, pool, tables); err != nil {
		pool.Close()
		return nil, err
	}
	db := &database{pool: pool, now: opts.Now, rehearse: opts.Rehearse}
	if db.now == nil {
		db.now = time.Now
	}
	return db, nil
}

// migrate applies the numbered files that the database does not have yet,
// strictly in order. Nodes that start together take turns by an advisory lock.
func migrate(ctx context.Context, pool *pgxpool.Pool, tables string) error {
	sub, err := fs.Sub(migrations, "migrations/"+tables)
	if err != nil {
		return err
	}
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return err
	}
	db := stdlib.OpenDBFromPool(pool)
	defer db.Close()
	p, err := goose.NewProvider(goose.DialectPostgres, db, sub, goose.WithAllowOutofOrder(false),
		goose.WithDisableGlobalRegistry(true), goose.WithSessionLocker(locker), goose.WithTableName("abide_"+tables+"_migration"))
	if err != nil {
		return err
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("postgres: migrations: %w", err)
	}
	return nil
}

// maxClockSkew is how far the server's clock may be from this node's:
// deadlines are judged by the node and compared across nodes.
const maxClockSkew = time.Second

func (d *database) ready(ctx context.Context) error {
	if err := d.usable(ctx); err != nil {
		return err
	}
	var standby bool
	var fsync, syncCommit, readOnly string
	var server int64
	before := d.now()
	err := d.pool.QueryRow(ctx, `SELECT pg_is_in_recovery(), current_setting('fsync'), current_setting('synchronous_commit'),
		current_setting('transaction_read_only'), (extract(epoch FROM clock_timestamp()) * 1000000)::bigint`).
		Scan(&standby, &fsync, &syncCommit, &readOnly, &server)
	after := d.now()
	if err != nil {
		return reading(err)
	}
	// The server looked at its clock somewhere between before and after.
	at := time.UnixMicro(server)
	var why string
	switch {
	case standby:
		why = "the server is a standby"
	case fsync != "on":
		why = "fsync is off"
	case syncCommit == "off":
		why = "synchronous_commit is off"
	case readOnly != "off":
		why = "the server is read-only"
	case at.Before(before.Add(-maxClockSkew)) || at.After(after.Add(maxClockSkew)):
		why = "the server's clock is more than a second away"
	default:
		return nil
	}
	return fmt.Errorf("%w: postgres: %s", storage.ErrUnavailable, why)
}

// usable reports why nothing can be sent, if so.
func (d *database) usable(ctx context.Context) error {
	if d.closed.Load() {
		return storage.ErrClosed
	}
	return ctx.Err()
}

func (d *database) close() error {
	d.closed.Store(true)
	d.pool.Close()
	return nil
}

// Store is a storage.Store in a PostgreSQL database.
type Store struct{ d *database }

var _ storage.Store = (*Store)(nil)

// Open connects to a database and brings its tables up to date.
func Open(ctx context.Context, url string, opts Options) (*Store, error) {
	d, err := openDatabase(ctx, url, "data", opts)
	if err != nil {
		return nil, err
	}
	return &Store{d}, nil
}

// Ready reports nil if the server accepts durable writes: it is no standby,
// fsync and synchronous_commit are on, its clock is at most a second away.
func (s *Store) Ready(ctx context.Context) error { return s.d.ready(ctx) }

// Scrub does nothing: what was deleted stays in PostgreSQL's log and free
// space, unreadable once its key and the key epoch are destroyed.
func (s *Store) Scrub(ctx context.Context) error { return ctx.Err() }

// Close closes the connections when they are no longer in use.
func (s *Store) Close() error { return s.d.close() }
