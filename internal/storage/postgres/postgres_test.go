package postgres

import (
	"errors"
	"os"
	"testing"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/testx/pg"
	"github.com/jackc/pgx/v5"
)

func TestMain(m *testing.M) { os.Exit(pg.Main(m)) }

func open(t *testing.T, url string, opts Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), url, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// onceWaiting asks of the sessions that wait for a lock until the answer is
// yes. It has a connection of its own: within a transaction the list of
// sessions stands still.
func onceWaiting(t *testing.T, url, query string) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	for yes := false; !yes; {
		err := c.QueryRow(t.Context(), query+` FROM pg_stat_activity
			WHERE wait_event_type = 'Lock' AND datname = current_database()`).Scan(&yes)
		if err != nil {
			t.Fatal(err)
		}
	}
}

func change(n byte) *storage.Change {
	id := abide.SubjectID{15: n}
	return &storage.Change{
		Row:     storage.SubjectRow{ID: id, Kind: abide.Person, Status: abide.StatusActive, Version: 1},
		Entries: []storage.Entry{{Subject: id, N: 1, Kind: "collected"}},
	}
}

// TestConnectionLostInACommit holds a commit by a lock and ends its server
// process: the client cannot know how far it came.
func TestConnectionLostInACommit(t *testing.T) {
	url := pg.Database(t)
	s := open(t, url, Options{})
	if err := s.Commit(t.Context(), change(1)); err != nil {
		t.Fatal(err)
	}
	other, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close(t.Context())
	tx, err := other.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SELECT 1 FROM subject FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	c := change(1)
	c.Expect, c.Row.Version, c.Entries[0].N = 1, 2, 2
	done := make(chan error, 1)
	go func() { done <- s.Commit(t.Context(), c) }()
	onceWaiting(t, url, `SELECT coalesce(bool_or(pg_terminate_backend(pid)), false)`)
	if err := <-done; !errors.Is(err, storage.ErrOutcomeUnknown) {
		t.Errorf("error is %v; want ErrOutcomeUnknown", err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(t.Context(), c); err != nil {
		t.Errorf("the next commit: %v", err)
	}
}

// TestServerGone stops the server: what was never sent is known not to be done.
func TestServerGone(t *testing.T) {
	server, err := pg.Start()
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, server.URL("postgres"), Options{})
	server.Stop()
	s.d.pool.Reset()
	if err := s.Commit(t.Context(), change(1)); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("commit: %v; want ErrUnavailable", err)
	}
	if _, err := s.Load(t.Context(), abide.SubjectID{1}, storage.Want{}); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("load: %v; want ErrUnavailable", err)
	}
	if err := s.Ready(t.Context()); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("ready: %v; want ErrUnavailable", err)
	}
}

// TestDeadlockIsRunAgain makes the server take a write back in favour of
// another, which the write survives.
func TestDeadlockIsRunAgain(t *testing.T) {
	url := pg.Database(t)
	s := open(t, url, Options{})
	count := func(names ...string) error {
		var c []storage.Counter
		for _, n := range names {
			c = append(c, storage.Counter{Name: n, Value: "v", Period: "p", N: 1})
		}
		return s.AddCounters(t.Context(), c)
	}
	if err := count("a", "b"); err != nil {
		t.Fatal(err)
	}
	other, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close(t.Context())
	if _, err := other.Exec(t.Context(), `SET deadlock_timeout = '1min'`); err != nil { // so that the other side finds it
		t.Fatal(err)
	}
	tx, err := other.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `UPDATE counter SET n = n WHERE name = 'b'`); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- count("a", "b") }() // holds a, waits for b
	onceWaiting(t, url, `SELECT count(*) > 0`)
	if _, err := tx.Exec(t.Context(), `UPDATE counter SET n = n WHERE name = 'a'`); err != nil { // closes the circle
		t.Fatal(err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("the write that was taken back: %v", err)
	}
	got, err := s.Counters(t.Context(), "b")
	if err != nil || len(got) != 1 || got[0].N != 2 {
		t.Errorf("counter is %v, %v; want 2", got, err)
	}
}
