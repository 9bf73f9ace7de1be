package node_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/abide-privacy/abide/internal/testx/node"
	"github.com/abide-privacy/abide/internal/testx/pg"
	"github.com/abide-privacy/abide/internal/testx/replay"
	"github.com/abide-privacy/abide/internal/testx/whole"
)

// untilCut are the settings of a server whose power is lost: it writes pages that
// nobody synced early and often, because it has little memory.
var untilCut = []string{"checkpoint_timeout=1d", "shared_buffers=1MB", "bgwriter_delay=10ms", "autovacuum=off"}

// tracedServer is a run of a node under load on a PostgreSQL server whose system
// calls were recorded.
type tracedServer struct {
	base, data string // the server's files before it, and where they lay
	dir        string // the node's
	trace      *replay.Trace
	deaf       *replay.Trace // as on a disk that says it synced and did not
}

// recordServer runs a node on a server under strace, with a checkpoint half way.
// What the node says is told to the trace when it was said, so that a cut after
// it is a cut after the acknowledgement.
func recordServer(t *testing.T, writes int) tracedServer {
	t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Fatal("strace is not installed: run `make deps`")
	}
	server, err := pg.Start(untilCut...)
	must(t, err)
	t.Cleanup(server.Stop)
	server.Exec(t, "CREATE DATABASE data")
	d := node.Deployment{Dir: t.TempDir(), Data: server.URL("data"), Keys: server.URL("data")}
	s, err := d.Open(t.Context())
	must(t, err)
	e, err := node.Start(t.Context(), s, time.Now)
	must(t, err)
	must(t, e.Close(t.Context()))
	must(t, node.Close(s))
	server.Exec(t, `SELECT pg_switch_wal()`) // so that the run needs no new file of it
	must(t, server.Shutdown())
	r := tracedServer{base: t.TempDir(), data: server.Data(), dir: d.Dir}
	must(t, replay.Copy(r.data, r.base))

	// The tracer runs as the server does and cannot write where the test can.
	out := filepath.Join(filepath.Dir(r.data), "trace")
	said, wait, err := server.Traced(append(append([]string{strace}, replay.Args()...), "-o", out), untilCut...)
	must(t, err)
	cmd := node.Job{Deployment: d, Do: "load", Clients: 8, Writes: writes}.Command(plain(t))
	acks, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	n := 0
	var half sync.WaitGroup
	for lines := bufio.NewScanner(acks); lines.Scan(); {
		if n++; n == writes/2 {
			half.Go(func() { server.Exec(t, "CHECKPOINT") })
		}
		if _, err := said.Write(append(lines.Bytes(), '\n')); err != nil {
			t.Fatal(err)
		}
	}
	must(t, cmd.Wait())
	half.Wait()
	must(t, said.Close())
	must(t, wait())
	raw, err := os.ReadFile(out)
	must(t, err)
	must(t, os.Remove(out))
	program := postgresProgram(r.data)
	r.trace, err = program.Read(bytes.NewReader(raw), r.data)
	must(t, err)
	program.Deaf = true
	r.deaf, err = program.Read(bytes.NewReader(raw), r.data)
	must(t, err)
	return r
}

// postgresProgram says what PostgreSQL does without after a crash, and what it writes
// whole.
func postgresProgram(data string) replay.Program {
	return replay.Program{
		Dir: data,
		Beside: func(path string) bool {
			name := filepath.Base(path)
			return strings.HasPrefix(name, "pg_internal.init") || strings.HasPrefix(name, "postmaster.") ||
				strings.HasPrefix(name, "replorigin_checkpoint") // nothing is replicated here
		},
		Whole: func(path string) bool { return filepath.Base(path) == "pg_control" },
	}
}

// replayed puts together what the server's disk could hold at an instant, has a
// server recover from it, and returns what is wrong and how many
// acknowledgements had been given.
func (r tracedServer) replayed(t *testing.T, trace *replay.Trace, cut int, m replay.Mode, rnd *rand.Rand) (wrong []string, n int) {
	t.Helper()
	files, err := os.MkdirTemp("", "abide-replay-") // a test's own is closed to the server's account
	must(t, err)
	defer os.RemoveAll(files)
	must(t, trace.Disk(r.base, r.data, files, cut, m, rnd))
	must(t, filepath.Walk(files, func(path string, _ os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		return os.Chmod(path, 0o755) //nolint:gosec // the server's account copies them
	}))
	var acks []node.Ack
	dec := json.NewDecoder(strings.NewReader(trace.Said(cut)))
	for {
		var a node.Ack
		if dec.Decode(&a) != nil {
			break // the end, or a line that was being said
		}
		acks = append(acks, a)
	}
	server, err := pg.On(files, untilCut...)
	if err != nil {
		return []string{err.Error()}, len(acks)
	}
	defer server.Stop()
	d := node.Deployment{Dir: r.dir, Data: server.URL("data"), Keys: server.URL("data")}
	s, err := d.Open(context.Background())
	if err != nil {
		return []string{err.Error()}, len(acks)
	}
	defer node.Close(s)
	wrong = missing(t, s, acks)
	report, err := whole.Check(context.Background(), s)
	if err != nil {
		return append(wrong, err.Error()), len(acks)
	}
	return append(wrong, report.Findings...), len(acks)
}

// TestReplaysOfPostgres loses the power of a PostgreSQL server at random
// instants, with its unsynced writes dropped, all, some, or sector by sector.
// Of the same run on a disk that lies about its syncs, the same must find what
// is lost.
func TestReplaysOfPostgres(t *testing.T) {
	traces, replays, writes := 1, 2, 40
	if long() {
		traces, replays, writes = 5, 10, 400
	}
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	acks, done, lies := 0, 0, 0
	for range traces {
		r := recordServer(t, writes)
		cuts := r.trace.Cuts(replays, rnd)
		for i, cut := range cuts {
			m := replay.Mode(2 * i % 3)
			wrong, n := r.replayed(t, r.trace, cut, m, rnd)
			for _, w := range wrong {
				t.Errorf("cut at %d, of the unsynced %s: %s (seed %d)", cut, m, w, seed)
			}
			acks += n
			done++
		}
		wrong, n := r.replayed(t, r.deaf, cuts[0], replay.None, rnd) // after something was acknowledged
		if n > 0 && len(wrong) == 0 {
			t.Errorf("on a disk that lies, %d acknowledgements are found all the same", n)
		}
		lies += min(n, 1)
	}
	if acks == 0 || lies == 0 {
		t.Error("this proves nothing: no cut came after an acknowledgement")
	}
	t.Logf("%d replays, %d acknowledgements looked for, 0 lost, 0 half states; %d of a disk that lies, each caught", done, acks, lies)
}
