package api_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/abide-privacy/abide/examples"
	"github.com/abide-privacy/abide/internal/api"
	"github.com/abide-privacy/abide/internal/authzen"
	"github.com/abide-privacy/abide/internal/storage"
)

// records serves the fixture of the working group's certification scenario
// (openid/authzen, certification/authorization-api-1_0-scenario.md): two users,
// two records and four purposes, under the names that the scenario wants.
func records(t *testing.T) *world {
	mapping, err := authzen.Parse(examples.RecordsMapping())
	check(t, err)
	w := newWorldOf(t, examples.Records(), api.Options{AuthZEN: mapping}, nil)
	for _, reference := range []string{"record-1", "record-2"} {
		w.want(w.call("app", "POST", "/v1/subjects", map[string]any{"jurisdiction": "GB", "birth_date": "1990-04-02", "reference": reference}), 201)
	}
	return w
}

// asked builds a request from short parts: "alice role=admin".
func asked(subject, action, resource string) map[string]any {
	return map[string]any{"subject": part("user", "id", subject), "action": part("", "name", action), "resource": part("record", "id", resource)}
}

// part reads "alice role=admin" into an entity or action; values true and false
// are booleans.
func part(kind, key, text string) map[string]any {
	out := map[string]any{}
	if kind != "" {
		out["type"] = kind
	}
	words := strings.Fields(text)
	props := map[string]any{}
	for _, w := range words {
		if name, v, is := strings.Cut(w, "="); !is {
			out[key] = w
		} else if v == "true" || v == "false" {
			props[name] = v == "true"
		} else {
			props[name] = v
		}
	}
	if len(props) > 0 {
		out["properties"] = props
	}
	return out
}

// TestAuthZENScenarioDecisions are decision rules 1 to 8 of the scenario, alone
// and as one batch, with and without a context, and again.
func TestAuthZENScenarioDecisions(t *testing.T) {
	w := records(t)
	cases := []struct {
		subject, action, resource string
		want                      bool
	}{
		{"alice", "read", "record-1", true},
		{"alice", "write", "record-1", true},
		{"bob", "read", "record-1", true},
		{"bob", "write", "record-1", false},
		{"alice", "write", "record-2 status=archived", false},
		{"alice", "write", "record-1 status=archived", false},
		{"bob role=admin", "write", "record-2 status=archived", true},
		{"carol role=admin", "write", "record-2 status=archived", true},
		{"alice", "delete soft=true", "record-1", true},
		{"alice", "delete soft=false", "record-1", false},
		{"alice department=Sales role=manager", "read method=GET", "record-1 classification=internal", true},
		{"mallory", "read", "record-1", false},
		{"alice", "read", "record-9", false},
		{"alice", "fly", "record-1", false},
	}
	var batch []any
	for _, c := range cases {
		name := c.subject + ", " + c.action + ", " + c.resource
		e := asked(c.subject, c.action, c.resource)
		batch = append(batch, e)
		for _, with := range []any{nil, map[string]any{"time": "2025-06-27T18:03-07:00", "ip": "192.168.1.1"}, nil} {
			if with != nil {
				e = asked(c.subject, c.action, c.resource)
				e["context"] = with
			}
			if r := w.want(w.call("app", "POST", "/access/v1/evaluation", e), 200); decision(t, r) != c.want {
				t.Errorf("%s: %s", name, r.raw)
			}
		}
	}
	r := w.want(w.call("app", "POST", "/access/v1/evaluations", map[string]any{"evaluations": batch}), 200)
	list, _ := r.body["evaluations"].([]any)
	if len(list) != len(cases) {
		t.Fatalf("%d answers to %d: %s", len(list), len(cases), r.raw)
	}
	for i, c := range cases {
		if list[i].(map[string]any)["decision"] != c.want {
			t.Errorf("in the batch, %s, %s, %s: %v", c.subject, c.action, c.resource, list[i])
		}
	}
	t.Run("never more than the token that asks carries", func(t *testing.T) {
		if r := w.want(w.call("checkout", "POST", "/access/v1/evaluation", asked("alice", "read", "record-1")), 200); decision(t, r) {
			t.Errorf("%s", r.raw)
		}
	})
}

// ids lists what a search found.
func ids(t *testing.T, r response, key string) string {
	t.Helper()
	list, ok := r.body["results"].([]any)
	if !ok {
		t.Fatalf("no results: %s", r.raw)
	}
	var out []string
	for _, e := range list {
		out = append(out, fmt.Sprint(e.(map[string]any)[key]))
	}
	return strings.Join(out, " ")
}

