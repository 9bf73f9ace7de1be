package main

import (
	"context"
	"fmt"
	"strings"
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
		Use: "keys", GroupID: "admin", Short: "Rotate, destroy, escrow and recover the keys of a store",
		Long: `Works on the store itself, beside running servers, and not through one: whoever
has the keyring may act here. Servers notice within a request what they must
know.`,
		Example: `  abide keys status --data DIR
  abide keys rotate kek --data DIR
  abide keys rotate index --data DIR
  abide keys destroy --data DIR
  abide keys escrow --threshold 2 --custodian finance --custodian legal --custodian notary --data DIR
  abide keys drill /backup/2026-11-25 --data DIR`,
	}
	m.openFlags(cmd, &f.store)
	cmd.PersistentFlags().BoolVar(&f.json, "json", false, "print JSON")
	cmd.AddCommand(m.keysStatus(&f), m.keysRotate(&f), m.keysDestroy(&f), m.keysWindow(&f),
		m.keysEscrow(&f), m.keysRecover(&f), m.keysDrill(&f), m.keysRewrap(&f))
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
	fmt.Fprintf(m.Stdout, "fingerprint %s\nbackups     kept for %d days\n", s.Fingerprint, s.BackupWindow)
	m.writeEscrow(s)
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
	for _, found := range s.Findings {
		fmt.Fprintln(m.Stdout, "to do       "+keyDuty(found))
	}
	return nil
}

func (m *Main) writeEscrow(s engine.KeyStatus) {
	x := s.Escrow
	if x == nil {
		fmt.Fprint(m.Stdout, "escrow      none: nothing but this keyring opens the store\n\n")
		return
	}
	fmt.Fprintf(m.Stdout, "escrow      set %s of %s, any %d of: %s\n", x.Set, x.Made.Format(time.DateOnly), x.Threshold, strings.Join(x.Custodians, ", "))
	fmt.Fprintf(m.Stdout, "            recovery copy %s: %s\n", x.State, x.Copy)
	switch {
	case s.Drill == nil:
		fmt.Fprintf(m.Stdout, "drill       never; due every %d days\n\n", s.DrillEvery)
	case s.Drill.Passed:
		fmt.Fprintf(m.Stdout, "drill       passed %s; due every %d days\n\n", date(s.Drill.At), s.DrillEvery)
	default:
		fmt.Fprintf(m.Stdout, "drill       failed %s: %s; due every %d days\n\n", date(s.Drill.At), s.Drill.Failed, s.DrillEvery)
	}
}

// keyDuty says what is to be done, and how.
func keyDuty(f engine.Finding) string {
	what := map[string]string{
		engine.FindingEscrowMissing:      "make shares, so that a lost master key or keyring is not the end of the data: abide keys escrow",
		engine.FindingEscrowOutdated:     "the recovery copy is " + f.Name + ", so the shares do not open the keyring as it is: abide keys escrow rewrite",
		engine.FindingDrillOverdue:       "rehearse a recovery: abide keys drill",
		engine.FindingDrillFailed:        "the last rehearsal of a recovery failed (" + f.Name + "): find out why, and repeat it",
		engine.FindingRotationOverdue:    "epoch " + f.Name + " is older than backups are kept: abide keys rotate kek",
		engine.FindingDestructionOverdue: "no backup needs epoch " + f.Name + " any more: abide keys destroy, daily",
	}[f.Code]
	return f.Code + ", since " + f.Day + ": " + what
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
destroy old copies, recovery copies too. Shares need not be made anew.`,
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
	cmd := m.days(f, "window DAYS", "Declare for how many days backups are kept", "abide keys window 30 --data DIR",
		"backup_window_days", "backups are kept for %d days\n", (*engine.Engine).SetBackupWindow)
	cmd.Long = `An epoch of keys may be destroyed this many days after nothing is wrapped by it
any more: then no backup that needs it is left. 30 days unless declared
otherwise.`
	return cmd
}

// days is a command that declares a number of days.
func (m *Main) days(f *keyFlags, use, short, example, name, said string,
	declare func(*engine.Engine, context.Context, engine.Call, int) error,
) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: cobra.ExactArgs(1), Example: "  " + example,
		RunE: func(cmd *cobra.Command, args []string) error {
			var days int
			if _, err := fmt.Sscanf(args[0]+"\n", "%d\n", &days); err != nil {
				return usage("give a number of days")
			}
			return m.withStore(cmd.Context(), f.store, func(e *engine.Engine) error {
				if err := declare(e, cmd.Context(), localCaller(), days); err != nil {
					return err
				}
				if f.json {
					return printJSON(m.Stdout, map[string]any{name: days})
				}
				fmt.Fprintf(m.Stdout, said, days)
				return nil
			})
		},
	}
}
