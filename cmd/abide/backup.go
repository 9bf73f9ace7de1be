package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/api"
	"github.com/abide-privacy/abide/internal/storage/sqlite"
)

const (
	backupForm     = "abide-backup/1"
	backupManifest = "manifest.json"
	backupData     = "abide.db"
	backupKeys     = "keys.db"
)

// manifest tells what a backup holds. It is written last: a folder without it
// is no backup.
type manifest struct {
	Form     string                     `json:"form"`
	Created  time.Time                  `json:"created"`
	Version  string                     `json:"abide"`
	Engine   string                     `json:"engine"`
	KeyCheck string                     `json:"key_check"` // of the keyring that opens it
	Schema   [2]int64                   `json:"schema"`    // data, keys
	Subjects int64                      `json:"subjects"`
	Keys     int64                      `json:"keys"`
	Epoch    int64                      `json:"policy_epoch"`
	Policy   string                     `json:"policy,omitempty"`
	Ledger   map[string]json.RawMessage `json:"restore_ledger"` // how far it knows the restore ledger
	Files    []backupFile               `json:"files"`
	// Uploads tells whether files were copied or, in a bucket, listed; empty in
	// backups from before they were either.
	Uploads     string   `json:"uploads,omitempty"`
	UploadCount int64    `json:"upload_count,omitempty"`
	Lacks       []string `json:"not_included"`
}

type backupFile struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

func (m *Main) backupCommand() *cobra.Command {
	var store storeFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "backup DEST",
		GroupID: "admin",
		Short:   "Copy a store to a new folder, while the server runs",
		Long: `Writes a consistent copy of an embedded store: first the data, then the wrapped
keys, then the files that people handed in, then a manifest with digests; and
opens the copy to see that it is whole. A server may go on running.

Files that lie in a bucket are not copied but listed: give the bucket versions
or a replica of its own. A restore says which of them are not there.

The keyring is not in it (keys/keyring.json in the data directory): whoever
holds both can read everything. Keep it apart. The restore ledger is not in it
either: it must outlive the store, and tells a restore what was erased,
withdrawn or corrected since. So must the published log (DATA/log, --log-dir),
from which the log of a restored store goes on.

A store on PostgreSQL is backed up with PostgreSQL's own means; docs/operations.md
says how.`,
		Example: "  abide backup /backup/2026-11-25 --data /var/lib/abide\n  abide backup verify /backup/2026-11-25",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if store.data == "" {
				store.data = m.Env("ABIDE_DATA")
			}
			if store.data == "" {
				return usage("no data directory; use --data DIR")
			}
			made, err := m.backup(cmd.Context(), store, args[0])
			if err != nil {
				return err
			}
			return m.showManifest(made, args[0], asJSON)
		},
	}
	cmd.PersistentFlags().BoolVar(&asJSON, "json", false, "print the manifest as JSON")
	cmd.Flags().StringVar(&store.data, "data", "", "data directory (ABIDE_DATA)")
	uploadsFlag(cmd.Flags(), &store)
	cmd.AddCommand(&cobra.Command{
		Use: "verify SRC", Short: "Check that a backup is whole; exit code 1 if it is not", Args: cobra.ExactArgs(1),
		Example: "  abide backup verify /backup/2026-11-25",
		RunE: func(cmd *cobra.Command, args []string) error {
			made, err := verifyBackup(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return m.showManifest(made, args[0], asJSON)
		},
	})
	return cmd
}

func (m *Main) showManifest(made *manifest, dir string, asJSON bool) error {
	if asJSON {
		return printJSON(m.Stdout, made)
	}
	fmt.Fprintf(m.Stdout, "%s: %d people, %d keys, %d uploads%s, policy %s, made %s; whole\n", dir, made.Subjects, made.Keys, made.UploadCount, map[bool]string{true: " listed"}[made.Uploads == uploadsListed], short(made.Policy), made.Created.Format(time.RFC3339))
	for _, l := range made.Lacks {
		fmt.Fprintf(m.Stdout, "not included: %s\n", l)
	}
	return nil
}

// backup makes a backup in a new folder, or none at all.
func (m *Main) backup(ctx context.Context, store storeFlags, dest string) (made *manifest, err error) {
	if !store.exists() {
		return nil, &abide.Error{Code: abide.CodeNotFound, Detail: "no_store", Message: "there is no embedded store in this data directory",
			Hint: "name another with --data; a store on PostgreSQL is backed up with PostgreSQL's own means"}
	}
	uploads, err := m.openUploads(ctx, store)
	if err != nil {
		return nil, err
	}
	if err := os.Mkdir(dest, 0o700); err != nil {
		return nil, &abide.Error{Code: abide.CodeInvalid, Detail: "backup_destination", Message: "the folder of the backup cannot be made: " + err.Error(),
			Hint: "name a folder that does not exist yet, in one that does", Err: err}
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(dest) // ours: it was made a moment ago
		}
	}()
	say := func(format string, args ...any) { fmt.Fprintf(m.Stderr, "abide: "+format+"\n", args...) }
	if st, err := os.Stat(store.database()); err == nil {
		say("copying data, about %d MiB", st.Size()>>20)
	}
	if err := sqlite.Backup(ctx, store.database(), filepath.Join(dest, backupData)); err != nil {
		return nil, backupFailed(err)
	}
	copied := m.Now()
	// After the data: a key that is missing was destroyed meanwhile.
	say("copying wrapped keys")
	err = sqlite.BackupKeys(ctx, filepath.Join(store.data, "keys", "keys.db"), filepath.Join(dest, backupKeys), func(n int) {
		if n%300000 == 0 {
			say("%d keys", n)
		}
	})
	if err != nil {
		return nil, backupFailed(err)
	}
	say("copying uploads")
	how, n, err := m.backupUploads(ctx, uploads, dest, say)
	if err != nil {
		return nil, backupFailed(err)
	}
	say("checking the copy")
	if made, err = describeBackup(dest, copied, how); err != nil {
		return nil, err
	}
	made.UploadCount = n
	if err := writeManifest(dest, made); err != nil {
		return nil, backupFailed(err)
	}
	return verifyBackup(ctx, dest)
}

