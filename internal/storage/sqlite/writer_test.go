package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
)

var errInjected = errors.New("injected")

func open(t *testing.T, opts Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "data ?#%.db"), opts) // a name that a URI must escape
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func idOf(n int) abide.SubjectID { return abide.SubjectID{0: 1, 14: byte(n >> 8), 15: byte(n)} }

// change makes subject n, with an entry.
func change(n int) *storage.Change {
	id := idOf(n)
	return &storage.Change{
		Row:     storage.SubjectRow{ID: id, Kind: abide.Person, Status: abide.StatusActive, Version: 1},
		Entries: []storage.Entry{{Subject: id, N: 1, Kind: "collected"}},
	}
}

// bad is a change that fails after its subject was written.
func bad(n int) *storage.Change {
	c := change(n)
	c.Entries = append(c.Entries, c.Entries[0])
	return c
}

func (s *Store) has(t *testing.T, n int) bool {
	t.Helper()
	_, err := s.Load(t.Context(), idOf(n), storage.Want{})
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		t.Fatal(err)
	}
	return err == nil
}

// gate holds the first commit until others wait in the queue, so that a test
// decides what shares a commit.
type gate struct {
	commits atomic.Int64
	entered chan struct{}
	release chan struct{}
}

func newGate() *gate { return &gate{entered: make(chan struct{}), release: make(chan struct{})} }

func (g *gate) hooks() hooks {
	return hooks{beforeCommit: func() error {
		if g.commits.Add(1) == 1 {
			close(g.entered)
			<-g.release
		}
		return nil
	}}
}

// together commits subject 0 and, while that syncs, the changes, which so
// become one batch in no particular order. It returns their errors.
func together(t *testing.T, s *Store, g *gate, changes ...*storage.Change) []error {
	t.Helper()
	errs := make([]error, len(changes))
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Commit(t.Context(), change(0)); err != nil {
			t.Errorf("first commit: %v", err)
		}
	})
	<-g.entered
	for i, c := range changes {
		wg.Go(func() { errs[i] = s.Commit(t.Context(), c) })
	}
	for len(s.f.w.queue) < len(changes) {
		runtime.Gosched()
	}
	close(g.release)
	wg.Wait()
	return errs
}

func TestChangesThatWaitShareACommit(t *testing.T) {
	g := newGate()
	s := open(t, Options{hooks: g.hooks()})
	var changes []*storage.Change
	for n := 1; n < 64; n++ {
		changes = append(changes, change(n))
	}
	if err := errors.Join(together(t, s, g, changes...)...); err != nil {
		t.Fatal(err)
	}
	if n := g.commits.Load(); n != 2 {
		t.Errorf("64 changes took %d commits; want 2", n)
	}
	for n := range 64 {
		if !s.has(t, n) {
			t.Errorf("change %d is missing", n)
		}
	}
}

func TestBadChangesDoNotTakeTheOthers(t *testing.T) {
	g := newGate()
	s := open(t, Options{hooks: g.hooks()})
	var changes []*storage.Change
	for n := 1; n < 40; n++ {
		switch {
		case n%4 == 1:
			changes = append(changes, bad(n))
		case n%4 == 2: // refused: it exists already, whichever comes first
			changes = append(changes, change(n+1))
		default:
			changes = append(changes, change(n))
		}
	}
	errs := together(t, s, g, changes...)
	conflicts := 0
	for i, err := range errs {
		n := i + 1
		switch {
		case n%4 == 1:
			if err == nil || errors.Is(err, storage.ErrConflict) {
				t.Errorf("bad change %d: %v", n, err)
			}
			if s.has(t, n) {
				t.Errorf("half of bad change %d is there", n)
			}
		case errors.Is(err, storage.ErrConflict):
			conflicts++
		case err != nil:
			t.Errorf("change %d: %v", n, err)
		}
	}
	if conflicts != 10 {
		t.Errorf("%d conflicts; want 10", conflicts)
	}
	if n := g.commits.Load(); n != 2 {
		t.Errorf("%d commits; want 2", n)
	}
}

