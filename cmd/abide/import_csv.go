package main

import (
	"bytes"
	"encoding/csv"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxRecord bounds one row of a CSV file, so that a quote that is never closed
// does not read the rest of the file into memory.
const maxRecord = 128 << 10

// csvFile reads the rows of a CSV file (RFC 4180) one by one, and knows where
// each begins and ends. A row that cannot be read costs its first line and no
// more: reading goes on with the next line, so a stray quote does not swallow
// the rows after it unseen.
type csvFile struct {
	src    io.Reader
	comma  rune
	buf    []byte // read, and not yet handed out
	ended  bool   // src is at its end
	offset int64  // bytes of the file handed out
	line   int64  // lines handed out
}

// csvRow is one row. A row that cannot be read has a code instead of fields.
type csvRow struct {
	line   int64 // on which it begins, from 1
	fields []string
	code   string
}

// next returns the next row that is not blank, io.EOF after the last.
func (f *csvFile) next() (csvRow, error) {
	for {
		text, code, err := f.record()
		if err != nil {
			return csvRow{}, err
		}
		row := csvRow{line: f.line + 1, code: code}
		if code == "" && len(bytes.TrimRight(text, "\r\n")) == 0 {
			f.consume(len(text))
			continue
		}
		if code == "" {
			row.fields, row.code = f.parse(text)
		}
		if row.code == "bad_csv" || row.code == "row_too_long" {
			return row, f.skipLine()
		}
		f.consume(len(text))
		return row, nil
	}
}

// record returns the bytes up to the next line end outside of quotes, without
// handing them out yet.
func (f *csvFile) record() (text []byte, code string, err error) {
	quoted := false
	for i := 0; ; i++ {
		for i == len(f.buf) {
			switch {
			case f.ended && i == 0:
				return nil, "", io.EOF
			case f.ended && quoted:
				return nil, "bad_csv", nil
			case f.ended:
				return f.buf, "", nil
			case i >= maxRecord && quoted:
				return nil, "bad_csv", nil
			case i >= maxRecord:
				return nil, "row_too_long", nil
			}
			if err := f.fill(); err != nil {
				return nil, "", err
			}
		}
		switch f.buf[i] {
		case '"':
			quoted = !quoted
		case '\n':
			if !quoted {
				return f.buf[:i+1], "", nil
			}
		}
	}
}

func (f *csvFile) parse(text []byte) (fields []string, code string) {
	if !utf8.Valid(text) {
		return nil, "not_utf8"
	}
	r := csv.NewReader(bytes.NewReader(text))
	r.Comma = f.comma
	fields, err := r.Read()
	if err != nil || r.InputOffset() != int64(len(text)) {
		return nil, "bad_csv"
	}
	for _, v := range fields {
		if strings.ContainsFunc(v, func(r rune) bool { return unicode.IsControl(r) && r != '\t' && r != '\n' && r != '\r' }) {
			return nil, "bad_text"
		}
	}
	return fields, ""
}

// fill reads more of the file.
func (f *csvFile) fill() error {
	const step = 64 << 10
	at := len(f.buf)
	if cap(f.buf)-at < step {
		f.buf = append(make([]byte, 0, 2*at+2*step), f.buf...)
	}
	n, err := f.src.Read(f.buf[at : at+step])
	f.buf = f.buf[:at+n]
	if err == io.EOF {
		f.ended, err = true, nil
	}
	return err
}

// consume hands out n bytes.
func (f *csvFile) consume(n int) {
	f.offset += int64(n)
	f.line += int64(bytes.Count(f.buf[:n], []byte{'\n'}))
	f.buf = f.buf[n:]
}

// skipLine hands out everything up to the end of the line.
func (f *csvFile) skipLine() error {
	for {
		if i := bytes.IndexByte(f.buf, '\n'); i >= 0 {
			f.consume(i + 1)
			return nil
		}
		f.consume(len(f.buf))
		if f.ended {
			return nil
		}
		if err := f.fill(); err != nil {
			return err
		}
	}
}

// begin reads the byte order mark, if there is one.
func (f *csvFile) begin() error {
	for len(f.buf) < 3 && !f.ended {
		if err := f.fill(); err != nil {
			return err
		}
	}
	switch {
	case bytes.HasPrefix(f.buf, []byte("\ufeff")):
		f.consume(3)
	case bytes.HasPrefix(f.buf, []byte{0xff, 0xfe}), bytes.HasPrefix(f.buf, []byte{0xfe, 0xff}):
		return usage("the file is not in UTF-8 but in UTF-16; save it as CSV in UTF-8")
	}
	return nil
}
