package canary

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"
)

// TestDetectorDetects hides a value in every form, at every alignment, and
// wants it found: a detector that finds nothing proves nothing.
func TestDetectorDetects(t *testing.T) {
	const value = "Zyx Quibble <canary-4711@Example.test>"
	var s Set
	s.Add("mail", value)
	utf16le := func(v string) string {
		var b strings.Builder
		for _, u := range utf16.Encode([]rune(v)) {
			b.WriteByte(byte(u))
			b.WriteByte(byte(u >> 8))
		}
		return b.String()
	}
	escaped := func(v string) string {
		var b strings.Builder
		for _, r := range v {
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		return b.String()
	}
	plainJSON, _ := json.Marshal(map[string]string{"a": value})
	hidden := map[string]string{
		"raw":        value,
		"lower":      strings.ToLower(value),
		"upper":      strings.ToUpper(value),
		"hex":        hex.EncodeToString([]byte(value)),
		"HEX":        strings.ToUpper(hex.EncodeToString([]byte(value))),
		"utf16":      utf16le(value),
		"no spaces":  strings.ReplaceAll(value, " ", ""),
		"escaped":    escaped(value),
		"json":       strings.NewReplacer(`\u003c`, "<", `\u003e`, ">").Replace(string(plainJSON)),
		"lower hex":  hex.EncodeToString([]byte(strings.ToLower(value))),
		"lower b64":  base64.StdEncoding.EncodeToString([]byte(strings.ToLower(value))),
		"b64 padded": base64.StdEncoding.EncodeToString([]byte(value)),
	}
	for shift := range 7 {
		before := strings.Repeat("x", shift)
		hidden[fmt.Sprintf("b64 at %d", shift)] = base64.StdEncoding.EncodeToString([]byte(before + value + "tail"))
		hidden[fmt.Sprintf("b64url at %d", shift)] = base64.RawURLEncoding.EncodeToString([]byte(before + value + "?"))
	}
	for name, text := range hidden {
		if len(s.Search(name, []byte("before "+text+" after"))) == 0 {
			t.Errorf("%s: the value is not found", name)
		}
	}
	if found := s.Search("clean", []byte(strings.Repeat("nothing of the kind is here 0123456789 ", 1000))); len(found) > 0 {
		t.Errorf("found in clean text: %v", found)
	}
}

func TestDetectorReadsFiles(t *testing.T) {
	var s Set
	s.Add("phone", "+852 6913 7391")
	dir := t.TempDir()
	sub := filepath.Join(dir, "deep", "er")
	if err := os.MkdirAll(sub, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(sub, "wal"), []byte("…85269137391…"), 0o600); err != nil {
		t.Fatal(err)
	}
	found, err := s.SearchDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 || found[0].Where != filepath.Join("deep", "er", "wal") {
		t.Errorf("found %v", found)
	}
	for _, f := range found {
		if strings.Contains(f.String(), "6913") {
			t.Error("the report repeats the value")
		}
	}
}
