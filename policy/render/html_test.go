package render_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy/diag"
	"github.com/abide-privacy/abide/policy/render"
	"github.com/abide-privacy/abide/policy/rule"
	"github.com/abide-privacy/abide/policy/source"
)

// shop reads the sample policy.
func shop(t *testing.T) (*rule.Set, *diag.Files) {
	t.Helper()
	set, files, found := source.Parse(os.DirFS("../../examples/shop/policy"))
	if found.HasErrors() {
		t.Fatalf("the sample policy does not parse: %+v", found)
	}
	return set, files
}

func page(t *testing.T, set *rule.Set, o render.Options) string {
	t.Helper()
	var b bytes.Buffer
	if err := render.HTML(&b, set, nil, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func full(files *diag.Files) render.Options {
	return render.Options{Files: files, Document: "privacy", Rules: true, Examples: true,
		Published: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC),
		Link:      func(d *rule.Document) string { return "/policy/" + string(d.Name) }}
}

func TestPageKeepsItsContentSecurityPolicy(t *testing.T) {
	set, files := shop(t)
	o := full(files)
	html := page(t, set, o)
	for _, bad := range []string{"<script", "style=", "javascript:", "<img", "<iframe", "@import", "url(", "http-equiv", " onclick", "<link"} {
		if strings.Contains(strings.ToLower(html), bad) {
			t.Errorf("the page holds %q", bad)
		}
	}
	style := regexp.MustCompile(`(?s)<style>(.*?)</style>`).FindStringSubmatch(html)
	if style == nil {
		t.Fatal("the page has no style element")
	}
	sum := sha256.Sum256([]byte(style[1]))
	if want := "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !strings.Contains(render.CSP(o), want) {
		t.Errorf("CSP %q does not name the hash of the page's style, %s", render.CSP(o), want)
	}
	o.Stylesheet = "/policy.css"
	html = page(t, set, o)
	if strings.Contains(html, "<style") || !strings.Contains(html, `<link rel="stylesheet" href="/policy.css">`) {
		t.Error("with a stylesheet served beside it, the page still holds its own")
	}
	if !strings.Contains(render.CSP(o), "style-src 'self'") {
		t.Errorf("CSP = %q", render.CSP(o))
	}
}

func TestPageHoldsTheWholeProseAndNoRules(t *testing.T) {
	set, files := shop(t)
	html := page(t, set, full(files))
	for _, d := range set.Documents {
		if d.Name != "privacy" {
			continue
		}
		for _, c := range d.Clauses {
			if !strings.Contains(html, `id="`+c.ID+`"`) {
				t.Errorf("clause %s has no anchor", c.ID)
			}
			for _, x := range c.Prose {
				for _, w := range strings.Fields(x.Text) {
					if w = strings.Trim(w, `'"().,:;-–—`); utf8.RuneCountInString(w) > 3 && !strings.ContainsAny(w, `'"&<>-`) && !strings.Contains(html, w) {
						t.Errorf("clause %s: the word %q of the prose is not on the page", c.ID, w)
					}
				}
			}
		}
	}
	for _, bad := range []string{"```", "law_of", "without_consent", "{#"} {
		if strings.Contains(html, bad) {
			t.Errorf("the page shows source: %q", bad)
		}
	}
}

func TestPageNeverPublishesSystems(t *testing.T) {
	set, files := shop(t)
	if len(set.Systems) == 0 {
		t.Fatal("the sample has no systems to hide")
	}
	html := page(t, set, full(files))
	var text bytes.Buffer
	if err := render.Text(&text, set, nil, full(files)); err != nil {
		t.Fatal(err)
	}
	for _, out := range []string{html, text.String()} {
		if strings.Contains(out, "systems.hcl") || strings.Contains(out, "The system “") {
			t.Error("systems.hcl is published")
		}
	}
}

