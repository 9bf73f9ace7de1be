package source

import (
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy/diag"
	"github.com/abide-privacy/abide/policy/labels"
	"github.com/abide-privacy/abide/policy/rule"
)

// document reads what is said of the file as a whole. It may stand in any
// clause of the file, once.
func (d *decoder) document(b *hclsyntax.Block) {
	name, label, ok := d.name(b)
	doc := d.doc.doc
	if d.doc.declared != nil {
		d.report(diag.New(diag.DuplicateName, label, "this file declares its document twice").WithOther(*d.doc.declared, "first declared here").
			WithHint("one file is one document"))
		return
	}
	d.doc.declared = &label
	if ok {
		doc.Name = abide.DocumentName(name)
	}
	doc.Span = d.at(b, label).Span
	var translation *rule.Ref
	d.body("document", b, args{
		"title":          d.text(&doc.Title),
		"controller":     d.controller(doc),
		"stored_in":      d.places(&doc.StoredIn),
		"notice_at":      d.link(&doc.NoticeAt),
		"rights_at":      d.link(&doc.RightsAt),
		"language":       d.language(doc),
		"translation_of": d.ref(&translation),
		"law_of":         d.lawOf(doc),
		"yields_to":      d.yieldsTo(doc),
		"accepts_law":    d.acceptsLaw(&doc.AcceptsLaw),
		"labels":         d.labels(doc),
	})
	if translation != nil {
		doc.TranslationOf = abide.DocumentName(translation.Name)
	}
}

func (d *decoder) language(doc *rule.Document) func(field) {
	return func(f field) {
		tag, ok := plainName(f.expr)
		if !ok {
			d.text(&tag)(f)
		}
		if tag == "" {
			return
		}
		if !validLanguage(tag) {
			d.report(diag.New(diag.WrongValue, d.exprSpan(f.expr), "%s is not a language", tag).WithHint("write a BCP 47 tag such as en, de or zh-Hant"))
			return
		}
		doc.Language = tag
	}
}

// labels reads what the page says beside the prose: { contents = "Inhalt",
// "until.order.closed" = "bis …" }.
func (d *decoder) labels(doc *rule.Document) func(field) {
	return func(f field) {
		fields, ok := d.objectFields(f)
		if !ok {
			return
		}
		for _, l := range fields {
			if !labels.Known(l.name) {
				out := diag.New(diag.UnknownArgument, l.at, "there is no label %s", l.name)
				out.Hint = diag.DidYouMean(l.name, labels.Keys())
				d.report(out)
				continue
			}
			var text string
			d.text(&text)(l)
			d.blanks(l, text)
			if text != "" {
				doc.Labels = append(doc.Labels, rule.Label{Key: l.name, Text: text})
			}
		}
	}
}

// blanks reports a label that fills in what there is not, or leaves out what
// there is: a stretch of time without its length would say nothing.
func (d *decoder) blanks(l field, text string) {
	has, takes := labels.Blanks(text), labels.BlanksOf(l.name)
	for _, blank := range has {
		if !slices.Contains(takes, blank) {
			d.report(diag.New(diag.WrongValue, d.exprSpan(l.expr), "nothing fills in {%s} in the label %s", blank, l.name).
				WithHint("it fills in %s", orNothing(takes)))
			return
		}
	}
	for _, blank := range takes {
		if text != "" && !slices.Contains(has, blank) && !labels.Counts(l.name) {
			d.report(diag.New(diag.WrongValue, d.exprSpan(l.expr), "the label %s leaves out {%s}", l.name, blank).
				WithHint("it fills in %s", orNothing(takes)))
			return
		}
	}
}

func orNothing(blanks []string) string {
	if len(blanks) == 0 {
		return "nothing"
	}
	return "{" + strings.Join(blanks, "}, {") + "}"
}

var lawOfWords = []string{string(rule.LawOfResidence), string(rule.LawOfWhereabouts), string(rule.LawOfController)}

