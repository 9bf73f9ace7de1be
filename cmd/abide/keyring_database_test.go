package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/abide-privacy/abide/internal/testx/pg"
)

// processes runs the program as processes of their own, each with its
// environment, on one PostgreSQL server.
type processes struct {
	t   *testing.T
	exe string
	env []string
}

func newProcesses(t *testing.T) *processes {
	t.Helper()
	server, err := pg.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	server.Exec(t, "CREATE DATABASE people")
	server.Exec(t, "CREATE DATABASE keys")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return &processes{t: t, exe: exe, env: append(os.Environ(), "ABIDE_KEYRING=database",
		"ABIDE_POSTGRES="+server.URL("people"), "ABIDE_KEYS_POSTGRES="+server.URL("keys"), "ABIDE_RESTORE_LEDGER="+filepath.Join(t.TempDir(), "ledger"))}
}

// set gives all processes that are started from now on a variable.
func (p *processes) set(name, value string) { p.env = append(p.env, name+"="+value) }

// command is the program with arguments. TestMain makes this binary the program
// by its name.
func (p *processes) command(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(p.t.Context(), p.exe, args...)
	cmd.Args[0] = "abide"
	cmd.Env = p.env
	return cmd
}

func (p *processes) run(args ...string) string {
	p.t.Helper()
	out, err := p.command(args...).CombinedOutput()
	if err != nil {
		p.t.Fatalf("abide %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// serve starts a server and returns it with its process, which is killed when
// the test ends if it still runs.
func (p *processes) serve(data, token string, args ...string) (*testServer, *exec.Cmd) {
	p.t.Helper()
	cmd := p.command(append([]string{"serve", "--data", data, "--listen", "127.0.0.1:0"}, args...)...)
	s := &testServer{t: p.t, Dir: data, Admin: token, output: &lockedBuffer{}}
	out, err := cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	cmd.Stderr = s.output
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { end(cmd) })
	lines := bufio.NewScanner(out)
	for s.URL == "" && lines.Scan() {
		_, s.URL, _ = strings.Cut(lines.Text(), "listening on ")
	}
	if s.URL == "" {
		p.t.Fatalf("the server did not start: %s", s.output.Bytes())
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	return s, cmd
}

// end kills a process, as a power cut would.
func end(cmd *exec.Cmd) {
	if cmd.ProcessState == nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}

// person makes a person with a mail address on a server.
func person(t *testing.T, s *testServer, reference, mail string) (path string) {
	t.Helper()
	made := s.call("POST", "/v1/subjects", map[string]any{"jurisdiction": "HK", "birth_date": "1987-03-29", "reference": reference}, "Idempotency-Key", reference)
	if made.Status != http.StatusCreated {
		t.Fatalf("create: status %d: %s", made.Status, made.Body)
	}
	path = "/v1/subjects/" + made.field(t, "id")
	put := s.call("PUT", path+"/data", map[string]any{"service": "shop", "source": "checkout", "items": map[string]any{"person.email": mail}})
	if put.Status != http.StatusOK {
		t.Fatalf("collect: status %d: %s", put.Status, put.Body)
	}
	return path
}

func reads(t *testing.T, what string, s *testServer, path, mail string) {
	t.Helper()
	got := s.call("POST", path+"/data/read", map[string]any{"purpose": "provide", "act": "read", "categories": []string{"person.email"}})
	if got.Status != http.StatusOK || !bytes.Contains(got.Body, []byte(mail)) {
		t.Errorf("%s: status %d: %s; the server says: %s", what, got.Status, got.Body, s.output.Bytes())
	}
}

// TestKeyringInTheDatabase keeps the keyring beside the wrapped keys: nodes need
// no file of their own, survive kills, follow rotations and a new master key
// while they serve, and come back from shares when the key is lost.
func TestKeyringInTheDatabase(t *testing.T) {
	p := newProcesses(t)
	dir := t.TempDir()
	key := func(name string, b byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, bytes.Repeat([]byte{b}, 32), 0o600); err != nil {
			t.Fatal(err)
		}
		return "file:" + path
	}
	one, two, three := key("one", 1), key("two", 2), key("three", 3)
	dirA, dirB := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	if out, err := p.command("policy", "publish", "../../examples/shop/policy", "--data", dirA).CombinedOutput(); err == nil || !strings.Contains(string(out), "must be encrypted") {
		t.Errorf("a keyring in the database without a master key: %v: %s", err, out)
	}
	p.set("ABIDE_MASTER", one)
	p.run("policy", "publish", "../../examples/shop/policy", "--data", dirA)
	var token struct{ Token string }
	if err := json.Unmarshal([]byte(p.run("token", "create", "root", "--admin", "--json", "--purpose", "provide,marketing", "--data", dirA)), &token); err != nil {
		t.Fatal(err)
	}

	a, processA := p.serve(dirA, token.Token)
	ada := person(t, a, "customer 1", "ada@plain.example")
	reads(t, "on A", a, ada, "ada@plain.example")
	end(processA)
	a, _ = p.serve(dirA, token.Token, "--master-also", two)
	reads(t, "on A after a kill", a, ada, "ada@plain.example")
	b, _ := p.serve(dirB, token.Token, "--master-also", two)
	reads(t, "on B, which has no file", b, ada, "ada@plain.example")

	// Both nodes follow a rotation, and a move to another key, while they serve.
	store := []string{"--data", dirB, "--postgres", value(p.env, "ABIDE_POSTGRES"), "--keys-postgres", value(p.env, "ABIDE_KEYS_POSTGRES")}
	keysCommand := func(args ...string) string { return p.run(append(append([]string{"keys"}, args...), store...)...) }
	keysCommand("rotate", "kek")
	bob := person(t, a, "customer 2", "bob@plain.example")
	keysCommand("rewrap", "--to", two)
	p.set("ABIDE_MASTER", two)
	keysCommand("rotate", "kek")
	eve := person(t, b, "customer 3", "eve@plain.example")
	for name, s := range map[string]*testServer{"A": a, "B": b} {
		reads(t, "before all rotations, on "+name, s, ada, "ada@plain.example")
		reads(t, "after the first, on "+name, s, bob, "bob@plain.example")
		reads(t, "after the move, on "+name, s, eve, "eve@plain.example")
	}

	// The key is lost. Three of five get it back, into the database.
	shares := filepath.Join(dir, "shares")
	keysCommand("escrow", "--threshold", "2", "--custodian", "finance", "--custodian", "legal", "--custodian", "notary", "--out", shares)
	if err := os.Remove(strings.TrimPrefix(two, "file:")); err != nil {
		t.Fatal(err)
	}
	p.set("ABIDE_MASTER", three)
	out := keysCommand("recover", "--share", filepath.Join(shares, "share-1.txt"), "--share", filepath.Join(shares, "share-3.txt"))
	if !strings.Contains(out, "keyrings from before are refused") {
		t.Errorf("recover says %q", out)
	}
	c, _ := p.serve(filepath.Join(dir, "c"), token.Token)
	reads(t, "after the recovery", c, ada, "ada@plain.example")
	reads(t, "after the recovery", c, eve, "eve@plain.example")
	if status := keysCommand("status"); !strings.Contains(status, "recovery copy current") || !strings.Contains(status, three) {
		t.Errorf("the keys stand so: %s", status)
	}
	if found, err := filepath.Glob(filepath.Join(dir, "*", "keys", "keyring*")); err != nil || len(found) > 0 {
		t.Errorf("keyrings lie in files: %v (%v)", found, err)
	}
}

// value is the last value of a variable.
func value(env []string, name string) (out string) {
	for _, e := range env {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			out = v
		}
	}
	return out
}