// Headings go down one step at a time, ids are there once, and every link
// within the page leads somewhere.
func TestPageIsAccessible(t *testing.T) {
	set, files := shop(t)
	for _, d := range set.Documents {
		html := page(t, set, render.Options{Files: files, Document: d.Name, Rules: true, Examples: true})
		checkOutline(t, string(d.Name), html)
		ids := map[string]bool{}
		for _, m := range regexp.MustCompile(` id="([^"]*)"`).FindAllStringSubmatch(html, -1) {
			if ids[m[1]] {
				t.Errorf("%s: the id %q is there twice", d.Name, m[1])
			}
			ids[m[1]] = true
		}
		for _, m := range regexp.MustCompile(`(?:href="#|aria-labelledby=")([^"]*)"`).FindAllStringSubmatch(html, -1) {
			if !ids[m[1]] {
				t.Errorf("%s: %q leads nowhere", d.Name, m[0])
			}
		}
		if n := strings.Count(html, "<table"); n != strings.Count(html, "<caption>") {
			t.Errorf("%s: %d tables, but %d captions", d.Name, n, strings.Count(html, "<caption>"))
		}
		if !strings.Contains(html, `<html lang="`+d.Language+`" dir="ltr">`) {
			t.Errorf("%s: the page does not say its language, %s", d.Name, d.Language)
		}
	}
}

func checkOutline(t *testing.T, name, html string) {
	t.Helper()
	_, html, _ = strings.Cut(html, "<main")
	level, tops := 0, 0
	for _, m := range regexp.MustCompile(`<h([1-6])`).FindAllStringSubmatch(html, -1) {
		next := int(m[1][0] - '0')
		if next > level+1 {
			t.Errorf("%s: a heading of level %d follows one of level %d", name, next, level)
		}
		if next == 1 {
			tops++
		}
		level = next
	}
	if tops != 1 {
		t.Errorf("%s: %d headings of level 1", name, tops)
	}
}

func TestProseCannotBreakThePage(t *testing.T) {
	doc := &rule.Document{Name: "p", File: "p.md", Title: "P", Language: "en"}
	text := "# P {style=x onclick=y}\n\n<script>alert(1)</script> <b onclick=x>bold</b>\n\n<div style='x'>block</div>\n\n" +
		"[bad](javascript:alert) ![pic](https://elsewhere.test/p.png) [x](#person.imei) [y](#p)\n\n| a | b |\n|--:|---|\n| 1 | 2 |\n"
	files := diag.NewFiles()
	files.Add("p.md", []byte(text))
	doc.Clauses = []*rule.Clause{{Document: doc, ID: "p", Title: "P", Depth: 1,
		Heading: files.Span("p.md", 0, 23), Body: files.Span("p.md", 0, len(text))}}
	html := page(t, &rule.Set{Documents: []*rule.Document{doc}}, render.Options{Files: files})
	for _, bad := range []string{"<script", "onclick", "style=", "javascript:", "<img", "raw HTML omitted", `href="#person.imei"`} {
		if strings.Contains(html, bad) {
			t.Errorf("the page holds %q", bad)
		}
	}
	for _, want := range []string{`<a href="https://elsewhere.test/p.png" rel="noopener noreferrer">pic</a>`, `<a href="#p">y</a>`, `class="number"`} {
		if !strings.Contains(html, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
}

func TestSourceOfAnotherVersionIsRefused(t *testing.T) {
	set, _ := shop(t)
	other := diag.NewFiles()
	other.Add("privacy.md", []byte("# Something else\n"))
	err := render.HTML(&bytes.Buffer{}, set, nil, render.Options{Files: other, Document: "privacy"})
	if abide.ErrorDetail(err) != "source_mismatch" {
		t.Errorf("err = %v, want source_mismatch", err)
	}
	err = render.HTML(&bytes.Buffer{}, set, nil, render.Options{Files: other, Document: "nowhere"})
	if abide.ErrorDetail(err) != "unknown_document" {
		t.Errorf("err = %v, want unknown_document", err)
	}
}

func TestChooseTakesTheLanguageThatFits(t *testing.T) {
	set, _ := shop(t)
	for _, c := range []struct{ accept, want string }{
		{"de-AT,en;q=0.5", "de"}, {"fr", "en"}, {"", "en"}, {"en-GB, de;q=0.9", "en"},
	} {
		if got := render.Choose(set, "cookies", c.accept); got != c.want {
			t.Errorf("Choose(%q) = %q, want %q", c.accept, got, c.want)
		}
	}
}

func TestTextFitsItsColumns(t *testing.T) {
	set, files := shop(t)
	for _, d := range set.Documents {
		var b bytes.Buffer
		if err := render.Text(&b, set, nil, render.Options{Files: files, Document: d.Name, Rules: true, Examples: true}); err != nil {
			t.Fatal(err)
		}
		for i, l := range strings.Split(b.String(), "\n") {
			if utf8.RuneCountInString(l) > 78 && strings.Contains(strings.TrimSpace(l), " ") {
				t.Errorf("%s:%d has more than 78 columns: %s", d.Name, i+1, l)
			}
		}
	}
}