// TestCommitFails gives the two ways a commit can fail: not persisted, and
// persisted all the same. The caller cannot tell and is told so.
func TestCommitFails(t *testing.T) {
	for _, persisted := range []bool{false, true} {
		t.Run(fmt.Sprintf("persisted %t", persisted), func(t *testing.T) {
			var fail atomic.Bool
			hook := func() error {
				if fail.Load() {
					return errInjected
				}
				return nil
			}
			h := hooks{beforeCommit: hook}
			if persisted {
				h = hooks{afterCommit: hook}
			}
			s := open(t, Options{hooks: h})
			fail.Store(true)
			if err := s.Commit(t.Context(), change(1)); !errors.Is(err, storage.ErrOutcomeUnknown) {
				t.Fatalf("error is %v; want ErrOutcomeUnknown", err)
			}
			fail.Store(false)
			want := error(nil)
			if persisted {
				want = storage.ErrConflict
			}
			if err := s.Commit(t.Context(), change(1)); !errors.Is(err, want) {
				t.Fatalf("retry: %v; want %v", err, want)
			}
			if !s.has(t, 1) {
				t.Error("the change is missing after the retry")
			}
		})
	}
}

// TestWriteError lets the operating system refuse to write the log beyond a
// size, which the commit finds.
func TestWriteError(t *testing.T) {
	s := open(t, Options{})
	if err := s.Commit(t.Context(), change(1)); err != nil {
		t.Fatal(err)
	}
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	limited := old
	limited.Cur = 1 << 20
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limited); err != nil {
		t.Fatal(err)
	}
	big := change(2)
	big.Row.Sealed = make([]byte, 4<<20)
	err := s.Commit(t.Context(), big)
	if rerr := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old); rerr != nil {
		t.Fatal(rerr)
	}
	if !errors.Is(err, storage.ErrOutcomeUnknown) && !errors.Is(err, storage.ErrUnavailable) {
		t.Fatalf("error is %v; want one that says to try again", err)
	}
	if !s.has(t, 1) || s.has(t, 2) {
		t.Error("what was acknowledged is missing, or what was not is there")
	}
	if err := s.Commit(t.Context(), big); err != nil {
		t.Fatalf("after the trouble: %v", err)
	}
}

// TestDiskFull lets the database reach its largest size: what fits is still
// written, and what does not leaves nothing.
func TestDiskFull(t *testing.T) {
	g := newGate()
	s := open(t, Options{hooks: g.hooks()})
	limit := func(pages int64) error {
		return s.f.w.do(t.Context(), 0, func(w *writeConn) error {
			_, err := w.one(fmt.Sprintf("PRAGMA max_page_count = %d", pages), func(*row) {})
			return err
		})
	}
	big := change(1)
	big.Row.Sealed = make([]byte, 8<<20)
	changes := []*storage.Change{big}
	for n := 2; n < 20; n++ {
		changes = append(changes, change(n))
	}
	g.commits.Store(1)                 // let this pass the gate
	if err := limit(500); err != nil { // pages
		t.Fatal(err)
	}
	g.commits.Store(0)
	errs := together(t, s, g, changes...)
	if !errors.Is(errs[0], storage.ErrFull) || s.has(t, 1) {
		t.Errorf("the change too large: %v; want ErrFull and nothing of it", errs[0])
	}
	for i, err := range errs[1:] {
		if err != nil || !s.has(t, i+2) {
			t.Errorf("change %d, which fits: %v", i+2, err)
		}
	}
	if err := limit(1 << 30); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(t.Context(), big); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

func TestEndedContextIsNotQueued(t *testing.T) {
	s := open(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Commit(ctx, change(1)); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if s.has(t, 1) {
		t.Error("a change of an ended context was written")
	}
}

// TestContextEndsInTheBatch ends a request whose change is in the batch: the
// batch goes on, and the change with it.
func TestContextEndsInTheBatch(t *testing.T) {
	g := newGate()
	s := open(t, Options{hooks: g.hooks()})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Commit(ctx, change(1)) }()
	<-g.entered
	cancel()
	close(g.release)
	if err := <-done; err != nil {
		t.Fatalf("error is %v; want the outcome of the commit", err)
	}
	if !s.has(t, 1) {
		t.Error("the change is missing")
	}
}

func TestCloseLetsWhatIsQueuedFinish(t *testing.T) {
	g := newGate()
	path := filepath.Join(t.TempDir(), "data.db")
	s, err := Open(t.Context(), path, Options{hooks: g.hooks()})
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan error, 1)
	errs := make(chan error, 2)
	go func() { errs <- s.Commit(t.Context(), change(0)) }()
	<-g.entered
	go func() { errs <- s.Commit(t.Context(), change(1)) }()
	for len(s.f.w.queue) < 1 {
		runtime.Gosched()
	}
	go func() { closed <- s.Close() }()
	close(g.release)
	if err := errors.Join(<-errs, <-errs, <-closed); err != nil {
		t.Fatal(err)
	}
	again, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if !again.has(t, 0) || !again.has(t, 1) {
		t.Error("a queued change is missing after Close")
	}
}
