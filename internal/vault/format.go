package vault

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	abide "github.com/abide-privacy/abide"
)

// maxValue bounds one value. What is larger is an upload, not an item.
const maxValue = 256 << 10

// Formats lists the formats of categories whose values are sent as JSON: all
// but file.
func Formats() []string {
	return []string{"text", "email", "phone", "date", "address", "country", "money", "json", "ip", "imei", "url", "number", "time"}
}

// form is how one format reads a value: the stored JSON, and the bytes by
// which equal values are found (nil: values of this format are not searched).
type form func(raw json.RawMessage, region string) (canonical, index []byte, err error)

var forms = map[string]form{
	"text": text(normalText), "email": text(normalEmail), "phone": text(normalPhone), "date": text(normalDate),
	"country": text(normalCountry), "ip": text(normalIP), "imei": text(normalIMEI), "url": text(normalURL),
	"time": text(normalTime), "address": normalAddress, "money": normalMoney, "json": normalJSON, "number": normalNumber,
	"file": notAValue,
}

// Normalize checks a value against its category's format and returns the JSON
// to store and the bytes to index. Region is the ISO 3166 code by which local
// phone numbers are read, from the person's place; "" if unknown.
//
// The error's class is invalid and its detail bad_ and the format: bad_email.
// It never holds any part of the value. Callers add the category as Field.
func Normalize(format string, raw json.RawMessage, region string) (canonical, index []byte, err error) {
	if format == "" {
		format = "text"
	}
	f, ok := forms[format]
	if !ok {
		return nil, nil, invalid("unknown_format", "the category has a format that this version does not know", "use one of: "+strings.Join(Formats(), ", "))
	}
	raw = bytes.TrimSpace(raw)
	switch {
	case len(raw) > maxValue:
		return nil, nil, &abide.Error{Code: abide.CodeTooLarge, Detail: "value_too_large",
			Message: "this value is larger than 256 KiB", Hint: "send large material as an upload"}
	case len(raw) == 0 || string(raw) == "null":
		return nil, nil, invalid("value_missing", "no value was given", "leave the category out, or send a value")
	case !utf8.Valid(raw) || !json.Valid(raw):
		return nil, nil, invalid("bad_json_value", "the value is not JSON in UTF-8", "send a JSON value")
	}
	return f(raw, region)
}

// notAValue refuses a file sent as a value: its bytes go into the blob store.
func notAValue(json.RawMessage, string) ([]byte, []byte, error) {
	return nil, nil, invalid("send_as_upload", "a file is not sent as a value", "use PUT /v1/subjects/{id}/uploads/{category}")
}

func invalid(detail, message, hint string) error {
	return &abide.Error{Code: abide.CodeInvalid, Detail: detail, Message: message, Hint: hint}
}

// text lifts a rule about strings to one about JSON values.
func text(rule func(s, region string) (stored, index string, err error)) form {
	return func(raw json.RawMessage, region string) ([]byte, []byte, error) {
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return nil, nil, invalid("not_a_string", "this format is written as a JSON string", `send the value in quotes`)
		}
		s = strings.TrimFunc(s, unicode.IsSpace)
		if s == "" {
			return nil, nil, invalid("value_missing", "the value is empty", "leave the category out, or send a value")
		}
		stored, index, err := rule(s, region)
		if err != nil {
			return nil, nil, err
		}
		return quote(stored), []byte(index), nil
	}
}

// quote writes a JSON string without escaping what HTML would want.
func quote(s string) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string always encodes
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
}

// normalText brings text into one Unicode form (NFC), so that equal-looking
// values are equal. Text is found exactly, case and all: account ids may
// differ in case only.
func normalText(s, _ string) (string, string, error) {
	s = norm.NFC.String(s)
	for _, r := range s {
		if unicode.IsControl(r) && r != '\n' && r != '\t' && r != '\r' {
			return "", "", invalid("bad_text", "the text holds control characters", "send plain text")
		}
	}
	return s, s, nil
}

func normalDate(s, _ string) (string, string, error) {
	d, err := abide.ParseDate(s)
	if err != nil {
		return "", "", err
	}
	return d.String(), d.String(), nil
}

// normalJSON keeps any JSON value: keys sorted, white space dropped, numbers
// as they were written, so that none loses digits.
func normalJSON(raw json.RawMessage, _ string) ([]byte, []byte, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	out, err := compact(nil, dec, 0)
	if err != nil {
		return nil, nil, invalid("bad_json", "this JSON repeats a key, or is nested more than 64 deep", "send each key once")
	}
	return out, nil, nil
}

var errJSON = errors.New("vault: json")

func compact(out []byte, dec *json.Decoder, depth int) ([]byte, error) {
	tok, err := dec.Token()
	if err != nil || depth > 64 {
		return nil, errJSON
	}
	switch t := tok.(type) {
	case json.Delim:
		if t == '[' {
			return compactArray(out, dec, depth)
		}
		return compactObject(out, dec, depth)
	case string:
		return append(out, quote(t)...), nil
	case json.Number:
		return append(out, t...), nil
	case bool:
		if t {
			return append(out, "true"...), nil
		}
		return append(out, "false"...), nil
	}
	return append(out, "null"...), nil
}

func compactArray(out []byte, dec *json.Decoder, depth int) ([]byte, error) {
	out = append(out, '[')
	for first := true; dec.More(); first = false {
		if !first {
			out = append(out, ',')
		}
		var err error
		if out, err = compact(out, dec, depth+1); err != nil {
			return nil, err
		}
	}
	if _, err := dec.Token(); err != nil {
		return nil, errJSON
	}
	return append(out, ']'), nil
}

func compactObject(out []byte, dec *json.Decoder, depth int) ([]byte, error) {
	members := map[string][]byte{}
	for dec.More() {
		tok, err := dec.Token()
		key, ok := tok.(string)
		if err != nil || !ok {
			return nil, errJSON
		}
		if _, twice := members[key]; twice {
			return nil, errJSON
		}
		if members[key], err = compact(nil, dec, depth+1); err != nil {
			return nil, err
		}
	}
	if _, err := dec.Token(); err != nil {
		return nil, errJSON
	}
	out = append(out, '{')
	for i, key := range sortedKeys(members) {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(append(out, quote(key)...), ':')
		out = append(out, members[key]...)
	}
	return append(out, '}'), nil
}
