package render

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy"
	"github.com/abide-privacy/abide/policy/diag"
	"github.com/abide-privacy/abide/policy/labels"
	"github.com/abide-privacy/abide/policy/rule"
)

//go:embed page.css
var stylesheet string

//go:embed page.html
var pageSource string

var pageTemplate = template.Must(template.New("page").Parse(pageSource))

// Options say what of a policy to publish, and how.
type Options struct {
	// Files is the text the policy was read from. It is required.
	Files *diag.Files
	// Document to publish; empty: the first that is not a translation.
	Document abide.DocumentName
	// Language asked for (BCP 47); if the document has no such translation it
	// is published as written. Choose reads an Accept-Language header.
	Language string
	// Published is shown as the date of this version; zero: none is shown.
	Published time.Time
	// Rules puts beside each clause how many rules enforce it, and what they
	// say.
	Rules bool
	// Examples prints the policy's example cases.
	Examples bool
	// Stylesheet is the address of Stylesheet(), if it is served beside the
	// page. Empty: the page holds it in a style element, whose hash CSP names.
	Stylesheet string
	// Link returns the address of another document or translation; nil, or "":
	// it is named without a link.
	Link func(*rule.Document) string
}

// Stylesheet returns the style of published pages, to be served as text/css.
func Stylesheet() []byte { return []byte(stylesheet) }

