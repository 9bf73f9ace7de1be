// Package authzen translates what a policy enforcement point speaks of, its
// own types of subjects, resources and actions, into what a policy of Abide
// speaks of: actors with roles, people, acts and purposes. It is pure: who may
// do what is the policy's decision.
package authzen

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"

	abide "github.com/abide-privacy/abide"
)

// Entity is a subject or a resource of the OpenID AuthZEN Authorization API 1.0
// (sections 5.1 and 5.2).
type Entity struct {
	Type       string         `json:"type"`
	ID         string         `json:"id"`
	Properties map[string]any `json:"properties,omitempty"`
}

// Action is an action (section 5.3).
type Action struct {
	Name       string         `json:"name"`
	Properties map[string]any `json:"properties,omitempty"`
}

// Mapping is the operator's translation. Rules are tried in order; the first
// that fits counts. A type that no rule names keeps its built-in meaning.
type Mapping struct {
	// Entities are known here: searches look among them, and what their
	// properties say holds where a request does not say otherwise.
	Entities  []Entity       `json:"entities,omitempty"`
	Subjects  []SubjectRule  `json:"subjects,omitempty"`
	Resources []ResourceRule `json:"resources,omitempty"`
	Actions   []ActionRule   `json:"actions,omitempty"`
}

// EntityMatch fits an entity whose fields equal those that are given here.
type EntityMatch struct {
	Type       string         `json:"type,omitempty"`
	ID         string         `json:"id,omitempty"`
	Properties map[string]any `json:"properties,omitempty"`
}

// ActionMatch fits an action in the same way.
type ActionMatch struct {
	Name       string         `json:"name,omitempty"`
	Properties map[string]any `json:"properties,omitempty"`
}

// SubjectRule says as what a subject acts.
type SubjectRule struct {
	If   EntityMatch     `json:"if"`
	Kind abide.ActorKind `json:"kind"` // service or staff
	Role string          `json:"role,omitempty"`
}

// ResourceRule says whose data a resource is: the person whose id, or whose
// reference in the caller's system, is the resource's id.
type ResourceRule struct {
	If     EntityMatch `json:"if"`
	Person string      `json:"person"` // "id" or "reference"
}

// ActionRule says what an action on a resource is, in the policy's words.
type ActionRule struct {
	If struct {
		Subject  EntityMatch `json:"subject,omitzero"`
		Action   ActionMatch `json:"action"`
		Resource EntityMatch `json:"resource,omitzero"`
	} `json:"if"`
	Act        string           `json:"act"`
	Purpose    abide.Purpose    `json:"purpose"`
	Categories []abide.Category `json:"categories,omitempty"` // all that the purpose uses for the act, if left out
	Recipient  abide.Recipient  `json:"recipient,omitempty"`
	Service    abide.Service    `json:"service,omitempty"`
}

// Parse reads a mapping. Errors say where in the mapping, and what to do; a
// field that is not known is an error, or a slip of the pen would permit or
// refuse in silence.
func Parse(text []byte) (*Mapping, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	m := &Mapping{}
	if err := d.Decode(m); err != nil {
		return nil, bad("%s", err)
	}
	if d.More() {
		return nil, bad("more than one JSON value")
	}
	return m, m.check()
}

func bad(format string, args ...any) error {
	return &abide.Error{Code: abide.CodeInvalid, Detail: "bad_authzen_mapping",
		Message: "the AuthZEN mapping: " + fmt.Sprintf(format, args...), Hint: "docs/authzen.md shows one"}
}

