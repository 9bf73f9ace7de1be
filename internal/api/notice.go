package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy/render"
	"github.com/abide-privacy/abide/policy/rule"
)

// notice serves the published policy: the same files whose rules run. HTML for
// browsers, plain text for whoever asks for it.
func (s *server) notice(w http.ResponseWriter, r *http.Request) {
	res, info, err := s.engine.CurrentPolicy(r.Context())
	if err != nil {
		writeProblem(w, err)
		return
	}
	o := render.Options{
		Files:     res.Files,
		Document:  abide.DocumentName(r.PathValue("document")),
		Published: info.Published,
		Rules:     true,
		Link:      func(d *rule.Document) string { return "/policy/" + url.PathEscape(string(d.Name)) },
	}
	if o.Document == "" {
		o.Document = mainDocument(res.Set)
	}
	o.Language = render.Choose(res.Set, o.Document, r.Header.Get("Accept-Language"))
	var page bytes.Buffer
	if wantsText(r) {
		err = render.Text(&page, res.Set, res.Policy, o)
	} else {
		err = render.HTML(&page, res.Set, res.Policy, o)
		w.Header().Set("Content-Security-Policy", render.CSP(o))
	}
	if err != nil {
		var known *abide.Error
		if errors.As(err, &known) && known.Field != "" {
			shown := *known
			shown.Field = "document" // its name is whatever the caller put into the path
			err = &shown
		}
		writeProblem(w, err)
		return
	}
	h := w.Header()
	h.Set("Cache-Control", "public, max-age=60")
	h.Set("Vary", "Accept, Accept-Language")
	h.Set("X-Frame-Options", "DENY")
	h.Set("ETag", entityTag(page.Bytes()))
	if o.Language != "" {
		h.Set("Content-Language", o.Language)
	}
	if wantsText(r) {
		h.Set("Content-Type", "text/plain; charset=utf-8")
	} else {
		h.Set("Content-Type", "text/html; charset=utf-8")
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(page.Bytes()))
}

// entityTag is of the very bytes: a policy has a page per document, language and
// media type, and no two of them may pass for each other (RFC 9110, 8.8.3).
func entityTag(page []byte) string {
	sum := sha256.Sum256(page)
	return `"` + hex.EncodeToString(sum[:16]) + `"`
}

// mainDocument is the document that most rules stand in: at /policy people look
// for the privacy notice, not for the user agreement beside it.
func mainDocument(set *rule.Set) abide.DocumentName {
	var main abide.DocumentName
	most := -1
	for _, d := range set.Documents {
		bound := 0
		for _, c := range d.Clauses {
			if c.HasRules {
				bound++
			}
		}
		if d.TranslationOf == "" && bound > most {
			main, most = d.Name, bound
		}
	}
	return main
}

func wantsText(r *http.Request) bool {
	accept := r.Header.Get("Accept")
	return strings.Contains(accept, "text/plain") && !strings.Contains(accept, "text/html")
}

// docs is the reference of the API as a page without scripts, made from the
// same description as /openapi.json.
func (s *server) docs(w http.ResponseWriter, _ *http.Request) {
	type op struct {
		Method, Path, ID, Summary, Description string
		Body                                   string
	}
	groups := map[string][]op{}
	api := s.api.OpenAPI()
	for path, item := range api.Paths {
		for method, o := range map[string]*huma.Operation{"GET": item.Get, "POST": item.Post, "PUT": item.Put, "PATCH": item.Patch, "DELETE": item.Delete} {
			if o == nil || len(o.Tags) == 0 {
				continue
			}
			groups[o.Tags[0]] = append(groups[o.Tags[0]], op{method, path, o.OperationID, o.Summary, o.Description, bodyFields(api, o)})
		}
	}
	type group struct {
		Name string
		Ops  []op
	}
	var all []group
	for name, ops := range groups {
		slices.SortFunc(ops, func(a, b op) int { return strings.Compare(a.Path+a.Method, b.Path+b.Method) })
		all = append(all, group{name, ops})
	}
	slices.SortFunc(all, func(a, b group) int { return strings.Compare(a.Name, b.Name) })
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	_ = docsPage.Execute(w, all)
}

// bodyFields names the fields of a request body, required ones first.
func bodyFields(api *huma.OpenAPI, o *huma.Operation) string {
	if o.RequestBody == nil {
		return ""
	}
	media := o.RequestBody.Content["application/json"]
	if media == nil || media.Schema == nil {
		return ""
	}
	schema := media.Schema
	if schema.Ref != "" {
		schema = api.Components.Schemas.SchemaFromRef(schema.Ref)
	}
	if schema == nil {
		return ""
	}
	var names []string
	for name := range schema.Properties {
		if slices.Contains(schema.Required, name) {
			name += " *"
		}
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		ra, rb := strings.HasSuffix(a, "*"), strings.HasSuffix(b, "*")
		if ra != rb {
			if ra {
				return -1
			}
			return 1
		}
		return strings.Compare(a, b)
	})
	return strings.Join(names, ", ")
}

var docsPage = template.Must(template.New("docs").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Abide API</title><style>
:root{color-scheme:light dark;--ink:#1c2430;--mute:#5b6675;--line:#dfe3e8;--paper:#fbfbfa;--card:#fff;--accent:#0b5d4e}
@media (prefers-color-scheme:dark){:root{--ink:#e8eaed;--mute:#a0a8b3;--line:#323a44;--paper:#14181d;--card:#1b2027;--accent:#6fd3bd}}
*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 system-ui,sans-serif}
main{max-width:58rem;margin:0 auto;padding:3rem 1.25rem 5rem}h1{font-size:2rem;margin:0 0 .25rem;letter-spacing:-.02em}
h2{margin:2.75rem 0 .75rem;font-size:1.15rem}p{margin:.35rem 0}a{color:var(--accent)}
.lead{color:var(--mute);max-width:44rem}article{background:var(--card);border:1px solid var(--line);border-radius:.6rem;padding:1rem 1.15rem;margin:.6rem 0}
h3{margin:0;font-size:1rem;font-weight:600}code{font:13.5px/1.5 ui-monospace,SFMono-Regular,Menlo,monospace;overflow-wrap:anywhere}
.m{display:inline-block;min-width:4.2rem;color:var(--accent);font-weight:700}.fields{color:var(--mute)}
</style></head><body><main><h1>Abide API</h1>
<p class="lead">JSON over HTTP. Send <code>Authorization: Bearer TOKEN</code>. Errors are problem details (RFC 9457) with a stable <code>code</code> and a <code>hint</code>; a refusal carries every reason with its clause and line. Mutating calls take an <code>Idempotency-Key</code>. The full description: <a href="/openapi.json">/openapi.json</a>.</p>
{{range .}}<section><h2>{{.Name}}</h2>{{range .Ops}}<article id="{{.ID}}"><h3>{{.Summary}}</h3>
<p><code><span class="m">{{.Method}}</span> {{.Path}}</code></p>{{with .Description}}<p>{{.}}</p>{{end}}{{with .Body}}<p class="fields">Body: <code>{{.}}</code> (* required)</p>{{end}}</article>{{end}}</section>{{end}}
</main></body></html>`))
