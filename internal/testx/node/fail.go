package node

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/engine"
	"github.com/abide-privacy/abide/internal/storage/faultstore"
	"github.com/abide-privacy/abide/internal/testx/whole"
)

// Outcome is what a process found after a fault.
type Outcome struct {
	Hit     bool     // whether the use case has that step
	Effects []string // what became durable, in order
	Wrong   []string // half states, calls that do not end well
	Summary string   // what the store holds
}

// outcome collects an Outcome over one store.
type outcome struct {
	Outcome
	s whole.Store
}

// halves notes every half state.
func (o *outcome) halves(ctx context.Context, when string) error {
	r, err := whole.Check(ctx, o.s)
	if err != nil {
		return err
	}
	for _, f := range r.Findings {
		o.Wrong = append(o.Wrong, when+": half state: "+f)
	}
	return nil
}

// again carries out the use case as its caller would: the same call, the same key.
func (o *outcome) again(ctx context.Context, e *engine.Engine, c UseCase) {
	if err := Again(ctx, e, c); err != nil && abide.ErrorDetail(err) != c.Repeats {
		o.Wrong = append(o.Wrong, "again: "+err.Error())
	}
}

// end settles, checks and says what was found.
func (o *outcome) end(ctx context.Context) error {
	if err := Settle(ctx, o.s.Data); err != nil {
		return err
	}
	if err := o.halves(ctx, "at the end"); err != nil {
		return err
	}
	var err error
	if o.Summary, err = whole.Summary(ctx, o.s); err != nil {
		return err
	}
	return say(o.Outcome)
}

// fail prepares a use case, makes one write of it fail, none if Step is 0, and
// sends the call again with its key.
func (j Job) fail(ctx context.Context) error {
	c, s, err := j.begin(ctx)
	if err != nil {
		return err
	}
	o, f := &outcome{s: s}, faultstore.New()
	faulty := whole.Store{Data: f.Store(s.Data), Keys: f.Keys(s.Keys), Ring: s.Ring, Blobs: s.Blobs}
	var ahead atomic.Int64
	clock := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	e, err := Start(ctx, faulty, clock)
	if err != nil {
		return err
	}
	if err := c.Prepare(ctx, e); err != nil {
		return fmt.Errorf("preparing: %w", err)
	}
	if err := Settle(ctx, s.Data); err != nil {
		return err
	}
	f.Forget()
	if j.Step > 0 {
		when := faultstore.NotPersisted
		if j.After {
			when = faultstore.Persisted
		}
		f.FailWrite(j.Step, when, nil)
	}
	first := Again(ctx, e, c)
	o.Hit = f.Failed() > 0
	f.Heal()
	if first != nil && !o.Hit {
		return first
	}
	if err := o.halves(ctx, "after the failure"); err != nil {
		return err
	}
	if o.Hit {
		ahead.Store(int64(whole.ClaimsExpire))
		o.again(ctx, e, c)
	}
	o.Effects = f.Effects()
	// The next engine finishes what this one left to be found.
	if err := e.Close(ctx); err != nil {
		return err
	}
	if e, err = Start(ctx, faulty, clock); err != nil {
		return err
	}
	defer func() { _ = e.Close(ctx) }()
	return o.end(ctx)
}

// recover opens what a crashed process left, checks it, and sends the call
// again.
func (j Job) recover(ctx context.Context) error {
	c, s, err := j.begin(ctx)
	if err != nil {
		return err
	}
	o := &outcome{s: s}
	o.Hit = true
	if err := o.halves(ctx, "after the crash"); err != nil {
		return err
	}
	// At this time the claims of the dead process have expired.
	e, err := Start(ctx, s, func() time.Time { return time.Now().Add(whole.ClaimsExpire) })
	if err != nil {
		return err
	}
	defer func() { _ = e.Close(ctx) }()
	o.again(ctx, e, c)
	return o.end(ctx)
}
