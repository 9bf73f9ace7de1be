package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/witness"
)

type witnessFlags struct {
	data    string
	serving serveFlags // listen, TLS, form of the log
	logs    []string
}

func (m *Main) witnessCommand() *cobra.Command {
	var f witnessFlags
	cmd := &cobra.Command{
		Use:     "witness",
		GroupID: "run",
		Short:   "Witness the logs of others, so that they cannot rewrite them",
		Long: `Runs a witness (c2sp.org/tlog-witness): it signs a log's checkpoint if that
continues the last one it signed, which it keeps in its data directory. Two
companies that witness each other cannot rewrite their logs unnoticed, unless
both do it together. It sees sizes and hashes, never an entry.

Make its key with ` + "`abide witness init`" + ` first. Whoever can put back older files in
the data directory can make it sign a fork: do not restore it from a backup.`,
		Example: `  abide witness init w1.bakery.example --data /var/lib/abide-witness
  abide witness --data /var/lib/abide-witness --log shop.key --listen 127.0.0.1:8090`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return m.witness(cmd.Context(), &f) },
	}
	cmd.PersistentFlags().StringVar(&f.data, "data", "", "directory with the witness's key and what it signed last")
	_ = cmd.MarkPersistentFlagRequired("data")
	fl := cmd.Flags()
	fl.StringArrayVar(&f.logs, "log", nil, "verifier key of a log to witness, or a file of it; repeat it")
	fl.StringVar(&f.serving.listen, "listen", "127.0.0.1:8090", "address to listen on; port 0 takes a free one")
	fl.StringVar(&f.serving.tlsCert, "tls-cert", "", "certificate file, to serve HTTPS")
	fl.StringVar(&f.serving.tlsKey, "tls-key", "", "key file of the certificate")
	fl.BoolVar(&f.serving.logJSON, "log-json", false, "log as JSON")
	_ = cmd.MarkFlagRequired("log")
	cmd.MarkFlagsRequiredTogether("tls-cert", "tls-key")
	cmd.AddCommand(&cobra.Command{
		Use:   "init NAME",
		Short: "Make the key of a witness and print its verifier key",
		Long: `Makes the key of a new witness in the data directory and prints the verifier key
that logs and readers of logs are to know it by. NAME says whose it is, in the
form of a URL without scheme; it need not be reachable.`,
		Example: `  abide witness init w1.bakery.example --data /var/lib/abide-witness`,
		Args:    cobra.ExactArgs(1),
		RunE:    func(_ *cobra.Command, args []string) error { return m.witnessInit(args[0], f.data) },
	})
	return cmd
}

// witnessKeyHead begins the file of a witness's private key, in the manner of
// the keys of signed notes: the name and the base64 of the seed follow.
const witnessKeyHead = "PRIVATE+WITNESS+KEY+"

func witnessKeyFile(data string) string { return filepath.Join(data, "witness.key") }

func (m *Main) witnessInit(name, data string) error {
	seed := make([]byte, ed25519.SeedSize)
	if _, err := rand.Read(seed); err != nil {
		return err
	}
	c, err := audit.NewCosigner(name, seed, m.Now)
	if err != nil {
		return usage(strings.TrimPrefix(err.Error(), "audit: "))
	}
	if err := os.MkdirAll(data, 0o700); err != nil {
		return dataDirectory(err)
	}
	file := witnessKeyFile(data)
	if _, err := os.Lstat(file); !errors.Is(err, os.ErrNotExist) {
		return &abide.Error{Code: abide.CodeConflict, Detail: "witness_key", Message: "there is a witness in this directory already",
			Hint: "a witness keeps its key: logs and their readers know it by that", Err: err}
	}
	if err := keepFile(file, []byte(witnessKeyHead+name+"+"+base64.StdEncoding.EncodeToString(seed)+"\n")); err != nil {
		return err
	}
	fmt.Fprintln(m.Stdout, c.VerifierKey())
	return nil
}

func readCosigner(data string, now func() time.Time) (*audit.Cosigner, error) {
	raw, err := os.ReadFile(witnessKeyFile(data))
	if err != nil {
		return nil, &abide.Error{Code: abide.CodeNotFound, Detail: "witness_key", Message: "there is no key of a witness in this directory",
			Hint: "make one with `abide witness init NAME --data DIR`", Err: err}
	}
	damaged := &abide.Error{Code: abide.CodeInvalid, Detail: "witness_key", Message: "the key of the witness is damaged", Hint: "bring witness.key back from where you keep it"}
	rest, ok := strings.CutPrefix(strings.TrimSpace(string(raw)), witnessKeyHead)
	name, text, two := strings.Cut(rest, "+")
	seed, err := base64.StdEncoding.Strict().DecodeString(text)
	if !ok || !two || err != nil {
		return nil, damaged
	}
	c, err := audit.NewCosigner(name, seed, now)
	if err != nil {
		return nil, damaged
	}
	return c, nil
}

func (m *Main) witness(ctx context.Context, f *witnessFlags) error {
	c, err := readCosigner(f.data, m.Now)
	if err != nil {
		return err
	}
	log := m.logger(f.serving.logJSON)
	o := witness.Options{Cosigner: c, Dir: f.data, Log: log}
	for _, key := range f.logs {
		text, err := keyText(key)
		if err != nil {
			return err
		}
		o.Logs = append(o.Logs, text)
	}
	listener, err := f.serving.open(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }()
	unlock, err := lockData(f.data)
	if err != nil {
		return err
	}
	defer unlock()
	s, err := witness.New(o)
	if err != nil {
		return &abide.Error{Code: abide.CodeInvalid, Detail: "witness", Message: strings.TrimPrefix(err.Error(), "witness: "),
			Hint: "a witness that forgot what it signed must not go on under the same key: make another, and tell the readers of the logs", Err: err}
	}
	for origin, size := range s.Latest() {
		log.Info("witnessing", "origin", origin, "size", size)
	}
	return m.answer(ctx, listener, s, log, nil)
}
