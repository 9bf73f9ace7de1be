package main

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/abide-privacy/abide/internal/storage/postgres"
	"github.com/abide-privacy/abide/internal/testx/pg"
	"github.com/jackc/pgx/v5"
)

// cluster is a PostgreSQL server as an operator would have it: over TLS only,
// with a role that owns the tables, another under which servers run, and the
// wrapped keys in a database of their own.
type cluster struct {
	*pg.Server
	authority string // path of the certificate to verify by
}

const (
	ownerPassword = "owner-secret-4711"
	runPassword   = "run-secret-4712"
)

func startCluster(t *testing.T) *cluster {
	t.Helper()
	authority, certificate, key, err := pg.Certificates()
	if err != nil {
		t.Fatal(err)
	}
	server, err := pg.StartWith(pg.Setup{
		Settings: []string{"ssl=on", "password_encryption=scram-sha-256"},
		Files: map[string][]byte{"server.crt": certificate, "server.key": key, "pg_hba.conf": []byte(
			"host all postgres 127.0.0.1/32 trust\n" +
				"hostssl all all 127.0.0.1/32 scram-sha-256\n")},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	for _, q := range []string{
		"CREATE ROLE abide_owner LOGIN PASSWORD '" + ownerPassword + "'", "CREATE ROLE abide_run LOGIN PASSWORD '" + runPassword + "'",
		"CREATE DATABASE people OWNER abide_owner", "CREATE DATABASE keys OWNER abide_owner",
	} {
		server.Exec(t, q)
	}
	path := filepath.Join(t.TempDir(), "authority.pem")
	if err := os.WriteFile(path, authority, 0o600); err != nil {
		t.Fatal(err)
	}
	return &cluster{server, path}
}

func (c *cluster) url(role, password, database string) string {
	return "postgres://" + role + ":" + password + "@" + c.Addr() + "/" + database + "?sslmode=verify-full&sslrootcert=" + c.authority
}

func (c *cluster) owner(database string) string { return c.url("abide_owner", ownerPassword, database) }

// run are the flags of a server under its own role.
func (c *cluster) run() []string {
	return []string{"--postgres", c.url("abide_run", runPassword, "people"), "--keys-postgres", c.url("abide_run", runPassword, "keys")}
}

// command runs abide and returns its exit code and all it printed.
func command(args ...string) (int, string) {
	var out bytes.Buffer
	m := &Main{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out, Env: func(string) string { return "" }, Now: time.Now}
	return m.Run(context.Background(), args), out.String()
}

func wantOutput(t *testing.T, code int, words []string, args ...string) {
	t.Helper()
	got, out := command(args...)
	if got != code {
		t.Errorf("abide %s: exit code %d, want %d: %s", args[0], got, code, out)
	}
	for _, w := range words {
		if !strings.Contains(out, w) {
			t.Errorf("abide %s says %q; want %q in it", args[0], out, w)
		}
	}
	for _, secret := range []string{ownerPassword, runPassword} {
		if strings.Contains(out, secret) {
			t.Errorf("abide %s prints a password", args[0])
		}
	}
}

// TestPostgresInOperation follows an operator: over TLS, tables made by their
// owner, servers under a role that may do no more than they need, two of them
// without sticky sessions.
func TestPostgresInOperation(t *testing.T) {
	c := startCluster(t)
	first := &testServer{t: t, Dir: t.TempDir(), output: &lockedBuffer{}}
	serve := append([]string{"serve", "--data", t.TempDir(), "--listen", "127.0.0.1:0"}, c.run()...)

	t.Run("TLS", func(t *testing.T) {
		plain := strings.Replace(c.owner("people"), "verify-full", "disable", 1)
		wantOutput(t, exitAgain, []string{"no connection to PostgreSQL", "no encryption", "pg_hba.conf"}, "migrate", "--postgres", plain)
		other, _, _, err := pg.Certificates()
		if err != nil {
			t.Fatal(err)
		}
		foreign := first.writeFile(t.TempDir(), "other.pem", string(other))
		wantOutput(t, exitAgain, []string{"no connection to PostgreSQL", "certificate signed by unknown authority"}, "migrate", "--postgres",
			strings.Replace(c.owner("people"), c.authority, foreign, 1))
		wantOutput(t, exitAgain, []string{"password"}, "migrate", "--postgres", strings.Replace(c.owner("people"), ownerPassword, "wrong", 1))
	})
	t.Run("migrate", func(t *testing.T) {
		wantOutput(t, exitAgain, []string{"abide migrate", "--grant"}, serve...) // the role may not make tables
		owner := []string{"migrate", "--postgres", c.owner("people"), "--keys-postgres", c.owner("keys")}
		wantOutput(t, exitOK, []string{"data: tables brought from version 0", "keys: tables brought"}, owner...)
		wantOutput(t, exitAgain, []string{"abide migrate", "--grant"}, serve...) // nor read them
		wantOutput(t, exitMissing, []string{"no such role", "CREATE ROLE"}, append(owner, "--grant", "nobody_here")...)
		wantOutput(t, exitOK, []string{"data: tables at version", "data: rights granted to abide_run", "keys: rights granted"}, append(owner, "--grant", "abide_run")...)
		wantOutput(t, exitFailed, []string{"does not have the Citus extension", "hint:", "leave out --citus"}, append(owner, "--citus")...)
		wantOutput(t, exitOK, []string{"create_distributed_table('subject', 'subject_id', colocate_with => 'none');", `ON entry TO "abide_run";`},
			"migrate", "--print", "--citus", "--grant", "abide_run")
	})
	t.Run("rights", func(t *testing.T) { c.refusesWhatIsNotGranted(t) })
	t.Run("nodes", func(t *testing.T) { twoNodes(t, c.run(), first) })
	t.Run("unsafe", func(t *testing.T) {
		c.Exec(t, "ALTER DATABASE people SET synchronous_commit = off")
		wantOutput(t, exitAgain, []string{"synchronous_commit is off", "set synchronous_commit to on"}, serve...)
	})
}

// refusesWhatIsNotGranted tries, as the role of the server, what only an
// intruder would.
func (c *cluster) refusesWhatIsNotGranted(t *testing.T) {
	conn, err := pgx.Connect(t.Context(), c.run()[1])
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	for _, q := range []string{
		`UPDATE entry SET kind = 'x'`, `DELETE FROM entry`, `TRUNCATE entry`,
		`UPDATE consent_event SET action = 'given'`, `UPDATE look SET kind = 'x'`, `DELETE FROM look`,
		`DELETE FROM subject`, `UPDATE policy_version SET source = NULL`, `UPDATE terms SET canonical = NULL`, `DELETE FROM policy_epoch`,
		`DELETE FROM spool`, `UPDATE meta SET value = ''`, `UPDATE pending SET n = 1`, `DELETE FROM tile`, `DELETE FROM leaf_map`, `DELETE FROM log_head`, `DELETE FROM abide_data_migration`,
		`DROP TABLE item`, `ALTER TABLE item ADD x int`, `CREATE TABLE x (a int)`, `CREATE INDEX x ON item (category)`,
		`ALTER TABLE entry DISABLE TRIGGER ALL`, `CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'`, `CREATE ROLE x`,
		`COPY (SELECT 1) TO PROGRAM 'true'`, `SET ROLE abide_owner`,
	} {
		if _, err := conn.Exec(t.Context(), q); err == nil || !strings.Contains(err.Error(), "42501") {
			t.Errorf("%s: %v; want insufficient privilege", q, err)
		}
	}
}

// twoNodes gives every other request to the other node. The flags lead to the
// databases.
func twoNodes(t *testing.T, databases []string, a *testServer) {
	a.t = t
	a.found(append([]string{"--data", a.Dir}, databases...)...)
	a.serve(databases...)
	b := &testServer{t: t, Dir: t.TempDir(), Admin: a.Admin, output: &lockedBuffer{}}
	keyring, err := os.ReadFile(filepath.Join(a.Dir, "keys", "keyring.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(b.Dir, "keys"), 0o700); err != nil {
		t.Fatal(err)
	}
	b.writeFile(filepath.Join(b.Dir, "keys"), "keyring.json", string(keyring))
	b.serve(append(slices.Clone(databases), "--restore-ledger", filepath.Join(a.Dir, "ledger"))...)
	want := func(what string, got answered, status int, words ...string) {
		t.Helper()
		if got.Status != status {
			t.Fatalf("%s: status %d, want %d: %s", what, got.Status, status, got.Body)
		}
		for _, w := range words {
			if !bytes.Contains(got.Body, []byte(w)) {
				t.Errorf("%s: no %q in %s", what, w, got.Body)
			}
		}
	}

	person := map[string]any{"jurisdiction": "HK", "birth_date": "1987-03-29", "reference": "customer 17"}
	made := a.call("POST", "/v1/subjects", person, "Idempotency-Key", "k1")
	want("create on A", made, http.StatusCreated)
	subject := "/v1/subjects/" + made.field(t, "id")
	again := b.call("POST", "/v1/subjects", person, "Idempotency-Key", "k1")
	if got := again.field(t, "id"); got != made.field(t, "id") {
		t.Errorf("the same creation on B made %s, and on A %s", got, made.field(t, "id"))
	}
	want("collect on B", b.call("PUT", subject+"/data", map[string]any{"service": "shop", "source": "checkout",
		"items": map[string]any{"person.name": "Ho Yee", "person.email": "ho.yee@plain.example"}}), http.StatusOK)

	read := map[string]any{"purpose": "marketing", "act": "contact", "categories": []string{"person.email"}}
	want("before anything was said, on A", a.call("POST", subject+"/data/read", read), http.StatusForbidden)
	say := func(s *testServer, action, key string) answered {
		return s.call("POST", subject+"/consents", map[string]any{"purpose": "marketing", "action": action,
			"evidence": map[string]any{"wording": "May we write to you?", "source": "form"}}, "Idempotency-Key", key)
	}
	want("told on B", say(b, "tell", "k2"), http.StatusCreated)
	given := say(b, "indicate_no_objection", "k3")
	want("agreed on B", given, http.StatusCreated)
	want("read on A", a.call("POST", subject+"/data/read", read), http.StatusOK, "ho.yee@plain.example")
	replayed := say(a, "indicate_no_objection", "k3")
	if replayed.field(t, "id") != given.field(t, "id") {
		t.Error("the same call with its idempotency key on A made another receipt than on B")
	}
	want("withdrawn on B", say(b, "withdraw", "k4"), http.StatusCreated)
	want("the next read on A", a.call("POST", subject+"/data/read", read), http.StatusForbidden, "withdrawn")

	changed := t.TempDir()
	if err := os.CopyFS(changed, os.DirFS("../../examples/shop/policy")); err != nil {
		t.Fatal(err)
	}
	notices, err := filepath.Glob(filepath.Join(changed, "*.md"))
	if err != nil || len(notices) == 0 {
		t.Fatal("no notice in the sample policy")
	}
	text, err := os.ReadFile(notices[0])
	if err != nil {
		t.Fatal(err)
	}
	a.writeFile(changed, filepath.Base(notices[0]), string(text)+"\nThank you for reading to the end.\n")
	a.run("policy", "publish", changed, "--server", a.URL, "--token", a.Admin)
	inForce := a.call("GET", "/v1/policy", nil).field(t, "version")
	want("the policy on B", b.call("GET", "/v1/policy", nil), http.StatusOK, inForce)
	want("a decision on B", b.call("POST", "/v1/decide", map[string]any{"subject": made.field(t, "id"), "purpose": "provide", "act": "read",
		"categories": []string{"person.name"}}), http.StatusOK, inForce)

	token := a.call("POST", "/v1/tokens", map[string]any{"name": "till", "kind": "service", "purposes": []string{"provide"}})
	want("token made on A", token, http.StatusCreated)
	bearer := "Bearer " + token.field(t, "token")
	want("used on B", b.call("GET", subject, nil, "Authorization", bearer), http.StatusOK)
	want("revoked on A", a.call("DELETE", "/v1/tokens/till", nil), http.StatusNoContent)
	want("refused on B", b.call("GET", subject, nil, "Authorization", bearer), http.StatusUnauthorized)

	want("erased on A", a.call("DELETE", subject, nil, "Idempotency-Key", "k5"), http.StatusOK)
	want("refused on B", b.call("POST", subject+"/data/read", map[string]any{"purpose": "provide", "categories": []string{"person.name"}}), http.StatusForbidden, `"erased"`)
	for _, s := range []*testServer{a, b} {
		want("ready", s.call("GET", "/readyz", nil), http.StatusOK)
		for _, secret := range []string{ownerPassword, runPassword} {
			if bytes.Contains(s.output.Bytes(), []byte(secret)) {
				t.Error("a server prints a password")
			}
		}
	}
}

// TestNodesMigrateTogether: however many nodes start on an empty database at
// once, one makes the tables and all of them open.
func TestNodesMigrateTogether(t *testing.T) {
	server, err := pg.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	const nodes = 6
	opened := make(chan error, nodes)
	for range nodes {
		go func() {
			s, err := postgres.Open(t.Context(), server.URL("postgres"), postgres.Options{MaxConns: 2})
			if err == nil {
				err = s.Close()
			}
			opened <- err
		}()
	}
	for range nodes {
		if err := <-opened; err != nil {
			t.Error(err)
		}
	}
}
