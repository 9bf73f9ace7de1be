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
	"github.com/abide-privacy/abide/internal/testx/pg"
)

func TestMain(m *testing.M) { os.Exit(pg.Main(m)) }

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

type postgresBackend struct{ rehearse bool }

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
	s, err := postgres.Open(t.Context(), template()(t), postgres.Options{Rehearse: b.rehearse})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func (b postgresBackend) OpenKeys(t *testing.T) storage.KeyStore {
	s, err := postgres.OpenKeysWith(t.Context(), template()(t), postgres.Options{Rehearse: b.rehearse})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// TestConformance runs the suite on both engines, plainly and with every change
// applied twice, and then compares by name what ran: no engine may leave a case
// out.
func TestConformance(t *testing.T) {
	ran := map[string][]string{}
	for _, b := range []struct {
		name    string
		backend storagetest.Backend
	}{
		{"sqlite", sqliteBackend{}},
		{"sqlite twice", sqliteBackend{rehearse: true}},
		{"postgres", postgresBackend{}},
		{"postgres twice", postgresBackend{rehearse: true}},
	} {
		t.Run(b.name, func(t *testing.T) { ran[b.name] = storagetest.Run(t, b.backend) })
	}
	want := storagetest.Names()
	for name, got := range ran {
		if !slices.Equal(got, want) {
			t.Errorf("%s did not complete every case: %d of %d", name, len(got), len(want))
		}
	}
	if len(ran) != 4 {
		t.Errorf("%d of 4 runs took place", len(ran))
	}
}
