package restore

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/flock"
)

// ids name a ledger and the store it belongs to.
type ids struct{ ledger, store [16]byte }

func (i ids) header(segment []byte) []byte {
	b := append([]byte(segmentMagic), i.ledger[:]...)
	return append(append(b, i.store[:]...), segment...)
}

// about is the file that names a ledger.
type about struct {
	Form    string    `json:"form"`
	ID      string    `json:"ledger"`
	Store   string    `json:"store"`
	Created time.Time `json:"created"`
}

const (
	aboutFile = "ledger.json"
	aboutForm = "abide-restore-ledger/1"
	usersFile = "users.lock"
	startFile = "start.lock"
)

// Ledger is a restore ledger. It is safe for concurrent use.
type Ledger struct {
	dir   string
	ids   ids
	key   Keyed
	users *os.File // locked, shared, by who has started

	requests chan *request
	turns    chan struct{}
	quit     chan struct{}
	done     chan struct{}
	closing  sync.Once

	mu      sync.Mutex
	current string               // name of the segment that is written, "" if there is none
	own     map[string]*progress // of all segments that this process wrote

	pruned pruned // what is gone, as last read

	// Owned by run.
	file *os.File
	hash []byte
	at   Mark
}

// progress is how far what a segment holds is in the store.
type progress struct {
	open    map[uint64]struct{} // tickets not settled, by their first record
	frames  []Mark              // from the last settled on
	settled Mark
	at      Mark
}

// Ticket is what Append gives and Settle takes back.
type Ticket struct {
	segment string
	first   uint64
}

type request struct {
	bodies [][]byte
	ticket Ticket
	err    error
	done   chan struct{}
}

// Open opens the ledger in a directory, or makes one there if it is empty.
func Open(dir string, store [16]byte, k Keyed) (*Ledger, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, unusable(err)
	}
	l := &Ledger{dir: dir, key: k, ids: ids{store: store},
		requests: make(chan *request), quit: make(chan struct{}), done: make(chan struct{}),
		turns: make(chan struct{}), own: map[string]*progress{}}
	if err := l.name(); err != nil {
		return nil, err
	}
	_, err := l.readPruned() // a damaged one is named where something is missing
	if err != nil && !errors.Is(err, ErrDamaged) {
		return nil, unusable(err)
	}
	if l.users, err = os.OpenFile(filepath.Join(dir, usersFile), os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return nil, unusable(err)
	}
	go l.run()
	return l, nil
}

func unusable(err error) error {
	return &abide.Error{Code: abide.CodeUnavailable, Detail: "restore_ledger_unusable", Err: err,
		Message: "the restore ledger cannot be used: " + err.Error(),
		Hint:    "name its directory with --restore-ledger; it must be writable, and shared by all servers of the store"}
}

// name reads the file that names the ledger, or makes one.
func (l *Ledger) name() error {
	path := filepath.Join(l.dir, aboutFile)
	for range 2 {
		raw, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			if err := l.create(path); err != nil {
				return unusable(err)
			}
			continue
		}
		if err != nil {
			return unusable(err)
		}
		var a about
		id := []byte(nil)
		if err := json.Unmarshal(raw, &a); err == nil && a.Form == aboutForm {
			id, _ = hex.DecodeString(a.ID)
		}
		switch {
		case len(id) != len(l.ids.ledger):
			return unusable(errors.New(aboutFile + " cannot be read"))
		case a.Store != hex.EncodeToString(l.ids.store[:]):
			return &abide.Error{Code: abide.CodeInvalid, Detail: "other_ledger",
				Message: "the restore ledger belongs to another store than the keyring",
				Hint:    "name the ledger of this store with --restore-ledger, or put its own keyring in place"}
		}
		l.ids.ledger = [16]byte(id)
		return nil
	}
	return unusable(os.ErrNotExist)
}

// create names a new ledger; of several processes at once, one wins.
func (l *Ledger) create(path string) error {
	segments, err := l.names()
	if err != nil {
		return err
	}
	if len(segments) > 0 {
		return errors.New(aboutFile + " is missing, and there are segments")
	}
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		return err
	}
	raw, err := json.MarshalIndent(about{Form: aboutForm, ID: hex.EncodeToString(id[:]), Store: hex.EncodeToString(l.ids.store[:]), Created: time.Now().UTC().Truncate(time.Second)}, "", "  ")
	if err != nil {
		return err
	}
	return l.writeWhole(raw, func(tmp string) error {
		if err := os.Link(tmp, path); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
		return nil
	})
}

