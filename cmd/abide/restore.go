package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/client"
	"github.com/abide-privacy/abide/internal/engine"
)

type restoreFlags struct {
	store   storeFlags
	keyring string
	lost    bool
	json    bool
	// How the log goes on.
	place      string
	checkpoint string
	logLost    bool
}

func (m *Main) restoreCommand() *cobra.Command {
	var f restoreFlags
	cmd := &cobra.Command{
		Use:     "restore [SRC]",
		GroupID: "admin",
		Short:   "Bring back a backup, and with it everything that must not be undone",
		Long: `Copies a backup into a data directory that holds no store, and replays the
restore ledger: who was erased since the backup is erased again, who withdrew or
objected is not asked for more, corrections and restrictions are there. Then the
store is ready to serve. Nothing is overwritten.

Files that people handed in are put back where uploads are kept; of those that
lie in a bucket it says which are missing.

The keyring is not in a backup: it lies in the data directory already, or is
named with --keyring. The restore ledger is named with --restore-ledger, unless
it lies in the data directory. If it is lost, --ledger-lost restores without it:
whatever rests on what people decided is then denied (restored_gap) until
somebody resolves it with ` + "`abide restore resolve`" + `.

The published log is not in a backup either, and the log goes on from there: it
is named with --log-dir, unless it lies in the data directory (DATA/log). If it is
lost, name with --log-checkpoint the last checkpoint that anybody saw, such as a
witness's: if the database has all up to there, the log is published again. If not,
or if nobody has one, --log-lost begins a new log that names the old one's last
checkpoint.

A database on PostgreSQL is restored with PostgreSQL's own means first; then
abide restore --postgres URL replays the ledger and says what it did. So does
every start of a server.`,
		Example: `  abide restore /backup/2026-11-25 --data /var/lib/abide --restore-ledger /mnt/ledger --keyring /safe/keyring.json
  abide restore --postgres postgres://abide@db/abide --data /var/lib/abide --restore-ledger /mnt/ledger
  abide restore status --data /var/lib/abide
  abide restore resolve --data /var/lib/abide --operator mara --reason "all newsletters were asked for again"`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.store.data == "" {
				f.store.data = m.Env("ABIDE_DATA")
			}
			return m.restore(cmd.Context(), f, args)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.store.data, "data", "", "data directory to restore into (ABIDE_DATA)")
	fl.StringVar(&f.store.postgres, "postgres", "", "URL of a database that was restored already")
	fl.StringVar(&f.store.keysPostgres, "keys-postgres", "", "URL of another database for wrapped keys")
	ledgerFlag(fl, &f.store)
	uploadsFlag(fl, &f.store)
	fl.StringVar(&f.keyring, "keyring", "", "keyring of the store, to be copied into the data directory")
	fl.BoolVar(&f.lost, "ledger-lost", false, "restore without the restore ledger; what people decided since is not known then")
	placeFlag(fl, &f.place)
	fl.StringVar(&f.checkpoint, "log-checkpoint", "", "file with the last checkpoint of the log that anybody is known to have seen")
	fl.BoolVar(&f.logLost, "log-lost", false, "restore without the published log; a new one begins, unless the database has all of it")
	fl.BoolVar(&f.json, "json", false, "print JSON")
	cmd.AddCommand(m.restoreStatus(), m.restoreResolve())
	return cmd
}

func (m *Main) restoreStatus() *cobra.Command {
	var p place
	cmd := &cobra.Command{
		Use: "status", Short: "Show how the store stands to its restore ledger", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return m.show(cmd, &p, http.MethodGet, "/v1/restore", nil) },
	}
	m.placeFlags(cmd, &p)
	return cmd
}

