package source

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	east "github.com/yuin/goldmark/extension/ast"
	mdparser "github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy/diag"
	"github.com/abide-privacy/abide/policy/rule"
)

// fenceLanguage marks the fenced blocks that hold rules.
const fenceLanguage = "abide"

// topAnchor names what stands before the first heading.
const topAnchor = "top"

// fence is a block of rules as it stands in a file. Its text has exactly the
// bytes of the file from offset on; what Markdown puts before a line (the > of
// a quotation) is blanked out.
type fence struct {
	file   string
	text   []byte
	offset int
	clause *rule.Clause
}

var markdown = goldmark.New(
	goldmark.WithExtensions(extension.Table, extension.Strikethrough, extension.DefinitionList, extension.Footnote),
	goldmark.WithParserOptions(mdparser.WithAttribute()),
)

// clauses divides a document into its clauses, and returns the blocks of rules
// that stand in them.
func (p *parser) clauses(doc *document) []fence {
	src := withoutFrontMatter(doc.text)
	if p.tooMuch(doc.doc.File, src) {
		return nil
	}
	root := markdown.Parser().Parse(text.NewReader(src))
	w := &walker{p: p, doc: doc, src: src}
	w.headings(root)
	for n := root.FirstChild(); n != nil; n = n.NextSibling() {
		if h, ok := n.(*ast.Heading); ok {
			w.open(h)
			continue
		}
		w.block(n)
	}
	for _, c := range doc.doc.Clauses {
		c.Digest = digest(c)
	}
	return w.fences
}

// frontMatter is what site generators put at the very top of a file: fields
// between two lines of ---. It is neither prose nor a heading. A line between
// that is no field makes it ordinary text: words are never lost to it.
var frontMatter = regexp.MustCompile(`^(?:   )?---[ \t]*\r?\n[\w"'-]+[ \t]*:.*\n(?:(?:[\w"'-]+[ \t]*:|- |[ \t]).*\n|\r?\n)*?---[ \t]*(?:\r?\n|$)`)

// withoutFrontMatter blanks the front matter out, so that every offset stays.
func withoutFrontMatter(src []byte) []byte {
	end := len(frontMatter.Find(src))
	if end == 0 {
		return src
	}
	src = bytes.Clone(src)
	for i, b := range src[:end] {
		if b != '\n' && b != '\r' {
			src[i] = ' '
		}
	}
	return src
}

// walker goes through the blocks of one document.
type walker struct {
	p       *parser
	doc     *document
	src     []byte
	anchors map[*ast.Heading]string
	starts  map[*ast.Heading]int
	order   []*ast.Heading
	later   []*ast.Heading // those of order that stand below the current one
	clause  *rule.Clause
	nblock  int
	fences  []fence
}

// headings settles the anchor of every heading: the one that is written, or one
// made of the title as GitHub makes it. Made anchors step aside for written
// ones.
func (w *walker) headings(root ast.Node) {
	w.anchors, w.starts = map[*ast.Heading]string{}, map[*ast.Heading]int{}
	taken := map[string]abide.Span{}
	for n := root.FirstChild(); n != nil; n = n.NextSibling() {
		h, ok := n.(*ast.Heading)
		if !ok {
			continue
		}
		w.order = append(w.order, h)
		w.starts[h] = w.headingStart(h)
		id := writtenAnchor(h)
		if id == "" {
			continue
		}
		at := w.headingSpan(h)
		if first, twice := taken[id]; twice {
			w.p.report(diag.New(diag.DuplicateAnchor, at, "the anchor %s is used twice", id).WithOther(first, "first used here").In("", id))
			continue
		}
		taken[id] = at
		w.anchors[h] = id
	}
	w.later = w.order
	next := map[string]int{}
	for _, h := range w.order {
		if w.anchors[h] != "" {
			continue
		}
		base := slug(w.plain(h))
		id := base
		for {
			if _, used := taken[id]; !used && id != "" {
				break
			}
			next[base]++
			id = base + "-" + strconv.Itoa(next[base])
		}
		taken[id] = w.headingSpan(h)
		w.anchors[h] = id
	}
}

func writtenAnchor(h *ast.Heading) string {
	v, ok := h.AttributeString("id")
	if !ok {
		return ""
	}
	switch id := v.(type) {
	case []byte:
		return string(id)
	case string:
		return id
	}
	return ""
}

