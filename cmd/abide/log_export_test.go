package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

// TestLogExportGoesOn: an auditor exports a stretch and a person's entries from a
// server that fails in the middle; the same command goes on, and the file
// verifies without the server.
func TestLogExportGoesOn(t *testing.T) {
	s := startServer(t, "--log-interval", "50ms")
	dir := t.TempDir()
	var token struct{ Token string }
	if err := json.Unmarshal(s.call(http.MethodPost, "/v1/tokens", `{"name":"ada","auditor":true}`).Body, &token); err != nil {
		t.Fatal(err)
	}
	var id string
	for range 210 {
		id = s.call(http.MethodPost, "/v1/subjects", `{"jurisdiction":"DE"}`).field(t, "id")
	}
	key := s.writeFile(dir, "shop.key", "")
	eventually(t, func() bool {
		got := s.call(http.MethodGet, "/log/checkpoint", nil)
		size, _ := strconv.Atoi(strings.Split(string(got.Body)+"\n\n", "\n")[1])
		return got.Status == http.StatusOK && size > 210
	})
	s.writeFile(dir, "shop.key", string(s.call(http.MethodGet, "/log/key", nil).Body))

	// Before the server is a proxy that hands on one page and then nothing.
	target, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	var pages atomic.Int32
	forward := httputil.NewSingleHostReverseProxy(target)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if pages.Add(1) == 2 {
			http.Error(w, `{"status":503,"code":"unavailable","detail":"not now"}`, http.StatusServiceUnavailable)
			return
		}
		forward.ServeHTTP(w, r)
	}))
	defer proxy.Close()
	out := filepath.Join(dir, "all.jsonl")
	args := []string{"log", "export", "--range", "0:", "--out", out, "--server", proxy.URL, "--token", token.Token}
	if code, text := command(args...); code == exitOK {
		t.Fatalf("the server failed, the export did not: %s", text)
	}
	if code, text := command("log", "export", "--subject", id, "--out", out, "--server", proxy.URL, "--token", token.Token); code != exitUsage {
		t.Errorf("another export into the same file: exit code %d: %s", code, text)
	}
	// Killed in the middle of a page, it left half a line.
	half, err := os.OpenFile(out+".partial", os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := half.WriteString(`{"index":200,"commit`); err != nil {
		t.Fatal(err)
	}
	_ = half.Close()
	if code, text := command(args...); code != exitOK || !strings.Contains(text, "going on after 200 entries") {
		t.Fatalf("again: exit code %d: %s", code, text)
	}
	for _, left := range []string{out + ".partial", out + ".state"} {
		if _, err := os.Stat(left); err == nil {
			t.Errorf("%s is left over", left)
		}
	}
	if code, text := command("log", "verify", "--export", out, "--key", key); code != exitOK || !strings.Contains(text, "0 faults") {
		t.Errorf("the export: exit code %d: %s", code, text)
	}
	raw, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(raw, []byte(id)) {
		t.Error("a stretch names a person")
	}

	mine := filepath.Join(dir, "one.jsonl")
	if code, text := command("log", "export", "--subject", id, "--out", mine, "--server", s.URL, "--token", token.Token); code != exitOK {
		t.Fatalf("a person's: exit code %d: %s", code, text)
	}
	if code, text := command("log", "verify", "--export", mine, "--key", key); code != exitOK || !strings.Contains(text, "created") {
		t.Errorf("the person's export: exit code %d: %s", code, text)
	}
	lines := bytes.Split(raw, []byte("\n"))
	cut := s.writeFile(dir, "cut.jsonl", string(bytes.Join(append(append([][]byte{}, lines[:100]...), lines[101:]...), []byte("\n"))))
	if code, text := command("log", "verify", "--export", cut, "--key", key); code == exitOK {
		t.Errorf("an entry was taken out, and it verifies: %s", text)
	}
}
