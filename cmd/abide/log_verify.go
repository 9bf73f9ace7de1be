package main

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
)

type verifyFlags struct {
	place                logPlace
	since, state, save   string
	proof, entry, export string
	json                 bool
}

func (m *Main) logVerifyCommand() *cobra.Command {
	var f verifyFlags
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Rebuild the log from its entries, or check a proof or an export offline",
		Long: `Reads every entry of a published log, rebuilds the tree, and compares every tile
and the signed checkpoint. Each entry, bundle, tile or checkpoint that was
changed is named; where they disagree, what is above in the tree decides which of
them it was. With --since, the log must also continue a checkpoint that was kept.

With --state, an interrupted run goes on where it stopped, and a later one looks
at new entries only. Leave it out to look at all of them again.

With --proof or --export, a file is checked without a connection.`,
		Example: `  abide log verify --url https://privacy.shop.example/log --key shop.key --since last.checkpoint --save last.checkpoint
  abide log verify --dir /srv/log --key shop.key --json
  abide log verify --proof 17.tlog-proof --key shop.key
  abide log verify --export mine.jsonl --key shop.key`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case f.proof != "":
				return m.verifyProof(&f)
			case f.export != "":
				return m.verifyExport(&f)
			}
			return m.verifyLog(cmd.Context(), &f)
		},
	}
	f.place.flags(cmd)
	fl := cmd.Flags()
	fl.StringVar(&f.since, "since", "", "file of a checkpoint, or of a proof with one, that the log must continue")
	fl.StringVar(&f.save, "save", "", "keep the verified checkpoint in this file, for --since")
	fl.StringVar(&f.state, "state", "", "file that lets an interrupted run go on")
	fl.StringVar(&f.proof, "proof", "", "check this proof of an entry, offline")
	fl.StringVar(&f.entry, "entry", "", "with --proof: the entry in hexadecimal, if the proof does not carry it")
	fl.StringVar(&f.export, "export", "", "check this export, offline")
	fl.BoolVar(&f.json, "json", false, "print JSON, one object a line")
	cmd.MarkFlagsMutuallyExclusive("proof", "export", "url", "dir")
	cmd.MarkFlagsMutuallyExclusive("proof", "export", "since")
	cmd.MarkFlagsMutuallyExclusive("proof", "export", "state")
	cmd.MarkFlagsMutuallyExclusive("proof", "export", "save")
	return cmd
}

// verified is the last line of a verification.
type verified struct {
	Origin   string           `json:"origin"`
	Size     int64            `json:"size"`
	Root     string           `json:"root"`
	Since    int64            `json:"since,omitempty"`
	Cosigned []audit.Cosigned `json:"cosigned"`
	Faults   int64            `json:"faults"`
}

func (m *Main) verifyLog(ctx context.Context, f *verifyFlags) error {
	log, k, err := f.place.open()
	if err != nil {
		return err
	}
	v := audit.Verification{}
	var since *audit.SignedCheckpoint
	if f.since != "" {
		if since, err = readCheckpoint(f.since, k); err != nil {
			return m.logError(err)
		}
		v.Since = &since.Checkpoint
	}
	if v.Resume, err = loadVerifyState(f.state, k.Origin()); err != nil {
		return err
	}
	c, err := log.Checkpoint(ctx)
	if err != nil {
		return m.logError(err)
	}
	lines, worst := json.NewEncoder(m.Stdout), exitOK
	v.Found = func(fault *audit.Fault) {
		if code := faultExit(fault); worst != exitForged {
			worst = code
		}
		if f.json {
			_ = lines.Encode(fault)
			return
		}
		m.showFault(fault)
	}
	v.Passed = m.verifyPassed(f, k.Origin(), c.Size)
	state, err := log.Verify(ctx, &c.Checkpoint, v)
	if _, tty := terminal(m.Stderr); tty {
		fmt.Fprintln(m.Stderr)
	}
	if f.state != "" && state != nil {
		if err := saveVerifyState(f.state, k.Origin(), state); err != nil {
			return err
		}
	}
	if err != nil {
		return m.logError(err)
	}
	out := verified{Origin: c.Origin, Size: c.Size, Root: base64.StdEncoding.EncodeToString(c.Root[:]), Cosigned: c.Cosigned, Faults: state.Faults}
	if since != nil {
		out.Since = since.Size
	}
	if err := m.showVerified(&out, f.json); err != nil {
		return err
	}
	if state.Faults > 0 { // also of an earlier run that this one goes on from
		return quiet{max(worst, exitFailed)}
	}
	if f.save != "" {
		return keepFile(f.save, c.Note)
	}
	return nil
}

func (m *Main) showVerified(v *verified, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(m.Stdout).Encode(v)
	}
	fmt.Fprintf(m.Stdout, "%s: %d entries, root %s\n", v.Origin, v.Size, v.Root)
	if v.Since > 0 && v.Faults == 0 {
		fmt.Fprintf(m.Stdout, "continues the checkpoint of %d entries\n", v.Since)
	}
	m.showWitnesses(v.Cosigned)
	fmt.Fprintf(m.Stdout, "%d faults\n", v.Faults)
	return nil
}

