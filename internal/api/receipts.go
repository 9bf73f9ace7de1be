package api

import (
	"context"
	"mime"
	"net/http"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/engine"
)

const (
	mediaJSON   = "application/json"
	mediaJSONLD = "application/ld+json"
)

// signedDocument is a document in canonical JSON, sent as it was signed.
type signedDocument struct {
	ContentType string `header:"Content-Type"`
	Vary        string `header:"Vary"`
	Body        []byte
}

// documentOperation registers a call that answers with a document that proves
// itself.
func documentOperation[I any](s *server, id, path, tag, summary, description string, foreign bool, h func(context.Context, *I) (*signedDocument, error)) {
	proved := huma.SchemaFromType(s.api.OpenAPI().Components.Schemas, reflect.TypeFor[audit.Evidence]())
	content := map[string]*huma.MediaType{mediaJSON: {Schema: proved}}
	if foreign {
		content[mediaJSONLD] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true,
			Description: "ISO/IEC TS 27560 in the Data Privacy Vocabulary; with the proof in the member abide (docs/receipts.md)"}}
	}
	register(s, huma.Operation{OperationID: id, Method: http.MethodGet, Path: path, Summary: summary, Description: description, Tags: []string{tag},
		DefaultStatus: http.StatusOK, MaxBodyBytes: s.limits.Body, Responses: map[string]*huma.Response{"200": {Content: content}},
		Errors: []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusConflict,
			http.StatusUnprocessableEntity, http.StatusServiceUnavailable}}, h)
}

func (s *server) receipts() {
	documentOperation(s, "read-receipt", "/v1/subjects/{id}/receipts/{event}", "Consent", "The receipt of an event, with its proof",
		"The receipt as it was signed, and from about a second after the event the proof that the log has it. Whoever keeps both notices a log that was cut. "+
			"In the published forms with format, or with Accept: application/ld+json. Verifies without this server: abide consent verify FILE (docs/receipts.md).", true,
		func(ctx context.Context, in *struct {
			SubjectPath
			Event  uint64 `path:"event" minimum:"1" doc:"Number of the event in the ledger"`
			Format string `query:"format" enum:"abide,iso27560,iso27560-record,kantara" doc:"abide unless said otherwise; iso27560 is the consent receipt of ISO/IEC TS 27560, iso27560-record the record"`
			Accept string `header:"Accept" doc:"application/ld+json asks for iso27560"`
		}) (*signedDocument, error) {
			id, err := in.subject()
			if err != nil {
				return nil, err
			}
			form := engine.ReceiptForm(in.Format)
			if form == "" && wantsLinkedData(in.Accept) {
				form = engine.ReceiptISO
			}
			notice := ""
			if s.baseURL != "" {
				notice = strings.TrimSuffix(s.baseURL, "/") + "/policy"
			}
			got, err := s.engine.Receipt(ctx, callOf(ctx), engine.ReceiptRequest{Subject: id, Event: in.Event, Form: form, Notice: notice})
			out := &signedDocument{ContentType: mediaJSON, Vary: "Accept", Body: got}
			if form == engine.ReceiptISO || form == engine.RecordISO {
				out.ContentType = mediaJSONLD
			}
			return out, err
		})

	documentOperation(s, "erasure-certificate", "/v1/subjects/{id}/certificate", "Subjects", "The certificate of an erasure, with its proof",
		"The certificate as it was signed, and from about a second after the erasure the proof that the log has it. Verifies without this server: abide certificate verify FILE.", false,
		func(ctx context.Context, in *struct{ SubjectPath }) (*signedDocument, error) {
			id, err := in.subject()
			if err != nil {
				return nil, err
			}
			got, err := s.engine.ProvedCertificate(ctx, callOf(ctx), id)
			return &signedDocument{ContentType: mediaJSON, Body: got}, err
		})

	documentOperation(s, "disclosure-certificate", "/v1/subjects/{id}/looks/{node}/{batch}/{pos}/certificate", "Log", "Certify a disclosure",
		"For an entry of the kind disclosed: who received which categories, for what, and by which rule, with the proof that the log has it. Verifies without this server: abide certificate verify FILE.", false,
		func(ctx context.Context, in *struct {
			SubjectPath
			Node  string `path:"node" maxLength:"100"`
			Batch uint64 `path:"batch" minimum:"1"`
			Pos   uint32 `path:"pos"`
		}) (*signedDocument, error) {
			id, err := in.subject()
			if err != nil {
				return nil, err
			}
			got, err := s.engine.DisclosureCertificate(ctx, callOf(ctx), id, engine.LookReceipt{Node: in.Node, Batch: in.Batch, Pos: in.Pos})
			return &signedDocument{ContentType: mediaJSON, Body: got}, err
		})
}

// wantsLinkedData reports whether JSON-LD is asked for, and plain JSON is not.
func wantsLinkedData(accept string) bool {
	linked := false
	for part := range strings.SplitSeq(accept, ",") {
		kind, _, err := mime.ParseMediaType(part)
		switch {
		case err != nil:
		case kind == mediaJSON:
			return false
		case kind == mediaJSONLD:
			linked = true
		}
	}
	return linked
}
