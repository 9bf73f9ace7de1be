package sqlite

import (
	"context"
	"sync"

	"github.com/abide-privacy/abide/internal/storage"
)

// pool is a fixed number of read-only connections.
type pool struct {
	free chan *conn
	quit chan struct{}
	once sync.Once
	n    int
}

func newPool(dsn string, n int) (*pool, error) {
	p := &pool{free: make(chan *conn, n), quit: make(chan struct{})}
	for range n {
		c, err := openConn(dsn)
		if err != nil {
			p.close()
			return nil, err
		}
		p.n++
		p.free <- c
	}
	return p, nil
}

// close waits for readers to finish.
func (p *pool) close() {
	p.once.Do(func() {
		close(p.quit)
		for range p.n {
			_ = (<-p.free).close() // read-only: nothing can be lost
		}
	})
}

// read lends a connection to fn. ctx counts while waiting for one; reads are
// short, and an interrupted statement would leave its connection in doubt.
func (p *pool) read(ctx context.Context, fn func(c *conn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-p.quit:
		return storage.ErrClosed
	default:
	}
	select {
	case <-p.quit:
		return storage.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	case c := <-p.free:
		defer func() { p.free <- c }()
		return mapped(fn(c))
	}
}

// snapshot is read with every statement of fn seeing the same state.
func (p *pool) snapshot(ctx context.Context, fn func(c *conn) error) error {
	return p.read(ctx, func(c *conn) error {
		if _, err := c.exec("BEGIN"); err != nil {
			return err
		}
		err := fn(c)
		if _, cerr := c.exec("COMMIT"); err == nil {
			err = cerr
		}
		return err
	})
}
