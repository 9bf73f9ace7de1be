package api

import (
	"context"
	"net/http"

	"github.com/abide-privacy/abide/internal/engine"
)

func (s *server) imports() {
	type outcomes struct {
		Outcomes []engine.ImportOutcome `json:"outcomes"`
	}
	operation(s, "import", http.MethodPost, "/v1/imports", "Administration", "Take in people with their data and consents",
		"Each row whole or not at all; a row sent twice is taken in once. Consents from before carry a grade: proved, claimed or unknown. `abide import` sends a CSV file this way.", http.StatusOK,
		func(ctx context.Context, in *struct{ Body engine.Import }) (*body[outcomes], error) {
			got, err := s.engine.Import(ctx, callOf(ctx), in.Body)
			return answer(outcomes{Outcomes: got}, err)
		})
}
