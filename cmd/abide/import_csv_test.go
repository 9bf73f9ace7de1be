package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

// readRows reads a file and writes each row as line:fields or line:!code.
func readRows(t interface{ Fatal(...any) }, src io.Reader) []string {
	f := &csvFile{src: src, comma: ','}
	if err := f.begin(); err != nil {
		t.Fatal(err)
	}
	var out []string
	for {
		row, err := f.next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if row.code != "" {
			out = append(out, fmt.Sprintf("%d:!%s", row.line, row.code))
			continue
		}
		out = append(out, fmt.Sprintf("%d:%s", row.line, strings.Join(row.fields, "|")))
	}
}

func TestCSVRows(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"plain":                 {"a,b\nc,d\n", []string{"1:a|b", "2:c|d"}},
		"no end of line":        {"a,b\nc,d", []string{"1:a|b", "2:c|d"}},
		"CRLF":                  {"a,b\r\nc,d\r\n", []string{"1:a|b", "2:c|d"}},
		"byte order mark":       {"\ufeff\"a\",b\n", []string{"1:a|b"}},
		"quotes":                {"\"a\"\"x\",\"b,c\"\n", []string{"1:a\"x|b,c"}},
		"line end in quotes":    {"\"a\nb\",c\nd,e\n", []string{"1:a\nb|c", "3:d|e"}},
		"blank lines":           {"a\n\n\r\nb\n", []string{"1:a", "4:b"}},
		"empty":                 {"", nil},
		"quote never closed":    {"a\n\"b\nc\nd\n", []string{"1:a", "2:!bad_csv", "3:c", "4:d"}},
		"quote within":          {"a\nb\"c\nd\ne\"f\ng\n", []string{"1:a", "2:!bad_csv", "3:d", "4:!bad_csv", "5:g"}},
		"control characters":    {"a\nb\x00\n\"c\x1b\"\nd\u0085\n\"e\tf\ng\"\n", []string{"1:a", "2:!bad_text", "3:!bad_text", "4:!bad_text", "5:e\tf\ng"}},
		"not UTF-8":             {"a\n\xe9t\xe9\nb\n", []string{"1:a", "2:!not_utf8", "3:b"}},
		"a row as long as that": {strings.Repeat("x", maxRecord-1) + "\nb\n", []string{"1:" + strings.Repeat("x", maxRecord-1), "2:b"}},
		"a row that is longer":  {strings.Repeat("x", 3*maxRecord) + "\nb\n", []string{"1:!row_too_long", "2:b"}},
		"long and never closed": {"\"" + strings.Repeat("x\n", maxRecord) + "b", slices.Concat([]string{"1:!bad_csv"}, numbered(2, maxRecord, "x"), []string{fmt.Sprint(maxRecord+1, ":b")})},
	} {
		if got := readRows(t, strings.NewReader(c.text)); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %.200q, want %.200q", name, got, c.want)
		}
	}
}

func numbered(from, to int, text string) (out []string) {
	for i := from; i <= to; i++ {
		out = append(out, fmt.Sprintf("%d:%s", i, text))
	}
	return out
}

// However the file is cut into reads, and wherever reading begins anew, the
// rows are the same: an import that goes on reads what it would have read.
func TestCSVRowsFromAnyRowOn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOf(rapid.SampledFrom([]string{"a", ",", "\"", "\n", "\r\n", "é", "\xff", "\"x\ny\""})).Draw(t, "text"), "")
		whole := readRows(t, strings.NewReader(text))
		if got := readRows(t, iotest.OneByteReader(strings.NewReader(text))); !slices.Equal(got, whole) {
			t.Fatalf("byte by byte: %q, at once: %q", got, whole)
		}
		f := &csvFile{src: strings.NewReader(text), comma: ','}
		for i := range whole {
			if _, err := f.next(); err != nil {
				t.Fatal(err)
			}
			rest := &csvFile{src: strings.NewReader(text[f.offset:]), comma: ',', offset: f.offset, line: f.line}
			row, err := rest.next()
			if i == len(whole)-1 {
				if !errors.Is(err, io.EOF) {
					t.Fatalf("after the last row: %+v, %v", row, err)
				}
				return
			}
			if got := fmt.Sprintf("%d:", row.line); err != nil || !strings.HasPrefix(whole[i+1], got) {
				t.Fatalf("from row %d on: %+v, %v, want %q", i+1, row, err, whole[i+1])
			}
		}
	})
}
