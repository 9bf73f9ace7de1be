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

	s.exports()
	s.receipts()
}

// exports are for an auditor, and for a person who wants all of their own.
func (s *server) exports() {
	operation(s, "export-subject-log", http.MethodGet, "/v1/subjects/{id}/log/export", "Log", "Export a person's log, with proofs",
		"Each entry with both parts opened, their randomness and the proof, for the person or an auditor; of an erased person the envelopes, for an auditor. A page at a time. It is recorded before it is answered. abide log verify --export checks it offline.", http.StatusOK,
		func(ctx context.Context, in *struct {
			SubjectPath
			After string `query:"after" maxLength:"512" doc:"next of the page before"`
			Limit int    `query:"limit" minimum:"0" maximum:"500" doc:"200 unless said otherwise"`
			Log   uint64 `query:"log" doc:"Number of the log, if it had to be renewed; the one in force unless said otherwise"`
		}) (*body[engine.LogExport], error) {
			id, err := in.subject()
			if err != nil {
				return nil, err
			}
			got, err := s.engine.ExportSubjectLog(ctx, callOf(ctx), id, in.Log, engine.Page{After: in.After, Limit: in.Limit})
			return answer(got, err)
		})

	operation(s, "export-log", http.MethodGet, "/v1/log/export", "Log", "Export a stretch of the log, with proofs",
		"For an auditor: the envelope of each entry, who did what and when and by which rule, and nobody it was done to. A page at a time: next is the from of the next one. It is recorded before it is answered.", http.StatusOK,
		func(ctx context.Context, in *struct {
			From  uint64 `query:"from" doc:"Index of the first entry"`
			To    uint64 `query:"to" doc:"Index after the last entry; the end of the checkpoint unless said otherwise"`
			Limit int    `query:"limit" minimum:"0" maximum:"500" doc:"200 unless said otherwise"`
			Log   uint64 `query:"log" doc:"Number of the log, if it had to be renewed; the one in force unless said otherwise"`
		}) (*body[engine.LogExport], error) {
			got, err := s.engine.ExportLog(ctx, callOf(ctx), engine.LogRange{Log: in.Log, From: in.From, To: in.To, Limit: in.Limit})
			return answer(got, err)
		})
}
