package source

import (
	"fmt"
	"sort"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy/diag"
)

// field is one argument of a rule, or one entry of an object.
type field struct {
	name string
	at   abide.Span // the name
	expr hclsyntax.Expression
}

// args says what each argument's value is read into.
type args map[string]func(field)

func (a args) names() []string {
	names := make([]string, 0, len(a))
	for n := range a {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

// bodyFields returns the arguments of a body in the order they are written.
func (d *decoder) bodyFields(b *hclsyntax.Body) []field {
	fields := make([]field, 0, len(b.Attributes))
	for _, a := range b.Attributes {
		fields = append(fields, field{a.Name, d.span(a.NameRange), a.Expr})
	}
	sort.Slice(fields, func(i, j int) bool { return fields[i].at.Start.Byte < fields[j].at.Start.Byte })
	return fields
}

// objectFields returns the entries of an object, and false, with a finding, if
// the value is no object.
func (d *decoder) objectFields(f field) ([]field, bool) {
	obj, ok := f.expr.(*hclsyntax.ObjectConsExpr)
	if !ok {
		d.wrong(f, "an object", `write it as { … }`)
		return nil, false
	}
	var fields []field
	seen := map[string]abide.Span{}
	for _, item := range obj.Items {
		at := d.span(item.KeyExpr.Range())
		name, ok := keyName(item.KeyExpr)
		if !ok {
			d.report(diag.New(diag.WrongValue, at, "this is not the name of an entry").WithHint("write a plain word before the ="))
			continue
		}
		if first, twice := seen[name]; twice {
			d.report(diag.New(diag.DuplicateArgument, at, "%s is set twice", name).WithOther(first, "first set here"))
			continue
		}
		seen[name] = at
		fields = append(fields, field{name, at, item.ValueExpr})
	}
	return fields, true
}

func keyName(e hclsyntax.Expression) (string, bool) {
	key, ok := e.(*hclsyntax.ObjectConsKeyExpr)
	if !ok || key.ForceNonLiteral {
		return "", false
	}
	if t, ok := key.Wrapped.(*hclsyntax.ScopeTraversalExpr); ok {
		return traversalName(t.Traversal)
	}
	return literalString(key.Wrapped)
}

// body reads the arguments of a rule; nested rules are refused unless the kind
// of rule reads them itself.
func (d *decoder) body(what string, b *hclsyntax.Block, a args, nested ...string) {
	d.fields(what, d.bodyFields(b.Body), a)
	for _, inner := range b.Body.Blocks {
		if !contains(nested, inner.Type) {
			at := d.span(inner.TypeRange)
			out := diag.New(diag.UnknownBlock, at, "%s holds no rule of the kind %s", what, inner.Type)
			if _, isArg := a[inner.Type]; isArg {
				out = out.WithHint("write an equals sign: %s = { … }", inner.Type)
			} else if isRule(inner.Type) {
				out = out.WithHint("rules stand beside each other: close this one first")
			} else {
				out.Hint = diag.DidYouMean(inner.Type, append(a.names(), nested...))
			}
			d.report(out)
		}
	}
}

func (d *decoder) object(what string, f field, a args) {
	if fields, ok := d.objectFields(f); ok {
		d.fields(what, fields, a)
	}
}

func (d *decoder) fields(what string, fields []field, a args) {
	for _, f := range fields {
		read, ok := a[f.name]
		if !ok {
			out := diag.New(diag.UnknownArgument, f.at, "%s has no argument %s", what, f.name)
			out.Hint = diag.DidYouMean(f.name, a.names())
			d.report(out)
			continue
		}
		read(f)
	}
}

// wrong reports a value of the wrong kind.
func (d *decoder) wrong(f field, want, hint string) {
	d.report(diag.New(diag.WrongValue, d.exprSpan(f.expr), "%s wants %s, but this is %s", f.name, want, kindOf(f.expr)).WithHint("%s", hint))
}

// kindOf names the kind of a value in a writer's words.
func kindOf(e hclsyntax.Expression) string {
	switch e := e.(type) {
	case *hclsyntax.ParenthesesExpr:
		return kindOf(e.Expression)
	case *hclsyntax.TemplateExpr:
		if _, plain := literalString(e); !plain {
			return "text with something to fill in"
		}
		return "text"
	case *hclsyntax.TemplateWrapExpr:
		return "text with something to fill in"
	case *hclsyntax.ScopeTraversalExpr:
		return "a name"
	case *hclsyntax.LiteralValueExpr:
		if isBool(e) {
			return "true or false"
		}
		if _, ok := literalNumber(e); ok {
			return "a number"
		}
		return "nothing"
	case *hclsyntax.TupleConsExpr:
		return "a list"
	case *hclsyntax.ObjectConsExpr:
		return "an object"
	case *hclsyntax.FunctionCallExpr:
		return "a call"
	case *hclsyntax.BinaryOpExpr, *hclsyntax.UnaryOpExpr:
		return "arithmetic"
	default:
		return "something else"
	}
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// label returns the one label a rule must have.
func (d *decoder) label(b *hclsyntax.Block) (string, abide.Span, bool) {
	at := d.span(b.TypeRange)
	if len(b.Labels) != 1 || strings.TrimSpace(b.Labels[0]) == "" {
		if len(b.LabelRanges) > 1 {
			at = d.span(b.LabelRanges[1])
		}
		d.report(diag.New(diag.WrongLabels, at, "a %s wants exactly one name", b.Type).WithHint(`write %s "name" { … }`, b.Type))
		return "", at, false
	}
	return b.Labels[0], d.labelSpan(b, 0), true
}

// labelSpan is the label without its quotes.
func (d *decoder) labelSpan(b *hclsyntax.Block, i int) abide.Span {
	r := b.LabelRanges[i]
	start, end := r.Start.Byte, r.End.Byte
	if text, _ := d.p.files.At(d.span(r)); len(text) >= 2 && text[0] == '"' && text[len(text)-1] == '"' {
		start, end = start+1, end-1
	}
	return d.p.files.Span(d.file, start, end)
}

// name is a label that other rules use: it must be a word, or one could not
// write it there.
func (d *decoder) name(b *hclsyntax.Block) (string, abide.Span, bool) {
	label, at, ok := d.label(b)
	if ok && !hclsyntax.ValidIdentifier(label) {
		d.report(diag.New(diag.WrongLabels, at, "%q cannot be used as a name in other rules", label).
			WithHint("use letters, digits, - and _, as in %s", fmt.Sprintf("%q", identifier(label))))
		return label, at, false
	}
	return label, at, ok
}

func (d *decoder) noLabel(b *hclsyntax.Block) {
	if len(b.Labels) > 0 {
		d.report(diag.New(diag.WrongLabels, d.span(b.LabelRanges[0]), "%s takes no name", b.Type).WithHint("write %s { … }", b.Type))
	}
}

func identifier(s string) string {
	out := strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '_'
		case r == '_' || r == '-' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r > 127:
			return r
		}
		return -1
	}, s)
	if !hclsyntax.ValidIdentifier(out) {
		return "name"
	}
	return out
}
