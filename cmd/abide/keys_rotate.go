package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/abide-privacy/abide/internal/engine"
)

func (m *Main) keysRotate(f *keyFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use: "rotate", Short: "Replace keys while the store serves",
		Long: `Replaces keys while servers go on serving. A rotation that was interrupted goes
on where it was when it is called again.`,
	}
	cmd.AddCommand(
		m.rotation(f, "kek", "Begin a new epoch: wrap every person's keys anew, destroy epochs whose time has come",
			func(ctx context.Context, e *engine.Engine, o engine.RotateKeys) (engine.KeyRotation, error) {
				return e.RotateKEK(ctx, localCaller(), o)
			}),
		m.rotation(f, "index", "Begin a new index key: make every item's look-up anew, destroy the old key",
			func(ctx context.Context, e *engine.Engine, o engine.RotateKeys) (engine.KeyRotation, error) {
				return e.RotateIndex(ctx, localCaller(), o)
			}),
		m.rotation(f, "log", "Seal log entries by new keys from now on; older ones open what they sealed",
			func(ctx context.Context, e *engine.Engine, _ engine.RotateKeys) (engine.KeyRotation, error) {
				id, err := e.RotateLog(ctx, localCaller())
				return engine.KeyRotation{Key: id}, err
			}),
		m.rotation(f, "sign", "Sign receipts and certificates by a new key; older public keys stay",
			func(ctx context.Context, e *engine.Engine, _ engine.RotateKeys) (engine.KeyRotation, error) {
				id, err := e.RotateSign(ctx, localCaller())
				return engine.KeyRotation{Key: id}, err
			}),
	)
	return cmd
}

type rotate func(ctx context.Context, e *engine.Engine, o engine.RotateKeys) (engine.KeyRotation, error)

func (m *Main) rotation(f *keyFlags, name, short string, run rotate) *cobra.Command {
	return &cobra.Command{
		Use: name, Short: short, Args: cobra.NoArgs,
		Example: "  abide keys rotate " + name + " --data DIR",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return m.withStore(cmd.Context(), f.store, func(e *engine.Engine) error {
				p := &progress{w: m.Stderr, now: m.Now}
				_, p.tty = terminal(m.Stderr)
				got, err := run(cmd.Context(), e, engine.RotateKeys{Progress: p.show})
				p.end()
				if err != nil {
					return err
				}
				if f.json {
					return printJSON(m.Stdout, got)
				}
				m.writeRotation(name, got)
				return nil
			})
		},
	}
}

func (m *Main) writeRotation(name string, r engine.KeyRotation) {
	fmt.Fprintf(m.Stdout, "rotated %s: the key is now %s\n", name, r.Key)
	if r.Resumed {
		fmt.Fprintln(m.Stdout, "went on with a rotation that was interrupted")
	}
	if r.Rewrapped > 0 {
		fmt.Fprintf(m.Stdout, "wrapped anew: %d keys\n", r.Rewrapped)
	}
	if r.Reindexed > 0 {
		fmt.Fprintf(m.Stdout, "look-ups made anew: %d\n", r.Reindexed)
	}
	if r.Unfindable > 0 {
		fmt.Fprintf(m.Stdout, "items that the policy does not tell how to find, and that are found no more: %d\n", r.Unfindable)
	}
	for _, id := range r.Emptied {
		fmt.Fprintf(m.Stdout, "epoch %s wraps nothing any more; `abide keys destroy` destroys it when the backup window has passed\n", id)
	}
	for _, id := range r.Destroyed {
		fmt.Fprintln(m.Stdout, "destroyed", destroyed[name], id)
	}
}

// destroyed says what a rotation destroys.
var destroyed = map[string]string{"kek": "epoch", "index": "index key"}

// progress shows how far a run is: one line rewritten on a terminal, a line
// every few seconds otherwise.
type progress struct {
	w     io.Writer
	now   func() time.Time
	tty   bool
	last  time.Time
	shown bool
	open  bool
}

const (
	progressTerminal = 200 * time.Millisecond
	progressPlain    = 5 * time.Second
)

func (p *progress) show(s engine.Progress) {
	every, now := progressPlain, p.now()
	if p.tty {
		every = progressTerminal
	}
	if p.shown && now.Sub(p.last) < every && s.Done < s.Total {
		return
	}
	p.last, p.shown = now, true
	share := int64(100)
	if s.Total > 0 {
		share = min(100*s.Done/s.Total, 100)
	}
	line := fmt.Sprintf("%s: %d of %d (%d %%)", s.Step, s.Done, s.Total, share)
	if !p.tty {
		fmt.Fprintln(p.w, "abide:", line)
		return
	}
	fmt.Fprintf(p.w, "\r%s %s", line, strings.Repeat(" ", 4))
	p.open = true
}

func (p *progress) end() {
	if p.open {
		fmt.Fprintln(p.w)
	}
}
