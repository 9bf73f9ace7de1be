package log

import (
	"context"
	"errors"
	"io/fs"
	"strconv"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/storage"
)

// Outcome is how the log of a restored database goes on.
type Outcome int

// What Restored finds, or does.
const (
	// GoesOn: the place has what was published, and the sequencer continues it.
	GoesOn Outcome = iota + 1
	// Republished: the place had lost it; the database has all of it, as the last
	// checkpoint that is known shows, and it is published again.
	Republished
	// Renewed: a new log began, which names the old one's last checkpoint.
	Renewed
	// Unknown: no checkpoint is known from anywhere, so there is nothing to name.
	Unknown
)

// standing is how a log stands to what was published of it.
type standing struct {
	head      *storage.LogHead  // nil: the database has no log
	published *audit.Checkpoint // in the place; nil for none
	known     *audit.Checkpoint // told by whoever asks; nil for none
	kept      bool              // the database has a checkpoint
}

// survey looks what the place has of the log of a database, and opens the
// checkpoint that is known from elsewhere.
func survey(ctx context.Context, store storage.LogTables, k Keys, place Place, known []byte) (*standing, error) {
	head, err := store.LogHead(ctx)
	if err != nil && !isNotFound(err) {
		return nil, err
	}
	st := &standing{head: head}
	number := uint64(1)
	if head != nil {
		number = head.Log
		if _, err := store.Checkpoint(ctx, number); err == nil {
			st.kept = true
		} else if !isNotFound(err) {
			return nil, err
		}
	}
	raw, err := place.Read(ctx, prefix(number)+"checkpoint", 1<<20)
	if err == nil {
		if st.published, err = st.open(k, raw); err != nil {
			return nil, damagedCheckpoint("in "+place.Name(), err)
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if known != nil {
		if st.known, err = st.open(k, known); err != nil {
			return nil, unknownCheckpoint(err)
		}
	}
	return st, nil
}

// open verifies a checkpoint of the log; of any origin if the database does not
// say which it has.
func (st *standing) open(k Keys, raw []byte) (*audit.Checkpoint, error) {
	if st.head != nil {
		return OpenCheckpoint(k, st.head.Origin, raw)
	}
	text, err := noteText(raw)
	if err != nil {
		return nil, err
	}
	c, err := audit.ParseCheckpoint(text)
	if err != nil {
		return nil, err
	}
	return OpenCheckpoint(k, c.Origin, raw)
}

// Restored settles how the log of a restored database goes on, before anything
// is signed. What was published is in the place, or is asked for: known is the
// last checkpoint that anybody is known to have seen, such as a witness's, and
// lost says that what was published is gone. Without either it refuses: a database
// that went on alone might show a second history.
func Restored(ctx context.Context, store storage.Store, k Keys, place Place, known []byte, lost bool) (Outcome, error) {
	st, err := survey(ctx, store, k, place, known)
	if err != nil {
		return 0, err
	}
	whole := st.published != nil && (st.known == nil || st.published.Size >= st.known.Size)
	switch {
	case whole && lost:
		return 0, &abide.Error{Code: abide.CodeConflict, Detail: "log_not_lost",
			Message: "the published log is in " + place.Name() + ", up to " + strconv.FormatInt(st.published.Size, 10) + " entries",
			Hint:    "leave --log-lost out: the log goes on from there; if its tiles turn out to be damaged, abide log renew begins a new one"}
	case whole:
		return GoesOn, nil
	case st.known != nil && st.head != nil && uint64(st.known.Size) <= st.head.Size:
		return Republished, republish(ctx, store, k, place, st)
	case !lost:
		return 0, notInPlace(place, st.known)
	case st.head == nil || st.known == nil && !st.kept:
		return Unknown, nil
	}
	_, err = Renew(ctx, store, k, place, known)
	return Renewed, err
}

// Republish publishes all of a log to a place that has nothing of it, or less.
// The database must continue the known checkpoint, which is the last that anybody
// saw.
func Republish(ctx context.Context, store storage.Store, k Keys, place Place, known []byte) error {
	st, err := survey(ctx, store, k, place, known)
	switch {
	case err != nil:
		return err
	case st.head == nil || uint64(st.known.Size) > st.head.Size:
		return notInPlace(place, st.known)
	}
	return republish(ctx, store, k, place, st)
}

func republish(ctx context.Context, store storage.Store, k Keys, place Place, st *standing) error {
	s := New(Options{Store: store, Keys: k, Place: place})
	s.head = *st.head
	for _, c := range []*audit.Checkpoint{st.known, st.published} {
		if c == nil {
			continue
		}
		if err := s.continues(ctx, c); err != nil {
			return err
		}
	}
	if _, err := loadTree(ctx, store, st.head); err != nil {
		return err
	}
	signed, err := signCheckpoint(k, s.checkpoint())
	if err != nil {
		return err
	}
	return s.place(ctx, signed)
}
