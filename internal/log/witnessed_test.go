package log_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/log"
)

// asked is a witness in this process, which may be away.
type asked struct {
	*audit.Cosigner
	away bool
	n    int
}

func (a *asked) Cosign(_ context.Context, _ *audit.Log, c *audit.SignedCheckpoint) ([]byte, error) {
	a.n++
	if a.away {
		return nil, errors.New("away")
	}
	signed, err := note.Sign(&note.Note{Text: c.Text()}, a.Cosigner)
	if err != nil {
		return nil, err
	}
	_, lines, _ := bytes.Cut(signed, []byte("\n\n"))
	return lines, nil
}

// TestWitnessThatWasAway signs the checkpoint of a log that does not grow once it
// is back; what another signed meanwhile stays on it, though that one is away
// now. What nobody signed is shown as such.
func TestWitnessThatWasAway(t *testing.T) {
	engines(t, func(w *world) {
		t := w.T
		var vkeys []string
		var all []log.Witness
		var witnesses []*asked
		for i, name := range []string{"w1.example", "w2.example"} {
			c := must(audit.NewCosigner(name, bytes.Repeat([]byte{byte(i + 1)}, 32), func() time.Time { return w.clock }))(t)
			a := &asked{Cosigner: c, away: i == 1}
			witnesses, all, vkeys = append(witnesses, a), append(all, a), append(vkeys, c.VerifierKey())
		}
		s := log.New(log.Options{Store: w.store, Keys: w.keys, Origin: origin, Node: "n1", Witnesses: all,
			Clock: func() time.Time { return w.clock }, Watch: func() time.Duration { return w.watch }})
		h := log.NewHandler(w.store, w.keys)
		h.Witnesses = vkeys
		known := must(audit.NewKeys(must(log.VerifierKeys(w.keys, origin))(t)[0], vkeys...))(t)
		signed := func(want1, want2 int64) {
			t.Helper()
			w.ok(s.Step(w.ctx))
			r := httptest.NewRecorder()
			h.ServeHTTP(r, httptest.NewRequest(http.MethodGet, "/witnesses", nil))
			var got log.Witnessed
			w.ok(json.Unmarshal(r.Body.Bytes(), &got))
			for i, want := range []int64{want1, want2} {
				if by := got.Witnesses[i]; by.Size != want || by.Unwitnessed != got.Size-want || (by.At == "") != (want == 0) {
					t.Errorf("%s: %+v, want %d of %d", by.Witness, by, want, got.Size)
				}
			}
			c := must(known.Open(must(w.store.Checkpoint(w.ctx, 1))(t).Note))(t)
			count := 0
			for _, want := range []int64{want1, want2} {
				if want == c.Size {
					count++
				}
			}
			if len(c.Cosigned) != count {
				t.Errorf("%d cosignatures on the checkpoint of %d, want %d", len(c.Cosigned), c.Size, count)
			}
		}
		w.write(3)
		signed(3, 0)
		w.watch += time.Minute
		witnesses[0].away, witnesses[1].away = true, false
		signed(3, 3)
		before := witnesses[0].n
		w.watch += time.Second
		signed(3, 3)
		if witnesses[0].n != before {
			t.Error("a witness is asked again at once about the same checkpoint")
		}
		w.write(2)
		signed(3, 5)
	})
}