func (m *Mapping) check() error {
	for i, e := range m.Entities {
		if e.Type == "" || e.ID == "" {
			return bad("entities[%d] wants a type and an id", i)
		}
		if slices.ContainsFunc(m.Entities[:i], func(o Entity) bool { return o.Type == e.Type && o.ID == e.ID }) {
			return bad("entities[%d] is there twice", i)
		}
	}
	for i, r := range m.Subjects {
		switch {
		case r.If.Type == "":
			return bad("subjects[%d].if wants a type", i)
		case r.Kind != abide.ActorService && r.Kind != abide.ActorStaff:
			return bad("subjects[%d].kind is not service or staff: persons act for themselves", i)
		case r.Kind == abide.ActorStaff && r.Role == "":
			return bad("subjects[%d] wants a role of the policy", i)
		}
	}
	for i, r := range m.Resources {
		if r.If.Type == "" {
			return bad("resources[%d].if wants a type", i)
		}
		if r.Person != "id" && r.Person != "reference" {
			return bad("resources[%d].person is not id or reference", i)
		}
	}
	for i, r := range m.Actions {
		switch {
		case r.If.Action.Name == "" || r.If.Resource.Type == "":
			return bad("actions[%d].if wants action.name and resource.type", i)
		case !m.Maps(r.If.Resource.Type):
			return bad("actions[%d] is about a type of resource that no rule of resources names", i)
		case abide.ParseAct(r.Act) == abide.ActUnknown:
			return bad("actions[%d].act is not collect, read, use, contact, choose or disclose", i)
		case r.Purpose == "":
			return bad("actions[%d] wants a purpose", i)
		}
	}
	return nil
}

// Maps reports whether the mapping says what resources of this type are.
func (m *Mapping) Maps(resourceType string) bool {
	return slices.ContainsFunc(m.Resources, func(r ResourceRule) bool { return r.If.Type == resourceType })
}

// Names reports whether the mapping says what subjects of this type are.
func (m *Mapping) Names(subjectType string) bool {
	return slices.ContainsFunc(m.Subjects, func(r SubjectRule) bool { return r.If.Type == subjectType })
}

// Known lists the entities of a type, in the mapping's order.
func (m *Mapping) Known(entityType string) []Entity {
	var out []Entity
	for _, e := range m.Entities {
		if e.Type == entityType {
			out = append(out, e)
		}
	}
	return out
}

// Complete adds the properties that the mapping knows of an entity to those
// that the request gave; the request's prevail.
func (m *Mapping) Complete(e Entity) Entity {
	i := slices.IndexFunc(m.Entities, func(k Entity) bool { return k.Type == e.Type && k.ID == e.ID })
	if i < 0 || len(m.Entities[i].Properties) == 0 {
		return e
	}
	all := map[string]any{}
	for _, from := range []map[string]any{m.Entities[i].Properties, e.Properties} {
		for name, v := range from {
			all[name] = v
		}
	}
	e.Properties = all
	return e
}

// Subject finds as what a subject, completed, acts.
func (m *Mapping) Subject(e Entity) (SubjectRule, bool) {
	return first(m.Subjects, func(r SubjectRule) bool { return r.If.fits(e) })
}

// Resource finds whose data a resource, completed, is.
func (m *Mapping) Resource(e Entity) (ResourceRule, bool) {
	return first(m.Resources, func(r ResourceRule) bool { return r.If.fits(e) })
}

// Action finds what an action is, of a subject on a resource, both completed.
func (m *Mapping) Action(subject Entity, a Action, resource Entity) (ActionRule, bool) {
	return first(m.Actions, func(r ActionRule) bool {
		return r.If.Action.fits(a) && r.If.Subject.fits(subject) && r.If.Resource.fits(resource)
	})
}

// Possible lists the actions that the rules name for a subject and a resource,
// each with the properties that its rule wants.
func (m *Mapping) Possible(subject, resource Entity) []Action {
	var out []Action
	for _, r := range m.Actions {
		a := Action(r.If.Action)
		if r.If.Subject.fits(subject) && r.If.Resource.fits(resource) &&
			!slices.ContainsFunc(out, func(o Action) bool { return reflect.DeepEqual(o, a) }) {
			out = append(out, a)
		}
	}
	return out
}

func (w EntityMatch) fits(e Entity) bool {
	return (w.Type == "" || w.Type == e.Type) && (w.ID == "" || w.ID == e.ID) && within(w.Properties, e.Properties)
}

func (w ActionMatch) fits(a Action) bool {
	return (w.Name == "" || w.Name == a.Name) && within(w.Properties, a.Properties)
}

// within reports whether all of want is in have, value by value.
func within(want, have map[string]any) bool {
	for name, v := range want {
		if got, ok := have[name]; !ok || !reflect.DeepEqual(got, v) {
			return false
		}
	}
	return true
}

func first[R any](rules []R, fits func(R) bool) (r R, ok bool) {
	if i := slices.IndexFunc(rules, fits); i >= 0 {
		return rules[i], true
	}
	return r, false
}
