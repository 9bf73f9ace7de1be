package source

import (
	"github.com/hashicorp/hcl/v2/hclsyntax"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy/diag"
	"github.com/abide-privacy/abide/policy/dpv"
	"github.com/abide-privacy/abide/policy/rule"
)

func (d *decoder) purpose(b *hclsyntax.Block) {
	name, label, ok := d.name(b)
	p := &rule.Purpose{At: d.at(b, label), Name: abide.Purpose(name)}
	var message *field
	d.body("purpose", b, args{
		"title":     d.text(&p.Title),
		"dpv":       d.vocabulary(&p.DPV, "https://w3id.org/dpv#vocab-purposes", dpv.Purposes()),
		"words":     d.spoken(&p.Words),
		"uses":      d.refs(&p.Uses),
		"contacts":  d.refs(&p.Contacts),
		"chosen_by": d.refs(&p.ChosenBy),
		"offers":    d.offers(&p.Offers),
		"topics":    d.refs(&p.Topics),
		"channels":  d.refs(&p.Channels),
		"basis":     d.basis(&p.Basis),
		"ask":       d.word(&p.Ask, "separate"),
		"grade":     d.word(&p.Grade, string(abide.GradeProved), string(abide.GradeClaimed)),
		"keep":      d.deadline(&p.Keep, ""),
		"at_most":   d.deadline(&p.AtMost, ""),
		"then":      d.word(&p.Then, "erase", "unlink"),
		"lasts":     d.deadline(&p.Lasts, "given"),
		"within":    d.ref(&p.Within),
		"honours":   d.refs(&p.Honours),
		"marketing": d.boolean(&p.Marketing),
		"message":   func(f field) { message = &f },
	}, "in")
	if message != nil {
		p.Message = d.message(p, *message)
	}
	for _, inner := range b.Body.Blocks {
		if inner.Type == "in" {
			p.In = append(p.In, d.in(inner))
		}
	}
	if p.Title == "" {
		p.Title = pretty(name)
	}
	if p.Then == "" {
		p.Then = "erase"
	}
	if len(p.Offers) > 0 || (p.Basis != nil && p.Basis.Kind == rule.BasisProfile && p.Basis.Profile == "direct_marketing") {
		p.Marketing = true
	}
	if ok && d.p.declareInFile("purpose", name, label) {
		d.p.set.Purposes = append(d.p.set.Purposes, p)
	}
}

var whose = []string{"own", "affiliates", "partners"}

func (d *decoder) offers(dst *[]rule.Offer) func(field) {
	return func(f field) {
		read := args{}
		for _, w := range whose {
			read[w] = func(kinds field) {
				o := rule.Offer{Whose: w, Span: d.p.files.Span(d.file, kinds.at.Start.Byte, d.exprSpan(kinds.expr).End.Byte)}
				d.refs(&o.Kinds)(kinds)
				*dst = append(*dst, o)
			}
		}
		d.object("offers", f, read)
	}
}

// message reads what a message may hold; contacts and uses stand for the
// categories that the purpose lists under these names.
func (d *decoder) message(p *rule.Purpose, f field) *rule.Message {
	m := &rule.Message{Span: d.exprSpan(f.expr)}
	d.object("message", f, args{
		"fields": func(f field) {
			for _, r := range d.manyRefs(f.name, f.expr) {
				switch r.Name {
				case "contacts":
					m.Fields = append(m.Fields, p.Contacts...)
				case "uses":
					m.Fields = append(m.Fields, p.Uses...)
				default:
					m.Fields = append(m.Fields, r)
				}
			}
		},
		"ends_with": d.word(&m.EndsWith, "unsubscribe"),
	})
	return m
}

// in reads what holds in some places: in EU GB { ask = separate }.
func (d *decoder) in(b *hclsyntax.Block) *rule.PlaceRule {
	r := &rule.PlaceRule{Span: d.at(b, abide.Span{}).Span}
	for i, l := range b.Labels {
		ref := rule.Ref{Name: l, Span: d.labelSpan(b, i)}
		if d.checkPlace(ref) {
			r.Places = append(r.Places, ref)
		}
	}
	if len(b.Labels) == 0 {
		d.report(diag.New(diag.WrongLabels, d.span(b.TypeRange), "in names no place").WithHint("write in HK { … } or in EU GB { … }"))
	}
	d.body("in", b, args{
		"basis":   d.basis(&r.Basis),
		"ask":     d.word(&r.Ask, "separate"),
		"keep":    d.deadline(&r.Keep, ""),
		"at_most": d.deadline(&r.AtMost, ""),
		"lasts":   d.deadline(&r.Lasts, "given"),
		"closed":  d.boolean(&r.Closed),
	})
	return r
}

func (d *decoder) service(b *hclsyntax.Block) {
	name, label, ok := d.name(b)
	s := &rule.Service{At: d.at(b, label), Name: abide.Service(name)}
	d.body("service", b, args{
		"title":   d.text(&s.Title),
		"words":   d.spoken(&s.Words),
		"needs":   d.refs(&s.Needs),
		"wants":   d.refs(&s.Wants),
		"serves":  d.refs(&s.Serves),
		"sources": d.refs(&s.Sources),
		"reports": d.refs(&s.Reports),
		"minors":  d.boolean(&s.Minors),
	})
	if s.Title == "" {
		s.Title = pretty(name)
	}
	if ok && d.p.declare("service", name, label) {
		d.p.set.Services = append(d.p.set.Services, s)
	}
}

var recipientClasses = []string{"affiliate", "processor", "partner", "authority", "network", "advertiser"}

func (d *decoder) recipient(b *hclsyntax.Block) {
	name, label, ok := d.name(b)
	r := &rule.Recipient{At: d.at(b, label), Name: abide.Recipient(name)}
	d.body("recipient", b, args{
		"title":    d.text(&r.Title),
		"words":    d.spoken(&r.Words),
		"class":    d.word(&r.Class, recipientClasses...),
		"sectors":  d.refs(&r.Sectors),
		"members":  d.members(r),
		"gets":     d.gets(&r.Gets),
		"contract": d.contract(&r.Contract),
		"network": func(f field) {
			d.object("network", f, args{"own_policy": d.text(&r.OwnPolicy)})
			if r.Class == "" {
				r.Class = "network"
			}
		},
	})
	if r.Title == "" {
		r.Title = pretty(name)
	}
	if ok && d.p.declare("recipient", name, label) {
		d.p.set.Recipients = append(d.p.set.Recipients, r)
	}
}

// members reads the word register, or a list of names.
func (d *decoder) members(r *rule.Recipient) func(field) {
	return func(f field) {
		if name, ok := plainName(f.expr); ok && name == "register" {
			r.Register = true
			return
		}
		d.refs(&r.Members)(f)
	}
}

// gets reads what is received for each purpose: { provide = [person.name] }.
func (d *decoder) gets(dst *[]rule.Gets) func(field) {
	return func(f field) {
		entries, _ := d.objectFields(f)
		for _, e := range entries {
			g := rule.Gets{Purpose: rule.Ref{Name: e.name, Span: e.at},
				Span: d.p.files.Span(d.file, e.at.Start.Byte, d.exprSpan(e.expr).End.Byte)}
			d.refs(&g.Categories)(e)
			*dst = append(*dst, g)
		}
	}
}

func (d *decoder) contract(dst **rule.Contract) func(field) {
	return func(f field) {
		c := &rule.Contract{Span: d.exprSpan(f.expr)}
		d.object("contract", f, args{
			"covers": d.word(&c.Covers, "residence"),
			"lapse":  d.word(&c.Lapse, "closes"),
		})
		*dst = c
	}
}
