package storagetest_test

import (
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/storage/postgres"
	"github.com/abide-privacy/abide/internal/storage/sqlite"
	"github.com/abide-privacy/abide/internal/storage/storagetest"
	"github.com/abide-privacy/abide/internal/testx/citus"
	"github.com/abide-privacy/abide/internal/testx/pg"
)

func TestMain(m *testing.M) { os.Exit(max(pg.Main(m), citus.Main())) }

type sqliteBackend struct{ rehearse bool }

func (b sqliteBackend) Open(t *testing.T) storage.Store {
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "data.db"), sqlite.Options{Rehearse: b.rehearse})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func (b sqliteBackend) OpenKeys(t *testing.T) storage.KeyStore {
	s, err := sqlite.OpenKeysWith(t.Context(), filepath.Join(t.TempDir(), "keys.db"), sqlite.Options{Rehearse: b.rehearse})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// postgresBackend makes stores in databases of a server or of a cluster.
type postgresBackend struct {
	database func(t *testing.T) string
	rehearse bool
}

// template is a database with the tables in place, which is faster to copy
// than to make.
var template = sync.OnceValue(func() func(t *testing.T) string {
	var once sync.Once
	var url string
	return func(t *testing.T) string {
		once.Do(func() {
			url = pg.Database(t)
			data, err := postgres.Open(t.Context(), url, postgres.Options{})
			if err != nil {
				t.Fatal(err)
			}
			data.Close()
			keys, err := postgres.OpenKeys(t.Context(), url)
			if err != nil {
				t.Fatal(err)
			}
			keys.Close()
		})
		return pg.Copy(t, url)
	}
})

func (b postgresBackend) Open(t *testing.T) storage.Store {
	s, err := postgres.Open(t.Context(), b.database(t), postgres.Options{Rehearse: b.rehearse})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func (b postgresBackend) OpenKeys(t *testing.T) storage.KeyStore {
	s, err := postgres.OpenKeysWith(t.Context(), b.database(t), postgres.Options{Rehearse: b.rehearse})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// behindPooler makes databases that are reached through a pooler which lends a
// session for one transaction at a time. No statement may need more of it.
func behindPooler(t *testing.T) func(t *testing.T) string {
	server := pg.Shared(t)
	server.Exec(t, `CREATE ROLE `+pg.PooledRole+` LOGIN SUPERUSER`)
	for _, s := range []string{"statement_timeout = '60s'", "lock_timeout = '10s'", "idle_in_transaction_session_timeout = '60s'"} {
		server.Exec(t, `ALTER ROLE `+pg.PooledRole+` SET `+s)
	}
	b := server.Pooler(t, "transaction")
	return func(t *testing.T) string { return b.URL(t, template()(t), pg.PooledRole) }
}

// TestConformance runs the suite on every engine, plainly and with every change
// applied twice, on PostgreSQL also behind a pooler, and then compares by name what ran: no engine may leave a case
// out.
func TestConformance(t *testing.T) {
	ran := map[string][]string{}
	backends := map[string]storagetest.Backend{
		"sqlite":         sqliteBackend{},
		"sqlite twice":   sqliteBackend{rehearse: true},
		"postgres":       postgresBackend{template(), false},
		"postgres twice": postgresBackend{template(), true},
		"pgbouncer":      postgresBackend{behindPooler(t), false},
	}
	if citus.Here() {
		spread := func(t *testing.T) string { return citus.Database(t) }
		backends["citus"] = postgresBackend{spread, false}
		backends["citus twice"] = postgresBackend{spread, true}
	}
	for name, b := range backends {
		t.Run(name, func(t *testing.T) { ran[name] = storagetest.Run(t, b) })
	}
	want := storagetest.Names()
	for name, got := range ran {
		if !slices.Equal(got, want) {
			t.Errorf("%s did not complete every case: %d of %d", name, len(got), len(want))
		}
	}
	if len(ran) != len(backends) {
		t.Errorf("%d of %d runs took place", len(ran), len(backends))
	}
}
