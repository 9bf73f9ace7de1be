package api

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/authzen"
	"github.com/abide-privacy/abide/internal/engine"
)

// The OpenID AuthZEN Authorization API 1.0 over Abide's decision. Who wants
// access is AuthZEN's subject; the person whose data it is, is its resource:
//
//	subject  {"type": "service" | "staff" | "person", "id": …, "properties": {"role": …}}
//	action   {"name": "read", "properties": {"purpose": "provide"}}
//	resource {"type": "person", "id": <subject id>, "properties": {"categories": ["person.email"]}}
//	context  {"purpose": …, "recipient": …, "topic": …, "channel": …, "as_of": …}
//
// An operator's mapping (package authzen) gives other types and names a meaning.
// What cannot be mapped is denied with a reason; only a request that is not
// well formed is an error (section 6 and 7 of the specification).
type evaluation struct {
	Subject  *authzen.Entity `json:"subject,omitempty"`
	Action   *authzen.Action `json:"action,omitempty"`
	Resource *authzen.Entity `json:"resource,omitempty"`
	Context  map[string]any  `json:"context,omitempty"`
}

type evaluationOptions struct {
	Semantic string `json:"evaluations_semantic,omitempty" enum:"execute_all,deny_on_first_deny,permit_on_first_permit"`
}

type evaluationsRequest struct {
	evaluation
	Evaluations []evaluation      `json:"evaluations,omitempty"`
	Options     evaluationOptions `json:"options,omitempty"`
}

type evaluationResponse struct {
	Decision bool           `json:"decision"`
	Context  map[string]any `json:"context,omitempty"`
}

type evaluationsResponse struct {
	Evaluations []evaluationResponse `json:"evaluations"`
}

// maxEvaluations bounds one batch.
const maxEvaluations = 1000

type rawInput struct {
	RawBody []byte `contentType:"application/json"`
}

func (s *server) authzen() {
	s.searches()
	s.authzenOperation("evaluate", "/access/v1/evaluation", "Access evaluation (AuthZEN 1.0, section 6)",
		reflect.TypeFor[evaluation](), reflect.TypeFor[evaluationResponse](),
		func(ctx context.Context, raw []byte) (any, error) {
			var req evaluation
			if err := decodeAuthzen(raw, &req); err != nil {
				return nil, err
			}
			return s.evaluate(ctx, req)
		})
	s.authzenOperation("evaluate-many", "/access/v1/evaluations", "Access evaluations (AuthZEN 1.0, section 7)",
		reflect.TypeFor[evaluationsRequest](), reflect.TypeFor[evaluationsResponse](),
		func(ctx context.Context, raw []byte) (any, error) {
			var req evaluationsRequest
			if err := decodeAuthzen(raw, &req); err != nil {
				return nil, err
			}
			return s.evaluateMany(ctx, req)
		})
}

func (s *server) authzenOperation(id, path, summary string, in, out reflect.Type, h func(context.Context, []byte) (any, error)) {
	registry := s.api.OpenAPI().Components.Schemas
	op := huma.Operation{
		OperationID: id, Method: http.MethodPost, Path: path, Summary: summary, Tags: []string{"AuthZEN"},
		MaxBodyBytes: s.limits.Body, SkipValidateBody: true,
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
			"application/json": {Schema: registry.Schema(in, true, id+"Request")}}},
		Responses: map[string]*huma.Response{"200": {Description: "The decision", Content: map[string]*huma.MediaType{
			"application/json": {Schema: registry.Schema(out, true, id+"Response")}}}},
		Errors:      []int{http.StatusBadRequest, http.StatusUnauthorized},
		Middlewares: huma.Middlewares{onlyJSON},
	}
	huma.Register(s.api, op, func(ctx context.Context, in *rawInput) (*body[any], error) {
		if err := required(ctx); err != nil {
			return nil, problemOf(err)
		}
		got, err := h(ctx, in.RawBody)
		if err != nil {
			p := problemOf(err)
			if p.Status == http.StatusUnprocessableEntity {
				p.Status = http.StatusBadRequest // section 6.3: malformed requests answer 400
			}
			return nil, p
		}
		return &body[any]{Body: got}, nil
	})
}