func (m *Main) restoreResolve() *cobra.Command {
	var p place
	var operator, reason string
	cmd := &cobra.Command{
		Use: "resolve", Short: "End the refusal of what rests on what people decided; it is on record who did, and why", Args: cobra.NoArgs,
		Example: `  abide restore resolve --data DIR --operator mara --reason "all newsletters were asked for again"`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return m.with(cmd, &p, func(ctx context.Context, c *client.Client) error {
				in := map[string]string{"operator": operator, "reason": reason}
				if err := c.Do(ctx, http.MethodPost, "/v1/restore/resolve", in, nil); err != nil {
					return err
				}
				fmt.Fprintln(m.Stdout, "resolved; what rests on consent is decided as usual again")
				return nil
			})
		},
	}
	m.placeFlags(cmd, &p)
	cmd.Flags().StringVar(&operator, "operator", "", "who resolves it")
	cmd.Flags().StringVar(&reason, "reason", "", "why; it stands in the log, so no personal data")
	_ = cmd.MarkFlagRequired("operator")
	_ = cmd.MarkFlagRequired("reason")
	return cmd
}

func (m *Main) restore(ctx context.Context, f restoreFlags, args []string) error {
	switch {
	case f.store.data == "":
		return usage("no data directory; use --data DIR")
	case len(args) == 0 && f.store.postgres == "":
		return usage("name the backup, or the database with --postgres")
	case len(args) == 1 && f.store.postgres != "":
		return usage("a database is restored with PostgreSQL's own means first; leave the folder out")
	}
	if err := m.findLedger(f); err != nil {
		return err
	}
	f.store.place = f.place
	placed := func() {}
	if f.keyring != "" {
		if err := copyKeyring(f.keyring, f.store.data); err != nil {
			return err
		}
		placed = func() { _ = os.Remove(filepath.Join(f.store.data, "keys", "keyring.json")) }
	}
	var uploads restoredUploads
	if len(args) == 1 {
		made, undo, err := m.placeBackup(ctx, args[0], f.store)
		if err != nil {
			placed()
			return err
		}
		keyring := placed
		placed = func() { undo(); keyring() }
		if uploads, err = m.placeUploads(ctx, args[0], made, f.store); err != nil {
			placed()
			return err
		}
	}
	fmt.Fprintln(m.Stderr, "abide: replaying the restore ledger")
	st, err := m.open(ctx, f.store)
	if err != nil {
		placed()
		return err
	}
	if err := m.restoreLog(ctx, f, st); err != nil {
		st.close(context.WithoutCancel(ctx))
		placed()
		return err
	}
	defer st.close(context.WithoutCancel(ctx))
	if _, err := st.engine.SweepKeys(ctx, true, m.sweeping()); err != nil {
		return err
	}
	state, err := st.engine.RestoreState(ctx, localCaller())
	if err != nil {
		return err
	}
	return m.showRestored(state, uploads, f.json)
}

// findLedger refuses to restore beside the ledger by mistake: an empty one would
// be taken for one that is lost.
func (m *Main) findLedger(f restoreFlags) error {
	dir := f.store.ledger
	if dir == "" {
		dir = m.Env("ABIDE_RESTORE_LEDGER")
	}
	if dir == "" {
		if _, err := os.Stat(filepath.Join(f.store.data, ledgerPlace)); err == nil {
			return nil
		}
		dir = filepath.Join(f.store.data, "ledger")
	}
	if _, err := os.Stat(filepath.Join(dir, "ledger.json")); err == nil || f.lost {
		return nil
	}
	return &abide.Error{Code: abide.CodeNotFound, Detail: "no_restore_ledger",
		Message: "there is no restore ledger in " + dir,
		Hint:    "name it with --restore-ledger; if it is lost, --ledger-lost restores without it, and denies what rests on consent until that is resolved"}
}

// sweeping tells how far the search for keys of erased people has come.
func (m *Main) sweeping() func(engine.KeySweep) {
	told := 0
	fmt.Fprintln(m.Stderr, "abide: looking for keys of erased people; ended here, the server goes on with it")
	return func(s engine.KeySweep) {
		if s.Looked >= told+100_000 {
			told = s.Looked
			fmt.Fprintf(m.Stderr, "abide: looked at the keys of %d people\n", told)
		}
	}
}

func copyKeyring(from, data string) error {
	to := filepath.Join(data, "keys", "keyring.json")
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return dataDirectory(err)
	}
	return copyFile(from, to)
}

