package check

import (
	"slices"
	"strings"
	"unicode/utf8"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy/rule"
)

// block is the text of one paragraph, item or cell: runs put together again,
// so that a word may cross an emphasis or a line break.
type block struct {
	text string
	runs []run
}

// run is where a run of prose starts in its block.
type run struct {
	start int
	text  *rule.Text
}

// blocks joins consecutive runs that belong to the same block.
func blocks(prose []rule.Text) []block {
	var out []block
	for i := 0; i < len(prose); {
		j := i
		var b block
		var text strings.Builder
		for ; j < len(prose) && prose[j].Block == prose[i].Block; j++ {
			b.runs = append(b.runs, run{text.Len(), &prose[j]})
			text.WriteString(prose[j].Text)
		}
		b.text = text.String()
		out = append(out, b)
		i = j
	}
	return out
}

// runAt returns the run that holds the byte at offset.
func (b *block) runAt(offset int) run {
	i, found := slices.BinarySearchFunc(b.runs, offset, func(r run, o int) int { return r.start - o })
	if !found {
		i--
	}
	// Runs without text share their start with the next one.
	for i+1 < len(b.runs) && b.runs[i+1].start <= offset {
		i++
	}
	return b.runs[max(i, 0)]
}

// span maps the bytes from start to end of the block to the file. End lies
// just behind the last character, in the run and on the line that hold it.
func (b *block) span(start, end int) abide.Span {
	first := b.runAt(start)
	s := abide.Span{File: first.text.Span.File, Start: first.text.Pos(start - first.start)}
	_, n := utf8.DecodeLastRuneInString(b.text[start:max(end, start)])
	last := b.runAt(end - n)
	s.End = last.text.Pos(end - n - last.start)
	s.End.Byte += n
	if n > 0 {
		s.End.Column++
	}
	return s
}
