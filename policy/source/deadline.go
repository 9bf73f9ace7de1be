package source

import (
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/abide-privacy/abide/policy/diag"
	"github.com/abide-privacy/abide/policy/rule"
)

// units of time, in months and days. A year is twelve months, so that
// anniversaries fall on the same day; a week is seven days.
var units = map[string]struct{ months, days int }{
	"year": {12, 0}, "years": {12, 0},
	"month": {1, 0}, "months": {1, 0},
	"week": {0, 7}, "weeks": {0, 7},
	"day": {0, 1}, "days": {0, 1},
}

var unitNames = []string{"days", "weeks", "months", "years"}

const deadlineHint = "write an anchor and a stretch of time, such as obtained + 30 * days"

// deadline reads anchor + stretch. Without an anchor, the given one stands; if
// that is empty too, an anchor is wanted.
func (d *decoder) deadline(dst **rule.Deadline, anchor string) func(field) {
	return func(f field) {
		dl := &rule.Deadline{Span: d.exprSpan(f.expr)}
		if !d.sum(f, f.expr, dl, true) {
			return
		}
		if dl.Anchor == "" {
			dl.Anchor = anchor
		}
		if dl.Anchor == "" {
			d.report(diag.New(diag.WrongValue, dl.Span, "%s does not say when its time begins", f.name).WithHint("%s", deadlineHint))
			return
		}
		*dst = dl
	}
}

// stretch reads a stretch of time without an anchor: 7 * days.
func (d *decoder) stretch(dst **rule.Deadline) func(field) {
	return func(f field) {
		dl := &rule.Deadline{Span: d.exprSpan(f.expr)}
		if d.sum(f, f.expr, dl, false) {
			*dst = dl
		}
	}
}

// months reads a stretch of whole months.
func (d *decoder) months(dst *int) func(field) {
	return func(f field) {
		var dl *rule.Deadline
		d.stretch(&dl)(f)
		switch {
		case dl == nil:
		case dl.Days != 0 || dl.Months == 0:
			d.report(diag.New(diag.WrongValue, dl.Span, "%s is counted in months", f.name).WithHint("write it as 12 * months"))
		default:
			*dst = dl.Months
		}
	}
}

// sum adds an expression to dl, and reports what cannot be added.
func (d *decoder) sum(f field, e hclsyntax.Expression, dl *rule.Deadline, anchored bool) bool {
	e = unparen(e)
	if op, ok := e.(*hclsyntax.BinaryOpExpr); ok {
		switch op.Op {
		case hclsyntax.OpAdd:
			left := d.sum(f, op.LHS, dl, anchored)
			return d.sum(f, op.RHS, dl, anchored) && left
		case hclsyntax.OpMultiply:
			return d.product(f, op, dl)
		}
	}
	name, ok := plainName(e)
	if _, unit := units[name]; unit {
		d.report(diag.New(diag.WrongValue, d.exprSpan(e), "%s does not say how many %s", f.name, name).WithHint("write a number: 1 * %s", name))
		return false
	}
	if ok && anchored {
		if dl.Anchor != "" {
			d.report(diag.New(diag.WrongValue, d.exprSpan(e), "%s begins twice, with %s and with %s", f.name, dl.Anchor, name).WithHint("%s", deadlineHint))
			return false
		}
		dl.Anchor = name
		return true
	}
	hint, want := deadlineHint, "a deadline"
	if !anchored {
		hint, want = "write it as 7 * days", "a stretch of time"
	}
	if _, number := literalNumber(e); number {
		hint = "say of what: 30 * days"
	}
	d.wrong(field{f.name, f.at, e}, want, hint)
	return false
}

// product adds number * unit to dl.
func (d *decoder) product(f field, op *hclsyntax.BinaryOpExpr, dl *rule.Deadline) bool {
	number, unit := op.LHS, op.RHS
	if _, ok := literalNumber(unit); ok {
		number, unit = unit, number
	}
	n, ok := literalNumber(number)
	if !ok {
		d.wrong(field{f.name, f.at, number}, "a number of days, weeks, months or years", "write it as 30 * days")
		return false
	}
	name, ok := plainName(unit)
	if !ok {
		d.wrong(field{f.name, f.at, unit}, "days, weeks, months or years", "write it as 30 * days")
		return false
	}
	u, ok := units[name]
	if !ok {
		d.unknownWord(f.name, rule.Ref{Name: name, Span: d.exprSpan(unit)}, unitNames)
		return false
	}
	v, err := strconv.Atoi(n.Text('f', -1))
	if err != nil || v < 1 || v > maxNumber {
		d.report(diag.New(diag.WrongValue, d.exprSpan(number), "%s wants a whole number from 1 to %d", f.name, maxNumber).WithHint("correct the number"))
		return false
	}
	dl.Months += v * u.months
	dl.Days += v * u.days
	return true
}

// basis reads a legal basis.
func (d *decoder) basis(dst **rule.Basis) func(field) {
	return func(f field) {
		b := &rule.Basis{Span: d.exprSpan(f.expr)}
		if c, ok := call(f.expr); ok {
			if d.basisCall(f, c, b) {
				*dst = b
			}
			return
		}
		r, ok := d.one(f.name, f.expr)
		if !ok {
			return
		}
		if profile, isLaw := strings.CutPrefix(r.Name, "law."); isLaw && profile != "" {
			b.Kind, b.Profile = rule.BasisProfile, profile
		} else if b.Kind = rule.BasisKind(r.Name); !contains(plainBases, r.Name) {
			d.unknownWord(f.name, r, append(plainBases, "law.direct_marketing", "law.cookies", "no_objection(told(…))", `law("HK", "…")`))
			return
		}
		*dst = b
	}
}

var plainBases = []string{string(rule.BasisConsent), string(rule.BasisContract), string(rule.BasisLegitimate), string(rule.BasisNoObjection)}

func (d *decoder) basisCall(f field, c *hclsyntax.FunctionCallExpr, b *rule.Basis) bool {
	at := d.exprSpan(c)
	switch c.Name {
	case "law":
		b.Kind = rule.BasisLaw
		if len(c.Args) == 2 {
			place, ok1 := literalString(c.Args[0])
			citation, ok2 := literalString(c.Args[1])
			if ok1 && ok2 && place != "" && citation != "" {
				b.Place, b.Citation = placeOf(place), citation
				return true
			}
		}
		d.report(diag.New(diag.WrongValue, at, "law wants a place and what the law is called").WithHint(`write law("HK", "Inland Revenue Ordinance s.51C")`))
		return false
	case "no_objection":
		b.Kind = rule.BasisNoObjection
		if len(c.Args) == 1 {
			if told, ok := call(c.Args[0]); ok && told.Name == "told" {
				for _, a := range told.Args {
					if r, ok := d.one("told", a); ok {
						b.Told = append(b.Told, r)
					}
				}
				return true
			}
		}
		d.report(diag.New(diag.WrongValue, at, "no_objection wants what the person was told before").WithHint("write no_objection(told(contacts, offers, free_reply)): silence is not an answer"))
		return false
	default:
		d.unknownWord(f.name, rule.Ref{Name: c.Name, Span: d.span(c.NameRange)}, []string{"law", "no_objection"})
		return false
	}
}
