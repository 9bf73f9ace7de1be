package main

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/keys"
	"github.com/abide-privacy/abide/internal/keys/master"
	"github.com/abide-privacy/abide/internal/storage"
)

// keyringInDatabase is the value of --keyring for a keyring beside the wrapped
// keys.
const keyringInDatabase = "database"

// openFlags adds the flags that say where a store and its keys are.
func (m *Main) openFlags(cmd *cobra.Command, f *storeFlags) {
	fl := cmd.PersistentFlags()
	fl.StringVar(&f.data, "data", "", "data directory (ABIDE_DATA)")
	fl.StringVar(&f.postgres, "postgres", "", "URL of a PostgreSQL database; the data directory then holds the keyring only")
	fl.StringVar(&f.keysPostgres, "keys-postgres", "", "URL of another database for wrapped keys")
	ledgerFlag(fl, f)
	keyringFlags(fl, f)
}

// keyringFlags say where the keyring is and what encrypts it.
func keyringFlags(fl *pflag.FlagSet, f *storeFlags) {
	fl.StringVar(&f.keyring, "keyring", "", "file of the keyring, or `database`: encrypted, beside the wrapped keys (ABIDE_KEYRING)")
	fl.StringVar(&f.master, "master", "", "key that encrypts the keyring: aws-kms://…, gcp-kms://…, hcvault://… or file:PATH (ABIDE_MASTER)")
	fl.StringVar(&f.masterAlso, "master-also", "", "a further key that may encrypt the keyring, while it is moved from one to the other (ABIDE_MASTER_ALSO)")
}

// keyPlace is where the keyring of a store lies.
func (m *Main) keyPlace(f storeFlags, s storage.KeyStore) (keys.Place, error) {
	where := f.keyring
	if where == "" {
		where = m.Env("ABIDE_KEYRING")
	}
	switch {
	case where == keyringInDatabase && m.masterURI(f) == "":
		return nil, usage("a keyring in the database must be encrypted: name a key with --master")
	case where == keyringInDatabase:
		return keys.StorePlace(s), nil
	case where == "":
		where = filepath.Join(f.data, "keys", "keyring.json")
	}
	return keys.FilePlace(where), nil
}

func (m *Main) masterURI(f storeFlags) string { return cmp.Or(f.master, m.Env("ABIDE_MASTER")) }

// masterKey opens the master key that is named; none if none is.
func (m *Main) masterKey(ctx context.Context, uri string) (keys.Master, error) {
	if uri == "" {
		return keys.Master{}, nil
	}
	return master.Open(ctx, uri, m.Env)
}

// keyring opens the keyring of a store, or makes one for a new store. A store
// that is there already has its keyring somewhere: a new one would open nothing.
func (m *Main) keyring(ctx context.Context, f storeFlags, s storage.KeyStore, create bool) (*keys.Keyring, error) {
	place, err := m.keyPlace(f, s)
	if err != nil {
		return nil, err
	}
	key, err := m.masterKey(ctx, m.masterURI(f))
	if err != nil {
		return nil, err
	}
	also, err := m.masterKey(ctx, cmp.Or(f.masterAlso, m.Env("ABIDE_MASTER_ALSO")))
	if err != nil {
		return nil, err
	}
	ring, err := keys.OpenAt(ctx, place, key, also)
	if !errors.Is(err, fs.ErrNotExist) {
		return ring, err
	}
	if create {
		return keys.CreateAt(ctx, place, key)
	}
	return nil, &abide.Error{Code: abide.CodeNotFound, Detail: "no_keyring",
		Message: "the keyring of this store is missing: " + shortPlace(place, f.data),
		Hint:    "restore it from its backup; without it nothing in the store can be read", Err: err}
}

// shortPlace names a file within the data directory as such.
func shortPlace(p keys.Place, dir string) string {
	if rel, err := filepath.Rel(dir, p.Name()); err == nil && filepath.IsLocal(rel) {
		return filepath.ToSlash(rel) + " in the data directory"
	}
	return p.Name()
}

func (m *Main) inDatabase(f storeFlags) bool {
	return f.keyring == keyringInDatabase || f.keyring == "" && m.Env("ABIDE_KEYRING") == keyringInDatabase
}
