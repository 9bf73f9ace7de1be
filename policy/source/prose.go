package source

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"

	"github.com/yuin/goldmark/ast"
	east "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/util"
	"golang.org/x/text/unicode/norm"

	"github.com/abide-privacy/abide/policy/rule"
)

// runs collects the prose of one block. Neighbouring stretches with the same
// link and the same kind become one run.
type runs struct {
	w    *walker
	list []rule.Text
}

// inlines adds a block's prose to its clause.
func (w *walker) inlines(n ast.Node) {
	r := &runs{w: w}
	r.children(n, "", false)
	w.add(r.list)
}

func (w *walker) add(list []rule.Text) {
	blank := true
	for _, t := range list {
		blank = blank && strings.TrimSpace(t.Text) == ""
	}
	if blank {
		return
	}
	clause := w.current()
	for i := range list {
		list[i].Block = w.nblock
	}
	w.nblock++
	clause.Prose = append(clause.Prose, list...)
}

// plain is the prose of a node as one string.
func (w *walker) plain(n ast.Node) string {
	r := &runs{w: w}
	r.children(n, "", false)
	var b strings.Builder
	for _, t := range r.list {
		b.WriteString(t.Text)
	}
	return b.String()
}

func (r *runs) children(n ast.Node, link string, code bool) {
	for c := n.FirstChild(); c != nil; c = c.NextSibling() {
		r.inline(c, link, code)
	}
}

func (r *runs) inline(n ast.Node, link string, code bool) {
	switch n := n.(type) {
	case *ast.Text:
		seg := n.Segment
		if n.IsRaw() || code {
			r.put(string(seg.Value(r.w.src)), seg.Start, seg.Stop, link, code)
		} else {
			r.unescape(seg.Start, seg.Stop, link)
		}
		if n.SoftLineBreak() || n.HardLineBreak() {
			r.put(" ", seg.Stop, min(seg.Stop+1, len(r.w.src)), link, code)
		}
	case *ast.CodeSpan:
		r.children(n, link, true)
	case *ast.Link:
		r.children(n, string(n.Destination), code)
	case *ast.AutoLink:
		label := string(n.Label(r.w.src))
		if at := strings.Index(string(r.w.src[max(n.Pos(), 0):]), label); n.Pos() >= 0 && at >= 0 && at < 8 {
			r.put(label, n.Pos()+at, n.Pos()+at+len(label), string(n.URL(r.w.src)), code)
		}
	case *ast.RawHTML, *east.FootnoteLink, *east.FootnoteBacklink:
	default:
		r.children(n, link, code)
	}
}

var escape = regexp.MustCompile(`\\[!-/:-@\[-` + "`" + `{-~]|&(?:[A-Za-z][A-Za-z0-9]*|#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6});`)

// unescape adds text in which \* and &amp; stand for one character each.
func (r *runs) unescape(start, stop int, link string) {
	src := r.w.src[start:stop]
	done := 0
	for _, m := range escape.FindAllIndex(src, -1) {
		var with string
		if token := src[m[0]:m[1]]; token[0] == '\\' {
			with = string(token[1:])
		} else {
			with = string(util.ResolveNumericReferences(util.ResolveEntityNames(token)))
			if with == string(token) {
				continue
			}
		}
		r.put(string(src[done:m[0]]), start+done, start+m[0], link, false)
		r.put(with, start+m[0], start+m[1], link, false)
		done = m[1]
	}
	r.put(string(src[done:]), start+done, stop, link, false)
}

// put adds a stretch of text that stands at start of the file. No segment goes
// over the end of a line.
func (r *runs) put(s string, start, stop int, link string, code bool) {
	for stop-start == len(s) {
		i := strings.IndexByte(s, '\n')
		if i < 0 || i == len(s)-1 {
			break
		}
		r.stretch(s[:i+1], start, start+i+1, link, code)
		s, start = s[i+1:], start+i+1
	}
	r.stretch(s, start, stop, link, code)
}

func (r *runs) stretch(s string, start, stop int, link string, code bool) {
	if s == "" {
		return
	}
	files, file := r.w.p.files, r.w.doc.doc.File
	span := files.Span(file, start, stop)
	if k := len(r.list); k > 0 {
		last := &r.list[k-1]
		if last.Link == link && last.Code == code {
			together := last.Span.End.Byte == start && r.w.src[start-1] != '\n' && string(r.w.src[start:stop]) == s &&
				verbatim(last, start)
			if !together {
				last.Segments = append(last.Segments, rule.Segment{Offset: len(last.Text), Pos: span.Start})
			}
			last.Text += s
			last.Span.End = span.End
			return
		}
	}
	r.list = append(r.list, rule.Text{Text: s, Span: span, Link: link, Code: code,
		Segments: []rule.Segment{{Offset: 0, Pos: span.Start}}})
}

// verbatim reports whether the last segment of t runs byte for byte up to the
// offset end of the file.
func verbatim(t *rule.Text, end int) bool {
	last := t.Segments[len(t.Segments)-1]
	return end-last.Pos.Byte == len(t.Text)-last.Offset
}

// lines adds a block of code, line by line.
func (w *walker) lines(n ast.Node) {
	r := &runs{w: w}
	for i := range n.Lines().Len() {
		seg := n.Lines().At(i)
		r.put(string(w.src[seg.Start:seg.Stop]), seg.Start, seg.Stop, "", true)
	}
	w.add(r.list)
}

var notProse = regexp.MustCompile(`(?s)<!--.*?(?:-->|$)|(?i:<script\b.*?(?:</script\s*>|$)|<style\b.*?(?:</style\s*>|$))|</?[A-Za-z][^>]*(?:>|$)|<[!?][^>]*(?:>|$)`)

// html adds the words of a block of HTML. Tags and comments are no prose.
func (w *walker) html(n *ast.HTMLBlock) {
	if n.Lines().Len() == 0 {
		return
	}
	start := n.Lines().At(0).Start
	stop := n.Lines().At(n.Lines().Len() - 1).Stop
	if n.HasClosure() {
		stop = max(stop, n.ClosureLine.Stop)
	}
	src := w.src[start:stop]
	r := &runs{w: w}
	done := 0
	for _, m := range notProse.FindAllIndex(src, -1) {
		r.unescape(start+done, start+m[0], "")
		done = m[1]
	}
	r.unescape(start+done, stop, "")
	w.add(r.list)
}

// digest is the hex SHA-256 of the prose under a heading, the title left out:
// runs of a block joined, white space of any length one space, blocks on lines
// of their own, in Unicode normalisation form C. Emphasis, links and rules do
// not count; every word and every sign does.
func digest(c *rule.Clause) string {
	var blocks []string
	var b strings.Builder
	flush := func() {
		if s := strings.Join(strings.Fields(b.String()), " "); s != "" {
			blocks = append(blocks, s)
		}
		b.Reset()
	}
	block := -1
	for _, t := range c.Prose {
		if inHeading(c, t) {
			continue
		}
		if t.Block != block {
			flush()
			block = t.Block
		}
		b.WriteString(t.Text)
	}
	flush()
	sum := sha256.Sum256(norm.NFC.Bytes([]byte(strings.Join(blocks, "\n"))))
	return hex.EncodeToString(sum[:])
}

// emptyDigest is the digest of a clause without text under its heading.
var emptyDigest = digest(&rule.Clause{})

func inHeading(c *rule.Clause, t rule.Text) bool {
	return c.Title != "" && t.Span.Start.Byte < c.Heading.End.Byte
}
