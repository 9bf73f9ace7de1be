package api

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/engine"
)

// uploadTimeout bounds one upload or download as a whole; Limits.Timeout bounds
// how long it may stand still.
const uploadTimeout = 6 * time.Hour

const (
	routeUpload   = "PUT /v1/subjects/{id}/uploads/{category}"
	routeDownload = "GET /v1/uploads/{token}"
)

// streams are the routes whose bodies are streamed: the limit of a body's size
// and the deadline of a request do not hold for them.
var streams = map[string]bool{routeUpload: true, routeDownload: true}

func (s *server) uploads(mux *http.ServeMux) {
	mux.HandleFunc(routeUpload, s.upload)
	mux.HandleFunc(routeDownload, s.download)
	s.describeUploads()
}

// upload takes in a file. Its name, and a reference, come in headers: URLs are
// written to logs on the way.
func (s *server) upload(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), uploadTimeout)
	defer cancel()
	got, err := s.takeIn(ctx, w, r)
	if err != nil {
		s.fail(w, "put-upload", err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(got) // whoever does not hear it asks again with the same key
}

func (s *server) takeIn(ctx context.Context, w http.ResponseWriter, r *http.Request) (engine.Uploaded, error) {
	if err := required(ctx); err != nil {
		return engine.Uploaded{}, err
	}
	c := callOf(ctx)
	c.IdempotencyKey = r.Header.Get("Idempotency-Key")
	q := r.URL.Query()
	u := engine.Upload{Category: abide.Category(r.PathValue("category")), Service: abide.Service(q.Get("service")), Purpose: abide.Purpose(q.Get("purpose")),
		Source: q.Get("source"), Ref: r.Header.Get("Abide-Ref"), MediaType: r.Header.Get("Content-Type"), Size: r.ContentLength}
	var err error
	if u.Subject, err = abide.ParseSubjectID(r.PathValue("id")); err != nil {
		return engine.Uploaded{}, err
	}
	if strings.HasPrefix(strings.ToLower(u.MediaType), "multipart/form-data") {
		return engine.Uploaded{}, badHeader("send_the_file_itself", "a form is no file", "send the bytes of the file as the body", "Content-Type")
	}
	if at := q.Get("obtained"); at != "" {
		if u.Obtained, err = time.Parse(time.RFC3339, at); err != nil {
			return engine.Uploaded{}, badHeader("bad_time", "this is not a time", "write 2026-11-01T12:00:00Z", "obtained")
		}
	}
	if u.Name, err = fileName(r.Header.Get("Content-Disposition")); err != nil {
		return engine.Uploaded{}, err
	}
	if u.SHA256, err = digestOf(r.Header.Values("Content-Digest")); err != nil {
		return engine.Uploaded{}, err
	}
	return s.engine.PutUpload(ctx, c, u, &alive{body: r.Body, control: http.NewResponseController(w), idle: s.limits.Timeout})
}

// alive gives the connection another while with each read.
type alive struct {
	body    io.Reader
	control *http.ResponseController
	idle    time.Duration
}

func (a *alive) Read(p []byte) (int, error) {
	// Where there is no connection there is no deadline either.
	_ = a.control.SetReadDeadline(time.Now().Add(a.idle))
	_ = a.control.SetWriteDeadline(time.Now().Add(2 * a.idle))
	return a.body.Read(p)
}

func badHeader(detail, message, hint, field string) error {
	return &abide.Error{Code: abide.CodeInvalid, Detail: detail, Message: message, Hint: hint, Field: field}
}

// fileName reads the name of a file out of Content-Disposition (RFC 6266).
func fileName(header string) (string, error) {
	if header == "" {
		return "", nil
	}
	_, params, err := mime.ParseMediaType(header)
	if err != nil {
		return "", badHeader("bad_content_disposition", "the Content-Disposition header cannot be read",
			`write attachment; filename="name.pdf", or filename*=UTF-8''name.pdf (RFC 6266)`, "Content-Disposition")
	}
	return params["filename"], nil
}

// digestOf reads the SHA-256 out of Content-Digest (RFC 9530). Digests of other
// kinds are not looked at.
func digestOf(headers []string) ([]byte, error) {
	for _, one := range strings.Split(strings.Join(headers, ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(one), "=")
		if strings.ToLower(name) != "sha-256" {
			continue
		}
		text, ok := strings.CutPrefix(value, ":")
		text, closed := strings.CutSuffix(text, ":")
		sum, err := base64.StdEncoding.DecodeString(text)
		if !ok || !closed || err != nil || len(sum) != 32 {
			return nil, badHeader("bad_content_digest", "the Content-Digest header cannot be read", "write sha-256=:BASE64: (RFC 9530)", "Content-Digest")
		}
		return sum, nil
	}
	return nil, nil
}

// download hands out a file by a short-lived link. The link is the credential:
// what it may open is decided by the engine, at this moment.
func (s *server) download(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), uploadTimeout)
	defer cancel()
	d, err := s.engine.OpenDownload(ctx, r.PathValue("token"))
	if err != nil {
		s.fail(w, "get-upload", err)
		return
	}
	defer func() { _ = d.Close() }()
	h := w.Header()
	h.Set("Content-Type", d.MediaType)
	h.Set("Content-Disposition", attachment(d.Name))
	h.Set("ETag", `"`+d.SHA256+`"`)
	if sum, err := hex.DecodeString(d.SHA256); err == nil {
		h.Set("Repr-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(sum)+":")
	}
	// Whatever the file is, a browser must neither run nor embed it.
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'; frame-ancestors 'none'")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	if strings.Contains(r.Header.Get("Range"), ",") {
		r.Header.Del("Range") // one range at a time; the whole file answers the rest (RFC 9110, section 14.2)
	}
	out := &deferred{w: w, control: http.NewResponseController(w), idle: s.limits.Timeout}
	http.ServeContent(out, r, "", time.Time{}, d)
	if err := d.Err(); err != nil {
		if out.begun {
			s.log.Error("download broken off", "code", problemOf(err).Code, "error", err.Error())
			panic(http.ErrAbortHandler) // the caller must not take a part for the whole
		}
		for _, name := range []string{"Content-Disposition", "ETag", "Repr-Digest", "Content-Range", "Content-Length", "Accept-Ranges"} {
			h.Del(name)
		}
		s.fail(w, "get-upload", err)
		return
	}
	out.begin()
}

