package main

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/log"
)

// TestRestoreAsksForThePublishedLog restores a backup that is older than what was
// published: with the published log the log goes on from there, as whoever kept a
// checkpoint sees; without, the command refuses and leaves nothing behind; if the
// log is said to be lost, a new one names the last checkpoint.
func TestRestoreAsksForThePublishedLog(t *testing.T) {
	t.Parallel()
	c := foundCompany(t, "shop")
	c.takeIn(5)
	c.quietly()
	c.stop()
	kept := t.TempDir()
	backup := filepath.Join(kept, "backup")
	c.run("backup", backup, "--data", c.Dir)
	c.serve()
	c.takeIn(20)
	c.quietly()
	last := c.call("GET", "/log/checkpoint", nil).Body
	checkpoint := c.writeFile(kept, "checkpoint", string(last))
	c.stop()
	old := c.Dir

	fresh := func(args ...string) []string {
		c.Dir = filepath.Join(t.TempDir(), "data")
		return append([]string{"restore", backup, "--data", c.Dir, "--restore-ledger", filepath.Join(old, "ledger"),
			"--keyring", filepath.Join(old, "keys", "keyring.json")}, args...)
	}
	alone := fresh()
	if said := c.ends(exitAgain, alone...); !strings.Contains(said, "might show a second history") {
		t.Errorf("without the published log: %s", said)
	}
	if _, err := os.Stat(filepath.Join(c.Dir, "abide.db")); err == nil {
		t.Error("a restore that was refused left its database")
	}
	if said := c.ends(exitAgain, fresh("--log-checkpoint", checkpoint)...); !strings.Contains(said, "might show a second history") {
		t.Errorf("with a checkpoint beyond the backup: %s", said)
	}

	c.ends(exitOK, fresh("--log-lost", "--log-checkpoint", checkpoint)...)
	c.serve()
	c.await(func() bool { return c.call("GET", "/log/2/checkpoint", nil).Status == http.StatusOK })
	bundle := c.call("GET", "/log/2/tile/entries/000.p/1", nil).Body
	entries, err := audit.ParseBundle("tile/entries/000.p/1", 0, bundle, 1)
	if err != nil {
		t.Fatal(err)
	}
	if said, ok := log.Continues(entries[0]); !ok || !bytes.Equal(said, last) {
		t.Errorf("the new log begins with %q, want %q", entries[0], last)
	}
	c.stop()

	published := filepath.Join(old, "log")
	c.ends(exitOK, fresh("--log-dir", published)...)
	c.serve("--log-dir", published)
	c.takeIn(1)
	c.quietly()
	c.ends(exitOK, "log", "verify", "--url", c.URL+"/log", "--key", c.key, "--since", checkpoint)
	c.stop()
	moved := filepath.Join(kept, "moved")
	c.ends(exitMissing, "log", "publish", "--data", c.Dir, "--log-dir", moved, "--checkpoint", filepath.Join(kept, "nothing"))
	c.ends(exitOK, "log", "publish", "--data", c.Dir, "--log-dir", moved, "--checkpoint", filepath.Join(published, "checkpoint"))
	c.ends(exitOK, "log", "verify", "--dir", moved, "--key", c.key, "--since", checkpoint)
}
