package api

import (
	"context"
	"net"
	"net/http"
	"strings"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/engine"
)

type callKey struct{}

// WithCaller returns a context that acts for a caller known in another way
// than by a bearer token: the command line on its own data directory.
func WithCaller(ctx context.Context, c engine.Call) context.Context {
	return context.WithValue(ctx, callKey{}, c)
}

func callOf(ctx context.Context) engine.Call {
	c, _ := ctx.Value(callKey{}).(engine.Call)
	return c
}

// required refuses a caller without credentials.
func required(ctx context.Context) error {
	if callOf(ctx).Actor.Kind == "" {
		return &abide.Error{Code: abide.CodeUnauthorized, Detail: "token_missing",
			Message: "this call needs a token", Hint: "send Authorization: Bearer TOKEN; an administrator makes one with `abide token create`"}
	}
	return nil
}

// authenticate resolves the bearer token, if there is one. A wrong token is
// refused here even where none is needed: whoever sends one means to act.
func (s *server) authenticate(l *limiter, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := r.Header.Get("Authorization")
		if header == "" {
			next.ServeHTTP(w, r)
			return
		}
		scheme, secret, ok := strings.Cut(header, " ")
		if !ok || !strings.EqualFold(scheme, "Bearer") {
			writeProblem(w, &abide.Error{Code: abide.CodeUnauthorized, Detail: "not_a_bearer_token",
				Message: "the Authorization header is not of the form Bearer TOKEN", Hint: "see RFC 6750, section 2.1"})
			return
		}
		actor, name, err := s.engine.Authenticate(r.Context(), strings.TrimSpace(secret))
		if err != nil {
			// Many callers share the address of a proxy: the failures of one
			// must not lock out the others, so a good token always passes.
			if abide.ErrorCode(err) == abide.CodeUnauthorized && !l.mayFail(r) {
				err = rateLimited()
			}
			writeProblem(w, err)
			return
		}
		if !l.mayCall(name) {
			writeProblem(w, rateLimited())
			return
		}
		ctx := WithCaller(r.Context(), engine.Call{Actor: actor, Token: name, Credential: engine.Credential(strings.TrimSpace(secret))})
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// remote is the address a request came from, without its port.
func remote(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
