package source

import (
	"io/fs"
	"path"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy/diag"
	"github.com/abide-privacy/abide/policy/rule"
)

// A sidecar holds the rules of a notice that stays as it is: NOTICE.rules.md or
// NOTICE.rules.hcl belongs to NOTICE.md. Each binding names a heading by its
// anchor and remembers a digest of the text under it.
const (
	sidecarMarkdown = ".rules.md"
	sidecarHCL      = ".rules.hcl"
	digestPrefix    = "sha256:"
)

func isSidecar(name string) bool {
	return strings.HasSuffix(name, sidecarMarkdown) || strings.HasSuffix(name, sidecarHCL)
}

// noticeOf is the file a sidecar belongs to by its name.
func (p *parser) noticeOf(sidecar string) string {
	if other, ok := p.options.NoticeFile[sidecar]; ok {
		return other
	}
	s := strings.TrimSuffix(strings.TrimSuffix(sidecar, sidecarMarkdown), sidecarHCL)
	return s + ".md"
}

// sidecar reads a notice and the rules laid beside it.
func (p *parser) sidecar(name string) {
	text, ok := p.read(p.fsys, name)
	if !ok {
		return
	}
	notice := p.noticeOf(name)
	doc := newDocument(notice)
	doc.doc.Sidecar = name
	doc.text, ok = p.notice(name, notice)
	if !ok {
		return
	}
	p.clauses(doc)
	if strings.HasSuffix(name, sidecarHCL) {
		p.sidecarBody(doc, name, p.parseRules(name, text, 0))
	} else {
		p.sidecarMarkdown(doc, name, text)
	}
	p.finish(doc)
}

// notice reads the text a sidecar belongs to, from the policy's folder or from
// that of the notices.
func (p *parser) notice(sidecar, name string) ([]byte, bool) {
	for _, fsys := range []fs.FS{p.fsys, p.options.Notices} {
		if fsys == nil {
			continue
		}
		for _, n := range []string{name, path.Base(name)} {
			if _, err := fs.Stat(fsys, n); err != nil {
				continue
			}
			text, ok := p.read(fsys, n)
			if ok && n != name {
				p.files.Add(name, text)
			}
			return text, ok
		}
	}
	p.report(diag.New(diag.NoticeMissing, p.top(sidecar), "the notice %s is not there", name))
	return nil, false
}

// binding is a clause of the notice to which a sidecar binds rules.
type binding struct {
	anchor string
	clause *rule.Clause // nil if the notice has no such heading
	text   string       // the digest it remembers
	at     abide.Span   // where it is remembered
	rules  []abide.Span
}

// sidecarBody reads bind "anchor" { … } blocks, and the document block.
func (p *parser) sidecarBody(doc *document, file string, body *hclsyntax.Body) {
	d := &decoder{p: p, file: file, doc: doc}
	d.strayArguments(body)
	d.documents(body)
	for _, b := range body.Blocks {
		switch b.Type {
		case "bind":
			anchor, at, ok := d.label(b)
			if !ok {
				continue
			}
			if p.declareInFile("bind", anchor, at) {
				p.bind(doc, file, &binding{anchor: anchor, clause: doc.clause(anchor), at: at}, b)
			}
		case "document":
		default:
			out := diag.New(diag.MisplacedBlock, d.span(b.TypeRange), "%s is bound to no heading", b.Type)
			out.Hint = `put it into bind "anchor" { … }`
			if !isRule(b.Type) {
				out = diag.New(diag.UnknownBlock, d.span(b.TypeRange), "there is no rule of the kind %s", b.Type)
				out.Hint = diag.DidYouMean(b.Type, append([]string{"bind"}, kindNames...))
			}
			d.report(out)
		}
	}
}

