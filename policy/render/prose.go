package render

import (
	"bytes"
	"fmt"
	"html/template"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	extast "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy/diag"
	"github.com/abide-privacy/abide/policy/rule"
)

// markdown reads what the policy's own parser reads, and writes no inline
// style: a strict content security policy would refuse it.
func markdown(lang string) goldmark.Markdown {
	extensions := []goldmark.Extender{
		extension.NewTable(extension.WithTableCellAlignMethod(extension.TableCellAlignNone)),
		extension.Strikethrough, extension.DefinitionList, extension.Footnote,
	}
	if base(lang) == "en" {
		extensions = append(extensions, extension.Typographer)
	}
	return goldmark.New(goldmark.WithExtensions(extensions...), goldmark.WithParserOptions(parser.WithAttribute()))
}

// readProse renders a document's Markdown clause by clause, the rules left
// out. Links to an anchor that is not on the page become plain words.
func (pg *page) readProse(doc *rule.Document, files *diag.Files, tableIDs map[string]bool) error {
	if files == nil {
		return &abide.Error{Code: abide.CodeInvalid, Detail: "no_source", Message: "publishing needs the text of the policy",
			Hint: "pass the files that reading the policy returned"}
	}
	source, ok := files.Text(doc.File)
	if !ok {
		return &abide.Error{Code: abide.CodeNotFound, Detail: "no_source", Field: doc.File,
			Message: "the text of this document is not at hand", Hint: "read the policy again from its folder"}
	}
	src := []byte(source)
	md := markdown(doc.Language)
	root := md.Parser().Parse(text.NewReader(src))
	ids := map[string]bool{}
	for id := range tableIDs {
		ids[id] = true
	}
	for _, c := range doc.Clauses {
		ids[c.ID] = true
	}
	clean(root, src, ids)
	return pg.split(doc, md, src, root)
}

// split hands each top-level block to the clause it stands in.
func (pg *page) split(doc *rule.Document, md goldmark.Markdown, src []byte, root ast.Node) error {
	next := 0
	if len(doc.Clauses) > 0 && doc.Clauses[0].Depth == 0 {
		pg.Intro = &section{ID: doc.Clauses[0].ID}
		next = 1
	}
	current := pg.Intro
	var body bytes.Buffer
	var plain strings.Builder
	flush := func() {
		if current != nil {
			current.Body = template.HTML(body.String())
			current.Text = plain.String()
		}
		body.Reset()
		plain.Reset()
	}
	level := 1
	for n := root.FirstChild(); n != nil; n = n.NextSibling() {
		if h, ok := n.(*ast.Heading); ok && next < len(doc.Clauses) && startsClause(h, doc.Clauses[next]) {
			flush()
			c := doc.Clauses[next]
			next++
			current = newSection(c, md, src, h)
			if c.Depth == 1 && pg.Lead == nil && len(pg.Sections) == 0 {
				current.Level = 1
				pg.Lead = current
				level = 1
				continue
			}
			level = min(max(c.Depth, 2), level+1)
			current.Level = level
			pg.Sections = append(pg.Sections, current)
			continue
		}
		if err := md.Renderer().Render(&body, src, n); err != nil {
			return fmt.Errorf("render %s: %w", doc.File, err)
		}
		plainBlock(&plain, n, src, 0)
	}
	flush()
	if next < len(doc.Clauses) {
		return &abide.Error{Code: abide.CodeInvalid, Detail: "source_mismatch", Field: doc.File,
			Message: "the text of this document is not the one its rules were read from", Hint: "read the policy again from its folder"}
	}
	return nil
}

// startsClause tells whether a heading of the Markdown is the clause's own.
func startsClause(h *ast.Heading, c *rule.Clause) bool {
	if h.Lines().Len() == 0 {
		return true // an empty heading has no place of its own
	}
	start := h.Lines().At(0).Start
	return c.Heading.Start.Byte <= start && start <= c.Heading.End.Byte
}

func newSection(c *rule.Clause, md goldmark.Markdown, src []byte, h *ast.Heading) *section {
	var title bytes.Buffer
	for n := h.FirstChild(); n != nil; n = n.NextSibling() {
		_ = md.Renderer().Render(&title, src, n) // a bytes.Buffer takes every write
	}
	return &section{ID: c.ID, ShowID: cited(c.ID), Title: template.HTML(title.String()), Plain: c.Title}
}

// cited tells an id by which people cite a clause (C07, 4.2, A-3) from one
// made out of the heading's words.
func cited(id string) bool {
	return len(id) <= 5 && strings.ContainsAny(id, "0123456789")
}

// clean takes out of the tree whatever must not be published, or cannot be
// under the page's content security policy.
func clean(root ast.Node, src []byte, ids map[string]bool) {
	var drop []ast.Node
	_ = ast.Walk(root, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		n.RemoveAttributes()
		switch n := n.(type) {
		case *ast.FencedCodeBlock:
			if string(n.Language(src)) == "abide" {
				drop = append(drop, n)
			}
		case *ast.HTMLBlock, *ast.RawHTML, *ast.Image, *ast.Link:
			drop = append(drop, n)
		case *extast.TableCell:
			if n.Alignment == extast.AlignRight {
				n.SetAttributeString("class", []byte("number"))
			}
		}
		return ast.WalkContinue, nil
	})
	for _, n := range drop {
		switch n := n.(type) {
		case *ast.Link:
			cleanLink(n, ids)
		case *ast.Image:
			if withinLink(n) {
				unwrap(n)
				continue
			}
			link := ast.NewLink()
			link.Destination = n.Destination
			adopt(link, n)
			n.Parent().ReplaceChild(n.Parent(), n, link)
			cleanLink(link, ids)
		default:
			n.Parent().RemoveChild(n.Parent(), n)
		}
	}
}

// cleanLink keeps links elsewhere and to anchors of this page; of any other
// only the words remain, such as an exact binding to a category that no table
// of this page lists.
func cleanLink(n *ast.Link, ids map[string]bool) {
	n.Title = nil
	anchor, local := strings.CutPrefix(string(n.Destination), "#")
	if !local {
		n.SetAttributeString("rel", []byte("noopener noreferrer"))
		return
	}
	if ids[anchor] {
		return
	}
	unwrap(n)
}

// unwrap leaves a node's children in its place.
func unwrap(n ast.Node) {
	parent := n.Parent()
	for child := n.FirstChild(); child != nil; {
		next := child.NextSibling()
		parent.InsertBefore(parent, n, child)
		child = next
	}
	parent.RemoveChild(parent, n)
}

func withinLink(n ast.Node) bool {
	for p := n.Parent(); p != nil; p = p.Parent() {
		if p.Kind() == ast.KindLink {
			return true
		}
	}
	return false
}

func adopt(to, from ast.Node) {
	for child := from.FirstChild(); child != nil; {
		next := child.NextSibling()
		to.AppendChild(to, child)
		child = next
	}
}
