package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/abide-privacy/abide/audit"
)

type watchFlags struct {
	place logPlace
	state string
	every time.Duration
	late  time.Duration
	once  bool
	json  bool
}

func (m *Main) logWatchCommand() *cobra.Command {
	var f watchFlags
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "Follow the log and raise the alarm if it forks, shrinks or falls silent",
		Long: `Looks at the checkpoint again and again and wants each to continue the last, which
is kept in the file of --state: keep that where the log's operator cannot write.

It ends with exit code 7 if entries are gone or are not what the log signed
before; both checkpoints are then in STATE.evidence, and prove it to anyone. It
ends with 8 if nothing new came for longer than --late; with --witness, if the
newest cosignature is older than that. While the log cannot be reached it goes on.`,
		Example: `  abide log watch --url https://privacy.shop.example/log --key shop.key --state shop.watch --late 1h
  abide log watch --url https://privacy.shop.example/log --key shop.key --state shop.watch --once   # from cron`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return m.logWatch(cmd.Context(), &f) },
	}
	f.place.flags(cmd)
	fl := cmd.Flags()
	fl.StringVar(&f.state, "state", "", "file that remembers the last checkpoint")
	fl.DurationVar(&f.every, "every", time.Minute, "how often to look")
	fl.DurationVar(&f.late, "late", 0, "how long the log may publish nothing new; 0 is for ever")
	fl.BoolVar(&f.once, "once", false, "look once and end")
	fl.BoolVar(&f.json, "json", false, "print JSON, one object a line")
	_ = cmd.MarkFlagRequired("state")
	return cmd
}

func (m *Main) logWatch(ctx context.Context, f *watchFlags) error {
	log, k, err := f.place.open()
	if err != nil {
		return err
	}
	if f.every < time.Second {
		return usage("--every is at least 1s")
	}
	w := &audit.Watch{Late: f.late}
	raw, err := os.ReadFile(f.state)
	if err == nil {
		err = w.Load(raw, k)
	} else if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return m.logError(err)
	}
	tick := time.NewTicker(f.every)
	defer tick.Stop()
	for {
		if err := m.watchOnce(ctx, f, log, w); err != nil {
			return err
		}
		if f.once {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// watchOnce looks once, keeps what was verified, and returns the alarm.
func (m *Main) watchOnce(ctx context.Context, f *watchFlags, log *audit.Log, w *audit.Watch) error {
	before := w.Last()
	c, err := w.Look(ctx, log, m.Now())
	var fault *audit.Fault
	switch {
	case errors.As(err, &fault):
		if f.json {
			_ = json.NewEncoder(m.Stdout).Encode(fault)
		} else {
			m.showFault(fault)
		}
		if c != nil && before != nil && faultExit(fault) == exitForged {
			if err := keepFile(f.state+".evidence", slices.Concat(before.Note, []byte("\n"), c.Note)); err != nil {
				return err
			}
		}
		if fault.Code == audit.CheckpointLate && w.Last() != before {
			if err := keepWatch(f.state, w); err != nil {
				return err
			}
		}
		return quiet{faultExit(fault)}
	case err != nil && f.once:
		return m.logError(err)
	case err != nil && ctx.Err() == nil:
		fmt.Fprintf(m.Stderr, "abide: the log was not reached: %v\n", err)
	}
	if err != nil {
		return nil //nolint:nilerr // it was told; the next look may reach the log
	}
	if err := keepWatch(f.state, w); err != nil {
		return err
	}
	if before != nil && before.Size == c.Size {
		return nil
	}
	if f.json {
		return json.NewEncoder(m.Stdout).Encode(verified{Origin: c.Origin, Size: c.Size, Root: base64.StdEncoding.EncodeToString(c.Root[:]), Cosigned: c.Cosigned})
	}
	fmt.Fprintf(m.Stdout, "%s: %d entries\n", c.Origin, c.Size)
	return nil
}

func keepWatch(path string, w *audit.Watch) error {
	raw, err := w.Save()
	if err != nil {
		return err
	}
	return keepFile(path, raw)
}
