package api_test

import (
	"bytes"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/examples"
	"github.com/abide-privacy/abide/internal/api"
	"github.com/abide-privacy/abide/internal/blob"
	"github.com/abide-privacy/abide/internal/engine"
	"github.com/abide-privacy/abide/internal/keys"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/storage/sqlite"
	"github.com/abide-privacy/abide/laws"
)

// world is the whole surface over a store of its own, with the sample policy
// in force.
type world struct {
	t      testing.TB
	url    string
	engine *engine.Engine
	tokens map[string]string // role to token
	clock  *clock
	dir    string
}

type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func newWorld(t testing.TB, limits api.Limits) *world {
	t.Helper()
	return newWorldOf(t, examples.Shop(), api.Options{Limits: limits}, nil)
}

// newWorldOf serves another policy, with other options, over a store that may
// be wrapped.
func newWorldOf(t testing.TB, text fs.FS, o api.Options, wrap func(storage.Store) storage.Store) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{t: t, dir: dir, clock: &clock{at: time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)}, tokens: map[string]string{}}
	ring, err := keys.Create(filepath.Join(dir, "keyring.json"))
	check(t, err)
	file, err := sqlite.Open(t.Context(), filepath.Join(dir, "abide.db"), sqlite.Options{})
	check(t, err)
	t.Cleanup(func() { _ = file.Close() })
	var store storage.Store = file
	if wrap != nil {
		store = wrap(store)
	}
	keyStore, err := sqlite.OpenKeys(t.Context(), filepath.Join(dir, "keys.db"))
	check(t, err)
	t.Cleanup(func() { _ = keyStore.Close() })
	profiles, err := laws.Load()
	check(t, err)
	blobs, err := blob.OpenDir(filepath.Join(dir, "uploads"))
	check(t, err)
	w.engine, err = engine.Open(t.Context(), engine.Options{Blobs: blobs, Store: store, Keys: keyStore, Keyring: ring, Laws: profiles, Clock: w.clock.now})
	check(t, err)
	t.Cleanup(func() { _ = w.engine.Close(t.Context()) })

	root := engine.Call{Actor: abide.Actor{Kind: abide.ActorService, Name: "root", Admin: true}}
	_, _, err = w.engine.Publish(t.Context(), root, text)
	check(t, err)
	var all []abide.Purpose
	for _, p := range w.engine.Policy().Purposes() {
		all = append(all, p.Name)
	}
	for _, a := range []abide.Actor{
		{Kind: abide.ActorService, Name: "app", Purposes: all},
		{Kind: abide.ActorService, Name: "admin", Purposes: all, Admin: true},
		{Kind: abide.ActorService, Name: "checkout", Purposes: []abide.Purpose{"provide"}},
		{Kind: abide.ActorStaff, Name: "support", Role: "support", Purposes: []abide.Purpose{"aftersales"}},
	} {
		w.tokens[a.Name], _, err = w.engine.CreateToken(t.Context(), root, engine.NewToken{Name: a.Name, Actor: a})
		check(t, err)
	}
	o.Engine, o.Now = w.engine, w.clock.now
	server := httptest.NewServer(api.New(o))
	t.Cleanup(server.Close)
	w.url = server.URL
	return w
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

type response struct {
	status int
	header http.Header
	raw    []byte
	body   map[string]any
}

// call sends a request in a role; "" sends no token, "Bearer …" that header.
func (w *world) call(role, method, path string, body any, headers ...string) response {
	w.t.Helper()
	var payload io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		payload = strings.NewReader(b)
	default:
		raw, err := json.Marshal(b)
		check(w.t, err)
		payload = bytes.NewReader(raw)
	}
	req, err := http.NewRequest(method, w.url+path, payload)
	check(w.t, err)
	if token := w.tokens[role]; token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	} else if role != "" {
		req.Header.Set("Authorization", role)
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	check(w.t, err)
	defer func() { _ = res.Body.Close() }()
	r := response{status: res.StatusCode, header: res.Header}
	r.raw, err = io.ReadAll(res.Body)
	check(w.t, err)
	_ = json.Unmarshal(r.raw, &r.body) // not every answer is an object
	return r
}

func (w *world) want(r response, status int) response {
	w.t.Helper()
	if r.status != status {
		w.t.Fatalf("status %d, want %d: %s", r.status, status, r.raw)
	}
	return r
}

func (r response) text(path string) string {
	var v any = r.body
	for name := range strings.SplitSeq(path, ".") {
		m, ok := v.(map[string]any)
		if !ok {
			return ""
		}
		v = m[name]
	}
	s, _ := v.(string)
	return s
}

