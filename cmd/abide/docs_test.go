package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestNamedDocumentsExist: whoever is sent to a document by a help text, a hint
// or another document finds it.
func TestNamedDocumentsExist(t *testing.T) {
	const root = "../.."
	inCode := regexp.MustCompile(`\b(?:docs|spec)/[a-zA-Z0-9_/-]+\.md\b`)
	inText := regexp.MustCompile(`\]\(([^)#:]+\.md)(?:#[^)]*)?\)`)
	seen := 0
	check := func(from, name, at string) {
		seen++
		if _, err := os.Stat(at); err != nil {
			t.Errorf("%s names %s, which is not there", from, name)
		}
	}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "node_modules" || d.Name() == "examples") {
				return fs.SkipDir
			}
			return nil
		}
		raw := func() string {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			return string(text)
		}
		switch filepath.Ext(path) {
		case ".go":
			for _, name := range inCode.FindAllString(raw(), -1) {
				check(path, name, filepath.Join(root, name))
			}
		case ".md":
			for _, m := range inText.FindAllStringSubmatch(raw(), -1) {
				check(path, m[1], filepath.Join(filepath.Dir(path), m[1]))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 20 {
		t.Errorf("only %d names were found: the patterns find nothing any more", seen)
	}
}
