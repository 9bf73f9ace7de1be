package api

import (
	"context"
	"net/http"

	"github.com/abide-privacy/abide/internal/engine"
)

// restore offers what an operator needs after a restore.
func (s *server) restore() {
	operation(s, "get-restore", http.MethodGet, "/v1/restore", "Administration", "How the store stands to its restore ledger",
		"What the last start brought back, and whether what people decided before a restore is not known.", http.StatusOK,
		func(ctx context.Context, _ *struct{}) (*body[engine.RestoreState], error) {
			got, err := s.engine.RestoreState(ctx, callOf(ctx))
			return answer(got, err)
		})

	operation(s, "resolve-gap", http.MethodPost, "/v1/restore/resolve", "Administration", "Resolve a gap after a restore",
		"Ends the refusal of whatever rests on what people decided. It is on record who did, and why.", http.StatusNoContent,
		func(ctx context.Context, in *struct {
			Body struct {
				Operator string `json:"operator" minLength:"1" maxLength:"64" doc:"Who resolves it"`
				Reason   string `json:"reason" minLength:"1" maxLength:"500" doc:"Why; no personal data"`
			}
		}) (*struct{}, error) {
			return nil, s.engine.ResolveGap(ctx, callOf(ctx), in.Body.Operator, in.Body.Reason)
		})
}
