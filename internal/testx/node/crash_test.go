package node_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage/postgres"
	"github.com/abide-privacy/abide/internal/testx/node"
	"github.com/abide-privacy/abide/internal/testx/pg"
	"github.com/abide-privacy/abide/internal/testx/whole"
)

func TestMain(m *testing.M) {
	node.Become()
	inMemory()
	code := pg.Main(m)
	if plainNode.exe != "" {
		_ = os.RemoveAll(filepath.Dir(plainNode.exe)) // best effort: it is in a temporary directory
	}
	os.Exit(code)
}

// long reports whether this is `make proof`.
func long() bool { return os.Getenv("ABIDE_PROOF") == "1" }

// inMemory puts all files of these tests into memory, where there is enough. A
// process that is killed loses nothing that it wrote to a file, synced or not:
// what a disk loses is for the replays of traces.
func inMemory() {
	var fs syscall.Statfs_t
	if err := syscall.Statfs("/dev/shm", &fs); err == nil && fs.Bavail*uint64(fs.Bsize) > 4<<30 {
		os.Setenv("TMPDIR", "/dev/shm")
	}
}

// engines make a fresh deployment on each engine.
var engines = []struct {
	name  string
	fresh func(t *testing.T) node.Deployment
}{
	{"sqlite", func(t *testing.T) node.Deployment { return node.Deployment{Dir: t.TempDir()} }},
	{"postgres", func(t *testing.T) node.Deployment {
		url := copied(t) // keys and data in one database: half the copying
		return node.Deployment{Dir: t.TempDir(), Data: url, Keys: url}
	}},
}

var template struct {
	once sync.Once
	url  string
}

// copied is a database with the tables in place, which is faster to copy than
// to make.
func copied(t *testing.T) string {
	t.Helper()
	template.once.Do(func() {
		template.url = pg.Database(t)
		data, err := postgres.Open(t.Context(), template.url, postgres.Options{})
		must(t, err)
		must(t, data.Close())
		keys, err := postgres.OpenKeys(t.Context(), template.url)
		must(t, err)
		must(t, keys.Close())
	})
	return pg.Copy(t, template.url)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v%s", err, cause(err))
	}
}

// cause is what an error of the API keeps from its callers.
func cause(err error) string {
	var e *abide.Error
	if errors.As(err, &e) && e.Err != nil {
		return fmt.Sprintf(" (%v)", e.Err)
	}
	return ""
}

// later is a clock at which the claims of a dead process have expired.
func later() time.Time { return time.Now().Add(whole.ClaimsExpire) }

// halves fails the test for every half state.
func halves(t *testing.T, s whole.Store) *whole.Report {
	t.Helper()
	r, err := whole.Check(context.Background(), s)
	must(t, err)
	for _, f := range r.Findings {
		t.Errorf("half state: %s", f)
	}
	return r
}

// TestCrashPoints kills a process at each step of each use case, before the
// step and after it. Whatever the step, the store has no half states, the same
// call with the same key ends well in another process, and the store is then
// as if nothing had happened.
func TestCrashPoints(t *testing.T) {
	for _, eng := range engines {
		t.Run(eng.name, func(t *testing.T) {
			points := 0
			for _, c := range node.UseCases() {
				if !inBrief(eng.name, c) {
					continue
				}
				want := outcome(t, node.Job{Deployment: eng.fresh(t), Do: "fail", Case: c.Name}).Summary
				for step, done := 1, false; !done; step++ {
					for _, after := range []bool{false, true} {
						// In make test, each step on one side only, in turns.
						if !long() && after != (step%2 == 0) {
							continue
						}
						if done = !crashAt(t, eng.fresh(t), c, step, after, want); !done {
							points++
						}
					}
				}
			}
			t.Logf("%d crashes, 0 half states, none done twice", points)
		})
	}
}

// inBrief reports whether a use case is tried in make test. Databases take long
// to make: on PostgreSQL these are the seven that every deployment has, and
// make proof tries all.
func inBrief(engine string, c node.UseCase) bool {
	return long() || engine == "sqlite" || slices.Contains([]string{"create", "collect", "withdraw", "erase", "publish", "import", "sweep"}, c.Name)
}

var plainNode struct {
	once sync.Once
	exe  string
}

// plain is a node that is built without the race detector, for tests that start
// hundreds: those that look for races between nodes and clients run this very
// binary.
func plain(t *testing.T) string {
	t.Helper()
	plainNode.once.Do(func() {
		dir, err := os.MkdirTemp("", "abide-node-")
		must(t, err)
		plainNode.exe = filepath.Join(dir, "run")
		build(t, "", plainNode.exe)
	})
	return plainNode.exe
}

// build builds the program of a node with build tags.
func build(t *testing.T, tags, exe string) {
	t.Helper()
	if out, err := exec.Command("go", "build", "-tags", tags, "-o", exe, "./run").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// crashAt reports whether the use case has that step.
func crashAt(t *testing.T, d node.Deployment, c node.UseCase, step int, after bool, want string) bool {
	t.Helper()
	out, err := node.Job{Deployment: d, Do: "crash", Case: c.Name, Step: step, After: after}.Command(plain(t)).Output()
	var last struct {
		Step, When string
		Done       bool
	}
	if jerr := json.Unmarshal(out, &last); jerr != nil {
		t.Fatalf("%s, step %d: %v, %v: %s", c.Name, step, err, jerr, out)
	}
	if last.Done {
		return false
	}
	o := outcome(t, node.Job{Deployment: d, Do: "recover", Case: c.Name})
	if !asIfNothingHappened(t, o, want) {
		t.Fatalf("%s, killed at %q, %s", c.Name, strings.TrimSpace(last.Step), last.When)
	}
	return true
}

// outcome runs a job that says an outcome.
func outcome(t *testing.T, j node.Job) (o node.Outcome) {
	t.Helper()
	out, err := j.Command(plain(t)).Output()
	if err == nil {
		err = json.Unmarshal(out, &o)
	}
	if err != nil {
		t.Fatalf("%s %s, step %d: %v: %s", j.Do, j.Case, j.Step, err, out)
	}
	return o
}

// asIfNothingHappened compares what a store holds after a fault, and the same
// call again, with what it holds without.
func asIfNothingHappened(t *testing.T, o node.Outcome, want string) bool {
	t.Helper()
	for _, w := range o.Wrong {
		t.Error(w)
	}
	if o.Summary != want {
		t.Errorf("done twice, or by halves:\n%s\nwant\n%s", o.Summary, want)
	}
	return !t.Failed()
}
