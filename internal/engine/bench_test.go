package engine_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/engine"
	"github.com/abide-privacy/abide/internal/keys"
	"github.com/abide-privacy/abide/internal/restore"
	"github.com/abide-privacy/abide/internal/storage/sqlite"
)

// benchEngine is an engine on SQLite with people to work on, with a restore
// ledger or without.
func benchEngine(b *testing.B, ledgered bool) (*engine.Engine, []abide.SubjectID) {
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
	o := engine.Options{Store: s, Keys: k, Keyring: ring}
	if ledgered {
		l, err := restore.Open(filepath.Join(dir, "ledger"), ring.Store(), ring)
		check(err)
		b.Cleanup(func() { _ = l.Close() })
		o.Ledger = l
	}
	e, err := engine.Open(b.Context(), o)
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
	e, ids := benchEngine(b, false)
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

// What the restore ledger costs: a withdrawal is in it before its commit, a yes
// that follows an earlier stand after it, a first yes not at all.
func BenchmarkConsentBesideLedger(b *testing.B) {
	for _, clients := range []int{1, 8, 64} {
		for _, action := range []string{"withdraw", "give"} {
			for _, ledgered := range []bool{false, true} {
				b.Run(fmt.Sprintf("%s/clients=%d/ledger=%v", action, clients, ledgered), func(b *testing.B) {
					e, ids := benchEngine(b, ledgered)
					for _, id := range ids {
						if _, err := e.WriteConsent(b.Context(), app, say(id, "give")); err != nil {
							b.Fatal(err)
						}
					}
					var next atomic.Int64
					var all sync.WaitGroup
					b.ResetTimer()
					for range clients {
						all.Go(func() {
							for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
								if _, err := e.WriteConsent(b.Context(), app, say(ids[n%int64(len(ids))], action)); err != nil {
									b.Error(err)
									return
								}
							}
						})
					}
					all.Wait()
				})
			}
		}
	}
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