// slug makes an anchor as GitHub does: lower case, letters, digits, - and _
// stay, spaces become -, the rest goes.
func slug(title string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(strings.TrimSpace(title)) {
		switch {
		case r == ' ':
			b.WriteByte('-')
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.IsMark(r):
			b.WriteRune(r)
		}
	}
	return b.String()
}

// headingStart is the offset of the line a heading begins on.
func (w *walker) headingStart(h *ast.Heading) int {
	at := h.Pos()
	if h.Lines().Len() > 0 {
		at = h.Lines().At(0).Start
	}
	at = min(max(at, 0), len(w.src))
	return bytes.LastIndexByte(w.src[:at], '\n') + 1
}

func (w *walker) headingSpan(h *ast.Heading) abide.Span {
	start := w.starts[h]
	last := start
	if n := h.Lines().Len(); n > 0 {
		last = max(last, h.Lines().At(n-1).Start)
	}
	end := lineEnd(w.src, last)
	for start < end && (w.src[start] == ' ' || w.src[start] == '\t') {
		start++
	}
	return w.p.files.Span(w.doc.doc.File, start, end)
}

// lineEnd is the offset of the end of the line that holds offset, without the
// line break.
func lineEnd(src []byte, offset int) int {
	end := len(src)
	if i := bytes.IndexByte(src[offset:], '\n'); i >= 0 {
		end = offset + i
	}
	for end > offset && src[end-1] == '\r' {
		end--
	}
	return end
}

// open begins the clause of a heading.
func (w *walker) open(h *ast.Heading) {
	doc := w.doc.doc
	start, end := w.starts[h], len(w.src)
	for len(w.later) > 0 && w.starts[w.later[0]] <= start {
		w.later = w.later[1:]
	}
	if len(w.later) > 0 {
		end = w.starts[w.later[0]]
	}
	w.clause = &rule.Clause{
		Document: doc, ID: w.anchors[h], Title: strings.TrimSpace(w.plain(h)), Depth: h.Level,
		Heading: w.headingSpan(h), Body: w.p.files.Span(doc.File, start, end),
	}
	doc.Clauses = append(doc.Clauses, w.clause)
	w.nblock = 0
	w.inlines(h)
}

// current is the clause that text belongs to; what stands before the first
// heading is a clause of its own.
func (w *walker) current() *rule.Clause {
	if w.clause == nil {
		doc := w.doc.doc
		end := len(w.src)
		if len(w.order) > 0 {
			end = w.starts[w.order[0]]
		}
		id := topAnchor
		for i := 1; w.usedAnchor(id); i++ {
			id = topAnchor + "-" + strconv.Itoa(i)
		}
		w.clause = &rule.Clause{Document: doc, ID: id, Heading: w.p.files.Span(doc.File, 0, 0), Body: w.p.files.Span(doc.File, 0, end)}
		doc.Clauses = append(doc.Clauses, w.clause)
	}
	return w.clause
}

func (w *walker) usedAnchor(id string) bool {
	for _, a := range w.anchors {
		if a == id {
			return true
		}
	}
	return false
}

// block reads a block that is no heading of the document.
func (w *walker) block(n ast.Node) {
	switch n := n.(type) {
	case *ast.FencedCodeBlock:
		w.code(n)
	case *ast.CodeBlock:
		w.lines(n)
	case *ast.HTMLBlock:
		w.html(n)
	case *ast.ThematicBreak, *ast.LinkReferenceDefinition:
	case *east.FootnoteList:
		w.footnotes(n)
	default:
		if holdsInlines(n) {
			w.inlines(n)
			return
		}
		for c := n.FirstChild(); c != nil; c = c.NextSibling() {
			w.block(c)
		}
	}
}

// footnotes gives each note back to the clause it is written in; Markdown
// gathers them at the end of the page.
func (w *walker) footnotes(list ast.Node) {
	last := w.clause
	for n := list.FirstChild(); n != nil; n = n.NextSibling() {
		at := firstOffset(n)
		w.clause = last
		for _, c := range w.doc.doc.Clauses {
			if c.Body.Start.Byte <= at && at < c.Body.End.Byte {
				w.clause = c
			}
		}
		w.nblock = 0
		if c := w.clause; c != nil && len(c.Prose) > 0 {
			w.nblock = c.Prose[len(c.Prose)-1].Block + 1
		}
		for b := n.FirstChild(); b != nil; b = b.NextSibling() {
			w.block(b)
		}
	}
	w.clause = last
}

