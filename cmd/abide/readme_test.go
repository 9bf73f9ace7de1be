package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestREADME runs what the README shows: the policy of twenty lines is the
// example, and the session prints what it says it prints.
func TestREADME(t *testing.T) {
	raw, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	readme := string(raw)
	shown := between(t, readme, "````markdown\n", "````")
	example, err := os.ReadFile("../../examples/twenty/policy/privacy.md")
	if err != nil {
		t.Fatal(err)
	}
	if strings.TrimSpace(shown) != strings.TrimSpace(string(example)) {
		t.Error("the README's policy is not examples/twenty/policy/privacy.md")
	}
	if n := strings.Count(strings.TrimSpace(shown), "\n") + 1; n > 22 {
		t.Errorf("the policy of twenty lines has %d", n)
	}

	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "pebble"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "pebble", "privacy.md"), []byte(shown), 0o644); err != nil {
		t.Fatal(err)
	}
	abide := filepath.Join(dir, "abide")
	if out, err := exec.Command("go", "build", "-o", abide, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	session := between(t, readme, "```console\n", "```")
	var script strings.Builder
	var want []string
	for _, line := range strings.Split(strings.TrimSpace(session), "\n") {
		if command, ok := strings.CutPrefix(line, "$ "); ok {
			script.WriteString(command + "\n")
			continue
		}
		want = append(want, line)
	}
	sh := exec.Command("bash", "-c", script.String())
	sh.Dir = dir
	sh.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
	out, _ := sh.CombinedOutput() // the refused read exits 3
	got := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(got) != len(want) {
		t.Fatalf("the session printed:\n%s\nthe README says:\n%s", out, strings.Join(want, "\n"))
	}
	for i := range want {
		pattern := "^" + strings.ReplaceAll(regexp.QuoteMeta(want[i]), "…", ".*") + "$"
		if !regexp.MustCompile(pattern).MatchString(got[i]) {
			t.Errorf("printed %q, the README says %q", got[i], want[i])
		}
	}
}

func between(t *testing.T, s, open, end string) string {
	t.Helper()
	_, rest, ok := strings.Cut(s, open)
	if !ok {
		t.Fatalf("no %q in the README", open)
	}
	body, _, ok := strings.Cut(rest, end)
	if !ok {
		t.Fatalf("no end of %q in the README", open)
	}
	return body
}
