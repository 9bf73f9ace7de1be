package rule

import (
	"unicode/utf8"

	abide "github.com/abide-privacy/abide"
)

// Pos returns where in the file the byte offset of t.Text stands. Within a
// segment text and file run together byte for byte.
func (t *Text) Pos(offset int) abide.Pos {
	at := t.Span.Start
	from := 0
	for _, s := range t.Segments {
		if s.Offset > offset {
			break
		}
		at, from = s.Pos, s.Offset
	}
	offset = min(max(offset, from), len(t.Text))
	return abide.Pos{Line: at.Line, Byte: at.Byte + offset - from,
		Column: at.Column + utf8.RuneCountInString(t.Text[from:offset])}
}
