package source

import (
	"math/big"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/abide-privacy/abide/policy/diag"
	"github.com/abide-privacy/abide/policy/rule"
)

// wild are words that would stand for every category at once.
var wild = []string{"any", "all", "every", "everything", "anything"}

// unparen takes parentheses off an expression.
func unparen(e hclsyntax.Expression) hclsyntax.Expression {
	for {
		p, ok := e.(*hclsyntax.ParenthesesExpr)
		if !ok {
			return e
		}
		e = p.Expression
	}
}

// traversalName returns a dotted name, and false if it holds an index.
func traversalName(t hcl.Traversal) (string, bool) {
	var b strings.Builder
	for i, step := range t {
		switch s := step.(type) {
		case hcl.TraverseRoot:
			b.WriteString(s.Name)
		case hcl.TraverseAttr:
			if i > 0 {
				b.WriteByte('.')
			}
			b.WriteString(s.Name)
		default:
			return "", false
		}
	}
	return b.String(), true
}

// plainName returns the dotted name an expression is, if it is one.
func plainName(e hclsyntax.Expression) (string, bool) {
	if t, ok := unparen(e).(*hclsyntax.ScopeTraversalExpr); ok {
		return traversalName(t.Traversal)
	}
	return "", false
}

// literalString returns text without interpolation.
func literalString(e hclsyntax.Expression) (string, bool) {
	t, ok := unparen(e).(*hclsyntax.TemplateExpr)
	if !ok {
		return "", false
	}
	var b strings.Builder
	for _, part := range t.Parts {
		lit, ok := part.(*hclsyntax.LiteralValueExpr)
		if !ok || lit.Val.Type() != cty.String || lit.Val.IsNull() {
			return "", false
		}
		b.WriteString(lit.Val.AsString())
	}
	return b.String(), true
}

func literalNumber(e hclsyntax.Expression) (*big.Float, bool) {
	lit, ok := unparen(e).(*hclsyntax.LiteralValueExpr)
	if !ok || lit.Val.IsNull() || lit.Val.Type() != cty.Number {
		return nil, false
	}
	return lit.Val.AsBigFloat(), true
}

func isBool(e hclsyntax.Expression) bool {
	lit, ok := unparen(e).(*hclsyntax.LiteralValueExpr)
	return ok && !lit.Val.IsNull() && lit.Val.Type() == cty.Bool
}

// call returns the name and the arguments of a call.
func call(e hclsyntax.Expression) (*hclsyntax.FunctionCallExpr, bool) {
	c, ok := unparen(e).(*hclsyntax.FunctionCallExpr)
	return c, ok && !c.ExpandFinal
}

// items returns the members of a list; a value that is no list is a list of
// one.
func items(e hclsyntax.Expression) []hclsyntax.Expression {
	if t, ok := unparen(e).(*hclsyntax.TupleConsExpr); ok {
		return t.Exprs
	}
	return []hclsyntax.Expression{e}
}

// one reads a name out of an expression, and reports what is not one.
func (d *decoder) one(of string, e hclsyntax.Expression) (rule.Ref, bool) {
	at := d.exprSpan(e)
	switch x := unparen(e).(type) {
	case *hclsyntax.ScopeTraversalExpr:
		if name, ok := traversalName(x.Traversal); ok {
			return rule.Ref{Name: name, Span: d.exprSpan(x)}, true
		}
		d.report(diag.New(diag.Wildcard, at, "%s picks from a list, where names are wanted", of))
		return rule.Ref{}, false
	case *hclsyntax.SplatExpr:
		d.report(diag.New(diag.Wildcard, at, "%s stands for whatever is there", of))
		return rule.Ref{}, false
	}
	hint := "write names without quotes, such as person.email"
	if s, ok := literalString(e); ok && s != "" {
		if s == "*" || strings.HasSuffix(s, ".*") {
			d.report(diag.New(diag.Wildcard, at, "%s stands for whatever is there", of))
			return rule.Ref{}, false
		}
		hint = "write it without quotes: " + strings.ReplaceAll(s, " ", "_")
	}
	d.report(diag.New(diag.WrongValue, at, "%s wants a name, but this is %s", of, kindOf(e)).WithHint("%s", hint))
	return rule.Ref{}, false
}

// manyRefs reads a list of names; wildcards are refused.
func (d *decoder) manyRefs(of string, e hclsyntax.Expression) []rule.Ref {
	var refs []rule.Ref
	for _, item := range items(e) {
		r, ok := d.one(of, item)
		if !ok {
			continue
		}
		if contains(wild, r.Name) {
			d.report(diag.New(diag.Wildcard, r.Span, "%s cannot be %s", of, r.Name))
			continue
		}
		refs = append(refs, r)
	}
	return refs
}

func (d *decoder) refs(dst *[]rule.Ref) func(field) {
	return func(f field) { *dst = d.manyRefs(f.name, f.expr) }
}

