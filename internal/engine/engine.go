// Package engine holds the use cases, one file each. A use case owns three
// things and shares them with nobody: who may call it, the transaction, and
// the log entry.
//
// Two paths lead through this package. A change loads its subject, decides,
// builds a storage.Change with all cryptography done, and commits it together
// with its log entry (change.go). A look loads its subject, decides, opens the
// items, makes the record of the look durable, and only then releases what it
// opened (read.go, spool.go).
//
// Nothing of a subject survives a request: neither state nor keys. What is
// kept is immutable: compiled policies by version, terms by digest, the
// unwrapped keyring. Errors, logs and metrics carry names of the policy and
// random ids, never a personal value.
package engine

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/blob"
	"github.com/abide-privacy/abide/internal/keys"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/vault"
	"github.com/abide-privacy/abide/policy"
)

// Options say what an engine works with. Store, Keys and Keyring are required.
type Options struct {
	Store   storage.Store
	Keys    storage.KeyStore
	Keyring *keys.Keyring
	Laws    *policy.Laws
	Clock   func() time.Time // nil is the system's clock
	Log     *slog.Logger     // nil discards
	// Node names this process in the spool; a random suffix keeps two runs of
	// one node apart. Empty: random.
	Node    string
	Metrics prometheus.Registerer // nil keeps none
	// Ledger, if set, records what a restore must bring back, and is replayed
	// before the engine serves.
	Ledger RestoreLedger
	// LedgerSeen is what was remembered of the ledger outside of it and the
	// store; nil: nothing.
	LedgerSeen *LedgerSeen
	// Blobs keeps the bytes of uploads; nil: uploads are refused.
	Blobs blob.Store
}

// Engine is the use cases over one store. Its methods are safe for concurrent
// use.
type Engine struct {
	store      storage.Store
	keys       storage.KeyStore
	vault      *vault.Vault
	laws       *policy.Laws
	lawsDigest string
	clock      func() time.Time
	log        *slog.Logger
	node       string
	restore    RestoreLedger
	ledgerSeen *LedgerSeen
	blobs      blob.Store
	metrics    *metrics

	generation atomic.Uint64 // counts restores of the store
	gap        atomic.Pointer[Gap]
	replayed   Replayed     // at the start
	known      *knownLedger // what the store remembered of the ledger; during the replay
	marks      marks

	policies policies
	index    atomic.Value // storage.IndexKeys: those in force, as last seen
	register registers
	spool    *spooler
	counters counters
	findings findings
	tidying  housekeeping

	sweepRows, sweepPages int // of one page, and between two saved positions

	stripes [1024]sync.Mutex // one change per subject at a time on this node

	erasures chan struct{} // wakes the erasure worker
	sweeps   chan struct{} // wakes the sweeper
	stop     context.CancelFunc
	workers  sync.WaitGroup
	closed   atomic.Bool
}

