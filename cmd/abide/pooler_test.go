package main

import (
	"regexp"
	"testing"

	"github.com/abide-privacy/abide/internal/testx/pg"
)

// TestServeBehindPgBouncer follows an operator who has a pooler in transaction
// mode: what is missing is said before anything is served, doing what was said
// is enough, and then two nodes do all that they do without one.
func TestServeBehindPgBouncer(t *testing.T) {
	server, err := pg.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	for _, q := range []string{`CREATE ROLE ` + pg.PooledRole + ` LOGIN`, `CREATE DATABASE people`, `CREATE DATABASE keys`} {
		server.Exec(t, q)
	}
	people, keys := server.URL("people"), server.URL("keys")
	b := server.Pooler(t, "transaction")
	flags := func(role string) []string {
		return []string{"--postgres", b.URL(t, people, role), "--keys-postgres", b.URL(t, keys, role)}
	}
	wantOutput(t, exitAgain, []string{"cannot be migrated through a connection pooler", "the PostgreSQL server itself"},
		append([]string{"migrate", "--grant", pg.PooledRole}, flags("postgres")...)...)
	wantOutput(t, exitOK, []string{"rights granted"}, "migrate", "--grant", pg.PooledRole, "--postgres", people, "--keys-postgres", keys)

	serve := append([]string{"serve", "--data", t.TempDir(), "--listen", "127.0.0.1:0"}, flags(pg.PooledRole)...)
	_, said := command(serve...)
	wantOutput(t, exitAgain, []string{"do not begin with the settings", "lock_timeout = '10s'", "RECONNECT"}, serve...)
	for _, q := range regexp.MustCompile(`ALTER ROLE [^;]*;`).FindAllString(said, -1) {
		server.Exec(t, q)
	}
	b.Reconnect(t)
	twoNodes(t, flags(pg.PooledRole), &testServer{t: t, Dir: t.TempDir(), output: &lockedBuffer{}})
}
