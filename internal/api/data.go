package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/engine"
)

type collectInput struct {
	Service  string                     `json:"service,omitempty" maxLength:"64" doc:"The service that asks for the data"`
	Purpose  string                     `json:"purpose,omitempty" maxLength:"64" doc:"Instead of a service"`
	Source   string                     `json:"source,omitempty" maxLength:"64" doc:"Where it came from: checkout, call centre" example:"checkout"`
	Ref      string                     `json:"ref,omitempty" maxLength:"128" doc:"Ties the items to facts: the order's number"`
	Items    map[string]json.RawMessage `json:"items" doc:"Values by category; an array for a category of which there may be many" example:"{\"person.email\":\"a@example.test\"}"`
	From     []engine.ItemRef           `json:"derived_from,omitempty" doc:"The items that a derived value was made from"`
	Other    string                     `json:"other,omitempty" maxLength:"36" doc:"The other party of a message or contact"`
	Obtained time.Time                  `json:"obtained,omitempty" doc:"Now, unless said otherwise"`
}

type readInput struct {
	Purpose    string   `json:"purpose" minLength:"1" maxLength:"64" example:"provide"`
	Act        string   `json:"act,omitempty" enum:"read,use,contact,choose,disclose" doc:"read unless said otherwise"`
	Categories []string `json:"categories" minItems:"1" maxItems:"256" example:"[\"person.email\"]"`
	Recipient  string   `json:"recipient,omitempty" maxLength:"64"`
	Reason     string   `json:"reason,omitempty" maxLength:"500" doc:"Why, for levels that want a reason; it is kept in the log"`
	Approval   string   `json:"approval,omitempty" maxLength:"36" doc:"For levels that open only if others agree: the id from POST /v1/approvals"`
	Topic      string   `json:"topic,omitempty" maxLength:"64"`
	Channel    string   `json:"channel,omitempty" maxLength:"64"`
}

type readOutput struct {
	Data     map[abide.Category][]engine.Value `json:"data"`
	Decision abide.Decision                    `json:"decision"`
	Record   engine.LookReceipt                `json:"record" doc:"Where the record of this look stands"`
}

func (s *server) data() {
	operation(s, "put-data", http.MethodPut, "/v1/subjects/{id}/data", "Data", "Hand in personal data",
		"Everything or nothing is kept. Values are checked and normalised by the format of their category.", http.StatusOK,
		func(ctx context.Context, in *struct {
			Mutating
			SubjectPath
			Body collectInput
		}) (*body[engine.Collected], error) {
			id, err := in.subject()
			if err != nil {
				return nil, err
			}
			req := engine.Collect{
				Subject: id, Service: abide.Service(in.Body.Service), Purpose: abide.Purpose(in.Body.Purpose),
				Source: in.Body.Source, Ref: in.Body.Ref, From: in.Body.From, Obtained: in.Body.Obtained,
				Items: make(map[abide.Category]json.RawMessage, len(in.Body.Items)),
			}
			for name, value := range in.Body.Items {
				req.Items[abide.Category(name)] = value
			}
			if in.Body.Other != "" {
				if req.Other, err = abide.ParseSubjectID(in.Body.Other); err != nil {
					return nil, withField(err, "other")
				}
			}
			got, err := s.engine.Collect(ctx, in.call(ctx), req)
			return answer(got, err)
		})

	operation(s, "read-data", http.MethodPost, "/v1/subjects/{id}/data/read", "Data", "Read personal data for a purpose",
		"Released only if every category is permitted, and only after the look is recorded. Refused: 403 with every reason, its clause and its line.", http.StatusOK,
		func(ctx context.Context, in *struct {
			SubjectPath
			Body readInput
		}) (*body[readOutput], error) {
			id, err := in.subject()
			if err != nil {
				return nil, err
			}
			act := abide.ActRead
			if in.Body.Act != "" {
				act = abide.ParseAct(in.Body.Act)
			}
			got, err := s.engine.ReadData(ctx, callOf(ctx), engine.Read{
				Subject: id, Purpose: abide.Purpose(in.Body.Purpose), Act: act,
				Categories: categories(in.Body.Categories), Recipient: abide.Recipient(in.Body.Recipient),
				Reason: in.Body.Reason, Approval: in.Body.Approval, Topic: abide.Topic(in.Body.Topic), Channel: abide.Channel(in.Body.Channel),
			})
			if err != nil {
				return nil, err
			}
			return &body[readOutput]{Body: readOutput{Data: s.linked(got.Data), Decision: got.Decision, Record: got.Receipt}}, nil
		})

	type found struct {
		IDs []abide.SubjectID `json:"ids"`
	}
	operation(s, "lookup", http.MethodPost, "/v1/subjects/lookup", "Data", "Find subjects by a value",
		"By a category that the policy declares findable, or by your own reference with the category ~reference. The value travels in the body, never in the URL.", http.StatusOK,
		func(ctx context.Context, in *struct {
			Body struct {
				Category string          `json:"category" minLength:"1" maxLength:"129" example:"person.email"`
				Value    json.RawMessage `json:"value"`
				Purpose  string          `json:"purpose,omitempty" maxLength:"64"`
			}
		}) (*body[found], error) {
			ids, err := s.engine.Lookup(ctx, callOf(ctx), engine.Lookup{
				Category: abide.Category(in.Body.Category), Value: in.Body.Value, Purpose: abide.Purpose(in.Body.Purpose),
			})
			if ids == nil {
				ids = []abide.SubjectID{}
			}
			return answer(found{IDs: ids}, err)
		})
}

func categories(names []string) []abide.Category {
	out := make([]abide.Category, len(names))
	for i, n := range names {
		out[i] = abide.Category(n)
	}
	return out
}

// withField names the input an error is about.
func withField(err error, field string) error {
	var e *abide.Error
	if errors.As(err, &e) {
		named := *e
		named.Field = field
		return &named
	}
	return err
}
