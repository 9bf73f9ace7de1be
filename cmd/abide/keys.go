package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/abide-privacy/abide/internal/engine"
)

// keyFlags say where the keys are and how to print.
type keyFlags struct {
	store storeFlags
	json  bool
}

func (m *Main) keysCommand() *cobra.Command {
	var f keyFlags
	cmd := &cobra.Command{
		Use: "keys", GroupID: "admin", Short: "Rotate and destroy the keys of a store",
		Long: `Works on the store itself, beside running servers, and not through one: whoever
has the keyring may act here. Servers notice within a request what they must
know.`,
		Example: `  abide keys status --data DIR
  abide keys rotate kek --data DIR
  abide keys rotate index --data DIR
  abide keys destroy --data DIR`,
	}
	m.openFlags(cmd, &f.store)
	cmd.PersistentFlags().BoolVar(&f.json, "json", false, "print JSON")
	cmd.AddCommand(m.keysStatus(&f), m.keysRotate(&f), m.keysDestroy(&f), m.keysWindow(&f))
	return cmd
}

// withStore opens the store for a command on its keys.
func (m *Main) withStore(ctx context.Context, f storeFlags, do func(e *engine.Engine) error) error {
	if f.data == "" {
		f.data = m.Env("ABIDE_DATA")
	}
	if f.postgres == "" && f.data != "" && !f.exists() {
		return noStore()
	}
	st, err := m.open(ctx, f)
	if err != nil {
		return err
	}
	defer st.close(context.WithoutCancel(ctx))
	return do(st.engine)
}

func (m *Main) keysStatus(f *keyFlags) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show the keys, their epochs and when these may be destroyed", Args: cobra.NoArgs,
		Example: "  abide keys status --data DIR --json | jq .epochs",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return m.withStore(cmd.Context(), f.store, func(e *engine.Engine) error {
				s, err := e.KeyStatus(cmd.Context(), localCaller())
				if err != nil {
					return err
				}
				if f.json {
					return printJSON(m.Stdout, s)
				}
				return m.writeKeyStatus(s)
			})
		},
	}
}

func (m *Main) writeKeyStatus(s engine.KeyStatus) error {
	fmt.Fprintf(m.Stdout, "store       %s\nkeyring     generation %d, %s\n", s.Store, s.Generation, s.Place)
	if s.Master != "" {
		fmt.Fprintf(m.Stdout, "master      %s\n", s.Master)
	} else {
		fmt.Fprintln(m.Stdout, "master      none: the keyring lies there in the clear, readable by its owner only")
	}
	fmt.Fprintf(m.Stdout, "backups     kept for %d days\n\n", s.BackupWindow)
	err := table(m.Stdout, "EPOCH\tSTATE\tKEYS\tCREATED\tEMPTIED\tDESTROY AFTER\tDESTROYED", func(row func(...any)) {
		for _, ep := range s.Epochs {
			row(ep.ID, ep.State, ep.Keys, date(ep.Created), date(ep.Emptied), date(ep.DestroyAfter), date(ep.Destroyed))
		}
	})
	if err != nil {
		return err
	}
	fmt.Fprintln(m.Stdout)
	err = table(m.Stdout, "INDEX KEY\tSTATE\tITEMS\tDESTROYED", func(row func(...any)) {
		for _, x := range s.Index {
			row(x.ID, x.State, x.Items, date(x.Destroyed))
		}
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(m.Stdout, "\nlog         %s (envelopes), %s (system)\nsigning     %s", s.Log[0], s.Log[1], s.Sign[0].ID)
	if n := len(s.Sign) - 1; n > 0 {
		fmt.Fprintf(m.Stdout, " and %d older", n)
	}
	fmt.Fprintln(m.Stdout)
	return nil
}

func date(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04")
}

func (m *Main) keysDestroy(f *keyFlags) *cobra.Command {
	var d engine.DestroyEpochs
	cmd := &cobra.Command{
		Use: "destroy [EPOCH]", Short: "Destroy key epochs whose backup window has passed", Args: cobra.MaximumNArgs(1),
		Long: `Removes key-encryption keys from the keyring: those by which nothing is wrapped
any more, once the backups that need them are past their window. What they
wrapped is irrecoverable from then on, on every old disk and in every old
backup. Run it daily; with nothing to destroy it does nothing.

With --now, an epoch is destroyed before its time: backups made before the
rotation become unreadable. A copy of the keyring elsewhere keeps the key:
destroy old copies and old shares too.`,
		Example: "  abide keys destroy --data DIR\n  abide keys destroy 1a2b3c4d --now --reason 'disk stolen' --data DIR",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				d.ID = args[0]
			}
			if d.Now && d.ID == "" {
				return usage("name the epoch to destroy before its time; `abide keys status` lists them")
			}
			return m.withStore(cmd.Context(), f.store, func(e *engine.Engine) error {
				gone, err := e.DestroyEpochs(cmd.Context(), localCaller(), d)
				if err != nil {
					return err
				}
				if f.json {
					return printJSON(m.Stdout, map[string]any{"destroyed": append([]string{}, gone...)})
				}
				for _, id := range gone {
					fmt.Fprintln(m.Stdout, "destroyed epoch", id)
				}
				if len(gone) == 0 {
					fmt.Fprintln(m.Stdout, "nothing to destroy")
				}
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&d.Now, "now", false, "before the backup window has passed")
	cmd.Flags().StringVar(&d.Reason, "reason", "", "why, for the log; needed with --now; no personal data")
	return cmd
}

func (m *Main) keysWindow(f *keyFlags) *cobra.Command {
	return &cobra.Command{
		Use: "window DAYS", Short: "Declare for how many days backups are kept", Args: cobra.ExactArgs(1),
		Long: `An epoch of keys may be destroyed this many days after nothing is wrapped by it
any more: then no backup that needs it is left. 30 days unless declared
otherwise.`,
		Example: "  abide keys window 30 --data DIR",
		RunE: func(cmd *cobra.Command, args []string) error {
			var days int
			if _, err := fmt.Sscanf(args[0]+"\n", "%d\n", &days); err != nil {
				return usage("a window is a number of days")
			}
			return m.withStore(cmd.Context(), f.store, func(e *engine.Engine) error {
				if err := e.SetBackupWindow(cmd.Context(), localCaller(), days); err != nil {
					return err
				}
				if f.json {
					return printJSON(m.Stdout, map[string]any{"backup_window_days": days})
				}
				fmt.Fprintf(m.Stdout, "backups are kept for %d days\n", days)
				return nil
			})
		},
	}
}
