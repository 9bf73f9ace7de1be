package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/engine"
	"github.com/abide-privacy/abide/internal/keys"
)

// recoveryCopy is the file that shares open, in the directory of the restore
// ledger unless another is named: like the ledger it lies outside of database
// and backup, all servers of a store share it, and no old one is put back.
const recoveryCopy = "keyring-recovery.json"

func (m *Main) keysEscrow(f *keyFlags) *cobra.Command {
	var custodians []string
	var shares, threshold int
	var out, copyAt string
	cmd := &cobra.Command{
		Use: "escrow", Short: "Make shares that together open the keyring if its master key is lost", Args: cobra.NoArgs,
		Long: `Draws a recovery key and splits it into shares, one for each custodian named. As
many as --threshold says open the keyring; fewer tell nothing. Print them, hand
them out and keep none: they are shown once.

Shares stay good however often keys are rotated: every change of the keyring is
sealed to the recovery key first, in a recovery copy. That file lies with the
restore ledger unless --copy names another, on a medium of its own. There is one
of it: it is overwritten with each change, so that what was destroyed does not
come back by it. Never keep old ones, and never put it into a backup of the data.

Making shares again replaces the former ones; destroy those.`,
		Example: `  abide keys escrow --threshold 3 --custodian finance --custodian legal --custodian notary --custodian board --custodian it --data DIR
  abide keys escrow rewrite --copy /mnt/safe/recovery.json --data DIR
  abide keys escrow end --data DIR`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if shares != 0 && shares != len(custodians) || len(custodians) == 0 {
				return usage("name one custodian for each share: --custodian finance --custodian legal …")
			}
			return m.withStore(cmd.Context(), f.store, func(e *engine.Engine) error {
				path, err := m.copyPath(f.store, copyAt)
				if err != nil {
					return err
				}
				return m.escrow(cmd.Context(), e, f, custodians, threshold, path, out)
			})
		},
	}
	fl := cmd.Flags()
	fl.IntVar(&shares, "shares", 0, "how many shares: as many as custodians are named")
	fl.IntVar(&threshold, "threshold", 0, "how many of them open the keyring")
	fl.StringArrayVar(&custodians, "custodian", nil, "an office that keeps a share, such as finance; repeat it")
	fl.StringVar(&out, "out", "", "folder for one file for each share, instead of printing them")
	cmd.PersistentFlags().StringVar(&copyAt, "copy", "", "file of the recovery copy ("+recoveryCopy+" beside the restore ledger)")
	_ = cmd.MarkFlagRequired("threshold")
	cmd.AddCommand(
		&cobra.Command{
			Use: "rewrite", Short: "Write the recovery copy anew: its file was lost, or --copy names another place", Args: cobra.NoArgs,
			Example: "  abide keys escrow rewrite --data DIR",
			RunE: func(cmd *cobra.Command, _ []string) error {
				return m.withStore(cmd.Context(), f.store, func(e *engine.Engine) error {
					if err := e.RewriteRecoveryCopy(cmd.Context(), localCaller(), copyAt); err != nil {
						return err
					}
					fmt.Fprintln(m.Stdout, "the recovery copy is written; the shares open the keyring as it is")
					return nil
				})
			},
		},
		&cobra.Command{
			Use: "end", Short: "Give the shares up: the recovery copy is overwritten", Args: cobra.NoArgs,
			Example: "  abide keys escrow end --data DIR",
			RunE: func(cmd *cobra.Command, _ []string) error {
				return m.withStore(cmd.Context(), f.store, func(e *engine.Engine) error {
					if err := e.EndEscrow(cmd.Context(), localCaller()); err != nil {
						return err
					}
					fmt.Fprintln(m.Stdout, "the shares open nothing any more; destroy them")
					return nil
				})
			},
		})
	return cmd
}

// copyPath is where the recovery copy lies if nobody says otherwise.
func (m *Main) copyPath(f storeFlags, named string) (string, error) {
	if named != "" {
		return named, nil
	}
	if f.data == "" {
		f.data = m.Env("ABIDE_DATA")
	}
	dir, _, err := m.ledgerDir(f)
	return filepath.Join(dir, recoveryCopy), err
}