// copyFile copies a file to a place where there is none.
func copyFile(from, to string) error {
	src, err := os.Open(from)
	if err == nil {
		err = placeFile(to, func(w io.Writer) error { _, err := io.Copy(w, src); return err })
		err = errors.Join(err, src.Close())
	}
	if errors.Is(err, os.ErrExist) {
		return inTheWay(to)
	}
	if err != nil {
		return &abide.Error{Code: abide.CodeUnavailable, Detail: "restore_failed", Message: "a file cannot be restored: " + err.Error(), Hint: "check names, rights and room", Err: err}
	}
	return nil
}

func inTheWay(path string) error {
	return &abide.Error{Code: abide.CodeConflict, Detail: "store_in_the_way", Message: "there is a " + filepath.Base(path) + " in the data directory already",
		Hint: "nothing is overwritten: restore into another directory, or move this one away"}
}

// placeBackup checks a backup and copies it into the data directory. The
// function it returns takes the copies away again.
func (m *Main) placeBackup(ctx context.Context, src string, store storeFlags) (made *manifest, undo func(), err error) {
	fmt.Fprintln(m.Stderr, "abide: checking the backup")
	if made, err = verifyBackup(ctx, src); err != nil {
		return nil, nil, err
	}
	if err := os.MkdirAll(filepath.Join(store.data, "keys"), 0o700); err != nil {
		return nil, nil, dataDirectory(err)
	}
	targets := []string{filepath.Join(store.data, "keys", backupKeys), store.database()}
	for _, t := range targets {
		for _, name := range []string{t, t + "-wal", t + "-shm"} {
			if _, err := os.Lstat(name); err == nil {
				return nil, nil, inTheWay(name)
			}
		}
	}
	var placed []string
	undo = func() {
		for _, p := range placed {
			for _, name := range []string{p, p + "-wal", p + "-shm"} {
				_ = os.Remove(name)
			}
		}
	}
	for i, name := range []string{backupKeys, backupData} {
		fmt.Fprintln(m.Stderr, "abide: copying", name)
		if err := copyFile(filepath.Join(src, name), targets[i]); err != nil {
			undo()
			return nil, nil, err
		}
		placed = append(placed, targets[i])
	}
	return made, undo, nil
}

func (m *Main) placeUploads(ctx context.Context, src string, made *manifest, store storeFlags) (restoredUploads, error) {
	to, err := m.openUploads(ctx, store)
	if err != nil {
		return restoredUploads{}, err
	}
	fmt.Fprintln(m.Stderr, "abide: putting back uploads")
	return m.restoreUploads(ctx, src, made, to)
}

func (m *Main) showRestored(s engine.RestoreState, u restoredUploads, asJSON bool) error {
	if asJSON {
		return printJSON(m.Stdout, struct {
			engine.RestoreState
			Uploads restoredUploads `json:"uploads"`
		}{s, u})
	}
	r := s.Replayed
	fmt.Fprintf(m.Stdout, "%d records beyond the backup, %d of them held already\n", r.Records, r.Held)
	fmt.Fprintf(m.Stdout, "%d people erased again, %d erased whom the backup does not know, %d brought up to date\n", r.Erased, r.Tombstones, r.Changed)
	fmt.Fprintf(m.Stdout, "%d uploads put back, %d were there\n", u.Restored, u.Kept)
	if u.Missing > 0 {
		fmt.Fprintf(m.Stdout, "%d uploads of the backup are not in the bucket: put back their versions, or its replica; abide doctor names them\n", u.Missing)
	}
	for _, n := range []struct {
		n    int
		what string
	}{{r.Unknown, "people whom the backup does not know are lost"}, {r.Unreadable, "records could not be read: their key is gone"},
		{s.KeySweep.Destroyed, "people erased before the backup had keys in it, which are destroyed"}, {r.Unclaimed, "people hold a value that others hold by now"}} {
		if n.n > 0 {
			fmt.Fprintf(m.Stdout, "%d %s\n", n.n, n.what)
		}
	}
	if s.Gap != nil {
		fmt.Fprintf(m.Stdout, "restored_gap: %s; what rests on consent is denied until `abide restore resolve`\n", s.Gap.Why)
		return nil
	}
	fmt.Fprintln(m.Stdout, "ready to serve")
	return nil
}
