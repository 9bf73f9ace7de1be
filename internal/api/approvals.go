package api

import (
	"context"
	"net/http"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/engine"
)

func (s *server) approvals() {
	operation(s, "ask-approval", http.MethodPost, "/v1/approvals", "Approvals", "Ask others to agree to a look",
		"For levels of the policy that open only if others agree. Name the answer's id as approval when reading; it holds for a day, for you, for this person, purpose and these categories.", http.StatusCreated,
		func(ctx context.Context, in *struct {
			Body struct {
				Subject    string   `json:"subject" maxLength:"36"`
				Purpose    string   `json:"purpose" minLength:"1" maxLength:"64"`
				Act        string   `json:"act,omitempty" enum:"read,use,contact,choose,disclose"`
				Categories []string `json:"categories" minItems:"1" maxItems:"256"`
				Reason     string   `json:"reason" minLength:"1" maxLength:"500"`
			}
		}) (*body[engine.Approval], error) {
			id, err := abide.ParseSubjectID(in.Body.Subject)
			if err != nil {
				return nil, withField(err, "subject")
			}
			got, err := s.engine.AskApproval(ctx, callOf(ctx), engine.ApprovalRequest{Subject: id, Purpose: abide.Purpose(in.Body.Purpose),
				Act: abide.ParseAct(in.Body.Act), Categories: categories(in.Body.Categories), Reason: in.Body.Reason})
			return answer(got, err)
		})

	operation(s, "approve", http.MethodPost, "/v1/approvals/{id}/approve", "Approvals", "Agree to a look that somebody else asked for",
		"Staff only. Nobody approves their own request or counts twice.", http.StatusOK,
		func(ctx context.Context, in *struct {
			ID string `path:"id" maxLength:"36"`
		}) (*body[engine.Approval], error) {
			got, err := s.engine.Approve(ctx, callOf(ctx), in.ID)
			return answer(got, err)
		})

	type approvals struct {
		Approvals []engine.Approval `json:"approvals"`
	}
	operation(s, "list-approvals", http.MethodGet, "/v1/approvals", "Approvals", "What waits for agreement",
		"Requests that have not expired, with those who agreed.", http.StatusOK,
		func(ctx context.Context, _ *struct{}) (*body[approvals], error) {
			got, err := s.engine.Approvals(ctx, callOf(ctx))
			return answer(approvals{Approvals: got}, err)
		})
}
