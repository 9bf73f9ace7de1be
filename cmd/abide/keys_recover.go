package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/engine"
	"github.com/abide-privacy/abide/internal/keys"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/laws"
)

// shareFlags say where the shares are.
type shareFlags struct {
	files []string
	copy  string
}

func (s *shareFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&s.files, "share", nil, "file with a share, or - for what is typed; repeat it; typed unless named")
	cmd.Flags().StringVar(&s.copy, "copy", "", "file of the recovery copy ("+recoveryCopy+" beside the restore ledger)")
}

// read reads shares from files and from what is typed. They are never taken from
// the command line, which other users of the machine see.
func (s *shareFlags) read(m *Main) ([]keys.Share, error) {
	files := s.files
	if len(files) == 0 {
		files = []string{"-"}
	}
	var all []keys.Share
	for _, name := range files {
		raw, err := s.text(m, name)
		if err != nil {
			return nil, &abide.Error{Code: abide.CodeNotFound, Detail: "no_share", Message: "a share cannot be read from " + name, Hint: "--share names a file; without it, shares are typed", Err: err}
		}
		got, err := keys.ParseShares(string(raw))
		clear(raw)
		if own := (*abide.Error)(nil); errors.As(err, &own) && name != "-" {
			named := *own
			named.Message = name + ": " + own.Message
			return nil, &named
		}
		if err != nil {
			return nil, err
		}
		all = append(all, got...)
	}
	return all, nil
}

func (s *shareFlags) text(m *Main, name string) ([]byte, error) {
	if name != "-" {
		return os.ReadFile(name)
	}
	if f, ok := m.Stdin.(*os.File); ok {
		if _, tty := terminal(f); tty {
			fmt.Fprintln(m.Stderr, "abide: type the shares, one after the other, each from its first line; end with Ctrl-D on a line of its own")
		}
	}
	return io.ReadAll(m.Stdin)
}

// ring opens the recovery copy with the shares, in memory.
func (s *shareFlags) ring(m *Main, copyAt string) (*keys.Keyring, error) {
	shares, err := s.read(m)
	if err != nil {
		return nil, err
	}
	raw, err := os.ReadFile(copyAt)
	if err != nil {
		return nil, &abide.Error{Code: abide.CodeNotFound, Detail: "no_recovery_copy", Message: "there is no recovery copy in " + copyAt,
			Hint: "name it with --copy; it lies beside the restore ledger unless it was put elsewhere", Err: err}
	}
	return keys.OpenCopy(raw, shares)
}

func (m *Main) keysRecover(f *keyFlags) *cobra.Command {
	var s shareFlags
	cmd := &cobra.Command{
		Use: "recover", Short: "Get the keyring back from shares, under a new master key", Args: cobra.NoArgs,
		Long: `Opens the recovery copy with as many shares as it needs and puts the keyring into
its place, encrypted by the key that --master names now. A keyring that lies
there under a key that was lost is overwritten; the store refuses it, and every
copy of it, from then on. What was recovered, and when, is in the log.

Shares are read from files (--share) or typed. If the data is lost too, recover
into an empty data directory first, and then restore the backup into it.`,
		Example: `  abide keys recover --master file:/mnt/new --data DIR
  abide keys recover --share a.txt --share b.txt --share c.txt --copy /mnt/ledger/` + recoveryCopy + ` --data DIR`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.store.data = cmp.Or(f.store.data, m.Env("ABIDE_DATA"))
			if f.store.data == "" {
				return usage("no data directory; use --data DIR")
			}
			return m.recoverKeys(cmd.Context(), f, &s)
		},
	}
	s.add(cmd)
	return cmd
}

func (m *Main) recoverKeys(ctx context.Context, f *keyFlags, s *shareFlags) error {
	copyAt, err := m.copyPath(f.store, s.copy)
	if err != nil {
		return err
	}
	ring, err := s.ring(m, copyAt)
	if err != nil {
		return err
	}
	key, err := m.masterKey(ctx, m.masterURI(f.store))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(f.store.data, "keys"), 0o700); err != nil {
		return dataDirectory(err)
	}
	there := f.store.exists() || f.store.postgres != ""
	if err := m.putRecovered(ctx, f.store, ring, key, copyAt, there); err != nil {
		return err
	}
	out := map[string]any{"recovered": ring.Recovered(), "generation": ring.Generation(), "master": ring.Master(), "store": there}
	if there {
		st, err := m.open(ctx, f.store) // it records the recovery
		if err != nil {
			return err
		}
		st.close(context.WithoutCancel(ctx))
	}
	if f.json {
		return printJSON(m.Stdout, out)
	}
	fmt.Fprintf(m.Stdout, "recovered the keyring, generation %d, in %s\n", ring.Generation(), ring.Place())
	if ring.Master() == "" {
		fmt.Fprintln(m.Stdout, "no master key encrypts it: it lies there in the clear, readable by its owner only")
	}
	if !there {
		fmt.Fprintln(m.Stdout, "there is no store yet: go on with abide restore")
		return nil
	}
	fmt.Fprintln(m.Stdout, "the store opens with it; keyrings from before are refused")
	return nil
}

