// Package client calls an Abide server from Go.
//
//	c, err := client.New("https://privacy.shop.example", os.Getenv("ABIDE_TOKEN"))
//	got, err := c.Read(ctx, id, client.ReadRequest{Purpose: "provide", Categories: []abide.Category{"person.email"}})
//	var refused *client.Error
//	if errors.As(err, &refused) && refused.Decision != nil { … } // every reason, with its clause and line
//
// A mutating call carries an idempotency key, so that the client can repeat it
// when the outcome is unknown; nothing is done twice. The client never logs.
package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	abide "github.com/abide-privacy/abide"
)

// Client calls one server. It is safe for concurrent use.
type Client struct {
	base  string
	token string
	http  *http.Client
	wait  func(context.Context, time.Duration) error
}

// Option changes a client.
type Option func(*Client)

// WithHTTPClient uses another HTTP client, for its timeouts or its transport.
func WithHTTPClient(h *http.Client) Option { return func(c *Client) { c.http = h } }

// New returns a client for the server at base, such as https://privacy.shop.example.
func New(base, token string, options ...Option) (*Client, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, &abide.Error{Code: abide.CodeInvalid, Detail: "bad_server_url",
			Message: "the server's URL is not of the form https://host", Hint: "for a server on this machine: http://127.0.0.1:8080"}
	}
	c := &Client{base: strings.TrimSuffix(base, "/"), token: token,
		http: &http.Client{Timeout: 60 * time.Second}, wait: wait}
	for _, o := range options {
		o(c)
	}
	return c, nil
}

// Error is a problem the server answered with (RFC 9457).
type Error struct {
	Status   int             `json:"status"`
	Type     string          `json:"type"`
	Title    string          `json:"title"`
	Detail   string          `json:"detail"`
	Code     string          `json:"code"`
	Hint     string          `json:"hint"`
	Field    string          `json:"field"`
	Decision *abide.Decision `json:"decision"`
	Fields   []FieldError    `json:"errors"`
}

// FieldError is one input that does not fit.
type FieldError struct {
	Location string `json:"location"`
	Message  string `json:"message"`
}

func (e *Error) Error() string {
	s := e.Detail
	if s == "" {
		s = e.Title
	}
	if e.Field != "" {
		s += " [" + e.Field + "]"
	}
	return s
}

// Class is the class of the problem: the last part of its type.
func (e *Error) Class() abide.Code {
	return abide.Code(e.Type[strings.LastIndex(e.Type, ":")+1:])
}

// Do sends one call and decodes the answer into out, if out is not nil. in is
// the body as a value for encoding/json, or nil. It is for calls that have no
// method of their own.
func (c *Client) Do(ctx context.Context, method, path string, in, out any) error {
	return c.do(ctx, method, path, "", in, out)
}

// tries is how often a mutating call is sent while its outcome is unknown or
// the server is not available.
const tries = 4

// mutate sends a call that may be repeated under one idempotency key.
func (c *Client) mutate(ctx context.Context, method, path string, in, out any) error {
	key := rand.Text()
	if k, ok := ctx.Value(idempotencyKey{}).(string); ok {
		key = k
	}
	for n := 1; ; n++ {
		err := c.do(ctx, method, path, key, in, out)
		if err == nil || n == tries || !repeatable(err) {
			return err
		}
		if err := c.wait(ctx, time.Duration(n*n)*50*time.Millisecond); err != nil {
			return err
		}
	}
}

type idempotencyKey struct{}

// WithIdempotencyKey sets the key of the mutating calls made with the context,
// for callers that repeat a call after a crash of their own.
func WithIdempotencyKey(ctx context.Context, key string) context.Context {
	return context.WithValue(ctx, idempotencyKey{}, key)
}

// repeatable reports whether sending the same call again may succeed: the
// server was not reached, is not available, or does not know the outcome.
func repeatable(err error) bool {
	var e *Error
	if errors.As(err, &e) {
		return e.Status == http.StatusServiceUnavailable || e.Status == http.StatusTooManyRequests
	}
	return !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// maxAnswer bounds what a client reads of an answer.
const maxAnswer = 64 << 20

func (c *Client) do(ctx context.Context, method, path, key string, in, out any) error {
	var payload io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("abide: encoding the request: %w", err)
		}
		payload = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, payload)
	if err != nil {
		return fmt.Errorf("abide: %w", err)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", "application/json")
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("abide: the server was not reached: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("abide: reading the answer: %w", err)
	}
	if res.StatusCode >= 400 {
		return problem(res.StatusCode, raw)
	}
	if out == nil || len(raw) == 0 {
		return nil
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return fmt.Errorf("abide: decoding the answer: %w", err)
	}
	return nil
}

func problem(status int, raw []byte) error {
	e := &Error{}
	if json.Unmarshal(raw, e) != nil || e.Type == "" {
		e = &Error{Type: "about:blank", Title: http.StatusText(status),
			Detail: "the server answered with status " + http.StatusText(status), Hint: "is this the URL of an Abide server?"}
	}
	e.Status = status
	return e
}
