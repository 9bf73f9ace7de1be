package postgres

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/testx/pg"
)

// watched counts round trips: how often the client waits for an answer after it
// has sent something.
type watched struct {
	net.Conn
	sent  atomic.Bool
	trips *atomic.Int64
}

func (w *watched) Write(b []byte) (int, error) {
	w.sent.Store(true)
	return w.Conn.Write(b)
}

func (w *watched) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if n > 0 && w.sent.Swap(false) {
		w.trips.Add(1)
	}
	return n, err
}

// TestRoundTrips counts those of the hot paths, on a connection that knows the
// statements already.
func TestRoundTrips(t *testing.T) {
	var trips atomic.Int64
	s := open(t, pg.Database(t), Options{MaxConns: 1, dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		return &watched{Conn: c, trips: &trips}, err
	}})
	ctx, n := t.Context(), byte(0)
	full := func() *storage.Change {
		n++
		c := change(n)
		c.PutItems = []storage.Item{{Category: "a", ID: c.Row.ID}, {Category: "b", ID: c.Row.ID}}
		c.Consents = []storage.ConsentRow{{N: 1, Purpose: "p", Action: abide.ConsentGiven}}
		c.ConsentIndex = []storage.ConsentIndexRow{{Purpose: "p", Effect: "given"}}
		c.Idempotency = &storage.IdempotencyRow{Key: []byte("k"), Digest: []byte("d")}
		return c
	}
	for _, c := range []struct {
		name string
		call func() error
	}{
		{"load", func() error {
			_, err := s.Load(ctx, abide.SubjectID{15: 1}, storage.Want{AllItems: true, Idempotency: []byte("k"), Erasure: true})
			return err
		}},
		{"commit", func() error { return s.Commit(ctx, full()) }},
		{"spool", func() error {
			n++
			return s.Spool(ctx, &storage.SpoolBatch{Node: "n", Batch: uint64(n), Looks: []storage.Look{{Kind: "looked_at"}}})
		}},
		{"claim", func() error {
			return s.Claim(ctx, []storage.Lookup{
				{Category: "a", Index: storage.IndexValue{Key: "k", Value: []byte("1")}, Subject: abide.SubjectID{1}, Unique: true},
				{Category: "a", Index: storage.IndexValue{Key: "k", Value: []byte("2")}, Subject: abide.SubjectID{1}},
			}, time.Unix(1, 0))
		}},
	} {
		if c.name == "load" {
			if err := s.Commit(ctx, full()); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 { // the first prepares the statements
			trips.Store(0)
			if err := c.call(); err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
		}
		if got := trips.Load(); got != 1 {
			t.Errorf("%s takes %d round trips; want 1", c.name, got)
		}
	}
}