// person creates somebody who ordered from the shop.
func (w *world) person(place string) string {
	w.t.Helper()
	id := w.want(w.call("app", "POST", "/v1/subjects", map[string]any{"jurisdiction": place, "birth_date": "1990-04-02"}), 201).text("id")
	w.want(w.call("app", "PUT", "/v1/subjects/"+id+"/data", map[string]any{"service": "shop", "source": "checkout", "items": map[string]any{
		"person.name": "Ada Brook", "person.email": "ada@example.test", "person.address": "1 Quay Street"}}), 200)
	return id
}

func TestShapesOfTheCalls(t *testing.T) {
	w := newWorld(t, api.Limits{})
	t.Run("the same reference again answers 200 with the same id", func(t *testing.T) {
		first := w.want(w.call("app", "POST", "/v1/subjects", map[string]any{"jurisdiction": "HK", "birth_date": "1990-04-02", "reference": "c-1"}), 201)
		again := w.want(w.call("app", "POST", "/v1/subjects", map[string]any{"jurisdiction": "HK", "birth_date": "1990-04-02", "reference": "c-1"}), 200)
		if first.text("id") == "" || first.text("id") != again.text("id") {
			t.Errorf("%s and %s", first.raw, again.raw)
		}
		found := w.want(w.call("app", "POST", "/v1/subjects/lookup", map[string]any{"category": "~reference", "value": "c-1"}), 200)
		if !bytes.Contains(found.raw, []byte(first.text("id"))) {
			t.Errorf("not found by its reference: %s", found.raw)
		}
	})
	id := w.person("FR")
	path := "/v1/subjects/" + id
	read := map[string]any{"purpose": "marketing", "act": "contact", "categories": []string{"person.email"}}
	t.Run("a read follows consent", func(t *testing.T) {
		refused := w.want(w.call("app", "POST", path+"/data/read", read), 403)
		if refused.header.Get("Content-Type") != "application/problem+json" || refused.text("decision.effect") != "deny" {
			t.Errorf("%s %s", refused.header.Get("Content-Type"), refused.raw)
		}
		given := w.want(w.call("app", "POST", path+"/consents", map[string]any{"purpose": "marketing", "action": "give",
			"evidence": map[string]any{"wording": "May we?", "separate": true, "page": "/welcome", "variant": 7}}), 201)
		if given.text("signature") == "" || given.text("action") != "given" {
			t.Errorf("no receipt: %s", given.raw)
		}
		permitted := w.want(w.call("app", "POST", path+"/data/read", read), 200)
		if permitted.text("decision.effect") != "permit" || !bytes.Contains(permitted.raw, []byte("ada@example.test")) {
			t.Errorf("%s", permitted.raw)
		}
		ledger := w.want(w.call("app", "GET", path+"/consents", nil), 200)
		if !bytes.Contains(ledger.raw, []byte(`{\"page\":\"/welcome\",\"variant\":7}`)) {
			t.Errorf("what else was sent as evidence is lost: %s", ledger.raw)
		}
		w.want(w.call("app", "POST", path+"/consents", map[string]any{"purpose": "marketing", "action": "withdraw"}), 201)
		w.want(w.call("app", "POST", path+"/data/read", read), 403)
	})
	t.Run("a retried change with its key acts once", func(t *testing.T) {
		send := func() response {
			return w.call("app", "POST", path+"/consents", map[string]any{"purpose": "newsletter", "action": "give",
				"evidence": map[string]any{"wording": "A letter?", "separate": true}}, "Idempotency-Key", "k1")
		}
		first, again := w.want(send(), 201), w.want(send(), 201)
		if first.text("id") != again.text("id") || first.text("signature") != again.text("signature") {
			t.Errorf("another receipt for the same request: %s %s", first.raw, again.raw)
		}
		other := w.call("app", "POST", path+"/consents", map[string]any{"purpose": "newsletter", "action": "refuse"}, "Idempotency-Key", "k1")
		if other.status != 409 || other.text("code") != "idempotency_mismatch" {
			t.Errorf("status %d: %s", other.status, other.raw)
		}
	})
	t.Run("which data is missing for which service", func(t *testing.T) {
		bare := w.want(w.call("app", "POST", "/v1/subjects", map[string]any{"jurisdiction": "GB"}), 201).text("id")
		put := w.want(w.call("app", "PUT", "/v1/subjects/"+bare+"/data", map[string]any{"service": "shop", "items": map[string]any{"person.name": "B"}}), 200)
		if !bytes.Contains(put.raw, []byte("person.address")) || !bytes.Contains(put.raw, []byte("privacy#C01")) {
			t.Errorf("%s", put.raw)
		}
	})
	t.Run("leaving a service names the sources that must stop", func(t *testing.T) {
		w.want(w.call("app", "POST", path+"/services", map[string]any{"service": "cloud", "action": "join"}), 200)
		left := w.want(w.call("app", "POST", path+"/services", map[string]any{"service": "cloud", "action": "leave"}), 200)
		if !bytes.Contains(left.raw, []byte("uploader")) {
			t.Errorf("%s", left.raw)
		}
		late := w.want(w.call("app", "PUT", path+"/data", map[string]any{"service": "cloud", "items": map[string]any{"person.files": "x"}}), 403)
		if !bytes.Contains(late.raw, []byte("source_must_stop")) {
			t.Errorf("%s", late.raw)
		}
		if raised := w.want(w.call("admin", "GET", "/v1/findings", nil), 200); !bytes.Contains(raised.raw, []byte("source_must_stop")) {
			t.Errorf("the late write was not raised: %s", raised.raw)
		}
	})
	t.Run("erasing answers with a certificate, again with the same", func(t *testing.T) {
		first := w.want(w.call("admin", "DELETE", path, nil), 200)
		again := w.want(w.call("admin", "DELETE", path, nil), 200)
		if first.text("signature") == "" || first.text("signature") != again.text("signature") {
			t.Errorf("%s and %s", first.raw, again.raw)
		}
		refused := w.want(w.call("app", "POST", path+"/data/read", map[string]any{"purpose": "provide", "categories": []string{"person.name"}}), 403)
		if !bytes.Contains(refused.raw, []byte(`"erased"`)) {
			t.Errorf("%s", refused.raw)
		}
	})
}

