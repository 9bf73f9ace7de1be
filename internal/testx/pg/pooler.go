package pg

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	bouncer = "/usr/sbin/pgbouncer"
	// PooledRole is a role that poolers let in.
	PooledRole = "abide_pooled"
)

// Bouncer is a running PgBouncer.
type Bouncer struct{ port int }

// URL leads to a database of the server through the pooler, as a role.
func (b *Bouncer) URL(t testing.TB, url, role string) string {
	t.Helper()
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatalf("pg: %v", err)
	}
	return fmt.Sprintf("postgres://%s@127.0.0.1:%d/%s?sslmode=disable", role, b.port, cfg.Database)
}

// Reconnect has the pooler make its sessions with the server anew, so that they
// begin with the settings that the roles have now.
func (b *Bouncer) Reconnect(t testing.TB) {
	t.Helper()
	cfg, err := pgx.ParseConfig(b.URL(t, "postgres:///pgbouncer", "postgres"))
	if err != nil {
		t.Fatalf("pg: %v", err)
	}
	cfg.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	c, err := pgx.ConnectConfig(t.Context(), cfg)
	if err != nil {
		t.Fatalf("pg: %v", err)
	}
	defer func() { _ = c.Close(context.Background()) }()
	if _, err := c.Exec(t.Context(), "RECONNECT"); err != nil {
		t.Fatalf("pg: %v", err)
	}
}

// Pooler starts Debian's PgBouncer before the server, in the mode
// "transaction" or "session", with two sessions of the server for each database
// and further settings, "name = value". Who comes in is postgres or PooledRole,
// which a test makes; the server decides what they may do.
func (s *Server) Pooler(t testing.TB, mode string, settings ...string) *Bouncer {
	t.Helper()
	if _, err := os.Stat(bouncer); err != nil {
		t.Fatalf("pg: no PgBouncer: run `make deps` (Debian package pgbouncer): %v", err)
	}
	as, err := unprivileged()
	if err != nil {
		t.Fatalf("pg: %v", err)
	}
	dir, err := os.MkdirTemp("", "abide-pgbouncer-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for range 5 { // another process may take the port
		port, err := freePort()
		if err != nil {
			t.Fatal(err)
		}
		config := fmt.Sprintf("[databases]\n* = host=127.0.0.1 port=%d\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = %d\n"+
			"unix_socket_dir =\nauth_type = trust\nauth_file = %s/users\npool_mode = %s\ndefault_pool_size = 2\nmax_client_conn = 500\n"+
			"server_idle_timeout = 1\nadmin_users = postgres\n%s\n", s.port, port, dir, mode, strings.Join(settings, "\n"))
		for name, content := range map[string]string{"ini": config, "users": "\"postgres\" \"\"\n\"" + PooledRole + "\" \"\"\n"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil { //nolint:gosec // another account reads it
				t.Fatal(err)
			}
		}
		if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // as above
			t.Fatal(err)
		}
		if startPooler(t, filepath.Join(dir, "ini"), as) {
			return &Bouncer{port}
		}
	}
	t.Fatal("pg: PgBouncer does not start")
	return nil
}

// startPooler runs PgBouncer until the test ends, and reports whether it
// listens.
func startPooler(t testing.TB, ini string, as *syscall.Credential) bool {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bouncer, ini)
	cmd.Stderr = w
	// As of the server: it must not outlive a test that was killed.
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as, Pdeathsig: syscall.SIGKILL}
	started, ended := make(chan error, 1), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(ended)
		err := cmd.Start()
		w.Close()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is in its log
		}
	}()
	if err := <-started; err != nil {
		t.Fatalf("pg: %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended already
		<-ended
	})
	log, up := &tail{says: "process up:"}, make(chan bool, 1)
	go log.follow(r, up)
	select {
	case ok := <-up:
		if !ok {
			t.Logf("pg: PgBouncer:\n%s", log)
		}
		return ok
	case <-time.After(time.Minute):
		return false
	}
}
