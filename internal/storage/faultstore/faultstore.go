// Package faultstore wraps stores so that tests can break them on purpose. A
// write can fail in two ways that its caller cannot tell apart, and code must
// be right in both: not persisted, and persisted all the same. It also counts
// calls and records the exact sequence of durable effects over the data and the
// keys, in a form without random values, fit for a golden file.
package faultstore

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
)

// When tells at which side of persistence a call fails.
type When int

// The two sides. A read fails in the same way at either.
const (
	NotPersisted When = iota // the store is not called: nothing was done
	Persisted                // the store is called, then the error is returned
)

func (w When) String() string {
	if w == Persisted {
		return "persisted"
	}
	return "not persisted"
}

// Faults decides which calls fail and remembers what happened. One Faults
// serves the store and the key store of a test, so that the order between the
// two is kept. It is safe for concurrent use.
type Faults struct {
	mu      sync.Mutex
	calls   map[string]int
	effects []string
	rules   []*rule
	names   map[abide.SubjectID]int
	watch   func(step string, w When)
}

// rule makes calls fail.
type rule struct {
	method string // "" for every write
	skip   int    // calls to let pass first
	times  int    // calls to fail; negative: all
	when   When
	err    error
	hit    int
}

// New returns faults that let everything pass.
func New() *Faults {
	return &Faults{calls: map[string]int{}, names: map[abide.SubjectID]int{}}
}

// Store wraps a store. Its methods have their own names in Fail, Calls and
// Effects: "Commit".
func (f *Faults) Store(s storage.Store) storage.Store { return &store{f, s} }

// Keys wraps a key store. Its methods are named with a prefix: "Keys.Put".
func (f *Faults) Keys(k storage.KeyStore) storage.KeyStore { return &keyStore{f, k} }

// Fail makes the n-th call of a method from now on fail, counting from 1. A nil
// err is what an adapter would return: storage.ErrUnavailable if not persisted,
// storage.ErrOutcomeUnknown if persisted.
func (f *Faults) Fail(method string, n int, when When, err error) {
	f.add(&rule{method: method, skip: n - 1, times: 1, when: when, err: err})
}

// FailAll makes every call of a method fail until Heal.
func (f *Faults) FailAll(method string, when When, err error) {
	f.add(&rule{method: method, times: -1, when: when, err: err})
}

// FailWrite makes the n-th write from now on fail, of whatever method and
// store: a test that counts n up until nothing fails any more has broken every
// step of a use case.
func (f *Faults) FailWrite(n int, when When, err error) {
	f.add(&rule{skip: n - 1, times: 1, when: when, err: err})
}

func (f *Faults) add(r *rule) {
	if r.err == nil {
		r.err = storage.ErrUnavailable
		if r.when == Persisted {
			r.err = storage.ErrOutcomeUnknown
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = append(f.rules, r)
}

// Watch calls do around every write that is let through: before the store is
// called, with NotPersisted, and after it returned without error, with
// Persisted. A step is a write as Effects tells it. What kills the process in
// there has killed it at that step.
func (f *Faults) Watch(do func(step string, w When)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.watch = do
}

// Heal lets everything pass again.
func (f *Faults) Heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = nil
}

// Failed reports how many calls were made to fail by the rules in force.
func (f *Faults) Failed() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, r := range f.rules {
		n += r.hit
	}
	return n
}

// Calls reports how often a method was called.
func (f *Faults) Calls(method string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[method]
}

// Called lists the methods that were called, in order of name.
func (f *Faults) Called() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var names []string
	for m := range f.calls {
		names = append(names, m)
	}
	slices.Sort(names)
	return names
}

// Effects returns what became durable, in order. Subjects are named by their
// first appearance: #1, #2.
func (f *Faults) Effects() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.effects)
}

// Forget empties the counts and the effects.
func (f *Faults) Forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.calls)
	clear(f.names)
	f.effects = nil
}

// enter counts a call and finds the rule that makes it fail, if any.
func (f *Faults) enter(method string, write bool) *rule {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls[method]++
	var fails *rule
	for _, r := range f.rules {
		if r.method != method && !(r.method == "" && write) {
			continue
		}
		switch {
		case r.skip > 0:
			r.skip--
		case r.times != 0 && fails == nil:
			r.times--
			r.hit++
			fails = r
		}
	}
	return fails
}

// write runs a call that makes something durable, which describe tells.
func (f *Faults) write(method string, describe func() string, call func() error) error {
	r := f.enter(method, true)
	if r != nil && r.when == NotPersisted {
		return r.err
	}
	f.mu.Lock()
	watch := f.watch
	f.mu.Unlock()
	if watch != nil {
		watch(f.step(method, describe), NotPersisted)
	}
	err := call()
	if err == nil {
		step := f.step(method, describe)
		f.mu.Lock()
		f.effects = append(f.effects, step)
		f.mu.Unlock()
		if watch != nil {
			watch(step, Persisted)
		}
	}
	if r != nil {
		return r.err
	}
	return err
}

// step is a write in words.
func (f *Faults) step(method string, describe func() string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.TrimSpace(method + " " + describe())
}

// read runs a call that changes nothing.
func read[T any](f *Faults, method string, call func() (T, error)) (T, error) {
	if r := f.enter(method, false); r != nil {
		var zero T
		return zero, r.err
	}
	return call()
}

// name gives a subject its number. f.mu is held.
func (f *Faults) name(id abide.SubjectID) string {
	if id.IsZero() {
		return "store"
	}
	n, ok := f.names[id]
	if !ok {
		n = len(f.names) + 1
		f.names[id] = n
	}
	return fmt.Sprintf("#%d", n)
}
