package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Between us and the server may be a pooler that lends a server's session for
// one transaction at a time (PgBouncer's transaction mode, and others like it).
// Nothing of a session outlives a transaction then: statements are sent without
// names, the settings that a session would begin with have to be the role's, and
// a migration, which holds a lock of its session, is refused.
//
// A pooler that lends for longer is treated alike: from here they look the same.

// protocolViolation is the SQLSTATE by which PgBouncer refuses a parameter that
// a session would begin with.
const protocolViolation = "08P01"

// timeouts are the settings without which a connection that is stuck stays so.
var timeouts = []string{"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"}

// reach finds out whether there is a pooler before the pool of connections is
// made, and fits their configuration to it.
func reach(ctx context.Context, cfg *pgxpool.Config, url string) (pooled bool, err error) {
	err = new(database).reread(ctx, func() (err error) {
		pooled, err = lendsSessions(ctx, cfg.ConnConfig.Copy())
		if refusesParameters(err) {
			pooled, err = true, nil
		}
		return err
	})
	if pooled {
		err = fit(ctx, cfg, url)
	}
	return pooled, err
}

// lendsSessions reports whether the one who answered is another than the server
// says it is: a pooler greets its clients with numbers of its own.
func lendsSessions(ctx context.Context, cfg *pgx.ConnConfig) (bool, error) {
	cfg.Tracer = nil
	c, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return false, err
	}
	defer func() { _ = c.Close(ctx) }()
	var pid uint32
	err = c.QueryRow(ctx, `SELECT pg_backend_pid()`, pgx.QueryExecModeSimpleProtocol).Scan(&pid)
	return err == nil && pid != c.PgConn().PID(), err
}

func refusesParameters(err error) bool {
	return code(err) == protocolViolation && strings.Contains(err.Error(), "startup parameter")
}

// fit leaves out what a pooler refuses, or worse, ignores: the settings that a
// session begins with.
func fit(ctx context.Context, cfg *pgxpool.Config, url string) error {
	named, err := pgx.ParseConfig(url)
	if err != nil {
		return err
	}
	for _, name := range append(slices.Clone(timeouts), isolation) {
		delete(cfg.ConnConfig.RuntimeParams, name)
		if named.RuntimeParams[name] != "" {
			return notThroughPooler("does not hand on the parameter "+name+" of the URL", "take it out of the URL and set it on the role: ALTER ROLE … SET "+name+" = …")
		}
	}
	if !strings.Contains(url, "default_query_exec_mode") {
		cfg.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	}
	_, err = lendsSessions(ctx, cfg.ConnConfig.Copy())
	if refusesParameters(err) {
		return notThroughPooler("refuses a parameter of the URL: "+err.Error(), "take it out of the URL and set it on the role: ALTER ROLE … SET …")
	}
	return reading(err)
}

func notThroughPooler(why, hint string) error {
	return &abide.Error{Code: abide.CodeUnavailable, Detail: "pooler_parameters", Message: "the connection pooler " + why, Hint: hint}
}

// begins reports nil if sessions that a pooler lends begin as we rely on it:
// only the role, or the database, can see to that.
func (d *database) begins(ctx context.Context) error {
	var missing []string
	err := d.reread(ctx, func() error {
		rows, err := d.pool.Query(ctx, `SELECT quote_ident(session_user), name, setting FROM pg_settings WHERE name = ANY($1)`, append(slices.Clone(timeouts), isolation))
		if err != nil {
			return err
		}
		missing = nil
		var role, name, value string
		_, err = pgx.ForEachRow(rows, []any{&role, &name, &value}, func() error {
			if name == isolation && value != settings[isolation] || name != isolation && value == "0" {
				missing = append(missing, fmt.Sprintf("ALTER ROLE %s SET %s = '%s';", role, name, settings[name]))
			}
			return nil
		})
		return err
	})
	if err != nil || len(missing) == 0 {
		return err
	}
	slices.Sort(missing)
	return &abide.Error{Code: abide.CodeUnavailable, Detail: "pooler_settings", Err: storage.ErrUnavailable,
		Message: "sessions behind the connection pooler do not begin with the settings that are needed",
		Hint:    "as an administrator: " + strings.Join(missing, " ") + " Then have the pooler connect anew (PgBouncer: RECONNECT)"}
}

// errMigratePooled refuses a migration through a pooler: it holds a lock of its
// session, which would be somebody else's by the next statement.
func errMigratePooled() error {
	return &abide.Error{Code: abide.CodeUnavailable, Detail: "migration_through_pooler",
		Message: "tables cannot be migrated through a connection pooler",
		Hint:    "run `abide migrate` with URLs of the PostgreSQL server itself"}
}
