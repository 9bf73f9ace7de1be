package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	abide "github.com/abide-privacy/abide"
)

func (m *Main) logProveCommand() *cobra.Command {
	var place logPlace
	var out string
	cmd := &cobra.Command{
		Use:   "prove ENTRY|INDEX",
		Short: "Write a proof that an entry is in the log, which anyone can check offline",
		Long: `Writes a proof in the form of c2sp.org/tlog-proof: the entry, its place, the hashes
that lead to the root, and the signed checkpoint with its witnesses. ENTRY is a
commitment of 64 hexadecimal digits, which is searched from the newest entry on.`,
		Example: `  abide log prove 17 --url https://privacy.shop.example/log --key shop.key --out 17.tlog-proof
  abide log verify --proof 17.tlog-proof --key shop.key`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return m.logProve(cmd.Context(), &place, args[0], out) },
	}
	place.flags(cmd)
	cmd.Flags().StringVar(&out, "out", "", "file to write; otherwise it is printed")
	return cmd
}

func (m *Main) logProve(ctx context.Context, place *logPlace, which, out string) error {
	log, _, err := place.open()
	if err != nil {
		return err
	}
	c, err := log.Checkpoint(ctx)
	if err != nil {
		return m.logError(err)
	}
	var index int64
	if len(which) == 64 {
		entry, err := hex.DecodeString(which)
		if err != nil {
			return usage("an entry is 64 hexadecimal digits, an index is a decimal number")
		}
		if index, err = log.Find(ctx, &c.Checkpoint, entry, nil); err != nil {
			return m.logError(err)
		}
		if index < 0 {
			return notInLog(c.Size)
		}
	} else if index, err = strconv.ParseInt(which, 10, 64); err != nil || index < 0 {
		return usage("an entry is 64 hexadecimal digits, an index is a decimal number")
	}
	if index >= c.Size {
		return notInLog(c.Size)
	}
	p, err := log.Prove(ctx, c, index)
	if err != nil {
		return m.logError(err)
	}
	if out == "" {
		_, err = m.Stdout.Write(p.Encode())
		return err
	}
	if err := keepFile(out, p.Encode()); err != nil {
		return err
	}
	fmt.Fprintf(m.Stdout, "%s: entry %d of %d\n", out, index, c.Size)
	return nil
}

func notInLog(size int64) error {
	return &abide.Error{Code: abide.CodeNotFound, Detail: "not_in_log", Message: fmt.Sprintf("the log has no such entry among its %d", size),
		Hint: "an entry is in the log about a second after it was acknowledged"}
}
