// Package citus gives tests databases on a Citus cluster. Unlike PostgreSQL,
// no distribution packages it, so a cluster is not started here but named:
//
//	ABIDE_CITUS=postgres://postgres@coordinator:5432/postgres
//
// The URL is of a superuser in a database that has the extension and its nodes
// registered. Its host, user and password must open every node. Where the
// variable is not set, Citus is not among the engines and nothing is skipped.
package citus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/abide-privacy/abide/internal/storage/postgres"
	"github.com/abide-privacy/abide/internal/testx/pg"
	"github.com/jackc/pgx/v5"
)

// Variable names the cluster.
const Variable = "ABIDE_CITUS"

// Here reports whether there is a cluster to run on.
func Here() bool { return os.Getenv(Variable) != "" }

// pool keeps databases for the tests of this process: to make one on every
// node and to spread its tables takes seconds, to empty it a tenth of one.
var pool struct {
	mu         sync.Mutex
	free, made []string // names
	nodes      []node
}

// node is a server of the cluster. The coordinator is the first.
type node struct {
	host string
	port uint16
}

func (n node) args() []any { return []any{n.host, int(n.port)} }

// Database lends a database with the tables of both stores, empty and spread
// over the cluster, until the test ends.
func Database(t testing.TB) string {
	t.Helper()
	name := taken()
	if name == "" {
		name = create(t)
		migrate(t, URL(name))
	} else {
		empty(t, URL(name))
	}
	lend(t, name)
	return URL(name)
}

// Copy makes a database with the rows of the one at url.
func Copy(t testing.TB, url string) string {
	t.Helper()
	to := Database(t)
	at(t, url, func(from *pgx.Conn) error {
		tables, err := ours(from)
		if err != nil {
			return err
		}
		at(t, to, func(c *pgx.Conn) error {
			if _, err := c.Exec(context.Background(), `DELETE FROM policy_epoch`); err != nil {
				return err
			}
			for _, table := range tables {
				var rows bytes.Buffer
				if _, err := from.PgConn().CopyTo(context.Background(), &rows, `COPY `+table+` TO STDOUT`); err != nil {
					return err
				}
				if _, err := c.PgConn().CopyFrom(context.Background(), &rows, `COPY `+table+` FROM STDIN`); err != nil {
					return err
				}
			}
			return nil
		})
		return nil
	})
	return to
}

// Restore makes a database from a dump of the coordinator, as an operator
// does: by pg_restore into a new database of the cluster, and `abide migrate
// --citus`.
func Restore(t testing.TB, dump string) string {
	t.Helper()
	name := create(t)
	pg.RestoreInto(t, dump, URL(name))
	migrate(t, URL(name))
	lend(t, name)
	return URL(name)
}

func taken() (name string) {
	pool.mu.Lock()
	defer pool.mu.Unlock()
	if n := len(pool.free); n > 0 {
		name, pool.free = pool.free[n-1], pool.free[:n-1]
	}
	return name
}

func lend(t testing.TB, name string) {
	t.Cleanup(func() {
		pool.mu.Lock()
		defer pool.mu.Unlock()
		pool.free = append(pool.free, name)
	})
}

// URL names a database at the coordinator.
func URL(database string) string { return address(node{}, database) }

// Workers are the URLs of a database at the workers.
func Workers(t testing.TB, url string) []string {
	t.Helper()
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatalf("citus: %v", err)
	}
	var out []string
	for _, n := range nodes(t)[1:] {
		out = append(out, address(n, cfg.Database))
	}
	return out
}

// address is the variable's URL with another database, and another node unless
// that is zero.
func address(n node, database string) string {
	cfg, err := pgx.ParseConfig(os.Getenv(Variable))
	if err != nil {
		panic("citus: " + Variable + ": " + err.Error())
	}
	host, port := cfg.Host, cfg.Port
	if n.host != "" {
		host, port = n.host, n.port
	}
	user := cfg.User
	if cfg.Password != "" {
		user += ":" + cfg.Password
	}
	mode := "disable"
	if cfg.TLSConfig != nil {
		mode = "require"
	}
	return fmt.Sprintf("postgres://%s@%s/%s?sslmode=%s", user, net.JoinHostPort(host, strconv.Itoa(int(port))), database, mode)
}

// nodes asks the cluster, once, who belongs to it.
func nodes(t testing.TB) []node {
	t.Helper()
	pool.mu.Lock()
	defer pool.mu.Unlock()
	if pool.nodes != nil {
		return pool.nodes
	}
	at(t, os.Getenv(Variable), func(c *pgx.Conn) error {
		rows, err := c.Query(context.Background(), `SELECT nodename, nodeport FROM pg_dist_node
			WHERE isactive AND noderole = 'primary' ORDER BY groupid`)
		if err != nil {
			return err
		}
		pool.nodes, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (n node, err error) {
			var port int32
			err = row.Scan(&n.host, &port)
			n.port = uint16(port) //nolint:gosec // a port
			return n, err
		})
		if err == nil && len(pool.nodes) < 3 {
			err = fmt.Errorf("the cluster has %d nodes; want the coordinator, registered as a node, and two workers at least", len(pool.nodes))
		}
		return err
	})
	return pool.nodes
}

