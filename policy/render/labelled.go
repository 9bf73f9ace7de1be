package render

import (
	"slices"
	"strings"

	"github.com/abide-privacy/abide/policy/diag"
	"github.com/abide-privacy/abide/policy/labels"
	"github.com/abide-privacy/abide/policy/rule"
)

// table begins a table, with its labels.
func (t *tables) table(id string, columns int) *table {
	m := &table{ID: id, Short: t.l.Say(id), Caption: t.l.Say(id + ".caption"), Colon: t.l.Say("colon"), Comma: t.l.Say("comma")}
	for i := range columns {
		m.Columns = append(m.Columns, t.l.Say(id+"."+string(rune('1'+i))))
	}
	return m
}

// said is a label that goes by a word of the rules; a word that the language
// has no label for is said as an identifier.
func (t *tables) said(key, word string) string {
	if t.l.Has(key) {
		return t.l.Say(key)
	}
	return t.identifier(word)
}

// identifier says a name that a policy invented, such as a topic or a kind of
// goods: by the document's label for it, or as it is written, made readable.
// A translation needs the label.
func (n *names) identifier(name string) string {
	key := "name." + name
	if n.l.Has(key) {
		return n.l.Say(key)
	}
	n.lack(key)
	return pretty(name)
}

func (n *names) identifiers(refs []rule.Ref) []string {
	out := make([]string, len(refs))
	for i, r := range refs {
		out[i] = n.identifier(r.Name)
	}
	return out
}

func (n *names) lack(key string) {
	if n.foreign {
		n.lacks[key] = true
	}
}

// titled says a rule that has a name, perhaps a title, and perhaps words.
func (n *names) titled(name, title string, words []rule.Word) string {
	if w, ok := n.translated(words); ok {
		return w
	}
	if key := "name." + name; n.l.Has(key) {
		return n.l.Say(key)
	}
	n.lack("name." + name)
	if title != "" {
		return title
	}
	return pretty(name)
}

// place says a jurisdiction; in English with its article.
func (t *tables) place(code string) string {
	if name, ok := placeNames[code]; ok && t.l.English() && !t.l.Has("place."+code) {
		return name
	}
	return t.l.Place(code)
}

func (t *tables) places(refs []rule.Ref) []string {
	out := make([]string, len(refs))
	for i, r := range refs {
		out[i] = t.place(r.Name)
	}
	return out
}

// time says the length of a deadline.
func (t *tables) time(d *rule.Deadline) string {
	var parts []string
	switch {
	case d.Months != 0 && d.Months%12 == 0:
		parts = append(parts, t.l.Count("year", d.Months/12))
	case d.Months != 0:
		parts = append(parts, t.l.Count("month", d.Months))
	}
	if d.Days != 0 {
		parts = append(parts, t.l.Count("day", d.Days))
	}
	if len(parts) == 0 {
		return t.l.Say("no_time")
	}
	return t.l.List(parts)
}

// until says a deadline as the end of a stretch of time. An event that the
// labels do not know is said by English grammar, or in quotes.
func (t *tables) until(d *rule.Deadline) string {
	none := d.Months == 0 && d.Days == 0
	switch key := "until." + d.Anchor; {
	case d.Anchor == "":
		return t.l.Say("for", "time", t.time(d))
	case none && t.l.Has(key):
		return t.l.Say(key)
	case !none && t.l.Has("after."+d.Anchor):
		return t.l.Say("after."+d.Anchor, "time", t.time(d))
	case t.l.English():
		return until(d)
	case none:
		t.lack(key)
		return t.l.Say("until", "event", pretty(strings.ReplaceAll(d.Anchor, ".", " ")))
	}
	t.lack("after." + d.Anchor)
	return t.l.Say("after", "event", pretty(strings.ReplaceAll(d.Anchor, ".", " ")), "time", t.time(d))
}