// escrow hands the shares out before they are in force: a crash between leaves
// paper that opens nothing, and the former shares as good as they were.
func (m *Main) escrow(ctx context.Context, e *engine.Engine, f *keyFlags, custodians []string, threshold int, copyAt, out string) error {
	n, err := e.PrepareEscrow(localCaller(), custodians, threshold, copyAt)
	if err != nil {
		return err
	}
	switch {
	case out != "":
		err = writeShares(out, n)
	case f.json:
		err = printJSON(m.Stdout, sharesOutput(n))
	default:
		for i := range n.Given {
			fmt.Fprintln(m.Stdout, strings.Repeat("- ", 36))
			if err = writeShare(m.Stdout, n, i); err != nil {
				break
			}
		}
	}
	if err == nil {
		err = e.BeginEscrow(ctx, localCaller(), n)
	}
	if err != nil {
		fmt.Fprintln(m.Stderr, "abide: the shares are not in force: destroy what was printed or written of them")
		return err
	}
	fmt.Fprintf(m.Stderr, "abide: in force: any %d of %d shares of set %s open the keyring, with the recovery copy %s\n", threshold, len(custodians), n.Set, n.Copy)
	fmt.Fprintln(m.Stderr, "abide: make a backup now, and rehearse: abide keys drill BACKUP")
	return nil
}

type shareOutput struct {
	Custodian string `json:"custodian"`
	Share     string `json:"share"`
}

func sharesOutput(n *keys.NewEscrow) map[string]any {
	out := make([]shareOutput, len(n.Given))
	for i, s := range n.Given {
		out[i] = shareOutput{n.Custodians[i], s.Text()}
	}
	return map[string]any{"set": n.Set, "threshold": n.Threshold, "copy": n.Copy, "shares": out}
}

func writeShare(w io.Writer, n *keys.NewEscrow, i int) error {
	s := n.Given[i]
	_, err := fmt.Fprintf(w, `Share %d of %d; any %d of them open the keyring

custodian  %s
keyring    %x
set        %x
made       %s

%s

Keep it apart from the other shares and from the data. Alone it opens nothing.
When shares are made anew, destroy it.

`, s.Number, len(n.Given), s.Threshold, n.Custodians[i], s.Keyring, s.Set, n.Made.Format("2006-01-02"), s.Text())
	return err
}

// writeShares writes one file for each share, in a folder for its owner only.
func writeShares(dir string, n *keys.NewEscrow) error {
	failed := func(err error) error {
		return &abide.Error{Code: abide.CodeUnavailable, Detail: "shares_not_written", Message: "the shares cannot be written: " + err.Error(),
			Hint: "name a new folder with --out", Err: err}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return failed(err)
	}
	for i := range n.Given {
		err := placeFile(filepath.Join(dir, fmt.Sprintf("share-%d.txt", i+1)), func(w io.Writer) error { return writeShare(w, n, i) })
		if err != nil {
			return failed(err)
		}
	}
	return nil
}

func (m *Main) keysRewrap(f *keyFlags) *cobra.Command {
	var to string
	cmd := &cobra.Command{
		Use: "rewrap", Short: "Encrypt the keyring by another master key", Args: cobra.NoArgs,
		Long: `Moves the keyring from the clear to a master key, or from one master key to
another. Servers that were started with the new key as --master-also
(ABIDE_MASTER_ALSO) take it over while they serve; start each of them once more
with the new key as --master before the next time the keyring changes. Then
destroy the old key where it lies: it opens old copies of the keyring.`,
		Example: "  abide keys rewrap --to aws-kms://arn:aws:kms:… --master file:/mnt/key --data DIR",
		RunE: func(cmd *cobra.Command, _ []string) error {
			key, err := m.masterKey(cmd.Context(), to)
			if err != nil {
				return err
			}
			return m.withStore(cmd.Context(), f.store, func(e *engine.Engine) error {
				if err := e.MoveKeyring(cmd.Context(), localCaller(), key); err != nil {
					return err
				}
				fmt.Fprintf(m.Stdout, "the keyring is encrypted by %s\n", key.URI)
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "the new master key: aws-kms://…, gcp-kms://…, hcvault://… or file:PATH")
	_ = cmd.MarkFlagRequired("to")
	return cmd
}