func nextToken(r response) string { return r.text("page.next_token") }

// TestAuthZENScenarioSearches are S1 to S6 of the scenario, empty results, and
// errors.
func TestAuthZENScenarioSearches(t *testing.T) {
	w := records(t)
	without := func(m map[string]any, path ...string) map[string]any {
		for i, name := range path {
			if i == len(path)-1 {
				delete(m, name)
			} else if sub, ok := m[name].(map[string]any); ok {
				m = sub
			}
		}
		return m
	}
	for _, c := range []struct {
		search, subject, action, resource, want string
	}{
		{"subject", "", "read", "record-1", "alice bob"},
		{"subject", "ignored", "read", "record-1", "alice bob"},
		{"subject", "", "write", "record-2 status=archived", "bob"},
		{"subject", "", "read", "record-9", ""},
		{"resource", "alice", "read", "", "record-1 record-2"},
		{"resource", "bob role=admin", "write", "", "record-2"},
		{"resource", "alice", "write", "", "record-1"},
		{"resource", "mallory", "read", "", ""},
		{"action", "alice", "", "record-1", "read write delete"},
		{"action", "bob role=admin", "", "record-2 status=archived", "read write"},
		{"action", "nonexistent-user", "", "record-1", ""},
	} {
		q := asked(c.subject, c.action, c.resource)
		key := "id"
		if c.search == "action" {
			delete(q, "action")
			key = "name"
		}
		r := w.want(w.call("app", "POST", "/access/v1/search/"+c.search, q), 200)
		if got := ids(t, r, key); got != c.want {
			t.Errorf("%s of %q %q %q: %q, want %q", c.search, c.subject, c.action, c.resource, got, c.want)
		}
		if token, ok := r.body["page"].(map[string]any)["next_token"].(string); !ok || token != "" {
			t.Errorf("the last page does not say so: %s", r.raw)
		}
	}
	t.Run("an unknown type has no results", func(t *testing.T) {
		for search, wrong := range map[string]string{"subject": "subject", "resource": "resource", "action": "resource"} {
			q := asked("alice", "read", "record-1")
			q[wrong].(map[string]any)["type"] = "spaceship"
			if r := w.want(w.call("app", "POST", "/access/v1/search/"+search, q), 200); !strings.Contains(string(r.raw), `"results":[]`) {
				t.Errorf("%s: %s", search, r.raw)
			}
		}
	})
	t.Run("what is missing is an error", func(t *testing.T) {
		for search, missing := range map[string][][]string{
			"subject":  {{"subject"}, {"action"}, {"resource"}, {"subject", "type"}, {"action", "name"}, {"resource", "id"}},
			"resource": {{"subject"}, {"action"}, {"resource"}, {"subject", "id"}, {"resource", "type"}},
			"action":   {{"subject"}, {"resource"}, {"subject", "id"}, {"resource", "id"}},
		} {
			for _, path := range missing {
				q := asked("alice", "read", "record-1")
				without(q, path...)
				if r := w.call("app", "POST", "/access/v1/search/"+search, q); r.status != 400 {
					t.Errorf("%s without %v: status %d", search, path, r.status)
				}
			}
			if r := w.call("", "POST", "/access/v1/search/"+search, asked("alice", "read", "record-1")); r.status != 401 {
				t.Errorf("%s without a token: status %d", search, r.status)
			}
			if r := w.call("app", "POST", "/access/v1/search/"+search, "{}", "Content-Type", "text/plain"); r.status != 400 {
				t.Errorf("%s as text/plain: status %d", search, r.status)
			}
		}
	})
}

// spoiled is a store that cannot keep looks while it is told to fail.
type spoiled struct {
	storage.Store
	fails *atomic.Bool
}

func (s spoiled) Spool(ctx context.Context, b *storage.SpoolBatch) error {
	if s.fails.Load() {
		return storage.ErrUnavailable
	}
	return s.Store.Spool(ctx, b)
}

