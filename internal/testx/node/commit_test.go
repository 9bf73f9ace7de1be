package node_test

import (
	"context"
	"encoding/json"
	"os"
	"slices"
	"testing"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/engine"
	"github.com/abide-privacy/abide/internal/storage/faultstore"
	"github.com/abide-privacy/abide/internal/testx/node"
	"github.com/abide-privacy/abide/internal/testx/whole"
)

// TestEveryUseCaseIsBroken compares the tables of this package with the API's
// description: a new operation must be entered in one of them, and is then
// killed and failed at each of its steps.
func TestEveryUseCaseIsBroken(t *testing.T) {
	raw, err := os.ReadFile("../../../docs/openapi.json")
	must(t, err)
	var doc struct {
		Paths map[string]map[string]struct{ OperationID string }
	}
	must(t, json.Unmarshal(raw, &doc))
	var known []string
	for _, c := range node.UseCases() {
		known = append(known, c.Operation)
	}
	for name := range node.Unkeyed {
		known = append(known, name)
	}
	known = append(known, node.Looks...)
	slices.Sort(known)
	known = slices.Compact(known)
	var described []string
	for _, methods := range doc.Paths {
		for method, op := range methods {
			if method != "get" {
				described = append(described, op.OperationID)
			}
		}
	}
	slices.Sort(described)
	for _, op := range described {
		if !slices.Contains(known, op) {
			t.Errorf("operation %s is in no table of usecases.go: enter it in UseCases, or say in Unkeyed or Looks why not", op)
		}
	}
	for _, op := range known {
		if !slices.Contains(described, op) {
			t.Errorf("operation %s is in usecases.go and not in the API", op)
		}
	}
}

// broken is a deployment whose stores fail on demand.
type broken struct {
	whole.Store
	f *faultstore.Faults
	e *engine.Engine
}

func breakable(t *testing.T, d node.Deployment) *broken {
	t.Helper()
	s, err := d.Open(t.Context())
	must(t, err)
	b := &broken{Store: s, f: faultstore.New()}
	b.e, err = node.Start(t.Context(), whole.Store{Data: b.f.Store(s.Data), Keys: b.f.Keys(s.Keys), Ring: s.Ring}, time.Now)
	must(t, err)
	return b
}

func (b *broken) close(t *testing.T) {
	t.Helper()
	b.f.Heal()
	must(t, b.e.Close(context.Background()))
	must(t, node.Close(b.Store))
}

// TestCommitsFail makes each write of each use case fail, before it is
// persisted and after, and sends the call again with its key: the store is then
// as if nothing had failed.
func TestCommitsFail(t *testing.T) {
	for _, eng := range engines {
		t.Run(eng.name, func(t *testing.T) {
			failed := 0
			for _, c := range node.UseCases() {
				if !inBrief(eng.name, c) {
					continue
				}
				want := outcome(t, node.Job{Deployment: eng.fresh(t), Do: "fail", Case: c.Name}).Summary
				for step, more := 1, true; more; step++ {
					for _, after := range []bool{false, true} {
						if eng.name == "postgres" && !long() && after != (step%2 == 0) {
							continue // in make test, on one side only, in turns
						}
						o := outcome(t, node.Job{Deployment: eng.fresh(t), Do: "fail", Case: c.Name, Step: step, After: after})
						if !asIfNothingHappened(t, o, want) {
							t.Fatalf("%s, write %d failed, persisted %t; effects %q", c.Name, step, after, o.Effects)
						}
						if more = o.Hit; more {
							failed++
						}
					}
				}
			}
			t.Logf("%d failures of a write, each call repeated with its key: none acted twice, 0 half states", failed)
		})
	}
}

// TestNoLookWithoutItsRecord fails the spool on every look that releases
// something, before the record is persisted and after: nothing comes out.
func TestNoLookWithoutItsRecord(t *testing.T) {
	app := engine.Call{Actor: abide.Actor{Kind: abide.ActorService, Name: "app",
		Purposes: []abide.Purpose{"provide", "newsletter"}}, Token: "app"}
	for _, eng := range engines {
		t.Run(eng.name, func(t *testing.T) {
			ctx, b := t.Context(), breakable(t, eng.fresh(t))
			defer b.close(t)
			c, err := node.Find("give")
			must(t, err)
			must(t, c.Prepare(ctx, b.e))
			email := []byte(`"ann@example.test"`)
			ids, err := b.e.Lookup(ctx, app, engine.Lookup{Category: "person.email", Value: email, Purpose: "provide"})
			must(t, err)
			id := ids[0]
			lead := engine.Call{Actor: abide.Actor{Kind: abide.ActorStaff, Name: "lead", Admin: true}, Token: "lead"}
			for name, look := range map[string]func() (bool, error){
				"read": func() (bool, error) {
					r, err := b.e.ReadData(ctx, app, engine.Read{Subject: id, Purpose: "provide", Categories: []abide.Category{"person.email"}})
					return r != nil, err
				},
				"contact": func() (bool, error) {
					r, err := b.e.ReadData(ctx, app, engine.Read{Subject: id, Purpose: "newsletter", Act: abide.ActContact, Categories: []abide.Category{"person.email"}})
					return r != nil, err
				},
				"lookup": func() (bool, error) {
					got, err := b.e.Lookup(ctx, app, engine.Lookup{Category: "person.email", Value: email, Purpose: "provide"})
					return len(got) > 0, err
				},
				"consents": func() (bool, error) {
					v, err := b.e.Consents(ctx, app, id)
					return len(v.Events) > 0, err
				},
				"log": func() (bool, error) {
					entries, _, err := b.e.SubjectLog(ctx, lead, id, engine.Page{})
					return len(entries) > 0, err
				},
			} {
				for _, when := range []faultstore.When{faultstore.NotPersisted, faultstore.Persisted} {
					b.f.FailAll("Spool", when, nil)
					if out, err := look(); out || err == nil {
						t.Errorf("%s, its record %s: released %t, error %v", name, when, out, err)
					}
					b.f.Heal()
					out, err := look()
					for range 20 {
						if err == nil {
							break
						}
						out, err = look() // the spool may still be telling waiters of the last failure
					}
					if !out || err != nil {
						t.Errorf("%s, the store healed: released %t, error %v", name, out, err)
					}
				}
			}
			halves(t, b.Store)
		})
	}
}
