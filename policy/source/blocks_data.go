package source

import (
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy/diag"
	"github.com/abide-privacy/abide/policy/dpv"
	"github.com/abide-privacy/abide/policy/rule"
)

func (d *decoder) level(b *hclsyntax.Block) {
	name, label, ok := d.name(b)
	l := &rule.Level{At: d.at(b, label), Name: name}
	d.body("level", b, args{
		"floor_for": d.refs(&l.FloorFor),
		"opens": func(f field) {
			d.object("opens", f, args{
				"above":        d.ref(&l.Above),
				"reason":       d.required(&l.Reason),
				"approvals":    d.whole(&l.Approvals, 1),
				"mask":         d.mask(&l.Mask),
				"undertaking":  d.required(&l.Undertaking),
				"review_every": d.months(&l.ReviewEvery),
			})
		},
	})
	if ok && d.p.declare("level", name, label) {
		d.p.set.Levels = append(d.p.set.Levels, l)
	}
}

// mask reads last(4).
func (d *decoder) mask(dst *int) func(field) {
	return func(f field) {
		c, ok := call(f.expr)
		if !ok || c.Name != "last" || len(c.Args) != 1 {
			d.wrong(f, "how many characters stay", "write mask = last(4)")
			return
		}
		d.whole(dst, 1)(field{f.name, f.at, c.Args[0]})
	}
}

var formats = []string{"text", "email", "phone", "date", "address", "country", "money", "json", "ip", "imei", "url", "number", "time", "file"}

var (
	coarsenings   = []string{"network", "hour", "day", "month", "year"}
	countPeriods  = []string{"day", "week", "month", "year"}
	groupSettings = []string{"apart", "level", "only_to", "held", "count_per", "keep"}
)

// group reads a data block. Rows may have any name: what has the value of a
// row (text, a list of texts, an object) is a row, what has the value of a
// setting (names, or a deadline) is a setting of the group.
func (d *decoder) group(b *hclsyntax.Block) {
	name, label, ok := d.name(b)
	g := &rule.Group{At: d.at(b, label), Name: name}
	shared := &rule.Category{}
	var held string
	settings := args{
		"apart":     d.refs(&g.Apart),
		"level":     d.ref(&shared.Level),
		"only_to":   d.refs(&shared.OnlyTo),
		"held":      d.word(&held, "here", "elsewhere"),
		"count_per": d.word(&shared.CountPer, countPeriods...),
		"keep":      d.deadline(&shared.Keep, ""),
	}
	var rows []field
	for _, f := range d.bodyFields(b.Body) {
		if isRow(f.expr) {
			rows = append(rows, f)
			continue
		}
		if read, known := settings[f.name]; known {
			read(f)
			continue
		}
		out := diag.New(diag.UnknownArgument, f.at, "%s is neither a row nor a setting of a data group", f.name)
		if s, near := diag.Suggest(f.name, groupSettings); near {
			out.Hint = "did you mean " + s + "?"
		} else {
			out.Hint = `a row is written ` + f.name + ` = "the word prose uses", or ` + f.name + ` = { words = … }; settings: ` + strings.Join(groupSettings, ", ")
		}
		d.report(out)
	}
	for _, inner := range b.Body.Blocks {
		d.report(diag.New(diag.UnknownBlock, d.span(inner.TypeRange), "a data group holds no rule of the kind %s", inner.Type).
			WithHint("a row is written with an equals sign: %s = { … }", inner.Type))
	}
	shared.Elsewhere = held == "elsewhere"
	if !ok || !d.p.declare("data", name, label) {
		return
	}
	for _, f := range rows {
		g.Categories = append(g.Categories, d.row(g, shared, f))
	}
	if len(rows) == 0 {
		d.report(diag.New(diag.EmptyRule, label, "data group %s has no rows", name).WithHint(`write a row such as email = "e-mail address"`))
	}
	d.p.set.Groups = append(d.p.set.Groups, g)
}

func isRow(e hclsyntax.Expression) bool {
	switch e := unparen(e).(type) {
	case *hclsyntax.TemplateExpr, *hclsyntax.ObjectConsExpr:
		return true
	case *hclsyntax.TupleConsExpr:
		for _, item := range e.Exprs {
			if _, text := unparen(item).(*hclsyntax.TemplateExpr); !text {
				return false
			}
		}
		return len(e.Exprs) > 0
	}
	return false
}

// row reads a category. What the group shares holds unless the row says
// otherwise.
func (d *decoder) row(g *rule.Group, shared *rule.Category, f field) *rule.Category {
	c := *shared
	c.Group = g
	c.Name = abide.Category(g.Name + "." + f.name)
	end := d.exprSpan(f.expr)
	c.At = rule.At{Clause: d.clause, Label: f.at, Span: d.p.files.Span(d.file, f.at.Start.Byte, end.End.Byte)}
	if _, isObject := unparen(f.expr).(*hclsyntax.ObjectConsExpr); !isObject {
		d.spoken(&c.Words)(f)
	} else {
		var held string
		var own rule.Category
		d.object("row "+f.name, field{f.name, f.at, unparen(f.expr)}, args{
			"words":        d.spoken(&c.Words),
			"dpv":          d.vocabulary(&c.DPV, "https://w3id.org/dpv/pd", dpv.PersonalData()),
			"format":       d.word(&c.Format, formats...),
			"find":         d.word(&c.Find, "unique", "many"),
			"many":         d.boolean(&c.Many),
			"level":        d.ref(&c.Level),
			"only_to":      d.refs(&c.OnlyTo),
			"apart":        d.refs(&c.Apart),
			"keep":         d.deadline(&c.Keep, ""),
			"coarsen":      d.word(&c.Coarsen, coarsenings...),
			"derived_from": d.refs(&c.DerivedFrom),
			"two_party":    d.boolean(&c.TwoParty),
			"held":         d.word(&held, "here", "elsewhere"),
			"count_per":    d.word(&own.CountPer, countPeriods...),
			"max_size":     d.megabytes(&c.MaxMegabytes),
			"media_types":  d.mediaTypes(&c.MediaTypes),
		})
		if held != "" {
			c.Elsewhere = held == "elsewhere"
		}
		if own.CountPer != "" {
			c.CountPer = own.CountPer
		}
	}
	d.holdFile(&c)
	if len(c.Words) == 0 {
		c.Words = []rule.Word{{Text: strings.ReplaceAll(f.name, "_", " "), Span: f.at}}
	}
	if c.Format == "" {
		c.Format = "text"
	}
	return &c
}