func (m *Main) showWitnesses(cosigned []audit.Cosigned) {
	for _, w := range cosigned {
		fmt.Fprintf(m.Stdout, "witnessed by %s at %s\n", w.Witness, w.At.Format(time.RFC3339))
	}
	if len(cosigned) == 0 {
		fmt.Fprintln(m.Stdout, "witnessed by nobody known")
	}
}

// stateEvery is how many entries may have to be read again after a crash.
const stateEvery = 1 << 16

// verifyPassed shows progress and keeps the state now and then.
func (m *Main) verifyPassed(f *verifyFlags, origin string, size int64) func(*audit.VerifyState) {
	width, tty := terminal(m.Stderr)
	return func(s *audit.VerifyState) {
		if s.Size%stateEvery == 0 && f.state != "" {
			if err := saveVerifyState(f.state, origin, s); err != nil {
				fmt.Fprintf(m.Stderr, "abide: the state was not kept: %v\n", err)
			}
		}
		line := fmt.Sprintf("%d of %d entries; %d faults", s.Size, size, s.Faults)
		switch {
		case tty && s.Size%(1<<12) == 0:
			fmt.Fprintf(m.Stderr, "\r%-*.*s", width-1, width-1, line)
		case !tty && s.Size%(1<<20) == 0:
			fmt.Fprintf(m.Stderr, "abide: %s\n", line)
		}
	}
}

func loadVerifyState(path, origin string) (*audit.VerifyState, error) {
	if path == "" {
		return nil, nil
	}
	raw, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, notRead(path, err)
	}
	s, err := audit.LoadState(raw, origin)
	if err != nil {
		return nil, &abide.Error{Code: abide.CodeInvalid, Detail: "log_state", Message: "the state of the verification cannot be used", Hint: "remove the file to begin again", Err: err}
	}
	return s, nil
}

func saveVerifyState(path, origin string, s *audit.VerifyState) error {
	raw, err := s.Save(origin)
	if err != nil {
		return err
	}
	return keepFile(path, raw)
}

func (m *Main) verifyProof(f *verifyFlags) error {
	k, err := f.place.keys()
	if err != nil {
		return err
	}
	raw, err := os.ReadFile(f.proof)
	if err != nil {
		return notRead(f.proof, err)
	}
	p, err := audit.ParseProof(raw)
	if err != nil {
		return m.logError(err)
	}
	entry := p.Extra
	if f.entry != "" {
		if entry, err = hex.DecodeString(f.entry); err != nil {
			return usage("--entry is hexadecimal")
		}
	}
	if len(entry) == 0 {
		return usage("the proof does not carry its entry; give it with --entry")
	}
	c, err := p.Verify(k, entry)
	if err != nil {
		return m.logError(err)
	}
	if f.json {
		return printJSON(m.Stdout, map[string]any{"origin": c.Origin, "index": p.Index, "entry": hex.EncodeToString(entry), "size": c.Size, "cosigned": c.Cosigned})
	}
	fmt.Fprintf(m.Stdout, "%s: entry %d of %d is %x\n", c.Origin, p.Index, c.Size, entry)
	m.showWitnesses(c.Cosigned)
	return nil
}

func (m *Main) verifyExport(f *verifyFlags) error {
	k, err := f.place.keys()
	if err != nil {
		return err
	}
	in, err := os.Open(f.export)
	if err != nil {
		return notRead(f.export, err)
	}
	defer func() { _ = in.Close() }()
	faults, lines := 0, json.NewEncoder(m.Stdout)
	header, end, err := audit.VerifyExport(in, k, func(e *audit.VerifiedEntry) error {
		return m.showEntry(e, f.json)
	}, func(fault *audit.Fault) {
		faults++
		if f.json {
			_ = lines.Encode(fault)
			return
		}
		m.showFault(fault)
	})
	if err != nil {
		return m.logError(err)
	}
	if !f.json {
		fmt.Fprintf(m.Stdout, "%s: %d entries, %d faults", header.Origin, end.Entries, faults)
		if end.Waiting > 0 {
			fmt.Fprintf(m.Stdout, "; %d were not in the log yet", end.Waiting)
		}
		fmt.Fprintln(m.Stdout)
	}
	if faults > 0 {
		return quiet{exitFailed}
	}
	return nil
}

// showEntry writes an entry that was verified.
func (m *Main) showEntry(e *audit.VerifiedEntry, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(m.Stdout).Encode(map[string]any{"index": e.Index, "subject": e.Part, "envelope": e.Envelope})
	}
	switch {
	case e.Envelope == nil && e.Part == nil:
		fmt.Fprintf(m.Stdout, "%d: not opened\n", e.Index)
	case e.Envelope == nil:
		fmt.Fprintf(m.Stdout, "%d: entry %d of the person\n", e.Index, e.Part.N)
	default:
		line := fmt.Sprintf("%d: %s %s by %s %s for %s %s %s", e.Index, e.Envelope.At.Format(time.RFC3339), e.Envelope.Kind,
			e.Envelope.Actor.Kind, orDash(e.Envelope.Actor.Name), orDash(string(e.Envelope.Purpose)), e.Envelope.Act, e.Envelope.Effect)
		fmt.Fprintln(m.Stdout, strings.TrimRight(line, " "))
	}
	return nil
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
