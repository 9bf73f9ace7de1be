package main

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/client"
)

// fetchDocument writes a document that proves itself, byte for byte as the server
// sent it: what is printed anew would be another file.
func (m *Main) fetchDocument(cmd *cobra.Command, p *place, path, out string) error {
	return m.with(cmd, p, func(ctx context.Context, c *client.Client) error {
		var doc json.RawMessage
		if err := c.Do(ctx, http.MethodGet, path, nil, &doc); err != nil {
			return err
		}
		if out == "" {
			_, err := fmt.Fprintf(m.Stdout, "%s\n", doc)
			return err
		}
		if err := keepFile(out, doc); err != nil {
			return err
		}
		fmt.Fprintf(m.Stdout, "%s: %d bytes\n", out, len(doc))
		return nil
	})
}

func (m *Main) consentReceipt(p *place) *cobra.Command {
	var form, out string
	cmd := &cobra.Command{
		Use: "receipt SUBJECT EVENT", Short: "Write the receipt of an event of the ledger, in a published form if asked", Args: cobra.ExactArgs(2),
		Long: `Writes the signed receipt of an event, with the proof that the log has it: from
about a second after the event on. EVENT is its number in the ledger, which
` + "`abide consent list`" + ` shows. Other forms are iso27560 (consent receipt of ISO/IEC
TS 27560, JSON-LD), iso27560-record and kantara (docs/receipts.md).`,
		Example: "  abide consent receipt 0197b6a2-… 3 --out receipt.json\n  abide consent receipt 0197b6a2-… 3 --format kantara --out kantara.json",
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := subjectPath(args[0], "/receipts/")
			if err != nil {
				return err
			}
			if strings.Trim(args[1], "0123456789") != "" {
				return usage("EVENT is a number in the ledger")
			}
			if strings.Trim(form, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
				return usage("--format is abide, iso27560, iso27560-record or kantara")
			}
			return m.fetchDocument(cmd, p, path+args[1]+"?format="+form, out)
		},
	}
	cmd.Flags().StringVar(&form, "format", "abide", "abide, iso27560, iso27560-record or kantara")
	cmd.Flags().StringVar(&out, "out", "", "file to write; otherwise it is printed")
	return cmd
}

func (m *Main) certificateCommand() *cobra.Command {
	var p place
	var out string
	cmd := &cobra.Command{Use: "certificate", GroupID: "people", Short: "Write and verify certificates of erasure and of disclosure"}
	m.placeFlags(cmd, &p)
	erasure := &cobra.Command{
		Use: "erasure SUBJECT", Short: "Write the certificate of an erased person, with its proof", Args: cobra.ExactArgs(1),
		Example: "  abide certificate erasure 0197b6a2-… --out erased.json",
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := subjectPath(args[0], "/certificate")
			if err != nil {
				return err
			}
			return m.fetchDocument(cmd, &p, path, out)
		},
	}
	disclosure := &cobra.Command{
		Use: "disclosure SUBJECT NODE/BATCH/POS", Short: "Certify a disclosure, by its place in the log of the person", Args: cobra.ExactArgs(2),
		Example: "  abide certificate disclosure 0197b6a2-… n1.8f2c/17/0 --out disclosed.json",
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := subjectPath(args[0], "/looks/")
			if err != nil {
				return err
			}
			if strings.Count(args[1], "/") != 2 || strings.ContainsAny(args[1], "?#%") {
				return usage("name the look as NODE/BATCH/POS; `abide subject log` shows it")
			}
			return m.fetchDocument(cmd, &p, path+args[1]+"/certificate", out)
		},
	}
	for _, c := range []*cobra.Command{erasure, disclosure} {
		c.Flags().StringVar(&out, "out", "", "file to write; otherwise it is printed")
	}
	cmd.AddCommand(erasure, disclosure, m.documentVerify("Check a certificate offline"))
	return cmd
}

type documentFlags struct {
	keys          []string
	signatureOnly bool
	witnesses     []string
	quorum        int
	json          bool
}

