// Package pg gives tests a PostgreSQL server of their own: a throwaway cluster
// from the distribution's binaries, with the durability settings of a real
// one. A process starts one server at most and its tests share it; each test
// takes databases of its own.
//
//	func TestMain(m *testing.M) { os.Exit(pg.Main(m)) }
package pg

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Server is a running throwaway cluster.
type Server struct {
	dir  string
	port int
	cmd  *exec.Cmd
	done chan struct{} // closed when the server process has ended
	log  *tail

	relaunch func() error // starts it again on the same files and port
}

var shared struct {
	once   sync.Once
	server *Server
	err    error
	n      atomic.Int64
}

// Main runs the tests of a package and then stops the shared server, if a test
// started it. It returns the exit code.
func Main(m *testing.M) int {
	code := m.Run()
	if shared.server != nil {
		shared.server.Stop()
	}
	return code
}

// Database makes an empty database on the shared server and returns its URL.
// The test fails, and never skips, if there is no server to be had.
func Database(t testing.TB) string {
	t.Helper()
	s := Shared(t)
	name := fmt.Sprintf("test_%d", shared.n.Add(1))
	s.Exec(t, "CREATE DATABASE "+name)
	return s.URL(name)
}

// Copy makes a database with the tables and rows of the one at url, to which
// nobody may be connected.
func Copy(t testing.TB, url string) string {
	t.Helper()
	s := Shared(t)
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatalf("pg: %v", err)
	}
	name := fmt.Sprintf("test_%d", shared.n.Add(1))
	s.Exec(t, "CREATE DATABASE "+name+" TEMPLATE "+cfg.Database)
	return s.URL(name)
}

// Shared is the server that the tests of this process share.
func Shared(t testing.TB) *Server {
	t.Helper()
	shared.once.Do(func() { shared.server, shared.err = Start() })
	if shared.err != nil {
		t.Fatalf("pg: %v", shared.err)
	}
	return shared.server
}

// URL names a database of the server.
func (s *Server) URL(database string) string {
	return fmt.Sprintf("postgres://postgres@%s/%s?sslmode=disable", s.Addr(), database)
}

// Addr is where the server listens, host:port.
func (s *Server) Addr() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }

// Exec runs one statement in the database postgres.
func (s *Server) Exec(t testing.TB, query string) {
	t.Helper()
	s.connected(t, func(c *pgx.Conn) error {
		_, err := c.Exec(context.Background(), query)
		return err
	})
}

// Value asks for one text in the database postgres.
func (s *Server) Value(t testing.TB, query string) (v string) {
	t.Helper()
	s.connected(t, func(c *pgx.Conn) error {
		return c.QueryRow(context.Background(), `SELECT (`+query+`)::text`).Scan(&v)
	})
	return v
}

// Until asks the database postgres until it says yes.
func (s *Server) Until(t testing.TB, query string) {
	t.Helper()
	s.connected(t, func(c *pgx.Conn) error {
		for yes := false; !yes; {
			if err := c.QueryRow(t.Context(), query).Scan(&yes); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Server) connected(t testing.TB, fn func(c *pgx.Conn) error) {
	t.Helper()
	c, err := pgx.Connect(context.Background(), s.URL("postgres"))
	if err != nil {
		t.Fatalf("pg: %v", err)
	}
	defer func() { _ = c.Close(context.Background()) }()
	if err := fn(c); err != nil {
		t.Fatalf("pg: %v", err)
	}
}

// binaries finds the newest PostgreSQL that Debian's packages installed.
func binaries() (string, error) {
	dirs, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return "", err
	}
	major := func(dir string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(dir))) // 0 sorts first
		return n
	}
	slices.SortFunc(dirs, func(a, b string) int { return major(a) - major(b) })
	for _, dir := range slices.Backward(dirs) {
		if _, err := os.Stat(filepath.Join(dir, "initdb")); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("no PostgreSQL server under /usr/lib/postgresql: run `make deps` (Debian package postgresql)")
}

// Setup is what a cluster has besides the settings of a durable one.
type Setup struct {
	Settings []string          // "name=value", after those of a durable server
	Files    map[string][]byte // in the data directory, by name
}

// Start makes and starts a cluster with further settings, "name=value".
func Start(settings ...string) (*Server, error) { return StartWith(Setup{Settings: settings}) }

// StartWith makes and starts a cluster.
func StartWith(setup Setup) (*Server, error) {
	return begin(setup, func(s *Server, bin string) *exec.Cmd {
		return exec.Command(filepath.Join(bin, "initdb"), "-D", s.data(), "-U", "postgres", "-A", "trust",
			"-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
	})
}

// Standby makes and starts a server that follows this one.
func (s *Server) Standby() (*Server, error) {
	return begin(Setup{}, func(standby *Server, bin string) *exec.Cmd {
		return exec.Command(filepath.Join(bin, "pg_basebackup"), "-D", standby.data(), "-R", "-X", "stream", "-c", "fast", "--no-sync",
			"-d", s.URL("postgres"))
	})
}

// begin makes a data directory by a command and starts a server on it.
func begin(setup Setup, command func(s *Server, bin string) *exec.Cmd) (*Server, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	as, err := unprivileged()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "abide-pg-")
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir, done: make(chan struct{}), log: &tail{says: accepting}}
	if err := s.start(bin, as, setup, command(s, bin)); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// unprivileged is the account to run the server as: PostgreSQL refuses root.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("running as root without a user postgres: run `make deps`: %w", err)
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, errors.Join(err1, err2)
}

