package log

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
)

// Options say what a sequencer works with. Store, Keys, Origin and Node are
// required.
type Options struct {
	Store storage.Store
	Keys  Keys
	// Origin is the origin of the first log of a store. One that has a log keeps
	// that log's.
	Origin string
	// Node names this process; no two that run at once may have the same name.
	Node string
	// Alone says that no other process can be at this store: then nothing is
	// waited for after the one before has died.
	Alone bool
	// Interval is how long an entry may wait for a checkpoint; 0 means a second.
	Interval time.Duration
	// Place, if set, is where the log is published outside the database.
	Place Place
	// Witnesses cosign checkpoints before they are published, as many as answer in
	// time.
	Witnesses []Witness
	Clock     func() time.Time     // nil is the system's; it decides nothing
	Watch     func() time.Duration // a stopwatch; nil is the system's
	Log       *slog.Logger         // nil discards
}

const (
	defaultInterval = time.Second
	// patience is how long a holder may show no sign of life.
	patience = 3 * time.Second
	// page is how many leaves one growth takes, and bounds its memory.
	page = 16384
)

// Sequencer lets the log grow, as long as it is the one that may. Its methods
// are safe for concurrent use.
//
// What survives a crash, after each step of a round:
//
//	take     nothing has changed
//	grow     the entries are in the tree; their rows still wait, and settle finds
//	         them by the map row that was written with the tree
//	settle   they wait no longer
//	sign     nothing has changed: the same head is signed again, to the same bytes
//	publish  tiles without a checkpoint, which nobody asks for; then the checkpoint
//	keep     every node serves it
type Sequencer struct {
	o    Options
	mu   sync.Mutex
	quit context.CancelFunc
	done chan struct{}

	// The holder of the epoch.
	held    bool
	head    storage.LogHead
	tree    *tree
	settled bool
	placed  uint64 // size of the tree that the place has all tiles of
	shown   uint64 // size of the checkpoint that was kept
	fresh   bool   // the checkpoint of shown has the keys of now
	beat    time.Duration
	next    cursor
	behind  bool // looks wait to be indexed

	// What witnesses signed, of the checkpoint of that size, and when they were
	// asked last.
	cosigned uint64
	lines    [][]byte
	asked    time.Duration

	// Whoever waits for another holder to die.
	seen      storage.LogHead
	seenSince time.Duration

	stateMu sync.Mutex
	state   error
}

// cursor is where the next page is taken from. It goes around: what commits
// behind it is taken on the next lap.
type cursor struct {
	pending storage.EntryKey
	spool   storage.SpoolKey
}

