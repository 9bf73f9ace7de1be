package api_test

import (
	"strings"
	"testing"

	"github.com/abide-privacy/abide/internal/api"
)

func evaluation(id, purpose, category string) map[string]any {
	return map[string]any{
		"subject":  map[string]any{"type": "service", "id": "shop-frontend"},
		"action":   map[string]any{"name": "read", "properties": map[string]any{"purpose": purpose}},
		"resource": map[string]any{"type": "person", "id": id, "properties": map[string]any{"categories": []string{category}}},
	}
}

func decision(t *testing.T, r response) bool {
	t.Helper()
	d, ok := r.body["decision"].(bool)
	if !ok {
		t.Fatalf("no decision: %s", r.raw)
	}
	return d
}

// TestAuthZENEvaluation follows the OpenID AuthZEN Authorization API 1.0,
// section 6.
func TestAuthZENEvaluation(t *testing.T) {
	w := newWorld(t, api.Limits{})
	id := w.person("GB")
	const path = "/access/v1/evaluation"

	if r := w.want(w.call("app", "POST", path, evaluation(id, "provide", "person.email")), 200); !decision(t, r) {
		t.Errorf("a permitted read is denied: %s", r.raw)
	}
	refused := w.want(w.call("app", "POST", path, evaluation(id, "statistics", "person.email")), 200)
	if decision(t, refused) || !strings.Contains(string(refused.raw), "purpose_does_not_cover") {
		t.Errorf("no refusal with its reason: %s", refused.raw)
	}
	t.Run("never more than the token that asks carries", func(t *testing.T) {
		if r := w.want(w.call("checkout", "POST", path, evaluation(id, "aftersales", "person.email")), 200); decision(t, r) {
			t.Errorf("%s", r.raw)
		}
	})
	t.Run("nobody learns by posing as the person", func(t *testing.T) {
		for role, want := range map[string]bool{"app": true, "checkout": false} {
			e := evaluation(id, "aftersales", "person.email")
			e["subject"] = map[string]any{"type": "person", "id": id}
			r := w.want(w.call(role, "POST", path, e), 200)
			if lacks := strings.Contains(string(r.raw), "actor_lacks_purpose"); lacks == want || decision(t, r) && !want {
				t.Errorf("%s: %s", role, r.raw)
			}
		}
	})
	t.Run("what cannot be mapped is denied, not an error", func(t *testing.T) {
		for name, change := range map[string]func(map[string]any){
			"an unknown subject type": func(e map[string]any) { e["subject"] = map[string]any{"type": "robot", "id": "r"} },
			"somebody else":           func(e map[string]any) { e["subject"] = map[string]any{"type": "person", "id": "x"} },
			"no such person": func(e map[string]any) {
				e["resource"] = map[string]any{"type": "person", "id": "0197b6a2-1c00-7000-8000-0123456789ab"}
			},
			"no person":         func(e map[string]any) { e["resource"] = map[string]any{"type": "todo", "id": "1"} },
			"an unknown action": func(e map[string]any) { e["action"] = map[string]any{"name": "can_fly"} },
		} {
			e := evaluation(id, "provide", "person.email")
			change(e)
			if r := w.want(w.call("app", "POST", path, e), 200); decision(t, r) {
				t.Errorf("%s is permitted: %s", name, r.raw)
			}
		}
	})
	t.Run("what is not well formed is an error", func(t *testing.T) {
		for name, body := range map[string]any{
			"no subject":           map[string]any{"action": map[string]any{"name": "read"}, "resource": map[string]any{"type": "person", "id": id}},
			"no resource id":       map[string]any{"subject": map[string]any{"type": "service", "id": "a"}, "action": map[string]any{"name": "read"}, "resource": map[string]any{"type": "person"}},
			"a subject as text":    map[string]any{"subject": "me", "action": map[string]any{"name": "read"}, "resource": map[string]any{"type": "person", "id": id}},
			"no JSON":              "{",
			"an empty body":        "",
			"a list for an object": []any{},
		} {
			if r := w.call("app", "POST", path, body); r.status != 400 {
				t.Errorf("%s: status %d, want 400: %s", name, r.status, r.raw)
			}
		}
		if r := w.call("", "POST", path, evaluation(id, "provide", "person.email")); r.status != 401 {
			t.Errorf("no token: status %d", r.status)
		}
	})
	t.Run("the request id comes back, unknown fields do not matter", func(t *testing.T) {
		e := evaluation(id, "provide", "person.email")
		e["extension"] = map[string]any{"x": 1}
		r := w.want(w.call("app", "POST", path, e, "X-Request-ID", "bfe9eb29-ab87-4ca3-be83-a1d5d8305716"), 200)
		if r.header.Get("X-Request-ID") != "bfe9eb29-ab87-4ca3-be83-a1d5d8305716" || !decision(t, r) {
			t.Errorf("%v %s", r.header, r.raw)
		}
	})
}

// TestAuthZENEvaluations follows section 7: defaults, semantics, errors of one
// item.
func TestAuthZENEvaluations(t *testing.T) {
	w := newWorld(t, api.Limits{})
	id := w.person("GB")
	const path = "/access/v1/evaluations"
	permit := map[string]any{"action": map[string]any{"name": "read", "properties": map[string]any{"purpose": "provide"}}}
	deny := map[string]any{"action": map[string]any{"name": "read", "properties": map[string]any{"purpose": "statistics"}}}
	batch := func(semantic string, items ...any) map[string]any {
		b := evaluation(id, "provide", "person.email")
		b["evaluations"] = items
		if semantic != "" {
			b["options"] = map[string]any{"evaluations_semantic": semantic}
		}
		return b
	}
	for _, c := range []struct {
		name     string
		semantic string
		items    []any
		want     string
	}{
		{"all are executed unless asked otherwise", "", []any{permit, deny, permit}, "+-+"},
		{"execute all", "execute_all", []any{deny, permit, deny}, "-+-"},
		{"deny on first deny", "deny_on_first_deny", []any{permit, deny, permit}, "+-"},
		{"permit on first permit", "permit_on_first_permit", []any{deny, permit, deny}, "-+"},
		{"an item without anything takes the defaults", "", []any{map[string]any{}}, "+"},
		{"an incomplete item is denied, the others are judged", "", []any{map[string]any{"resource": map[string]any{"type": "person"}}, permit}, "-+"},
	} {
		r := w.want(w.call("app", "POST", path, batch(c.semantic, c.items...)), 200)
		got := ""
		list, _ := r.body["evaluations"].([]any)
		for _, e := range list {
			if e.(map[string]any)["decision"] == true {
				got += "+"
			} else {
				got += "-"
			}
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s: %s", c.name, got, c.want, r.raw)
		}
	}
	if r := w.want(w.call("app", "POST", path, evaluation(id, "provide", "person.email")), 200); !decision(t, r) {
		t.Errorf("without evaluations it is a single evaluation: %s", r.raw)
	}
	if r := w.call("app", "POST", path, batch("whatever", permit)); r.status != 400 {
		t.Errorf("an unknown semantic: status %d", r.status)
	}
	meta := w.want(w.call("", "GET", "/.well-known/authzen-configuration", nil), 200)
	if meta.text("policy_decision_point") != w.url || meta.text("access_evaluations_endpoint") != w.url+path {
		t.Errorf("%s", meta.raw)
	}
}