// Open starts an engine: it loads the policy in force, brings unfinished
// erasures to their certificate, completes two-party copies, and starts the
// spool and the background work. Close ends it.
func Open(ctx context.Context, o Options) (*Engine, error) {
	if o.Store == nil || o.Keys == nil || o.Keyring == nil {
		return nil, errors.New("engine: Store, Keys and Keyring are required")
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	e := &Engine{
		store: o.Store, keys: o.Keys, vault: vault.New(o.Keyring), laws: o.Laws, lawsDigest: digestOfLaws(o.Laws),
		clock: o.Clock, log: o.Log, restore: o.Ledger, ledgerSeen: o.LedgerSeen, blobs: o.Blobs,
		node: nodeName(o.Node), metrics: newMetrics(o.Metrics),
		erasures: make(chan struct{}, 1), sweeps: make(chan struct{}, 1),
		sweepRows: housekeepingPage, sweepPages: sweepPages,
	}
	e.policies.init()
	if err := e.checkKeys(ctx); err != nil {
		return nil, err
	}
	known, err := e.checkLineage(ctx)
	if err != nil {
		return nil, err
	}
	if err := e.openIndex(ctx); err != nil {
		return nil, err
	}
	// With a policy that cannot be used nothing is permitted, but another can
	// be published.
	if _, err := e.refresh(ctx); err != nil && abide.ErrorDetail(err) != string(abide.DenyPolicyUnavailable) {
		return nil, err
	}
	e.spool = newSpooler(e.store, e.node, e.clock, e.metrics)
	if err := e.recover(ctx, known); err != nil {
		return nil, errors.Join(err, e.spool.close(ctx))
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	e.stop = stop
	for _, work := range []func(context.Context){e.eraser, e.flusher, e.collector, e.housekeeper, e.sweeper, e.expirer} {
		e.workers.Add(1)
		go func() { defer e.workers.Done(); work(run) }()
	}
	e.wakeEraser()
	return e, nil
}

// recover finishes what an earlier process left half done, in this order: the
// record of a keyring that was recovered from shares, index values of a backup
// made under a key that is gone, what the restore ledger holds and the store
// does not, erasures up to their certificate, so that no key outlives the
// intent, and then the second halves of two-party writes.
func (e *Engine) recover(ctx context.Context, known knownKeyring) error {
	if err := e.adoptRing(ctx, known); err != nil {
		return err
	}
	if err := e.reindexRestored(ctx); err != nil {
		return err
	}
	if err := e.replayLedger(ctx); err != nil {
		return err
	}
	if err := e.certifyPending(ctx); err != nil {
		return err
	}
	if err := e.resumeCopies(ctx); err != nil {
		return err
	}
	return e.gaugeKeys(ctx)
}

// Close stops the background work and drains the spool: when it returns nil,
// every decision that was answered is on record.
func (e *Engine) Close(ctx context.Context) error {
	if e.closed.Swap(true) {
		return nil
	}
	e.stop()
	e.workers.Wait()
	return errors.Join(e.flushCounters(ctx), e.flushFindings(ctx), e.spool.close(ctx), e.keepMark(ctx))
}

// Ready reports nil if the engine can serve: both stores take durable writes
// and the policy in force is compiled here.
func (e *Engine) Ready(ctx context.Context) error {
	if e.closed.Load() {
		return unavailable("closing", "the server is shutting down")
	}
	if err := e.store.Ready(ctx); err != nil {
		return storageError(err)
	}
	if err := e.keys.Ready(ctx); err != nil {
		return storageError(err)
	}
	f, err := e.refresh(ctx)
	if err != nil {
		return err
	}
	if f == nil {
		return unavailable("no_policy", "no policy has been published yet")
	}
	return nil
}

// now is the injected clock, in UTC and in whole microseconds, which is what
// both engines keep.
func (e *Engine) now() time.Time { return e.clock().UTC().Truncate(time.Microsecond) }

// alone keeps other changes of a subject on this node waiting until the
// returned function is called: they would only conflict and build again. Other
// nodes are kept out by the version of the row.
func (e *Engine) alone(id abide.SubjectID) (release func()) {
	lock := &e.stripes[binary.BigEndian.Uint16(id[14:])%uint16(len(e.stripes))]
	lock.Lock()
	return lock.Unlock
}

func nodeName(name string) string {
	var b [6]byte
	if _, err := rand.Read(b[:]); err != nil {
		panic("engine: no randomness: " + err.Error()) // crypto/rand never fails on supported systems
	}
	if name == "" {
		return hex.EncodeToString(b[:])
	}
	return name + "." + hex.EncodeToString(b[:])
}

// refreshRing is how often a node looks whether another process rotated keys.
// It loads what it meets at once in any case; this lets it forget what was
// destroyed.
const refreshRing = 30 * time.Second

// flusher writes out, about once a second, what is counted in memory.
func (e *Engine) flusher(ctx context.Context) {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	ring := time.NewTicker(refreshRing)
	defer ring.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ring.C:
			if _, err := e.vault.Keyring().Refresh(ctx); err != nil && ctx.Err() == nil {
				e.log.Warn("the keyring cannot be read anew", "error", err.Error())
			}
			e.vault.ForgetIndex()
			if err := e.gaugeKeys(ctx); err != nil && ctx.Err() == nil {
				e.log.Warn("the ages of keys cannot be measured", "error", err.Error())
			}
		case <-t.C:
			if err := e.flushFindings(ctx); err != nil && ctx.Err() == nil {
				e.log.Warn("findings not written yet", "error", err.Error())
			}
			if err := errors.Join(e.keepMark(ctx), e.followGap(ctx)); err != nil && ctx.Err() == nil {
				e.log.Warn("the store's mark of the restore ledger is not written yet", "error", err.Error())
			}
			if !e.counters.due(e.now()) {
				continue
			}
			if err := e.flushCounters(ctx); err != nil && ctx.Err() == nil {
				e.log.Warn("counters not written yet", "error", err.Error())
			}
		}
	}
}
