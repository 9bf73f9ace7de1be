package diag

import (
	"strings"
	"unicode"

	"golang.org/x/text/width"

	abide "github.com/abide-privacy/abide"
)

// snippetWidth is how many columns of a line are shown. Paragraphs often stand
// on one very long line; what is shown is the stretch around the finding.
const snippetWidth = 110

// snippet is a line of a file with one stretch of it marked.
type snippet struct {
	Line                int
	Before, Mark, After string
	Indent, Width       int // columns before the mark, and under it
	More                int // last line of the span, if it goes on below
}

// snippet returns the line a span begins on, and false if the file's text is
// not kept or is empty.
func (f *Files) snippet(s abide.Span) (snippet, bool) {
	line, ok := f.Line(s.File, s.Start.Line)
	if !ok || line == "" {
		return snippet{}, false
	}
	start := min(max(byteOfColumn(line, s.Start.Column), 0), len(line))
	end := len(line)
	out := snippet{Line: s.Start.Line}
	if s.End.Line == s.Start.Line {
		end = min(max(byteOfColumn(line, s.End.Column), start), len(line))
	} else {
		out.More = s.End.Line
	}
	before, mark, after := shown(line[:start]), shown(line[start:end]), shown(line[end:])
	if columns(mark) > snippetWidth {
		mark = cutRight(mark, snippetWidth)
	}
	room := max(snippetWidth-columns(mark), 0)
	if tail := room / 2; columns(after) > tail {
		left := max(room-columns(before), tail)
		if columns(after) > left {
			after = cutRight(after, left)
		}
	}
	if left := room - columns(after); columns(before) > left {
		before = cutLeft(before, max(left, 1))
	}
	out.Before, out.Mark, out.After = before, mark, after
	out.Indent, out.Width = columns(before), max(columns(mark), 1)
	return out, true
}

func byteOfColumn(line string, column int) int {
	n := 1
	for i := range line {
		if n == column {
			return i
		}
		n++
	}
	return len(line)
}

// shown makes text safe to print: tabs become spaces, and what would steer a
// terminal becomes a dot.
func shown(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == unicode.ReplacementChar {
			return '·'
		}
		return r
	}, strings.ReplaceAll(s, "\t", "    "))
}

// columns is the width of text on a terminal.
func columns(s string) int {
	n := 0
	for _, r := range s {
		n += runeColumns(r)
	}
	return n
}

func runeColumns(r rune) int {
	if unicode.In(r, unicode.Mn, unicode.Me) {
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// cutRight keeps the first columns of s, an ellipsis included.
func cutRight(s string, keep int) string {
	n := 0
	for i, r := range s {
		if n += runeColumns(r); n >= keep {
			return s[:i] + "…"
		}
	}
	return s
}

// cutLeft keeps the last columns of s, an ellipsis included.
func cutLeft(s string, keep int) string {
	n := columns(s)
	for i, r := range s {
		if n < keep {
			return "…" + s[i:]
		}
		n -= runeColumns(r)
	}
	return "…"
}
