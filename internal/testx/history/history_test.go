package history_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/abide-privacy/abide/internal/testx/history"
)

// parse reads a history in short: one operation a line, "give 1 3" for a give
// called at 1 and answered at 3; yes and no are asks; a return of ? is unknown.
func parse(t *testing.T, text string) []history.Op {
	t.Helper()
	var ops []history.Op
	for i, line := range strings.Split(strings.TrimSpace(text), ";") {
		var kind, ret string
		var call int
		if _, err := fmt.Sscan(line, &kind, &call, &ret); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		o := history.Op{Client: i, Key: history.Key{Subject: "s", Purpose: "p"}, Kind: history.Kind(kind), Call: time.Duration(call), Return: history.Never}
		switch kind {
		case "yes", "no":
			o.Kind, o.Permitted = history.Ask, kind == "yes"
		}
		if ret != "?" {
			var n int
			if _, err := fmt.Sscan(ret, &n); err != nil {
				t.Fatal(err)
			}
			o.Return = time.Duration(n)
		}
		ops = append(ops, o)
	}
	return ops
}

func TestJudgement(t *testing.T) {
	for _, c := range []struct {
		history      string
		linearizable bool
		late         int // permits after an acknowledged withdrawal
	}{
		{"no 1 2; give 3 4; yes 5 6; withdraw 7 8; no 9 10", true, 0},
		{"yes 1 2", false, 0},                                                 // nobody gave it
		{"give 1 2; no 3 4", false, 0},                                        // an acknowledged give was lost
		{"give 1 2; withdraw 3 4; yes 5 6", false, 1},                         // the withdrawal did not bind
		{"give 1 2; withdraw 3 6; yes 4 5", true, 0},                          // not yet acknowledged
		{"give 1 2; withdraw 3 8; no 4 5; yes 6 7", false, 0},                 // one saw it, a later one did not
		{"give 1 ?; yes 5 6; yes 7 8", true, 0},                               // unknown, and took effect
		{"give 1 ?; no 5 6; no 7 8", true, 0},                                 // unknown, and did not
		{"give 1 ?; no 5 6; yes 7 8", true, 0},                                // unknown, and took effect late
		{"give 1 ?; yes 5 6; no 7 8", false, 0},                               // but not for a while only
		{"give 1 2; withdraw 3 4; give 5 ?; yes 6 7", true, 0},                // given again, perhaps
		{"give 1 2; withdraw 3 4; yes 5 6; give 7 8", false, 1},               // given too late to explain it
		{"give 1 5; withdraw 2 4; yes 6 7", true, 0},                          // the give came last of the two
		{"give 1 2; withdraw 3 ?; yes 5 6; no 7 8", true, 0},                  // an unknown withdrawal
		{"give 1 2; withdraw 3 ?; no 5 6; yes 7 8", false, 0},                 // binds from when it was seen
		{"give 1 2; withdraw 3 4; yes 4 6", true, 0},                          // the same instant is no order
		{"give 1 2; withdraw 3 4; give 5 6; withdraw 7 8; yes 9 9", false, 1}, // the second withdrawal counts
	} {
		ops := parse(t, c.history)
		v, err := history.Linearizable(ops, time.Minute, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		if got := len(v.Violations) == 0 && v.Undecided == 0; got != c.linearizable {
			t.Errorf("%s: linearizable %t, want %t: %v", c.history, got, c.linearizable, v.Violations)
		}
		if late := history.LatePermits(ops); len(late) != c.late {
			t.Errorf("%s: %d late permits, want %d: %v", c.history, len(late), c.late, late)
		}
	}
}

// Registers are judged apart, and a violation names its register, the operation
// that fits nowhere, and what overlaps with it, and is drawn.
func TestViolationIsExplained(t *testing.T) {
	ops := parse(t, "give 1 2; withdraw 3 4; yes 10 20; no 12 25")
	for _, o := range parse(t, "give 1 2; yes 3 4") {
		o.Key.Subject = "other"
		ops = append(ops, o)
	}
	v, err := history.Linearizable(ops, time.Minute, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if v.Registers != 2 || len(v.Violations) != 1 || len(v.Pictures) != 1 || v.Overlapping != 0 {
		t.Fatalf("%+v", v)
	}
	for _, want := range []string{"s for p", "client 2 on node 1: ask: permitted", "client 3 on node 1: ask: refused"} {
		if !strings.Contains(v.Violations[0], want) {
			t.Errorf("%q is not in\n%s", want, v.Violations[0])
		}
	}
	if page, err := os.ReadFile(v.Pictures[0]); err != nil || !strings.Contains(string(page), "ask: permitted") {
		t.Errorf("the drawing: %v, %d bytes", err, len(page))
	}
}

func TestOverlapping(t *testing.T) {
	if n := history.Overlapping(parse(t, "give 1 4; withdraw 2 3; yes 3 5; no 4 5; no 6 7")); n != 4 {
		t.Fatalf("%d pairs overlap; want 4", n) // give with three, withdraw with yes
	}
}
