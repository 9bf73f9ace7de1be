package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/engine"
)

type evidenceInput struct {
	Wording    string `json:"wording,omitempty" maxLength:"20000" doc:"The exact text shown to the person"`
	LayoutHash string `json:"layout_hash,omitempty" maxLength:"128" doc:"SHA-256 of the layout shown"`
	Language   string `json:"language,omitempty" maxLength:"35" doc:"BCP 47" example:"en"`
	Separate   bool   `json:"separate,omitempty" doc:"Asked on its own, not bundled with other consents"`
	Source     string `json:"source,omitempty" maxLength:"128" doc:"Page, form or call centre" example:"checkout"`
	Note       string `json:"note,omitempty" maxLength:"500" doc:"An operator's reason"`

	// Evidence takes whatever else the caller keeps of the moment.
	_       struct{} `json:"-" additionalProperties:"true"`
	details string
}

// UnmarshalJSON keeps the fields it does not know as details.
func (e *evidenceInput) UnmarshalJSON(raw []byte) error {
	type plain evidenceInput
	if err := json.Unmarshal(raw, (*plain)(e)); err != nil {
		return err
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(raw, &all); err != nil {
		return err
	}
	for _, known := range []string{"wording", "layout_hash", "language", "separate", "source", "note"} {
		delete(all, known)
	}
	if len(all) == 0 {
		return nil
	}
	details, err := json.Marshal(all) // keys sorted: equal evidence gives equal bytes
	e.details = string(details)
	return err
}

type consentInput struct {
	Purpose  string        `json:"purpose,omitempty" maxLength:"64" example:"marketing"`
	Document string        `json:"document,omitempty" maxLength:"64" doc:"For accept: the document agreed to"`
	Action   string        `json:"action" enum:"ask,tell,give,indicate_no_objection,refuse,withdraw,renew,object,lift_objection,accept"`
	Topics   []string      `json:"topics,omitempty" maxItems:"64" doc:"These types of message only; all if left out"`
	Channels []string      `json:"channels,omitempty" maxItems:"16" doc:"These channels only; all if left out"`
	Evidence evidenceInput `json:"evidence,omitempty"`
	Expires  time.Time     `json:"expires,omitempty"`
}

func (s *server) consents() {
	operation(s, "write-consent", http.MethodPost, "/v1/subjects/{id}/consents", "Consent", "Record what the person said",
		"Appends an event to the ledger of consent and answers with a signed receipt. An indication of no objection is an act after notice; silence is nothing.", http.StatusCreated,
		func(ctx context.Context, in *struct {
			Mutating
			SubjectPath
			Body consentInput
		}) (*body[engine.Receipt], error) {
			id, err := in.subject()
			if err != nil {
				return nil, err
			}
			b := in.Body
			w := engine.ConsentWrite{
				Subject: id, Purpose: abide.Purpose(b.Purpose), Document: abide.DocumentName(b.Document),
				Action: b.Action, Expires: b.Expires,
				Evidence: abide.Evidence{Wording: b.Evidence.Wording, LayoutHash: b.Evidence.LayoutHash,
					Language: b.Evidence.Language, Separate: b.Evidence.Separate,
					Source: b.Evidence.Source, Note: b.Evidence.Note, Details: b.Evidence.details},
			}
			for _, t := range b.Topics {
				w.Topics = append(w.Topics, abide.Topic(t))
			}
			for _, c := range b.Channels {
				w.Channels = append(w.Channels, abide.Channel(c))
			}
			got, err := s.engine.WriteConsent(ctx, in.call(ctx), w)
			return answer(got, err)
		})

	operation(s, "list-consents", http.MethodGet, "/v1/subjects/{id}/consents", "Consent", "What the person agreed to, and the ledger it follows from",
		"The state is folded from the events; nothing is ever edited.", http.StatusOK,
		func(ctx context.Context, in *struct{ SubjectPath }) (*body[engine.ConsentsView], error) {
			id, err := in.subject()
			if err != nil {
				return nil, err
			}
			got, err := s.engine.Consents(ctx, callOf(ctx), id)
			return answer(got, err)
		})

	type publicKey struct {
		KeyID     string `json:"key_id"`
		Algorithm string `json:"algorithm" example:"Ed25519"`
		Key       []byte `json:"key" doc:"32 bytes, base64"`
	}
	type publicKeys struct {
		publicKey
		Earlier []publicKey `json:"earlier" doc:"keys that signed before a rotation and verify what they signed"`
	}
	register(s, huma.Operation{OperationID: "receipt-key", Method: http.MethodGet, Path: "/v1/receipt-key", Summary: "The key that verifies receipts and certificates",
		Description: "Ed25519 (RFC 8032); keep it to verify receipts without this server. Each document names the key that signed it; earlier keys sign nothing any more. Whoever verifies needs no token to ask.",
		Tags:        []string{"Consent"}, DefaultStatus: http.StatusOK, MaxBodyBytes: s.limits.Body, Security: []map[string][]string{},
		Errors: []int{http.StatusServiceUnavailable}},
		func(context.Context, *struct{}) (*body[publicKeys], error) {
			out := publicKeys{Earlier: []publicKey{}}
			for i, k := range s.engine.PublicKeys() {
				one := publicKey{KeyID: k.ID, Algorithm: "Ed25519", Key: k.Key}
				if i == 0 {
					out.publicKey = one
				} else {
					out.Earlier = append(out.Earlier, one)
				}
			}
			return answer(out, nil)
		})
}
