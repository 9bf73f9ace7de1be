package engine

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/abide-privacy/abide/internal/storage"
)

const (
	spoolBatch   = 512                    // looks in one batch, at most
	spoolQueue   = 8 * spoolBatch         // looks that may wait; then callers do
	spoolLazy    = 500 * time.Millisecond // how long a pure decision may stay in memory
	spoolTimeout = 20 * time.Second       // of one attempt
	spoolTries   = 4                      // of one batch whose outcome is unknown, before its waiters hear of it
)

// spooler makes looks durable together. At most one batch is on its way to the
// store while the next one gathers, so the busier the node, the larger its
// batches. Batches are numbered contiguously from 1: a number that is missing
// is a loss that can be seen.
//
// What survives a crash: every batch whose Spool returned. Nothing that a
// caller waits for is released before that.
type spooler struct {
	store   storage.Looks
	node    string
	clock   func() time.Time
	metrics *metrics

	mu      sync.Mutex
	room    sync.Cond // signalled when the queue shrinks
	queue   []pendingLook
	closing bool

	wake chan struct{} // there is something to write at once
	lazy chan struct{} // there is something to write within spoolLazy
	quit chan struct{}
	done chan struct{}

	// Owned by run.
	next   uint64
	stuck  *storage.SpoolBatch // its outcome is unknown; nothing follows it before it is settled
	failed error               // of the last write, for close
}

type pendingLook struct {
	look    storage.Look
	barrier bool            // no look: whoever waits wants everything before it durable
	result  chan lookResult // nil: nobody waits
}

func (p *pendingLook) answer(r lookResult) {
	if p.result != nil {
		p.result <- r
	}
}

type lookResult struct {
	receipt LookReceipt
	err     error
}

func newSpooler(store storage.Looks, node string, clock func() time.Time, m *metrics) *spooler {
	s := &spooler{store: store, node: node, clock: clock, metrics: m,
		wake: make(chan struct{}, 1), lazy: make(chan struct{}, 1),
		quit: make(chan struct{}), done: make(chan struct{}), next: 1}
	s.room.L = &s.mu
	go s.run()
	return s
}

// record makes a look durable and returns where it stands. When it returns an
// error, nothing that the look is about may be released. Cancelling ctx stops
// the waiting, not the record.
func (s *spooler) record(ctx context.Context, l storage.Look) (LookReceipt, error) {
	result := make(chan lookResult, 1)
	if err := s.enqueue(ctx, pendingLook{look: l, result: result}); err != nil {
		return LookReceipt{}, err
	}
	select {
	case r := <-result:
		return r.receipt, r.err
	case <-ctx.Done():
		return LookReceipt{}, storageError(ctx.Err())
	}
}

// note records what releases nothing; it is durable within a second. A full
// queue makes the caller wait for room.
func (s *spooler) note(ctx context.Context, l storage.Look) error {
	return s.enqueue(ctx, pendingLook{look: l})
}

// flush returns once everything handed in before it is durable.
func (s *spooler) flush(ctx context.Context) error {
	result := make(chan lookResult, 1)
	if err := s.enqueue(ctx, pendingLook{barrier: true, result: result}); err != nil {
		return err
	}
	select {
	case r := <-result:
		return r.err
	case <-ctx.Done():
		return storageError(ctx.Err())
	}
}

func (s *spooler) enqueue(ctx context.Context, p pendingLook) error {
	stop := context.AfterFunc(ctx, s.broadcast)
	defer stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.queue) >= spoolQueue && !s.closing && ctx.Err() == nil {
		s.room.Wait()
	}
	if err := ctx.Err(); err != nil {
		return storageError(err)
	}
	if s.closing {
		return unavailable("closing", "the server is shutting down")
	}
	s.queue = append(s.queue, p)
	ch := s.lazy
	if p.result != nil || len(s.queue) >= spoolBatch {
		ch = s.wake
	}
	signal(ch)
	return nil
}

func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// broadcast wakes callers that wait for room, under the lock, so that none
// checks its context and then misses the signal.
func (s *spooler) broadcast() {
	s.mu.Lock()
	s.room.Broadcast()
	s.mu.Unlock()
}

func (s *spooler) run() {
	defer close(s.done)
	for {
		select {
		case <-s.wake:
		case <-s.lazy:
			if !s.linger() {
				s.drain()
				return
			}
		case <-s.quit:
			s.drain()
			return
		}
		s.drain()
	}
}

