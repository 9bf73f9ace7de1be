package main

import (
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
	note := filepath.Join(f.data, ledgerPlace)
	dir := f.ledger
	if dir == "" {
		dir = m.Env("ABIDE_RESTORE_LEDGER")
	}
	if dir == "" {
		switch raw, err := os.ReadFile(note); {
		case err == nil:
			dir = strings.TrimSpace(string(raw))
		case !errors.Is(err, os.ErrNotExist):
			return nil, dataDirectory(err)
		}
	}
	if dir == "" {
		return restore.Open(filepath.Join(f.data, "ledger"), ring.Store(), ring)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, dataDirectory(err)
	}
	ledger, err := restore.Open(dir, ring.Store(), ring)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(note, []byte(dir+"\n"), 0o600); err != nil {
		return nil, errors.Join(&abide.Error{Code: abide.CodeUnavailable, Detail: "data_directory",
			Message: "where the restore ledger lies cannot be noted in the data directory", Hint: "make the data directory writable", Err: err}, ledger.Close())
	}
	return ledger, nil
}
