package postgres

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/testx/pg"
)

// behindPoolers runs a test behind PgBouncer in each of its modes, and behind
// one that was told to ignore our settings: that one greets us as if nothing
// were amiss.
func behindPoolers(t *testing.T, test func(t *testing.T, b *pg.Bouncer)) {
	server := pg.Shared(t)
	if server.Value(t, `SELECT count(*) FROM pg_roles WHERE rolname = '`+pg.PooledRole+`'`) == "0" {
		server.Exec(t, `CREATE ROLE `+pg.PooledRole+` LOGIN`)
	}
	for name, of := range map[string][]string{
		"transaction": {"transaction"},
		"session":     {"session", "default_pool_size = 40"}, // one for each connection that is kept
		"ignoring":    {"transaction", "ignore_startup_parameters = " + strings.Join(timeouts, ", ") + ", " + isolation},
	} {
		t.Run(name, func(t *testing.T) {
			t.Cleanup(func() { server.Exec(t, `ALTER ROLE `+pg.PooledRole+` RESET ALL`) })
			test(t, server.Pooler(t, of[0], of[1:]...))
		})
	}
}

// refusedWith checks the code of an error and what its hint says.
func refusedWith(t *testing.T, err error, detail, hint string) (whole string) {
	t.Helper()
	var known *abide.Error
	if !errors.As(err, &known) || known.Detail != detail || !strings.Contains(known.Hint, hint) {
		t.Fatalf("error is %#v; want %s and a hint that says %q", err, detail, hint)
	}
	return known.Hint
}

// granted is a database with our tables, on which the role behind the pooler
// has the rights of a server and no more.
func granted(t *testing.T) string {
	t.Helper()
	url := pg.Database(t)
	if _, err := Migrate(t.Context(), url, Data, Migration{Grant: pg.PooledRole}); err != nil {
		t.Fatal(err)
	}
	return url
}

var asAdministrator = regexp.MustCompile(`ALTER ROLE [^;]*;`)

// settle does what the hint of a refusal says.
func settle(t *testing.T, b *pg.Bouncer, url string) {
	t.Helper()
	_, err := Open(t.Context(), url, Options{})
	statements := asAdministrator.FindAllString(refusedWith(t, err, "pooler_settings", "RECONNECT"), -1)
	if len(statements) != len(timeouts) {
		t.Fatalf("%q; want a statement for each of the timeouts", statements)
	}
	for _, q := range statements {
		pg.Shared(t).Exec(t, q)
	}
	b.Reconnect(t)
}

// TestPoolerSettings: what a session has to begin with is asked for where it
// can be had, statement for statement, and looked for again by Ready.
func TestPoolerSettings(t *testing.T) {
	behindPoolers(t, func(t *testing.T, b *pg.Bouncer) {
		url := b.URL(t, granted(t), pg.PooledRole)
		settle(t, b, url)
		s := open(t, url, Options{})
		if err := s.Ready(t.Context()); err != nil || !s.d.pooled {
			t.Errorf("ready: %v; behind a pooler: %v", err, s.d.pooled)
		}
		pg.Shared(t).Exec(t, `ALTER ROLE `+pg.PooledRole+` SET `+isolation+` = 'repeatable read'`)
		s.d.pool.Reset() // a session is lent for as long as a connection lasts, in one of the modes
		b.Reconnect(t)
		err := s.Ready(t.Context())
		refusedWith(t, err, "pooler_settings", isolation+" = 'read committed'")
		if !errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("%v; want that nothing was done", err)
		}
	})
	if s := open(t, pg.Database(t), Options{}); s.d.pooled {
		t.Error("a server itself is taken for a pooler")
	}
}

// TestPoolerParameters: what a pooler would not hand on is not asked of it.
func TestPoolerParameters(t *testing.T) {
	behindPoolers(t, func(t *testing.T, b *pg.Bouncer) {
		url := b.URL(t, granted(t), pg.PooledRole)
		_, err := Open(t.Context(), url+"&lock_timeout=3s", Options{})
		refusedWith(t, err, "pooler_parameters", "lock_timeout")
		_, err = Open(t.Context(), url+"&work_mem=1MB", Options{})
		refusedWith(t, err, "pooler_parameters", "ALTER ROLE")
	})
}

// TestMigrationThroughPooler: nothing is changed, by whomever.
func TestMigrationThroughPooler(t *testing.T) {
	behindPoolers(t, func(t *testing.T, b *pg.Bouncer) {
		direct := pg.Database(t)
		url := b.URL(t, direct, "postgres")
		_, err := Migrate(t.Context(), url, Data, Migration{Grant: pg.PooledRole})
		refusedWith(t, err, "migration_through_pooler", "abide migrate")
		settle(t, b, b.URL(t, granted(t), pg.PooledRole))
		_, err = Open(t.Context(), b.URL(t, direct, pg.PooledRole), Options{})
		refusedWith(t, err, "migration_through_pooler", "abide migrate")
		if cat := readCatalogue(t, direct); len(cat.tables) != 0 {
			t.Errorf("%d tables were made all the same", len(cat.tables))
		}
	})
}

// TestCallersShareAPooler: more callers than the pooler has sessions write and
// read, pipelines of one transaction and of many, each to its own answer.
func TestCallersShareAPooler(t *testing.T) {
	behindPoolers(t, func(t *testing.T, b *pg.Bouncer) {
		url := b.URL(t, granted(t), pg.PooledRole)
		settle(t, b, url)
		stores := []*Store{open(t, url, Options{}), open(t, url, Options{})}
		stores[1].d.sharded = true // pipelines of many transactions
		g, ctx := errgroup.WithContext(t.Context())
		for n := range byte(16) {
			s := stores[n%2]
			g.Go(func() error {
				for i := range byte(3) {
					c := change(16*i + n + 1)
					value := storage.IndexValue{Key: "k", Value: []byte{n, i}}
					c.Claims = []storage.Lookup{{Category: "a", Index: value, Subject: c.Row.ID, Unique: true}}
					if err := s.Commit(ctx, c); err != nil {
						return err
					}
					var page []storage.Lookup
					for j := range byte(20) {
						page = append(page, storage.Lookup{Category: "b", Index: storage.IndexValue{Key: "k", Value: []byte{n, i, j}}, Subject: c.Row.ID})
					}
					if err := errors.Join(s.Claim(ctx, page, time.Unix(1, 0)), s.Confirm(ctx, page)); err != nil {
						return err
					}
					if l, err := s.Load(ctx, c.Row.ID, storage.Want{}); err != nil || l.Subject.ID != c.Row.ID {
						return fmt.Errorf("loaded %v, want %v: %w", l, c.Row.ID, err)
					}
					if found, _, err := s.Find(ctx, "a", []storage.IndexValue{value}, 5); err != nil || len(found) != 1 || found[0].Subject != c.Row.ID {
						return fmt.Errorf("found %v, want %v: %w", found, c.Row.ID, err)
					}
				}
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	})
}