// lawOf reads strictest(residence, whereabouts, controller), or one of them.
func (d *decoder) lawOf(doc *rule.Document) func(field) {
	return func(f field) {
		list := items(f.expr)
		if c, ok := call(f.expr); ok {
			if c.Name != "strictest" {
				d.unknownWord(f.name, rule.Ref{Name: c.Name, Span: d.span(c.NameRange)}, []string{"strictest"})
				return
			}
			list = c.Args
		} else if len(list) > 1 {
			d.wrong(f, "whose law is looked at", "write strictest(residence, controller): of several laws the strictest holds")
			return
		}
		for _, e := range list {
			var w string
			d.word(&w, lawOfWords...)(field{f.name, f.at, e})
			if w != "" {
				doc.LawOf = append(doc.LawOf, rule.LawOf(w))
			}
		}
	}
}

func (d *decoder) yieldsTo(doc *rule.Document) func(field) {
	return func(f field) {
		y := &rule.Yield{Span: d.exprSpan(f.expr)}
		var to *rule.Ref
		d.object("yields_to", f, args{
			"document": d.ref(&to),
			"among":    d.word(&y.Among, "those_who_agreed"),
		})
		if to == nil {
			d.report(diag.New(diag.MissingArgument, f.at, "yields_to does not say to which document").
				WithHint("write yields_to = { document = agreement, among = those_who_agreed }"))
			return
		}
		if y.Among == "" {
			y.Among = "those_who_agreed"
		}
		y.Document = *to
		doc.YieldsTo = y
		if d.clause != nil {
			d.clause.HasRules = true // which document prevails is what this clause promises
		}
	}
}

// acceptsLaw reads who answers for law values that nobody reviewed:
// [{ value = marketing, places = [HK], by = "…", on = "2026-01-31" }].
func (d *decoder) acceptsLaw(dst *[]rule.AcceptedLaw) func(field) {
	return func(f field) {
		for _, e := range items(f.expr) {
			a := rule.AcceptedLaw{Span: d.exprSpan(e)}
			before := len(d.p.found)
			var places []rule.Ref
			d.object("accepts_law", field{f.name, f.at, unparen(e)}, args{
				"value":  d.word(&a.Value, "marketing", "minors"),
				"places": d.refs(&places),
				"by":     d.text(&a.By),
				"on":     d.date(&a.On),
			})
			for _, r := range places {
				if d.checkPlace(r) {
					a.Places = append(a.Places, r)
				}
			}
			if complete := a.Value != "" && a.By != "" && a.On != ""; !complete && len(d.p.found) > before {
				continue // what is wrong with it has been said
			} else if !complete {
				d.report(diag.New(diag.MissingArgument, a.Span, "who accepts a law value says which, by whom and when").
					WithHint(`write { value = marketing, by = "Name", on = "2026-01-31" }`))
				continue
			}
			*dst = append(*dst, a)
		}
	}
}

func (d *decoder) date(dst *string) func(field) {
	return func(f field) {
		var s string
		d.text(&s)(f)
		if s == "" {
			return
		}
		if _, err := abide.ParseDate(s); err != nil {
			d.report(diag.New(diag.WrongValue, d.exprSpan(f.expr), "%s is not a date", f.name).WithHint("write it as YYYY-MM-DD"))
			return
		}
		*dst = s
	}
}

// clauseSettings reads what is said of a clause itself.
func (d *decoder) clauseSettings(b *hclsyntax.Block) {
	d.noLabel(b)
	d.body("clause", b, d.clauseArgs())
}

func (d *decoder) clauseArgs() args {
	return args{
		"informative": d.text(&d.clause.Informative),
		"suppress":    d.suppress,
	}
}

