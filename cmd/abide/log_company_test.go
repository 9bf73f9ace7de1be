package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/abide-privacy/abide/audit"
)

// company is a server, its log, and what a second company keeps of it.
type company struct {
	*testServer
	name    string
	key     string // of its log, in verifier form
	witness string // the other's witness: its key
	rows    int64  // people taken in so far
}

// found starts a company whose log has its first entries, so that its key is
// known.
func foundCompany(t *testing.T, name string) *company {
	t.Helper()
	c := &company{testServer: startServer(t, "--log-origin", name+".example/log"), name: name}
	c.await(func() bool { return c.call("GET", "/log/checkpoint", nil).Status == http.StatusOK })
	c.key = strings.TrimSpace(string(c.call("GET", "/log/key", nil).Body))
	return c
}

// await looks until something is so.
func (s *testServer) await(is func() bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for !is() {
		select {
		case <-look.C:
		case <-ctx.Done():
			s.t.Fatal("it did not come to that in a minute")
		}
	}
}

// takeIn has people registered, each with several entries in the log.
func (c *company) takeIn(people int64) {
	c.t.Helper()
	var b strings.Builder
	b.WriteString("id,country,mail\n")
	for i := range people {
		fmt.Fprintf(&b, "customer-%07d,HK,person%d@mail.example\n", c.rows+i, c.rows+i)
	}
	c.rows += people
	c.run("import", c.writeFile(c.t.TempDir(), "people.csv", b.String()), "--data", c.Dir, "--service", "shop", "--grade", "claimed",
		"--map", "id=~reference", "--map", "country=~jurisdiction", "--map", "mail=person.email")
}

// checkpoint is what the log says now, verified with a quorum of witnesses.
func (c *company) checkpoint(quorum int) (*audit.SignedCheckpoint, error) {
	k, err := audit.NewKeys(c.key, c.witness)
	if err != nil {
		c.t.Fatal(err)
	}
	k.Quorum = quorum
	return k.Open(c.call("GET", "/log/checkpoint", nil).Body)
}

// quiet waits until nothing is left to come into the log, and returns its size.
func (c *company) quiet(quorum int) (size int64) {
	c.t.Helper()
	same := 0
	c.await(func() bool {
		now, err := c.checkpoint(quorum)
		if err == nil && now.Size == size {
			same++
		} else if same = 0; err == nil {
			size = now.Size
		}
		return same >= 60 // more than a second: two intervals of the sequencer
	})
	return size
}

// quietly is quiet for a company without a witness.
func (c *company) quietly() {
	c.t.Helper()
	if c.witness == "" {
		w, err := audit.NewCosigner("nobody.example", make([]byte, 32), time.Now)
		if err != nil {
			c.t.Fatal(err)
		}
		c.witness = w.VerifierKey()
	}
	c.quiet(0)
}

// ends runs a command of an outsider, who is to learn something by its exit
// code.
func (c *company) ends(want int, args ...string) string {
	c.t.Helper()
	var out bytes.Buffer
	m := &Main{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out, Env: func(string) string { return "" }, Now: time.Now}
	if code := m.Run(context.Background(), args); code != want {
		c.t.Errorf("abide %s: exit code %d, want %d: %s", strings.Join(args, " "), code, want, out.String())
	}
	return out.String()
}

// TestTwoCompaniesWitnessEachOther: each serves, and each runs a witness of the
// other's log. A checkpoint is worth a quorum of one; a witness that is away shows.
func TestTwoCompaniesWitnessEachOther(t *testing.T) {
	t.Parallel()
	shop, bakery := foundCompany(t, "shop"), foundCompany(t, "bakery")
	shop.stop()
	bakery.stop()
	places := map[*company]string{}
	stops := map[*company]func(){}
	for _, c := range []*company{shop, bakery} {
		places[c] = t.TempDir()
		var url string
		url, c.witness, stops[c] = startWitness(t, places[c], "witness-of-"+c.name+".example", c.key)
		c.serve("--witness", url+" "+c.witness)
		c.takeIn(20)
	}
	for _, c := range []*company{shop, bakery} {
		size := c.quiet(1)
		c.ends(exitOK, "log", "verify", "--url", c.URL+"/log", "--key", c.key, "--witness", c.witness, "--quorum", "1")
		if got := c.witnessed(); got.Size != size || got.Witnesses[0].Unwitnessed != 0 || got.Witnesses[0].At == "" {
			t.Errorf("%s says of its witness: %+v, want %d entries signed", c.name, got, size)
		}
		c.metric(fmt.Sprintf(`abide_log_witnessed_entries{witness="witness-of-%s.example"} %d`, c.name, size))
	}
	before := shop.quiet(1)
	stops[shop]()
	shop.takeIn(5)
	size := shop.quiet(0)
	if got := shop.witnessed(); got.Size != size || got.Witnesses[0].Size != before || got.Witnesses[0].Unwitnessed != size-before {
		t.Errorf("while the witness is away: %+v, want %d of %d", got, before, size)
	}
	if _, err := shop.checkpoint(1); err == nil {
		t.Error("a checkpoint that nobody cosigned has a quorum of one")
	}
}

