package log_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/abide-privacy/abide/internal/log"
	"github.com/abide-privacy/abide/internal/storage"
)

// size is how many entries the test takes: a few thousand, or what
// ABIDE_PROOF_ENTRIES says, or very many under ABIDE_PROOF.
func size(t *testing.T, many int) int {
	if n, err := strconv.Atoi(os.Getenv("ABIDE_PROOF_ENTRIES")); err == nil {
		return n
	}
	if os.Getenv("ABIDE_PROOF") != "" {
		return many
	}
	t.Log("short: ABIDE_PROOF=1 takes", many)
	return 4096
}

// looksOf is a batch as a node spools it: 512 looks, sealed payloads of an
// ordinary size.
func looksOf(node string, batch, payload int) *storage.SpoolBatch {
	b := &storage.SpoolBatch{Node: node, Batch: uint64(batch), At: time.Unix(1, 0)}
	sealed := bytes.Repeat([]byte{7}, payload)
	for i := range 512 {
		c := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(node), uint64(512*batch+i)))
		b.Looks = append(b.Looks, storage.Look{At: b.At, Kind: "looked", Payload: sealed, Envelope: sealed, Commitment: c})
	}
	return b
}

// TestSteadyLoad writes looks as fast as the store makes them durable, with a
// sequencer at work that publishes to a directory, and tells how long each waited
// for a checkpoint. Every one is in the log in the end.
func TestSteadyLoad(t *testing.T) {
	engines(t, func(w *world) {
		t := w.T
		n := size(t, 400_000)
		p := w.dir()
		s := log.New(log.Options{Store: w.store, Keys: w.keys, Origin: origin, Node: "n1", Alone: true, Place: p})
		ctx, stop := context.WithCancel(w.ctx)
		type shown struct {
			size uint64
			at   time.Time
		}
		var checkpoints []shown
		var wg sync.WaitGroup
		s.Start(w.ctx)
		wg.Go(func() { // when which size was shown first
			tick := time.NewTicker(5 * time.Millisecond)
			defer tick.Stop()
			for ctx.Err() == nil {
				<-tick.C
				c, err := w.store.Checkpoint(ctx, 1)
				if err == nil && (len(checkpoints) == 0 || checkpoints[len(checkpoints)-1].size < c.Size) {
					checkpoints = append(checkpoints, shown{c.Size, time.Now()})
				}
			}
		})
		const writers = 4
		durable := make([][]time.Time, writers)
		began := time.Now()
		var writing sync.WaitGroup
		for i := range writers {
			writing.Go(func() {
				for batch := 1; batch <= n/512/writers; batch++ {
					if err := w.store.Spool(w.ctx, looksOf("w"+strconv.Itoa(i), batch, 250)); err != nil {
						t.Error(err)
						return
					}
					durable[i] = append(durable[i], time.Now())
				}
			})
		}
		writing.Wait()
		took := time.Since(began)
		total := uint64(n / 512 / writers * writers * 512)
		deadline := time.NewTimer(5 * time.Minute)
		defer deadline.Stop()
		for tick := time.NewTicker(10 * time.Millisecond); ; {
			if c, err := w.store.Checkpoint(w.ctx, 1); err == nil && c.Size == total {
				tick.Stop()
				break
			}
			select {
			case <-tick.C:
			case <-deadline.C:
				t.Fatal("not all entries came under a checkpoint")
			}
		}
		all := time.Since(began)
		stop()
		wg.Wait()
		w.ok(s.Stop(w.ctx))
		var waits []time.Duration
		for i := range durable {
			for j, at := range durable[i] {
				_, leaf, err := w.store.SpoolLeaf(w.ctx, storage.SpoolKey{Node: "w" + strconv.Itoa(i), Batch: uint64(j + 1)})
				w.ok(err)
				for _, c := range checkpoints {
					if c.size >= leaf+512 {
						waits = append(waits, c.at.Sub(at))
						break
					}
				}
			}
		}
		slices.Sort(waits)
		if len(waits) > 0 {
			t.Logf("%d entries durable at %.0f/s, all under a checkpoint at %.0f/s; from durable to checkpoint p50 %v, p99 %v",
				total, float64(total)/took.Seconds(), float64(total)/all.Seconds(), waits[len(waits)/2].Round(time.Millisecond),
				waits[len(waits)*99/100].Round(time.Millisecond))
		}
		entries, _ := w.verified(p)
		if uint64(len(entries)) != total {
			t.Errorf("%d entries in the log, %d were made durable", len(entries), total)
		}
	})
}

// TestCatchUp: a backlog comes in with memory that does not grow with it.
func TestCatchUp(t *testing.T) {
	engines(t, func(w *world) {
		t := w.T
		n := size(t, 10_000_000)
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				for batch := 1; batch <= n/512/4; batch++ {
					if err := w.store.Spool(w.ctx, looksOf("w"+strconv.Itoa(i), batch, 1)); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		s := w.node("n1", w.store, nil)
		var most uint64
		ctx, stop := context.WithCancel(w.ctx)
		wg.Go(func() {
			tick := time.NewTicker(100 * time.Millisecond)
			defer tick.Stop()
			for ctx.Err() == nil {
				<-tick.C
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				most = max(most, m.HeapInuse)
			}
		})
		began := time.Now()
		w.ok(s.Step(w.ctx))
		took := time.Since(began)
		stop()
		wg.Wait()
		total := uint64(n / 512 / 4 * 4 * 512)
		if c := must(w.store.Checkpoint(w.ctx, 1))(t); c.Size != total {
			t.Errorf("%d of %d entries", c.Size, total)
		}
		if most > 256<<20 {
			t.Errorf("%d MiB of heap", most>>20)
		}
		t.Logf("%d entries in %v, %.0f/s, %d MiB of heap at most", total, took.Round(time.Millisecond), float64(total)/took.Seconds(), most>>20)
	})
}
