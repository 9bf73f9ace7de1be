package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	abide "github.com/abide-privacy/abide"
)

// Problem is an error as callers see it: RFC 9457 problem details with a
// stable code, what to do next, and the reasons if a decision refused. It
// never repeats anything that the caller sent.
type Problem struct {
	Type     string          `json:"type" doc:"URN of the class of problem" example:"urn:abide:problem:denied"`
	Title    string          `json:"title"`
	Status   int             `json:"status"`
	Detail   string          `json:"detail,omitempty" doc:"What is wrong, in one sentence"`
	Code     string          `json:"code" doc:"Stable code" example:"bad_email"`
	Hint     string          `json:"hint,omitempty" doc:"What to do next"`
	Field    string          `json:"field,omitempty" doc:"The input concerned; never its value"`
	Errors   []FieldProblem  `json:"errors,omitempty" doc:"Every input that does not fit"`
	Decision *abide.Decision `json:"decision,omitempty" doc:"The refusing decision, with the clause and the line of every reason"`
}

// FieldProblem says where a request does not fit its schema.
type FieldProblem struct {
	Location string `json:"location" example:"body.purpose"`
	Message  string `json:"message"`
}

func (p *Problem) Error() string { return p.Title + ": " + p.Detail }

// GetStatus implements huma.StatusError.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType implements huma.ContentTypeFilter (RFC 9457, section 6.1).
func (p *Problem) ContentType(string) string { return "application/problem+json" }

var statusOf = map[abide.Code]int{
	abide.CodeInvalid:        http.StatusUnprocessableEntity,
	abide.CodeUnauthorized:   http.StatusUnauthorized,
	abide.CodeDenied:         http.StatusForbidden,
	abide.CodeNotFound:       http.StatusNotFound,
	abide.CodeErased:         http.StatusGone,
	abide.CodeConflict:       http.StatusConflict,
	abide.CodeTooLarge:       http.StatusRequestEntityTooLarge,
	abide.CodeUnavailable:    http.StatusServiceUnavailable,
	abide.CodeOutcomeUnknown: http.StatusServiceUnavailable,
	abide.CodeInternal:       http.StatusInternalServerError,
}

var titleOf = map[abide.Code]string{
	abide.CodeInvalid:        "The request does not fit",
	abide.CodeUnauthorized:   "Not authorised",
	abide.CodeDenied:         "The policy does not permit this",
	abide.CodeNotFound:       "Not found",
	abide.CodeErased:         "This person was erased",
	abide.CodeConflict:       "Another change came first, or the value is taken",
	abide.CodeTooLarge:       "Too much at once",
	abide.CodeUnavailable:    "Not available now",
	abide.CodeOutcomeUnknown: "The outcome is unknown",
	abide.CodeInternal:       "Internal error",
}

// problemOf maps an error of the engine. Whatever is not an abide.Error is
// ours, and callers learn no more than that.
func problemOf(err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	var e *abide.Error
	if !errors.As(err, &e) {
		switch {
		case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
			e = &abide.Error{Code: abide.CodeUnavailable, Detail: "timeout",
				Message: "the request took too long", Hint: "try again; a change may be retried with the same Idempotency-Key"}
		default:
			e = &abide.Error{Code: abide.CodeInternal, Message: "something went wrong on our side",
				Hint: "try again later; the server's log names the cause"}
		}
	}
	code := e.Detail
	if code == "" {
		code = string(e.Code)
	}
	status, ok := statusOf[e.Code]
	if !ok {
		status = http.StatusInternalServerError
	}
	if e.Detail == "rate_limited" {
		status = http.StatusTooManyRequests
	}
	return &Problem{
		Type: "urn:abide:problem:" + string(e.Code), Title: titleOf[e.Code], Status: status,
		Detail: e.Message, Code: code, Hint: e.Hint, Field: e.Field, Decision: e.Decision,
	}
}

// schemaProblem is what huma reports before a handler runs: bad JSON, a
// missing field. huma's details carry the value that did not fit, which is
// dropped here; its messages can quote one too, so they are cut to their
// constant part.
func schemaProblem(status int, msg string, errs ...error) huma.StatusError {
	code := abide.CodeInvalid
	detail := "bad_request"
	hint := "compare the request with /openapi.json"
	switch {
	case status == http.StatusRequestEntityTooLarge:
		code, detail, hint = abide.CodeTooLarge, "body_too_large", "send less at once"
		msg = "the body is too large"
	case status >= 500:
		code, detail, hint = abide.CodeInternal, "internal", "try again later"
		msg = "something went wrong on our side"
	case status == http.StatusUnsupportedMediaType:
		detail = "unsupported_media_type"
	case status == http.StatusRequestTimeout:
		code, detail, hint = abide.CodeUnavailable, "timeout", "send the body faster"
	default:
		msg = "the request does not have the expected form"
	}
	p := &Problem{Type: "urn:abide:problem:" + string(code), Title: titleOf[code], Status: status,
		Detail: msg, Code: detail, Hint: hint}
	for _, err := range errs {
		var d *huma.ErrorDetail
		if errors.As(err, &d) && d.Message == errNotText.Error() {
			return problemOf(notText())
		}
		if errors.As(err, &d) {
			p.Errors = append(p.Errors, FieldProblem{Location: safeLocation(d.Location, d.Message), Message: constantPart(d.Message)})
		}
	}
	return p
}

// constantPart cuts a schema message where a value might begin.
func constantPart(msg string) string {
	for _, known := range []string{
		"expected required property", "unexpected property", "expected string", "expected integer",
		"expected number", "expected boolean", "expected array", "expected object", "expected length",
		"expected value to be one of", "expected string to be", "expected string to match", "expected array length",
		"expected at most", "expected at least", "expected number >=", "expected number <=",
	} {
		if strings.HasPrefix(msg, known) {
			if known == "expected required property" || known == "expected value to be one of" {
				return msg // names from the schema, not from the caller
			}
			return known
		}
	}
	return "does not fit the schema"
}

// safeLocation keeps the path of names that the schema defines. The name of a
// property that the schema does not know is the caller's, and so are the keys
// of its maps: someone may have put a value there.
func safeLocation(loc, msg string) string {
	if strings.HasPrefix(msg, "unexpected property") {
		loc = loc[:max(strings.LastIndexByte(loc, '.'), 0)]
	}
	for _, keyed := range []string{".items", ".files"} {
		if i := strings.Index(loc, keyed+"."); i >= 0 {
			return loc[:i+len(keyed)]
		}
	}
	for _, c := range loc {
		if !(c == '.' || c == '_' || c == '[' || c == ']' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z') {
			return "body"
		}
	}
	return loc
}

func init() {
	// huma reports its own errors through these variables; there is no other
	// way to keep callers' values out of them.
	huma.NewError = schemaProblem
	huma.NewErrorWithContext = func(_ huma.Context, status int, msg string, errs ...error) huma.StatusError {
		return schemaProblem(status, msg, errs...)
	}
}

// writeProblem answers outside of huma's operations.
func writeProblem(w http.ResponseWriter, err error) { writeProblemAs(w, problemOf(err)) }

func writeProblemAs(w http.ResponseWriter, p *Problem) {
	w.Header().Set("Content-Type", "application/problem+json")
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="abide"`)
	}
	if p.Status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "1")
	}
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p)
}

func (s *server) nothingHere(w http.ResponseWriter, _ *http.Request) {
	writeProblem(w, &abide.Error{Code: abide.CodeNotFound, Detail: "no_such_path",
		Message: "there is nothing at this path", Hint: "see /docs"})
}