// attachment names the file for whoever saves it.
func attachment(name string) string {
	if name == "" {
		return "attachment"
	}
	return mime.FormatMediaType("attachment", map[string]string{"filename": name})
}

// deferred holds the status back until the first byte is there, so that what
// cannot be read is answered with a problem. Each write gives the connection
// another while.
type deferred struct {
	w       http.ResponseWriter
	control *http.ResponseController
	idle    time.Duration
	status  int
	begun   bool
}

func (d *deferred) Header() http.Header { return d.w.Header() }

func (d *deferred) WriteHeader(status int) { d.status = status }

func (d *deferred) begin() {
	if !d.begun && d.status != 0 {
		d.w.WriteHeader(d.status)
	}
	d.begun = true
}

func (d *deferred) Write(p []byte) (int, error) {
	d.begin()
	_ = d.control.SetWriteDeadline(time.Now().Add(d.idle))
	return d.w.Write(p)
}

// fail answers with a problem, and logs the cause of one of ours.
func (s *server) fail(w http.ResponseWriter, operation string, err error) {
	if p := problemOf(err); p.Status >= http.StatusInternalServerError {
		s.log.Error("request failed", "operation", operation, "code", p.Code, "error", err.Error())
	}
	writeProblem(w, err)
}

// linked turns the tokens of uploads into links.
func (s *server) linked(data map[abide.Category][]engine.Value) map[abide.Category][]engine.Value {
	for _, values := range data {
		for i := range values {
			if values[i].Token != "" {
				values[i].Link = s.baseURL + "/v1/uploads/" + values[i].Token
			}
		}
	}
	return data
}

// describeUploads puts the two routes into the description of the API, which
// huma makes of the others by itself.
func (s *server) describeUploads() {
	doc := s.api.OpenAPI()
	text := func(in, name, what string, needed bool) *huma.Param {
		return &huma.Param{In: in, Name: name, Description: what, Required: needed, Schema: &huma.Schema{Type: "string"}}
	}
	bytes := map[string]*huma.MediaType{"application/octet-stream": {Schema: &huma.Schema{Type: "string", Format: "binary"}}}
	problem := &huma.Response{Description: "Refused", Content: map[string]*huma.MediaType{"application/problem+json": {
		Schema: huma.SchemaFromType(doc.Components.Schemas, reflect.TypeFor[Problem]())}}}
	doc.AddOperation(&huma.Operation{
		OperationID: "put-upload", Method: http.MethodPut, Path: "/v1/subjects/{id}/uploads/{category}", Tags: []string{"Data"}, Summary: "Hand in a file",
		Description: "The body is the file, streamed; it is decided before its first byte is read. The media type is that of Content-Type, the largest size is the category's in the policy.",
		Parameters: []*huma.Param{text("path", "id", "", true), text("path", "category", "A category of the format file", true),
			text("query", "service", "The service that asks for the file", false), text("query", "purpose", "Instead of a service", false),
			text("query", "source", "Where it came from: checkout, call centre", false), text("query", "obtained", "Now, unless said otherwise", false),
			text("header", "Content-Disposition", "Names the file: attachment; filename*=UTF-8''name.pdf", false),
			text("header", "Content-Digest", "sha-256=:BASE64: (RFC 9530); other bytes are refused", false),
			text("header", "Abide-Ref", "Ties the file to facts: the order's number", false),
			text("header", "Idempotency-Key", "Repeat it when you retry: the first answer comes back and nothing is done twice.", false)},
		RequestBody: &huma.RequestBody{Required: true, Content: bytes},
		Responses: map[string]*huma.Response{"201": {Description: "Kept", Content: map[string]*huma.MediaType{"application/json": {
			Schema: huma.SchemaFromType(doc.Components.Schemas, reflect.TypeFor[engine.Uploaded]())}}}, "default": problem},
	})
	doc.AddOperation(&huma.Operation{
		OperationID: "get-upload", Method: http.MethodGet, Path: "/v1/uploads/{token}", Tags: []string{"Data"}, Summary: "Get a file by its link",
		Description: "The link is in the answer to reading data, and lasts five minutes. It needs no token. Each use is decided anew and recorded as a look. One range at a time (RFC 9110).",
		Parameters:  []*huma.Param{text("path", "token", "", true), text("header", "Range", "bytes=0-999", false), text("header", "If-Range", "", false)},
		Security:    []map[string][]string{},
		Responses:   map[string]*huma.Response{"200": {Description: "The file", Content: bytes}, "206": {Description: "A range of it", Content: bytes}, "default": problem},
	})
}
