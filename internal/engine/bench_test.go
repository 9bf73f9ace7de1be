package engine_test

import (
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/engine"
	"github.com/abide-privacy/abide/internal/keys"
	"github.com/abide-privacy/abide/internal/storage/sqlite"
)

// benchEngine is an engine on SQLite with people to work on.
func benchEngine(b *testing.B) (*engine.Engine, []abide.SubjectID) {
	b.Helper()
	check := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	dir := b.TempDir()
	s, err := sqlite.Open(b.Context(), filepath.Join(dir, "data.db"), sqlite.Options{})
	check(err)
	k, err := sqlite.OpenKeys(b.Context(), filepath.Join(dir, "keys.db"))
	check(err)
	ring, err := keys.New()
	check(err)
	e, err := engine.Open(b.Context(), engine.Options{Store: s, Keys: k, Keyring: ring})
	check(err)
	b.Cleanup(func() { _ = e.Close(b.Context()); _ = s.Close(); _ = k.Close() })
	_, _, err = e.Publish(b.Context(), admin, os.DirFS("testdata/policy"))
	check(err)
	ids := make([]abide.SubjectID, 256)
	for i := range ids {
		got, err := e.CreateSubject(b.Context(), app, engine.NewSubject{Jurisdiction: "HK", BirthDate: abide.Date{Year: 1990, Month: 1, Day: 1}})
		check(err)
		ids[i] = got.ID
		_, err = e.Collect(b.Context(), app, put(got.ID, "shop", items{"person.name": "Ann", "person.email": "ann@example.test"}))
		check(err)
	}
	return e, ids
}

// together runs do with 64 callers at once.
func together(b *testing.B, do func(e *engine.Engine, id abide.SubjectID) error) {
	e, ids := benchEngine(b)
	var n atomic.Uint64
	b.SetParallelism(32) // times GOMAXPROCS
	b.ResetTimer()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if err := do(e, ids[n.Add(1)%uint64(len(ids))]); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkRead(b *testing.B) {
	together(b, func(e *engine.Engine, id abide.SubjectID) error {
		_, err := e.ReadData(b.Context(), app, engine.Read{Subject: id, Purpose: "provide", Categories: []abide.Category{"person.name", "person.email"}})
		return err
	})
}

func BenchmarkWriteConsent(b *testing.B) {
	together(b, func(e *engine.Engine, id abide.SubjectID) error {
		_, err := e.WriteConsent(b.Context(), app, say(id, "give"))
		return err
	})
}

func BenchmarkCollect(b *testing.B) {
	together(b, func(e *engine.Engine, id abide.SubjectID) error {
		_, err := e.Collect(b.Context(), app, put(id, "shop", items{"person.name": "Ann"}))
		return err
	})
}

func BenchmarkDecide(b *testing.B) {
	together(b, func(e *engine.Engine, id abide.SubjectID) error {
		_, err := e.Decide(b.Context(), app, engine.Decide{Subject: id, Purpose: "provide", Act: abide.ActRead, Categories: []abide.Category{"person.email"}})
		return err
	})
}
