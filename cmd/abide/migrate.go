package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/abide-privacy/abide/internal/storage/postgres"
)

type migrateFlags struct {
	storeFlags
	grant string
	citus bool
	print bool
}

func (m *Main) migrateCommand() *cobra.Command {
	var f migrateFlags
	cmd := &cobra.Command{
		Use:     "migrate",
		GroupID: "admin",
		Short:   "Make or update the tables in PostgreSQL",
		Long: `Makes or updates the tables in PostgreSQL, as their owner. The server does so
itself when it starts, if its role may; with this command it can run under a
role that may not change tables.

With --grant ROLE, that role gets what the running server needs and nothing
else: it cannot change tables, and what is only ever appended to (the log, the
events of consent) it can neither update nor, but for what erasure empties,
delete. With --citus, the tables are spread over a Citus cluster. Each may be
repeated; after an update of Abide, run the same command again.`,
		Example: `  abide migrate --postgres postgres://owner@db/abide --grant abide
  abide migrate --postgres postgres://owner@db/abide --keys-postgres postgres://owner@keys/keys --grant abide
  abide migrate --postgres postgres://owner@coordinator/abide --citus
  abide migrate --citus --grant abide --print`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return m.migrate(cmd.Context(), f) },
	}
	fl := cmd.Flags()
	fl.StringVar(&f.postgres, "postgres", "", "URL of the database, as the owner of its tables (ABIDE_POSTGRES)")
	fl.StringVar(&f.keysPostgres, "keys-postgres", "", "URL of the database of wrapped keys, if it is another (ABIDE_KEYS_POSTGRES)")
	fl.StringVar(&f.grant, "grant", "", "role under which the server will run")
	fl.BoolVar(&f.citus, "citus", false, "spread the tables over a Citus cluster")
	fl.BoolVar(&f.print, "print", false, "print the statements of --grant and --citus and change nothing")
	return cmd
}

func (m *Main) migrate(ctx context.Context, f migrateFlags) error {
	if f.print {
		return m.printMigration(f)
	}
	f.storeFlags = m.named(f.storeFlags)
	if f.postgres == "" {
		return usage("no database is named; use --postgres URL")
	}
	if f.keysPostgres == "" {
		f.keysPostgres = f.postgres
	}
	for _, db := range []struct {
		of  postgres.Of
		url string
	}{{postgres.Data, f.postgres}, {postgres.Keys, f.keysPostgres}} {
		done, err := postgres.Migrate(ctx, db.url, db.of, postgres.Migration{Grant: f.grant, Citus: f.citus})
		for _, line := range done {
			fmt.Fprintln(m.Stdout, line)
		}
		if err != nil {
			return notOpened(err, "is the URL right, and may this role change tables there?")
		}
	}
	return nil
}

func (m *Main) printMigration(f migrateFlags) error {
	if !f.citus && f.grant == "" {
		return usage("--print shows the statements of --citus and of --grant; name one of them")
	}
	for _, of := range []postgres.Of{postgres.Data, postgres.Keys} {
		fmt.Fprintf(m.Stdout, "-- %s\n", of)
		if f.citus {
			for _, q := range postgres.Distribution(of) {
				fmt.Fprintln(m.Stdout, q+";")
			}
		}
		if f.grant != "" {
			for _, q := range postgres.Grants(of, f.grant) {
				fmt.Fprintln(m.Stdout, q+";")
			}
		}
	}
	return nil
}
