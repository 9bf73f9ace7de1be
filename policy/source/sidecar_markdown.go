package source

import (
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/abide-privacy/abide/policy/diag"
)

// sidecarMarkdown reads a sidecar written as Markdown: its headings carry the
// anchors of the notice's headings, its fenced blocks the rules, and
// bind { text = … } remembers the text. Its own prose is for those who work on
// the rules and is not published.
func (p *parser) sidecarMarkdown(doc *document, file string, text []byte) {
	side := newDocument(file)
	side.text = text
	fences := p.clauses(side)
	bound := map[string]*binding{}
	bodies := make([]*hclsyntax.Body, len(fences))
	for i, f := range fences {
		bodies[i] = p.parseRules(f.file, f.text, f.offset)
		d := &decoder{p: p, file: f.file, doc: doc}
		d.documents(bodies[i])
	}
	for i, f := range fences {
		p.sidecarFence(doc, f, bodies[i], bound)
	}
	for _, c := range side.doc.Clauses {
		switch b := bound[c.ID]; {
		case b == nil:
		case b.clause == nil:
			p.gone(doc, b)
		default:
			p.remembered(b)
		}
	}
	if len(fences) == 0 {
		p.report(diag.New(diag.EmptyRule, p.top(file), "the sidecar binds nothing").WithHint("write a heading for each clause that has rules"))
	}
}

// sidecarFence reads one fenced block of a sidecar. A document block may stand
// under any heading of it; rules want a heading of the notice.
func (p *parser) sidecarFence(doc *document, f fence, body *hclsyntax.Body, bound map[string]*binding) {
	d := &decoder{p: p, file: f.file, doc: doc}
	d.strayArguments(body)
	for _, b := range body.Blocks {
		if b.Type == "document" {
			continue
		}
		bind := bound[f.clause.ID]
		if bind == nil {
			bind = &binding{anchor: f.clause.ID, clause: doc.clause(f.clause.ID), at: f.clause.Heading}
			bound[f.clause.ID] = bind
		}
		if d.clause = bind.clause; b.Type == "bind" {
			d.bindHere(bind, b)
			continue
		}
		bind.rules = append(bind.rules, d.at(b, d.span(b.TypeRange)).Span)
		if bind.clause != nil {
			d.rule(b)
		}
	}
}

// bindHere reads bind { text = … }, which speaks of the heading it stands
// under.
func (d *decoder) bindHere(bound *binding, b *hclsyntax.Block) {
	d.noLabel(b)
	if bound.clause == nil {
		if text, ok := b.Body.Attributes["text"]; ok {
			bound.text, _ = literalString(text.Expr)
		}
		return
	}
	d.body("bind", b, d.bindArgs(bound))
}
