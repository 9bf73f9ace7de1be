package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"
)

// TestOneServerForADataDirectory: a second server is refused while one runs,
// commands are not, and when it has stopped the directory is free.
func TestOneServerForADataDirectory(t *testing.T) {
	s := startServer(t)
	var said bytes.Buffer
	second := &Main{Stdin: strings.NewReader(""), Stdout: &said, Stderr: &said, Env: func(string) string { return "" }, Now: time.Now}
	if code := second.Run(context.Background(), []string{"serve", "--data", s.Dir, "--listen", "127.0.0.1:0"}); code != exitAgain {
		t.Errorf("the second server ended with %d: %s", code, said.String())
	}
	if !strings.Contains(said.String(), "another server runs on this data directory") {
		t.Errorf("the second server said: %s", said.String())
	}
	s.run("token", "list", "--data", s.Dir)
	s.stop()

	ended, end := context.WithCancel(context.Background())
	end()
	said.Reset()
	if code := second.Run(ended, []string{"serve", "--data", s.Dir, "--listen", "127.0.0.1:0"}); strings.Contains(said.String(), "another server") {
		t.Errorf("after the first has stopped: %d: %s", code, said.String())
	}
}
