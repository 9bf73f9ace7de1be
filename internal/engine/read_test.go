package engine_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/engine"
	"github.com/abide-privacy/abide/internal/storage"
)

func TestRead(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		id := w.person(engine.NewSubject{})
		w.collect(id, "shop", items{"person.name": "Ann", "person.email": "ann@example.test"})
		got, err := w.read(app, id, "provide", "person.name", "person.email", "person.phone")
		must(t, err)
		if len(got.Data) != 2 || string(got.Data["person.name"][0].Value) != `"Ann"` {
			t.Fatalf("read %v", got.Data)
		}
		v := got.Data["person.name"][0]
		if v.Source != "checkout" || !v.Obtained.Equal(w.clock.now()) || !v.Due.Equal(v.Obtained.AddDate(5, 0, 0)) {
			t.Fatalf("value %+v: want source, time of obtaining and the capped deadline", v)
		}
		if !got.Decision.Allowed() || got.Receipt.Batch == 0 {
			t.Fatalf("decision %+v, receipt %+v", got.Decision, got.Receipt)
		}

		for _, c := range []struct {
			name    string
			call    engine.Call
			purpose abide.Purpose
			cats    []abide.Category
			reason  abide.ReasonCode
		}{
			{"purpose does not cover", app, "provide", []abide.Category{"person.invoice"}, abide.DenyNotCovered},
			{"one of two is not covered", app, "provide", []abide.Category{"person.name", "person.invoice"}, abide.DenyNotCovered},
			{"no consent", app, "newsletter", []abide.Category{"person.email"}, abide.DenyNoConsent},
			{"unknown purpose", app, "fun", []abide.Category{"person.email"}, abide.DenyUnknownPurpose},
			{"unknown category", app, "provide", []abide.Category{"person.shoe"}, abide.DenyUnknownCategory},
			{"nothing", app, "provide", nil, abide.DenyNoCategories},
			{"reason missing", app, "provide", []abide.Category{"person.card"}, abide.DenyReasonMissing},
			{"purpose not carried", engine.Call{Actor: abide.Actor{Kind: abide.ActorService, Name: "x"}, Token: "x"}, "provide", []abide.Category{"person.name"}, abide.DenyActorPurpose},
		} {
			_, err := w.read(c.call, id, c.purpose, c.cats...)
			if err == nil {
				t.Errorf("%s: released", c.name)
				continue
			}
			wantReason(t, err, c.reason)
		}
		log := w.kinds(id)
		if n := count(log, "refused"); n != 8 {
			t.Errorf("%d refusals on record, want 8: %v", n, log)
		}
		if n := count(log, "looked"); n != 1 {
			t.Errorf("%d looks on record, want 1: %v", n, log)
		}
	})
}

func count(list []string, s string) int {
	n := 0
	for _, x := range list {
		if x == s {
			n++
		}
	}
	return n
}

// G1: no look without a durable record of it. Failed before or after it was
// persisted, the store's failure keeps the plaintext in.
func TestNoLookWithoutRecord(t *testing.T) {
	for _, c := range []struct {
		name          string
		before, after map[string]error
	}{
		{"failed and not persisted", map[string]error{"spool": storage.ErrUnavailable}, nil},
		{"failed although persisted", nil, map[string]error{"spool": storage.ErrUnavailable}},
		{"disk full", map[string]error{"spool": storage.ErrFull}, nil},
		{"unknown and not persisted", map[string]error{"spool": storage.ErrOutcomeUnknown}, nil},
		{"unknown although persisted", nil, map[string]error{"spool": storage.ErrOutcomeUnknown}},
	} {
		t.Run(c.name, func(t *testing.T) {
			onEvery(t, func(t *testing.T, w *world) {
				id := w.person(engine.NewSubject{})
				w.collect(id, "shop", items{"person.name": "Ann"})
				w.faults.set(c.before, c.after)
				got, err := w.read(app, id, "provide", "person.name")
				if got != nil || err == nil {
					t.Fatalf("released %v without a record: %v", got, err)
				}
				refused, err := w.read(app, id, "newsletter", "person.name")
				if refused != nil || err == nil || abide.ErrorCode(err) == abide.CodeDenied {
					t.Fatalf("refusal answered without a record: %v", err)
				}
				w.faults.clear()
				got, err = w.read(app, id, "provide", "person.name")
				must(t, err)
				if len(got.Data) != 1 {
					t.Fatal("nothing released once the store works again")
				}
				if k := w.kinds(id); !slices.Contains(k, "looked") {
					t.Fatalf("log %v", k)
				}
				w.contiguous()
			})
		})
	}
}

// contiguous fails unless the spool's batches of this run count up from 1, and
// each receipt's batch holds what it says.
func (w *world) contiguous() {
	w.t.Helper()
	must(w.t, w.e.Close(w.t.Context()))
	batches, err := w.store.SpoolBatches(w.t.Context(), 1000)
	must(w.t, err)
	for i := 1; i < len(batches); i++ {
		if batches[i].Node == batches[i-1].Node && batches[i].Batch != batches[i-1].Batch+1 {
			w.t.Fatalf("batch %d follows %d", batches[i].Batch, batches[i-1].Batch)
		}
	}
}