// linger lets notes gather until somebody waits, or they have waited long
// enough. It reports false if the spooler is to end.
func (s *spooler) linger() bool {
	t := time.NewTimer(spoolLazy)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.wake:
	case <-s.quit:
		return false
	}
	return true
}

// drain writes until the queue is empty. If the store refuses, every waiter
// hears of it, and what nobody waits for stays queued for another try.
func (s *spooler) drain() {
	for {
		err := s.settle()
		var batch []pendingLook
		if err == nil {
			if batch = s.take(); len(batch) == 0 {
				s.failed = nil
				return
			}
			err = s.write(batch)
		}
		if err != nil {
			s.failed = err
			s.metrics.spoolFailed()
			s.refuse(err)
			return
		}
	}
}

func (s *spooler) take() []pendingLook {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(len(s.queue), spoolBatch)
	batch := s.queue[:n:n]
	s.queue = s.queue[n:]
	s.room.Broadcast()
	return batch
}

// refuse tells all queued waiters err and keeps the rest for another try.
func (s *spooler) refuse(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var keep []pendingLook
	for _, p := range s.queue {
		if p.result == nil {
			keep = append(keep, p)
			continue
		}
		p.answer(lookResult{err: storageError(err)})
	}
	s.queue = keep
	if len(keep) > 0 || s.stuck != nil {
		signal(s.lazy)
	}
	s.room.Broadcast()
}

// putBack returns a batch that the store did not take to the head of the
// queue, where refuse finds it.
func (s *spooler) putBack(batch []pendingLook) {
	s.mu.Lock()
	s.queue = append(append([]pendingLook(nil), batch...), s.queue...)
	s.mu.Unlock()
}

// write makes one batch durable and tells everyone who waits.
func (s *spooler) write(batch []pendingLook) error {
	b := &storage.SpoolBatch{Node: s.node, Batch: s.next, At: s.clock().UTC()}
	for i := range batch {
		if !batch[i].barrier {
			b.Looks = append(b.Looks, batch[i].look)
		}
	}
	if len(b.Looks) > 0 {
		err := s.spool(b)
		if errors.Is(err, storage.ErrOutcomeUnknown) {
			// It may be in the store, so its number is not used for anything
			// else: the store would take the second for a repetition of the
			// first and drop it.
			s.stuck = b
			for i := range batch {
				batch[i].answer(lookResult{err: storageError(err)})
			}
			return err
		}
		if err != nil {
			s.putBack(batch)
			return err
		}
		s.next++
		s.metrics.spooled(len(b.Looks))
	}
	pos := uint32(0)
	for i := range batch {
		r := LookReceipt{Node: s.node, Batch: b.Batch, Pos: pos}
		if batch[i].barrier {
			batch[i].answer(lookResult{})
			continue
		}
		batch[i].answer(lookResult{receipt: r})
		pos++
	}
	return nil
}

// settle writes again the batch whose outcome is unknown, until it is known.
func (s *spooler) settle() error {
	if s.stuck == nil {
		return nil
	}
	if err := s.spool(s.stuck); err != nil {
		return err
	}
	s.metrics.spooled(len(s.stuck.Looks))
	s.stuck = nil
	s.next++
	return nil
}

// spool hands a batch to the store, again if it cannot tell the outcome: the
// same batch twice is applied once.
func (s *spooler) spool(b *storage.SpoolBatch) error {
	for range spoolTries {
		// No caller's context reaches the batch: it belongs to all of them.
		ctx, cancel := context.WithTimeout(context.Background(), spoolTimeout)
		err := s.store.Spool(ctx, b)
		cancel()
		if err == nil {
			return nil
		}
		if !errors.Is(err, storage.ErrOutcomeUnknown) && !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
	}
	return storage.ErrOutcomeUnknown
}

// close writes what is queued and ends. An error says that decisions noted
// last are not on record; nothing was released for which that would matter.
func (s *spooler) close(ctx context.Context) error {
	s.mu.Lock()
	if !s.closing {
		s.closing = true
		close(s.quit)
	}
	s.room.Broadcast()
	s.mu.Unlock()
	select {
	case <-s.done:
		return storageError(s.failed)
	case <-ctx.Done():
		return storageError(ctx.Err())
	}
}
