package sqlite

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"

	"github.com/abide-privacy/abide/internal/storage"
	lib "modernc.org/sqlite/lib"
)

// Limits of one group commit. A batch that is larger gains nothing (the sync
// is long since paid for) and makes its first member wait.
const (
	maxBatchOps   = 512
	maxBatchBytes = 8 << 20
	queueLength   = 1024
	// maxRounds bounds how often a batch is begun anew because SQLite ended it.
	maxRounds = 4
)

// op is a change that waits for the writer.
//
// apply writes to the connection inside the batch's transaction. It may run
// more than once, each time on a database without its earlier effects, so it
// sets whatever it returns to its caller anew on each run. It answers a
// refusal (storage.ErrConflict and the like) before it has written anything:
// then the rest of the batch needs no savepoint. Any other error takes the
// whole batch back, and the others run again without it.
type op struct {
	apply func(w *writeConn) error
	size  int
	err   error
	done  chan struct{}
}

// writeConn is the connection of the writer, within a batch.
type writeConn struct {
	*conn
	epoch    storage.Epoch // in force, as read in this transaction
	hasEpoch bool
}

// writer is the one goroutine that writes a database file. Operations that
// wait while a commit syncs go together into the next one.
//
// What survives a crash: everything whose op was answered with nil; of the
// batch under way all or nothing, per SQLite's write-ahead log.
type writer struct {
	dsn      string
	queue    chan *op
	scrubs   chan *op
	quit     chan struct{}
	finished chan struct{}
	closing  sync.Once
	hooks    hooks
	slack    *slack
	rehearse bool // apply everything twice, the first time rolled back

	c     *writeConn // nil after a failed commit until reopened
	batch []*op
}

// hooks let tests of this package make a commit fail, before or after it is
// durable.
type hooks struct {
	beforeCommit, afterCommit func() error
}

func newWriter(path, dsn string, opts Options) (*writer, error) {
	w := &writer{
		dsn:      dsn,
		queue:    make(chan *op, queueLength),
		scrubs:   make(chan *op, queueLength),
		quit:     make(chan struct{}),
		finished: make(chan struct{}),
		hooks:    opts.hooks,
		rehearse: opts.Rehearse,
	}
	var err error
	if w.slack, err = openSlack(path); err != nil {
		return nil, err
	}
	if err := w.reopen(); err != nil {
		_ = w.slack.close() // the error worth reporting is the first one
		return nil, err
	}
	go w.run()
	return w, nil
}

func (w *writer) reopen() error {
	c, err := openConn(w.dsn)
	if err != nil {
		return err
	}
	w.c = &writeConn{conn: c}
	return nil
}

// do queues apply and waits until its outcome is known. ctx counts only until
// the operation is queued: what a batch has taken up runs to its end.
func (w *writer) do(ctx context.Context, size int, apply func(*writeConn) error) error {
	return w.send(ctx, w.queue, &op{apply: apply, size: size, done: make(chan struct{})})
}

// scrub empties the write-ahead log into the database file and truncates it,
// so that what secure_delete has overwritten is in no file any more.
func (w *writer) scrub(ctx context.Context) error {
	return w.send(ctx, w.scrubs, &op{done: make(chan struct{})})
}

func (w *writer) send(ctx context.Context, to chan<- *op, o *op) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-w.quit:
		return storage.ErrClosed
	default:
	}
	select {
	case to <- o:
	case <-ctx.Done():
		return ctx.Err()
	case <-w.quit:
		return storage.ErrClosed
	}
	select {
	case <-o.done:
		return o.err
	case <-w.finished:
	}
	select { // the writer may have answered just before it finished
	case <-o.done:
		return o.err
	default:
		return storage.ErrClosed
	}
}

// close lets what is queued finish.
func (w *writer) close() error {
	w.closing.Do(func() { close(w.quit) })
	<-w.finished
	if w.c == nil {
		return nil
	}
	err := w.c.close()
	w.c = nil
	return err
}

// release ends what must outlive every connection to the file.
func (w *writer) release() error { return w.slack.close() }

func (w *writer) run() {
	defer close(w.finished)
	for {
		select {
		case o := <-w.queue:
			w.commit(o)
		case o := <-w.scrubs:
			w.truncate(o)
		case <-w.quit:
			for {
				select {
				case o := <-w.queue:
					w.commit(o)
				case o := <-w.scrubs:
					w.truncate(o)
				default:
					return
				}
			}
		}
	}
}