func TestMaskAndReason(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		id := w.person(engine.NewSubject{})
		w.collect(id, "shop", items{"person.card": "4111111111111111"})
		got, err := w.e.ReadData(t.Context(), app, engine.Read{Subject: id, Purpose: "provide", Categories: []abide.Category{"person.card"}, Reason: "refund"})
		must(t, err)
		v := got.Data["person.card"][0]
		if string(v.Value) != `"••••••••••••1111"` || !v.Masked {
			t.Fatalf("shown %s, want the last four characters", v.Value)
		}
		entries, _, err := w.e.SubjectLog(t.Context(), self(id), id, engine.Page{})
		must(t, err)
		var part struct{ Reason string }
		must(t, json.Unmarshal(entries[len(entries)-1].Subject, &part))
		if part.Reason != "refund" {
			t.Fatalf("the person's log says %s, want the reason", entries[len(entries)-1].Subject)
		}
	})
}

// G9: nothing is readable past its deadline, before any sweep.
func TestPastDeadline(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		id := w.person(engine.NewSubject{})
		for n := 1; n <= 2; n++ {
			req := put(id, "shop", items{"person.orders": map[string]int{"n": n}})
			req.Ref = string(rune('0' + n))
			must2(w.e.Collect(t.Context(), app, req))(t)
		}
		must(t, w.e.RecordEvent(t.Context(), app, id, "order.closed", "1", time.Time{}))
		w.clock.add(364 * day)
		if v := w.values(id, "provide", "person.orders"); len(v) != 2 {
			t.Fatalf("a day before the deadline: %v", v)
		}
		w.clock.add(2 * day)
		if v := w.values(id, "provide", "person.orders"); !slices.Equal(v, []string{`{"n":2}`}) {
			t.Fatalf("after the first order's deadline: %v", v)
		}
		w.clock.add(5 * 365 * day)
		_, err := w.read(app, id, "provide", "person.orders")
		wantReason(t, err, abide.DenyRetention)
		old := put(id, "shop", items{"person.orders": map[string]int{"n": 3}})
		old.Obtained = w.clock.now().AddDate(-6, 0, 0)
		_, err = w.e.Collect(t.Context(), app, old)
		wantError(t, err, abide.CodeInvalid, "past_its_deadline")
	})
}

func TestUnknownFact(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		id := w.person(engine.NewSubject{})
		err := w.e.RecordEvent(t.Context(), app, id, "moon.full", "", time.Time{})
		wantError(t, err, abide.CodeInvalid, "unknown_fact")
	})
}

// What was derived dies with its sources, and serves no purpose that one of
// them does not.
func TestDerived(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		id := w.person(engine.NewSubject{})
		orders := put(id, "shop", items{"person.orders": map[string]int{"n": 1}})
		orders.Ref = "1"
		src, err := w.e.Collect(t.Context(), app, orders)
		must(t, err)
		taste := put(id, "shop", items{"person.taste": "hats"})
		taste.From, taste.Ref = src.Items, "profile"
		must2(w.e.Collect(t.Context(), app, taste))(t)
		if v := w.values(id, "provide", "person.taste"); len(v) != 1 {
			t.Fatalf("derived value: %v", v)
		}
		choose := func() error {
			_, err := w.e.ReadData(t.Context(), app, engine.Read{Subject: id, Purpose: "newsletter", Act: abide.ActChoose, Categories: []abide.Category{"person.taste"}})
			return err
		}
		wantReason(t, choose(), abide.DenyNoConsent)
		w.consent(id, "give")
		must(t, choose())
		w.consent(id, "withdraw")
		wantReason(t, choose(), abide.DenyWithdrawn)

		// The order goes; the taste profile, younger and without an order of
		// its own, goes with it.
		must(t, w.e.RecordEvent(t.Context(), app, id, "order.closed", "1", time.Time{}))
		w.clock.add(367 * day)
		_, err = w.read(app, id, "provide", "person.taste")
		wantReason(t, err, abide.DenyDerived)

		taste.From = []engine.ItemRef{{Category: "person.orders", ID: abide.SubjectID{7}}}
		_, err = w.e.Collect(t.Context(), app, taste)
		wantError(t, err, abide.CodeInvalid, "source_not_held")
	})
}

func TestRestricted(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		id := w.person(engine.NewSubject{})
		w.collect(id, "shop", items{"person.name": "Ann"})
		yes, no := true, false
		v, err := w.e.UpdateSubject(t.Context(), app, id, engine.SubjectPatch{Restricted: &yes})
		must(t, err)
		if !v.Restricted {
			t.Fatal("not restricted")
		}
		_, err = w.read(app, id, "provide", "person.name")
		wantReason(t, err, abide.DenyRestricted)
		must2(w.read(self(id), id, "provide", "person.name"))(t)
		must2(w.e.UpdateSubject(t.Context(), admin, id, engine.SubjectPatch{Restricted: &no}))(t)
		must2(w.read(app, id, "provide", "person.name"))(t)
	})
}

