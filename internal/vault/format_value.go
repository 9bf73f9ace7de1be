package vault

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/currency"
	"golang.org/x/text/language"
	"golang.org/x/text/unicode/norm"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// normalCountry accepts a code of ISO 3166-1 alpha-2.
func normalCountry(s, _ string) (string, string, error) {
	code, ok := country(s)
	if !ok {
		return "", "", invalid("bad_country", "this is not a country code", "send a code of ISO 3166-1 alpha-2, such as HK")
	}
	return code, code, nil
}

func country(s string) (string, bool) {
	if len(s) != 2 {
		return "", false
	}
	r, err := language.ParseRegion(s)
	if err != nil || !r.IsCountry() {
		return "", false
	}
	code := r.Canonicalize().String()
	return code, len(code) == 2
}

// normalAddress accepts text, or an object of strings; a country among them
// is a code of ISO 3166-1 alpha-2. Addresses are found by their words.
func normalAddress(raw json.RawMessage, _ string) ([]byte, []byte, error) {
	if raw[0] == '"' {
		return text(func(s, _ string) (string, string, error) {
			s, _, err := normalText(s, "")
			return s, oneSpaced(s), err
		})(raw, "")
	}
	bad := invalid("bad_address", "this is not an address", "send text, or an object of strings: street, city, region, postal_code, country")
	var in map[string]string
	if _, _, err := normalJSON(raw, ""); err != nil { // a key twice
		return nil, nil, bad
	}
	if err := json.Unmarshal(raw, &in); err != nil || len(in) == 0 {
		return nil, nil, bad
	}
	out := make(map[string]string, len(in))
	var all []string
	for _, key := range sortedKeys(in) {
		value, _, err := normalText(strings.TrimSpace(in[key]), "")
		if err != nil || key == "" {
			return nil, nil, bad
		}
		if key == "country" && value != "" {
			code, ok := country(value)
			if !ok {
				return nil, nil, bad
			}
			value = code
		}
		if value == "" {
			continue
		}
		out[key] = value
		all = append(all, value)
	}
	if len(out) == 0 {
		return nil, nil, bad
	}
	canonical := []byte{'{'}
	for i, key := range sortedKeys(out) {
		if i > 0 {
			canonical = append(canonical, ',')
		}
		canonical = append(append(append(canonical, quote(key)...), ':'), quote(out[key])...)
	}
	return append(canonical, '}'), []byte(oneSpaced(strings.Join(all, " "))), nil
}

// oneSpaced folds text and leaves one space between words.
func oneSpaced(s string) string { return strings.Join(strings.Fields(fold(s)), " ") }

// normalMoney accepts {"amount":"12.30","currency":"EUR"}; the amount may be a
// number. It is stored with as many decimals as the currency has (ISO 4217).
func normalMoney(raw json.RawMessage, _ string) ([]byte, []byte, error) {
	bad := invalid("bad_money", "this is not an amount of money", `send {"amount":"12.30","currency":"EUR"}, with no more decimals than the currency has`)
	var in struct {
		Amount   json.RawMessage `json:"amount"`
		Currency string          `json:"currency"`
	}
	if _, _, err := normalJSON(raw, ""); err != nil { // a key twice
		return nil, nil, bad
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields() // nothing is dropped unseen
	if dec.Decode(&in) != nil {
		return nil, nil, bad
	}
	amount := strings.Trim(string(in.Amount), `"`)
	unit, err := currency.ParseISO(in.Currency)
	if err != nil {
		return nil, nil, bad
	}
	scale, _ := currency.Standard.Rounding(unit)
	amount, ok := decimal(amount, scale)
	if !ok {
		return nil, nil, bad
	}
	canonical := `{"amount":"` + amount + `","currency":"` + unit.String() + `"}`
	return []byte(canonical), []byte(unit.String() + amount), nil
}

// decimal reads a decimal number of at most 18 digits and writes it with
// exactly scale decimals, without leading zeros.
func decimal(s string, scale int) (string, bool) {
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "-", s[1:]
	}
	whole, frac, dot := strings.Cut(s, ".")
	digits := whole + frac
	if whole == "" || dot && frac == "" || len(digits) > 18 || strings.Trim(digits, "0123456789") != "" {
		return "", false
	}
	if trimmed := strings.TrimRight(frac, "0"); len(trimmed) > scale {
		return "", false
	}
	frac = (frac + strings.Repeat("0", scale))[:scale]
	whole = strings.TrimLeft(whole, "0")
	if whole == "" {
		whole = "0"
	}
	if strings.Trim(whole+frac, "0") == "" {
		sign = ""
	}
	if scale > 0 {
		whole += "."
	}
	return sign + whole + frac, true
}

// normalNumber accepts a JSON number and keeps it as written; it is found by
// its value.
func normalNumber(raw json.RawMessage, _ string) ([]byte, []byte, error) {
	var n json.Number
	f, err := 0.0, error(nil)
	if raw[0] != '"' && json.Unmarshal(raw, &n) == nil {
		f, err = strconv.ParseFloat(n.String(), 64)
	}
	if n == "" || err != nil || len(n) > 64 {
		return nil, nil, invalid("bad_number", "this is not a number", "send a JSON number, without quotes")
	}
	if f == 0 {
		f = 0 // also for negative zero
	}
	return []byte(n), strconv.AppendFloat(nil, f, 'g', -1, 64), nil
}

func normalTime(s, _ string) (string, string, error) {
	t, err := time.Parse(time.RFC3339Nano, norm.NFC.String(s))
	if err != nil || t.Year() < 1 || t.UTC().Year() > 9999 {
		return "", "", invalid("bad_time", "this is not a time", "write times as 2006-01-02T15:04:05Z (RFC 3339)")
	}
	out := t.UTC().Format(time.RFC3339Nano)
	return out, out, nil
}
