package client

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	abide "github.com/abide-privacy/abide"
)

// NewSubject describes a data subject to create. The same Reference finds the
// same subject.
type NewSubject struct {
	Kind          abide.SubjectKind `json:"kind,omitempty"`
	Jurisdiction  abide.Place       `json:"jurisdiction,omitempty"`
	Whereabouts   abide.Place       `json:"whereabouts,omitempty"`
	BirthDate     string            `json:"birth_date,omitempty"`
	DeclaredMinor bool              `json:"declared_minor,omitempty"`
	Reference     string            `json:"reference,omitempty"`
}

// CreateSubject creates a subject, or finds the one with the same reference.
func (c *Client) CreateSubject(ctx context.Context, s NewSubject) (abide.SubjectID, error) {
	var out struct {
		ID abide.SubjectID `json:"id"`
	}
	err := c.mutate(ctx, http.MethodPost, "/v1/subjects", s, &out)
	return out.ID, err
}

// PutRequest hands in data for a service or a purpose.
type PutRequest struct {
	Service  abide.Service          `json:"service,omitempty"`
	Purpose  abide.Purpose          `json:"purpose,omitempty"`
	Source   string                 `json:"source,omitempty"`
	Ref      string                 `json:"ref,omitempty"`
	Items    map[abide.Category]any `json:"items"`
	Other    string                 `json:"other,omitempty"`
	Obtained time.Time              `json:"obtained,omitzero"`
}

// PutResult says what was kept and what services still lack.
type PutResult struct {
	Items []struct {
		Category abide.Category  `json:"category"`
		ID       abide.SubjectID `json:"id"`
	} `json:"items"`
	Missing []struct {
		Service    abide.Service    `json:"service"`
		Categories []abide.Category `json:"categories"`
		Clause     string           `json:"clause"`
	} `json:"missing"`
}

// Put hands in data; everything or nothing is kept.
func (c *Client) Put(ctx context.Context, id abide.SubjectID, r PutRequest) (PutResult, error) {
	var out PutResult
	err := c.mutate(ctx, http.MethodPut, subject(id)+"/data", r, &out)
	return out, err
}

// ReadRequest asks for values for a purpose.
type ReadRequest struct {
	Purpose    abide.Purpose    `json:"purpose"`
	Act        string           `json:"act,omitempty"`
	Categories []abide.Category `json:"categories"`
	Recipient  abide.Recipient  `json:"recipient,omitempty"`
	Reason     string           `json:"reason,omitempty"`
	Topic      abide.Topic      `json:"topic,omitempty"`
	Channel    abide.Channel    `json:"channel,omitempty"`
}

// ReadResult holds the values released and the decision they rest on.
type ReadResult struct {
	Data     map[abide.Category][]Value `json:"data"`
	Decision abide.Decision             `json:"decision"`
}

// Value is one item.
type Value struct {
	ID       abide.SubjectID `json:"id"`
	Value    json.RawMessage `json:"value"`
	Source   string          `json:"source"`
	Obtained time.Time       `json:"obtained"`
	Due      time.Time       `json:"due"`
	Masked   bool            `json:"masked"`
	// Of an upload, Value is a File, and Download gets its bytes by the link.
	Link        string    `json:"link,omitempty"`
	LinkExpires time.Time `json:"link_expires,omitzero"`
}

// Text returns the value if it is a JSON string, and "" otherwise.
func (v Value) Text() string {
	var s string
	if json.Unmarshal(v.Value, &s) != nil {
		return ""
	}
	return s
}

// Read returns values; a refusal is an *Error with its Decision. Reading has
// an effect, the record of it, but may be repeated: each attempt is recorded.
func (c *Client) Read(ctx context.Context, id abide.SubjectID, r ReadRequest) (ReadResult, error) {
	var out ReadResult
	err := c.do(ctx, http.MethodPost, subject(id)+"/data/read", "", r, &out)
	return out, err
}

