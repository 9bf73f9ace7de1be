package log

import (
	"errors"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
)

// The details of errors for which the log stops until somebody acts.
const (
	DetailForked    = "log_forked"
	DetailTilesLost = "log_tiles_lost"
	DetailDamaged   = "log_damaged"
)

func isNotFound(err error) bool { return errors.Is(err, storage.ErrNotFound) }

func damagedTree() error {
	return &abide.Error{Code: abide.CodeInternal, Detail: DetailDamaged,
		Message: "the tiles of the log in the database do not make the tree that its head says",
		Hint:    "nothing is signed any more; abide doctor names the tile, and a backup of the database, or the published log, has it"}
}

func damagedCheckpoint(where string, err error) error {
	return &abide.Error{Code: abide.CodeInternal, Detail: DetailDamaged, Err: err,
		Message: "the last checkpoint " + where + " is not one that this log signed",
		Hint:    "nothing is signed any more; put back the checkpoint that was there, or the keyring that signed it"}
}

func forked(what string) error {
	return &abide.Error{Code: abide.CodeInternal, Detail: DetailForked,
		Message: "the log in the database is not the one that was published: " + what,
		Hint:    "nothing is signed any more; restore the database that belongs to the published log, or give the published log up with abide log renew"}
}

func tilesLost(err error) error {
	return &abide.Error{Code: abide.CodeUnavailable, Detail: DetailTilesLost, Err: err,
		Message: "the database is behind the published log, and the published tiles cannot be read back: " + err.Error(),
		Hint:    "make the published log whole again; if it is lost, abide log renew starts a new one that names it"}
}
