package audit_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/abide-privacy/abide/audit"
)

type unreachable struct{}

func (unreachable) Read(context.Context, string, int64) ([]byte, error) {
	return nil, errors.New("no route to host")
}

// cosign lets a witness sign what is published.
func (p *published) cosign(t testing.TB, w *audit.Cosigner) {
	t.Helper()
	v, err := note.NewVerifier(p.log.Key)
	if err != nil {
		t.Fatal(err)
	}
	n, err := note.Open(p.files["checkpoint"], note.VerifierList(v))
	if err != nil {
		t.Fatal(err)
	}
	n.UnverifiedSigs = nil
	if p.files["checkpoint"], err = note.Sign(n, w); err != nil {
		t.Fatal(err)
	}
}

func TestWatch(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	w := &audit.Watch{Late: time.Hour}
	p := publish(t, 300)
	look := func(p *published, after time.Duration, want audit.FaultCode) {
		t.Helper()
		now = now.Add(after)
		_, err := w.Look(t.Context(), p.reader(), now)
		var f *audit.Fault
		if errors.As(err, &f) != (want != "") || f != nil && f.Code != want || err != nil && f == nil {
			t.Errorf("found %v, want %q", err, want)
		}
	}
	look(p, 0, "")
	look(p, 50*time.Minute, "")
	look(p, 11*time.Minute, audit.CheckpointLate)
	longer := publish(t, 301)
	look(longer, time.Minute, "")
	look(p, time.Minute, audit.LogShorter)
	look(longer, 0, "")

	// An idle log that its witness goes on signing is not late.
	witness, err := audit.NewCosigner("witness.example/w1", bytes.Repeat([]byte{7}, 32), func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	if longer.keys, err = audit.NewKeys(p.log.Key, witness.VerifierKey()); err != nil {
		t.Fatal(err)
	}
	now = now.Add(3 * time.Hour)
	longer.cosign(t, witness)
	look(longer, time.Minute, "")
	look(longer, time.Hour, audit.CheckpointLate)

	saved, err := w.Save()
	if err != nil {
		t.Fatal(err)
	}
	again := &audit.Watch{Late: time.Hour}
	if err := again.Load(saved, longer.keys); err != nil || again.Last().Size != 301 {
		t.Fatal(err)
	}
	w = again
	look(longer, 0, audit.CheckpointLate)
	longer.cosign(t, witness)
	look(longer, 0, "")

	// Unreachable is not late at once, and is late in the end.
	l := audit.NewLog(unreachable{}, longer.keys)
	if _, err := w.Look(t.Context(), l, now.Add(time.Minute)); err == nil || errors.As(err, new(*audit.Fault)) {
		t.Errorf("a log that cannot be reached: %v", err)
	}
	if _, err := w.Look(t.Context(), l, now.Add(2*time.Hour)); !isFault(err, audit.CheckpointLate) {
		t.Errorf("a log that cannot be reached for two hours: %v", err)
	}
	if err := again.Load([]byte(`{"form":"abide-log-watch/1"}`), longer.keys); err == nil {
		t.Error("a watch without checkpoint was loaded")
	}
}
