package sqlite

import (
	"errors"
	"fmt"

	"github.com/abide-privacy/abide/internal/storage"
	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"
)

// primary is the primary result code of an error of SQLite, 0 for any other.
func primary(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code() & 0xff
	}
	return 0
}

// endsBatch reports whether err is of the kind after which SQLite may have
// rolled back the whole transaction by itself (https://sqlite.org/lang_transaction.html,
// "Response To Errors Within A Transaction").
func endsBatch(err error) bool {
	switch primary(err) {
	case lib.SQLITE_FULL, lib.SQLITE_IOERR, lib.SQLITE_NOMEM, lib.SQLITE_INTERRUPT, lib.SQLITE_BUSY:
		return true
	}
	return false
}

// mapped gives an error of SQLite the meaning storage has for it. Errors that
// are not SQLite's pass.
func mapped(err error) error {
	switch primary(err) {
	case 0:
		return err
	case lib.SQLITE_FULL:
		return fmt.Errorf("%w: %w", storage.ErrFull, err)
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED, lib.SQLITE_IOERR, lib.SQLITE_NOMEM, lib.SQLITE_INTERRUPT,
		lib.SQLITE_CANTOPEN, lib.SQLITE_READONLY, lib.SQLITE_PROTOCOL:
		return fmt.Errorf("%w: %w", storage.ErrUnavailable, err)
	}
	return fmt.Errorf("sqlite: %w", err)
}
