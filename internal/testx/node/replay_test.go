package node_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/abide-privacy/abide/internal/testx/node"
	"github.com/abide-privacy/abide/internal/testx/replay"
	"github.com/abide-privacy/abide/internal/testx/whole"
)

// traced is a run of a node under load whose system calls were recorded.
type traced struct {
	base, dir string
	trace     *replay.Trace
}

// record runs a node of the program exe under strace.
func record(t *testing.T, exe string, writes int) traced {
	t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Fatal("strace is not installed: run `make deps`")
	}
	r := traced{base: t.TempDir(), dir: t.TempDir()}
	d := node.Deployment{Dir: r.dir}
	s, err := d.Open(t.Context())
	must(t, err)
	e, err := node.Start(t.Context(), s, time.Now)
	must(t, err)
	must(t, e.Close(t.Context()))
	must(t, node.Close(s))
	must(t, replay.Copy(r.dir, r.base))

	out := filepath.Join(t.TempDir(), "trace")
	cmd := node.Job{Deployment: d, Do: "load", Clients: 8, Writes: writes}.Command(exe)
	cmd.Args = append(append([]string{strace}, replay.Args()...), "-o", out, cmd.Path)
	cmd.Path = strace
	if msg, err := cmd.Output(); err != nil {
		t.Fatalf("%v: %.500s", err, msg)
	}
	f, err := os.Open(out)
	must(t, err)
	defer f.Close()
	r.trace, err = replay.Read(f, r.dir)
	must(t, err)
	must(t, os.Remove(out))
	return r
}

// replayed puts together what the disk could hold at an instant, opens it, and
// returns what is wrong with it and how many acknowledgements had been given.
func (r traced) replayed(t *testing.T, cut int, m replay.Mode, rnd *rand.Rand) (wrong []string, n int) {
	t.Helper()
	d := node.Deployment{Dir: t.TempDir()}
	must(t, r.trace.Disk(r.base, r.dir, d.Dir, cut, m, rnd))
	var acks []node.Ack
	for _, line := range strings.Split(strings.TrimSpace(r.trace.Said(cut)), "\n") {
		var a node.Ack
		if line == "" {
			continue
		}
		must(t, json.Unmarshal([]byte(line), &a))
		acks = append(acks, a)
	}
	s, err := d.Open(context.Background())
	if err != nil {
		return []string{err.Error()}, len(acks)
	}
	defer node.Close(s)
	for _, name := range []string{"data.db", "keys.db"} {
		wrong = append(wrong, integrity(t, filepath.Join(d.Dir, name))...)
	}
	wrong = append(wrong, missing(t, s, acks)...)
	report, err := whole.Check(context.Background(), s)
	if err != nil {
		return append(wrong, err.Error()), len(acks)
	}
	return append(wrong, report.Findings...), len(acks)
}

// integrity asks SQLite itself.
func integrity(t *testing.T, path string) []string {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	must(t, err)
	defer db.Close()
	var says string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&says); err != nil || says != "ok" {
		return []string{fmt.Sprintf("%s: %s %v", filepath.Base(path), says, err)}
	}
	return nil
}

// TestReplaysOfTraces loses power at random instants of a run, with the unsynced
// writes dropped, all, some, or sector by sector, and wants everything that was
// acknowledged in what is left, and nothing by halves.
func TestReplaysOfTraces(t *testing.T) {
	traces, replays, writes := 1, 4, 100
	if long() {
		traces, replays, writes = 5, 10, 400
	}
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	acks, done := 0, 0
	for range traces {
		r := record(t, plain(t), writes)
		for i, cut := range r.trace.Cuts(replays, rnd) {
			m := replay.Mode(i % 3)
			wrong, n := r.replayed(t, cut, m, rnd)
			for _, w := range wrong {
				t.Errorf("cut at %d, of the unsynced %s: %s (seed %d)", cut, m, w, seed)
			}
			acks += n
			done++
		}
	}
	if acks == 0 {
		t.Error("this proves nothing: no cut came after an acknowledgement")
	}
	t.Logf("%d replays, %d acknowledgements looked for, 0 lost, 0 half states", done, acks)
}

// TestReplaysFailWithoutSync holds the replays to account: of a build with
// syncing turned off, they must find what it loses.
func TestReplaysFailWithoutSync(t *testing.T) {
	exe := filepath.Join(t.TempDir(), "run")
	build(t, "abide_nosync", exe)
	r := record(t, exe, 60)
	rnd := rand.New(rand.NewPCG(1, 2))
	caught, replays := 0, 0
	for _, cut := range r.trace.Cuts(8, rnd) {
		wrong, n := r.replayed(t, cut, replay.None, rnd)
		if n == 0 {
			continue
		}
		if replays++; len(wrong) > 0 {
			caught++
		}
	}
	// A scrub after an erasure syncs by itself, so that a cut soon after one may
	// find everything.
	if replays < 4 || caught < replays-2 {
		t.Fatalf("without syncing, only %d of %d replays found anything lost", caught, replays)
	}
	t.Logf("without syncing, %d of %d replays lose what was acknowledged", caught, replays)
}
