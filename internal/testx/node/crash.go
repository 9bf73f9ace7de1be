package node

import (
	"context"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/abide-privacy/abide/internal/engine"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/storage/faultstore"
	"github.com/abide-privacy/abide/internal/testx/whole"
)

// Crashed is what a crashing process says last: the step at which it died.
type Crashed struct {
	Step string
	When string
}

// Done is what it says if the use case had fewer steps than that.
type Done struct{ Done bool }

// caseKey is the idempotency key of a use case, in every process.
const caseKey = "the one call"

// begin finds the job's use case and opens its store.
func (j Job) begin(ctx context.Context) (UseCase, whole.Store, error) {
	c, err := Find(j.Case)
	if err != nil {
		return c, whole.Store{}, err
	}
	s, err := j.Open(ctx)
	return c, s, err
}

// crash prepares a use case, carries it out, and kills its own process at one
// of its writes. Work that the use case leaves to the background counts too.
func (j Job) crash(ctx context.Context) error {
	c, s, err := j.begin(ctx)
	if err != nil {
		return err
	}
	f := faultstore.New()
	inner := s
	s.Data, s.Keys = f.Store(s.Data), f.Keys(s.Keys)
	e, err := Start(ctx, s, time.Now)
	if err != nil {
		return err
	}
	if err := c.Prepare(ctx, e); err != nil {
		return fmt.Errorf("preparing: %w", err)
	}
	if err := Settle(ctx, inner.Data); err != nil {
		return err
	}
	var mu sync.Mutex
	n, finished := 0, false
	f.Watch(func(step string, w faultstore.When) {
		mu.Lock()
		defer mu.Unlock()
		if finished {
			return
		}
		if w == faultstore.NotPersisted {
			n++
		}
		if n == j.Step && (w == faultstore.Persisted) == j.After {
			if err := say(Crashed{step, w.String()}); err != nil {
				panic(err)
			}
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL) // nothing runs after it
			select {}
		}
	})
	if err := c.Run(ctx, e, caseKey); err != nil {
		return err
	}
	if err := Settle(ctx, inner.Data); err != nil {
		return err
	}
	// One of the two is said, never both: the last step may be seen in the store
	// a moment before the process dies of it.
	mu.Lock()
	finished = true
	mu.Unlock()
	return say(Done{true})
}

// Find finds a use case by its name.
func Find(name string) (UseCase, error) {
	for _, c := range UseCases() {
		if c.Name == name {
			return c, nil
		}
	}
	return UseCase{}, fmt.Errorf("no such use case: %q", name)
}

// Again carries out a use case as its caller would after a failure: the same
// call with the same idempotency key.
func Again(ctx context.Context, e *engine.Engine, c UseCase) error { return c.Run(ctx, e, caseKey) }

// Settle waits until no erasure is under way. Background work has no clock that
// a test could move.
func Settle(ctx context.Context, s storage.Store) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		jobs, err := s.ErasureJobs(ctx, 1)
		if err != nil || len(jobs) == 0 {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