// documentVerify is the command that checks receipts and certificates.
func (m *Main) documentVerify(short string) *cobra.Command {
	var f documentFlags
	cmd := &cobra.Command{
		Use: "verify FILE", Short: short, Args: cobra.ExactArgs(1),
		Long: `Checks a receipt of consent in any of its forms, or a certificate of erasure or
disclosure, without a connection: the signatures, that the log has the entry of it
under the checkpoint in the file, and that what the file shows agrees with both.

Give both keys: the one that signs receipts (` + "`/v1/receipt-key`" + `) and the log's
(` + "`/log/key`" + `), each itself or a file of it, kept from an earlier day or from
somewhere else. ABIDE_KEYS names a file of keys that are always believed, one a line.

Exit code 1 and a stable code say what is wrong: document_signature,
document_key, document_differs, document_malformed, document_not_proved,
proof_wrong, checkpoint_signature and others (docs/receipts.md).`,
		Example: "  abide consent verify receipt.json --key receipt.key --key shop.key\n  abide certificate verify erased.json --key receipt.key --key shop.key",
		RunE:    func(_ *cobra.Command, args []string) error { return m.verifyDocument(&f, args[0]) },
	}
	fl := cmd.Flags()
	fl.StringArrayVar(&f.keys, "key", nil, "a key to believe, or a file of keys; repeat it")
	fl.StringArrayVar(&f.witnesses, "witness", nil, "verifier key of a witness, or a file of it; repeat it")
	fl.IntVar(&f.quorum, "quorum", 0, "how many of the witnesses must have signed the checkpoint")
	fl.BoolVar(&f.signatureOnly, "signature-only", false, "do not ask for the proof of the log")
	if cmd.Flags().Lookup("json") == nil {
		fl.BoolVar(&f.json, "json", false, "print JSON")
	}
	return cmd
}

// documentKeys reads the keys to believe.
func (m *Main) documentKeys(f *documentFlags) (audit.DocumentKeys, error) {
	var k audit.DocumentKeys
	var logs []string
	given := f.keys
	if pinned := m.Env("ABIDE_KEYS"); pinned != "" {
		given = append([]string{pinned}, given...)
	}
	for _, one := range given {
		text := one
		if raw, err := os.ReadFile(one); err == nil {
			text = string(raw)
		}
		signing, vkeys, ok := readKeys(text)
		if !ok {
			return k, &abide.Error{Code: abide.CodeInvalid, Detail: "usage", Message: "this is no key, and no file with keys in it: " + one,
				Hint: "a key is what /v1/receipt-key or /log/key answered"}
		}
		k.Signing, logs = append(k.Signing, signing...), append(logs, vkeys...)
	}
	if len(k.Signing) == 0 {
		return k, &abide.Error{Code: abide.CodeInvalid, Detail: "usage", Message: "the key that signs receipts is missing; use --key",
			Hint: "take what /v1/receipt-key answered on an earlier day: a key that comes with what it signs proves nothing"}
	}
	if len(logs) == 0 {
		if !f.signatureOnly {
			return k, &abide.Error{Code: abide.CodeInvalid, Detail: "usage", Message: "the log's key is missing; use --key once more",
				Hint: "take what /log/key answered on an earlier day, or add --signature-only and know less"}
		}
		return k, nil
	}
	place := logPlace{key: strings.Join(logs, "\n"), witnesses: f.witnesses, quorum: f.quorum}
	var err error
	k.Log, err = place.keys()
	return k, err
}

