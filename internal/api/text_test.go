package api_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/abide-privacy/abide/internal/api"
)

// notText are pieces of JSON strings that are no text: control characters as
// escapes and bare, halves of surrogate pairs, bytes that are not UTF-8.
var notText = []string{`a\u0000b`, `\u001b[2J`, `\u007f`, "a\x7f", `\b`, `\f`, `\u0085`, "\u0085", `\ud800`, `\ud800\u0041`, `\udc00`, "a\xff", "\xc3", "\xed\xa0\x80"}

// Every call refuses what is not text, in its body, path, query and headers,
// with one code, and nothing is done.
func TestOnlyTextIsTakenIn(t *testing.T) {
	w := newWorld(t, api.Limits{})
	id := w.person("GB")
	state := func() string {
		kinds := []byte{}
		log := w.want(w.call("admin", "GET", "/v1/subjects/"+id+"/log", nil), 200)
		for _, e := range log.body["entries"].([]any) {
			if kind := e.(map[string]any)["kind"]; kind != "staff_access" { // this very look
				kinds = fmt.Append(kinds, kind, "\n")
			}
		}
		return string(w.want(w.call("app", "GET", "/v1/subjects/"+id, nil), 200).raw) + string(kinds) +
			string(w.want(w.call("admin", "GET", "/v1/tokens", nil), 200).raw)
	}
	before := state()
	var spec struct {
		Paths map[string]map[string]struct {
			OperationID string `json:"operationId"`
			RequestBody *struct {
				Content map[string]any `json:"content"`
			} `json:"requestBody"`
		} `json:"paths"`
	}
	check(t, json.Unmarshal(w.want(w.call("", "GET", "/openapi.json", nil), 200).raw, &spec))
	refused := func(op string, r response) {
		t.Helper()
		if r.status != 422 && r.status != 400 || r.text("code") != "bad_text" {
			t.Errorf("%s answers %d %s", op, r.status, r.raw)
		}
	}
	bodies := 0
	for path, ops := range spec.Paths {
		for method, op := range ops {
			method, name := strings.ToUpper(method), op.OperationID
			good := strings.NewReplacer("{id}", id, "{kind}", "staff", "{name}", "x", "{category}", "person.files", "{document}", "privacy").Replace(path)
			if op.RequestBody != nil && op.RequestBody.Content["application/json"] != nil {
				bodies++
				for _, bad := range notText {
					refused(name, w.call("admin", method, good, `{"reference":"`+bad+`","purpose":"provide","items":{"person.name":"`+bad+`"}}`))
					refused(name, w.call("admin", method, good, `{"items":{"`+bad+`":1}}`))
				}
			}
			for _, bad := range []string{"%00", "%1b", "%7f", "%ff", "%c2%85", "a%0ab"} {
				if i := strings.IndexByte(path, '{'); i >= 0 {
					refused(name, w.call("admin", method, path[:i]+bad+path[strings.IndexByte(path, '}')+1:], `{}`))
				}
				refused(name, w.call("admin", method, good+"?limit="+bad, `{}`))
				refused(name, w.call("admin", method, good+"?"+bad+"=1", `{}`))
			}
			refused(name, w.call("admin", method, good, `{}`, "Idempotency-Key", "k\xff"))
			refused(name, w.call("admin", method, good, `{}`, "Abide-Ref", "\xc2\x85"))
		}
	}
	if bodies < 15 {
		t.Errorf("only %d calls take a body", bodies)
	}
	if after := state(); after != before {
		t.Errorf("something was done:\n%s\nbefore:\n%s", after, before)
	}
}

// What is text stays as it was sent.
func TestTextIsTakenIn(t *testing.T) {
	w := newWorld(t, api.Limits{})
	id := w.person("GB")
	for _, text := range []string{`line\nline\tand \\u0000 \\b`, `\ud83d\ude00`, "😀 é\\u00e9", `\u4f60\"`, `C:\\users\\fred`} {
		w.want(w.call("app", "PUT", "/v1/subjects/"+id+"/data", `{"service":"shop","source":"checkout","items":{"person.name":"`+text+`"}}`), 200)
		got := w.want(w.call("app", "POST", "/v1/subjects/"+id+"/data/read", `{"purpose":"provide","categories":["person.name"],"reason":"a question"}`), 200)
		var sent string
		check(t, json.Unmarshal([]byte(`"`+text+`"`), &sent))
		var answer struct {
			Data map[string][]struct {
				Value string `json:"value"`
			} `json:"data"`
		}
		if err := json.Unmarshal(got.raw, &answer); err != nil || len(answer.Data["person.name"]) != 1 || answer.Data["person.name"][0].Value != sent {
			t.Errorf("%q came back as %s (%v)", sent, got.raw, err)
		}
	}
}
