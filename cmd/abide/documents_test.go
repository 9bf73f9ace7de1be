package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// verifyingScript shares no code with this program: Node's crypto and the
// published formats.
const verifyingScript = "../../examples/verify/verify.mjs"

// byScript runs it.
func byScript(t *testing.T, args ...string) (string, error) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "node", append([]string{verifyingScript}, args...)...).CombinedOutput()
	return string(out), err
}

// TestDocumentsAreVerifiedByOthers: what a person gets from a running server, in
// every form, verifies without it, by this program and by a script that shares
// nothing with it; and not when it was changed.
func TestDocumentsAreVerifiedByOthers(t *testing.T) {
	s := startServer(t, "--log-interval", "50ms")
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	id := s.call(http.MethodPost, "/v1/subjects", `{"jurisdiction":"DE","birth_date":"1990-04-02"}`).field(t, "id")
	for _, action := range []string{"tell", "give"} {
		got := s.call(http.MethodPost, "/v1/subjects/"+id+"/consents",
			fmt.Sprintf(`{"purpose":"newsletter","action":%q,"evidence":{"wording":"May we?","language":"en","source":"sign-up page","separate":true}}`, action))
		if got.Status != http.StatusCreated {
			t.Fatalf("%d %s", got.Status, got.Body)
		}
	}
	where := []string{"--server", s.URL, "--token", s.Admin}
	receiptKey := s.writeFile(dir, "receipt.key", string(s.call(http.MethodGet, "/v1/receipt-key", nil).Body))
	eventually(t, func() bool {
		s.run(append([]string{"consent", "receipt", id, "2", "--out", file("abide.json")}, where...)...)
		raw, err := os.ReadFile(file("abide.json"))
		return err == nil && bytes.Contains(raw, []byte(`"log":`))
	})
	logKey := s.writeFile(dir, "shop.key", string(s.call(http.MethodGet, "/log/key", nil).Body))
	keys := []string{"--key", receiptKey, "--key", logKey}
	names := []string{"abide"}
	for _, form := range []string{"iso27560", "iso27560-record", "kantara"} {
		names = append(names, form)
		s.run(append([]string{"consent", "receipt", id, "2", "--format", form, "--out", file(form + ".json")}, where...)...)
	}
	if got := s.call(http.MethodGet, "/v1/subjects/"+id+"/receipts/2", nil, "Accept", "application/ld+json"); got.Header.Get("Content-Type") != "application/ld+json" ||
		!bytes.Contains(got.Body, []byte(`"dct:conformsTo":"https://w3id.org/dpv/schema/dpv-27560#receipt-eu-gdpr"`)) {
		t.Errorf("asked for linked data: %v %s", got.Header, got.Body)
	}
	s.run(append([]string{"erase", id, "--yes"}, where...)...)
	names = append(names, "erasure")
	eventually(t, func() bool {
		s.run(append([]string{"certificate", "erasure", id, "--out", file("erasure.json")}, where...)...)
		raw, err := os.ReadFile(file("erasure.json"))
		return err == nil && bytes.Contains(raw, []byte(`"log":`))
	})

	for _, name := range names {
		if code, out := command(append([]string{"consent", "verify", file(name + ".json")}, keys...)...); code != exitOK || !strings.Contains(out, "entry ") {
			t.Errorf("%s: exit code %d: %s", name, code, out)
		}
		if out, err := byScript(t, file(name+".json"), receiptKey, logKey); err != nil || !strings.Contains(out, id) {
			t.Errorf("%s by the script: %v %s", name, err, out)
		}
		raw, err := os.ReadFile(file(name + ".json"))
		if err != nil {
			t.Fatal(err)
		}
		for i := 1; i <= 3; i++ { // a byte of the body, of the proof, of the signature
			changed := bytes.Clone(raw)
			changed[i*(len(raw)-1)/3-5] ^= 1
			bad := s.writeFile(dir, "bad.json", string(changed))
			if code, out := command(append([]string{"certificate", "verify", bad}, keys...)...); code != exitFailed {
				t.Errorf("%s, changed: exit code %d: %s", name, code, out)
			}
			if out, err := byScript(t, bad, receiptKey, logKey); err == nil {
				t.Errorf("%s, changed, verifies by the script: %s", name, out)
			}
		}
	}
}

// eventually asks again until it is so, or for half a minute.
func eventually(t *testing.T, so func() bool) {
	t.Helper()
	again, given := time.NewTicker(20*time.Millisecond), time.After(30*time.Second)
	defer again.Stop()
	for !so() {
		select {
		case <-again.C:
		case <-given:
			t.Fatal("it did not come to be so")
		}
	}
}
