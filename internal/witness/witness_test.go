package witness_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/testx/testlog"
	"github.com/abide-privacy/abide/internal/witness"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// world is a log and its witness.
type world struct {
	t   *testing.T
	log *testlog.Log
	w   *audit.Cosigner
	dir string
	srv *httptest.Server
}

func newWorld(t *testing.T, size int) *world {
	t.Helper()
	l, err := testlog.New("shop.example/log")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Grow(size, ""); err != nil {
		t.Fatal(err)
	}
	c, err := audit.NewCosigner("witness.example/w1", bytes.Repeat([]byte{7}, 32), func() time.Time { return noon })
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, log: l, w: c, dir: t.TempDir()}
	w.start()
	return w
}

// start serves the witness anew, as after a crash.
func (w *world) start() {
	w.t.Helper()
	s, err := witness.New(witness.Options{Cosigner: w.w, Logs: []string{w.log.Key}, Dir: w.dir})
	if err != nil {
		w.t.Fatal(err)
	}
	w.srv = httptest.NewServer(s)
	w.t.Cleanup(w.srv.Close)
}

func (w *world) body(l *testlog.Log, old, size int) string {
	w.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "old %d\n", old)
	if old > 0 && old < size {
		proof, err := l.Consistency(old, size)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, h := range proof {
			b.WriteString(base64.StdEncoding.EncodeToString(h[:]) + "\n")
		}
	}
	c, err := l.Checkpoint(size)
	if err != nil {
		w.t.Fatal(err)
	}
	return b.String() + "\n" + string(c)
}

func (w *world) post(body string) (int, string, http.Header) {
	w.t.Helper()
	res, err := w.srv.Client().Post(w.srv.URL+"/add-checkpoint", "text/plain", strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return res.StatusCode, string(raw), res.Header
}

func (w *world) wants(body string, status int) string {
	w.t.Helper()
	got, answer, _ := w.post(body)
	if got != status {
		w.t.Errorf("answered %d (%q), want %d", got, answer, status)
	}
	return answer
}

// keys know the log and its witness.
func (w *world) keys(quorum int) *audit.Keys {
	w.t.Helper()
	k, err := audit.NewKeys(w.log.Key, w.w.VerifierKey())
	if err != nil {
		w.t.Fatal(err)
	}
	k.Quorum = quorum
	return k
}

// TestAddCheckpoint goes through the statuses of c2sp.org/tlog-witness.
func TestAddCheckpoint(t *testing.T) {
	w := newWorld(t, 2000)
	first := w.wants(w.body(w.log, 0, 1000), http.StatusOK)
	signed, err := w.log.Checkpoint(1000)
	if err != nil {
		t.Fatal(err)
	}
	c, err := w.keys(1).Open(append(signed, first...))
	if err != nil || !c.Cosigned[0].At.Equal(noon) {
		t.Fatalf("the cosignature does not verify: %v", err)
	}

	status, size, header := w.post(w.body(w.log, 0, 1500))
	if status != http.StatusConflict || size != "1000\n" || header.Get("Content-Type") != "text/x.tlog.size" {
		t.Errorf("a conflict is answered with %d, %q, %v", status, size, header)
	}
	w.wants(w.body(w.log, 1000, 1000), http.StatusOK)
	w.wants(w.body(w.log, 900, 1500), http.StatusConflict)
	w.wants(w.body(w.log, 1000, 900), http.StatusBadRequest)

	fork, err := w.log.Fork(999)
	if err != nil {
		t.Fatal(err)
	}
	if err := fork.Grow(2000, "another"); err != nil {
		t.Fatal(err)
	}
	w.wants(w.body(fork, 1000, 1000), http.StatusUnprocessableEntity)
	w.wants(w.body(fork, 1000, 1500), http.StatusUnprocessableEntity)
	w.wants(w.body(fork, 0, 1500), http.StatusConflict)

	good := w.body(w.log, 1000, 1500)
	w.wants(strings.Replace(good, "old 1000\n", "old 1000\n"+strings.Repeat("A", 43)+"=\n", 1), http.StatusUnprocessableEntity)
	w.wants(strings.Replace(good, "old 1000", "old 01000", 1), http.StatusBadRequest)
	w.wants(strings.Replace(good, "old 1000\n", "old 1000\nnonsense\n", 1), http.StatusBadRequest)
	w.wants(strings.Replace(good, "old 1000\n", "old 1000\n"+strings.Repeat(strings.Repeat("A", 43)+"=\n", 63), 1), http.StatusBadRequest)
	w.wants(strings.Replace(good, "\nshop.example/log\n", "\nother.example/log\n", 1), http.StatusNotFound)
	w.wants(strings.Replace(good, "\n1500\n", "\n1501\n", 1), http.StatusForbidden)
	w.wants("", http.StatusBadRequest)
	w.wants(strings.Repeat("x", 300<<10), http.StatusBadRequest)
	other, err := testlog.New("shop.example/other")
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Grow(1500, ""); err != nil {
		t.Fatal(err)
	}
	unsigned := w.body(other, 0, 1500)
	w.wants(strings.Replace(unsigned, "\nshop.example/other\n", "\nshop.example/log\n", 1), http.StatusForbidden)
	w.wants(good, http.StatusOK)

	res, err := w.srv.Client().Get(w.srv.URL + "/add-checkpoint")
	if err != nil {
		t.Fatal(err)
	}
	if res.Body.Close(); res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET is answered with %d", res.StatusCode)
	}
}

