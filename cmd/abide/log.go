package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
)

// Exit codes of the log commands beside those of all commands.
const (
	exitForged = 7 // entries are gone, or are not what the log signed before
	exitLate   = 8 // nothing new for too long
)

func (m *Main) logCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "log", GroupID: "admin", Short: "Check the published log, prove entries, watch it",
		Long: `Checks what Abide says it did, without trusting it: the published log, proofs of
entries, exports. These commands need the log's key from another source than the
log (docs/audit.md), and no access to a store; export asks a server, publish and
renew are for the log's operator.

Exit codes: 1 something is wrong, 7 entries are gone or are not what the log
signed before, 8 nothing new for too long.`}
	cmd.AddCommand(m.logVerifyCommand(), m.logProveCommand(), m.logWatchCommand(), m.logExportCommand(), m.logPublishCommand(), m.logRenewCommand())
	return cmd
}

// logPlace says where a log is and whom to believe.
type logPlace struct {
	url, dir, key string
	witnesses     []string
	quorum        int
}

func (p *logPlace) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&p.url, "url", "", "where the log is published, such as https://privacy.shop.example/log")
	f.StringVar(&p.dir, "dir", "", "directory that it is published to, instead")
	f.StringVar(&p.key, "key", "", "the log's verifier key, or a file of it; not fetched from the log itself")
	f.StringArrayVar(&p.witnesses, "witness", nil, "verifier key of a witness, or a file of it; repeat it")
	f.IntVar(&p.quorum, "quorum", 0, "how many of the witnesses must have signed the checkpoint")
}

// keys reads the keys to believe.
func (p *logPlace) keys() (*audit.Keys, error) {
	if p.key == "" {
		return nil, &abide.Error{Code: abide.CodeInvalid, Detail: "usage", Message: "the log's key is missing; use --key",
			Hint: "take it from a contract, a receipt or an earlier day: a key that is fetched together with what it signs proves nothing"}
	}
	log, err := keyText(p.key)
	if err != nil {
		return nil, err
	}
	var witnesses []string
	for _, w := range p.witnesses {
		text, err := keyText(w)
		if err != nil {
			return nil, err
		}
		witnesses = append(witnesses, text)
	}
	k, err := audit.NewKeys(log, witnesses...)
	if err != nil {
		return nil, usage(err.Error())
	}
	if p.quorum > len(witnesses) {
		return nil, usage("--quorum asks for more witnesses than --witness names")
	}
	k.Quorum = p.quorum
	return k, nil
}

// keyText is the key itself, or what is in the file of that name.
func keyText(s string) (string, error) {
	if strings.Count(s, "+") >= 2 {
		return s, nil
	}
	raw, err := os.ReadFile(s)
	if err != nil {
		return "", &abide.Error{Code: abide.CodeInvalid, Detail: "usage", Message: "this is neither a verifier key nor a file that can be read: " + s,
			Hint: "a key has the form name+id+base64", Err: err}
	}
	return string(raw), nil
}

// open returns a reader of the log.
func (p *logPlace) open() (*audit.Log, *audit.Keys, error) {
	k, err := p.keys()
	if err != nil {
		return nil, nil, err
	}
	if (p.url == "") == (p.dir == "") {
		return nil, nil, usage("name the log with --url or --dir")
	}
	src := audit.Dir(p.dir)
	if p.url != "" {
		if src, err = audit.URL(p.url, nil); err != nil {
			return nil, nil, usage(strings.TrimPrefix(err.Error(), "audit: "))
		}
	}
	return audit.NewLog(src, k), k, nil
}

// showFault writes what is wrong, one a line.
func (m *Main) showFault(f *audit.Fault) {
	fmt.Fprintln(m.Stdout, strings.TrimPrefix(f.Error(), "audit: "))
}

// logError turns what a reader of the log returned into an exit: a fault is
// shown as found, anything else means that the log was not reached.
func (m *Main) logError(err error) error {
	var f *audit.Fault
	if errors.As(err, &f) {
		m.showFault(f)
		return quiet{faultExit(f)}
	}
	if err == nil || abide.ErrorDetail(err) != "" {
		return err
	}
	return &abide.Error{Code: abide.CodeUnavailable, Detail: "log_not_read", Message: "the log cannot be read: " + err.Error(),
		Hint: "is the place right, and reachable? nothing is said about the log itself", Err: err}
}

func faultExit(f *audit.Fault) int {
	switch f.Code {
	case audit.LogForked, audit.LogShorter:
		return exitForged
	case audit.CheckpointLate:
		return exitLate
	default:
		return exitFailed
	}
}

// readCheckpoint reads a checkpoint that was kept: by itself, or in a proof.
func readCheckpoint(path string, k *audit.Keys) (*audit.SignedCheckpoint, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, notRead(path, err)
	}
	if p, err := audit.ParseProof(raw); err == nil {
		raw = p.Checkpoint
	}
	any := *k
	any.Quorum = 0 // when it was kept, witnesses may not have signed it yet
	return any.Open(raw)
}

func notRead(path string, err error) error {
	return &abide.Error{Code: abide.CodeNotFound, Detail: "file", Message: "the file cannot be read: " + path, Hint: "is the name right?", Err: err}
}

// keepFile writes a file whole or not at all, and durably.
func keepFile(path string, raw []byte) error {
	failed := func(err error) error {
		return &abide.Error{Code: abide.CodeUnavailable, Detail: "file", Message: "the file cannot be written: " + path, Hint: "choose a folder that you may write to", Err: err}
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".abide-*")
	if err != nil {
		return failed(err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	if _, err := tmp.Write(raw); err != nil {
		return failed(err)
	}
	if err := tmp.Sync(); err != nil {
		return failed(err)
	}
	if err := tmp.Close(); err != nil {
		return failed(err)
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return failed(err)
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return failed(err)
	}
	defer func() { _ = dir.Close() }()
	if err := dir.Sync(); err != nil {
		return failed(err)
	}
	return nil
}
