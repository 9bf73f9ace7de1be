// Package site serves the pages of the server itself: for now the guided start
// page of the demo.
package site

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"

	abide "github.com/abide-privacy/abide"
)

//go:embed assets
var assets embed.FS

// Step is one thing to try on the start page: something to click, and the same
// as a curl line.
type Step struct {
	Title string
	Text  string
	// Role names the token it is done with, as in the tokens' file.
	Role   string
	Method string
	Path   string // {id} stands for the person
	Body   any    // JSON body, or nil
	// Edit, if set, makes the step a check of the policy with one word changed.
	Edit *Edit
	// Expect says what should come out, in a few words.
	Expect string
}

// Edit is one word of the policy, changed.
type Edit struct {
	File     string
	From, To string
}

// Start is what the start page shows.
type Start struct {
	Tokens  map[string]string // role to token; of a demo store only
	People  []abide.SubjectID // whom to try the steps on
	Company string
	Steps   []Step
}

type stepView struct {
	Step
	N    int
	Curl string
	JSON string
}

type startView struct {
	Company string
	Person  string
	Number  int
	Next    int
	Total   int
	Roles   []roleView
	Steps   []stepView
}

type roleView struct{ Name, Variable, Token string }

var startPage = template.Must(template.ParseFS(assets, "assets/start.html"))

// Handler serves the start page at / and its assets under /start/.
func (s *Start) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.page)
	mux.HandleFunc("GET /start/start.css", asset("start.css", "text/css; charset=utf-8"))
	mux.HandleFunc("GET /start/start.js", asset("start.js", "text/javascript; charset=utf-8"))
	mux.HandleFunc("GET /start/icon.svg", asset("icon.svg", "image/svg+xml"))
	return mux
}

func asset(name, contentType string) http.HandlerFunc {
	raw, err := assets.ReadFile("assets/" + name)
	if err != nil {
		panic("site: asset " + name + " is not embedded")
	}
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Cache-Control", "public, max-age=300")
		_, _ = w.Write(raw)
	}
}

func (s *Start) page(w http.ResponseWriter, r *http.Request) {
	n, _ := strconv.Atoi(r.URL.Query().Get("person"))
	if n < 1 || n > len(s.People) {
		n = 1
	}
	view := startView{Company: s.Company, Person: s.People[n-1].String(), Number: n,
		Next: n%len(s.People) + 1, Total: len(s.People)}
	for _, role := range s.roles() {
		view.Roles = append(view.Roles, roleView{role, variable(role), s.Tokens[role]})
	}
	base := "http://" + r.Host
	if r.TLS != nil {
		base = "https://" + r.Host
	}
	for i, step := range s.Steps {
		sv, err := viewOf(step, i+1, base, view.Person)
		if err != nil {
			http.Error(w, "the start page cannot be shown", http.StatusInternalServerError)
			return
		}
		view.Steps = append(view.Steps, sv)
	}
	var page bytes.Buffer
	if err := startPage.Execute(&page, view); err != nil {
		http.Error(w, "the start page cannot be shown", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	_, _ = w.Write(page.Bytes())
}

// roles are the roles that the steps use, in their order.
func (s *Start) roles() []string {
	var out []string
	seen := map[string]bool{}
	for _, step := range s.Steps {
		if !seen[step.Role] {
			seen[step.Role] = true
			out = append(out, step.Role)
		}
	}
	return out
}

func viewOf(step Step, n int, base, person string) (stepView, error) {
	step.Path = strings.ReplaceAll(step.Path, "{id}", person)
	v := stepView{Step: step, N: n}
	if step.Body != nil {
		raw, err := json.Marshal(step.Body)
		if err != nil {
			return v, err
		}
		v.JSON = strings.ReplaceAll(string(raw), "{id}", person)
	}
	v.Curl = v.curl(base)
	return v, nil
}

// curl is the step as a line for a shell, the token in a variable.
func (v stepView) curl(base string) string {
	auth := fmt.Sprintf("-H \"Authorization: Bearer $%s\"", variable(v.Role))
	if v.Edit != nil {
		return fmt.Sprintf("curl -s %s %s/v1/policy/source \\\n  | sed 's/%s/%s/' \\\n  | curl -s %s -H 'Content-Type: application/json' -d @- %s%s",
			auth, base, v.Edit.From, v.Edit.To, auth, base, v.Path)
	}
	line := "curl -s"
	if v.Method != http.MethodGet && (v.Method != http.MethodPost || v.JSON == "") {
		line += " -X " + v.Method
	}
	line += " " + auth
	if v.JSON != "" {
		line += " \\\n  -H 'Content-Type: application/json' -d '" + v.JSON + "'"
	}
	return line + " \\\n  " + base + v.Path
}

func variable(role string) string { return "ABIDE_" + strings.ToUpper(role) }
