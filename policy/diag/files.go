package diag

import (
	"sort"
	"strings"
	"unicode/utf8"

	abide "github.com/abide-privacy/abide"
)

// Files keeps the text of the files a policy was read from, so that findings
// can show the lines they speak of. It is filled while parsing and only read
// afterwards.
type Files struct {
	byName map[string]*file
}

type file struct {
	text  string
	lines []int // byte offset at which each line starts
}

// NewFiles returns an empty collection.
func NewFiles() *Files { return &Files{byName: map[string]*file{}} }

// Add keeps the text of a file. A second text under the same name replaces the
// first.
func (f *Files) Add(name string, text []byte) {
	fl := &file{text: string(text), lines: []int{0}}
	for i := 0; i < len(fl.text); i++ {
		if fl.text[i] == '\n' {
			fl.lines = append(fl.lines, i+1)
		}
	}
	f.byName[name] = fl
}

// Names returns the names of all files, sorted.
func (f *Files) Names() []string {
	names := make([]string, 0, len(f.byName))
	for n := range f.byName {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

// Text returns the text of a file.
func (f *Files) Text(name string) (string, bool) {
	fl, ok := f.byName[name]
	if !ok {
		return "", false
	}
	return fl.text, true
}

// Pos returns the place of a byte offset. Offsets outside the file are moved
// to its nearest end.
func (f *Files) Pos(name string, offset int) abide.Pos {
	fl, ok := f.byName[name]
	if !ok {
		return abide.Pos{Line: 1, Column: 1}
	}
	offset = min(max(offset, 0), len(fl.text))
	line := sort.SearchInts(fl.lines, offset+1) - 1
	start := fl.lines[line]
	return abide.Pos{Line: line + 1, Column: utf8.RuneCountInString(fl.text[start:offset]) + 1, Byte: offset}
}

// Span returns the stretch between two byte offsets.
func (f *Files) Span(name string, start, end int) abide.Span {
	return abide.Span{File: name, Start: f.Pos(name, start), End: f.Pos(name, max(start, end))}
}

// At returns the text of a span, and false if the span lies outside its file.
func (f *Files) At(s abide.Span) (string, bool) {
	fl, ok := f.byName[s.File]
	if !ok || s.Start.Byte < 0 || s.End.Byte > len(fl.text) || s.Start.Byte > s.End.Byte {
		return "", false
	}
	return fl.text[s.Start.Byte:s.End.Byte], true
}

// Line returns a line's text without its end, counted from 1.
func (f *Files) Line(name string, n int) (string, bool) {
	fl, ok := f.byName[name]
	if !ok || n < 1 || n > len(fl.lines) {
		return "", false
	}
	end := len(fl.text)
	if n < len(fl.lines) {
		end = fl.lines[n] - 1
	}
	return strings.TrimSuffix(fl.text[fl.lines[n-1]:end], "\r"), true
}

// Sort orders findings by file and place; findings of one place keep their
// order.
func (l List) Sort() {
	sort.SliceStable(l, func(i, j int) bool {
		a, b := l[i].Span, l[j].Span
		if a.File != b.File {
			return a.File < b.File
		}
		return a.Start.Byte < b.Start.Byte
	})
}