// Through makes a database in which the coordinator reaches the workers at
// other addresses, host:port, as via returns for their own: of proxies that
// stand in between. Between them and the coordinator nothing may be encrypted:
// citus.node_conninfo = 'sslmode=disable'.
func Through(t testing.TB, via func(worker string) string) string {
	t.Helper()
	name := createWith(t, func(n node) node {
		host, port, err := net.SplitHostPort(via(net.JoinHostPort(n.host, strconv.Itoa(int(n.port)))))
		number, err2 := strconv.ParseUint(port, 10, 16)
		if err := errors.Join(err, err2); err != nil {
			t.Fatalf("citus: %v", err)
		}
		return node{host, uint16(number)}
	})
	migrate(t, URL(name))
	return URL(name)
}

// create makes a database with the extension on every node, and the nodes
// known to each other in it.
func create(t testing.TB) string {
	return createWith(t, func(n node) node { return n })
}

func createWith(t testing.TB, via func(node) node) string {
	t.Helper()
	all := nodes(t)
	pool.mu.Lock()
	name := fmt.Sprintf("abide_test_%d_%d", os.Getpid(), len(pool.made)+1)
	pool.made = append(pool.made, name)
	pool.mu.Unlock()
	admin, err := pgx.ParseConfig(os.Getenv(Variable))
	if err != nil {
		t.Fatalf("citus: %v", err)
	}
	for _, n := range all {
		run(t, address(n, admin.Database), `SET citus.enable_create_database_propagation = off`, `CREATE DATABASE `+name)
		run(t, address(n, name), `CREATE EXTENSION citus`)
	}
	at(t, URL(name), func(c *pgx.Conn) error {
		// Few shards, so that tests are quick, and more than there are workers.
		if _, err := c.Exec(context.Background(), `ALTER DATABASE `+name+` SET citus.shard_count = 8`); err != nil {
			return err
		}
		if _, err := c.Exec(context.Background(), `SELECT citus_set_coordinator_host($1, $2)`, all[0].args()...); err != nil {
			return err
		}
		for _, n := range all[1:] {
			if _, err := c.Exec(context.Background(), `SELECT citus_add_node($1, $2)`, via(n).args()...); err != nil {
				return err
			}
		}
		return nil
	})
	return name
}

// migrate is `abide migrate --citus`.
func migrate(t testing.TB, url string) {
	t.Helper()
	for _, of := range []postgres.Of{postgres.Data, postgres.Keys} {
		if _, err := postgres.Migrate(context.Background(), url, of, postgres.Migration{Citus: true}); err != nil {
			t.Fatalf("citus: %v", err)
		}
	}
}

// Gathered brings all rows of a database to the coordinator, calls fn, and
// spreads them again.
func Gathered(t testing.TB, url string, fn func()) {
	t.Helper()
	run(t, url, `SELECT undistribute_table('subject', cascade_via_foreign_keys => true)`,
		`SELECT undistribute_table(logicalrelid) FROM pg_dist_partition`)
	fn()
	migrate(t, url)
}

// empty removes the rows of every table of ours, and leaves it spread.
func empty(t testing.TB, url string) {
	t.Helper()
	at(t, url, func(c *pgx.Conn) error {
		tables, err := ours(c)
		if err == nil {
			_, err = c.Exec(context.Background(), `TRUNCATE `+strings.Join(tables, ", "))
		}
		if err == nil { // which the migrations put there
			_, err = c.Exec(context.Background(), `INSERT INTO policy_epoch (id, n, version, since) VALUES (1, 0, '', 0)`)
		}
		return err
	})
}

// ours lists the tables with rows of ours, those first that others refer to.
func ours(c *pgx.Conn) ([]string, error) {
	rows, err := c.Query(context.Background(), `SELECT oid::regclass::text FROM pg_class
		WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname NOT LIKE 'abide\_%\_migration'
		ORDER BY (SELECT count(*) FROM pg_constraint WHERE conrelid = pg_class.oid AND contype = 'f'), 1`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// Main removes what the tests of this process made, and returns the exit code
// of that.
//
//	func TestMain(m *testing.M) { os.Exit(max(pg.Main(m), citus.Main())) }
func Main() int {
	if err := drop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func drop() error {
	pool.mu.Lock()
	defer pool.mu.Unlock()
	var failed []string
	for _, n := range pool.nodes {
		c, err := pgx.Connect(context.Background(), address(n, "postgres"))
		if err != nil {
			return err
		}
		for _, name := range pool.made {
			if _, err := c.Exec(context.Background(), `DROP DATABASE IF EXISTS `+name+` WITH (FORCE)`); err != nil {
				failed = append(failed, fmt.Sprintf("%s at %s:%d: %v", name, n.host, n.port, err))
			}
		}
		_ = c.Close(context.Background())
	}
	pool.made, pool.free = nil, nil
	if failed != nil {
		return fmt.Errorf("citus: not dropped: %s", strings.Join(failed, "; "))
	}
	return nil
}

func run(t testing.TB, url string, queries ...string) {
	t.Helper()
	at(t, url, func(c *pgx.Conn) error {
		for _, q := range queries {
			if _, err := c.Exec(context.Background(), q); err != nil {
				return fmt.Errorf("%s: %w", q, err)
			}
		}
		return nil
	})
}

func at(t testing.TB, url string, fn func(c *pgx.Conn) error) {
	t.Helper()
	c, err := pgx.Connect(context.Background(), url)
	if err != nil {
		t.Fatalf("citus: %v", err)
	}
	defer func() { _ = c.Close(context.Background()) }()
	if err := fn(c); err != nil {
		t.Fatalf("citus: %v", err)
	}
}