// firstOffset is where the first line of a block stands.
func firstOffset(n ast.Node) int {
	at := -1
	_ = ast.Walk(n, func(c ast.Node, entering bool) (ast.WalkStatus, error) {
		if entering && c.Type() == ast.TypeBlock && c.Lines().Len() > 0 {
			at = c.Lines().At(0).Start
			return ast.WalkStop, nil
		}
		return ast.WalkContinue, nil
	})
	return at
}

func holdsInlines(n ast.Node) bool {
	return n.FirstChild() != nil && n.FirstChild().Type() == ast.TypeInline
}

// code reads a fenced block: rules, or something else that is shown as it is.
func (w *walker) code(n *ast.FencedCodeBlock) {
	language := string(n.Language(w.src))
	if language != fenceLanguage {
		if near, ok := diag.Suggest(language, []string{fenceLanguage}); ok && len(language) > 3 || strings.EqualFold(language, fenceLanguage) {
			at := n.Info.Segment
			w.p.report(diag.New(diag.FenceMisspelt, w.p.files.Span(w.doc.doc.File, at.Start, at.Start+len(language)), "this block is marked %s, so its rules do not count", language).
				WithHint("did you mean %s?", cmpOr(near, fenceLanguage)))
		}
		if language == "" {
			w.swallowed(n)
		}
		w.lines(n)
		return
	}
	clause := w.current()
	closed := w.closed(n)
	if n.Lines().Len() == 0 {
		return
	}
	first, last := n.Lines().At(0), n.Lines().At(n.Lines().Len()-1)
	body := bytes.Clone(w.src[first.Start:last.Stop])
	pos := first.Start
	for i := range n.Lines().Len() {
		line := n.Lines().At(i)
		for ; pos < line.Start; pos++ {
			if b := w.src[pos]; b != '\n' && b != '\r' {
				body[pos-first.Start] = ' '
			}
		}
		pos = line.Stop
	}
	if !closed {
		body = untilBlankLine(body)
	}
	w.fences = append(w.fences, fence{file: w.doc.doc.File, text: body, offset: first.Start, clause: clause})
}

var rulesOpen = regexp.MustCompile("(?m)^[ \t>]*(```+|~~~+)[ \t]*" + fenceLanguage + "\\b")

// swallowed reports a block of code that holds the beginning of rules: most
// likely the end of a block was taken for the beginning of another, as happens
// where it is indented less than the list it stands in.
func (w *walker) swallowed(n *ast.FencedCodeBlock) {
	for i := range n.Lines().Len() {
		seg := n.Lines().At(i)
		if rulesOpen.Match(seg.Value(w.src)) {
			w.p.report(diag.New(diag.FenceUnclosed, w.p.files.Span(w.doc.doc.File, seg.Start, lineEnd(w.src, seg.Start)), "these rules stand inside a block of code, so they do not count").
				WithHint("close the block above it first, indented as it was opened"))
			return
		}
	}
}

var blankLines = regexp.MustCompile(`\n[ \t\r]*\n`)

// untilBlankLine keeps what most likely are rules of a fence that is never
// closed; the rest of the page is not worth complaining about.
func untilBlankLine(body []byte) []byte {
	if m := blankLines.FindIndex(body); m != nil {
		return body[:m[0]+1]
	}
	return body
}

// closed reports rules whose fence is never closed: everything after them would
// be taken for rules.
func (w *walker) closed(n *ast.FencedCodeBlock) bool {
	open := n.Info.Segment.Start
	end := lineEnd(w.src, open)
	if k := n.Lines().Len(); k > 0 {
		end = n.Lines().At(k - 1).Stop
	} else if end < len(w.src) {
		end = min(end+1, len(w.src))
		if w.src[end-1] == '\r' && end < len(w.src) {
			end++
		}
	}
	rest := w.src[min(end, len(w.src)):]
	line := bytes.TrimLeft(rest, " \t>")
	if bytes.HasPrefix(line, []byte("```")) || bytes.HasPrefix(line, []byte("~~~")) {
		return true
	}
	start := bytes.LastIndexByte(w.src[:open], '\n') + 1
	w.p.report(diag.New(diag.FenceUnclosed, w.p.files.Span(w.doc.doc.File, start, lineEnd(w.src, open)), "this block of rules is never closed"))
	return false
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
