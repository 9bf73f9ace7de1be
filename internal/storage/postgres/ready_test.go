package postgres

import (
	"errors"
	"strings"
	"testing"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/testx/pg"
	"github.com/jackc/pgx/v5"
)

// unsafeFor checks that err refuses the server for the reason, says what to
// do, and is one after which nothing was done.
func unsafeFor(t *testing.T, when string, err error, why string) {
	t.Helper()
	var known *abide.Error
	if !errors.As(err, &known) || known.Detail != "database_unsafe" || !errors.Is(err, storage.ErrUnavailable) ||
		!strings.Contains(known.Message, why) || known.Hint == "" {
		t.Errorf("%s: %v; want a refusal that names %s", when, err, why)
	}
}

// refusedEverywhere checks that no store opens on the server.
func refusedEverywhere(t *testing.T, url string, opts Options, why string) {
	t.Helper()
	_, err := Open(t.Context(), url, opts)
	unsafeFor(t, "open", err, why)
	_, err = OpenKeysWith(t.Context(), url, opts)
	unsafeFor(t, "open keys", err, why)
}

func set(t *testing.T, url, setting string) {
	t.Helper()
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	name, value, _ := strings.Cut(setting, "=")
	pg.Shared(t).Exec(t, "ALTER DATABASE "+cfg.Database+" SET "+name+" = "+value)
}

// TestRefusesWhatWouldNotBeDurable: settings of a session that change while
// the store is open are found by Ready.
func TestRefusesWhatWouldNotBeDurable(t *testing.T) {
	if s := open(t, pg.Database(t), Options{}); s.Ready(t.Context()) != nil {
		t.Errorf("a durable server: %v", s.Ready(t.Context()))
	}
	for setting, why := range map[string]string{
		"synchronous_commit=off":           "synchronous_commit is off",
		"default_transaction_read_only=on": "read-only",
	} {
		url := pg.Database(t)
		s := open(t, url, Options{})
		set(t, url, setting)
		s.d.pool.Reset()
		unsafeFor(t, setting, s.Ready(t.Context()), why)
		refusedEverywhere(t, url, Options{}, why)
	}
}

// TestRefusesAServerThatMayLoseWrites: settings of the server itself.
func TestRefusesAServerThatMayLoseWrites(t *testing.T) {
	for setting, why := range map[string]string{"fsync=off": "fsync is off", "full_page_writes=off": "full_page_writes is off"} {
		server, err := pg.Start(setting)
		if err != nil {
			t.Fatal(err)
		}
		refusedEverywhere(t, server.URL("postgres"), Options{}, why)
		server.Stop()
	}
}

func TestRefusesAClockThatIsAway(t *testing.T) {
	url := pg.Database(t)
	away := time.Duration(0)
	s := open(t, url, Options{Now: func() time.Time { return time.Now().Add(away) }})
	for _, away = range []time.Duration{-3 * time.Second, 3 * time.Second} {
		unsafeFor(t, away.String(), s.Ready(t.Context()), "clock")
		refusedEverywhere(t, url, Options{Now: s.d.now}, "clock")
	}
}

// TestStandbyAndFailover starts a standby of a server: alone it is refused; with the
// primary in the same URL the primary is used, in whatever order.
func TestStandbyAndFailover(t *testing.T) {
	primary, err := pg.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer primary.Stop()
	open(t, primary.URL("postgres"), Options{})
	standby, err := primary.Standby()
	if err != nil {
		t.Fatal(err)
	}
	defer standby.Stop()
	refusedEverywhere(t, standby.URL("postgres"), Options{}, "standby")
	for _, hosts := range []string{standby.Addr() + "," + primary.Addr(), primary.Addr() + "," + standby.Addr()} {
		s := open(t, "postgres://postgres@"+hosts+"/postgres?sslmode=disable", Options{})
		if err := s.Ready(t.Context()); err != nil {
			t.Errorf("%s: %v", hosts, err)
		}
	}
	refusedEverywhere(t, "postgres://postgres@"+standby.Addr()+","+standby.Addr()+"/postgres?sslmode=disable", Options{}, "standby")

	// The primary ends under an open store and the standby is promoted: the
	// store finds it by itself, and what was acknowledged is there.
	s := open(t, "postgres://postgres@"+primary.Addr()+","+standby.Addr()+"/postgres?sslmode=disable", Options{})
	if err := s.Commit(t.Context(), change(1)); err != nil {
		t.Fatal(err)
	}
	primary.Exec(t, `SELECT pg_switch_wal()`)
	standby.Until(t, `SELECT pg_last_wal_replay_lsn() >= '`+primary.Value(t, `SELECT pg_current_wal_lsn()`)+`'`)
	primary.Stop()
	if err := s.Commit(t.Context(), change(2)); !errors.Is(err, storage.ErrUnavailable) && !errors.Is(err, storage.ErrOutcomeUnknown) {
		t.Errorf("without a primary: %v", err)
	}
	standby.Exec(t, `SELECT pg_promote()`)
	standby.Until(t, `SELECT NOT pg_is_in_recovery()`)
	if err := s.Commit(t.Context(), change(2)); err != nil {
		t.Fatalf("after the failover: %v", err)
	}
	if _, err := s.Load(t.Context(), change(1).Row.ID, storage.Want{}); err != nil {
		t.Errorf("what was acknowledged before: %v", err)
	}
}