// TestProofFromNothing must be empty, and an empty log has the root of nothing.
func TestFirstCheckpoints(t *testing.T) {
	w := newWorld(t, 10)
	w.wants(strings.Replace(w.body(w.log, 0, 10), "old 0\n", "old 0\n"+strings.Repeat("A", 43)+"=\n", 1), http.StatusUnprocessableEntity)
	w.wants(w.body(w.log, 0, 0), http.StatusOK)
	w.wants(w.body(w.log, 0, 10), http.StatusOK)
	w.wants(w.body(w.log, 0, 10), http.StatusConflict)
}

// TestWitnessRemembers restarts it, shows the checkpoint, and refuses a file that
// is not its own.
func TestWitnessRemembers(t *testing.T) {
	w := newWorld(t, 2000)
	hash := "/fb5d0f4c0cf9bd1a5a3bba4ab0a5a66c0bd63ff7e5a79f7ed9b4dfb7b6c5e2aa/checkpoint"
	if res, err := w.srv.Client().Get(w.srv.URL + hash); err != nil || res.StatusCode != http.StatusNotFound {
		t.Errorf("an unknown origin: %v, %v", res, err)
	}
	w.wants(w.body(w.log, 0, 1000), http.StatusOK)
	w.start()
	w.wants(w.body(w.log, 0, 900), http.StatusConflict)
	w.wants(w.body(w.log, 1000, 2000), http.StatusOK)

	files, err := filepath.Glob(filepath.Join(w.dir, "*.checkpoint"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	name := strings.TrimSuffix(filepath.Base(files[0]), ".checkpoint")
	res, err := w.srv.Client().Get(w.srv.URL + "/" + name + "/checkpoint")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	shown, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := w.keys(1).Open(shown); err != nil || c.Size != 2000 {
		t.Errorf("the checkpoint shown: %v", err)
	}

	raw, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	unsigned, err := w.log.Checkpoint(10)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range [][]byte{nil, unsigned, bytes.Replace(raw, []byte("\n2000\n"), []byte("\n1000\n"), 1)} {
		if err := os.WriteFile(files[0], bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := witness.New(witness.Options{Cosigner: w.w, Logs: []string{w.log.Key}, Dir: w.dir}); err == nil {
			t.Errorf("a witness began with %q", bad)
		}
	}
}

// TestNothingIsSignedThatIsNotKept takes the directory away.
func TestNothingIsSignedThatIsNotKept(t *testing.T) {
	w := newWorld(t, 10)
	if err := os.RemoveAll(w.dir); err != nil {
		t.Fatal(err)
	}
	if answer := w.wants(w.body(w.log, 0, 10), http.StatusInternalServerError); strings.Contains(answer, "—") {
		t.Errorf("signed: %q", answer)
	}
	if err := os.Mkdir(w.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	w.wants(w.body(w.log, 0, 10), http.StatusOK)
}

// TestRacingCheckpoints sends all sizes at once from the same old one: one is
// signed, and the witness stands there.
func TestRacingCheckpoints(t *testing.T) {
	w := newWorld(t, 140)
	w.wants(w.body(w.log, 0, 100), http.StatusOK)
	var wait sync.WaitGroup
	var mu sync.Mutex
	won := map[int]bool{}
	for size := 101; size <= 140; size++ {
		body := w.body(w.log, 100, size)
		wait.Go(func() {
			if status, _, _ := w.post(body); status == http.StatusOK {
				mu.Lock()
				won[size] = true
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	if len(won) != 1 {
		t.Fatalf("signed: %v", won)
	}
	_, at, _ := w.post(w.body(w.log, 0, 50))
	for size := range won {
		if at != fmt.Sprintf("%d\n", size) {
			t.Errorf("signed %d, stands at %s", size, at)
		}
	}
}

// files is a published log in memory.
type files map[string][]byte

func (f files) Read(_ context.Context, path string, _ int64) ([]byte, error) {
	if raw, ok := f[path]; ok {
		return raw, nil
	}
	return nil, fs.ErrNotExist
}

func (w *world) publish(l *testlog.Log) (*audit.Log, *audit.SignedCheckpoint) {
	w.t.Helper()
	f, err := l.Files()
	if err != nil {
		w.t.Fatal(err)
	}
	log := audit.NewLog(files(f), w.keys(0))
	c, err := log.Checkpoint(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return log, c
}

func (w *world) client() *witness.Client {
	w.t.Helper()
	c, err := witness.NewClient(w.srv.URL, w.w.VerifierKey(), w.srv.Client())
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// TestClient follows a log that grows, forks and loses its last thousand entries.
func TestClient(t *testing.T) {
	w := newWorld(t, 1000)
	c := w.client()
	cosign := func(c *witness.Client, l *testlog.Log) error {
		log, signed := w.publish(l)
		lines, err := c.Cosign(t.Context(), log, signed)
		if err != nil {
			return err
		}
		_, err = w.keys(1).Open(append(signed.Note, lines...))
		return err
	}
	for _, size := range []int{1000, 1000, 1001, 2000} {
		if err := w.log.Grow(size, ""); err != nil {
			t.Fatal(err)
		}
		if err := cosign(c, w.log); err != nil {
			t.Fatalf("at %d: %v", size, err)
		}
	}
	// Another node does not know yet how far the witness is.
	if err := cosign(w.client(), w.log); err != nil {
		t.Error(err)
	}
	if got := c.Status(); got.Size != 2000 || !got.At.Equal(noon) || got.Problem != "" {
		t.Errorf("%+v", got)
	}

	cut, err := w.log.Fork(1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, grown := range []int{1000, 1500, 2000, 2500} {
		if err := cut.Grow(grown, "another"); err != nil {
			t.Fatal(err)
		}
		if err := cosign(c, cut); !errors.Is(err, witness.ErrRefused) {
			t.Errorf("a log that lost its last thousand entries, grown to %d again: %v", grown, err)
		}
		if got := c.Status(); !got.Refused || got.Problem == "" || got.Size != 2000 {
			t.Errorf("%+v", got)
		}
	}
	if err := w.log.Grow(2100, ""); err != nil {
		t.Fatal(err)
	}
	if err := cosign(c, w.log); err != nil || c.Status().Refused {
		t.Errorf("the log itself: %v", err)
	}
}

// TestClientBelievesNoAnswer asks witnesses that answer anything.
func TestClientBelievesNoAnswer(t *testing.T) {
	w := newWorld(t, 300)
	log, signed := w.publish(w.log)
	impostor, err := audit.NewCosigner("witness.example/w1", bytes.Repeat([]byte{8}, 32), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	forged, err := note.Sign(&note.Note{Text: signed.Text()}, impostor)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range []struct {
		status int
		body   string
	}{
		{200, ""}, {200, "nonsense"}, {200, string(forged[len(signed.Text())+1:])}, {200, string(signed.Note[len(signed.Text())+1:])},
		{409, ""}, {409, "-1\n"}, {409, "00\n"}, {409, "299"}, {409, "301\n"}, {404, ""}, {500, strings.Repeat("x", 1<<20)},
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
			rw.WriteHeader(a.status)
			_, _ = io.WriteString(rw, a.body)
		}))
		c, err := witness.NewClient(srv.URL, w.w.VerifierKey(), srv.Client())
		if err != nil {
			t.Fatal(err)
		}
		if lines, err := c.Cosign(t.Context(), log, signed); err == nil {
			t.Errorf("%d %q is taken for a signature: %q", a.status, a.body, lines)
		}
		srv.Close()
	}
}

func FuzzAddCheckpoint(f *testing.F) {
	l, err := testlog.New("shop.example/log")
	if err != nil {
		f.Fatal(err)
	}
	if err := l.Grow(9, ""); err != nil {
		f.Fatal(err)
	}
	c, err := audit.NewCosigner("witness.example/w1", bytes.Repeat([]byte{7}, 32), func() time.Time { return noon })
	if err != nil {
		f.Fatal(err)
	}
	signed, err := l.Checkpoint(9)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(append([]byte("old 0\n\n"), signed...))
	f.Fuzz(func(t *testing.T, body []byte) {
		s, err := witness.New(witness.Options{Cosigner: c, Logs: []string{l.Key}, Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		rec := httptest.NewRecorder()
		s.ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/add-checkpoint", bytes.NewReader(body)))
		if rec.Code == http.StatusOK && !bytes.Contains(body, []byte("\n9\n")) {
			t.Errorf("signed what the log did not: %q", body)
		}
	})
}
