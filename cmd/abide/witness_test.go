package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/testx/testlog"
	"github.com/abide-privacy/abide/internal/witness"
)

// startWitness makes a witness of the logs of these keys and serves it. It
// returns its URL and verifier key; stop ends it, and start serves it again.
func startWitness(t *testing.T, dir, name string, logs ...string) (url, key string, stop func()) {
	t.Helper()
	out := &lockedBuffer{}
	if _, err := os.Stat(filepath.Join(dir, "witness.key")); err != nil {
		m := &Main{Stdin: strings.NewReader(""), Stdout: out, Stderr: io.Discard, Env: func(string) string { return "" }, Now: time.Now}
		if code := m.Run(t.Context(), []string{"witness", "init", name, "--data", dir}); code != 0 {
			t.Fatalf("witness init: exit code %d", code)
		}
	}
	key = strings.TrimSpace(string(out.Bytes()))
	args := []string{"witness", "--data", dir, "--listen", "127.0.0.1:0"}
	for _, l := range logs {
		args = append(args, "--log", l)
	}
	ctx, cancel := context.WithCancel(context.Background())
	reader, writer := io.Pipe()
	failed := &lockedBuffer{}
	m := &Main{Stdin: strings.NewReader(""), Stdout: writer, Stderr: failed, Env: func(string) string { return "" }, Now: time.Now}
	done := make(chan int, 1)
	go func() {
		code := m.Run(ctx, args)
		_ = writer.Close()
		done <- code
	}()
	stop = func() {
		if ctx.Err() == nil {
			cancel()
			<-done
		}
	}
	t.Cleanup(stop)
	lines := bufio.NewScanner(reader)
	for lines.Scan() {
		if _, url, ok := strings.Cut(lines.Text(), "listening on "); ok {
			go func() { _, _ = io.Copy(io.Discard, reader) }()
			return url, key, stop
		}
	}
	t.Fatalf("the witness did not start: %s", failed.Bytes())
	return "", "", nil
}

// TestWitness runs `abide witness`, lets it sign, stops it, and wants it to
// remember.
func TestWitness(t *testing.T) {
	l, err := testlog.New("shop.example/log")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Grow(500, ""); err != nil {
		t.Fatal(err)
	}
	dir, published := t.TempDir(), t.TempDir()
	url, key, stop := startWitness(t, dir, "w1.bakery.example", l.Key)
	cosign := func(l *testlog.Log, url string) error {
		if err := l.Publish(published); err != nil {
			t.Fatal(err)
		}
		keys, err := audit.NewKeys(l.Key, key)
		if err != nil {
			t.Fatal(err)
		}
		log := audit.NewLog(audit.Dir(published), keys)
		signed, err := log.Checkpoint(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		c, err := witness.NewClient(url, key, nil)
		if err != nil {
			t.Fatal(err)
		}
		lines, err := c.Cosign(t.Context(), log, signed)
		if err != nil {
			return err
		}
		keys.Quorum = 1
		_, err = keys.Open(append(signed.Note, lines...))
		return err
	}
	if err := cosign(l, url); err != nil {
		t.Fatal(err)
	}
	stop()
	url, _, _ = startWitness(t, dir, "", l.Key)
	cut, err := l.Fork(400)
	if err != nil {
		t.Fatal(err)
	}
	if err := cosign(cut, url); !errors.Is(err, witness.ErrRefused) {
		t.Errorf("a log that lost a hundred entries, after the witness was restarted: %v", err)
	}
	if err := l.Grow(600, ""); err != nil {
		t.Fatal(err)
	}
	if err := cosign(l, url); err != nil {
		t.Error(err)
	}
}