// New makes a sequencer that does nothing yet.
func New(o Options) *Sequencer {
	if o.Interval <= 0 {
		o.Interval = defaultInterval
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Watch == nil {
		began := time.Now()
		o.Watch = func() time.Duration { return time.Since(began) }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Sequencer{o: o}
}

// Start steps twice in each interval until Stop.
func (s *Sequencer) Start(ctx context.Context) {
	ctx, s.quit = context.WithCancel(context.WithoutCancel(ctx))
	s.done = make(chan struct{})
	go func() {
		defer close(s.done)
		t := time.NewTicker(s.o.Interval / 2)
		defer t.Stop()
		for {
			if err := s.Step(ctx); err != nil && ctx.Err() == nil {
				s.o.Log.Warn("the log does not grow now", "error", err.Error(), "detail", abide.ErrorDetail(err))
			}
			next := t.C
			if s.isBehind() {
				next = always
			}
			select {
			case <-ctx.Done():
				return
			case <-next:
			}
		}
	}()
}

// always is a tick for whoever has no time to wait.
var always = func() <-chan time.Time {
	c := make(chan time.Time)
	close(c)
	return c
}()

func (s *Sequencer) isBehind() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.behind
}

// Stop ends the work and lets another node take over at once.
func (s *Sequencer) Stop(ctx context.Context) error {
	if s.quit != nil {
		s.quit()
		<-s.done
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.held {
		return nil
	}
	s.held = false
	return s.o.Store.LeaveLog(ctx, s.head.Log, s.head.Epoch)
}

// State reports nil, or why the log does not grow: the error of the last step.
func (s *Sequencer) State() error {
	s.stateMu.Lock()
	defer s.stateMu.Unlock()
	return s.state
}

// Step does what there is to do: takes over if nobody else is at work, takes in
// what waits, signs and publishes. It returns when nothing waits any more, or
// after the first error; the next step begins from what is durable.
func (s *Sequencer) Step(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.step(ctx)
	if err != nil {
		// Whatever is in memory may not be what is durable.
		s.held, s.behind = false, false
	}
	if errors.Is(err, storage.ErrConflict) {
		err = nil // another node is at work
	}
	s.stateMu.Lock()
	s.state = err
	s.stateMu.Unlock()
	return err
}

func (s *Sequencer) step(ctx context.Context) error {
	if !s.held {
		if ok, err := s.take(ctx); err != nil || !ok {
			return err
		}
		if err := s.begin(ctx); err != nil {
			return err
		}
		s.held = true
	}
	if !s.settled {
		if err := s.settleAll(ctx); err != nil {
			return err
		}
	}
	if err := s.drain(ctx); err != nil {
		return err
	}
	// What people find of themselves waits for no checkpoint, and no checkpoint
	// for it: it is last, for a part of the interval, and what it does not get done
	// is done in the next step, or by whoever asks.
	began := s.o.Watch()
	all, err := indexLooks(ctx, s.o.Store, func() bool { return s.o.Watch()-began > s.o.Interval/4 })
	if err != nil {
		return err
	}
	s.behind = !all
	return s.alive(ctx)
}

// take takes over, or reports false while another holder shows signs of life.
func (s *Sequencer) take(ctx context.Context) (bool, error) {
	head, err := s.o.Store.LogHead(ctx)
	if isNotFound(err) {
		h := storage.LogHead{Log: 1, Origin: s.o.Origin, Epoch: 1, Holder: s.o.Node, Root: emptyRoot}
		if err := s.o.Store.StartLog(ctx, &h, &storage.Growth{Log: 1, Root: emptyRoot}); err != nil {
			return false, err
		}
		s.head = h
		return true, nil
	}
	if err != nil {
		return false, err
	}
	if head.Holder == s.o.Node {
		s.head = *head // its own, of before an error
		return true, nil
	}
	now := s.o.Watch()
	if head.Holder != "" && !s.o.Alone {
		if head.Log != s.seen.Log || head.Epoch != s.seen.Epoch || head.Beat != s.seen.Beat {
			s.seen, s.seenSince = *head, now
			return false, nil
		}
		if now-s.seenSince < patience {
			return false, nil
		}
	}
	if err := s.o.Store.TakeLog(ctx, head, s.o.Node); err != nil {
		return false, err
	}
	s.head = *head
	s.head.Epoch++
	s.head.Beat++
	return true, nil
}

// begin loads the tree that is durable, checks it against the head, and brings
// it together with what was published. Nothing of an earlier epoch can change
// it any more.
func (s *Sequencer) begin(ctx context.Context) error {
	// The head as it is now: the holder before may have let it grow until the
	// epoch was raised.
	head, err := s.o.Store.LogHead(ctx)
	if err != nil {
		return err
	}
	if head.Log != s.head.Log || head.Epoch != s.head.Epoch || head.Holder != s.o.Node {
		return storage.ErrConflict
	}
	s.head, s.settled, s.next, s.beat, s.fresh = *head, false, cursor{}, s.o.Watch(), false
	s.cosigned, s.lines = 0, nil // of another log, perhaps
	if s.tree, err = loadTree(ctx, s.o.Store, head); err != nil {
		return err
	}
	s.shown = 0
	kept, err := s.o.Store.Checkpoint(ctx, head.Log)
	if err == nil {
		s.shown = kept.Size
	} else if !isNotFound(err) {
		return err
	}
	if err := s.checkKept(ctx, kept); err != nil {
		return err
	}
	return s.reconcile(ctx)
}

// loadTree reads the right edge of a tree and compares its root with the head.
func loadTree(ctx context.Context, store storage.LogTables, head *storage.LogHead) (*tree, error) {
	tiles, err := store.Tiles(ctx, head.Log, edgeKeys(head.Size))
	if err != nil {
		return nil, err
	}
	t, err := treeOf(head.Size, tiles)
	if err != nil || t.root() != head.Root {
		return nil, damagedTree()
	}
	return t, nil
}

// alive shows that the holder lives, if it has done nothing that shows it.
func (s *Sequencer) alive(ctx context.Context) error {
	now := s.o.Watch()
	if now-s.beat < patience/4 {
		return nil
	}
	s.beat = now
	return s.o.Store.BeatLog(ctx, s.head.Log, s.head.Epoch)
}

// settleAll finishes what a growth before a crash left waiting.
func (s *Sequencer) settleAll(ctx context.Context) error {
	for {
		rows, err := s.o.Store.Unsettled(ctx, 1)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			s.settled = true
			return nil
		}
		if err := s.o.Store.Settle(ctx, &rows[0]); err != nil {
			return err
		}
	}
}

// drain takes in what waits, page by page, with a checkpoint at least twice in
// each interval, and one at the end.
func (s *Sequencer) drain(ctx context.Context) error {
	last := s.o.Watch()
	for {
		sources, entries, err := s.waiting(ctx)
		if err != nil {
			return err
		}
		if len(entries) == 0 {
			return s.publish(ctx)
		}
		if err := s.grow(ctx, sources, entries); err != nil {
			return err
		}
		if now := s.o.Watch(); now-last > s.o.Interval/2 {
			last = now
			if err := s.publish(ctx); err != nil {
				return err
			}
		}
	}
}

// waiting takes the next page of what waits. Nothing changes by it.
func (s *Sequencer) waiting(ctx context.Context) (sources []storage.LeafSource, entries [][]byte, err error) {
	for {
		from := s.next
		rows, err := s.o.Store.Pending(ctx, from.pending, page/2)
		if err != nil {
			return nil, nil, err
		}
		s.next.pending = storage.EntryKey{}
		if len(rows) == page/2 {
			s.next.pending = rows[len(rows)-1].Key
		}
		if len(rows) > 0 {
			src := storage.LeafSource{Count: uint64(len(rows))}
			for i := range rows {
				src.Entries = append(src.Entries, rows[i].Key)
				entries = append(entries, rows[i].Commitment[:])
			}
			sources = append(sources, src)
		}
		const batches = page / 2 / 512 // a batch of looks has at most 512
		spooled, err := s.o.Store.Unlogged(ctx, from.spool, batches)
		if err != nil {
			return nil, nil, err
		}
		s.next.spool = storage.SpoolKey{}
		if len(spooled) == batches {
			s.next.spool = spooled[len(spooled)-1].Key
		}
		for i := range spooled {
			sources = append(sources, storage.LeafSource{Spool: spooled[i].Key, Count: uint64(len(spooled[i].Leaves))})
			for j := range spooled[i].Leaves {
				entries = append(entries, spooled[i].Leaves[j][:])
			}
		}
		if len(entries) > 0 || from == (cursor{}) {
			return sources, entries, nil
		}
	}
}

// grow takes entries into the tree. After the first write they are in it, after
// the second they wait no longer.
func (s *Sequencer) grow(ctx context.Context, sources []storage.LeafSource, entries [][]byte) error {
	m, err := s.extend(ctx, sources, entries)
	if err != nil {
		return err
	}
	return s.o.Store.Settle(ctx, m)
}

func (s *Sequencer) extend(ctx context.Context, sources []storage.LeafSource, entries [][]byte) (*storage.LeafMap, error) {
	from := s.tree.size
	for _, e := range entries {
		if err := s.tree.append(e); err != nil {
			return nil, err
		}
	}
	m := storage.LeafMap{Log: s.head.Log, First: from, Count: uint64(len(entries)), At: s.o.Clock().UTC(), Sources: sources}
	g := &storage.Growth{Log: s.head.Log, Epoch: s.head.Epoch, From: from, To: s.tree.size, Root: s.tree.root(),
		Tiles: s.tree.changed(), Maps: []storage.LeafMap{m}}
	if err := s.o.Store.GrowLog(ctx, g); err != nil {
		return nil, err
	}
	s.head.Size, s.head.Root = g.To, g.Root
	s.beat = s.o.Watch()
	return &m, nil
}
