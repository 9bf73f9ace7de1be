package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/abide-privacy/abide/internal/storage"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// SQLSTATE codes (PostgreSQL documentation, appendix A).
const (
	divisionByZero       = "22012"
	uniqueViolation      = "23505"
	serializationFailure = "40001"
	deadlockDetected     = "40P01"
	diskFull             = "53100"
	readOnlyTransaction  = "25006"
	lockNotAvailable     = "55P03"
)

// code is the SQLSTATE of err, or "".
func code(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// again reports whether the server took a transaction back so that another
// could go on; running it again is then right.
func again(err error) bool {
	c := code(err)
	return c == serializationFailure || c == deadlockDetected
}

// shared is what reading and writing make of an error in the same way; nil if
// they differ.
func shared(err error) error {
	switch c := code(err); {
	case c == diskFull:
		return fmt.Errorf("%w: %w", storage.ErrFull, err)
	case again(err), c == readOnlyTransaction, c == lockNotAvailable, strings.HasPrefix(c, "53"):
		return fmt.Errorf("%w: %w", storage.ErrUnavailable, err)
	case c != "" && !strings.HasPrefix(c, "57P") && !strings.HasPrefix(c, "08"):
		return fmt.Errorf("postgres: %w", err)
	}
	return nil
}

// reading maps an error of a read, where a lost connection loses nothing.
func reading(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, pgx.ErrNoRows):
		return storage.ErrNotFound
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.Is(err, storage.ErrClosed):
		return err
	}
	if e := shared(err); e != nil {
		return e
	}
	return fmt.Errorf("%w: %w", storage.ErrUnavailable, err)
}

// writing maps an error of a write that was sent to the server. If the
// connection ended (the server was stopped, the network broke, our own time
// ran out) the commit may have happened all the same. So it may on an internal
// error: with that a Citus coordinator reports that a shard did not answer its
// COMMIT, and the shard may have carried it out.
func writing(err error) error {
	if err == nil {
		return nil
	}
	if strings.HasPrefix(code(err), "XX") {
		return fmt.Errorf("%w: %w", storage.ErrOutcomeUnknown, err)
	}
	if e := shared(err); e != nil {
		return e
	}
	if pgconn.SafeToRetry(err) {
		return fmt.Errorf("%w: %w", storage.ErrUnavailable, err)
	}
	return fmt.Errorf("%w: %w", storage.ErrOutcomeUnknown, err)
}