func (s *Server) start(bin string, as *syscall.Credential, setup Setup, command *exec.Cmd) error {
	if as != nil {
		if err := os.Chown(s.dir, int(as.Uid), int(as.Gid)); err != nil {
			return err
		}
	}
	attr := &syscall.SysProcAttr{Credential: as}
	s.relaunch = func() error { return s.launch(bin, attr, setup.Settings) }
	command.Dir, command.SysProcAttr = s.dir, attr
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", filepath.Base(command.Path), err, out)
	}
	for name, content := range setup.Files {
		path := filepath.Join(s.data(), name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return err
		}
		if as != nil {
			if err := os.Chown(path, int(as.Uid), int(as.Gid)); err != nil {
				return err
			}
		}
	}
	// Another process may take the port between our looking and the server's
	// listening; then another is tried.
	var err error
	for range 5 {
		if s.port, err = freePort(); err != nil {
			return err
		}
		if err = s.launch(bin, attr, setup.Settings); err == nil {
			return nil
		}
	}
	return err
}

// Data is the cluster's data directory, for tests that read the raw files.
func (s *Server) Data() string { return s.data() }

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// args are those of a server that keeps what it acknowledges.
func (s *Server) args(settings []string) []string {
	args := []string{"-D", s.data(), "-k", s.dir, "-p", strconv.Itoa(s.port)}
	for _, set := range append([]string{"listen_addresses=127.0.0.1", "fsync=on", "synchronous_commit=on",
		"full_page_writes=on", "max_connections=200", "shared_buffers=64MB", "log_statement=none"}, settings...) {
		args = append(args, "-c", set)
	}
	return args
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// launch starts the server and waits until it says that it accepts connections.
func (s *Server) launch(bin string, attr *syscall.SysProcAttr, settings []string) error {
	args := s.args(settings)
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	s.done = make(chan struct{})
	started := make(chan error, 1)
	go func() {
		// The signal at the parent's death is bound to the thread that forked:
		// it must live as long as the server.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		s.cmd = exec.Command(filepath.Join(bin, "postgres"), args...)
		s.cmd.Dir, s.cmd.Stdout, s.cmd.Stderr = s.dir, w, w
		own := *attr
		own.Pdeathsig = syscall.SIGQUIT // immediate shutdown: no orphan outlives a killed test
		s.cmd.SysProcAttr = &own
		err := s.cmd.Start()
		w.Close()
		started <- err
		if err == nil {
			_ = s.cmd.Wait() // how it ended is in its log
		}
		close(s.done)
	}()
	if err := <-started; err != nil {
		r.Close()
		return err
	}
	ready := make(chan bool, 1)
	go s.log.follow(r, ready)
	select {
	case ok := <-ready:
		if ok {
			return nil
		}
		<-s.done
	case <-time.After(time.Minute):
		s.kill()
	}
	return fmt.Errorf("the server did not start:\n%s", s.log)
}

func (s *Server) kill() {
	if s.cmd != nil && s.cmd.Process != nil {
		_ = s.cmd.Process.Signal(syscall.SIGQUIT) // it may have ended already
		<-s.done
	}
}

// Crash ends the server without any farewell: SIGKILL to its first process,
// or, if immediate, what `pg_ctl stop -m immediate` does. Restart starts it
// again.
func (s *Server) Crash(immediate bool) error {
	sig := syscall.SIGKILL
	if immediate {
		sig = syscall.SIGQUIT
	}
	if err := s.cmd.Process.Signal(sig); err != nil {
		return err
	}
	<-s.done
	return nil
}

// Restart starts a server that ended on the same files and the same port, and
// returns when it has recovered and accepts connections.
func (s *Server) Restart() error {
	// The children of a killed server end by themselves, and keep its shared
	// memory until then; launching fails so long.
	var err error
	for range 50 {
		if err = s.relaunch(); err == nil {
			return nil
		}
		<-time.After(100 * time.Millisecond)
	}
	return err
}

// Stop ends the server at once and removes its files.
func (s *Server) Stop() {
	s.kill()
	os.RemoveAll(s.dir)
}

// accepting is what a server says in its log when it is ready; a standby says
// "ready to accept read-only connections".
const accepting = "database system is ready to accept "

// tail keeps the last lines of the server's log for error messages.
type tail struct {
	says  string // what a line of it says when the server accepts connections
	mu    sync.Mutex
	lines []string
}

// follow reports on ready once: whether the server accepts connections, or its
// log has ended without.
func (t *tail) follow(r io.ReadCloser, ready chan<- bool) {
	defer r.Close()
	sc := bufio.NewScanner(r)
	told := false
	for sc.Scan() {
		line := sc.Text()
		t.mu.Lock()
		t.lines = append(t.lines, line)
		if len(t.lines) > 50 {
			t.lines = t.lines[1:]
		}
		t.mu.Unlock()
		if !told && strings.Contains(line, t.says) {
			told = true
			ready <- true
		}
	}
	if !told {
		ready <- false
	}
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(t.lines, "\n")
}
