package postgres

import (
	"context"
	"strconv"
	"time"

	"github.com/abide-privacy/abide/internal/storage"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// maxTries bounds how often a transaction runs that the server takes back.
	maxTries = 10
	// writeTimeout bounds a write. It is our own and not the request's: a
	// client that goes away must not leave an outcome in doubt.
	writeTimeout = 30 * time.Second
)

// write makes a pipeline of statements durable as one transaction in one round
// trip. build is called for each try. The error is mapped; a division by zero,
// by which a statement refuses (see require), is storage.ErrConflict.
func (d *database) write(ctx context.Context, build func(b *pgx.Batch)) error {
	return d.withConn(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		if d.rehearse {
			if err := rehearse(ctx, c, build); err != nil {
				return err
			}
		}
		var b pgx.Batch
		build(&b)
		return c.SendBatch(ctx, &b).Close()
	})
}

// rehearse runs the pipeline and takes it back, whatever came of it.
func rehearse(ctx context.Context, c *pgxpool.Conn, build func(b *pgx.Batch)) error {
	tx, err := c.Begin(ctx)
	if err != nil {
		return err
	}
	var b pgx.Batch
	build(&b)
	if err := tx.SendBatch(ctx, &b).Close(); again(err) {
		_ = tx.Rollback(ctx) // the error to report is err
		return err
	}
	return tx.Rollback(ctx)
}

// withConn runs a write on a connection, again if the server asks for it.
func (d *database) withConn(ctx context.Context, fn func(ctx context.Context, c *pgxpool.Conn) error) error {
	if err := d.usable(ctx); err != nil {
		return err
	}
	c, err := d.pool.Acquire(ctx)
	if err != nil {
		return reading(err) // nothing was sent
	}
	defer c.Release()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	for try := 1; ; try++ {
		err := fn(ctx, c)
		switch {
		case err == nil:
			return nil
		case code(err) == divisionByZero:
			return storage.ErrConflict
		case !again(err) || try == maxTries:
			return writing(err)
		}
	}
}

// require makes a statement that changes rows refuse to change none: with no
// row the division by zero ends the transaction on the server, so the
// statements behind it can be in the pipeline already.
func require(changing string) string {
	return `WITH changed AS (` + changing + ` RETURNING 1) SELECT 1 / count(*) FROM changed`
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

// maybeAt adds a time, NULL for the zero one.
func (r *raw) maybeAt(t time.Time) *raw {
	if t.IsZero() {
		r.values, r.formats = append(r.values, nil), append(r.formats, pgx.TextFormatCode)
		return r
	}
	return r.text(strconv.FormatInt(storage.Micros(t), 10))
}

// each runs one statement for every row of parameters, each in a transaction
// of its own, in one round trip, and returns how many rows each changed. On a
// sharded database each goes to the shard of its row.
func (d *database) each(ctx context.Context, query string, rows []*raw) ([]int64, error) {
	if len(rows) == 0 {
		return nil, d.usable(ctx)
	}
	changed := make([]int64, len(rows))
	err := d.withConn(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		p := c.Conn().PgConn().StartPipeline(ctx)
		for _, r := range rows {
			p.SendQueryParams(query, r.values, nil, r.formats, nil)
			p.SendPipelineSync()
		}
		err := p.Flush()
		for i := 0; i < len(rows) && err == nil; {
			var res any
			if res, err = p.GetResults(); err != nil {
				break
			}
			switch res := res.(type) {
			case *pgconn.ResultReader:
				var tag pgconn.CommandTag
				tag, err = res.Close()
				changed[i] = tag.RowsAffected()
			case *pgconn.PipelineSync:
				i++
			}
		}
		if cerr := p.Close(); err == nil {
			err = cerr
		}
		return err
	})
	return changed, err
}
