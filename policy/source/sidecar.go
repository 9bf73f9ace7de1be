package source

import (
	"io/fs"
	"path"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"

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
	clause *rule.Clause
	text   string // the digest it remembers
	at     field  // where it is remembered
	rules  []rule.At
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
			if clause := p.heading(doc, anchor, field{name: anchor, at: at}); clause != nil {
				p.bind(doc, file, clause, b)
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
func (p *parser) bind(doc *document, file string, clause *rule.Clause, b *hclsyntax.Block) {
	d := &decoder{p: p, file: file, doc: doc, clause: clause}
	bound := &binding{clause: clause, at: field{name: "bind", at: d.span(b.TypeRange)}}
	read := d.clauseArgs()
	read["text"] = func(f field) {
		d.text(&bound.text)(f)
		bound.at = field{name: "text", at: d.textSpan(f.expr)}
	}
	d.fields("bind", d.bodyFields(b.Body), read)
	for _, inner := range b.Body.Blocks {
		if inner.Type == "document" || inner.Type == "clause" {
			d.report(diag.New(diag.MisplacedBlock, d.span(inner.TypeRange), "%s does not stand in a binding", inner.Type).
				WithHint("a binding takes informative and suppress itself; document stands outside"))
			continue
		}
		bound.rules = append(bound.rules, d.at(inner, d.span(inner.TypeRange)))
		d.rule(inner)
	}
	p.remembered(bound)
}

// heading finds the clause a binding means.
func (p *parser) heading(doc *document, anchor string, f field) *rule.Clause {
	var anchors []string
	for _, c := range doc.doc.Clauses {
		if c.ID == anchor {
			return c
		}
		anchors = append(anchors, c.ID)
	}
	out := diag.New(diag.UnknownHeading, f.at, "%s has no heading with the anchor %s", doc.doc.File, anchor).In("", anchor)
	if near, ok := diag.Suggest(anchor, anchors); ok {
		out.Hint = "did you mean " + near + "?"
	} else {
		out.Hint = "the heading is gone or renamed: bind its rules to the clause that says the same now, or remove them"
	}
	p.report(out)
	return nil
}

// remembered compares the text under the heading with the digest the binding
// remembers.
func (p *parser) remembered(b *binding) {
	now := digestPrefix + b.clause.Digest
	id := b.clause.FullID()
	if b.text == "" {
		p.report(diag.New(diag.BindingWithoutDigest, b.at.at, "the binding of %s remembers no text", b.clause.ID).
			WithHint("read the text, then write text = %q", now).WithOther(b.clause.Heading, "the heading").In(id, b.clause.ID))
		return
	}
	if b.text == now {
		return
	}
	if !strings.HasPrefix(b.text, digestPrefix) || len(b.text) != len(now) {
		p.report(diag.New(diag.WrongValue, b.at.at, "this is not a digest of a text").WithHint("read the text, then write text = %q", now).In(id, b.clause.ID))
		return
	}
	var names []string
	for _, r := range b.rules {
		head, _, _ := strings.Cut(p.firstLine(r), "{")
		names = append(names, strings.TrimSpace(head))
	}
	what := "nothing is bound to it"
	if len(names) > 0 {
		what = "look again at " + strings.Join(names, ", ")
	}
	p.report(diag.New(diag.NoticeTextChanged, b.at.at, "the text under %q has changed since its rules were written: %s", b.clause.Title, what).
		WithOther(b.clause.Heading, "the text that changed").
		WithHint("when text and rules agree again, write text = %q", now).In(id, b.clause.ID))
}

func (p *parser) firstLine(r rule.At) string {
	text, _ := p.files.At(r.Span)
	line, _, _ := strings.Cut(text, "\n")
	return line
}
