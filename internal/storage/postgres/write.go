package postgres

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/abide-privacy/abide/internal/storage"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"
)

// writeTimeout bounds a write. It is our own and not the request's: a client
// that goes away must not leave an outcome in doubt.
const writeTimeout = 30 * time.Second

// batch is the statements of one pipeline: of one transaction, or of several
// one after the other. A pipeline is one transaction to PostgreSQL. A
// distributed one commits on the shard, statement by statement, what no block
// holds together: there, and to have several transactions, BEGIN and COMMIT are
// put around each.
//
// What fails ends the pipeline: the server skips all that follows.
type batch struct {
	pgx.Batch
	refuses map[int]refusal // by statement
	starts  []int           // the statements at which further transactions begin
	rest    int             // the statement from which on failing undoes nothing; 0: none
}

// refusal is the SQLSTATE by which a statement refuses, and what that means.
type refusal struct {
	state string
	means error
}

// refuse queues a statement that divides by zero if what the change was built
// on is not there any more: the server ends the transaction, so the statements
// behind it can be in the pipeline already.
func (b *batch) refuse(query string, args ...any) {
	b.refusing(refusal{divisionByZero, storage.ErrConflict}, query, args)
}

// insertNew queues an insert that refuses if the row is there already.
func (b *batch) insertNew(query string, args ...any) {
	b.refusing(refusal{uniqueViolation, storage.ErrConflict}, query, args)
}

func (b *batch) refusing(r refusal, query string, args []any) {
	if b.refuses == nil {
		b.refuses = map[int]refusal{}
	}
	b.refuses[b.Len()] = r
	b.Queue(query, args...)
}

// next begins another transaction, which runs if the ones before committed.
func (b *batch) next() { b.starts = append(b.starts, b.Len()) }

// after begins the statements that follow the last transaction, each for
// itself. It is durable then, so that one of them fails is no error.
func (b *batch) after() { b.rest = b.Len() }

// blocks puts each transaction between BEGIN and COMMIT, where that is needed.
func (b *batch) blocks(sharded bool) *batch {
	end := b.Len()
	if b.rest > 0 {
		end = b.rest
	}
	if end == b.Len() && (end <= 1 || !sharded && len(b.starts) == 0) {
		return b
	}
	out := &batch{refuses: map[int]refusal{}}
	out.Queue(`BEGIN`)
	for i, q := range b.QueuedQueries {
		switch {
		case i == end:
			out.Queue(`COMMIT`)
			out.after()
		case slices.Contains(b.starts, i):
			out.Queue(`COMMIT`)
			out.Queue(`BEGIN`)
		}
		if r, ok := b.refuses[i]; ok {
			out.refuses[out.Len()] = r
		}
		out.QueuedQueries = append(out.QueuedQueries, q)
	}
	if end == b.Len() {
		out.Queue(`COMMIT`)
	}
	return out
}

