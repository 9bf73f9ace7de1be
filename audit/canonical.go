package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// Canonical returns the canonical JSON form of v (RFC 8785, JCS): keys sorted
// by UTF-16 code units, no white space, numbers as ECMAScript writes them.
// It fails for what has no canonical form: duplicate keys, strings that are
// not UTF-8, numbers beyond the range of a double.
func Canonical(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return Canonicalize(buf.Bytes())
}

// Canonicalize returns the canonical form of a JSON text (RFC 8785).
func Canonicalize(text []byte) ([]byte, error) {
	if !utf8.Valid(text) {
		return nil, errors.New("audit: JSON is not UTF-8")
	}
	if !json.Valid(text) {
		return nil, errors.New("audit: not one JSON value")
	}
	return (&scanner{text: text}).value(make([]byte, 0, len(text)), 0)
}

// maxDepth bounds nesting; nothing of ours comes near it.
const maxDepth = 200

// scanner walks a JSON text that is known to be valid. Receipts, certificates
// and log entries pass here by the million, so it copies what is canonical
// already and decodes only what is not.
type scanner struct {
	text []byte
	at   int
}

// next skips white space and returns the byte that follows it.
func (s *scanner) next() byte {
	for s.text[s.at] <= ' ' {
		s.at++
	}
	return s.text[s.at]
}

func (s *scanner) value(out []byte, depth int) ([]byte, error) {
	if depth > maxDepth {
		return nil, errors.New("audit: JSON is nested too deeply")
	}
	switch s.next() {
	case '{':
		return s.object(out, depth)
	case '[':
		return s.array(out, depth)
	case '"':
		text, err := s.str()
		return appendString(out, text), err
	case 't', 'n':
		s.at += len("true")
		return append(out, s.text[s.at-len("true"):s.at]...), nil
	case 'f':
		s.at += len("false")
		return append(out, "false"...), nil
	default:
		return s.number(out)
	}
}

// member is a key and where its value stands in the output.
type member struct {
	key      []byte
	from, to int
}

func (s *scanner) object(out []byte, depth int) ([]byte, error) {
	s.at++ // {
	base := len(out)
	var members []member
	for s.next() != '}' {
		if s.text[s.at] == ',' {
			s.at++
			s.next()
		}
		key, err := s.str()
		if err != nil {
			return nil, err
		}
		s.next()
		s.at++ // :
		m := member{key: key, from: len(out)}
		if out, err = s.value(out, depth+1); err != nil {
			return nil, err
		}
		m.to = len(out)
		members = append(members, m)
	}
	s.at++
	values := slices.Clone(out[base:])
	slices.SortFunc(members, func(a, b member) int { return compareUTF16(a.key, b.key) })
	out = append(out[:base], '{')
	for i, m := range members {
		if i > 0 {
			if bytes.Equal(m.key, members[i-1].key) {
				return nil, errors.New("audit: duplicate key in a JSON object")
			}
			out = append(out, ',')
		}
		out = append(appendString(out, m.key), ':')
		out = append(out, values[m.from-base:m.to-base]...)
	}
	return append(out, '}'), nil
}

func (s *scanner) array(out []byte, depth int) ([]byte, error) {
	s.at++ // [
	out = append(out, '[')
	for s.next() != ']' {
		if s.text[s.at] == ',' {
			s.at++
			out = append(out, ',')
		}
		var err error
		if out, err = s.value(out, depth+1); err != nil {
			return nil, err
		}
	}
	s.at++
	return append(out, ']'), nil
}

// str returns the string that begins here, decoded. One without escapes is a
// part of the text and not copied.
func (s *scanner) str() ([]byte, error) {
	from, escaped := s.at, false
	for s.at++; s.text[s.at] != '"'; s.at++ {
		if s.text[s.at] == '\\' {
			escaped = true
			s.at++
		}
	}
	s.at++
	if !escaped {
		return s.text[from+1 : s.at-1], nil
	}
	var decoded string
	err := json.Unmarshal(s.text[from:s.at], &decoded)
	return []byte(decoded), err
}

func (s *scanner) number(out []byte) ([]byte, error) {
	from := s.at
	for s.at < len(s.text) && bytes.IndexByte([]byte("+-.0123456789Ee"), s.text[s.at]) >= 0 {
		s.at++
	}
	return appendNumber(out, s.text[from:s.at])
}

// compareUTF16 orders strings by their UTF-16 code units (RFC 8785, section
// 3.2.3). It differs from byte order only between U+E000…U+FFFF and the
// characters beyond, whose surrogates sort lower.
func compareUTF16(a, b []byte) int {
	if isASCII(a) && isASCII(b) {
		return bytes.Compare(a, b)
	}
	return slices.Compare(utf16.Encode([]rune(string(a))), utf16.Encode([]rune(string(b))))
}

func isASCII(s []byte) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

const hexDigits = "0123456789abcdef"

// appendString writes a string as RFC 8785, section 3.2.2.2, asks: only what
// must be escaped is.
func appendString[T string | []byte](out []byte, s T) []byte {
	out = append(out, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			out = append(out, '\\', c)
		case c >= 0x20:
			out = append(out, c)
		case c == '\b':
			out = append(out, '\\', 'b')
		case c == '\t':
			out = append(out, '\\', 't')
		case c == '\n':
			out = append(out, '\\', 'n')
		case c == '\f':
			out = append(out, '\\', 'f')
		case c == '\r':
			out = append(out, '\\', 'r')
		default:
			out = append(out, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return append(out, '"')
}

// appendNumber writes a number as ECMAScript's Number::toString does (RFC
// 8785, section 3.2.2.3). encoding/json formats a float64 the same way, but
// for negative zero.
func appendNumber(out, n []byte) ([]byte, error) {
	if len(n) < 16 && n[0] != '-' && !bytes.ContainsAny(n, ".Ee") {
		return append(out, n...), nil // a whole number that a double holds exactly
	}
	f, err := strconv.ParseFloat(string(n), 64)
	if err != nil {
		return nil, errors.New("audit: number beyond the range of a double")
	}
	if f == 0 {
		return append(out, '0'), nil
	}
	b, err := json.Marshal(f)
	if err != nil {
		return nil, err
	}
	return append(out, b...), nil
}