type witnessed struct {
	Size      int64
	Witnesses []struct {
		Witness, At       string
		Size, Unwitnessed int64
	}
}

func (c *company) witnessed() (out witnessed) {
	c.t.Helper()
	a := c.call("GET", "/log/witnesses", nil)
	if err := json.Unmarshal(a.Body, &out); err != nil || len(out.Witnesses) != 1 {
		c.t.Fatalf("/log/witnesses: %d %s", a.Status, a.Body)
	}
	return out
}

// metric waits until a line is among the metrics.
func (c *company) metric(line string) {
	c.t.Helper()
	c.await(func() bool { return bytes.Contains(c.call("GET", "/metrics", nil).Body, []byte(line+"\n")) })
}

// copyTo copies the data directory, all that an operator holds.
func (s *testServer) copyTo(to string) {
	s.t.Helper()
	if err := os.CopyFS(to, os.DirFS(s.Dir)); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(to, "keys", "keyring.json"), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// TestCutTailIsNoticed puts back everything that an operator holds, database,
// keys and published directory, as it was a thousand entries ago, and goes on.
// Nothing in it is wrong. It is noticed by the witness, by a person who kept the
// receipt of a consent, by whoever kept a checkpoint, and by whoever watched.
func TestCutTailIsNoticed(t *testing.T) {
	t.Parallel()
	c := foundCompany(t, "shop")
	c.stop()
	url, key, _ := startWitness(t, t.TempDir(), "witness.example", c.key)
	c.witness = key
	c.serve("--witness", url+" "+key)
	c.takeIn(10)
	short := c.quiet(1)
	c.stop()
	old := filepath.Join(t.TempDir(), "old")
	c.copyTo(old)

	c.serve("--witness", url+" "+key)
	kept := t.TempDir()
	outsider := []string{"--url", c.URL + "/log", "--key", c.key}
	c.takeIn(520)
	subject := "/v1/subjects/" + c.call("POST", "/v1/subjects", map[string]any{"jurisdiction": "HK"}).field(t, "id")
	a := c.call("POST", subject+"/consents", map[string]any{"purpose": "marketing", "action": "give",
		"evidence": map[string]any{"wording": "May we?", "separate": true}})
	if a.Status >= 300 {
		t.Fatalf("the consent is refused: %d %s", a.Status, a.Body)
	}
	long := c.quiet(1)
	if long-short < 1000 {
		t.Fatalf("only %d entries will be cut", long-short)
	}
	var receipt struct {
		Log struct{ Proof string }
	}
	if a := c.call("GET", subject+"/receipts/1", nil); json.Unmarshal(a.Body, &receipt) != nil || receipt.Log.Proof == "" {
		t.Fatalf("the receipt has no proof: %d %s", a.Status, a.Body)
	}
	proof := c.writeFile(kept, "receipt.tlog-proof", receipt.Log.Proof)
	checkpoint := filepath.Join(kept, "checkpoint")
	c.ends(exitOK, append([]string{"log", "verify", "--since", proof, "--save", checkpoint}, outsider...)...)
	c.ends(exitOK, append([]string{"log", "watch", "--once", "--state", filepath.Join(kept, "watch")}, outsider...)...)
	c.stop()

	if err := os.RemoveAll(c.Dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(old, c.Dir); err != nil {
		t.Fatal(err)
	}
	c.serve("--witness", url+" "+key)
	outsider[1] = c.URL + "/log"
	c.takeIn(3)
	c.metric(`abide_log_witness_refused{witness="witness.example"} 1`)
	if now := c.quiet(0); now <= short || now >= long {
		t.Fatalf("the log has %d entries, so nothing was cut and went on", now)
	}
	c.ends(exitOK, append([]string{"log", "verify"}, outsider...)...) // without memory it is a log like any other
	if _, err := c.checkpoint(1); err == nil {
		t.Error("the witness signed a log whose tail was cut")
	}
	c.ends(exitForged, append([]string{"log", "verify", "--since", proof}, outsider...)...)
	c.ends(exitForged, append([]string{"log", "verify", "--since", checkpoint}, outsider...)...)
	said := c.ends(exitForged, append([]string{"log", "watch", "--once", "--state", filepath.Join(kept, "watch")}, outsider...)...)
	if !strings.Contains(said, fmt.Sprintf("log_shorter checkpoint entries %d to %d", c.quiet(0), long-1)) {
		t.Errorf("whoever watched is told: %s", said)
	}
}
