package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/log"
)

// knownCheckpoint reads a checkpoint that somebody kept, by itself or in a proof;
// nil if none is named. The log's own keys verify it later.
func knownCheckpoint(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, notRead(path, err)
	}
	if p, err := audit.ParseProof(raw); err == nil {
		return p.Checkpoint, nil
	}
	return raw, nil
}

// restoreLog settles how the log of a restored database goes on.
func (m *Main) restoreLog(ctx context.Context, f restoreFlags, st *opened) error {
	known, err := knownCheckpoint(f.checkpoint)
	if err != nil {
		return err
	}
	p, err := m.openPlace(f.place, f.store.data)
	if err != nil {
		return err
	}
	outcome, err := log.Restored(ctx, st.store, st.ring, p, known, f.logLost)
	if err != nil {
		return err
	}
	said := map[log.Outcome]string{
		log.GoesOn:      "the log goes on from what is published in " + p.Name(),
		log.Republished: "the log is published in " + p.Name() + " again; the database has all of it",
		log.Renewed:     "a new log begins, whose first entry names the old one's last checkpoint; give its key, /log/2/key, to whoever verifies",
		log.Unknown:     "no checkpoint of a log is known from anywhere; if one was ever published, whoever kept it will see another history",
	}
	fmt.Fprintln(m.Stderr, "abide: "+said[outcome])
	return nil
}

// logStore is a store whose log is given another place or another origin.
type logStore struct {
	store      storeFlags
	place      string
	checkpoint string
}

func (m *Main) logStoreFlags(cmd *cobra.Command, f *logStore) {
	m.openFlags(cmd, &f.store)
	placeFlag(cmd.Flags(), &f.place)
	cmd.Flags().StringVar(&f.checkpoint, "checkpoint", "", "file with the last checkpoint that anybody is known to have seen, such as a witness's")
}

// with opens the store while no server of this data directory runs.
func (f *logStore) with(ctx context.Context, m *Main, do func(st *opened, p log.Place, known []byte) error) (err error) {
	f.store = m.named(f.store)
	if f.store.data == "" {
		f.store.data = m.Env("ABIDE_DATA")
	}
	if f.store.postgres == "" && f.store.data != "" {
		unlock, err := lockData(f.store.data)
		if err != nil {
			return err
		}
		defer unlock()
	}
	known, err := knownCheckpoint(f.checkpoint)
	if err != nil {
		return err
	}
	st, err := m.open(ctx, f.store)
	if err != nil {
		return err
	}
	defer st.close(context.WithoutCancel(ctx))
	p, err := m.openPlace(f.place, f.store.data)
	if err != nil {
		return err
	}
	return do(st, p, known)
}

// logPublishCommand publishes the log to a place that lacks it.
func (m *Main) logPublishCommand() *cobra.Command {
	var f logStore
	cmd := &cobra.Command{
		Use: "publish", Short: "Publish all of a log again, to a place that has lost it or is a new one", Args: cobra.NoArgs,
		Long: `Writes every tile and the checkpoint from the database to the place of --log-dir.
The checkpoint of --checkpoint is the last one that anybody saw: the one in the
place where the log was before, or a witness's. If the database is behind it,
nothing is written.

Stop all servers of the store before.`,
		Example: "  abide log publish --data /var/lib/abide --log-dir s3://privacy-log/?endpoint=https://s3.example --checkpoint /var/lib/abide/log/checkpoint",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.with(cmd.Context(), m, func(st *opened, p log.Place, known []byte) error {
				if err := log.Republish(cmd.Context(), st.store, st.ring, p, known); err != nil {
					return err
				}
				fmt.Fprintf(m.Stdout, "the log is published in %s\n", p.Name())
				return nil
			})
		},
	}
	m.logStoreFlags(cmd, &f)
	_ = cmd.MarkFlagRequired("checkpoint")
	return cmd
}

// logRenewCommand gives a log up whose published tiles are lost.
func (m *Main) logRenewCommand() *cobra.Command {
	var f logStore
	cmd := &cobra.Command{
		Use: "renew", Short: "Give up a log whose published tiles are lost, and begin one that names it", Args: cobra.NoArgs,
		Long: `Begins a new log, under the old one's origin and a number, whose first entry is
the old one's last checkpoint, so that whoever kept a checkpoint sees that there
was more. The old log stays where it is published, as far as it is there. Name
with --checkpoint the last checkpoint that anybody saw, such as a witness's, if
the place has lost it.

This is for when nothing else helps: the database is behind what was published,
and the published tiles are lost or damaged. Whoever pinned the old log's key
needs the new one, from /log/2/key.`,
		Example: "  abide log renew --data /var/lib/abide",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.with(cmd.Context(), m, func(st *opened, p log.Place, known []byte) error {
				head, err := log.Renew(cmd.Context(), st.store, st.ring, p, known)
				if err != nil {
					return err
				}
				vkeys, err := log.VerifierKeys(st.ring, head.Origin)
				if err != nil {
					return err
				}
				fmt.Fprintf(m.Stdout, "the log is now %s\n%s\n", head.Origin, strings.Join(vkeys, "\n"))
				return nil
			})
		},
	}
	m.logStoreFlags(cmd, &f)
	return cmd
}