// neversTranslated says what never happens by labels: a sentence of English
// grammar is only made in English.
func (t *tables) neversTranslated() []string {
	var out []string
	for _, n := range t.set.Nevers {
		if !t.here(n.At) {
			continue
		}
		if said := t.forbidden(n); said != "" {
			out = append(out, upperFirst(said))
		}
		if len(n.Link) > 0 {
			groups := t.identifiers(n.Link)
			for i := range groups {
				groups[i] = t.l.Quote(groups[i])
			}
			out = append(out, upperFirst(t.l.Say("never.link", "groups", t.l.List(groups))))
		}
	}
	return out
}

func (t *tables) forbidden(n *rule.Never) string {
	what := t.l.List(t.categoriesOf(n.What))
	switch {
	case n.Any && what != "":
		what = t.l.Say("never.among", "data", what)
	case n.Any || what == "" && len(n.Link) == 0:
		what = t.l.Say("never.any")
	case what == "":
		return ""
	}
	acts := make([]string, len(n.Acts))
	for i, a := range n.Acts {
		acts[i] = t.said("act."+a.String(), a.String())
	}
	act := t.l.Either(acts)
	if act == "" {
		act = t.l.Say("act.any")
	}
	parts := []string{t.l.Say("never", "act", act, "what", what)}
	if len(n.To) > 0 {
		to := make([]string, len(n.To))
		for i, r := range n.To {
			to[i] = t.recipient(r.Name)
			if _, named := t.recipients[r.Name]; !named {
				to[i] = t.said("class."+r.Name, r.Name)
			}
		}
		parts = append(parts, t.l.Say("never.to", "to", t.l.Either(to)))
	}
	if len(n.For) > 0 {
		purposes := make([]string, len(n.For))
		for i, r := range n.For {
			purposes[i] = t.l.Quote(t.purpose(r.Name))
		}
		parts = append(parts, t.l.Say("never.for", "purposes", t.l.Either(purposes)))
	}
	if n.Against != "" {
		parts = append(parts, t.said("never."+n.Against, n.Against))
	}
	return strings.Join(parts, t.l.Say("semicolon"))
}

// Unlabelled reports where a published page would fall back to English or show
// a name as the rules write it: a document in a language that has no labels,
// and a name of the rules that a translation has no label for.
func Unlabelled(set *rule.Set) diag.List {
	var found diag.List
	for _, d := range set.Documents {
		if _, ok := labels.In(d.Language, d.Said()); !ok {
			found = append(found, unlabelled(d, "what the page of %s says beside its prose has no labels in its language (%s): it stands there in English", d.File, d.Language).
				WithHint("there are labels in %s; give those of another language in the document block: labels = { contents = \"…\" }, all of them", strings.Join(labels.Languages(), ", ")))
			continue
		}
		if d.TranslationOf == "" {
			continue
		}
		t := tablesOf(set, d)
		t.all()
		t.nevers()
		for _, key := range sorted(t.lacks) {
			found = append(found, unlabelled(d, "%s shows %s as the rules write it, not in its language (%s)", d.File, strings.TrimPrefix(key, "name."), d.Language).
				WithHint("say it in the document block: labels = { %q = \"…\" }", key).In("", key))
		}
	}
	return found
}

func unlabelled(d *rule.Document, format string, args ...any) diag.Diagnostic {
	return diag.New(diag.LabelMissing, d.Span, format, args...)
}

func sorted(set map[string]bool) []string {
	out := make([]string, 0, len(set))
	for k := range set {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// tablesOf are the tables of a document in its own language: those of the
// rules that stand in it, or in the document it translates.
func tablesOf(set *rule.Set, doc *rule.Document) *tables {
	original := originalOf(set, doc)
	t := &tables{names: newNames(set, doc.Language), set: set, document: original.Name}
	t.l, _ = labels.In(doc.Language, doc.Said())
	t.foreign = base(doc.Language) != base(original.Language)
	return t
}

func originalOf(set *rule.Set, doc *rule.Document) *rule.Document {
	if doc.TranslationOf != "" {
		if d := pick(set, doc.TranslationOf, ""); d != nil {
			return d
		}
	}
	return doc
}
