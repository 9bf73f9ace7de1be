package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	abide "github.com/abide-privacy/abide"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/data/*.sql migrations/keys/*.sql
var migrations embed.FS

// undefinedTable and notPermitted are SQLSTATE codes.
const (
	undefinedTable  = "42P01"
	undefinedObject = "42704"
	notPermitted    = "42501"
)

// newest is the number of the last migration that this program knows.
func newest(of string) (int64, error) {
	files, err := fs.Glob(migrations, "migrations/"+of+"/*.sql")
	if err != nil || len(files) == 0 {
		return 0, errors.Join(err, errors.New("postgres: no migrations"))
	}
	name := files[len(files)-1] // Glob sorts, and all numbers have five digits
	number, _, _ := strings.Cut(name[strings.LastIndex(name, "/")+1:], "_")
	return strconv.ParseInt(number, 10, 64)
}

// version is the number of the last migration that the database has; 0 if it
// has none.
func (d *database) version(ctx context.Context, of string) (int64, error) {
	var v int64
	err := d.pool.QueryRow(ctx, `SELECT coalesce(max(version_id), 0) FROM `+migrationTable(of)+` WHERE is_applied`).Scan(&v)
	if code(err) == undefinedTable {
		return 0, nil
	}
	if code(err) == notPermitted {
		return 0, lacking(migrationTable(of))
	}
	return v, reading(err)
}

// migrate applies the migrations that the database does not have yet. With none
// to apply it writes nothing and takes no lock, so that a server can run under
// a role that may not change tables, and behind a pooler of connections.
func (d *database) migrate(ctx context.Context, of string) error {
	want, err := newest(of)
	if err != nil {
		return err
	}
	have, err := d.version(ctx, of)
	switch {
	case err != nil:
		return err
	case have == want:
		return nil
	case have > want:
		return &abide.Error{Code: abide.CodeUnavailable, Detail: "database_newer",
			Message: fmt.Sprintf("the database's tables are those of a newer program: %d, and this one knows %d", have, want),
			Hint:    "run the newer program"}
	}
	if d.pooled {
		return errMigratePooled()
	}
	err = d.up(ctx, of)
	if code(err) == notPermitted {
		return &abide.Error{Code: abide.CodeUnavailable, Detail: "database_not_migrated", Err: err,
			Message: "the database's tables are not there or not up to date, and this role may not change them",
			Hint:    "run `abide migrate --postgres URL --grant ROLE` as their owner"}
	}
	return err
}

// up runs the migrations, strictly in order. Nodes that start together take
// turns by an advisory lock. It has a connection of its own, on which nothing
// times out: a migration of large tables takes as long as it takes.
func (d *database) up(ctx context.Context, of string) error {
	cfg := d.pool.Config().ConnConfig
	cfg.Tracer = nil
	cfg.RuntimeParams["application_name"] = "abide migrate"
	unhurried(cfg)
	sub, err := fs.Sub(migrations, "migrations/"+of)
	if err != nil {
		return err
	}
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 600)) // seconds
	if err != nil {
		return err
	}
	db := stdlib.OpenDB(*cfg)
	defer db.Close()
	p, err := goose.NewProvider(goose.DialectPostgres, db, sub, goose.WithAllowOutofOrder(false),
		goose.WithDisableGlobalRegistry(true), goose.WithSessionLocker(locker), goose.WithTableName(migrationTable(of)))
	if err != nil {
		return err
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("postgres: migrations: %w", err)
	}
	return nil
}

func unhurried(c *pgx.ConnConfig) {
	for _, timeout := range []string{"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"} {
		c.RuntimeParams[timeout] = "0"
	}
}

// allowed refuses a role that lacks a right it will need: better now than in
// the middle of an erasure.
func (d *database) allowed(ctx context.Context, of string) error {
	var names, rights []string
	for _, t := range tables[of] {
		for _, r := range t.Rights {
			names, rights = append(names, t.Name), append(rights, r)
		}
	}
	missing, err := list(ctx, d, func(s *scanner, v *string) { text(s, v) }, `SELECT lower(r) || ' on ' || t
		FROM unnest($1::text[], $2::text[]) AS needed(t, r) WHERE NOT has_table_privilege(t, r) ORDER BY 1`, names, rights)
	if err != nil || len(missing) == 0 {
		return err
	}
	return lacking(missing...)
}

func lacking(what ...string) error {
	return &abide.Error{Code: abide.CodeUnavailable, Detail: "database_rights",
		Message: "this role lacks rights in the database: " + strings.Join(what, ", "),
		Hint:    "run `abide migrate --postgres URL --grant ROLE` as the tables' owner"}
}

// Of says which of the two databases a migration is about.
type Of string

// The databases.
const (
	Data Of = "data"
	Keys Of = "keys"
)

// Migration says what Migrate does besides bringing the tables up to date.
type Migration struct {
	Grant string // give this role what the running server needs, and no more
	Citus bool   // distribute the tables
}

// Migrate brings a database's tables up to date, as their owner, and says what
// it did, a line each. It may be repeated.
func Migrate(ctx context.Context, url string, of Of, m Migration) ([]string, error) {
	cfg, err := configure(url, Options{MaxConns: 2})
	if err != nil {
		return nil, err
	}
	unhurried(cfg.ConnConfig)
	db, err := connect(ctx, cfg, url)
	if err != nil {
		return nil, err
	}
	defer func() { _ = db.close() }()
	if db.pooled {
		return nil, errMigratePooled()
	}
	if err := db.safe(ctx); err != nil {
		return nil, unreachable(err)
	}
	if m.Citus {
		if err := db.hasCitus(ctx); err != nil {
			return nil, err
		}
	}
	before, err := db.version(ctx, string(of))
	if err != nil {
		return nil, err
	}
	if err := db.migrate(ctx, string(of)); err != nil {
		return nil, err
	}
	after, err := db.version(ctx, string(of))
	if err != nil {
		return nil, err
	}
	done := []string{fmt.Sprintf("%s: tables at version %d", of, after)}
	if before != after {
		done = []string{fmt.Sprintf("%s: tables brought from version %d to %d", of, before, after)}
	}
	if m.Citus {
		lines, err := db.distribute(ctx, string(of))
		done = append(done, lines...)
		if err != nil {
			return done, err
		}
	}
	if m.Grant != "" {
		if err := db.grant(ctx, string(of), m.Grant); err != nil {
			return done, err
		}
		done = append(done, fmt.Sprintf("%s: rights granted to %s", of, m.Grant))
	}
	return done, nil
}

// Grants lists the statements that give a role what the running server needs,
// and take from it what it has besides. None of them lets it change tables.
func Grants(of Of, role string) []string {
	to := pgx.Identifier{role}.Sanitize()
	out := []string{`GRANT SELECT ON ` + migrationTable(string(of)) + ` TO ` + to}
	for _, t := range tables[string(of)] {
		out = append(out, `REVOKE ALL ON `+t.Name+` FROM `+to, `GRANT `+strings.Join(t.Rights, ", ")+` ON `+t.Name+` TO `+to)
	}
	return out
}

func (d *database) grant(ctx context.Context, of, role string) error {
	err := d.write(ctx, func(b *batch) {
		for _, q := range Grants(Of(of), role) {
			b.Queue(q)
		}
	})
	switch code(err) {
	case undefinedObject:
		return &abide.Error{Code: abide.CodeNotFound, Detail: "no_role", Message: "there is no such role in the database", Err: err,
			Hint: "make it first, as an administrator: CREATE ROLE name LOGIN"}
	case notPermitted:
		return &abide.Error{Code: abide.CodeDenied, Detail: "not_owner", Message: "only the tables' owner can grant rights on them", Err: err,
			Hint: "connect as the role that made the tables"}
	}
	return err
}