func TestLookup(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		ann, bob, eve := w.person(engine.NewSubject{}), w.person(engine.NewSubject{}), w.person(engine.NewSubject{})
		for _, id := range []abide.SubjectID{ann, bob, eve} {
			w.collect(id, "shop", items{"person.email": "Family@Example.test"})
		}
		yes := true
		must2(w.e.UpdateSubject(t.Context(), app, eve, engine.SubjectPatch{Restricted: &yes}))(t)
		find := func(c engine.Call, purpose abide.Purpose, cat abide.Category, v string) ([]abide.SubjectID, error) {
			return w.e.Lookup(t.Context(), c, engine.Lookup{Category: cat, Value: []byte(v), Purpose: purpose})
		}
		ids, err := find(app, "provide", "person.email", `"Family@example.TEST"`)
		must(t, err)
		if len(ids) != 2 || slices.Contains(ids, eve) {
			t.Fatalf("found %v, want ann and bob but not eve, who is restricted", ids)
		}
		if k := w.kinds(ann); k[len(k)-1] != "found" {
			t.Errorf("ann's log: %v", k)
		}
		if k := w.kinds(eve); k[len(k)-1] != "refused" {
			t.Errorf("eve's log: %v", k)
		}
		if ids, err := find(app, "provide", "person.email", `"nobody@example.test"`); err != nil || ids != nil {
			t.Errorf("found %v, %v", ids, err)
		}
		_, err = find(app, "provide", "person.name", `"Ann"`)
		wantError(t, err, abide.CodeInvalid, "not_findable")
		_, err = find(app, "provide", "person.email", `"no address"`)
		wantError(t, err, abide.CodeInvalid, "bad_email")
		_, err = find(app, "books", "person.email", `"family@example.test"`)
		wantReason(t, err, abide.DenyNotCovered)
		_, err = find(app, "fun", "person.email", `"family@example.test"`)
		wantReason(t, err, abide.DenyUnknownPurpose)
		poor := app
		poor.Actor.Purposes = []abide.Purpose{"books"}
		_, err = find(poor, "provide", "person.email", `"family@example.test"`)
		wantReason(t, err, abide.DenyActorPurpose)

		must2(w.e.Erase(t.Context(), admin, ann))(t)
		if ids, err := find(app, "provide", "person.email", `"family@example.test"`); err != nil || !slices.Equal(ids, []abide.SubjectID{bob}) {
			t.Fatalf("after erasure found %v, %v", ids, err)
		}
	})
}

func TestSubjectLogPages(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		id := w.person(engine.NewSubject{})
		w.collect(id, "shop", items{"person.name": "Ann"})
		for i := range 5 {
			w.clock.add(10 * time.Second)
			must2(w.read(app, id, "provide", "person.name"))(t)
			w.clock.add(time.Duration(5-4*i) * time.Second) // set back in the end: what comes after seems earlier
			w.collect(id, "shop", items{"person.name": "Ann"})
		}
		whole := w.kinds(id)
		var paged, seen []string
		after := ""
		for {
			w.faults.rows = 0
			entries, next, err := w.e.SubjectLog(t.Context(), self(id), id, engine.Page{After: after, Limit: 2})
			must(t, err)
			if w.faults.rows > 2*3 {
				t.Fatalf("a page of 2 asked for %d rows", w.faults.rows)
			}
			for _, e := range entries {
				paged, seen = append(paged, e.Kind), append(seen, e.Commitment)
				if e.Commitment == "" || (e.N == 0) == (e.Look == nil) {
					t.Fatalf("entry %+v", e)
				}
			}
			if next == "" {
				break
			}
			after = next
		}
		if !slices.Equal(whole, paged) || len(whole) != 3+10 {
			t.Fatalf("pages give %v, the whole %v", paged, whole)
		}
		slices.Sort(seen)
		if len(slices.Compact(seen)) != len(whole) {
			t.Fatalf("pages show %v, some twice", seen)
		}
		_, _, err := w.e.SubjectLog(t.Context(), app, id, engine.Page{})
		wantError(t, err, abide.CodeDenied, "actor_may_not")
		_, _, err = w.e.SubjectLog(t.Context(), self(id), id, engine.Page{After: "?"})
		wantError(t, err, abide.CodeInvalid, "bad_cursor")
		w.clock.add(time.Minute)
		must2(w.e.Consents(t.Context(), admin, id))(t)
		if k := w.kinds(id); k[len(k)-1] != "staff_access" {
			t.Fatalf("the lead looked at the ledger, and the log says %v", k)
		}
	})
}