// Lookup finds subjects by a value of a findable category, or by the caller's
// own reference with the category "~reference".
func (c *Client) Lookup(ctx context.Context, category abide.Category, value any, purpose abide.Purpose) ([]abide.SubjectID, error) {
	var out struct {
		IDs []abide.SubjectID `json:"ids"`
	}
	err := c.do(ctx, http.MethodPost, "/v1/subjects/lookup", "", map[string]any{
		"category": category, "value": value, "purpose": purpose}, &out)
	return out.IDs, err
}

// ConsentRequest is one event for the ledger of consent.
type ConsentRequest struct {
	Purpose  abide.Purpose      `json:"purpose,omitempty"`
	Document abide.DocumentName `json:"document,omitempty"`
	Action   string             `json:"action"`
	Topics   []abide.Topic      `json:"topics,omitempty"`
	Channels []abide.Channel    `json:"channels,omitempty"`
	Evidence Evidence           `json:"evidence,omitzero"`
	Expires  time.Time          `json:"expires,omitzero"`
}

// Evidence is what the person saw.
type Evidence struct {
	Wording    string `json:"wording,omitempty"`
	LayoutHash string `json:"layout_hash,omitempty"`
	Language   string `json:"language,omitempty"`
	Separate   bool   `json:"separate,omitempty"`
	Source     string `json:"source,omitempty"`
	Note       string `json:"note,omitempty"`
}

// Consent records what the person said and returns the signed receipt as sent:
// keep its bytes, the signature covers them.
func (c *Client) Consent(ctx context.Context, id abide.SubjectID, r ConsentRequest) (json.RawMessage, error) {
	var out json.RawMessage
	err := c.mutate(ctx, http.MethodPost, subject(id)+"/consents", r, &out)
	return out, err
}

// DecideRequest asks what the policy permits, and releases nothing.
type DecideRequest struct {
	Subject    abide.SubjectID  `json:"subject"`
	Purpose    abide.Purpose    `json:"purpose"`
	Act        string           `json:"act"`
	Categories []abide.Category `json:"categories,omitempty"`
	Recipient  abide.Recipient  `json:"recipient,omitempty"`
	Service    abide.Service    `json:"service,omitempty"`
	Topic      abide.Topic      `json:"topic,omitempty"`
	Channel    abide.Channel    `json:"channel,omitempty"`
	Reason     string           `json:"reason,omitempty"`
	ForValue   bool             `json:"for_value,omitempty"`
	AsOf       time.Time        `json:"as_of,omitzero"`
}

// Decide returns the decision with its reasons, on denial all of them.
func (c *Client) Decide(ctx context.Context, r DecideRequest) (abide.Decision, error) {
	var out abide.Decision
	err := c.do(ctx, http.MethodPost, "/v1/decide", "", r, &out)
	return out, err
}

// RecordEvent reports a fact that deadlines wait for: order.closed.
func (c *Client) RecordEvent(ctx context.Context, id abide.SubjectID, anchor, ref string, at time.Time) error {
	return c.mutate(ctx, http.MethodPost, subject(id)+"/events", map[string]any{"anchor": anchor, "ref": ref, "at": at}, nil)
}

// ChangeService joins ("join") or leaves ("leave") a service. The answer names
// the sources that must stop.
func (c *Client) ChangeService(ctx context.Context, id abide.SubjectID, service abide.Service, action string) (json.RawMessage, error) {
	var out json.RawMessage
	err := c.mutate(ctx, http.MethodPost, subject(id)+"/services", map[string]any{"service": service, "action": action}, &out)
	return out, err
}

// Count adds to a counter about nobody.
func (c *Client) Count(ctx context.Context, category abide.Category, value string, n int64) error {
	return c.do(ctx, http.MethodPost, "/v1/counters", "", map[string]any{"category": category, "value": value, "n": n}, nil)
}

// Erase erases a person and returns the signed certificate as sent.
func (c *Client) Erase(ctx context.Context, id abide.SubjectID) (json.RawMessage, error) {
	var out json.RawMessage
	err := c.mutate(ctx, http.MethodDelete, subject(id), nil, &out)
	return out, err
}

func subject(id abide.SubjectID) string { return "/v1/subjects/" + id.String() }
