package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/engine"
)

type decideInput struct {
	Subject    string          `json:"subject" maxLength:"36" doc:"The subject's id"`
	Purpose    string          `json:"purpose" maxLength:"64"`
	Act        string          `json:"act" maxLength:"16" doc:"collect, read, use, contact, choose or disclose; an unknown act is denied"`
	Categories []string        `json:"categories,omitempty" maxItems:"256" doc:"All that the purpose uses for this act, if left out"`
	Recipient  string          `json:"recipient,omitempty" maxLength:"64"`
	Service    string          `json:"service,omitempty" maxLength:"64"`
	Topic      string          `json:"topic,omitempty" maxLength:"64"`
	Channel    string          `json:"channel,omitempty" maxLength:"64"`
	Reason     string          `json:"reason,omitempty" maxLength:"500"`
	ForValue   bool            `json:"for_value,omitempty" doc:"Disclosed for money or other value"`
	Facts      json.RawMessage `json:"facts,omitempty" doc:"Facts about categories that your own systems keep"`
	AsOf       time.Time       `json:"as_of,omitempty" doc:"What was permitted then, under the policy and the consents of that day"`
}

func (s *server) decisions() {
	operation(s, "decide", http.MethodPost, "/v1/decide", "Decisions", "Ask what the policy permits",
		"Releases nothing. Always answers 200 with the decision and its reasons; an unknown name is denied, not an error.", http.StatusOK,
		func(ctx context.Context, in *struct{ Body decideInput }) (*body[abide.Decision], error) {
			b := in.Body
			id, err := abide.ParseSubjectID(b.Subject)
			if err != nil {
				return nil, withField(err, "subject")
			}
			got, err := s.engine.Decide(ctx, callOf(ctx), engine.Decide{
				Subject: id, Purpose: abide.Purpose(b.Purpose), Act: abide.ParseAct(b.Act),
				Categories: categories(b.Categories), Recipient: abide.Recipient(b.Recipient),
				Service: abide.Service(b.Service), Topic: abide.Topic(b.Topic), Channel: abide.Channel(b.Channel),
				Reason: b.Reason, ForValue: b.ForValue, Facts: b.Facts, AsOf: b.AsOf,
			})
			return answer(got, err)
		})
}
