// Package canary finds personal values where they must not be. A test plants
// values that occur nowhere else and then searches every file, log line,
// metric and answer for them, in every form in which software tends to leave
// them behind.
package canary

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf16"
)

// Set is what to search for: each needle is one form of one planted value.
type Set struct {
	needles []needle
}

type needle struct {
	name  string // which value, never the value
	form  string
	bytes []byte
}

// Find is a planted value found.
type Find struct {
	Where  string
	Name   string
	Form   string
	Offset int64
}

func (f Find) String() string {
	return fmt.Sprintf("%s holds %s (%s) at byte %d", f.Where, f.Name, f.Form, f.Offset)
}

// minLength is the shortest value that may be planted: a shorter one occurs by
// chance.
const minLength = 8

// Add plants a value under a name: its raw form, the forms that normalising
// makes of it, and every encoding of each.
func (s *Set) Add(name, value string) {
	if len(value) < minLength {
		panic("canary: " + name + " is too short to be unmistakable")
	}
	for form, v := range normalForms(value) {
		s.add(name, form, []byte(v))
		s.add(name, form+" upper case", []byte(strings.ToUpper(v)))
		s.add(name, form+" hex", []byte(hex.EncodeToString([]byte(v))))
		s.add(name, form+" HEX", []byte(strings.ToUpper(hex.EncodeToString([]byte(v)))))
		s.add(name, form+" UTF-16LE", utf16Bytes(v, binary.LittleEndian))
		s.add(name, form+" UTF-16BE", utf16Bytes(v, binary.BigEndian))
		s.add(name, form+" JSON-escaped", []byte(jsonEscaped(v)))
		s.add(name, form+" URL-escaped", []byte(url.QueryEscape(v)))
		for shift := range 3 {
			s.add(name, fmt.Sprintf("%s base64 at %d", form, shift), base64At(base64.StdEncoding, v, shift))
			s.add(name, fmt.Sprintf("%s base64url at %d", form, shift), base64At(base64.URLEncoding, v, shift))
		}
	}
}

func (s *Set) add(name, form string, b []byte) {
	if len(b) < minLength {
		return
	}
	for _, n := range s.needles {
		if bytes.Equal(n.bytes, b) {
			return
		}
	}
	s.needles = append(s.needles, needle{name, form, b})
}

// normalForms are the forms in which a value may be stored after it was
// normalised: lower case, without spaces, digits only.
func normalForms(v string) map[string]string {
	digits := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, v)
	forms := map[string]string{
		"raw":            v,
		"lower case":     strings.ToLower(v),
		"without spaces": strings.Join(strings.Fields(v), ""),
	}
	if len(digits) >= 10 {
		forms["digits"] = digits
	}
	return forms
}

func utf16Bytes(v string, order binary.ByteOrder) []byte {
	var out []byte
	for _, u := range utf16.Encode([]rune(v)) {
		out = append(out, 0, 0)
		order.PutUint16(out[len(out)-2:], u)
	}
	return out
}

func jsonEscaped(v string) string {
	var b strings.Builder
	for _, u := range utf16.Encode([]rune(v)) {
		fmt.Fprintf(&b, `\u%04x`, u)
	}
	return b.String()
}

// base64At encodes v as it would appear shift bytes into a longer text, and
// cuts the characters that depend on its neighbours.
func base64At(enc *base64.Encoding, v string, shift int) []byte {
	padded := append(make([]byte, shift), v...)
	out := enc.WithPadding(base64.NoPadding).EncodeToString(padded)
	first := (shift*8 + 5) / 6
	last := len(padded) * 8 / 6
	return []byte(out[first:last])
}

// Search looks through b.
func (s *Set) Search(where string, b []byte) []Find {
	var found []Find
	for _, n := range s.needles {
		if at := bytes.Index(b, n.bytes); at >= 0 {
			found = append(found, Find{Where: where, Name: n.name, Form: n.form, Offset: int64(at)})
		}
	}
	return found
}

// SearchDir looks through every file below dir, names of files included.
func (s *Set) SearchDir(dir string) ([]Find, error) {
	var found []Find
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			if os.IsNotExist(err) { // a temporary file that went meanwhile
				return nil
			}
			return err
		}
		found = append(found, s.Search("the name of a file", []byte(d.Name()))...)
		if !d.Type().IsRegular() {
			return nil
		}
		b, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			return nil
		}
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		found = append(found, s.Search(rel, b)...)
		return nil
	})
	return found, err
}

// Len is the number of forms searched for.
func (s *Set) Len() int { return len(s.needles) }

// AddBytes searches for exact bytes, such as a ciphertext that must be gone.
func (s *Set) AddBytes(name string, b []byte) { s.add(name, "exact bytes", b) }
