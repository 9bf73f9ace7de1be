package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/engine"
)

type tokenInput struct {
	Name     string    `json:"name" minLength:"1" maxLength:"64" pattern:"^[a-z0-9][a-z0-9._-]*$" doc:"What the log calls this caller; no personal name"`
	Kind     string    `json:"kind,omitempty" enum:"service,staff" doc:"service unless said otherwise"`
	Role     string    `json:"role,omitempty" maxLength:"64" doc:"For staff: a role of the policy"`
	Purposes []string  `json:"purposes,omitempty" maxItems:"256" doc:"The purposes it may act for, and no others"`
	Admin    bool      `json:"admin,omitempty" doc:"May publish, make tokens, erase, import"`
	Auditor  bool      `json:"auditor,omitempty" doc:"May export log entries, opened, with their proofs; each export is on record"`
	Expires  time.Time `json:"expires,omitempty"`
}

type tokenOutput struct {
	Token string `json:"token" doc:"Shown once; only its hash is kept"`
	engine.TokenInfo
}

func (s *server) administration() {
	s.tokens()
	s.register()
	s.counters()

	type findings struct {
		Findings []engine.Finding `json:"findings"`
	}
	operation(s, "list-findings", http.MethodGet, "/v1/findings", "Administration", "What somebody should look into",
		"Writes for services that people left, overdue reviews, duties about keys: counted by day, about nobody in particular.", http.StatusOK,
		func(ctx context.Context, _ *struct{}) (*body[findings], error) {
			got, err := s.engine.Findings(ctx, callOf(ctx))
			return answer(findings{Findings: got}, err)
		})
}

func (s *server) tokens() {
	operation(s, "create-token", http.MethodPost, "/v1/tokens", "Administration", "Make a token",
		"The answer holds the only copy.", http.StatusCreated,
		func(ctx context.Context, in *struct {
			Mutating
			Body tokenInput
		}) (*body[tokenOutput], error) {
			kind := abide.ActorKind(in.Body.Kind)
			if kind == "" {
				kind = abide.ActorService
			}
			actor := abide.Actor{Kind: kind, Name: in.Body.Name, Role: in.Body.Role, Admin: in.Body.Admin, Auditor: in.Body.Auditor}
			for _, p := range in.Body.Purposes {
				actor.Purposes = append(actor.Purposes, abide.Purpose(p))
			}
			secret, info, err := s.engine.CreateToken(ctx, in.call(ctx), engine.NewToken{
				Name: in.Body.Name, Actor: actor, Expires: in.Body.Expires})
			return answer(tokenOutput{Token: secret, TokenInfo: info}, err)
		})

	type tokens struct {
		Tokens []engine.TokenInfo `json:"tokens"`
	}
	operation(s, "list-tokens", http.MethodGet, "/v1/tokens", "Administration", "List tokens", "Without their secrets, which nobody has.", http.StatusOK,
		func(ctx context.Context, _ *struct{}) (*body[tokens], error) {
			got, err := s.engine.Tokens(ctx, callOf(ctx))
			return answer(tokens{Tokens: got}, err)
		})

	operation(s, "revoke-token", http.MethodDelete, "/v1/tokens/{name}", "Administration", "Revoke a token",
		"The next request with it is refused, on every node.", http.StatusNoContent,
		func(ctx context.Context, in *struct {
			Name string `path:"name" maxLength:"64"`
		}) (*struct{}, error) {
			return nil, s.engine.RevokeToken(ctx, callOf(ctx), in.Name)
		})
}

// RegisterPath names a fact in the register.
type RegisterPath struct {
	Kind string `path:"kind" enum:"members,contracts,staff,reviews"`
	Name string `path:"name" maxLength:"64"`
}

func (s *server) register() {
	operation(s, "get-register", http.MethodGet, "/v1/register", "Register", "Members, contracts, staff and reviews",
		"The facts about the company that decisions need.", http.StatusOK,
		func(ctx context.Context, _ *struct{}) (*body[engine.RegisterView], error) {
			got, err := s.engine.Register(ctx, callOf(ctx))
			return answer(got, err)
		})

	operation(s, "put-register", http.MethodPut, "/v1/register/{kind}/{name}", "Register", "Put a fact into the register",
		"members: {class, left}; contracts: {recipient, signed, ends, covers}; staff: {undertaking_ends, reviewed_at}; reviews: {at}.", http.StatusNoContent,
		func(ctx context.Context, in *struct {
			Mutating
			RegisterPath
			Body map[string]any
		}) (*struct{}, error) {
			raw, err := json.Marshal(in.Body)
			if err != nil {
				return nil, err
			}
			return nil, s.engine.PutRegister(ctx, in.call(ctx), in.Kind, in.Name, raw)
		})

	operation(s, "drop-register", http.MethodDelete, "/v1/register/{kind}/{name}", "Register", "Remove a fact from the register",
		"What rested on it closes with the next decision.", http.StatusNoContent,
		func(ctx context.Context, in *struct{ RegisterPath }) (*struct{}, error) {
			return nil, s.engine.DropRegister(ctx, callOf(ctx), in.Kind, in.Name)
		})
}

func (s *server) counters() {
	operation(s, "count", http.MethodPost, "/v1/counters", "Data", "Count data about nobody",
		"Takes no subject. Counts are written in batches, so that neither order nor time links them to anyone.", http.StatusAccepted,
		func(ctx context.Context, in *struct {
			Body struct {
				Category string `json:"category" minLength:"1" maxLength:"129" example:"nobody.device"`
				Value    string `json:"value" minLength:"1" maxLength:"200" example:"P40 / 12.0.1"`
				N        int64  `json:"n,omitempty" minimum:"1" maximum:"1000000" doc:"1 unless said otherwise"`
			}
		}) (*struct{}, error) {
			n := in.Body.N
			if n == 0 {
				n = 1
			}
			return nil, s.engine.Count(ctx, callOf(ctx), abide.Category(in.Body.Category), in.Body.Value, n)
		})

	type counts struct {
		Counts []engine.CounterView `json:"counts"`
	}
	operation(s, "read-counters", http.MethodGet, "/v1/counters/{category}", "Data", "Read counts about nobody",
		"Groups smaller than the policy's smallest cell are left out.", http.StatusOK,
		func(ctx context.Context, in *struct {
			Category string `path:"category" maxLength:"129"`
		}) (*body[counts], error) {
			got, err := s.engine.Counters(ctx, callOf(ctx), abide.Category(in.Category))
			return answer(counts{Counts: got}, err)
		})
}
