package api

import (
	"context"
	"net/http"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/engine"
)

func (s *server) explain() {
	operation(s, "explain", http.MethodGet, "/v1/subjects/{id}/explain", "Decisions", "What was allowed on an earlier day, and why",
		"Makes a decision again from log and ledger, with the policy of that day, and says where it differs from the one on record. Of an erased person it says erased. That you looked is on record first.", http.StatusOK,
		func(ctx context.Context, in *struct {
			SubjectPath
			Purpose    string    `query:"purpose" maxLength:"64" doc:"May be left out with entry"`
			Act        string    `query:"act" maxLength:"16" doc:"collect, read, use, contact, choose or disclose; as on record, or read, if left out"`
			Categories []string  `query:"category,explode" maxItems:"256" doc:"As on record, or all that the purpose uses for the act, if left out"`
			Recipient  string    `query:"recipient" maxLength:"64"`
			Topic      string    `query:"topic" maxLength:"64"`
			Channel    string    `query:"channel" maxLength:"64"`
			At         time.Time `query:"at" doc:"Now, unless said otherwise"`
			Since      time.Time `query:"since" doc:"Lists besides when the answer changed from then on, and why"`
			Entry      string    `query:"entry" maxLength:"160" doc:"One decision on record: the number of an entry, node/batch/pos of a look, or a commitment"`
		}) (*body[*engine.Explanation], error) {
			id, err := in.subject()
			if err != nil {
				return nil, err
			}
			r := engine.Explain{Subject: id, Purpose: abide.Purpose(in.Purpose), Categories: categories(in.Categories),
				Recipient: abide.Recipient(in.Recipient), Topic: abide.Topic(in.Topic), Channel: abide.Channel(in.Channel), At: in.At, Entry: in.Entry, Since: in.Since}
			if in.Act != "" {
				if r.Act = abide.ParseAct(in.Act); r.Act == abide.ActUnknown {
					return nil, &abide.Error{Code: abide.CodeInvalid, Detail: "unknown_act", Field: "act", Message: "there is no such act",
						Hint: "use collect, read, use, contact, choose or disclose"}
				}
			}
			got, err := s.engine.Explain(ctx, callOf(ctx), r)
			return answer(got, err)
		})
}
