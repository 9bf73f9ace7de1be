package engine_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/engine"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/storage/sqlite"
	"github.com/abide-privacy/abide/internal/testx/canary"
)

// buffer is a log that several goroutines write.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Clone(b.b.Bytes())
}

// G7: values planted through every input are in no file, log, metric or error.
// G4: after an erasure the person's keys and ciphertexts are in no file either.
func TestCanaries(t *testing.T) {
	dir := t.TempDir()
	s, err := sqlite.Open(t.Context(), filepath.Join(dir, "data.db"), sqlite.Options{})
	must(t, err)
	k, err := sqlite.OpenKeys(t.Context(), filepath.Join(dir, "keys.db"))
	must(t, err)
	var log buffer
	metrics := prometheus.NewRegistry()
	w := &world{t: t, ring: newRing(t), clock: &clock{t: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}, faults: &faults{}, store: s, keys: k}
	w.e, err = engine.Open(context.WithoutCancel(t.Context()), engine.Options{Store: &faultyStore{Store: s, f: w.faults}, Keys: &faultyKeys{KeyStore: k, f: w.faults},
		Keyring: w.ring, Clock: w.clock.now, Metrics: metrics, Log: slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	must(t, err)
	t.Cleanup(w.shut)
	w.publish(edit(t))

	var set canary.Set
	plant := func(name, value string) string { set.Add(name, value); return value }
	id := w.person(engine.NewSubject{Reference: plant("reference", "ref-7f3a91c2d"), BirthDate: abide.Date{Year: 1971, Month: 11, Day: 23}})
	set.Add("birth date", "1971-11-23")
	req := put(id, "shop", items{"person.name": plant("name", "Kanaria Zwitscher"), "person.email": plant("mail", "kanaria.zwitscher@vogelhaus.example"),
		"person.phone": plant("phone", "+85261234577"), "person.orders": map[string]string{"note": plant("order", "ein Kanarienkäfig 9917")}})
	req.Ref = plant("ref", "order-88213377")
	must2(w.e.Collect(t.Context(), once(app, plant("idempotency key", "idem-5521903")), req))(t)
	event := plant("event", "event-99127731")
	must(t, w.e.RecordEvent(t.Context(), app, id, "order.closed", event, time.Time{}))
	yes := say(id, "give")
	yes.Evidence = abide.Evidence{Wording: plant("wording", "May we sing to you, Kanaria 4471?"), Source: plant("evidence source", "perch-41128"), Note: plant("note", "asked at the perch 4409")}
	must2(w.e.WriteConsent(t.Context(), app, yes))(t)
	_, err = w.e.ReadData(t.Context(), app, engine.Read{Subject: id, Purpose: "provide", Categories: []abide.Category{"person.name", "person.email"}, Reason: plant("reason", "because Kanaria 5510 called")})
	must(t, err)
	var errs []error
	fail := func(err error) {
		t.Helper()
		if err == nil {
			t.Fatal("a call that should fail did not")
		}
		errs = append(errs, err)
	}
	bad := plant("bad value", "keine_adresse_vogelbauer")
	for _, c := range []abide.Category{"person.email", "person.phone", "person.invoice", "person.visit", "person.taste", "nobody.device"} {
		_, err = w.e.Collect(t.Context(), app, put(id, "shop", items{c: bad}))
		fail(err)
	}
	_, err = w.e.Collect(t.Context(), app, put(id, abide.Service(bad), items{"person.name": bad}))
	fail(err)
	_, err = w.e.Lookup(t.Context(), app, engine.Lookup{Category: "person.email", Value: []byte(`"` + bad + `"`), Purpose: "provide"})
	fail(err)
	_, _, err = w.e.Authenticate(t.Context(), bad)
	fail(err)
	fail(w.e.Count(t.Context(), app, "nobody.device", bad+"@example.test", 1))
	_, err = w.read(app, id, "newsletter", abide.Category(bad))
	fail(err)
	w.faults.set(map[string]error{"commit": storage.ErrUnavailable, "confirm": storage.ErrUnavailable}, nil)
	_, err = w.e.Collect(t.Context(), app, put(id, "shop", items{"person.email": "kanaria.zwitscher@vogelhaus.example"}))
	fail(err)
	w.faults.clear()
	_, _, err = w.e.SubjectLog(t.Context(), self(id), id, engine.Page{})
	must(t, err)

	search := func(when string) {
		t.Helper()
		found, err := set.SearchDir(dir)
		must(t, err)
		for _, err := range errs {
			text, _ := json.Marshal(err)
			found = append(found, set.Search("error", []byte(err.Error()+string(text)))...)
		}
		found = append(found, set.Search("log", log.bytes())...)
		families, err := metrics.Gather()
		must(t, err)
		found = append(found, set.Search("metrics", []byte(fmt.Sprint(families)))...)
		for _, f := range found {
			t.Errorf("%s: %s", when, f)
		}
	}
	search("before erasure")

	loaded, err := s.Load(t.Context(), id, storage.Want{AllItems: true})
	must(t, err)
	wrapped, err := k.Get(t.Context(), id)
	must(t, err)
	for _, it := range loaded.Items {
		set.AddBytes("ciphertext of "+string(it.Category), it.Sealed)
		if it.Index != nil {
			set.AddBytes("index of "+string(it.Category), it.Index)
		}
	}
	set.AddBytes("state", loaded.Subject.Sealed)
	for _, key := range wrapped {
		set.AddBytes(fmt.Sprintf("key of compartment %d", key.Compartment), key.Wrapped)
	}
	if found, err := set.SearchDir(dir); err != nil || len(found) == 0 {
		t.Fatalf("the detector finds no ciphertext where there is some: %v", err)
	}
	must2(w.e.Erase(t.Context(), admin, id))(t)
	w.purged(id)
	search("after erasure")
}
