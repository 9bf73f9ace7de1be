// Package node is a node of Abide for tests to break: the engine over either
// store, under load, as a process of its own that can be killed (load.go),
// that kills itself at a named step of a use case (crash.go), or that serves
// the API with a clock that jumps (serve.go).
//
// A test re-executes its own binary as a node:
//
//	func TestMain(m *testing.M) { node.Become(); os.Exit(pg.Main(m)) }
package node

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing/fstest"
	"time"

	"github.com/abide-privacy/abide/internal/blob"
	"github.com/abide-privacy/abide/internal/engine"
	"github.com/abide-privacy/abide/internal/keys"
	"github.com/abide-privacy/abide/internal/storage/postgres"
	"github.com/abide-privacy/abide/internal/storage/sqlite"
	"github.com/abide-privacy/abide/internal/testx/whole"
)

// Deployment says where the two stores and the keyring are. Data and Keys are
// the URLs of PostgreSQL databases; empty: SQLite files in Dir.
type Deployment struct {
	Dir        string
	Data, Keys string
}

func (d Deployment) ringFile() string { return filepath.Join(d.Dir, "keyring.json") }

// Open opens the stores, and makes the keyring if there is none.
func (d Deployment) Open(ctx context.Context) (s whole.Store, err error) {
	if s.Ring, err = keys.Open(d.ringFile()); errors.Is(err, fs.ErrNotExist) {
		s.Ring, err = keys.Create(d.ringFile())
	}
	if err != nil {
		return s, err
	}
	if s.Blobs, err = blob.OpenDir(filepath.Join(d.Dir, "uploads")); err != nil {
		return s, err
	}
	if d.Data == "" {
		if s.Data, err = sqlite.Open(ctx, filepath.Join(d.Dir, "data.db"), sqlite.Options{}); err == nil {
			s.Keys, err = sqlite.OpenKeys(ctx, filepath.Join(d.Dir, "keys.db"))
		}
	} else {
		if s.Data, err = postgres.Open(ctx, d.Data, postgres.Options{}); err == nil {
			s.Keys, err = postgres.OpenKeys(ctx, d.Keys)
		}
	}
	if err != nil && s.Data != nil {
		return s, errors.Join(err, s.Data.Close())
	}
	return s, err
}

// Close closes both stores.
func Close(s whole.Store) error { return errors.Join(s.Data.Close(), s.Keys.Close()) }

// Start starts an engine over the stores and publishes the policy of this
// package, unless one is in force.
func Start(ctx context.Context, s whole.Store, clock func() time.Time) (*engine.Engine, error) {
	e, err := engine.Open(ctx, engine.Options{Store: s.Data, Keys: s.Keys, Keyring: s.Ring, Blobs: s.Blobs, Clock: clock, Node: "node"})
	if err != nil {
		return nil, err
	}
	if e.Policy() == nil {
		if _, _, err := e.Publish(ctx, lead(""), edition(1)); err != nil {
			return nil, errors.Join(err, e.Close(ctx))
		}
	}
	return e, nil
}

//go:embed policy/privacy.md
var policies embed.FS

// edition is the policy, with words of its own for each number.
func edition(n int) fs.FS {
	text, err := policies.ReadFile("policy/privacy.md")
	if err != nil {
		panic("node: the embedded policy: " + err.Error()) // it is compiled in
	}
	text = bytes.Replace(text, []byte("This page says what we hold about you."), fmt.Appendf(nil, "This page, edition %d, says what we hold about you.", n), 1)
	return fstest.MapFS{"privacy.md": {Data: text}}
}

// Job is what a process of this package is to do.
type Job struct {
	Deployment
	Do      string // load, crash, recover, fail or serve
	Clients int    // load
	Writes  int    // load: acknowledged operations until it ends; 0 is no end

	Refusals bool // load: say also which calls were refused and are sent again

	Case  string // crash, recover, fail: name of the use case
	Step  int    // crash, fail: number of the write, from 1
	After bool   // crash, fail: when the write is durable, not before it
}

// jobVariable carries the Job to a re-executed test binary.
const jobVariable = "ABIDE_TESTX_NODE"

// Command is the command that does the job in another process: exe, or this
// test binary.
func (j Job) Command(exe string) *exec.Cmd {
	if exe == "" {
		exe = os.Args[0]
	}
	raw, err := json.Marshal(j)
	if err != nil {
		panic("node: " + err.Error()) // a Job is strings and numbers
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), jobVariable+"="+string(raw))
	cmd.Stderr = os.Stderr
	return cmd
}

// Become does the job and ends the process, if this process was made for one.
func Become() {
	raw := os.Getenv(jobVariable)
	if raw == "" {
		return
	}
	if err := do(raw); err != nil {
		fmt.Fprintln(os.Stderr, "node: error:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func do(raw string) error {
	var j Job
	if err := json.Unmarshal([]byte(raw), &j); err != nil {
		return err
	}
	ctx := context.Background()
	switch j.Do {
	case "load":
		return j.load(ctx)
	case "crash":
		return j.crash(ctx)
	case "recover":
		return j.recover(ctx)
	case "fail":
		return j.fail(ctx)
	case "serve":
		return j.serve(ctx)
	}
	return fmt.Errorf("no such job: %q", j.Do)
}

// say writes one line, whole or not at all, whenever the process is killed.
func say(v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(append(raw, '\n'))
	return err
}
