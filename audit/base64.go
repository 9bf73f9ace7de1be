package audit

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
)

// decodeBase64 reads base64 (RFC 4648, section 4, with padding) in the one form
// that an encoder writes. The decoder alone leaves some of the last bits open,
// and passes over line ends: then several texts would mean the same, and a change
// of a byte could go unseen.
func decodeBase64(s string) ([]byte, bool) {
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	return b, err == nil && base64.StdEncoding.EncodedLen(len(b)) == len(s)
}

// Bytes is binary data in a JSON document: base64, read in one form only.
type Bytes []byte

// UnmarshalJSON implements json.Unmarshaler.
func (b *Bytes) UnmarshalJSON(raw []byte) error {
	var s *string
	if err := json.Unmarshal(raw, &s); err != nil {
		return err
	}
	if s == nil {
		*b = nil
		return nil
	}
	out, ok := decodeBase64(*s)
	if !ok {
		return errors.New("audit: a value is not base64 in its one form")
	}
	*b = out
	return nil
}

// strictSignatures refuses a signed note of which a signature, known or not, is
// written otherwise than its signer wrote it.
func strictSignatures(signed []byte) bool {
	for line := range strings.Lines(string(signed[bytes.LastIndex(signed, []byte("\n\n"))+2:])) {
		_, text, _ := strings.Cut(strings.TrimPrefix(strings.TrimSuffix(line, "\n"), "— "), " ")
		if _, ok := decodeBase64(text); !ok {
			return false
		}
	}
	return true
}