// CSP returns the Content-Security-Policy under which a page of these options
// looks as it should: everything is refused but its own style.
func CSP(o Options) string {
	style := "'self'"
	if o.Stylesheet == "" {
		sum := sha256.Sum256([]byte(stylesheet))
		style = "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	return "default-src 'none'; style-src " + style + "; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}

// HTML publishes one document of a policy as a page. The policy may be nil; if
// it is not, its version stands at the foot of the page.
func HTML(w io.Writer, set *rule.Set, p *policy.Policy, o Options) error {
	pg, err := newPage(set, p, o)
	if err != nil {
		return err
	}
	if o.Stylesheet == "" {
		pg.Style = template.CSS(stylesheet)
	}
	var b bytes.Buffer // a page is written whole or not at all
	if err := pageTemplate.Execute(&b, pg); err != nil {
		return fmt.Errorf("render %s: %w", pg.Name, err)
	}
	_, err = w.Write(b.Bytes())
	return err
}

// page is what the template shows.
type page struct {
	Name      string
	Title     string
	Lang, Dir string
	// Ours marks what the labels say where they are in another language than
	// the page, English what is said in English whatever the page is.
	Ours, English template.HTMLAttr
	l             *labels.Labels
	Controller    string
	Intro         *section // what stands before the first heading
	Lead          *section // the title's own clause
	Sections      []*section
	Tables        []*table
	Nevers        []string
	Examples      []exampleLine
	Others        []link // other documents
	Languages     []link // translations of this one
	Version       string
	Published     string
	Style         template.CSS
	Stylesheet    string
}

// Say is a label of the page.
func (pg *page) Say(key string) string { return pg.l.Say(key) }

// Dated says from when this version is.
func (pg *page) Dated() string { return pg.l.Say("dated", "date", pg.Published) }

// Versioned says which version this is, around its digest.
func (pg *page) Versioned() []string {
	before, after, _ := strings.Cut(pg.l.Say("version"), "{version}")
	return []string{before, after}
}

// section is a clause as published.
type section struct {
	ID          string
	ShowID      bool // the id is a number by which people cite the clause
	Title       template.HTML
	Plain       string
	Level       int // 2..6, never skipping one
	Body        template.HTML
	Text        string // the body as plain text
	Rules       []string
	Informative string
	page        *page
}

// Enforced says how many rules keep the clause.
func (s *section) Enforced() string { return s.page.l.Count("enforced", len(s.Rules)) }

// ForInformation marks a clause that promises nothing.
func (s *section) ForInformation() string { return s.page.l.Say("informative") }

// AnchorText says what the link to the clause itself is, to those who hear it.
func (s *section) AnchorText() string {
	id := s.ID
	if !s.ShowID {
		id = "§"
	}
	return s.page.l.Say("anchor", "id", id)
}

// Ours and English are the page's.
func (s *section) Ours() template.HTMLAttr    { return s.page.Ours }
func (s *section) English() template.HTMLAttr { return s.page.English }

type link struct {
	Title, Lang, Address string
	Here                 bool
}

type exampleLine struct {
	Name, Given, Asked string
	Permitted          bool
}

func newPage(set *rule.Set, p *policy.Policy, o Options) (*page, error) {
	doc := pick(set, o.Document, o.Language)
	if doc == nil {
		return nil, &abide.Error{Code: abide.CodeNotFound, Detail: "unknown_document", Field: string(o.Document),
			Message: "the policy has no such document", Hint: "the documents are the files of the policy's folder"}
	}
	original := originalOf(set, doc)
	t := tablesOf(set, doc)
	pg := &page{Name: string(doc.Name), Title: doc.Title, Lang: doc.Language, Dir: labels.Direction(doc.Language), l: t.l,
		Controller: original.Controller, Stylesheet: o.Stylesheet}
	if base(doc.Language) != "en" {
		pg.English = ` lang="en" dir="ltr"`
		if t.l.English() {
			pg.Ours = pg.English
		}
	}
	pg.Tables = t.all()
	pg.Nevers = t.nevers()
	if o.Examples {
		pg.Examples = t.examples()
	}
	if err := pg.readProse(doc, o.Files, t.ids); err != nil {
		return nil, err
	}
	if o.Rules {
		pg.putRules(original, Sentences(set))
	}
	pg.link(set, doc, original, o.Link)
	if p != nil {
		pg.Version = p.Version()
	}
	if !o.Published.IsZero() {
		pg.Published = o.Published.Format(t.l.Say("date"))
	}
	for _, s := range append([]*section{pg.Intro, pg.Lead}, pg.Sections...) {
		if s != nil {
			s.page = pg
		}
	}
	return pg, nil
}

// HasExtra tells whether anything made from the rules follows the prose.
func (pg *page) HasExtra() bool {
	return len(pg.Tables)+len(pg.Nevers)+len(pg.Examples) > 0
}

// putRules sets beside each clause what its rules say. A translation has no
// rules of its own: those of the clause with the same id in the original count.
func (pg *page) putRules(original *rule.Document, said []Sentence) {
	byClause := map[string]*section{}
	for _, s := range pg.Sections {
		byClause[s.ID] = s
	}
	for _, s := range []*section{pg.Intro, pg.Lead} {
		if s != nil {
			byClause[s.ID] = s
		}
	}
	for _, s := range said {
		if s.Clause == nil || s.Clause.Document != original {
			continue
		}
		sec := byClause[s.Clause.ID]
		if sec == nil {
			continue
		}
		switch s.Kind {
		case "informative":
			sec.Informative = s.Clause.Informative
		case "document", "accepts_law", "suppress", "example":
		default:
			sec.Rules = append(sec.Rules, s.Text)
		}
	}
}

// link names the other documents and the translations of this one.
func (pg *page) link(set *rule.Set, doc, original *rule.Document, address func(*rule.Document) string) {
	if address == nil {
		address = func(*rule.Document) string { return "" }
	}
	for _, d := range set.Documents {
		l := link{Title: d.Title, Lang: d.Language, Address: address(d), Here: d == doc}
		switch {
		case d == original || d.TranslationOf == original.Name:
			l.Title = languageName(d.Language)
			pg.Languages = append(pg.Languages, l)
		case d.TranslationOf == "":
			pg.Others = append(pg.Others, l)
		}
	}
	if len(pg.Languages) == 1 {
		pg.Languages = nil
	}
}
