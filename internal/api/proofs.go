package api

import (
	"context"
	"net/http"

	"github.com/abide-privacy/abide/internal/engine"
)

// proofs are the calls by which a person proves what this server says it did.
func (s *server) proofs() {
	operation(s, "prove-entry", http.MethodGet, "/v1/subjects/{id}/log/{n}/proof", "Log", "Prove an entry of this person's log",
		"Answers with the opened entry and its proof under a signed checkpoint, which verify without this server (spec/log.md, rule 15). An entry that no checkpoint has yet is 409, not_in_log_yet.", http.StatusOK,
		func(ctx context.Context, in *struct {
			SubjectPath
			N uint64 `path:"n" minimum:"1" doc:"Number of the entry"`
		}) (*body[engine.LogProof], error) {
			id, err := in.subject()
			if err != nil {
				return nil, err
			}
			got, err := s.engine.ProveEntry(ctx, callOf(ctx), id, in.N)
			return answer(got, err)
		})

	operation(s, "prove-look", http.MethodGet, "/v1/subjects/{id}/looks/{node}/{batch}/{pos}/proof", "Log", "Prove the record of a look",
		"As for an entry; node, batch and pos are those of the look in the log.", http.StatusOK,
		func(ctx context.Context, in *struct {
			SubjectPath
			Node  string `path:"node" maxLength:"100"`
			Batch uint64 `path:"batch" minimum:"1"`
			Pos   uint32 `path:"pos"`
		}) (*body[engine.LogProof], error) {
			id, err := in.subject()
			if err != nil {
				return nil, err
			}
			got, err := s.engine.ProveLook(ctx, callOf(ctx), id, engine.LookReceipt{Node: in.Node, Batch: in.Batch, Pos: in.Pos})
			return answer(got, err)
		})

	s.receipts()
}
