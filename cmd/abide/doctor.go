package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/engine"
)

func (m *Main) doctorCommand() *cobra.Command {
	var store storeFlags
	var asJSON bool
	var after string
	cmd := &cobra.Command{
		Use:     "doctor",
		GroupID: "admin",
		Short:   "Check a store from end to end; exit code 1 if something is wrong",
		Long: `Checks that every key, value, event and log entry opens where it stands; that
values and states are the last ones that the log names, so that an old row put
back is found; that look-ups and indexes say what they were made from; that
nothing of the erased is left; that policies, registers and tokens are the ones
that were published and entered; that every file is there and unchanged, and
none is nobody's; and that the restore ledger is all there. What is marked as
info needs nobody.

A server may go on running. What is found is printed with its code
(docs/operations.md explains them), the person's id and the row, never a value;
with --json one object a line, the summary last. An interrupted check goes on with --after ID.`,
		Example: `  abide doctor --data /var/lib/abide
  abide doctor --data /var/lib/abide --postgres postgres://abide@db/abide --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if store.data == "" {
				store.data = m.Env("ABIDE_DATA")
			}
			up := engine.Checkup{}
			if after != "" {
				if err := up.After.UnmarshalText([]byte(after)); err != nil {
					return usage("--after is the id of a data subject")
				}
			}
			return m.doctor(cmd.Context(), store, up, asJSON)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&store.data, "data", "", "data directory (ABIDE_DATA)")
	fl.StringVar(&store.postgres, "postgres", "", "URL of the PostgreSQL database")
	fl.StringVar(&store.keysPostgres, "keys-postgres", "", "URL of another database for wrapped keys")
	ledgerFlag(fl, &store)
	uploadsFlag(fl, &store)
	fl.StringVar(&after, "after", "", "go on after this data subject")
	fl.BoolVar(&asJSON, "json", false, "print JSON, one object a line")
	return cmd
}

func (m *Main) doctor(ctx context.Context, store storeFlags, up engine.Checkup, asJSON bool) error {
	if store.data == "" {
		return usage("no data directory; use --data DIR")
	}
	if store.postgres == "" && !store.exists() {
		return &abide.Error{Code: abide.CodeNotFound, Detail: "no_store", Message: "there is no store in this data directory", Hint: "name another with --data, or a database with --postgres"}
	}
	st, err := m.open(ctx, store)
	if err != nil {
		return err
	}
	defer st.close(context.WithoutCancel(ctx))
	lines := json.NewEncoder(m.Stdout)
	up.Found = func(a engine.Ailment) {
		if asJSON {
			_ = lines.Encode(a)
			return
		}
		who := ""
		if !a.Subject.IsZero() {
			who = " " + a.Subject.String()
		}
		kind := ""
		if a.Info {
			kind = "info: "
		}
		fmt.Fprintf(m.Stdout, "%s%s%s: %s\n", kind, a.Code, who, a.What)
	}
	width, tty := terminal(m.Stderr)
	up.Passed = func(d engine.Doctored) {
		line := fmt.Sprintf("%d people, %d values, %d log entries; %d findings", d.Subjects, d.Items, d.Entries, d.Ailments)
		switch {
		case tty:
			fmt.Fprintf(m.Stderr, "\r%-*.*s", width-1, width-1, line)
		case d.Subjects%20000 == 0:
			fmt.Fprintf(m.Stderr, "abide: %s; last %s\n", line, d.Last)
		}
	}
	did, err := st.engine.Doctor(ctx, localCaller(), up)
	if tty {
		fmt.Fprintln(m.Stderr)
	}
	if err != nil {
		if !did.Last.IsZero() {
			fmt.Fprintf(m.Stderr, "abide: go on with --after %s\n", did.Last)
		}
		return err
	}
	// What is to be done about the keys is no damage: it does not fail the check.
	duties, err := st.engine.KeyFindings(ctx)
	if err != nil {
		return err
	}
	for _, f := range duties {
		if asJSON {
			_ = lines.Encode(map[string]any{"code": f.Code, "what": f.Name, "to_do": true})
			continue
		}
		fmt.Fprintln(m.Stdout, "to do: "+keyDuty(f))
	}
	if asJSON {
		if err := lines.Encode(did); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(m.Stdout, "%d people, %d values, %d log entries looked at; %d findings\n", did.Subjects, did.Items, did.Entries, did.Ailments)
	}
	if did.Ailments > 0 {
		return quiet{exitFailed}
	}
	return nil
}