// putRecovered puts a recovered ring into its place, after a look whether the
// store is its own.
func (m *Main) putRecovered(ctx context.Context, f storeFlags, ring *keys.Keyring, key keys.Master, copyAt string, there bool) error {
	st := &opened{}
	defer func() { st.close(context.WithoutCancel(ctx)) }()
	var keyStore storage.KeyStore
	if there {
		var store storage.Store
		var err error
		if store, keyStore, err = m.openDatabases(ctx, f, st); err != nil {
			return err
		}
		if err := engine.CheckKeyring(ctx, store, keyStore, ring); err != nil {
			return err
		}
	} else if m.inDatabase(f) {
		return usage("a keyring in the database needs the database: restore it first, and name it with --postgres")
	}
	place, err := m.keyPlace(f, keyStore)
	if err != nil {
		return err
	}
	return ring.Recover(ctx, place, key, copyAt, m.Now())
}

// drillFlags say what a rehearsal works on.
type drillFlags struct {
	shareFlags
	postgres, keysPostgres string
	temp                   string
}

func (m *Main) keysDrill(f *keyFlags) *cobra.Command {
	var d drillFlags
	cmd := &cobra.Command{
		Use: "drill [BACKUP]", Short: "Rehearse a recovery: open a backup with shares, and read a canary back", Args: cobra.MaximumNArgs(1),
		Long: `Copies a backup to a temporary place, opens the recovery copy with the shares,
the backup with the keyring that they give, and reads back a canary: a value
about nobody, sealed like a person's. Then it forgets the keyring and removes
the copy. Nothing of the store is changed but the record of the outcome, in the
log and for the findings; no share and no key is printed, logged or written.

For PostgreSQL, restore a backup into databases of their own and name them with
--restored-postgres. A drill is due every 180 days unless ` + "`abide keys drill every`" + `
says otherwise.`,
		Example: `  abide keys drill /backup/2026-11-25 --data DIR
  abide keys drill --restored-postgres postgres://…/rehearsal --restored-keys-postgres postgres://…/rehearsal_keys --data DIR --postgres postgres://…/abide
  abide keys drill every 90 --data DIR`,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) == 1 && d.postgres != "", len(args) == 0 && d.postgres == "":
				return usage("name a backup, or restored databases with --restored-postgres")
			case d.postgres != "" && d.postgres == f.store.postgres:
				return usage("--restored-postgres is where a backup was restored for the drill, not the store itself")
			}
			return m.withStore(cmd.Context(), f.store, func(e *engine.Engine) error {
				return m.drill(cmd.Context(), e, f, &d, args)
			})
		},
	}
	d.add(cmd)
	fl := cmd.Flags()
	fl.StringVar(&d.postgres, "restored-postgres", "", "URL of a database into which a backup was restored for the drill")
	fl.StringVar(&d.keysPostgres, "restored-keys-postgres", "", "URL of another one for its wrapped keys")
	fl.StringVar(&d.temp, "temp", "", "folder for the temporary copy")
	cmd.AddCommand(m.days(f, "every DAYS", "Declare after how many days a recovery is to be rehearsed again", "abide keys drill every 90 --data DIR",
		"drill_every_days", "a recovery is to be rehearsed every %d days\n", (*engine.Engine).SetDrillEvery))
	return cmd
}

func (m *Main) drill(ctx context.Context, e *engine.Engine, f *keyFlags, d *drillFlags, args []string) error {
	status, err := e.KeyStatus(ctx, localCaller())
	if err != nil {
		return err
	}
	if status.Escrow == nil {
		return &abide.Error{Code: abide.CodeNotFound, Detail: "no_escrow", Message: "no shares of this keyring have been made", Hint: "make them with `abide keys escrow`"}
	}
	out := engine.Drill{Set: status.Escrow.Set}
	failed := m.rehearse(ctx, e, d, cmp.Or(d.copy, status.Escrow.Copy), args, &out)
	out.Passed = failed == nil
	if failed != nil {
		out.Failed = cmp.Or(abide.ErrorDetail(failed), "failed")
	}
	if err := e.RecordDrill(ctx, localCaller(), out); err != nil {
		return errors.Join(failed, err)
	}
	if failed != nil {
		return failed
	}
	if f.json {
		return printJSON(m.Stdout, out)
	}
	fmt.Fprintf(m.Stdout, "rehearsed: shares of set %s open the backup, and the keyring as it is; the canary was read back\n", out.Set)
	return nil
}

// rehearse does the drill, and leaves nothing behind.
func (m *Main) rehearse(ctx context.Context, e *engine.Engine, d *drillFlags, copyAt string, args []string, out *engine.Drill) error {
	ring, err := d.ring(m, copyAt)
	if err != nil {
		return err
	}
	defer ring.Close()
	if err := e.CompareRing(ctx, localCaller(), ring); err != nil {
		return err
	}
	f := storeFlags{postgres: d.postgres, keysPostgres: d.keysPostgres}
	if f.data, err = os.MkdirTemp(d.temp, "abide-drill-"); err != nil {
		return dataDirectory(err)
	}
	defer func() { _ = os.RemoveAll(f.data) }()
	if len(args) == 1 {
		made, _, err := m.placeBackup(ctx, args[0], f)
		if err != nil {
			return err
		}
		out.Backup = made.Created
	}
	st := &opened{}
	defer func() { st.close(context.WithoutCancel(ctx)) }()
	store, keyStore, err := m.openDatabases(ctx, f, st)
	if err != nil {
		return err
	}
	profiles, err := laws.Load()
	if err != nil {
		return err
	}
	// Without the restore ledger and the uploads, which are those of the store
	// that serves.
	rehearsal, err := engine.Open(ctx, engine.Options{Store: store, Keys: keyStore, Keyring: ring, Laws: profiles, Clock: m.Now})
	if err != nil {
		return err
	}
	return errors.Join(rehearsal.Rehearse(ctx, localCaller()), rehearsal.Close(context.WithoutCancel(ctx)))
}
