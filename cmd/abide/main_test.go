package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/abide-privacy/abide/internal/testx/pg"
	"github.com/abide-privacy/abide/internal/testx/testlog"
)

// TestMain makes the test binary double as abide, so that scripts run the very
// Main that main runs.
func TestMain(m *testing.M) {
	testscript.Main(tests{m}, map[string]func(){
		"abide": func() {
			now := time.Now
			if at := os.Getenv("ABIDE_TEST_NOW"); at != "" {
				t, err := time.Parse(time.RFC3339, at)
				if err != nil {
					panic(err)
				}
				now = func() time.Time { return t }
			}
			main := &Main{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Env: os.Getenv, Now: now}
			os.Exit(main.Run(context.Background(), os.Args[1:]))
		},
	})
}

// tests runs the tests of this package, and then stops the PostgreSQL server
// that they shared.
type tests struct{ m *testing.M }

func (t tests) Run() int { return pg.Main(t.m) }

// TestScripts runs testdata/script/*.txtar: each reads like a session.
func TestScripts(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("EXAMPLES", filepath.Join(root, "examples"))
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"field":    cmdField,
			"exitcode": cmdExitCode,
			"testlog":  cmdTestLog,
			"flipbyte": cmdFlipByte,
			"spoil":    cmdSpoil,
		},
	})
}

// cmdField sets a variable from the last command's JSON output:
// field VAR path.to.name
func cmdField(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: field VAR path.to.name")
	}
	var v any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &v))
	for name := range strings.SplitSeq(args[1], ".") {
		m, ok := v.(map[string]any)
		if !ok {
			ts.Fatalf("no field %s in the output", args[1])
		}
		v = m[name]
	}
	s, ok := v.(string)
	if !ok {
		ts.Fatalf("field %s is no string", args[1])
	}
	ts.Setenv(args[0], s)
}

// cmdExitCode runs abide and wants an exit code: exitcode 3 decide …
func cmdExitCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exitcode N args…")
	}
	err := ts.Exec("abide", args[1:]...)
	got := "0"
	if err != nil {
		got = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if got != args[0] {
		ts.Fatalf("exit code %s, want %s", got, args[0])
	}
}

// cmdTestLog publishes a log and its key: testlog DIR SIZE [SHARED]. Two logs
// have the first SHARED entries in common, all of them unless said otherwise.
func cmdTestLog(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: testlog DIR SIZE [SHARED]")
	}
	size, err := strconv.Atoi(args[1])
	ts.Check(err)
	l, err := testlog.New("shop.example/log")
	ts.Check(err)
	if len(args) == 3 {
		shared, err := strconv.Atoi(args[2])
		ts.Check(err)
		ts.Check(l.Grow(shared, ""))
		ts.Check(l.Grow(size, "another"))
	}
	ts.Check(l.Grow(size, ""))
	dir := ts.MkAbs(args[0])
	ts.Check(os.RemoveAll(dir))
	ts.Check(l.Publish(dir))
	ts.Check(os.WriteFile(ts.MkAbs("shop.key"), []byte(l.Key+"\n"), 0o600))
}

// cmdFlipByte changes a byte of a file: flipbyte FILE POSITION
func cmdFlipByte(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: flipbyte FILE POSITION")
	}
	at, err := strconv.Atoi(args[1])
	ts.Check(err)
	raw := []byte(ts.ReadFile(args[0]))
	raw[at] ^= 1
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), raw, 0o600))
}

// cmdSpoil changes the first byte of each file under a directory: spoil DIR
func cmdSpoil(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: spoil DIR")
	}
	ts.Check(filepath.WalkDir(ts.MkAbs(args[0]), func(path string, e os.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		raw[0] ^= 1
		return os.WriteFile(path, raw, 0o600)
	}))
}
