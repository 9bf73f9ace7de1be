package durable_test

import (
	"bufio"
	"context"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/testx/durable"
)

// long reports whether this is `make proof`.
func long() bool { return os.Getenv("ABIDE_PROOF") == "1" }

// build builds the writer program, with build tags.
func build(t *testing.T, tags string) string {
	t.Helper()
	exe := filepath.Join(t.TempDir(), "writer")
	cmd := exec.Command("go", "build", "-tags", tags, "-o", exe, "./writer")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building the writer: %v\n%s", err, out)
	}
	return exe
}

// TestDurableAfterKill kills the writer at random moments and looks for what it had
// acknowledged, again and again in the same files.
func TestDurableAfterKill(t *testing.T) {
	exe, dir := build(t, ""), t.TempDir()
	rounds := 4
	if long() {
		rounds = 200
	}
	var all []durable.Ack
	for round := range rounds {
		all = append(all, killed(t, exe, dir, 1+rand.IntN(400))...)
		check(t, dir, all)
		if t.Failed() {
			t.Fatalf("after kill %d", round+1)
		}
	}
	t.Logf("%d kills, %d acknowledged writes, none missing", rounds, len(all))
}

// killed runs the writer, kills it when it has acknowledged n writes, and
// returns all that it acknowledged.
func killed(t *testing.T, exe, dir string, n int) []durable.Ack {
	t.Helper()
	cmd := exec.Command(exe, dir, "16", "0")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var acks []durable.Ack
	for sc := bufio.NewScanner(out); sc.Scan(); {
		a, err := durable.ParseAck(sc.Text())
		if err != nil {
			t.Fatal(err)
		}
		if acks = append(acks, a); len(acks) == n {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = cmd.Wait() // killed: always an error
	if len(acks) < n {
		t.Fatalf("the writer ended by itself after %d writes", len(acks))
	}
	return acks
}

// check opens the stores and wants every acknowledged write in them, and no
// write by halves.
func check(t *testing.T, dir string, acks []durable.Ack) {
	t.Helper()
	ctx := context.Background()
	data, keys, err := durable.Open(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer data.Close()
	defer keys.Close()
	tokens := map[[16]byte]bool{}
	for after := (abide.SubjectID{}); ; {
		rows, err := data.ListSubjects(ctx, after, 500)
		if err != nil {
			t.Fatal(err)
		}
		if len(rows) == 0 {
			break
		}
		for _, row := range rows {
			whole(t, data, keys, row, tokens)
		}
		after = rows[len(rows)-1].ID
	}
	for _, a := range acks {
		if !tokens[a.Token] {
			t.Errorf("subject %s: acknowledged version %d is missing", a.Subject, a.Version)
		}
	}
}

// whole checks one subject: as many items and entries as it had changes, and a
// key for every item. It adds the tokens that it found in items.
func whole(t *testing.T, data storage.Store, keys storage.KeyStore, row storage.SubjectRow, tokens map[[16]byte]bool) {
	t.Helper()
	ctx := context.Background()
	l, err := data.Load(ctx, row.ID, storage.Want{AllItems: true})
	if err != nil {
		t.Fatal(err)
	}
	entries, err := data.Entries(ctx, row.ID, 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	stored, err := keys.Get(ctx, row.ID)
	if err != nil {
		t.Fatal(err)
	}
	if n := int(row.Version); len(l.Items) != n || len(entries) != n || len(stored) < n {
		t.Errorf("subject %s at version %d has %d items, %d entries, %d keys", row.ID, n, len(l.Items), len(entries), len(stored))
	}
	sealedBy := map[string]bool{}
	for _, k := range stored {
		sealedBy[string(k.Wrapped)] = true
	}
	for _, it := range l.Items {
		if !sealedBy[string(it.Sealed)] {
			t.Errorf("subject %s has an item without its key", row.ID)
		}
		tokens[[16]byte(it.Sealed)] = true
	}
}

// trace runs the writer under strace and judges what it saw.
func trace(t *testing.T, exe string, clients, writes string) (int, []string) {
	t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Fatal("strace is not installed: run `make deps`")
	}
	dir := t.TempDir()
	out := filepath.Join(dir, "trace")
	args := append(durable.TraceArgs(), "-o", out, exe, dir, clients, writes)
	if msg, err := exec.Command(strace, args...).CombinedOutput(); err != nil {
		t.Fatalf("strace: %v\n%s", err, msg)
	}
	f, err := os.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	acks, wrong, err := durable.Judge(f)
	if err != nil {
		t.Fatal(err)
	}
	return acks, wrong
}

// TestDurableBeforeAck watches the system calls of a writer with many clients, so
// that commits are shared: a kill leaves the page cache alive, so only this
// shows that what is acknowledged is on the disk.
func TestDurableBeforeAck(t *testing.T) {
	writes, want := "200", 200
	if long() {
		writes, want = "3000", 3000
	}
	acks, wrong := trace(t, build(t, ""), "16", writes)
	if acks != want {
		t.Errorf("%d acknowledgements in the trace; want %d", acks, want)
	}
	if len(wrong) > 0 {
		t.Errorf("%d acknowledgements came before they were durable:\n%s", len(wrong), strings.Join(wrong[:min(5, len(wrong))], "\n"))
	}
}

// TestDurabilityFailsWithoutSync holds the proof itself to account: built with syncing off on
// purpose, the store must fail it.
func TestDurabilityFailsWithoutSync(t *testing.T) {
	acks, wrong := trace(t, build(t, "abide_nosync"), "16", "100")
	if acks != 100 {
		t.Errorf("%d acknowledgements in the trace; want 100", acks)
	}
	if len(wrong) < acks {
		t.Errorf("only %d of %d acknowledgements were found to be wrong without syncing", len(wrong), acks)
	}
}