func decodeAuthzen(raw []byte, into any) error {
	if !textJSON(raw) {
		return notText()
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	if err := d.Decode(into); err != nil || d.More() {
		return malformed("the body is not one JSON object of the expected form")
	}
	return nil
}

func malformed(message string) error {
	return &abide.Error{Code: abide.CodeInvalid, Detail: "malformed_evaluation", Message: message,
		Hint: "send subject.type, subject.id, action.name, resource.type and resource.id"}
}

func (s *server) evaluateMany(ctx context.Context, req evaluationsRequest) (any, error) {
	if len(req.Evaluations) == 0 { // section 7.1: then it is a single evaluation
		return s.evaluate(ctx, req.evaluation)
	}
	if len(req.Evaluations) > maxEvaluations {
		return nil, &abide.Error{Code: abide.CodeTooLarge, Detail: "too_many_evaluations",
			Message: "too many evaluations in one request", Hint: "send at most 1,000"}
	}
	switch req.Options.Semantic {
	case "", "execute_all", "deny_on_first_deny", "permit_on_first_permit":
	default:
		return nil, malformed("this evaluations_semantic is not known")
	}
	out := evaluationsResponse{Evaluations: make([]evaluationResponse, 0, len(req.Evaluations))}
	for _, one := range req.Evaluations {
		got, err := s.evaluate(ctx, one.withDefaults(req.evaluation))
		if err != nil {
			if abide.ErrorCode(err) != abide.CodeInvalid {
				return nil, err
			}
			got = evaluationResponse{Context: map[string]any{"error": map[string]any{
				"status": http.StatusBadRequest, "message": "this evaluation is incomplete"}}}
		}
		out.Evaluations = append(out.Evaluations, got)
		if req.Options.Semantic == "deny_on_first_deny" && !got.Decision ||
			req.Options.Semantic == "permit_on_first_permit" && got.Decision {
			break
		}
	}
	return out, nil
}

// withDefaults fills what an evaluation leaves out from the request's top
// level, whole objects at a time (section 7.1.1).
func (e evaluation) withDefaults(d evaluation) evaluation {
	if e.Subject == nil {
		e.Subject = d.Subject
	}
	if e.Action == nil {
		e.Action = d.Action
	}
	if e.Resource == nil {
		e.Resource = d.Resource
	}
	if e.Context == nil {
		e.Context = d.Context
	}
	return e
}

// evaluate decides one evaluation.
func (s *server) evaluate(ctx context.Context, e evaluation) (evaluationResponse, error) {
	if e.Subject == nil || e.Subject.Type == "" || e.Subject.ID == "" || e.Action == nil || e.Action.Name == "" ||
		e.Resource == nil || e.Resource.Type == "" || e.Resource.ID == "" {
		return evaluationResponse{}, malformed("subject, action and resource are needed, with type, id and name")
	}
	call := callOf(ctx)
	if err := mayEvaluate(call); err != nil {
		return evaluationResponse{}, err
	}
	e = e.completed(s.mapping)
	req, err := e.request(s.mapping)
	if err != nil {
		return evaluationResponse{}, err
	}
	actor, ok := e.actor(call.Actor, s.mapping)
	if !ok {
		return denied("unknown_actor", "this subject is not service, staff or person"), nil
	}
	if actor.Kind == abide.ActorSubject && !call.Actor.Admin && !slices.Contains(call.Actor.Purposes, req.Purpose) {
		// A person needs no purposes; who asks on their behalf does, or any
		// token would learn of everybody what they agreed to.
		return denied(string(abide.DenyActorPurpose), "The caller does not carry this purpose."), nil
	}
	if req.Subject, ok, err = s.person(ctx, call, e.Resource); err != nil {
		return evaluationResponse{}, err
	} else if !ok {
		return denied("unknown_resource", "no person is known by this resource"), nil
	}
	call.Actor = actor
	return s.decided(ctx, call, req)
}

// mayEvaluate refuses who is neither an application nor staff.
func mayEvaluate(c engine.Call) error {
	if k := c.Actor.Kind; k == abide.ActorService || k == abide.ActorStaff {
		return nil
	}
	return &abide.Error{Code: abide.CodeDenied, Detail: "not_a_service",
		Message: "only applications and staff may ask for evaluations", Hint: "use a service token"}
}

// decided asks the engine, and answers in AuthZEN's words.
func (s *server) decided(ctx context.Context, call engine.Call, req engine.Decide) (evaluationResponse, error) {
	d, err := s.engine.Decide(ctx, call, req)
	if abide.ErrorCode(err) == abide.CodeNotFound {
		return denied("unknown_resource", "no person is known by this resource"), nil
	}
	if err != nil {
		return evaluationResponse{}, err
	}
	out := evaluationResponse{Decision: d.Allowed(), Context: map[string]any{
		"reasons": d.Reasons, "policy_version": d.PolicyVersion, "permitted_categories": d.Permitted,
	}}
	if len(d.Obligations) > 0 {
		out.Context["obligations"] = d.Obligations
	}
	return out, nil
}

// completed adds what the mapping knows of subject and resource.
func (e evaluation) completed(m *authzen.Mapping) evaluation {
	subject, resource := m.Complete(*e.Subject), m.Complete(*e.Resource)
	e.Subject, e.Resource = &subject, &resource
	return e
}

// request is what is asked of the policy, but for whom it is about.
func (e evaluation) request(m *authzen.Mapping) (engine.Decide, error) {
	req := engine.Decide{
		Topic: abide.Topic(e.text("topic")), Channel: abide.Channel(e.text("channel")), Reason: e.text("reason"),
		Recipient: abide.Recipient(e.text("recipient")), Service: abide.Service(e.text("service")),
		Categories: e.categories(),
	}
	if at := e.text("as_of"); at != "" {
		var err error
		if req.AsOf, err = time.Parse(time.RFC3339, at); err != nil {
			return req, malformed("as_of is not a time of RFC 3339")
		}
	}
	if !m.Maps(e.Resource.Type) {
		req.Act, req.Purpose = abide.ParseAct(e.Action.Name), abide.Purpose(e.text("purpose"))
		return req, nil
	}
	if r, ok := m.Action(*e.Subject, *e.Action, *e.Resource); ok { // else the act is unknown, which is denied
		req.Act, req.Purpose = abide.ParseAct(r.Act), r.Purpose
		req.Recipient, req.Service = cmp.Or(r.Recipient, req.Recipient), cmp.Or(r.Service, req.Service)
		if len(r.Categories) > 0 {
			req.Categories = r.Categories
		}
	}
	return req, nil
}

// person is whose data the evaluation is about.
func (s *server) person(ctx context.Context, call engine.Call, resource *authzen.Entity) (id abide.SubjectID, ok bool, err error) {
	if s.mapping.Maps(resource.Type) {
		r, ok := s.mapping.Resource(*resource)
		if !ok {
			return id, false, nil
		}
		if r.Person == "reference" {
			return s.byReference(ctx, call, resource.ID)
		}
	} else if !isPerson(resource.Type) {
		return id, false, nil
	}
	id, err = abide.ParseSubjectID(resource.ID)
	return id, err == nil, nil //nolint:nilerr // what is no id is nobody's
}

// isPerson reports whether a type of resource is a person unless mapped.
func isPerson(t string) bool { return t == "person" || t == "subject" || t == "data" }

func (s *server) byReference(ctx context.Context, call engine.Call, reference string) (id abide.SubjectID, ok bool, err error) {
	value, err := json.Marshal(reference)
	if err != nil {
		return id, false, malformed("the resource's id is no text")
	}
	ids, err := s.engine.Lookup(ctx, call, engine.Lookup{Category: "~reference", Value: value})
	if err != nil || len(ids) == 0 {
		return id, false, err
	}
	return ids[0], true, nil
}

// actor is whom the decision is about: never with more purposes than the token
// that asks.
func (e evaluation) actor(token abide.Actor, m *authzen.Mapping) (abide.Actor, bool) {
	a := abide.Actor{Name: e.Subject.ID, Purposes: token.Purposes}
	if m.Names(e.Subject.Type) {
		r, ok := m.Subject(*e.Subject)
		a.Kind, a.Role = r.Kind, r.Role
		return a, ok
	}
	switch e.Subject.Type {
	case "service", "application", "client":
		a.Kind = abide.ActorService
	case "staff":
		a.Kind = abide.ActorStaff
		a.Role, _ = e.Subject.Properties["role"].(string)
	case "person", "user":
		if e.Subject.ID != e.Resource.ID {
			return a, false
		}
		a.Kind = abide.ActorSubject
	default:
		return a, false
	}
	return a, true
}

// text finds a string in the action's properties or the context.
func (e evaluation) text(name string) string {
	if v, ok := e.Action.Properties[name].(string); ok {
		return v
	}
	v, _ := e.Context[name].(string)
	return v
}

func (e evaluation) categories() []abide.Category {
	var out []abide.Category
	for _, from := range []map[string]any{e.Resource.Properties, e.Action.Properties, e.Context} {
		list, _ := from["categories"].([]any)
		for _, v := range list {
			if name, ok := v.(string); ok && !slices.Contains(out, abide.Category(name)) {
				out = append(out, abide.Category(name))
			}
		}
		if one, ok := from["category"].(string); ok {
			out = append(out, abide.Category(one))
		}
	}
	return out
}

func denied(code, text string) evaluationResponse {
	return evaluationResponse{Context: map[string]any{"reasons": []abide.Reason{{Code: abide.ReasonCode(code), Text: text}}}}
}

// authzenConfiguration serves the metadata of section 9.
func (s *server) authzenConfiguration(w http.ResponseWriter, r *http.Request) {
	base := s.base(r)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"policy_decision_point":       base,
		"access_evaluation_endpoint":  base + "/access/v1/evaluation",
		"access_evaluations_endpoint": base + "/access/v1/evaluations",
		"search_subject_endpoint":     base + "/access/v1/search/subject",
		"search_resource_endpoint":    base + "/access/v1/search/resource",
		"search_action_endpoint":      base + "/access/v1/search/action",
	})
}

// base is how the caller reaches this server.
func (s *server) base(r *http.Request) string {
	if s.baseURL != "" {
		return s.baseURL
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + r.Host
}
