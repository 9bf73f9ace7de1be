// Package history records what concurrent clients did to the consent register
// and judges it. The register of one subject and purpose holds whether consent
// is given; the operations are give, withdraw, and ask (whether the purpose is
// permitted). What clients saw must be explained by one order of all
// operations in which each takes effect at an instant between its call and its
// answer: linearizable (Herlihy and Wing, 1990), checked by porcupine.
package history

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"time"
)

// Kind is an operation on the register.
type Kind string

// The operations.
const (
	Give     Kind = "give"
	Withdraw Kind = "withdraw"
	Ask      Kind = "ask"
)

// Key names a register.
type Key struct{ Subject, Purpose string }

func (k Key) String() string { return k.Subject + " for " + k.Purpose }

// Op is one operation of a client. Times are monotonic, since the history
// began.
type Op struct {
	Client    int
	Node      int // that it was sent to, the last one if it was retried elsewhere
	Key       Key
	Kind      Kind
	Permitted bool // answer of an ask
	Call      time.Duration
	Return    time.Duration // Never if the outcome is unknown
}

// Never is the return of an operation whose outcome is unknown: it may take
// effect at any time after its call, or not at all.
const Never = time.Duration(math.MaxInt64)

func (o Op) String() string {
	what := string(o.Kind)
	if o.Kind == Ask {
		what = "ask: refused"
		if o.Permitted {
			what = "ask: permitted"
		}
	}
	end := "?"
	if o.Return != Never {
		end = fmt.Sprintf("%.3fs", o.Return.Seconds())
	}
	return fmt.Sprintf("[%.3fs, %s] client %d on node %d: %s", o.Call.Seconds(), end, o.Client, o.Node+1, what)
}

// overlaps reports whether neither operation ended before the other began.
func (o Op) overlaps(p Op) bool { return o.Call <= p.Return && p.Call <= o.Return }

// Log collects operations. It is safe for concurrent use.
type Log struct {
	start time.Time
	mu    sync.Mutex
	ops   []Op
}

// New begins a history.
func New() *Log { return &Log{start: time.Now()} }

// Now is the time in the history, read from the monotonic clock, which no
// jump of a node's clock moves.
func (l *Log) Now() time.Duration { return time.Since(l.start) }

// Add takes in an operation that ended, or whose outcome is unknown. One that
// is known to have done nothing stays out.
func (l *Log) Add(o Op) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ops = append(l.ops, o)
}

// Ops returns what was recorded.
func (l *Log) Ops() []Op {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Op(nil), l.ops...)
}

// LatePermits lists the permits that began after an acknowledged withdrawal
// although no consent was given since: every give either was answered before
// the withdrawal was called, or was called after the permit was answered. It
// asks less than linearizability and needs no search: a second opinion on the
// one promise that matters most (G3).
func LatePermits(ops []Op) []string {
	var late []string
	for _, registers := range byKey(ops) {
		for _, ask := range registers {
			if ask.Kind != Ask || !ask.Permitted {
				continue
			}
			for _, w := range registers {
				if w.Kind == Withdraw && w.Return < ask.Call && !givenBetween(registers, w, ask) {
					late = append(late, fmt.Sprintf("%s:\n  %s\n  %s", ask.Key, w, ask))
					break
				}
			}
		}
	}
	return late
}

func givenBetween(ops []Op, withdrawal, ask Op) bool {
	for _, g := range ops {
		if g.Kind == Give && g.Return >= withdrawal.Call && g.Call <= ask.Return {
			return true
		}
	}
	return false
}

// Overlapping counts the pairs of operations on one register that overlap and
// of which one at least writes: a history without any proves nothing.
func Overlapping(ops []Op) int {
	n := 0
	for _, registers := range byKey(ops) {
		for i, a := range registers {
			for _, b := range registers[i+1:] {
				if a.overlaps(b) && (a.Kind != Ask || b.Kind != Ask) {
					n++
				}
			}
		}
	}
	return n
}

func byKey(ops []Op) map[Key][]Op {
	out := map[Key][]Op{}
	for _, o := range ops {
		out[o.Key] = append(out[o.Key], o)
	}
	return out
}

// pairs lists, one a line, the operations of a register that overlap with o.
func pairs(ops []Op, o Op) string {
	var b strings.Builder
	for _, p := range ops {
		if p != o && o.overlaps(p) {
			fmt.Fprintf(&b, "    %s\n", p)
		}
	}
	return b.String()
}