func backupFailed(err error) error {
	return &abide.Error{Code: abide.CodeUnavailable, Detail: "backup_failed", Message: "the backup was not made: " + err.Error(),
		Hint: "is there room, and may this user read the data directory?", Err: err}
}

// describeBackup opens both files and says what they hold.
func describeBackup(dir string, now time.Time, uploads string) (*manifest, error) {
	data, err := sqlite.Inspect(filepath.Join(dir, backupData), false)
	if err != nil {
		return nil, damagedBackup(err.Error())
	}
	keys, err := sqlite.Inspect(filepath.Join(dir, backupKeys), true)
	if err != nil {
		return nil, damagedBackup(err.Error())
	}
	check := hex.EncodeToString(data.Meta["key_check"])
	if check != hex.EncodeToString(keys.Meta["key_check"]) {
		return nil, damagedBackup("data and keys belong to different keyrings")
	}
	made := &manifest{Form: backupForm, Created: now.UTC().Truncate(time.Second), Version: api.Version, Engine: "sqlite", KeyCheck: check,
		Schema: [2]int64{data.Schema, keys.Schema}, Subjects: data.Subjects, Keys: keys.Keys, Epoch: data.Epoch, Policy: data.Policy,
		Ledger: map[string]json.RawMessage{},
		Lacks:  []string{"the keyring (keys/keyring.json): keep a copy apart from this one", "the restore ledger: it stays where it is", "the published log: it stays where it is"}}
	for name, mark := range data.Marks {
		made.Ledger[name] = mark
	}
	made.Uploads = uploads
	names := []string{backupData, backupKeys}
	if uploads != "" {
		names = append(names, backupUploads)
	}
	if uploads == uploadsListed {
		made.Lacks = append(made.Lacks, "uploads: they lie in a bucket; keep its versions or a replica")
	}
	for _, name := range names {
		f, err := digestFile(dir, name)
		if err != nil {
			return nil, damagedBackup(err.Error())
		}
		made.Files = append(made.Files, f)
	}
	return made, nil
}

func damagedBackup(why string) error {
	return &abide.Error{Code: abide.CodeInvalid, Detail: "backup_damaged", Message: "the backup is not whole: " + why, Hint: "use another backup"}
}

func digestFile(dir, name string) (backupFile, error) {
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return backupFile{}, err
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	n, err := io.Copy(h, f)
	return backupFile{Name: name, Size: n, SHA256: hex.EncodeToString(h.Sum(nil))}, err
}

func writeManifest(dir string, made *manifest) error {
	raw, err := json.MarshalIndent(made, "", "  ")
	if err != nil {
		return err
	}
	return placeFile(filepath.Join(dir, backupManifest), func(w io.Writer) error {
		_, err := w.Write(append(raw, '\n'))
		return err
	})
}

// placeFile writes a file that was not there, whole and durable, or none.
func placeFile(path string, write func(io.Writer) error) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".abide-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	err = write(tmp)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Link(tmp.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// verifyBackup compares every file with the manifest and opens both databases.
func verifyBackup(ctx context.Context, dir string) (*manifest, error) {
	raw, err := os.ReadFile(filepath.Join(dir, backupManifest))
	if err != nil {
		return nil, &abide.Error{Code: abide.CodeNotFound, Detail: "no_backup", Message: "there is no backup in this folder, or it was not finished",
			Hint: "name the folder that `abide backup` made", Err: err}
	}
	var said manifest
	if err := json.Unmarshal(raw, &said); err != nil || said.Form != backupForm {
		return nil, damagedBackup("its manifest is of no form that this program knows")
	}
	is, err := describeBackup(dir, said.Created, said.Uploads)
	if err != nil {
		return nil, err
	}
	if len(said.Files) != len(is.Files) {
		return nil, damagedBackup("the manifest does not list its files")
	}
	for i, f := range is.Files {
		if said.Files[i] != f {
			return nil, damagedBackup(f.Name + " is not the file that was written")
		}
	}
	if said.KeyCheck != is.KeyCheck || said.Subjects != is.Subjects || said.Epoch != is.Epoch {
		return nil, damagedBackup("the manifest says something else than the files")
	}
	return &said, verifyUploads(ctx, dir, &said)
}