// commit makes one batch, beginning with first, durable and answers its
// members.
func (w *writer) commit(first *op) {
	w.batch = append(w.batch[:0], first)
	w.round()
	for _, o := range w.batch {
		close(o.done)
	}
	clear(w.batch)
}

// round runs the batch in one transaction, and again without those that cannot
// be part of it.
func (w *writer) round() {
	if w.c == nil {
		if err := w.reopen(); err != nil {
			w.answer(errors.Join(storage.ErrUnavailable, err))
			return
		}
	}
	failed, err := w.attempt()
	for n := 1; err != nil; n++ {
		w.rollback()
		if failed == nil {
			w.drop() // no transaction could be had on this connection
		}
		if failed == nil || n == maxRounds {
			w.answer(mapped(err))
			return
		}
		failed.err = mapped(err)
		close(failed.done)
		w.remove(failed)
		failed, err = w.again()
	}
}

func (w *writer) answer(err error) {
	for _, o := range w.batch {
		o.err = err
	}
}

func (w *writer) remove(o *op) {
	for i := range w.batch {
		if w.batch[i] == o {
			w.batch = append(w.batch[:i], w.batch[i+1:]...)
			return
		}
	}
}

// rollback ends the transaction if SQLite has not done so already.
func (w *writer) rollback() {
	if w.c == nil {
		return
	}
	// SQLITE_ERROR: there is no transaction any more.
	if _, err := w.c.exec("ROLLBACK"); err != nil && primary(err) != lib.SQLITE_ERROR {
		w.drop()
	}
}

// drop gives up the connection; the next batch opens another.
func (w *writer) drop() {
	if w.c != nil {
		_ = w.c.close() // its transaction is lost in any case
		w.c = nil
	}
}

func (w *writer) begin() error {
	w.c.hasEpoch = false
	_, err := w.c.exec("BEGIN IMMEDIATE")
	return err
}

// attempt applies the batch and whatever arrives meanwhile without savepoints,
// and commits. An error names the op that broke the batch, or none if the
// transaction itself could not begin.
func (w *writer) attempt() (*op, error) {
	if err := w.begin(); err != nil {
		return nil, err
	}
	size, yielded := 0, false
	for i := 0; i < len(w.batch); i++ {
		o := w.batch[i]
		if err := w.apply(o); err != nil {
			return o, err
		}
		size += o.size
		if i < len(w.batch)-1 || len(w.batch) >= maxBatchOps || size >= maxBatchBytes {
			continue
		}
		if w.gather() == 0 && !yielded {
			// Clients answered by the batch before need a moment to come
			// back. Yielding once lets those that are ready do so.
			yielded = true
			runtime.Gosched()
			w.gather()
		}
	}
	w.finish()
	return nil, nil
}

// gather takes what is queued into the batch, and returns how many it took.
func (w *writer) gather() int {
	before := len(w.batch)
	for len(w.batch) < maxBatchOps {
		select {
		case o := <-w.queue:
			w.batch = append(w.batch, o)
			continue
		default:
		}
		break
	}
	return len(w.batch) - before
}

// apply runs one op. Refusals are its answer, and no error of the batch.
func (w *writer) apply(o *op) error {
	if w.rehearse {
		if err := w.rehearsal(o); err != nil {
			return err
		}
	}
	err := o.apply(w.c)
	if refusal(err) {
		o.err = err
		return nil
	}
	o.err = nil
	return err
}

// rehearsal applies an op and takes it back.
func (w *writer) rehearsal(o *op) error {
	if _, err := w.c.exec("SAVEPOINT rehearsal"); err != nil {
		return err
	}
	err := o.apply(w.c)
	if err != nil && !refusal(err) {
		return err
	}
	w.c.hasEpoch = false
	if _, err := w.c.exec("ROLLBACK TO rehearsal"); err != nil {
		return err
	}
	_, err = w.c.exec("RELEASE rehearsal")
	return err
}

func refusal(err error) bool {
	return errors.Is(err, storage.ErrConflict) || errors.Is(err, storage.ErrTaken) || errors.Is(err, storage.ErrNotFound)
}

