package main

import (
	"cmp"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/keys"
	"github.com/abide-privacy/abide/internal/restore"
)

func ledgerFlag(fl *pflag.FlagSet, f *storeFlags) {
	fl.StringVar(&f.ledger, "restore-ledger", "", "directory of the restore ledger (ABIDE_RESTORE_LEDGER; DATA/ledger): better on another disk, and shared by all servers of a store")
}

// ledgerPlace is the file in a data directory that remembers where the restore
// ledger lies, so that no command opens the store beside it.
const ledgerPlace = "restore-ledger.path"

// openLedger opens the restore ledger of a store: where it is said to be, or
// was last.
func (m *Main) openLedger(f storeFlags, ring *keys.Keyring) (*restore.Ledger, error) {
	dir, own, err := m.ledgerDir(f)
	if err != nil {
		return nil, err
	}
	ledger, err := restore.Open(dir, ring.Store(), ring)
	if err != nil || own {
		return ledger, err
	}
	if err := os.WriteFile(filepath.Join(f.data, ledgerPlace), []byte(dir+"\n"), 0o600); err != nil {
		return nil, errors.Join(&abide.Error{Code: abide.CodeUnavailable, Detail: "data_directory",
			Message: "where the restore ledger lies cannot be noted in the data directory", Hint: "make the data directory writable", Err: err}, ledger.Close())
	}
	return ledger, nil
}

// ledgerDir is the directory of the restore ledger; own: within the data
// directory, because nobody named another.
func (m *Main) ledgerDir(f storeFlags) (dir string, own bool, err error) {
	dir = cmp.Or(f.ledger, m.Env("ABIDE_RESTORE_LEDGER"))
	if dir == "" {
		switch raw, err := os.ReadFile(filepath.Join(f.data, ledgerPlace)); {
		case err == nil:
			dir = strings.TrimSpace(string(raw))
		case !errors.Is(err, os.ErrNotExist):
			return "", false, dataDirectory(err)
		}
	}
	if dir == "" {
		return filepath.Join(f.data, "ledger"), true, nil
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return "", false, dataDirectory(err)
	}
	return dir, false, nil
}
