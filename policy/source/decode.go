package source

import (
	"regexp"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy/diag"
	"github.com/abide-privacy/abide/policy/rule"
)

// decoder reads the rules of one clause into the set.
type decoder struct {
	p      *parser
	file   string
	doc    *document
	clause *rule.Clause
}

func (d *decoder) report(x diag.Diagnostic) {
	if d.clause != nil && x.Clause == "" && d.clause.Document.Name != "" {
		x.Clause = d.clause.FullID()
	}
	d.p.report(x)
}

func (d *decoder) span(r hcl.Range) abide.Span { return d.p.span(d.file, r) }

func (d *decoder) exprSpan(e hclsyntax.Expression) abide.Span { return d.span(e.Range()) }

// textSpan is a text without its quotes.
func (d *decoder) textSpan(e hclsyntax.Expression) abide.Span {
	at := d.exprSpan(e)
	text, _ := d.p.files.At(at)
	if len(text) >= 2 && text[0] == '"' && text[len(text)-1] == '"' {
		return d.p.files.Span(d.file, at.Start.Byte+1, at.End.Byte-1)
	}
	return at
}

func (d *decoder) at(b *hclsyntax.Block, label abide.Span) rule.At {
	return rule.At{Clause: d.clause, Span: d.span(hcl.RangeBetween(b.TypeRange, b.CloseBraceRange)), Label: label}
}

// ruleKinds are the kinds of rule a clause may hold.
var ruleKinds map[string]func(*decoder, *hclsyntax.Block)

func init() {
	ruleKinds = map[string]func(*decoder, *hclsyntax.Block){
		"clause":          (*decoder).clauseSettings,
		"level":           (*decoder).level,
		"data":            (*decoder).group,
		"purpose":         (*decoder).purpose,
		"service":         (*decoder).service,
		"recipient":       (*decoder).recipient,
		"without_consent": (*decoder).withoutConsent,
		"statistic":       (*decoder).statistic,
		"tracker":         (*decoder).tracker,
		"channel":         (*decoder).channel,
		"signin":          (*decoder).signin,
		"post":            (*decoder).post,
		"minors":          (*decoder).minors,
		"review":          (*decoder).review,
		"role":            (*decoder).role,
		"never":           (*decoder).never,
		"example":         (*decoder).example,
	}
}

// kindNames lists the kinds of rule in the order of the specification.
var kindNames = []string{"document", "clause", "level", "data", "purpose", "service", "recipient",
	"without_consent", "statistic", "tracker", "channel", "signin", "post", "minors", "review", "role", "never", "example"}

// documents reads the document blocks of a body, and nothing else.
func (d *decoder) documents(body *hclsyntax.Body) {
	for _, b := range body.Blocks {
		if b.Type == "document" {
			d.document(b)
		}
	}
}

// rules reads a body of rules, all but its document blocks.
func (d *decoder) rules(body *hclsyntax.Body) {
	d.strayArguments(body)
	for _, b := range body.Blocks {
		if b.Type != "document" {
			d.rule(b)
		}
	}
}

func (d *decoder) strayArguments(body *hclsyntax.Body) {
	for _, f := range d.bodyFields(body) {
		d.strayArgument(f)
	}
}

func (d *decoder) strayArgument(f field) {
	out := diag.New(diag.MisplacedBlock, f.at, "%s stands outside any rule", f.name)
	out.Hint = "put it inside the rule it belongs to"
	if contains(kindNames, f.name) {
		out.Hint = "a rule is written without an equals sign: " + f.name + ` "name" { … }`
	}
	d.report(out)
}

// isRule reports whether a block of this kind exists at all.
func isRule(kind string) bool { return contains(kindNames, kind) }

func (d *decoder) rule(b *hclsyntax.Block) {
	read, ok := ruleKinds[b.Type]
	if !ok {
		at := d.span(b.TypeRange)
		if b.Type == "system" || b.Type == "bind" {
			where := map[string]string{"system": "systems.hcl", "bind": "the sidecar of a notice"}[b.Type]
			d.report(diag.New(diag.MisplacedBlock, at, "%s stands in %s only", b.Type, where).WithHint("move it to %s", where))
			return
		}
		out := diag.New(diag.UnknownBlock, at, "there is no rule of the kind %s", b.Type)
		out.Hint = diag.DidYouMean(b.Type, kindNames)
		d.report(out)
		return
	}
	if d.clause != nil && b.Type != "clause" {
		d.clause.HasRules = true
	}
	read(d, b)
}

var (
	languageTag = regexp.MustCompile(`^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$`)
	placeCode   = regexp.MustCompile(`^([A-Z]{2}(-[A-Z0-9]{1,3})?|[A-Z]{3,8})$`) // HK, US-CA, EEA
)

func validLanguage(s string) bool { return languageTag.MatchString(s) }

func placeOf(s string) abide.Place { return abide.Place(s) }

// places reads names of jurisdictions.
func (d *decoder) checkPlace(r rule.Ref) bool {
	if placeCode.MatchString(r.Name) {
		return true
	}
	d.report(diag.New(diag.WrongValue, r.Span, "%s is not a place", r.Name).
		WithHint("write an ISO 3166 code such as HK or US-CA, or a group such as EU"))
	return false
}
