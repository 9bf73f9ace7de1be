package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// testServer is `abide serve` running in this process.
type testServer struct {
	t      *testing.T
	URL    string
	Dir    string
	Admin  string
	output *lockedBuffer // everything it printed and logged
	stop   func()
	now    func() time.Time // of the server and of commands; nil: the system's
}

func (s *testServer) main(out io.Writer) *Main {
	now := s.now
	if now == nil {
		now = time.Now
	}
	return &Main{Stdin: strings.NewReader(""), Stdout: out, Stderr: s.output, Env: func(string) string { return "" }, Now: now}
}

// lockedBuffer collects what several goroutines write.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) Bytes() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.b.Bytes())
}

// startServer publishes the sample policy into a fresh data directory, makes an
// administrator's token and serves.
func startServer(t *testing.T, args ...string) *testServer {
	t.Helper()
	s := &testServer{t: t, Dir: t.TempDir(), output: &lockedBuffer{}}
	s.found("--data", s.Dir)
	s.serve(args...)
	return s
}

// found makes a store with the sample policy and an administrator's token.
func (s *testServer) found(where ...string) {
	s.t.Helper()
	s.run(append([]string{"policy", "publish", "../../examples/shop/policy"}, where...)...)
	var token struct{ Token string }
	out := s.run(append([]string{"token", "create", "root", "--admin", "--json",
		"--purpose", "provide,marketing,aftersales,newsletter,recommendations"}, where...)...)
	if err := json.Unmarshal(out, &token); err != nil {
		s.t.Fatal(err)
	}
	s.Admin = token.Token
}

// serve serves the data directory until the test ends.
func (s *testServer) serve(args ...string) {
	t := s.t
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	reader, writer := io.Pipe()
	done := make(chan int, 1)
	m := s.main(io.MultiWriter(writer, s.output))
	go func() {
		code := m.Run(ctx, append([]string{"serve", "--data", s.Dir, "--listen", "127.0.0.1:0"}, args...))
		_ = writer.Close()
		done <- code
	}()
	lines := bufio.NewScanner(reader)
	for lines.Scan() {
		if _, url, ok := strings.Cut(lines.Text(), "listening on "); ok {
			s.URL = url
			break
		}
	}
	if s.URL == "" {
		cancel()
		t.Fatalf("the server did not start: %s", s.output.Bytes())
	}
	go func() { _, _ = io.Copy(io.Discard, reader) }()
	var once sync.Once
	s.stop = func() {
		once.Do(func() {
			cancel()
			if code := <-done; code != exitOK {
				t.Errorf("the server ended with %d: %s", code, s.output.Bytes())
			}
		})
	}
	t.Cleanup(s.stop)
}

// run executes one command and returns what it printed.
func (s *testServer) run(args ...string) []byte {
	s.t.Helper()
	var out bytes.Buffer
	m := s.main(io.MultiWriter(&out, s.output))
	if code := m.Run(context.Background(), args); code != exitOK {
		s.t.Fatalf("abide %s: exit code %d: %s", strings.Join(args, " "), code, s.output.Bytes())
	}
	return out.Bytes()
}

// answered is an answer with its body read.
type answered struct {
	Status int
	Header http.Header
	Body   []byte
}

func (a answered) field(t *testing.T, name string) string {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(a.Body, &m); err != nil {
		t.Fatalf("no JSON (status %d): %s", a.Status, a.Body)
	}
	v, ok := m[name].(string)
	if !ok {
		t.Fatalf("no field %s (status %d): %s", name, a.Status, a.Body)
	}
	return v
}

// call sends a request with the administrator's token; body is a string as it
// is, or a value for encoding/json.
func (s *testServer) call(method, path string, body any, headers ...string) answered {
	s.t.Helper()
	var payload io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		payload = strings.NewReader(b)
	default:
		raw, err := json.Marshal(b)
		if err != nil {
			s.t.Fatal(err)
		}
		payload = bytes.NewReader(raw)
	}
	req, err := http.NewRequest(method, s.URL+path, payload)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.Admin)
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := (&http.Client{Timeout: 30 * time.Second}).Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answered{res.StatusCode, res.Header, raw}
}

// writeFile writes a file for a test and returns its path.
func (s *testServer) writeFile(dir, name, text string) string {
	s.t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}
