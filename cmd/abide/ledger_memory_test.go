package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/abide-privacy/abide/internal/log"
)

// A restored database that meets a ledger whose end is lost is told by what lies
// beside the published log; a memory that somebody changed is not believed.
func TestLedgerMemory(t *testing.T) {
	s := startServer(t)
	id := s.call("POST", "/v1/subjects", map[string]any{"kind": "person", "jurisdiction": "HK", "birth_date": "1990-01-01"}).field(t, "id")
	kept := filepath.Join(t.TempDir(), "kept")
	s.run("backup", kept, "--data", s.Dir)
	if a := s.call("PATCH", "/v1/subjects/"+id, map[string]any{"restricted": true}); a.Status != 200 {
		t.Fatalf("status %d: %s", a.Status, a.Body)
	}
	s.stop()
	memory := filepath.Join("log", log.Beside)
	for name, c := range map[string]struct {
		cut    int
		memory func(b []byte) []byte
		want   string
	}{
		"the whole ledger":  {0, nil, "ready to serve"},
		"a ledger cut":      {100, nil, "restored_gap: ledger_short"},
		"a memory changed":  {0, func(b []byte) []byte { return bytes.Replace(b, []byte(`"seq":`), []byte(`"seq":7`), 1) }, "it was changed"},
		"a memory unformed": {0, func(b []byte) []byte { return b[:len(b)/2] }, "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for _, part := range []string{"log", "ledger"} {
				if err := os.CopyFS(filepath.Join(dir, part), os.DirFS(filepath.Join(s.Dir, part))); err != nil {
					t.Fatal(err)
				}
			}
			segments, err := filepath.Glob(filepath.Join(dir, "ledger", "*.segment"))
			if err != nil || len(segments) != 1 {
				t.Fatalf("segments: %v, %v", segments, err)
			}
			edit(t, segments[0], func(b []byte) []byte { return b[:len(b)-c.cut] })
			if c.memory != nil {
				edit(t, filepath.Join(dir, memory), c.memory)
			}
			again := &testServer{t: t, Dir: dir, output: &lockedBuffer{}}
			elsewhere := filepath.Join(t.TempDir(), "published")
			if err := os.Rename(filepath.Join(dir, "log"), elsewhere); err != nil {
				t.Fatal(err)
			}
			again.run("restore", kept, "--data", dir, "--log-dir", elsewhere, "--keyring", filepath.Join(s.Dir, "keys", "keyring.json"))
			if !bytes.Contains(again.output.Bytes(), []byte(c.want)) {
				t.Errorf("want %q in: %s", c.want, again.output.Bytes())
			}
		})
	}
}

func edit(t *testing.T, path string, how func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, how(b), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
