package render

import (
	"strings"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy/labels"
	"github.com/abide-privacy/abide/policy/rule"
)

// names knows by which words a policy's names are said, in one language.
type names struct {
	language   string
	set        *rule.Set
	categories map[string]*rule.Category
	groups     map[string]*rule.Group
	purposes   map[string]*rule.Purpose
	services   map[string]*rule.Service
	recipients map[string]*rule.Recipient
	documents  map[string]*rule.Document
	l          *labels.Labels
	lacks      map[string]bool // labels that a translation wants and nobody gave
	foreign    bool            // the page is in another language than its rules
}

func newNames(set *rule.Set, language string) *names {
	n := &names{
		language:   language,
		set:        set,
		categories: map[string]*rule.Category{},
		groups:     map[string]*rule.Group{},
		purposes:   map[string]*rule.Purpose{},
		services:   map[string]*rule.Service{},
		recipients: map[string]*rule.Recipient{},
		documents:  map[string]*rule.Document{},
		lacks:      map[string]bool{},
	}
	n.l, _ = labels.For("en")
	for _, g := range set.Groups {
		n.groups[g.Name] = g
		for _, c := range g.Categories {
			n.categories[string(c.Name)] = c
		}
	}
	for _, p := range set.Purposes {
		n.purposes[string(p.Name)] = p
	}
	for _, s := range set.Services {
		n.services[string(s.Name)] = s
	}
	for _, r := range set.Recipients {
		n.recipients[string(r.Name)] = r
	}
	for _, d := range set.Documents {
		n.documents[string(d.Name)] = d
	}
	return n
}

// word picks the first word in the language asked for, then the first of the
// document's own language, then any.
func (n *names) word(words []rule.Word, own string) (string, bool) {
	for _, w := range words {
		if base(w.Language) == base(n.language) && (w.Language != "" || base(own) == base(n.language)) {
			return w.Text, true
		}
		if w.Language == "" && base(own) == base(n.language) {
			return w.Text, true
		}
	}
	for _, w := range words {
		if w.Language == "" {
			return w.Text, true
		}
	}
	if len(words) > 0 {
		return words[0].Text, true
	}
	return "", false
}

// base is the primary language subtag of RFC 5646.
func base(tag string) string {
	tag, _, _ = strings.Cut(strings.ToLower(tag), "-")
	return tag
}

// own is the language a rule's bare words are written in.
func own(at rule.At) string {
	if at.Clause != nil && at.Clause.Document != nil && at.Clause.Document.Language != "" {
		return at.Clause.Document.Language
	}
	return "en"
}

// category says a category, or a whole group, as prose names it.
func (n *names) category(name string) string {
	if c, ok := n.categories[name]; ok {
		if w, ok := n.word(c.Words, own(c.At)); ok {
			return w
		}
	}
	if g, ok := n.groups[name]; ok {
		return n.l.Say("group", "group", n.l.Quote(n.identifier(g.Name)))
	}
	if _, row, ok := strings.Cut(name, "."); ok {
		return pretty(row)
	}
	return pretty(name)
}

// row says a category by its own name if its words do not say it: for the
// sentence that declares it.
func (n *names) row(c *rule.Category) string { return n.category(string(c.Name)) }

func (n *names) categoriesOf(refs []rule.Ref) []string {
	out := make([]string, len(refs))
	for i, r := range refs {
		out[i] = n.category(r.Name)
	}
	return out
}

func (n *names) purpose(name string) string {
	p, ok := n.purposes[name]
	if !ok {
		return pretty(name)
	}
	if w, ok := n.ofPage(p.Words, name, p.Title, p.At); ok {
		return w
	}
	if p.Title != "" {
		return p.Title
	}
	return pretty(name)
}

// translated picks a word of another language than the rules' own: titles are
// written in that, so only a reader of another language needs the word.
func (n *names) translated(words []rule.Word) (string, bool) {
	for _, w := range words {
		if w.Language != "" && base(w.Language) == base(n.language) {
			return w.Text, true
		}
	}
	return "", false
}

// ofPage picks the word that names a rule in the language of the page: one that
// says so, or, on a page that is not English, a word in the rules' own language
// where the rule has no title. A name of a rule is an identifier, which only
// English reads as a word.
func (n *names) ofPage(words []rule.Word, name, title string, at rule.At) (string, bool) {
	if w, ok := n.translated(words); ok {
		return w, true
	}
	titled := title != "" && !strings.EqualFold(title, pretty(name))
	if titled || base(n.language) == "en" || base(own(at)) != base(n.language) {
		return "", false
	}
	for _, w := range words {
		if w.Language == "" {
			return w.Text, true
		}
	}
	return "", false
}

func (n *names) purposesOf(refs []rule.Ref) []string {
	out := make([]string, len(refs))
	for i, r := range refs {
		out[i] = quote(n.purpose(r.Name))
	}
	return out
}

func (n *names) service(name string) string {
	s, ok := n.services[name]
	if !ok {
		return pretty(name)
	}
	if w, ok := n.ofPage(s.Words, name, s.Title, s.At); ok {
		return w
	}
	if s.Title != "" {
		return s.Title
	}
	return pretty(name)
}

func (n *names) recipient(name string) string {
	r, ok := n.recipients[name]
	if !ok {
		return pretty(name)
	}
	if w, ok := n.ofPage(r.Words, name, r.Title, r.At); ok {
		return w
	}
	switch {
	case r.Title != "":
		return r.Title
	case r.OwnPolicy != "":
		return upperFirst(pretty(name)) // a network's name is a name
	}
	return pretty(name)
}

func (n *names) recipientsOf(refs []rule.Ref) []string {
	out := make([]string, len(refs))
	for i, r := range refs {
		out[i] = n.recipient(r.Name)
	}
	return out
}

func (n *names) document(name string) string {
	if d, ok := n.documents[name]; ok && d.Title != "" {
		return quote(d.Title)
	}
	return quote(pretty(name))
}

func prettyRefs(refs []rule.Ref) []string {
	out := make([]string, len(refs))
	for i, r := range refs {
		out[i] = pretty(r.Name)
	}
	return out
}

// actVerbs say what an act does with data.
var actVerbs = map[abide.Act]string{
	abide.ActCollect:  "collecting",
	abide.ActRead:     "looking at",
	abide.ActUse:      "using",
	abide.ActContact:  "contacting people by",
	abide.ActChoose:   "choosing what people are shown by",
	abide.ActDisclose: "disclosing",
}

// acts says several acts; "unknown" never reaches a compiled policy.
func acts(as []abide.Act) []string {
	out := make([]string, len(as))
	for i, a := range as {
		out[i] = actVerbs[a]
		if out[i] == "" {
			out[i] = "an unknown act on"
		}
	}
	return out
}
