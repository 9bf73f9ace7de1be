package source

import (
	"net/url"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/abide-privacy/abide/policy/diag"
	"github.com/abide-privacy/abide/policy/rule"
)

// controller reads who answers for the page: in one text, or part by part.
// Receipts of consent in the published forms need the parts.
func (d *decoder) controller(doc *rule.Document) func(field) {
	return func(f field) {
		if _, parts := unparen(f.expr).(*hclsyntax.ObjectConsExpr); !parts {
			d.text(&doc.Controller)(f)
			return
		}
		p := &rule.Party{}
		before := len(d.p.found)
		d.object("controller", field{f.name, f.at, unparen(f.expr)}, args{
			"name":    d.text(&p.Name),
			"contact": d.text(&p.Contact),
			"email":   d.text(&p.Email),
			"phone":   d.text(&p.Phone),
			"url":     d.link(&p.URL),
			"address": func(f field) {
				a := &p.Address
				d.object("address", field{f.name, f.at, unparen(f.expr)}, args{
					"street":   d.text(&a.Street),
					"city":     d.text(&a.City),
					"region":   d.text(&a.Region),
					"postcode": d.text(&a.Postcode),
					"country":  d.text(&a.Country),
				})
			},
		})
		if p.Name == "" {
			if len(d.p.found) == before {
				d.report(diag.New(diag.MissingArgument, d.exprSpan(f.expr), "the controller has no name").
					WithHint(`write controller = { name = "Lantern Ltd", email = "privacy@lantern.test", … }`))
			}
			return
		}
		doc.Party, doc.Controller = p, p.Text()
	}
}

// link reads an address that a reader can open.
func (d *decoder) link(dst *string) func(field) {
	return func(f field) {
		var s string
		d.text(&s)(f)
		if s == "" {
			return
		}
		if u, err := url.Parse(s); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			d.report(diag.New(diag.WrongValue, d.exprSpan(f.expr), "%s is not an address that can be opened", f.name).
				WithHint(`write it whole, such as "https://lantern.test/privacy"`))
			return
		}
		*dst = s
	}
}

// vocabulary reads a term of the Data Privacy Vocabulary; at says where its
// terms are listed.
func (d *decoder) vocabulary(dst *string, at string, terms []string) func(field) {
	return func(f field) {
		r, ok := d.one(f.name, f.expr)
		switch {
		case !ok:
		case contains(terms, r.Name):
			*dst = r.Name
		default:
			out := diag.New(diag.UnknownWord, r.Span, "the Data Privacy Vocabulary has no %s here", r.Name)
			out.Hint = "its terms are listed at " + at
			if near, ok := diag.Suggest(r.Name, terms); ok {
				out.Hint = "did you mean " + near + "?"
			}
			d.report(out)
		}
	}
}

func (d *decoder) places(dst *[]rule.Ref) func(field) {
	return func(f field) {
		for _, r := range d.manyRefs(f.name, f.expr) {
			if d.checkPlace(r) {
				*dst = append(*dst, r)
			}
		}
	}
}
