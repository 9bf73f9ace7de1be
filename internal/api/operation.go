package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/abide-privacy/abide/internal/engine"
)

// Mutating is part of the input of every operation that changes something.
type Mutating struct {
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"Repeat it when you retry: the first answer comes back and nothing is done twice."`
}

// call makes the engine's view of who calls.
func (m Mutating) call(ctx context.Context) engine.Call {
	c := callOf(ctx)
	c.IdempotencyKey = m.IdempotencyKey
	return c
}

// body wraps an answer for huma.
type body[T any] struct {
	Body T
}

// created wraps an answer whose status the handler chooses.
type created[T any] struct {
	Status int
	Body   T
}

// operation registers one call. Errors pass through problemOf, and those that
// are ours are logged with their cause; the cause never reaches the caller.
func operation[I, O any](s *server, id, method, path, tag, summary, description string, status int, h func(context.Context, *I) (*O, error)) {
	register(s, huma.Operation{
		OperationID: id, Method: method, Path: path, Summary: summary, Description: description,
		Tags: []string{tag}, DefaultStatus: status, MaxBodyBytes: s.limits.Body,
		Errors: []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusConflict,
			http.StatusUnprocessableEntity, http.StatusServiceUnavailable},
	}, h)
}

// register registers a call. One whose description says that it takes no
// credentials is open to everybody.
func register[I, O any](s *server, op huma.Operation, h func(context.Context, *I) (*O, error)) {
	open := op.Security != nil && len(op.Security) == 0
	huma.Register(s.api, op, func(ctx context.Context, in *I) (*O, error) {
		if err := required(ctx); err != nil && !open {
			return nil, problemOf(err)
		}
		out, err := h(ctx, in)
		if err != nil {
			p := problemOf(err)
			if p.Status >= http.StatusInternalServerError {
				s.log.Error("request failed", "operation", op.OperationID, "code", p.Code, "error", err.Error())
			}
			return nil, p
		}
		return out, nil
	})
}