// bind reads the rules bound to one clause of the notice.
func (p *parser) bind(doc *document, file string, bound *binding, b *hclsyntax.Block) {
	d := &decoder{p: p, file: file, doc: doc, clause: bound.clause}
	for _, inner := range b.Body.Blocks {
		bound.rules = append(bound.rules, d.at(inner, d.span(inner.TypeRange)).Span)
	}
	if bound.clause == nil {
		if text, ok := b.Body.Attributes["text"]; ok {
			bound.text, _ = literalString(text.Expr)
		}
		p.gone(doc, bound)
		return
	}
	d.fields("bind", d.bodyFields(b.Body), d.bindArgs(bound))
	for _, inner := range b.Body.Blocks {
		if inner.Type == "document" || inner.Type == "clause" {
			d.report(diag.New(diag.MisplacedBlock, d.span(inner.TypeRange), "%s does not stand in a binding", inner.Type).
				WithHint("a binding takes informative and suppress itself; document stands outside"))
			continue
		}
		d.rule(inner)
	}
	p.remembered(bound)
}

// bindArgs are what a binding says besides its rules.
func (d *decoder) bindArgs(bound *binding) args {
	read := d.clauseArgs()
	read["text"] = func(f field) {
		d.text(&bound.text)(f)
		bound.at = d.textSpan(f.expr)
	}
	return read
}

// clause returns the clause with an anchor, or nil.
func (doc *document) clause(anchor string) *rule.Clause {
	for _, c := range doc.doc.Clauses {
		if c.ID == anchor {
			return c
		}
	}
	return nil
}

// gone reports a binding whose heading the notice does not have, and where its
// text went, if it stands under another heading now.
func (p *parser) gone(doc *document, b *binding) {
	out := diag.New(diag.UnknownHeading, b.at, "%s has no heading with the anchor %s: %s", doc.doc.File, b.anchor, p.lookAgain(b)).In("", b.anchor)
	var anchors []string
	for _, c := range doc.doc.Clauses {
		if b.text == digestPrefix+c.Digest && c.Digest != emptyDigest {
			p.report(out.WithOther(c.Heading, "the same text stands here").WithHint("bind %q instead", c.ID))
			return
		}
		anchors = append(anchors, c.ID)
	}
	out.Hint = "the heading is gone or renamed: bind its rules to the clause that says the same now, or remove them"
	if near, ok := diag.Suggest(b.anchor, anchors); ok {
		out = out.WithOther(doc.clause(near).Heading, "a heading much like it").WithHint("did you mean %s?", near)
	}
	p.report(out)
}

// remembered compares the text under the heading with the digest the binding
// remembers.
func (p *parser) remembered(b *binding) {
	now := digestPrefix + b.clause.Digest
	id := b.clause.FullID()
	switch {
	case b.text == now:
	case b.text == "":
		p.report(diag.New(diag.BindingWithoutDigest, b.at, "the binding of %s remembers no text", b.anchor).
			WithHint("read the text, then write text = %q", now).WithOther(b.clause.Heading, "the heading").In(id, b.anchor))
	case !strings.HasPrefix(b.text, digestPrefix) || len(b.text) != len(now):
		p.report(diag.New(diag.WrongValue, b.at, "this is not a digest of a text").WithHint("read the text, then write text = %q", now).In(id, b.anchor))
	default:
		p.report(diag.New(diag.NoticeTextChanged, b.at, "the text under %q has changed since its rules were written: %s", b.clause.Title, p.lookAgain(b)).
			WithOther(b.clause.Heading, "the text that changed").
			WithHint("when text and rules agree again, write text = %q", now).In(id, b.anchor))
	}
}

// lookAgain names the rules of a binding, as they are headed.
func (p *parser) lookAgain(b *binding) string {
	if len(b.rules) == 0 {
		return "no rule is bound to it"
	}
	names := make([]string, len(b.rules))
	for i, at := range b.rules {
		text, _ := p.files.At(at)
		head, _, _ := strings.Cut(text, "{")
		names[i] = strings.TrimSpace(head)
	}
	return "look again at " + strings.Join(names, ", ")
}