func TestWhoMayCall(t *testing.T) {
	w := newWorld(t, api.Limits{})
	id := w.person("GB")
	for _, c := range []struct {
		name, role, method, path string
		body                     any
		status                   int
		code                     string
	}{
		{"no token", "", "GET", "/v1/subjects/" + id, nil, 401, "token_missing"},
		{"a wrong token", "Bearer abide_wrong", "GET", "/v1/subjects/" + id, nil, 401, ""},
		{"another scheme", "Basic YTpi", "GET", "/v1/subjects/" + id, nil, 401, "not_a_bearer_token"},
		{"a purpose the token does not carry", "checkout", "POST", "/v1/subjects/" + id + "/data/read",
			map[string]any{"purpose": "aftersales", "categories": []string{"person.name"}}, 403, "denied"},
		{"publishing without being an administrator", "app", "POST", "/v1/policy", map[string]any{"files": map[string]string{}}, 403, ""},
		{"making tokens without being an administrator", "app", "POST", "/v1/tokens", map[string]any{"name": "x"}, 403, ""},
		{"erasing without being an administrator", "app", "DELETE", "/v1/subjects/" + id, nil, 403, ""},
		{"importing without being an administrator", "app", "POST", "/v1/imports", map[string]any{"id": "x", "service": "shop", "people": []any{}}, 403, ""},
		{"staff without undertaking", "support", "POST", "/v1/subjects/" + id + "/data/read",
			map[string]any{"purpose": "aftersales", "categories": []string{"person.name"}}, 403, "denied"},
		{"nobody's id", "app", "GET", "/v1/subjects/0197b6a2-1c00-7000-8000-0123456789ab", nil, 404, ""},
		{"a path that is not there", "", "GET", "/v2/nothing", nil, 404, "no_such_path"},
	} {
		r := w.call(c.role, c.method, c.path, c.body)
		if r.status != c.status || c.code != "" && r.text("code") != c.code {
			t.Errorf("%s: status %d, code %q, want %d %q: %s", c.name, r.status, r.text("code"), c.status, c.code, r.raw)
		}
		if r.text("type") == "" || r.text("hint") == "" {
			t.Errorf("%s: no problem details with a hint: %s", c.name, r.raw)
		}
	}
	t.Run("a revoked token is refused at once", func(t *testing.T) {
		w.want(w.call("checkout", "GET", "/v1/subjects/"+id, nil), 200)
		w.want(w.call("admin", "DELETE", "/v1/tokens/checkout", nil), 204)
		w.want(w.call("checkout", "GET", "/v1/subjects/"+id, nil), 401)
	})
}

