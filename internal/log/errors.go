package log

import (
	"errors"
	"strconv"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/storage"
)

// The details of errors for which the log stops until somebody acts.
const (
	DetailForked    = "log_forked"
	DetailTilesLost = "log_tiles_lost"
	DetailDamaged   = "log_damaged"
	DetailNotPlaced = "log_not_in_place"
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

// notInPlace says that what was published is not where it was; known, if not nil,
// is how far it is known to have gone.
func notInPlace(place Place, known *audit.Checkpoint) error {
	what := "no checkpoint of this log is in " + place.Name()
	if known != nil {
		what = "what was published, up to " + strconv.FormatInt(known.Size, 10) + " entries, is not in " + place.Name()
	}
	return &abide.Error{Code: abide.CodeUnavailable, Detail: DetailNotPlaced,
		Message: what + ": a log that went on without it might show a second history",
		Hint:    "bring the published log there, or name where it is with --log-dir; docs/operations.md says what to do if it was moved or is lost"}
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

func unknownCheckpoint(err error) error {
	return &abide.Error{Code: abide.CodeInvalid, Detail: "log_checkpoint_unknown", Err: err,
		Message: "the checkpoint that is named is not one that this store's log signed",
		Hint:    "name a file with the signed checkpoint, as a witness or a client of this log kept it"}
}
