package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	abide "github.com/abide-privacy/abide"
)

// What callers send is text: UTF-8 without control characters, but for tab and
// line ends. Whatever is not is refused here, whole and before anything is
// looked up, so that no name, reason or value that a column, a terminal or
// another system reads differently gets any further. Go's decoder would let NUL
// through, and turn what is not UTF-8 into another text without a word.

var errNotText = errors.New("not text")

func notText() *abide.Error {
	return &abide.Error{Code: abide.CodeInvalid, Detail: "bad_text",
		Message: "the request holds control characters, or is not UTF-8", Hint: "send plain text in UTF-8; files go to uploads"}
}

// jsonFormat is huma's, for text alone.
var jsonFormat = huma.Format{
	Marshal: huma.DefaultJSONFormat.Marshal,
	Unmarshal: func(data []byte, v any) error {
		if !textJSON(data) {
			return errNotText
		}
		return json.Unmarshal(data, v)
	},
}

// textRequest reports whether path, query and the headers that Abide reads are
// text. Line ends have no place in them.
func textRequest(r *http.Request) bool {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || !plainText(r.URL.Path) {
		return false
	}
	for name, values := range query {
		if !plainText(name) || !plainText(strings.Join(values, "")) {
			return false
		}
	}
	for name, values := range r.Header {
		if (name == "Idempotency-Key" || strings.HasPrefix(name, "Abide-")) && !plainText(strings.Join(values, "")) {
			return false
		}
	}
	return true
}

func plainText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// textJSON reports whether all strings of a JSON text are text, escapes
// included; whether it is JSON is for others to say.
func textJSON(data []byte) bool {
	if !utf8.Valid(data) {
		return false
	}
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		if r == '\\' {
			r, n = escaped(string(data[i:min(i+12, len(data))]))
		}
		if unicode.IsControl(r) && r != '\t' && r != '\n' && r != '\r' || r == utf8.RuneError && n == 0 {
			return false
		}
		i += max(n, 1)
	}
	return true
}

// escaped reads the escape that a piece of JSON begins with, and how long it is;
// 0 of half a surrogate pair, which is no character.
func escaped(s string) (rune, int) {
	if len(s) < 2 {
		return '\\', 1
	}
	switch s[1] {
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'u':
		high, ok := hexRune(s)
		switch {
		case !ok:
			return '\\', 2
		case high < 0xd800 || high > 0xdfff:
			return high, 6
		}
		if low, ok := hexRune(s[6:]); ok && high < 0xdc00 && low >= 0xdc00 && low <= 0xdfff {
			return (high-0xd800)<<10 + (low - 0xdc00) + 0x10000, 12
		}
		return utf8.RuneError, 0
	}
	return '\\', 2
}

func hexRune(s string) (rune, bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(s[2:6], 16, 16)
	return rune(n), err == nil
}