// writeWhole writes a text and a newline to a file of its own, durable before
// place gives it its name: a crash leaves the whole file there, or none.
func (l *Ledger) writeWhole(text []byte, place func(tmp string) error) error {
	tmp, err := os.CreateTemp(l.dir, ".ledger-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	_, err = tmp.Write(append(text, '\n'))
	if err = errors.Join(err, syncFile(tmp), tmp.Close()); err != nil {
		return err
	}
	if err := place(tmp.Name()); err != nil {
		return err
	}
	return syncDir(l.dir)
}

// ID names the ledger, in hex.
func (l *Ledger) ID() string { return hex.EncodeToString(l.ids.ledger[:]) }

// Dir is where the ledger lies.
func (l *Ledger) Dir() string { return l.dir }

// startPoll is how often a process that waits for its turn looks.
const startPoll = 50 * time.Millisecond

// Start waits until no other process is starting, and returns what ends this
// one's turn: nodes that start together replay one after the other, and the
// first of them is alone. Once started, the process counts for others until it
// closes the ledger.
func (l *Ledger) Start(ctx context.Context) (started func() error, err error) {
	t := time.NewTicker(startPoll)
	defer t.Stop()
	for {
		unlock, err := flock.TryLock(filepath.Join(l.dir, startFile))
		switch {
		case err == nil:
			return func() error {
				defer unlock()
				if err := lockShared(l.users); err != nil {
					return unusable(err)
				}
				return nil
			}, nil
		case !errors.Is(err, flock.ErrHeld):
			return nil, unusable(err)
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Alone reports whether no other process that has started has the ledger open.
func (l *Ledger) Alone() bool { return onlyUser(l.users) }

// names lists the segments, oldest first.
func (l *Ledger) names() ([]string, error) {
	entries, err := os.ReadDir(l.dir)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), segmentSuffix); ok && !e.IsDir() {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out, nil
}

func (l *Ledger) path(segment string) string { return filepath.Join(l.dir, segment+segmentSuffix) }

// Append makes records durable, all of one change. When it returns nil they are
// on disk. When it returns an error they may or may not be.
//
// The caller settles the ticket once the change they belong to is in the store,
// or will never be; the store's mark does not pass what is not settled.
func (l *Ledger) Append(ctx context.Context, records []Record) (Ticket, error) {
	q := &request{done: make(chan struct{})}
	for i := range records {
		q.bodies = append(q.bodies, records[i].Append(nil))
	}
	select {
	case l.requests <- q:
	case <-l.done:
		return Ticket{}, os.ErrClosed
	case <-ctx.Done():
		return Ticket{}, ctx.Err()
	}
	<-q.done // the wait is as long as a write and a sync
	return q.ticket, q.err
}

// Settle says that what became of the records' change is in the store.
func (l *Ledger) Settle(t Ticket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.own[t.segment]
	if p == nil {
		return
	}
	delete(p.open, t.first)
	limit := p.at.Seq
	for first := range p.open {
		limit = min(limit, first-1)
	}
	i := 0
	for i < len(p.frames) && p.frames[i].Seq <= limit {
		p.settled = p.frames[i]
		i++
	}
	p.frames = p.frames[i:]
}

// Settled returns how far each segment that this process wrote is settled.
func (l *Ledger) Settled() map[string]Mark {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make(map[string]Mark, len(l.own))
	for name, p := range l.own {
		out[name] = p.settled
	}
	return out
}

// Turn ends this process's segment: the next record begins another. What lies
// in one that ended can be pruned some day.
func (l *Ledger) Turn() {
	select {
	case l.turns <- struct{}{}:
	case <-l.done:
	}
}

// Close ends the ledger; no Append may follow.
func (l *Ledger) Close() error {
	l.closing.Do(func() { close(l.quit) })
	<-l.done
	return l.users.Close()
}

// run writes what waits, and syncs once for all of it.
func (l *Ledger) run() {
	defer close(l.done)
	for {
		var batch []*request
		select {
		case q := <-l.requests:
			batch = append(batch, q)
		case <-l.turns:
			l.leave()
			continue
		case <-l.quit:
			l.leave()
			return
		}
	gather:
		for len(batch) < 1024 {
			select {
			case q := <-l.requests:
				batch = append(batch, q)
			default:
				break gather
			}
		}
		err := l.write(batch)
		if err != nil {
			// What a failed sync left on disk is not known: never to this file again,
			// and its mark stays where it is.
			l.abandon()
		}
		for _, q := range batch {
			q.err = err
			close(q.done)
		}
	}
}

func (l *Ledger) abandon() {
	l.mu.Lock()
	delete(l.own, l.current)
	l.mu.Unlock()
	l.leave()
}

func (l *Ledger) leave() {
	if l.file != nil {
		_ = l.file.Close()
		l.file = nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.current = ""
}

func (l *Ledger) write(batch []*request) error {
	if l.file == nil {
		if err := l.begin(); err != nil {
			return err
		}
	}
	var buf []byte
	var frames []Mark
	hash, at := l.hash, l.at
	for _, q := range batch {
		q.ticket = Ticket{l.current, at.Seq + 1}
		for _, body := range q.bodies {
			var err error
			if hash, err = chain(l.key, hash, body); err != nil {
				return err
			}
			buf = binary.BigEndian.AppendUint32(buf, uint32(len(body)))
			buf = append(append(buf, body...), hash...)
			at = Mark{Seq: at.Seq + 1, Start: at.End, End: at.End + int64(len(body)+frameExtra), Hash: hex.EncodeToString(hash)}
			frames = append(frames, at)
		}
	}
	// Open before they are on disk: a mark must not overtake them.
	l.mu.Lock()
	p := l.own[l.current]
	for _, q := range batch {
		p.open[q.ticket.first] = struct{}{}
	}
	p.frames, p.at = append(p.frames, frames...), at
	l.at, l.hash = at, hash
	l.mu.Unlock()
	if _, err := l.file.Write(buf); err != nil {
		return err
	}
	return syncFile(l.file)
}

// begin makes this process's segment. Its name is durable before its first
// record is acknowledged.
func (l *Ledger) begin() error {
	var random [16]byte
	if _, err := rand.Read(random[:]); err != nil {
		return err
	}
	name := fmt.Sprintf("%016x-%x", time.Now().UnixMicro(), random[:4])
	f, err := os.OpenFile(l.path(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	header := l.ids.header(random[:])
	hash, err := chain(l.key, nil, header)
	if err == nil {
		err = lockAlone(f) // so that others see the segment is being written
	}
	if err == nil {
		_, err = f.Write(header)
	}
	if err = errors.Join(err, syncDir(l.dir)); err != nil {
		_ = f.Close()
		return err
	}
	l.file, l.hash = f, hash
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at = Mark{Start: int64(headerSize), End: int64(headerSize)}
	l.current, l.own[name] = name, &progress{open: map[uint64]struct{}{}, at: l.at}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
