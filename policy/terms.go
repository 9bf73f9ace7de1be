package policy

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"time"

	abide "github.com/abide-privacy/abide"
)

// Terms is what a person agrees to for one purpose: what is used and how, who
// receives what, what is offered, and for how long. Prose is no part of it, so
// a typo mended in a notice asks nobody again.
type Terms struct {
	Purpose    abide.Purpose    `json:"purpose"`
	Uses       []abide.Category `json:"uses,omitempty"`
	Contacts   []abide.Category `json:"contacts,omitempty"`
	ChosenBy   []abide.Category `json:"chosen_by,omitempty"`
	Recipients []TermsRecipient `json:"recipients,omitempty"`
	Offers     []TermsOffer     `json:"offers,omitempty"`
	Topics     []abide.Topic    `json:"topics,omitempty"`
	Keep       []string         `json:"keep,omitempty"`    // "order.closed+12m": all bind, the earliest ends it
	AtMost     []string         `json:"at_most,omitempty"` // likewise
}

// TermsRecipient is a recipient, or class of them, and what it gets.
type TermsRecipient struct {
	Recipient  abide.Recipient  `json:"recipient"`
	Categories []abide.Category `json:"categories"`
}

// TermsOffer is whose goods are offered, and of which kinds.
type TermsOffer struct {
	Whose string   `json:"whose"`
	Kinds []string `json:"kinds"`
}

// Canonical returns the one form of these terms that is digested and kept:
// JSON as RFC 8785 writes it, lists in ascending order of their bytes and
// without repetition, empty lists left out. spec/terms-vectors.json holds
// examples.
func (t Terms) Canonical() []byte {
	m := map[string]any{"purpose": string(t.Purpose)}
	put := func(key string, list []string) {
		if len(list) > 0 {
			m[key] = list
		}
	}
	put("uses", sortedStrings(t.Uses))
	put("contacts", sortedStrings(t.Contacts))
	put("chosen_by", sortedStrings(t.ChosenBy))
	put("topics", sortedStrings(t.Topics))
	put("keep", sortedStrings(t.Keep))
	put("at_most", sortedStrings(t.AtMost))
	if len(t.Recipients) > 0 {
		m["recipients"] = canonicalRecipients(t.Recipients)
	}
	if len(t.Offers) > 0 {
		m["offers"] = canonicalOffers(t.Offers)
	}
	return appendCanonical(nil, m)
}

func canonicalRecipients(in []TermsRecipient) []any {
	merged := map[abide.Recipient][]abide.Category{}
	for _, r := range in {
		merged[r.Recipient] = append(merged[r.Recipient], r.Categories...)
	}
	var out []any
	for _, name := range sortedKeys(merged) {
		out = append(out, map[string]any{"recipient": string(name), "categories": sortedStrings(merged[name])})
	}
	return out
}

func canonicalOffers(in []TermsOffer) []any {
	merged := map[string][]string{}
	for _, o := range in {
		merged[o.Whose] = append(merged[o.Whose], o.Kinds...)
	}
	var out []any
	for _, whose := range sortedKeys(merged) {
		out = append(out, map[string]any{"whose": whose, "kinds": sortedStrings(merged[whose])})
	}
	return out
}

// Digest returns "sha256:" and the hexadecimal SHA-256 of Canonical.
func (t Terms) Digest() string { return digestOf(t.Canonical()) }

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// ParseTerms reads what Canonical wrote. Bytes in any other form are refused:
// their digest would be another.
func ParseTerms(canonical []byte) (Terms, error) {
	bad := &abide.Error{Code: abide.CodeInvalid, Detail: "bad_terms",
		Message: "these are not terms in canonical form", Hint: "use the bytes that the policy printed, unchanged"}
	var t Terms
	dec := json.NewDecoder(bytes.NewReader(canonical))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&t); err != nil {
		bad.Err = err
		return Terms{}, bad
	}
	if _, err := dec.Token(); err != io.EOF || t.Purpose == "" || !bytes.Equal(t.Canonical(), canonical) {
		return Terms{}, bad
	}
	return t, nil
}

// Terms returns what this person would agree to for a purpose now: the law of
// the places that count for them applies. It is false for an unknown purpose
// and for a place that does not exist.
func (p *Policy) Terms(purpose abide.Purpose, f *Facts, at time.Time) (Terms, bool) {
	pu, ok := p.Purpose(purpose)
	if !ok || f == nil {
		return Terms{}, false
	}
	pu = p.bindingPurpose(pu, f, at)
	v, known := p.variantFor(pu, f)
	if !known {
		return Terms{}, false
	}
	return v.terms, true
}

// AllTerms lists all distinct terms of all purposes and places, for the
// archive, in the order of the policy.
func (p *Policy) AllTerms() []Terms { return slices.Clone(p.terms) }

// appendCanonical writes JSON as RFC 8785 does, for strings, lists and
// objects, which is all that terms and policies need. Keys are ASCII, whose
// order in UTF-16 is that of their bytes.
func appendCanonical(b []byte, v any) []byte {
	switch v := v.(type) {
	case string:
		return appendCanonicalString(b, v)
	case []string:
		b = append(b, '[')
		for i, s := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendCanonicalString(b, s)
		}
		return append(b, ']')
	case []any:
		b = append(b, '[')
		for i, e := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendCanonical(b, e)
		}
		return append(b, ']')
	case map[string]any:
		b = append(b, '{')
		for i, k := range sortedKeys(v) {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendCanonicalString(b, k), ':')
			b = appendCanonical(b, v[k])
		}
		return append(b, '}')
	}
	panic("policy: no canonical form for this type")
}

// appendCanonicalString escapes as section 3.2.2.2 of RFC 8785 says: the two
// that must be, the short forms, and other control characters as \u00xx.
func appendCanonicalString(b []byte, s string) []byte {
	const short = "\b\t\n\f\r"
	const letters = "btnfr"
	b = append(b, '"')
	for _, r := range strings.ToValidUTF8(s, "\uFFFD") {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r < 0x20 && strings.ContainsRune(short, r):
			b = append(b, '\\', letters[strings.IndexRune(short, r)])
		case r < 0x20:
			b = append(b, '\\', 'u', '0', '0', "0123456789abcdef"[r>>4], "0123456789abcdef"[r&15])
		default:
			b = append(b, string(r)...)
		}
	}
	return append(b, '"')
}

func sortedStrings[S ~string](in []S) []string {
	out := make([]string, len(in))
	for i, s := range in {
		out[i] = string(s)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func sortedKeys[K ~string, V any](m map[K]V) []K {
	out := make([]K, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
