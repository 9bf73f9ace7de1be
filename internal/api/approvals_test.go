package api_test

import (
	"bytes"
	"testing"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/api"
	"github.com/abide-privacy/abide/internal/engine"
)

// TestALookThatOthersMustAgreeTo opens the private level of the sample policy
// as CLAUSES C17 promises: a reason, two others who agree, the last four signs.
func TestALookThatOthersMustAgreeTo(t *testing.T) {
	w := newWorld(t, api.Limits{})
	root := engine.Call{Actor: abide.Actor{Kind: abide.ActorService, Name: "root", Admin: true}}
	for _, name := range []string{"mara", "noor", "owen"} {
		token, _, err := w.engine.CreateToken(t.Context(), root, engine.NewToken{Name: name,
			Actor: abide.Actor{Kind: abide.ActorStaff, Name: name, Role: "privacy", Purposes: []abide.Purpose{"provide", "aftersales"}}})
		check(t, err)
		w.tokens[name] = token
		w.want(w.call("admin", "PUT", "/v1/register/staff/"+name, map[string]any{
			"undertaking_ends": w.clock.now().AddDate(1, 0, 0), "reviewed_at": w.clock.now().AddDate(0, -1, 0)}), 204)
	}
	w.want(w.call("admin", "PUT", "/v1/register/reviews/machine%20rooms", map[string]any{"at": w.clock.now().AddDate(0, -2, 0)}), 204)
	id := w.person("GB")
	w.want(w.call("app", "PUT", "/v1/subjects/"+id+"/data", map[string]any{"service": "shop", "items": map[string]any{"person.invoice": []string{"invoice 20261124"}}}), 200)

	look := map[string]any{"purpose": "provide", "categories": []string{"person.invoice"}, "reason": "a complaint about a bill"}
	path := "/v1/subjects/" + id + "/data/read"
	if r := w.want(w.call("mara", "POST", path, look), 403); !bytes.Contains(r.raw, []byte("approvals_missing")) {
		t.Errorf("%s", r.raw)
	}
	asked := w.want(w.call("mara", "POST", "/v1/approvals", map[string]any{"subject": id, "purpose": "provide",
		"categories": []string{"person.invoice"}, "reason": "a complaint about a bill"}), 201).text("id")
	look["approval"] = asked
	approve := "/v1/approvals/" + asked + "/approve"
	w.want(w.call("mara", "POST", approve, map[string]any{}), 403) // not one's own
	w.want(w.call("app", "POST", approve, map[string]any{}), 403)  // not an application
	w.want(w.call("noor", "POST", approve, map[string]any{}), 200)
	w.want(w.call("noor", "POST", approve, map[string]any{}), 200) // counts once
	w.want(w.call("mara", "POST", path, look), 403)
	w.want(w.call("owen", "POST", approve, map[string]any{}), 200)
	opened := w.want(w.call("mara", "POST", path, look), 200)
	if !bytes.Contains(opened.raw, []byte("1124")) || bytes.Contains(opened.raw, []byte("invoice 2026")) {
		t.Errorf("not masked to the last four: %s", opened.raw)
	}

	t.Run("it is for her, this person, these data, a day", func(t *testing.T) {
		w.want(w.call("noor", "POST", path, look), 403)
		other := w.person("GB")
		w.want(w.call("mara", "POST", "/v1/subjects/"+other+"/data/read", look), 403)
		more := map[string]any{"purpose": "provide", "categories": []string{"person.invoice", "person.talk"}, "reason": "x", "approval": asked}
		w.want(w.call("mara", "POST", path, more), 403)
		w.clock.advance(25 * time.Hour)
		w.want(w.call("mara", "POST", path, look), 404)
	})
	t.Run("asking and agreeing are on record", func(t *testing.T) {
		log := w.want(w.call("admin", "GET", "/v1/subjects/"+id+"/log", nil), 200)
		for _, kind := range []string{"approval_asked", "approved", "looked", "refused"} {
			if !bytes.Contains(log.raw, []byte(`"kind":"`+kind+`"`)) {
				t.Errorf("no entry %s: %s", kind, log.raw)
			}
		}
	})
}
