package abide_test

import (
	"errors"
	"fmt"
	"go/build"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

const module = "github.com/abide-privacy/abide"

// rules say which of our packages a package may import, and why. A rule holds
// for the package and all below it; the longest path that fits applies.
var importRules = []struct {
	of    string
	only  []string // allowed prefixes of our own packages; nil: anything not forbidden
	never []string // forbidden prefixes
	why   string
}{
	{"", []string{}, nil,
		"the root package is the domain's words: everybody imports it, so it imports nobody"},
	{"policy", []string{"", "policy"}, nil,
		"a policy is checked, compiled and decided without I/O, so that anyone can embed it: it knows the words and itself"},
	{"audit", []string{"", "audit", "internal/wire"}, nil,
		"an outsider verifies the log with this package alone: it must not pull in the server"},
	{"client", []string{""}, nil,
		"the client is what applications link: the words, and nothing of the server"},
	{"laws", []string{"", "policy", "laws"}, nil,
		"laws are data for the policy compiler"},
	{"internal/storage/sqlite", []string{"", "internal/storage"}, []string{"internal/storage/postgres", "internal/vault", "internal/engine"},
		"an adapter stores rows: it knows neither the other adapter nor what the bytes mean"},
	{"internal/storage/postgres", []string{"", "internal/storage"}, []string{"internal/storage/sqlite", "internal/vault", "internal/engine"},
		"an adapter stores rows: it knows neither the other adapter nor what the bytes mean"},
	{"internal/restore", []string{"", "internal/flock", "internal/restore", "internal/wire"}, nil,
		"the restore ledger outlives database and backup: it keeps sealed records and knows neither"},
	{"internal/blob", []string{"internal/blob"}, nil,
		"the blob store keeps ciphertext: it knows no key, no item and no person"},
	{"internal/flock", []string{"internal/flock"}, nil,
		"a lock on a file is about files: everything may use it and it uses nothing"},
	{"internal/witness", []string{"audit", "internal/witness"}, nil,
		"a witness sees sizes and hashes of other people's logs: it knows nothing of a store"},
	{"internal/log", nil, []string{"internal/engine", "internal/api", "internal/vault", "internal/storage/sqlite", "internal/storage/postgres", "cmd"},
		"the log takes in commitments: it opens nothing, and knows no person and no use case"},
	{"internal/vault", nil, []string{"internal/engine", "internal/api", "internal/blob", "internal/storage/sqlite", "internal/storage/postgres", "cmd"},
		"the vault seals and opens values: it does no I/O and knows no use case"},
	{"internal/consent", nil, []string{"internal/engine", "internal/api", "internal/storage", "cmd"},
		"the rules of the ledger are pure: what they need is handed to them"},
	{"internal/rights", []string{"", "policy", "internal/rights"}, nil,
		"by when an answer is due is a matter of laws and dates alone"},
	{"internal/receipts", []string{"", "audit", "policy", "internal/receipts"}, nil,
		"the published forms of a receipt are written from what is handed in: no store, no key, no use case"},
	{"internal/engine", nil, []string{"internal/api", "internal/site", "internal/storage/sqlite", "internal/storage/postgres", "cmd"},
		"a use case works on any store and under any transport"},
	{"internal/api", nil, []string{"internal/storage", "internal/blob", "internal/vault", "internal/keys", "cmd"},
		"a transport reaches storage only through the engine, which authorises and records"},
	{"internal/site", nil, []string{"internal/storage", "internal/blob", "internal/vault", "internal/keys", "cmd"},
		"a transport reaches storage only through the engine, which authorises and records"},
}

// TestImportRules keeps the layers apart. When it fails, move the code to the
// layer that may know what it needs, or pass the thing in; the rule's reason
// says which promise the import would break. Only cmd and tests name a
// concrete backend.
func TestImportRules(t *testing.T) {
	seen := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "node_modules" || d.Name() == "tools" || d.Name() == "bin") {
			return fs.SkipDir
		}
		if !d.IsDir() {
			return nil
		}
		pkg, err := build.ImportDir(path, 0)
		if err != nil {
			if none := new(build.NoGoError); errors.As(err, &none) {
				return nil
			}
			return err
		}
		seen++
		for _, broken := range brokenRules(filepath.ToSlash(path), pkg.Imports) {
			t.Error(broken)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 10 {
		t.Fatalf("only %d packages seen: the walk is broken", seen)
	}
}

// brokenRules lists the rules that a package's imports break, each with its
// reason.
func brokenRules(dir string, imports []string) (broken []string) {
	report := func(imp, why string) { broken = append(broken, fmt.Sprintf("%q imports %s\n\t%s", dir, imp, why)) }
	if dir == "." {
		dir = ""
	}
	best := -1
	for i, r := range importRules {
		if (r.of == "" && dir == "") || (r.of != "" && within(dir, r.of)) {
			if best < 0 || len(r.of) > len(importRules[best].of) {
				best = i
			}
		}
	}
	for _, imp := range imports {
		ours, ok := strings.CutPrefix(imp, module)
		if !ok {
			if dir == "" && strings.Contains(strings.Split(imp, "/")[0], ".") {
				report(imp, "the root package imports the standard library only")
			}
			continue
		}
		ours = strings.TrimPrefix(ours, "/")
		if !within(dir, "cmd") && !strings.HasPrefix(dir, "internal/testx") && !within(dir, "bench") &&
			(within(ours, "internal/storage/sqlite") || within(ours, "internal/storage/postgres")) && !within(dir, ours) && !strings.HasPrefix(dir, "internal/storage/") {
			report(ours, "only cmd and tests name a concrete backend")
		}
		if best < 0 {
			continue
		}
		r := importRules[best]
		for _, n := range r.never {
			if within(ours, n) {
				report(ours, r.why)
			}
		}
		if r.only != nil && !allowed(ours, r.only) {
			report(ours, r.why)
		}
	}
	return broken
}

func allowed(pkg string, prefixes []string) bool {
	for _, p := range prefixes {
		if p == "" && pkg == "" || p != "" && within(pkg, p) {
			return true
		}
	}
	return false
}

func within(pkg, prefix string) bool {
	return pkg == prefix || strings.HasPrefix(pkg, prefix+"/")
}

// TestImportRulesNotice proves the check can fail.
func TestImportRulesNotice(t *testing.T) {
	for _, c := range []struct{ of, imports string }{
		{"policy/check", "internal/engine"},
		{"internal/storage/sqlite", "internal/storage/postgres"},
		{"internal/storage/postgres", "internal/vault"},
		{"internal/api", "internal/storage"},
		{"internal/api", "internal/blob"},
		{"internal/blob", "internal/vault"},
		{"internal/witness", "internal/storage"},
		{"internal/engine", "internal/storage/sqlite"},
		{"client", "internal/api"},
		{"", "policy"},
	} {
		if len(brokenRules(c.of, []string{module + "/" + c.imports})) == 0 {
			t.Errorf("%q importing %q is not noticed", c.of, c.imports)
		}
	}
}
