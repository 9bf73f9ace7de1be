package pg

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"
)

// Dump writes a database to a file with pg_dump, as operators do.
func Dump(t testing.TB, url string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "dump")
	run(t, "pg_dump", "--format=custom", "--file="+file, url)
	return file
}

// Restore makes a database from a dump with pg_restore and returns its URL.
func Restore(t testing.TB, file string) string {
	t.Helper()
	url := Database(t)
	RestoreInto(t, file, url)
	return url
}

// RestoreInto reads a dump into an empty database.
func RestoreInto(t testing.TB, file, url string) {
	t.Helper()
	run(t, "pg_restore", "--exit-on-error", "--no-owner", "--dbname="+url, file)
}

func run(t testing.TB, tool string, args ...string) {
	t.Helper()
	bin, err := binaries()
	if err != nil {
		t.Fatalf("pg: %v", err)
	}
	if out, err := exec.CommandContext(t.Context(), filepath.Join(bin, tool), args...).CombinedOutput(); err != nil {
		t.Fatal(fmt.Errorf("pg: %s: %w\n%s", tool, err, out))
	}
}