func TestLimits(t *testing.T) {
	w := newWorld(t, api.Limits{Body: 4 << 10, Rate: 2, Burst: 5, Failures: 1})
	t.Run("a body that is too large is not read", func(t *testing.T) {
		r := w.call("app", "POST", "/v1/subjects", `{"reference":"`+strings.Repeat("x", 8<<10)+`"}`)
		if r.status != 413 || r.text("code") != "body_too_large" {
			t.Errorf("status %d: %s", r.status, r.raw)
		}
	})
	t.Run("a caller that is too fast waits, others do not", func(t *testing.T) {
		w.clock.advance(time.Minute)
		limited := 0
		for range 10 {
			if r := w.call("app", "GET", "/v1/policy", nil); r.status == 429 {
				limited++
				if r.header.Get("Retry-After") == "" || r.text("code") != "rate_limited" {
					t.Errorf("%v %s", r.header, r.raw)
				}
			}
		}
		if limited != 5 {
			t.Errorf("%d of 10 requests limited, want 5", limited)
		}
		w.want(w.call("admin", "GET", "/v1/policy", nil), 200)
		w.clock.advance(time.Second)
		w.want(w.call("app", "GET", "/v1/policy", nil), 200)
	})
	t.Run("guessing tokens is slowed down", func(t *testing.T) {
		w.clock.advance(time.Minute)
		last := 0
		for range 40 {
			w.clock.advance(10 * time.Millisecond)
			last = w.call("Bearer abide_guess", "GET", "/v1/policy", nil).status
			if last == 429 {
				break
			}
			w.clock.advance(500 * time.Millisecond) // keep the ordinary limit out of it
		}
		if last != 429 {
			t.Errorf("the last guess answered %d, want 429", last)
		}
		// Everybody behind one proxy has one address.
		w.clock.advance(10 * time.Second)
		for range 40 {
			w.call("Bearer abide_guess", "GET", "/v1/policy", nil)
		}
		w.want(w.call("app", "GET", "/v1/policy", nil), 200)
	})
	t.Run("health is never limited", func(t *testing.T) {
		for range 50 {
			w.want(w.call("", "GET", "/healthz", nil), 200)
		}
		w.want(w.call("", "GET", "/readyz", nil), 200)
	})
}

// TestErrorsRepeatNothing sends marked values in every place of every call that
// the API describes, and wants none of them back in an error.
func TestErrorsRepeatNothing(t *testing.T) {
	w := newWorld(t, api.Limits{})
	id := w.person("GB")
	const mark = "zyxwarbler7731"
	var spec struct {
		Paths map[string]map[string]struct {
			OperationID string `json:"operationId"`
		} `json:"paths"`
	}
	raw := w.want(w.call("", "GET", "/openapi.json", nil), 200).raw
	check(t, json.Unmarshal(raw, &spec))
	if len(spec.Paths) < 15 {
		t.Fatalf("only %d paths described", len(spec.Paths))
	}
	bodies := []string{
		`{"` + mark + `": 1}`, `"` + mark + `"`, `{"purpose": "` + mark, `[{"a": "` + mark + `"}]`,
		`{"purpose":"` + mark + `","categories":["` + mark + `"],"action":"` + mark + `","act":"` + mark + `","items":{"` + mark + `":"` + mark + `"},"name":"` + mark + `"}`,
		`{"purpose":["` + mark + `"],"categories":"` + mark + `","items":"` + mark + `","evidence":{"language":["` + mark + `"]},"service":{"` + mark + `":1}}`,
		`{"jurisdiction":"` + mark + `","birth_date":"` + mark + `","reference":7}`,
		`{"service":"shop","items":{"person.email":"` + mark + `","person.phone":"` + mark + `"}}`,
		`{"subject":{"type":"service","id":"` + mark + `"},"action":{"name":"` + mark + `"},"resource":{"type":"` + mark + `","id":"` + mark + `"}}`,
	}
	calls := 0
	for path, ops := range spec.Paths {
		for method, op := range ops {
			for _, body := range bodies {
				for _, p := range []string{strings.ReplaceAll(path, "{id}", id), strings.ReplaceAll(path, "{id}", mark)} {
					for _, name := range []string{"{kind}", "{name}", "{category}", "{document}"} {
						p = strings.ReplaceAll(p, name, mark)
					}
					r := w.call("app", strings.ToUpper(method), p+"?limit="+mark+"&"+mark+"=1", body)
					calls++
					if r.status >= 400 && bytes.Contains(bytes.ToLower(r.raw), []byte(mark)) {
						t.Errorf("%s repeats what was sent: %s", op.OperationID, r.raw)
					}
					if r.status >= 500 {
						t.Errorf("%s: status %d for garbage: %s", op.OperationID, r.status, r.raw)
					}
				}
			}
		}
	}
	// Pages and paths outside of the description answer in the same form.
	for _, c := range [][2]string{{"GET", "/policy/" + mark}, {"GET", "/policy/..%2f" + mark}, {"GET", "/" + mark}, {"PATCH", "/v1/decide"}, {"TRACE", "/v1/subjects/" + mark}} {
		r := w.call("app", c[0], c[1], nil)
		if r.status != 404 || bytes.Contains(r.raw, []byte(mark)) || !bytes.HasPrefix(r.raw, []byte(`{"type":"urn:abide:problem:not_found"`)) {
			t.Errorf("%s %s: status %d, %s", c[0], c[1], r.status, r.raw)
		}
	}
	t.Logf("%d calls", calls)
}