// again runs the survivors of a broken batch, now each under a savepoint, so
// that one more bad op costs no further round.
func (w *writer) again() (*op, error) {
	if len(w.batch) == 0 {
		return nil, nil
	}
	if w.c == nil {
		if err := w.reopen(); err != nil {
			return nil, err
		}
	}
	if err := w.begin(); err != nil {
		return nil, err
	}
	for _, o := range w.batch {
		if _, err := w.c.exec("SAVEPOINT op"); err != nil {
			return nil, err
		}
		err := w.apply(o)
		switch {
		case err == nil:
		case endsBatch(err):
			return o, err
		default:
			o.err = mapped(err)
			w.c.hasEpoch = false
			if _, err := w.c.exec("ROLLBACK TO op"); err != nil {
				return nil, err
			}
		}
		if _, err := w.c.exec("RELEASE op"); err != nil {
			return nil, err
		}
	}
	w.finish()
	return nil, nil
}

// finish commits. If that fails, nobody knows whether the commit record is on
// disk: the connection is given up, and those who would have been answered
// with success are told so.
//
// A full disk is the exception. The commit record is the last frame that a
// commit writes to the log (no padding follows it where the file system does
// not tear what a write leaves alone, which SQLite assumes), and it was not
// written whole, or nothing would have failed: it is not valid when the log is
// read again (https://sqlite.org/fileformat2.html#wal_file_format). A failed
// sync is another error.
func (w *writer) finish() {
	err := w.commitNow()
	if err == nil {
		return
	}
	w.drop()
	outcome := errors.Join(storage.ErrOutcomeUnknown, err)
	if primary(err) == lib.SQLITE_FULL {
		outcome = mapped(err)
	}
	for _, o := range w.batch {
		if o.err == nil {
			o.err = outcome
		}
	}
}

func (w *writer) commitNow() error {
	if w.hooks.beforeCommit != nil {
		if err := w.hooks.beforeCommit(); err != nil {
			return err
		}
	}
	if _, err := w.c.exec("COMMIT"); err != nil {
		return err
	}
	w.slack.note()
	if w.hooks.afterCommit != nil {
		return w.hooks.afterCommit()
	}
	return nil
}

// truncate answers first and every other scrub that waits by one checkpoint.
// It waits for readers as long as the busy timeout lets it; they are few and
// their snapshots short.
func (w *writer) truncate(first *op) {
	waiting := []*op{first}
	for len(w.scrubs) > 0 {
		waiting = append(waiting, <-w.scrubs)
	}
	err := w.checkpoint()
	for _, o := range waiting {
		o.err = err
		close(o.done)
	}
}

// checkpoint empties the log into the database and truncates it, and then
// zeroes the slack of the pages that were written.
func (w *writer) checkpoint() error {
	began := time.Now()
	for n := 0; n < maxRounds || time.Since(began) < contention; n++ {
		if w.c == nil {
			if err := w.reopen(); err != nil {
				return errors.Join(storage.ErrUnavailable, err)
			}
		}
		var busy int64
		_, err := w.c.one("PRAGMA wal_checkpoint(TRUNCATE)", func(r *row) { busy = r.int() })
		switch {
		case err != nil:
			return mapped(err)
		case busy != 0 && time.Since(began) < contention:
			// Another opener of the file checkpoints it just now, for which
			// SQLite does not wait by itself. Nothing tells when it is done.
			select {
			case <-w.quit:
				return errors.Join(storage.ErrUnavailable, errReaders)
			case <-time.After(contention / 100):
			}
			continue
		case busy != 0:
			return errors.Join(storage.ErrUnavailable, errReaders)
		}
		if done, err := w.zeroSlack(); done || err != nil {
			return err
		}
	}
	return errors.Join(storage.ErrUnavailable, errOthers)
}

// zeroSlack does nothing, and says so, if another process has written since
// the checkpoint.
func (w *writer) zeroSlack() (done bool, err error) {
	if err := w.begin(); err != nil {
		w.drop()
		return false, mapped(err)
	}
	defer w.rollback()
	empty, err := w.slack.empty()
	if err != nil || !empty {
		return false, err
	}
	found, err := w.slack.zero()
	if found {
		w.drop() // its cache holds the slack
	}
	return err == nil, err
}

// contention is how long a scrub tries again while another opener of the file
// checkpoints it.
const contention = 2 * time.Second

var (
	errReaders = errors.New("sqlite: a reader kept its snapshot throughout the scrub")
	errOthers  = errors.New("sqlite: another process kept writing throughout the scrub")
)
