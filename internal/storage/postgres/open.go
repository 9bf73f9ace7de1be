// Package postgres keeps Abide's data in PostgreSQL (pgx, SQL by hand).
//
// Every table that grows with people begins its primary key with the subject's
// id, foreign keys run only along it, there are no triggers, and a change is
// one pipeline of statements about one subject, so a commit costs one round
// trip. tables.go says how each table is spread over a distributed PostgreSQL;
// docs/decisions/0011-citus.md says what its statements avoid, and why.
//
// A write is acknowledged when the server has reported its commit, which with
// fsync, full_page_writes and synchronous_commit on means that it is durable.
// Servers without are refused, when a store is opened and by Ready.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

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

	dial   pgconn.DialFunc // for tests that watch the connection; nil means pgx's own
	tracer pgx.QueryTracer // for tests that read the statements
}

const (
	defaultConns   = 16 // some for each of two cores to have work while others wait for the disk
	connectTimeout = 5 * time.Second
)

// settings of every connection, unless the URL says otherwise. A statement is
// one page at most, so one that runs for a minute is stuck.
var settings = map[string]string{
	"statement_timeout":                   "60s",
	"lock_timeout":                        "10s",
	"idle_in_transaction_session_timeout": "60s",
	"application_name":                    "abide",
	// A change relies on it: it locks its subject first, and later statements
	// see what was committed before. No URL says otherwise.
	isolation: "read committed",
}

const isolation = "default_transaction_isolation"

// database is a pool of connections to one database.
type database struct {
	pool     *pgxpool.Pool
	closed   atomic.Bool
	now      func() time.Time
	sharded  bool // the database is distributed by Citus
	pooled   bool // between us and the server is a pooler (pooler.go)
	rehearse bool // run every change twice, the first time rolled back
}

// configure reads a URL.
func configure(url string, opts Options) (*pgxpool.Config, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, &abide.Error{Code: abide.CodeInvalid, Detail: "database_url", Err: err, Message: "the database's URL cannot be read",
			Hint: "its form is postgres://user@host:5432/database?sslmode=verify-full"}
	}
	params := cfg.ConnConfig.RuntimeParams
	for k, v := range settings {
		if params[k] == "" || k == isolation {
			params[k] = v
		}
	}
	if opts.dial != nil {
		cfg.ConnConfig.DialFunc = opts.dial
	}
	cfg.ConnConfig.Tracer = opts.tracer
	if plain, err := pgx.ParseConfig(url); err == nil && plain.ConnectTimeout == 0 {
		cfg.ConnConfig.ConnectTimeout = connectTimeout
	}
	switch {
	case opts.MaxConns > 0:
		cfg.MaxConns = opts.MaxConns
	case !namesPoolSize(url):
		cfg.MaxConns = defaultConns
	}
	if cfg.ConnConfig.ValidateConnect == nil && severalHosts(&cfg.ConnConfig.Config) {
		// Of several servers, the one that takes writes.
		cfg.ConnConfig.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	return cfg, nil
}

func namesPoolSize(url string) bool {
	plain, err := pgx.ParseConfig(url)
	return err == nil && plain.RuntimeParams["pool_max_conns"] != ""
}

func severalHosts(c *pgconn.Config) bool {
	for _, f := range c.Fallbacks {
		if f.Host != c.Host || f.Port != c.Port {
			return true
		}
	}
	return false
}

func openDatabase(ctx context.Context, url, of string, opts Options) (*database, error) {
	cfg, err := configure(url, opts)
	if err != nil {
		return nil, err
	}
	d, err := connect(ctx, cfg, url)
	if err != nil {
		return nil, err
	}
	d.rehearse = opts.Rehearse
	if opts.Now != nil {
		d.now = opts.Now
	}
	if err := d.prepare(ctx, of); err != nil {
		d.pool.Close()
		return nil, err
	}
	return d, nil
}

func connect(ctx context.Context, cfg *pgxpool.Config, url string) (*database, error) {
	pooled, err := reach(ctx, cfg, url)
	if err != nil {
		return nil, unreachable(err)
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	return &database{pool: pool, now: time.Now, pooled: pooled}, nil
}

// prepare refuses a server that is not safe, brings the tables up to date, and
// finds out whether they are distributed.
func (d *database) prepare(ctx context.Context, of string) error {
	if err := d.safe(ctx); err != nil {
		return unreachable(err)
	}
	if err := d.migrate(ctx, of); err != nil {
		return err
	}
	if err := d.allowed(ctx, of); err != nil {
		return err
	}
	placed, err := d.distributed(ctx)
	d.sharded = len(placed) > 0
	return err
}

// unreachable says that there is no connection, and why, as far as that tells
// nothing secret: pgx keeps passwords out of its errors.
func unreachable(err error) error {
	if abide.ErrorDetail(err) != "" {
		return err
	}
	hint := "is the URL right, and the server running?"
	var network *net.OpError
	switch c := code(err); {
	case c == "28P01" || c == "28000":
		hint = "may this user connect from here? see pg_hba.conf, the password (PGPASSWORD, or a passfile) and, if it asks for TLS, sslmode"
	case c == "3D000":
		hint = "make the database first: createdb"
	case errors.Is(err, pgconn.ErrReadOnlyConnection):
		return unsafeDatabase("none of the servers takes writes", "is the primary among the hosts of the URL, and has the failover ended?")
	case errors.As(err, &network):
		hint = "is the server running, and does it listen at the address of the URL?"
	}
	return &abide.Error{Code: abide.CodeUnavailable, Detail: "database_unreachable", Err: err,
		Message: "no connection to PostgreSQL: " + err.Error(), Hint: hint}
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

// Open connects to a database and brings its tables up to date. It refuses a
// server that does not keep what it acknowledges.
func Open(ctx context.Context, url string, opts Options) (*Store, error) {
	d, err := openDatabase(ctx, url, "data", opts)
	if err != nil {
		return nil, err
	}
	return &Store{d}, nil
}

// Ready reports nil if the server accepts durable writes: it is no standby,
// fsync, full_page_writes and synchronous_commit are on, its clock is at most a
// second away.
func (s *Store) Ready(ctx context.Context) error { return s.d.safe(ctx) }

// Scrub does nothing: what was deleted stays in PostgreSQL's log and free
// space, unreadable once its key and the key epoch are destroyed.
func (s *Store) Scrub(ctx context.Context) error { return ctx.Err() }

// Close closes the connections when they are no longer in use.
func (s *Store) Close() error { return s.d.close() }
