package postgres

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// maxTries bounds how often a transaction runs that the server takes back.
	maxTries = 10
	// maxReconnects bounds how often a lost connection is made anew for one
	// call. An outage that is longer is the caller's to wait for: it is told
	// that the store does not answer.
	maxReconnects = 3
	// The pauses between tries grow from the first to the last.
	firstPause = 2 * time.Millisecond
	lastPause  = 200 * time.Millisecond
)

// pause waits before a try, longer with each, by a random part, so that those
// who clashed do not clash again.
func pause(ctx context.Context, try int) error {
	wait := min(firstPause<<min(try, 10), lastPause)
	t := time.NewTimer(wait/2 + rand.N(wait/2)) //nolint:gosec // no secret
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// lost reports whether the connection, and not the statement, is what failed:
// the network, or a server that stops, starts, or throws its clients out.
func lost(err error) bool {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return true
	}
	return strings.HasPrefix(e.Code, "57P") || strings.HasPrefix(e.Code, "08")
}

// reread runs a read, again if the connection was lost: reading twice does no
// harm.
func (d *database) reread(ctx context.Context, fn func() error) error {
	if err := d.usable(ctx); err != nil {
		return err
	}
	for try := 1; ; try++ {
		err := fn()
		if !lost(err) && !again(err) || try == maxReconnects || pause(ctx, try) != nil {
			return reading(err)
		}
	}
}