// readKeys reads what the server answers for its keys: JSON, verifier keys of a
// log one a line, or the base64 of an Ed25519 key.
func readKeys(text string) (signing []ed25519.PublicKey, logs []string, ok bool) {
	var answered struct {
		Key     []byte `json:"key"`
		Earlier []struct {
			Key []byte `json:"key"`
		} `json:"earlier"`
	}
	if json.Unmarshal([]byte(text), &answered) == nil && len(answered.Key) == ed25519.PublicKeySize {
		signing = append(signing, answered.Key)
		for _, e := range answered.Earlier {
			if len(e.Key) == ed25519.PublicKeySize {
				signing = append(signing, e.Key)
			}
		}
		return signing, nil, true
	}
	for line := range strings.FieldsSeq(text) {
		raw, err := base64.StdEncoding.DecodeString(line)
		switch {
		case strings.Count(line, "+") >= 2 && len(line) > 44:
			logs = append(logs, line)
		case err == nil && len(raw) == ed25519.PublicKeySize:
			signing = append(signing, raw)
		default:
			return nil, nil, false
		}
	}
	return signing, logs, len(signing)+len(logs) > 0
}

func (m *Main) verifyDocument(f *documentFlags, file string) error {
	k, err := m.documentKeys(f)
	if err != nil {
		return err
	}
	in := m.Stdin
	if file != "-" {
		opened, err := os.Open(file)
		if err != nil {
			return notRead(file, err)
		}
		defer func() { _ = opened.Close() }()
		in = opened
	}
	raw, err := io.ReadAll(io.LimitReader(in, 2<<20))
	if err != nil {
		return notRead(file, err)
	}
	v, err := audit.VerifyDocument(raw, k)
	if err == nil && !v.Proved && !f.signatureOnly {
		err = &audit.Fault{Code: audit.DocumentNotProved, Entry: -1, What: "the signature holds, and there is no proof that the log has it; ask the server for it again"}
	}
	if err != nil {
		return m.logError(err)
	}
	if f.json {
		return printJSON(m.Stdout, documentSummary(v))
	}
	m.showDocument(v)
	return nil
}

// documentSummary is what was verified, for programs.
func documentSummary(v *audit.VerifiedDocument) map[string]any {
	out := map[string]any{"form": v.Form, "logged": v.Log != nil}
	switch {
	case v.Receipt != nil:
		out["receipt"] = v.Receipt
	case v.Certificate != nil:
		out["certificate"] = v.Certificate
	default:
		out["disclosure"] = v.Disclosure
	}
	if v.Log != nil {
		out["index"], out["origin"], out["size"], out["cosigned"] = v.Log.Index, v.Log.Checkpoint.Origin, v.Log.Checkpoint.Size, v.Log.Checkpoint.Cosigned
	}
	return out
}

func (m *Main) showDocument(v *audit.VerifiedDocument) {
	var key string
	switch {
	case v.Receipt != nil:
		r := v.Receipt
		what := string(r.Purpose)
		if what == "" {
			what = "the document " + string(r.Document)
		}
		fmt.Fprintf(m.Stdout, "receipt %s: %s %s, %s\nof subject %s, by %s\n", r.ID, r.Action, what, r.At.Format(time.RFC3339), r.Subject, r.Controller)
		key = r.Key
	case v.Certificate != nil:
		c := v.Certificate
		fmt.Fprintf(m.Stdout, "certificate %s: subject %s erased, %s\nby %s; %d kinds of data outlive it\n", c.ID, c.Subject, c.Erased.Format(time.RFC3339), c.Controller, len(c.Survives))
		key = c.Key
	default:
		d := v.Disclosure
		fmt.Fprintf(m.Stdout, "certificate %s: %s disclosed to %s for %s, %s\nof subject %s, by %s\n", d.ID, joined(d.Categories), d.Recipient, d.Purpose,
			d.At.Format(time.RFC3339), d.Subject, d.Controller)
		key = d.Key
	}
	fmt.Fprintf(m.Stdout, "signed with %s\n", key)
	if v.Log == nil {
		fmt.Fprintln(m.Stdout, "the log was not looked at")
		return
	}
	fmt.Fprintf(m.Stdout, "entry %d of %d in %s\n", v.Log.Index, v.Log.Checkpoint.Size, v.Log.Checkpoint.Origin)
	m.showWitnesses(v.Log.Checkpoint.Cosigned)
}

func joined(cs []abide.Category) string {
	out := make([]string, len(cs))
	for i, c := range cs {
		out[i] = string(c)
	}
	return strings.Join(out, ", ")
}
