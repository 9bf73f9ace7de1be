package engine

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
)

// slow is a store whose batches a test lets through one by one.
type slow struct {
	storage.Looks
	gate chan error // what the next attempt answers
	seen chan *storage.SpoolBatch

	mu   sync.Mutex
	kept []storage.SpoolBatch // applied once per number, as the contract says
}

func newSlow() *slow { return &slow{gate: make(chan error), seen: make(chan *storage.SpoolBatch, 100)} }

func (s *slow) Spool(_ context.Context, b *storage.SpoolBatch) error {
	s.seen <- b
	err := <-s.gate
	if err != nil && !errors.Is(err, errButKept) {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	known := false
	for _, k := range s.kept {
		known = known || k.Batch == b.Batch
	}
	if !known {
		s.kept = append(s.kept, *b)
	}
	if err != nil {
		return storage.ErrOutcomeUnknown
	}
	return nil
}

var errButKept = errors.New("kept, but the answer got lost")

func testSpooler(s *slow) *spooler {
	return newSpooler(s, "n", func() time.Time { return time.Unix(0, 0) }, newMetrics(nil))
}

func look(n byte) storage.Look { return storage.Look{Subject: abide.SubjectID{n}} }

// While one batch is on its way, what comes gathers into the next.
func TestSpoolGathers(t *testing.T) {
	store := newSlow()
	s := testSpooler(store)
	results := make(chan error, 100)
	record := func(n byte) {
		go func() { _, err := s.record(t.Context(), look(n)); results <- err }()
	}
	record(1)
	if b := <-store.seen; len(b.Looks) != 1 || b.Batch != 1 {
		t.Fatalf("first batch %d with %d looks", b.Batch, len(b.Looks))
	}
	for n := range byte(40) {
		record(n)
	}
	waitQueue(t, s, 40)
	store.gate <- nil
	if b := <-store.seen; len(b.Looks) != 40 || b.Batch != 2 {
		t.Fatalf("second batch %d with %d looks, want all that waited", b.Batch, len(b.Looks))
	}
	store.gate <- nil
	for range 41 {
		if err := <-results; err != nil {
			t.Fatal(err)
		}
	}
	if err := s.close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func waitQueue(t *testing.T, s *spooler, n int) {
	t.Helper()
	for {
		s.mu.Lock()
		got := len(s.queue)
		s.mu.Unlock()
		if got == n {
			return
		}
		if t.Context().Err() != nil {
			t.Fatal("the queue never filled")
		}
	}
}

// An error reaches every waiter, those of the batch and those behind it, and
// leaves no gap in the numbers.
func TestSpoolErrorReachesAll(t *testing.T) {
	store := newSlow()
	s := testSpooler(store)
	results := make(chan error, 100)
	for n := range byte(3) {
		go func() { _, err := s.record(t.Context(), look(n)); results <- err }()
	}
	b := <-store.seen
	waitQueue(t, s, 3-len(b.Looks))
	store.gate <- storage.ErrUnavailable
	for range 3 {
		if err := <-results; abide.ErrorCode(err) != abide.CodeUnavailable {
			t.Fatalf("a waiter got %v", err)
		}
	}
	go func() { _, err := s.record(t.Context(), look(9)); results <- err }()
	if b := <-store.seen; b.Batch != 1 || len(b.Looks) != 1 || b.Looks[0].Subject != (abide.SubjectID{9}) {
		t.Fatalf("after the failure batch %d with %d looks", b.Batch, len(b.Looks))
	}
	store.gate <- nil
	if err := <-results; err != nil {
		t.Fatal(err)
	}
	if err := s.close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// A batch whose outcome is unknown keeps its number and its content until it
// is known: reused for others, the number would have the store drop them.
func TestSpoolUnknownOutcome(t *testing.T) {
	for name, answer := range map[string]error{"not kept": storage.ErrOutcomeUnknown, "kept": errButKept} {
		t.Run(name, func(t *testing.T) {
			store := newSlow()
			s := testSpooler(store)
			result := make(chan error, 1)
			go func() { _, err := s.record(t.Context(), look(1)); result <- err }()
			for range spoolTries {
				<-store.seen
				store.gate <- answer
			}
			if err := <-result; abide.ErrorCode(err) != abide.CodeOutcomeUnknown {
				t.Fatalf("the waiter got %v", err)
			}
			go func() { _, err := s.record(t.Context(), look(2)); result <- err }()
			if b := <-store.seen; b.Batch != 1 || b.Looks[0].Subject != (abide.SubjectID{1}) {
				t.Fatalf("batch %d was written before the unknown one was settled", b.Batch)
			}
			store.gate <- nil
			if b := <-store.seen; b.Batch != 2 || b.Looks[0].Subject != (abide.SubjectID{2}) {
				t.Fatalf("then batch %d", b.Batch)
			}
			store.gate <- nil
			if err := <-result; err != nil {
				t.Fatal(err)
			}
			if err := s.close(t.Context()); err != nil {
				t.Fatal(err)
			}
			if len(store.kept) != 2 {
				t.Fatalf("%d batches kept, want both", len(store.kept))
			}
		})
	}
}

// What nobody waits for survives a failure of the store and is written by
// close; if it cannot be, close says so.
func TestSpoolNotes(t *testing.T) {
	store := newSlow()
	s := testSpooler(store)
	for n := range byte(5) {
		if err := s.note(t.Context(), look(n)); err != nil {
			t.Fatal(err)
		}
	}
	closed := make(chan error, 1)
	go func() { closed <- s.close(t.Context()) }()
	if b := <-store.seen; len(b.Looks) != 5 {
		t.Fatalf("%d notes written", len(b.Looks))
	}
	store.gate <- storage.ErrUnavailable
	// Written when the wait for more ended, or by close itself: one more try.
	var err error
	select {
	case err = <-closed:
	case b := <-store.seen:
		if len(b.Looks) != 5 {
			t.Fatalf("%d notes written again", len(b.Looks))
		}
		store.gate <- storage.ErrUnavailable
		err = <-closed
	}
	if abide.ErrorCode(err) != abide.CodeUnavailable {
		t.Fatalf("close lost notes and says %v", err)
	}
	if err := s.note(t.Context(), look(9)); err == nil {
		t.Fatal("a closed spool takes notes")
	}
}

// Whoever leaves stops waiting; the record is written all the same.
func TestSpoolCallerLeaves(t *testing.T) {
	store := newSlow()
	s := testSpooler(store)
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { _, err := s.record(ctx, look(1)); result <- err }()
	<-store.seen
	cancel()
	if err := <-result; abide.ErrorCode(err) != abide.CodeUnavailable {
		t.Fatalf("the caller who left got %v", err)
	}
	store.gate <- nil
	if err := s.close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(store.kept) != 1 {
		t.Fatalf("%d batches kept", len(store.kept))
	}
}
