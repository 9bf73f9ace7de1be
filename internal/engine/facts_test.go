package engine_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/engine"
	"github.com/abide-privacy/abide/internal/storage"
)

// Deciding takes facts along with the call, to add to what is known; it never
// lets them replace the ledger's.
func TestDecideWithFacts(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		id := w.person(engine.NewSubject{})
		decide := func(facts string) (abide.Decision, error) {
			return w.e.Decide(t.Context(), app, engine.Decide{Subject: id, Purpose: "newsletter", Act: abide.ActContact, Facts: []byte(facts)})
		}
		for _, c := range []struct{ facts, detail string }{
			{`{"consents":[{"purpose":"newsletter","state":"given"}]}`, "bad_facts"},
			{`{"status":"active"}`, "bad_facts"},
			{`{"residence":"US"}`, "bad_facts"},
			{`{"whereabouts":"at home"}`, "bad_place"},
			{`{} {}`, "bad_facts"},
			{`[]`, "bad_facts"},
		} {
			if d, err := decide(c.facts); abide.ErrorDetail(err) != c.detail || d.Allowed() {
				t.Errorf("%s: %v, want %s", c.facts, err, c.detail)
			}
		}
		d, err := decide(`{"events":[{"anchor":"order.closed","at":"2026-01-01T00:00:00Z"}],"whereabouts":"GB","declared_minor":true}`)
		must(t, err)
		if d.Allowed() {
			t.Fatal("facts of the call stand in for a consent")
		}
		w.consent(id, "give")
		d, err = decide(``)
		must(t, err)
		if !d.Allowed() || !slices.Contains(d.Permitted, "person.email") || !slices.Contains(d.Permitted, "person.name") {
			t.Fatalf("no categories named: %+v, want all that the purpose contacts by", d)
		}
	})
}

// What the company's own systems keep is decided, on record, and not kept.
func TestHeldElsewhere(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		id := w.person(engine.NewSubject{})
		got := w.collect(id, "shop", items{"person.forum": "a post"})
		if len(got.Items) != 0 || !slices.Equal(got.Skipped, []abide.Category{"person.forum"}) {
			t.Fatalf("collected %+v", got)
		}
		if k := w.kinds(id); !slices.Contains(k, "decided") {
			t.Fatalf("log %v", k)
		}
		r, err := w.read(app, id, "provide", "person.forum")
		must(t, err)
		if len(r.Data) != 0 {
			t.Fatalf("shown as kept: %v", r.Data)
		}
	})
}

// A guardian's own consent is respected, once they are verified, and belongs
// to the child's facts.
func TestGuardian(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		child := w.person(engine.NewSubject{DeclaredMinor: true})
		guardian := engine.Call{Actor: abide.Actor{Kind: abide.ActorGuardian, Name: child.String()}, Token: "g"}
		_, err := w.e.WriteConsent(t.Context(), guardian, say(child, "give"))
		wantError(t, err, abide.CodeUnauthorized, "guardian_not_verified")
		yes := true
		must2(w.e.UpdateSubject(t.Context(), admin, child, engine.SubjectPatch{GuardianVerified: &yes}))(t)
		must2(w.e.WriteConsent(t.Context(), guardian, say(child, "give")))(t)
		entries, _, err := w.e.SubjectLog(t.Context(), guardian, child, engine.Page{})
		must(t, err)
		for _, e := range entries {
			if strings.Contains(string(e.Envelope), child.String()) {
				t.Errorf("the envelope of %s names a person: %s", e.Kind, e.Envelope)
			}
		}
		must2(w.e.WriteConsent(t.Context(), guardian, say(child, "withdraw")))(t)
		if d := w.newsletter(child, time.Time{}); !hasReason(d, abide.DenyWithdrawn) {
			t.Errorf("withdrawn by the guardian: %+v", d.Reasons)
		}
	})
}

// Repeated under one key, a change is made once, whatever it is.
func TestIdempotencyOfEveryChange(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		id := w.person(engine.NewSubject{})
		place := abide.Place("GB")
		for name, do := range map[string]func(c engine.Call) error{
			"update": func(c engine.Call) error {
				_, err := w.e.UpdateSubject(ctx, c, id, engine.SubjectPatch{Whereabouts: &place})
				return err
			},
			"event":   func(c engine.Call) error { return w.e.RecordEvent(ctx, c, id, "order.closed", "1", w.clock.now()) },
			"consent": func(c engine.Call) error { _, err := w.e.WriteConsent(ctx, c, say(id, "refuse")); return err },
			"join":    func(c engine.Call) error { _, err := w.e.JoinService(ctx, c, id, "chat"); return err },
			"leave":   func(c engine.Call) error { _, err := w.e.LeaveService(ctx, c, id, "shop"); return err },
			"collect": func(c engine.Call) error {
				_, err := w.e.Collect(ctx, c, put(id, "chat", items{"person.account": "a"}))
				return err
			},
		} {
			must(t, do(once(app, name)))
			before, err := w.store.Load(ctx, id, storage.Want{})
			must(t, err)
			must(t, do(once(app, name)))
			after, err := w.store.Load(ctx, id, storage.Want{})
			must(t, err)
			if before.Subject.Version != after.Subject.Version {
				t.Errorf("%s was done twice", name)
			}
		}
	})
}