// suppress reads [{ code = …, name = …, reason = "…" }].
func (d *decoder) suppress(f field) {
	for _, e := range items(f.expr) {
		s := rule.Suppression{Span: d.exprSpan(e)}
		var code, name *rule.Ref
		d.object("suppress", field{f.name, f.at, unparen(e)}, args{
			"code":   d.ref(&code),
			"name":   d.suppressed(&s, &name),
			"reason": d.text(&s.Reason),
		})
		if code == nil {
			d.report(diag.New(diag.MissingArgument, s.Span, "what is suppressed wants a code and a reason").
				WithHint(`write { code = prose_not_in_rules, name = person.email, reason = "why" }`))
			continue
		}
		s.Code = code.Name
		if name != nil {
			s.Name = name.Name
		}
		if _, ok := diag.Lookup(diag.Code(s.Code)); !ok {
			d.report(diag.New(diag.UnknownWord, code.Span, "there is no finding called %s", s.Code).WithHint("%s", diag.DidYouMean(s.Code, codeNames())))
			continue
		}
		d.clause.Suppress = append(d.clause.Suppress, s)
	}
}

// suppressed reads the name a suppression concerns: a name, or a word of the
// prose in quotes.
func (d *decoder) suppressed(s *rule.Suppression, name **rule.Ref) func(field) {
	return func(f field) {
		if _, text := literalString(f.expr); text {
			d.text(&s.Name)(f)
			return
		}
		d.ref(name)(f)
	}
}

func codeNames() []string {
	var names []string
	for _, in := range diag.Codes() {
		names = append(names, string(in.Code))
	}
	return names
}

// example reads a case that the check runs.
func (d *decoder) example(b *hclsyntax.Block) {
	name, label, ok := d.label(b)
	x := &rule.Example{At: d.at(b, label), Name: name}
	asked := 0
	request := func(effect abide.Effect) func(field) {
		return func(f field) {
			asked++
			if c, ok := d.call(f.name, f.expr); ok {
				x.Want, x.Request = effect, c
			}
		}
	}
	var because *rule.Ref
	d.body("example", b, args{
		"given":     func(f field) { x.Given = d.calls(f) },
		"permitted": request(abide.Permit),
		"refused":   request(abide.Deny),
		"because":   d.ref(&because),
	})
	if because != nil {
		x.Because = because.Name
	}
	if asked != 1 && ok {
		d.report(diag.New(diag.MissingArgument, label, "example %s wants either permitted or refused", name).WithHint("write refused = contact(marketing, person.email)"))
		return
	}
	if ok && x.Request.Name != "" && d.p.declare("example", name, label) {
		d.p.set.Examples = append(d.p.set.Examples, x)
	}
}

func (d *decoder) calls(f field) []rule.Call {
	var calls []rule.Call
	for _, e := range items(f.expr) {
		if c, ok := d.call(f.name, e); ok {
			calls = append(calls, c)
		}
	}
	return calls
}

// call reads a word with arguments: names, text, numbers, calls, and one
// stretch of time.
func (d *decoder) call(of string, e hclsyntax.Expression) (rule.Call, bool) {
	c, ok := call(e)
	if !ok {
		d.wrong(field{name: of, expr: e}, "a word with arguments", "write it like lives(HK) or contact(marketing, person.email)")
		return rule.Call{}, false
	}
	out := rule.Call{Name: c.Name, Span: d.exprSpan(c)}
	ok = true
	for _, a := range c.Args {
		ok = d.argument(c.Name, a, &out) && ok
	}
	return out, ok
}

func (d *decoder) argument(of string, a hclsyntax.Expression, out *rule.Call) bool {
	if _, isCall := call(a); isCall {
		inner, ok := d.call(of, a)
		out.Calls = append(out.Calls, inner)
		return ok
	}
	if _, isSum := unparen(a).(*hclsyntax.BinaryOpExpr); isSum {
		d.stretch(&out.After)(field{of, d.exprSpan(a), a})
		return out.After != nil
	}
	if s, ok := literalString(a); ok {
		out.Args = append(out.Args, rule.Ref{Name: s, Span: d.textSpan(a)})
		return true
	}
	if n, ok := literalNumber(a); ok {
		out.Args = append(out.Args, rule.Ref{Name: n.Text('f', -1), Span: d.exprSpan(a)})
		return true
	}
	r, ok := d.one(of, a)
	if ok {
		out.Args = append(out.Args, r)
	}
	return ok
}

func pretty(name string) string {
	s := strings.NewReplacer("_", " ", "-", " ").Replace(name)
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