// TestAuthZENSearchIsRecordedFirst: nobody is named before it is on record that
// they were found (G1).
func TestAuthZENSearchIsRecordedFirst(t *testing.T) {
	var fails atomic.Bool
	w := newWorldOf(t, examples.Shop(), api.Options{}, func(s storage.Store) storage.Store { return spoiled{s, &fails} })
	id := w.person("GB")
	q := map[string]any{
		"subject":  map[string]any{"type": "service", "id": "app"},
		"action":   map[string]any{"name": "read", "properties": map[string]any{"purpose": "provide"}},
		"resource": map[string]any{"type": "person", "properties": map[string]any{"categories": []string{"person.email"}}},
	}
	const path = "/access/v1/search/resource"
	fails.Store(true)
	if r := w.call("app", "POST", path, q); r.status != 503 || strings.Contains(string(r.raw), id) {
		t.Errorf("found without a record: status %d: %s", r.status, r.raw)
	}
	fails.Store(false)
	if r := w.want(w.call("app", "POST", path, q), 200); ids(t, r, "id") != id {
		t.Errorf("not found afterwards: %s", r.raw)
	}
}

// TestAuthZENPages pages through people, and refuses a token under another
// request.
func TestAuthZENPages(t *testing.T) {
	w := newWorld(t, api.Limits{})
	people := map[string]bool{}
	for range 5 {
		people[w.person("GB")] = true
	}
	ask := func(page map[string]any) map[string]any {
		q := map[string]any{
			"subject":  map[string]any{"type": "service", "id": "app"},
			"action":   map[string]any{"name": "read", "properties": map[string]any{"purpose": "provide"}},
			"resource": map[string]any{"type": "person", "properties": map[string]any{"categories": []string{"person.email"}}},
		}
		if page != nil {
			q["page"] = page
		}
		return q
	}
	const path = "/access/v1/search/resource"
	page, pages := map[string]any{"limit": 2}, 0
	var token string
	for {
		r := w.want(w.call("app", "POST", path, ask(page)), 200)
		for id := range strings.FieldsSeq(ids(t, r, "id")) {
			if !people[id] {
				t.Errorf("found twice or nobody's: %s", id)
			}
			delete(people, id)
		}
		if pages++; nextToken(r) == "" {
			break
		}
		token = nextToken(r)
		page = map[string]any{"token": token}
	}
	if len(people) != 0 || pages != 3 {
		t.Errorf("%d people were not found in %d pages", len(people), pages)
	}
	for name, q := range map[string]map[string]any{
		"another limit": ask(map[string]any{"token": token, "limit": 3}),
		"another request": func() map[string]any {
			q := ask(map[string]any{"token": token})
			q["context"] = map[string]any{"x": 1}
			return q
		}(),
		"a forged token":   ask(map[string]any{"token": token[:len(token)-4] + "AAAA"}),
		"no token":         ask(map[string]any{"token": "%"}),
		"a negative limit": ask(map[string]any{"limit": -1}),
	} {
		if r := w.call("app", "POST", path, q); r.status != 400 {
			t.Errorf("%s: status %d: %s", name, r.status, r.raw)
		}
	}
	if r := w.want(w.call("checkout", "POST", path, ask(nil)), 200); strings.Count(ids(t, r, "id"), " ") != 4 {
		t.Errorf("who carries the purpose finds nobody: %s", r.raw)
	}
	if r := w.want(w.call("app", "POST", path, map[string]any{
		"subject": map[string]any{"type": "service", "id": "app"}, "action": map[string]any{"name": "contact", "properties": map[string]any{"purpose": "marketing"}},
		"resource": map[string]any{"type": "person"}}), 200); ids(t, r, "id") != "" {
		t.Errorf("people who never agreed are found for marketing: %s", r.raw)
	}
	t.Run("subjects with tokens, for administrators", func(t *testing.T) {
		for role, want := range map[string]string{"admin": "admin app checkout", "app": "app"} {
			r := w.want(w.call(role, "POST", "/access/v1/search/subject", map[string]any{
				"subject": map[string]any{"type": "service"}, "action": map[string]any{"name": "read", "properties": map[string]any{"purpose": "provide"}},
				"resource": map[string]any{"type": "person", "id": w.person("GB"), "properties": map[string]any{"categories": []string{"person.email"}}}}), 200)
			if got := ids(t, r, "id"); got != want {
				t.Errorf("%s finds %q, want %q", role, got, want)
			}
		}
	})
	t.Run("actions", func(t *testing.T) {
		r := w.want(w.call("checkout", "POST", "/access/v1/search/action", map[string]any{
			"subject": map[string]any{"type": "service", "id": "checkout"}, "resource": map[string]any{"type": "person", "id": w.person("GB"), "properties": map[string]any{"categories": []string{"person.email"}}}}), 200)
		if got := ids(t, r, "name"); !strings.Contains(got, "read") || strings.Contains(got, "disclose") {
			t.Errorf("%q: %s", got, r.raw)
		}
	})
}
