package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/blob"
	"github.com/abide-privacy/abide/internal/engine"
	"github.com/abide-privacy/abide/internal/keys"
	"github.com/abide-privacy/abide/internal/restore"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/storage/postgres"
	"github.com/abide-privacy/abide/internal/storage/sqlite"
	"github.com/abide-privacy/abide/internal/testx/citus"
	"github.com/abide-privacy/abide/internal/testx/pg"
	"github.com/abide-privacy/abide/policy"
)

// stores opens the two stores of one deployment; again, after a kill, the same.
type stores func(t *testing.T) (storage.Store, storage.KeyStore)

// backends are the engines that every scenario runs on. Each call makes a
// fresh deployment.
var backends = map[string]func(t *testing.T) stores{
	"sqlite": func(t *testing.T) stores {
		dir := t.TempDir()
		return func(t *testing.T) (storage.Store, storage.KeyStore) {
			s, err := sqlite.Open(t.Context(), filepath.Join(dir, "data.db"), sqlite.Options{})
			must(t, err)
			k, err := sqlite.OpenKeys(t.Context(), filepath.Join(dir, "keys.db"))
			must(t, err)
			return s, k
		}
	},
	"postgres": func(t *testing.T) stores {
		data, keys := pg.Database(t), pg.Database(t)
		return func(t *testing.T) (storage.Store, storage.KeyStore) {
			s, err := postgres.Open(t.Context(), data, postgres.Options{})
			must(t, err)
			k, err := postgres.OpenKeys(t.Context(), keys)
			must(t, err)
			return s, k
		}
	},
}