// Each page of the policy (document, language, media type) has a tag of its own;
// the same page again need not be sent.
func TestPolicyPagesAreToldApart(t *testing.T) {
	w := newWorld(t, api.Limits{})
	tags := map[string]string{}
	for _, c := range []struct{ path, accept, language, want string }{
		{"/policy/cookies", "text/html", "en", "en"},
		{"/policy/cookies", "text/html", "de-AT, en;q=0.5", "de"},
		{"/policy/cookies", "text/html", "zh-HK", "zh-Hant"},
		{"/policy/cookies", "text/plain", "de", "de"},
		{"/policy/cookies", "text/plain", "", "en"},
		{"/policy", "text/html", "de", "en"}, // there is no other
		{"/policy/agreement", "text/html", "en", "en"},
	} {
		header := []string{"Accept", c.accept, "Accept-Language", c.language}
		got := w.want(w.call("", "GET", c.path, nil, header...), 200)
		name, tag := strings.Join([]string{c.path, c.accept, c.language}, " "), got.header.Get("ETag")
		if got.header.Get("Content-Language") != c.want || got.header.Get("Vary") != "Accept, Accept-Language" {
			t.Errorf("%s: language %q, varies by %q", name, got.header.Get("Content-Language"), got.header.Get("Vary"))
		}
		if other, taken := tags[tag]; taken || len(tag) < 20 || strings.HasPrefix(tag, "W/") {
			t.Errorf("%s has the tag %s, as has %s", name, tag, other)
		}
		tags[tag] = name
		again := w.call("", "GET", c.path, nil, append(header, "If-None-Match", tag)...)
		if again.status != 304 || len(again.raw) != 0 || again.header.Get("ETag") != tag {
			t.Errorf("%s again: %d, %d bytes, tag %s", name, again.status, len(again.raw), again.header.Get("ETag"))
		}
	}
	for tag, name := range tags {
		if r := w.call("", "GET", "/policy/cookies", nil, "Accept", "text/html", "Accept-Language", "de", "If-None-Match", tag); (r.status == 304) != (name == "/policy/cookies text/html de-AT, en;q=0.5") {
			t.Errorf("the tag of %s passes for the German page: %d", name, r.status)
		}
	}
}

func TestPagesLoadNothingFromElsewhere(t *testing.T) {
	w := newWorld(t, api.Limits{})
	for _, path := range []string{"/docs", "/policy", "/policy/agreement", "/openapi.json"} {
		r := w.want(w.call("", "GET", path, nil), 200)
		for _, bad := range []string{"<script", "unpkg", "jsdelivr", "googleapis", "cdn."} {
			if bytes.Contains(r.raw, []byte(bad)) {
				t.Errorf("%s holds %s", path, bad)
			}
		}
	}
	text := w.want(w.call("", "GET", "/policy", nil, "Accept", "text/plain"), 200)
	if !strings.HasPrefix(text.header.Get("Content-Type"), "text/plain") || bytes.Contains(text.raw, []byte("<p")) {
		t.Errorf("no plain text: %s", text.header.Get("Content-Type"))
	}
	if r := w.call("", "GET", "/policy/nothing", nil); r.status != 404 {
		t.Errorf("a document that is not there answers %d", r.status)
	}
	metrics := w.want(w.call("", "GET", "/metrics", nil), 200)
	if !bytes.Contains(metrics.raw, []byte("abide_http_requests_total")) {
		t.Error("no metrics")
	}
}
