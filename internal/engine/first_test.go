package engine_test

import (
	"testing"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/engine"
)

func TestFirstWalk(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		id := w.person(engine.NewSubject{Reference: "u-1"})
		got := w.collect(id, "shop", map[abide.Category]any{"person.email": "Ann@Example.test"})
		if len(got.Missing) != 1 || got.Missing[0].Categories[0] != "person.name" {
			t.Fatalf("missing: %+v", got.Missing)
		}
		r, err := w.read(app, id, "provide", "person.email")
		must(t, err)
		if string(r.Data["person.email"][0].Value) != `"Ann@example.test"` && string(r.Data["person.email"][0].Value) != `"ann@example.test"` {
			t.Fatalf("read %s", r.Data["person.email"][0].Value)
		}
		if d := w.newsletter(id, time.Time{}); d.Allowed() {
			t.Fatal("newsletter before consent")
		}
		w.consent(id, "give")
		if d := w.newsletter(id, time.Time{}); !d.Allowed() {
			t.Fatalf("newsletter after consent: %+v", d.Reasons)
		}
		_, err = w.e.Erase(t.Context(), admin, id)
		must(t, err)
		_, err = w.read(app, id, "provide", "person.email")
		wantReason(t, err, abide.DenyErased)
	})
}
