package api

import (
	"context"
	"net/http"

	"github.com/abide-privacy/abide/internal/engine"
)

func (s *server) retention() {
	operation(s, "see-retention", http.MethodGet, "/v1/subjects/{id}/retention", "Retention", "When each item goes, and which ground keeps it",
		"The longest lawful ground with its clause, what becomes of the item then, and the holds that keep it after that. No values.", http.StatusOK,
		func(ctx context.Context, in *struct{ SubjectPath }) (*body[engine.Retention], error) {
			id, err := in.subject()
			if err != nil {
				return nil, err
			}
			got, err := s.engine.Retention(ctx, callOf(ctx), id)
			return answer(got, err)
		})
}