func TestMain(m *testing.M) {
	if citus.Here() {
		backends["citus"] = func(t *testing.T) stores { return postgresAt(citus.Database(t), citus.Database(t)) }
		deployments["citus"] = citusDeployment
		editable["citus"] = editableCitus
	}
	code := max(pg.Main(m), citus.Main())
	if err := sameScenarios(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// onEvery runs a scenario on every engine.
func onEvery(t *testing.T, scenario func(t *testing.T, w *world)) {
	onEveryBackend(t, func(t *testing.T, fresh func(*testing.T) stores) { scenario(t, newWorld(t, fresh(t))) })
}

// onEveryBackend is onEvery for scenarios that make their deployments
// themselves.
func onEveryBackend(t *testing.T, scenario func(t *testing.T, fresh func(*testing.T) stores)) {
	for name, fresh := range backends {
		of := t.Name()
		t.Run(name, func(t *testing.T) {
			// Noted when all of it has run, subtests too: a scenario that was
			// skipped, or that ended early, is not in the list.
			t.Cleanup(func() {
				if !t.Skipped() {
					ran.add(name, of)
				}
			})
			scenario(t, fresh)
		})
	}
}

// ran lists the scenarios that ran to their end, by engine.
var ran = scenarios{of: map[string][]string{}}

type scenarios struct {
	mu sync.Mutex
	of map[string][]string
}

func (s *scenarios) add(backend, scenario string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.of[backend] = append(s.of[backend], scenario)
}

// sameScenarios compares, by name, what ran on each engine: the lists must be
// the same. Under -run with the name of one engine they are not.
func sameScenarios() error {
	if strings.Contains(flag.Lookup("test.run").Value.String(), "/") {
		return nil // somebody looks at one engine
	}
	ran.mu.Lock()
	defer ran.mu.Unlock()
	for name := range backends {
		slices.Sort(ran.of[name])
	}
	for name := range backends {
		if !slices.Equal(ran.of[name], ran.of["sqlite"]) {
			return fmt.Errorf("the engines did not run the same scenarios: %s ran %d, sqlite %d\n%q\n%q",
				name, len(ran.of[name]), len(ran.of["sqlite"]), ran.of[name], ran.of["sqlite"])
		}
	}
	return nil
}

// world is a running deployment with a clock that only tests move.
type world struct {
	laws   *policy.Laws
	t      *testing.T
	open   stores
	ring   *keys.Keyring
	clock  *clock
	faults *faults
	store  storage.Store
	keys   storage.KeyStore
	ledger *restore.Ledger
	place  string             // of the ledger
	seen   *engine.LedgerSeen // of it, outside
	blobs  blob.Store
	e      *engine.Engine
}

type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

const day = 24 * time.Hour

var (
	admin = engine.Call{Actor: abide.Actor{Kind: abide.ActorStaff, Name: "lead", Admin: true}, Token: "lead"}
	app   = engine.Call{Actor: abide.Actor{Kind: abide.ActorService, Name: "app",
		Purposes: []abide.Purpose{"provide", "books", "chat", "newsletter"}}, Token: "app"}
)

// self is the person acting for themselves.
func self(id abide.SubjectID) engine.Call {
	return engine.Call{Actor: abide.Actor{Kind: abide.ActorSubject, Name: id.String()}, Token: "self"}
}

func once(c engine.Call, key string) engine.Call {
	c.IdempotencyKey = key
	return c
}

func newRing(t *testing.T) *keys.Keyring {
	t.Helper()
	ring, err := keys.New()
	must(t, err)
	return ring
}

func newWorld(t *testing.T, open stores) *world {
	t.Helper()
	ring, err := keys.New()
	must(t, err)
	w := &world{t: t, open: open, ring: ring, faults: &faults{}, place: t.TempDir(),
		clock: &clock{t: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}}
	w.start()
	_, _, err = w.e.Publish(t.Context(), admin, os.DirFS("testdata/policy"))
	must(t, err)
	t.Cleanup(w.shut)
	return w
}

func (w *world) start() {
	w.t.Helper()
	must(w.t, w.tryStart())
}

func (w *world) tryStart() error {
	w.store, w.keys = w.open(w.t)
	if w.place == "" {
		w.place = w.t.TempDir()
	}
	var err error
	if w.blobs == nil {
		w.blobs, err = blob.OpenDir(w.t.TempDir())
		must(w.t, err)
	}
	w.ledger, err = restore.Open(w.place, w.ring.Store(), w.ring)
	must(w.t, err)
	e, err := engine.Open(context.WithoutCancel(w.t.Context()), engine.Options{
		Store: &faultyStore{Store: w.store, f: w.faults}, Keys: &faultyKeys{KeyStore: w.keys, f: w.faults},
		Keyring: w.ring, Clock: w.clock.now, Node: "n1", Ledger: &faultyLedger{Ledger: w.ledger, f: w.faults}, LedgerSeen: w.seen,
		Blobs: &faultyBlobs{Store: w.blobs, f: w.faults}, Laws: w.laws})
	w.e = e
	return err
}

// shut closes everything. Errors are the test's business only if it asks.
func (w *world) shut() {
	if w.e != nil {
		_ = w.e.Close(context.Background())
	}
	if w.ledger != nil {
		_ = w.ledger.Close()
	}
	_ = w.store.Close()
	_ = w.keys.Close()
}

// restart is a process that ended and one that begins on the same files.
func (w *world) restart() {
	w.t.Helper()
	w.shut()
	w.start()
}

func (w *world) person(n engine.NewSubject) abide.SubjectID {
	w.t.Helper()
	if n.Jurisdiction == "" {
		n.Jurisdiction = "HK"
	}
	if n.BirthDate.IsZero() {
		n.BirthDate = abide.Date{Year: 1990, Month: 4, Day: 2}
	}
	got, err := w.e.CreateSubject(w.t.Context(), app, n)
	must(w.t, err)
	return got.ID
}

func (w *world) collect(id abide.SubjectID, svc abide.Service, items map[abide.Category]any) engine.Collected {
	w.t.Helper()
	got, err := w.e.Collect(w.t.Context(), app, put(id, svc, items))
	must(w.t, err)
	return got
}

func put(id abide.SubjectID, svc abide.Service, items map[abide.Category]any) engine.Collect {
	req := engine.Collect{Subject: id, Service: svc, Source: "checkout", Items: map[abide.Category]json.RawMessage{}}
	for c, v := range items {
		raw, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		req.Items[c] = raw
	}
	return req
}

func (w *world) read(c engine.Call, id abide.SubjectID, purpose abide.Purpose, cats ...abide.Category) (*engine.ReadResult, error) {
	return w.e.ReadData(w.t.Context(), c, engine.Read{Subject: id, Purpose: purpose, Categories: cats})
}

func (w *world) consent(id abide.SubjectID, action string) engine.Receipt {
	w.t.Helper()
	r, err := w.e.WriteConsent(w.t.Context(), app, say(id, action))
	must(w.t, err)
	return r
}

func say(id abide.SubjectID, action string) engine.ConsentWrite {
	return engine.ConsentWrite{Subject: id, Purpose: "newsletter", Action: action,
		Evidence: abide.Evidence{Wording: "May we send you our newsletter?", Language: "en", Source: "form"}}
}

// newsletter asks whether the newsletter may go to the person.
func (w *world) newsletter(id abide.SubjectID, asOf time.Time) abide.Decision {
	w.t.Helper()
	d, err := w.e.Decide(w.t.Context(), app, engine.Decide{Subject: id, Purpose: "newsletter", Act: abide.ActContact,
		Categories: []abide.Category{"person.email"}, AsOf: asOf})
	must(w.t, err)
	return d
}

// kinds lists the kinds of the person's log entries, oldest first.
func (w *world) kinds(id abide.SubjectID) []string {
	w.t.Helper()
	entries, next, err := w.e.SubjectLog(w.t.Context(), self(id), id, engine.Page{Limit: 1000})
	must(w.t, err)
	if next != "" {
		w.t.Fatal("the log has more pages than this helper reads")
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Kind)
	}
	return out
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		var known *abide.Error
		if errors.As(err, &known) && known.Decision != nil {
			t.Fatalf("%v: %+v", err, known.Decision.Reasons)
		}
		if errors.As(err, &known) && known.Err != nil {
			t.Fatalf("%v: %v", err, known.Err)
		}
		t.Fatal(err)
	}
}

// wantError fails unless err has the code and detail.
func wantError(t *testing.T, err error, code abide.Code, detail string) {
	t.Helper()
	if abide.ErrorCode(err) != code || abide.ErrorDetail(err) != detail {
		t.Fatalf("got %v, want %s (%s)", err, code, detail)
	}
}

// wantReason fails unless err is a refusal for the reason.
func wantReason(t *testing.T, err error, code abide.ReasonCode) {
	t.Helper()
	var known *abide.Error
	if !errors.As(err, &known) || known.Code != abide.CodeDenied || known.Decision == nil {
		t.Fatalf("got %v, want a refusal for %s", err, code)
	}
	if known.Decision.Allowed() {
		t.Fatal("a refusal carries a permitting decision")
	}
	if !hasReason(*known.Decision, code) {
		t.Fatalf("refused for %+v, want %s", known.Decision.Reasons, code)
	}
}

func hasReason(d abide.Decision, code abide.ReasonCode) bool {
	for _, r := range d.Reasons {
		if r.Code == code {
			return true
		}
	}
	return false
}