// sender is a connection or a transaction.
type sender interface {
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

// send runs the statements in one round trip. A refusal is the error that it
// means.
func (b *batch) send(ctx context.Context, to sender) error {
	results := to.SendBatch(ctx, &b.Batch)
	for i, q := range b.QueuedQueries {
		var err error
		if q.Fn != nil {
			err = q.Fn(results)
		} else {
			_, err = results.Exec()
		}
		if err != nil {
			if r := b.refuses[i]; r.state != "" && r.state == code(err) {
				err = r.means
			}
			_ = results.Close() // it says the same again
			if b.rest > 0 && i >= b.rest {
				return nil
			}
			return err
		}
	}
	if err := results.Close(); b.rest == 0 {
		return err
	}
	return nil
}

// write makes a pipeline of statements durable as one transaction in one round
// trip. build is called for each try. The error is mapped; of a statement that
// refuses it is what that means.
func (d *database) write(ctx context.Context, build func(b *batch)) error {
	return d.withConn(ctx, once, func(ctx context.Context, c *pgxpool.Conn) error { return d.transact(ctx, c, build) })
}

// writeTwice is write for statements that may be carried out twice: if the
// connection ends before the answer, they are sent again.
func (d *database) writeTwice(ctx context.Context, build func(b *batch)) error {
	return d.withConn(ctx, repeatable, func(ctx context.Context, c *pgxpool.Conn) error { return d.transact(ctx, c, build) })
}

func (d *database) transact(ctx context.Context, c *pgxpool.Conn, build func(b *batch)) error {
	if d.rehearse {
		if err := rehearse(ctx, c, build); err != nil {
			return err
		}
	}
	b := &batch{}
	build(b)
	err := b.blocks(d.sharded).send(ctx, c)
	if err != nil && c.Conn().PgConn().TxStatus() != 'I' && !c.Conn().IsClosed() {
		// The block that failed is still open. If it cannot be closed, the pool
		// throws the connection away.
		_, _ = c.Exec(ctx, `ROLLBACK`)
	}
	return err
}

// rehearse runs the pipeline and takes it back, whatever came of it.
func rehearse(ctx context.Context, c *pgxpool.Conn, build func(b *batch)) error {
	tx, err := c.Begin(ctx)
	if err != nil {
		return err
	}
	b := &batch{}
	build(b)
	if err := b.send(ctx, tx); again(err) {
		_ = tx.Rollback(ctx) // the error to report is err
		return err
	}
	return tx.Rollback(ctx)
}

// once and repeatable say whether a write may be sent again when nobody knows
// what became of it.
const (
	once       = false
	repeatable = true
)

// withConn runs a write on a connection. It runs again if the server took it
// back, if the connection ended before anything was sent, and, if the write is
// repeatable, if the connection ended before the answer.
func (d *database) withConn(ctx context.Context, mayRepeat bool, fn func(ctx context.Context, c *pgxpool.Conn) error) error {
	if err := d.usable(ctx); err != nil {
		return err
	}
	var err error
	for try := range maxTries {
		if try > 0 && pause(ctx, try) != nil {
			return err // mapped already
		}
		var raw error
		var sent bool
		if raw, sent = d.onConn(ctx, fn); raw == nil {
			return nil
		}
		switch {
		case errors.Is(raw, storage.ErrConflict), errors.Is(raw, storage.ErrTaken):
			return raw
		case !sent:
			if err = reading(raw); !lost(raw) || try+1 >= maxReconnects {
				return err
			}
		case again(raw):
			err = writing(raw)
		case lost(raw) && (mayRepeat || pgconn.SafeToRetry(raw)), code(raw) == readOnlyTransaction:
			if err = writing(raw); try+1 >= maxReconnects {
				return err
			}
		default:
			return writing(raw)
		}
	}
	return err
}

// onConn runs fn on a connection of the pool, and reports whether it came to
// that. A server that has become a standby keeps its connections and refuses
// to write: that connection is of no use any more.
func (d *database) onConn(ctx context.Context, fn func(ctx context.Context, c *pgxpool.Conn) error) (error, bool) {
	c, err := d.pool.Acquire(ctx)
	if err != nil {
		return err, false
	}
	defer c.Release()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	if err = fn(ctx, c); code(err) == readOnlyTransaction {
		_ = c.Conn().Close(ctx)
	}
	return err, true
}

// raw is a row of parameters in the protocol's own form, for statements that
// are sent with a Sync of their own each.
type raw struct {
	values  [][]byte
	formats []int16
}

func (r *raw) binary(b []byte) *raw {
	r.values, r.formats = append(r.values, b), append(r.formats, pgx.BinaryFormatCode)
	return r
}

func (r *raw) text(s string) *raw {
	r.values, r.formats = append(r.values, []byte(s)), append(r.formats, pgx.TextFormatCode)
	return r
}

func (r *raw) number(n int64) *raw { return r.text(strconv.FormatInt(n, 10)) }

// maybeAt adds a time, NULL for the zero one.
func (r *raw) maybeAt(t time.Time) *raw {
	if t.IsZero() {
		r.values, r.formats = append(r.values, nil), append(r.formats, pgx.TextFormatCode)
		return r
	}
	return r.number(storage.Micros(t))
}

// step is a statement with its parameters.
type step struct {
	query string
	args  *raw
}

// each runs groups of statements, all in one round trip. A group ends with a
// Sync, so it stands for itself: what fails in it undoes no other. At most its
// last statement writes. It returns how many rows each group's last statement
// changed; a group that refuses by a division by zero changed none.
//
// On a distributed database every group waits for a shard to sync, so many of
// them go over several connections.
func (d *database) each(ctx context.Context, groups [][]step) ([]int64, error) {
	if len(groups) == 0 {
		return nil, d.usable(ctx)
	}
	changed := make([]int64, len(groups))
	part := len(groups)
	if d.sharded {
		part = max((len(groups)+eachAtOnce-1)/eachAtOnce, eachInLine)
	}
	var g errgroup.Group
	for from := 0; from < len(groups); from += part {
		to := min(from+part, len(groups))
		g.Go(func() error { return d.inTurn(ctx, groups[from:to], changed[from:to]) })
	}
	return changed, g.Wait()
}

const (
	eachAtOnce = 4  // connections over which groups are spread
	eachInLine = 16 // groups that are not worth another connection
)

// inTurn sends groups over one connection.
func (d *database) inTurn(ctx context.Context, groups [][]step, changed []int64) error {
	return d.withConn(ctx, repeatable, func(ctx context.Context, c *pgxpool.Conn) error {
		p := c.Conn().PgConn().StartPipeline(ctx)
		for _, g := range groups {
			for _, s := range g {
				p.SendQueryParams(s.query, s.args.values, nil, s.args.formats, nil)
			}
			p.SendPipelineSync()
		}
		err := errors.Join(p.Flush(), results(p, changed))
		return errors.Join(err, p.Close())
	})
}

// results reads what a pipeline of groups answers. One that failed ends the
// reading with its error, after all of them were read.
func results(p *pgconn.Pipeline, changed []int64) error {
	var failed error
	for i := 0; i < len(changed); {
		res, err := p.GetResults()
		if res, ok := res.(*pgconn.ResultReader); ok && err == nil {
			var tag pgconn.CommandTag
			tag, err = res.Close()
			changed[i] = tag.RowsAffected()
		}
		switch {
		case code(err) == divisionByZero:
			changed[i] = 0
		case code(err) != "":
			failed = err
		case err != nil:
			return err // the connection
		}
		if _, ok := res.(*pgconn.PipelineSync); ok {
			i++
		}
	}
	return failed
}
