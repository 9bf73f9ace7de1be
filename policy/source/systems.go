package source

import (
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/abide-privacy/abide/policy/diag"
	"github.com/abide-privacy/abide/policy/rule"
)

// systems reads systems.hcl.
func (p *parser) systems(name string) {
	text, ok := p.read(p.fsys, name)
	if !ok {
		return
	}
	d := &decoder{p: p, file: name, doc: newDocument(name)}
	body := p.parseRules(name, text, 0)
	d.strayArguments(body)
	for _, b := range body.Blocks {
		if b.Type == "system" {
			d.system(b)
			continue
		}
		at := d.span(b.TypeRange)
		if isRule(b.Type) {
			d.report(diag.New(diag.MisplacedBlock, at, "%s does not stand in %s, which is not published", b.Type, SystemsFile).
				WithHint("move it into a document"))
			continue
		}
		out := diag.New(diag.UnknownBlock, at, "there is no rule of the kind %s", b.Type)
		out.Hint = diag.DidYouMean(b.Type, []string{"system"})
		d.report(out)
	}
}

func (d *decoder) system(b *hclsyntax.Block) {
	name, label, ok := d.label(b)
	s := &rule.System{Name: name, Span: d.at(b, label).Span}
	d.body("system", b, args{
		"holds":         d.refs(&s.Holds),
		"obeys":         d.words(&s.Obeys, "withdraw", "rectify", "erase", "restrict", "export"),
		"via":           func(f field) { s.Via = d.via(f) },
		"answer_within": d.stretch(&s.AnswerWithin),
	})
	if ok && d.p.declare("system", name, label) {
		d.p.set.Systems = append(d.p.set.Systems, s)
	}
}

// via names the connector that answers for the system.
func (d *decoder) via(f field) string {
	r, _ := d.one(f.name, f.expr)
	return r.Name
}
