package audit_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/testx/testlog"
)

// exported is a log of real entries, and an export of some of them.
func exported(t *testing.T, subject abide.SubjectID, from, to int64) ([]byte, *audit.Keys) {
	t.Helper()
	l, err := testlog.New(origin)
	if err != nil {
		t.Fatal(err)
	}
	var leaves []audit.Leaf
	for n := range 20 {
		leaf, err := audit.NewLeaf(&audit.Part{Subject: subject, N: uint64(n + 1), Reason: "asked"},
			&audit.Envelope{Kind: audit.Looked, At: time.Date(2026, 3, 1, 12, n, 0, 0, time.UTC), Actor: audit.Who{Kind: abide.ActorStaff, Name: "staff-17"}})
		if err != nil {
			t.Fatal(err)
		}
		leaves = append(leaves, leaf)
		if err := l.Append(leaf.Commitment[:]); err != nil {
			t.Fatal(err)
		}
	}
	p := publishLog(t, l)
	c := p.checkpoint(t)
	var b bytes.Buffer
	h := audit.ExportHeader{Origin: origin, At: time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)}
	if subject.IsZero() {
		h.From, h.To = from, to
	} else {
		h.Subject = subject
	}
	x, err := audit.NewExport(&b, h)
	if err != nil {
		t.Fatal(err)
	}
	for i := from; i < to; i++ {
		proof, err := p.reader().Prove(t.Context(), c, i)
		if err != nil {
			t.Fatal(err)
		}
		proof.Extra = nil
		e := &audit.ExportedEntry{Index: i, Commitment: hex.EncodeToString(leaves[i].Commitment[:]), Proof: string(proof.Encode()), Envelope: leaves[i].Envelope}
		if !subject.IsZero() {
			e.Part = leaves[i].Part
		}
		if err := x.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	x.Wait(1, 0)
	if _, err := x.End(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), p.keys
}

// verifyExport returns what was verified and what was found.
func verifyExport(raw []byte, k *audit.Keys) (entries int, found []string, err error) {
	_, _, err = audit.VerifyExport(bytes.NewReader(raw), k, func(*audit.VerifiedEntry) error {
		entries++
		return nil
	}, func(f *audit.Fault) { found = append(found, fmt.Sprintf("%s %s @%d", f.Code, f.Path, f.Entry)) })
	return entries, found, err
}

func TestExportsVerifyOffline(t *testing.T) {
	someone := abide.SubjectID{1}
	for _, subject := range []abide.SubjectID{someone, {}} {
		raw, keys := exported(t, subject, 3, 9)
		if n, found, err := verifyExport(raw, keys); n != 6 || found != nil || err != nil {
			t.Fatalf("%d entries, %q, %v", n, found, err)
		}
		lines := strings.SplitAfter(string(raw), "\n")
		for name, c := range map[string]struct {
			raw  string
			want string
		}{
			"another person's":   {strings.Replace(string(raw), `"subject":"01`, `"subject":"02`, 1), "proof_wrong"},
			"an entry left out":  {strings.Join(append(lines[:2:2], lines[3:]...), ""), "export_malformed"},
			"cut":                {strings.Join(lines[:5], ""), "export_malformed"},
			"another index":      {strings.Replace(string(raw), `"index":4`, `"index":5`, 1), "proof_wrong export_malformed"},
			"more after the end": {string(raw) + lines[1], "export_malformed"},
			"no export":          {"{}\n", "export_malformed"},
			"nothing":            {"", "export_malformed"},
			"of another log":     {strings.Replace(string(raw), origin, "other.example/log", 1), "checkpoint_origin"},
			"a made-up envelope": {strings.Replace(string(raw), `"envelope":"`, `"envelope":"AAAA`, 1), "proof_wrong"},
		} {
			_, found, err := verifyExport([]byte(c.raw), keys)
			if name == "another person's" && subject.IsZero() {
				continue // an export of a range names nobody
			}
			got := fmt.Sprint(found, err)
			if !slices.ContainsFunc(strings.Fields(c.want), func(want string) bool { return strings.Contains(got, want) }) {
				t.Errorf("%s: %s, want %s", name, got, c.want)
			}
		}
	}
}

func FuzzVerifyExport(f *testing.F) {
	f.Add([]byte(`{"form":"abide-log-export/1","origin":"shop.example/log","at":"2026-03-02T00:00:00Z"}` + "\n" + `{"entries":0}` + "\n"))
	keys := publish(f, 1).keys
	f.Fuzz(func(t *testing.T, raw []byte) {
		n, _, err := verifyExport(raw, keys)
		if n > 0 && err == nil {
			t.Errorf("%q exports %d entries of a log of one", raw, n)
		}
	})
}
