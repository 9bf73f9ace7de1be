package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/abide-privacy/abide/policy"
)

// strictJSON decodes one JSON value and refuses fields it does not know.
func strictJSON(raw []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if d.More() {
		return errors.New("engine: text after the JSON value")
	}
	return nil
}

// controller is the controller that the policy names first.
func controller(p *policy.Policy) string {
	for _, d := range p.Set().Documents {
		if d.Controller != "" {
			return d.Controller
		}
	}
	return ""
}

// representable reports whether a time that a caller sent can be written again
// in any zone: years of four digits, with room for what is added to them. The
// zero time says that none was sent.
func representable(t time.Time) bool {
	return t.IsZero() || t.Year() >= 1900 && t.Year() <= 9000
}

// plainName reports whether a caller's name for something is text that both
// engines keep: PostgreSQL refuses NUL and broken UTF-8 in any column, and what
// is refused there with an error would leave no record of who asked.
func plainName(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}