func (d *decoder) ref(dst **rule.Ref) func(field) {
	return func(f field) {
		if r, ok := d.one(f.name, f.expr); ok {
			*dst = &r
		}
	}
}

// word reads one of a few words.
func (d *decoder) word(dst *string, allowed ...string) func(field) {
	return func(f field) {
		name, ok := plainName(f.expr)
		if !ok {
			d.wrong(f, "a word", "write "+strings.Join(allowed, " or ")+", without quotes")
			return
		}
		if !contains(allowed, name) {
			d.unknownWord(f.name, rule.Ref{Name: name, Span: d.exprSpan(unparen(f.expr))}, allowed)
			return
		}
		*dst = name
	}
}

// words reads a list of words out of a few.
func (d *decoder) words(dst *[]string, allowed ...string) func(field) {
	return func(f field) {
		for _, r := range d.manyRefs(f.name, f.expr) {
			if !contains(allowed, r.Name) {
				d.unknownWord(f.name, r, allowed)
				continue
			}
			*dst = append(*dst, r.Name)
		}
	}
}

func (d *decoder) unknownWord(of string, r rule.Ref, allowed []string) {
	out := diag.New(diag.UnknownWord, r.Span, "%s cannot be %s", of, r.Name)
	out.Hint = diag.DidYouMean(r.Name, allowed)
	d.report(out)
}

// required reads an argument whose only value is the word required.
func (d *decoder) required(dst *bool) func(field) {
	return func(f field) {
		var s string
		d.word(&s, "required")(f)
		*dst = s == "required"
	}
}

func (d *decoder) boolean(dst *bool) func(field) {
	return func(f field) {
		if !isBool(f.expr) {
			d.wrong(f, "true or false", "write "+f.name+" = true, or leave it out")
			return
		}
		*dst = unparen(f.expr).(*hclsyntax.LiteralValueExpr).Val.True()
	}
}

func (d *decoder) text(dst *string) func(field) {
	return func(f field) {
		s, ok := literalString(f.expr)
		if !ok {
			d.wrong(f, "text", "write it in quotes, without ${…}")
			return
		}
		if strings.TrimSpace(s) == "" {
			d.report(diag.New(diag.WrongValue, d.exprSpan(f.expr), "%s is empty", f.name).WithHint("say it, or leave the argument out"))
			return
		}
		*dst = s
	}
}

func (d *decoder) texts(dst *[]string) func(field) {
	return func(f field) {
		for _, e := range items(f.expr) {
			var s string
			d.text(&s)(field{f.name, f.at, e})
			if s != "" {
				*dst = append(*dst, s)
			}
		}
	}
}

// whole reads a whole number of at least low.
func (d *decoder) whole(dst *int, low int) func(field) {
	return func(f field) {
		n, ok := literalNumber(f.expr)
		if !ok {
			d.wrong(f, "a whole number", "write it in digits")
			return
		}
		if v, err := strconv.Atoi(n.Text('f', -1)); err == nil && v >= low && v <= maxNumber {
			*dst = v
			return
		}
		d.report(diag.New(diag.WrongValue, d.exprSpan(f.expr), "%s wants a whole number from %d to %d", f.name, low, maxNumber).WithHint("correct the number"))
	}
}

// maxNumber bounds counts and stretches of time: the longest is 100,000 days.
const maxNumber = 100_000

// positive reads a number above zero.
func (d *decoder) positive(dst *float64) func(field) {
	return func(f field) {
		n, ok := literalNumber(f.expr)
		if !ok {
			d.wrong(f, "a number", "write it in digits")
			return
		}
		v, _ := n.Float64()
		if v <= 0 || v > maxNumber {
			d.report(diag.New(diag.WrongValue, d.exprSpan(f.expr), "%s wants a number above 0 and up to %d", f.name, maxNumber).WithHint("correct the number"))
			return
		}
		*dst = v
	}
}

// spoken reads the words by which prose names something: text, a list of
// texts, or for each language text or a list: { en = ["e-mail"], de = "E-Mail" }.
func (d *decoder) spoken(dst *[]rule.Word) func(field) {
	return func(f field) {
		if _, isObject := unparen(f.expr).(*hclsyntax.ObjectConsExpr); !isObject {
			*dst = append(*dst, d.wordsOf(f, "")...)
			return
		}
		langs, _ := d.objectFields(field{f.name, f.at, unparen(f.expr)})
		for _, l := range langs {
			if !validLanguage(l.name) {
				d.report(diag.New(diag.WrongValue, l.at, "%s is not a language", l.name).WithHint("write a BCP 47 tag such as en, de or zh-Hant"))
				continue
			}
			*dst = append(*dst, d.wordsOf(l, l.name)...)
		}
	}
}

func (d *decoder) wordsOf(f field, language string) []rule.Word {
	var words []rule.Word
	for _, e := range items(f.expr) {
		var s string
		d.text(&s)(field{f.name, f.at, e})
		if s != "" {
			words = append(words, rule.Word{Text: s, Language: language, Span: d.textSpan(e)})
		}
	}
	return words
}
