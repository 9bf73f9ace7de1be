package authzen_test

import (
	"strings"
	"testing"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/examples"
	"github.com/abide-privacy/abide/internal/authzen"
)

// TestParseRefuses says what is wrong and where; a slip of the pen is not read
// as something else.
func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		`{`:                                "unexpected EOF",
		`{} {}`:                            "more than one",
		`{"subject": []}`:                  "unknown field",
		`{"entities": [{"type": "user"}]}`: "entities[0]",
		`{"subjects": [{"if": {"type": "user"}, "kind": "person"}]}`:                                                                                                      "subjects[0].kind",
		`{"subjects": [{"if": {"type": "user"}, "kind": "staff"}]}`:                                                                                                       "wants a role",
		`{"subjects": [{"if": {"id": "a"}, "kind": "service"}]}`:                                                                                                          "subjects[0].if wants a type",
		`{"resources": [{"if": {"type": "r"}, "person": "name"}]}`:                                                                                                        "resources[0].person",
		`{"actions": [{"if": {"action": {"name": "a"}}, "act": "read", "purpose": "p"}]}`:                                                                                 "actions[0].if",
		`{"actions": [{"if": {"action": {"name": "a"}, "resource": {"type": "r"}}, "act": "read", "purpose": "p"}]}`:                                                      "no rule of resources",
		`{"resources": [{"if": {"type": "r"}, "person": "id"}], "actions": [{"if": {"action": {"name": "a"}, "resource": {"type": "r"}}, "act": "fly", "purpose": "p"}]}`: "actions[0].act",
	} {
		_, err := authzen.Parse([]byte(text))
		if err == nil || abide.ErrorDetail(err) != "bad_authzen_mapping" || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestMapping(t *testing.T) {
	m, err := authzen.Parse(examples.RecordsMapping())
	if err != nil {
		t.Fatal(err)
	}
	bob := m.Complete(authzen.Entity{Type: "user", ID: "bob"})
	if r, ok := m.Subject(bob); !ok || r.Role != "archivist" {
		t.Errorf("what the mapping knows of an entity is not used: %+v %v", r, ok)
	}
	told := m.Complete(authzen.Entity{Type: "user", ID: "bob", Properties: map[string]any{"role": "guest"}})
	if r, ok := m.Subject(told); ok {
		t.Errorf("the request's properties do not prevail: %+v", r)
	}
	if len(m.Entities[1].Properties) != 1 || m.Entities[1].Properties["role"] != "admin" {
		t.Errorf("a request changed the mapping: %v", m.Entities[1])
	}
	archived := m.Complete(authzen.Entity{Type: "record", ID: "record-2"})
	if r, ok := m.Action(bob, authzen.Action{Name: "write"}, archived); !ok || r.Purpose != "amend_archived" {
		t.Errorf("the first rule that fits does not count: %+v", r)
	}
	if r, ok := m.Action(bob, authzen.Action{Name: "delete", Properties: map[string]any{"soft": "true"}}, archived); ok {
		t.Errorf("a text for a boolean: %+v", r)
	}
	if m.Maps("person") || m.Names("service") || len(m.Possible(bob, archived)) != 3 {
		t.Errorf("built-in types are mapped, or %v", m.Possible(bob, archived))
	}
}
