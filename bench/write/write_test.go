package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestProofOfWrites runs the comparison: no error, all rows there, at most 0.1
// syncs per acknowledged write; and in the long run, where the figure is more
// than chance, at least 0.7 of the rate of a group commit made by hand.
func TestProofOfWrites(t *testing.T) {
	exe := filepath.Join(t.TempDir(), "write")
	if out, err := exec.Command("go", "build", "-o", exe, ".").CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	args := []string{"-for", "2s", "-turns", "1", "-ratio", "0"}
	if os.Getenv("ABIDE_PROOF") == "1" {
		args = []string{"-for", "60s", "-turns", "3"}
	}
	out, err := exec.Command(exe, append(args, "-dir", t.TempDir())...).CombinedOutput()
	t.Logf("\n%s", out)
	if err != nil {
		t.Error(err)
	}
}
