package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// formWatch is the form of a saved Watch.
const formWatch = "abide-log-watch/1"

// Watch follows a log: it remembers the last checkpoint it verified, and wants
// every later one to continue it.
type Watch struct {
	// Late is how long the log may publish nothing new; 0 is for ever. With known
	// witnesses, it is the age of the newest cosignature, so that a log without
	// new entries is not late as long as witnesses still see it; without, it is
	// how long ago the checkpoint was seen to change.
	Late time.Duration

	last    *SignedCheckpoint
	changed time.Time // when last was seen first
}

// Last is the last checkpoint that was verified; nil before the first.
func (w *Watch) Last() *SignedCheckpoint { return w.last }

// Look fetches the checkpoint and compares it with the last. It returns the
// checkpoint that was verified, if any. A Fault says what the log did; LogForked
// and LogShorter come with both checkpoints, which together prove it. Any other
// error says that the log was not reached, which is a Fault of CheckpointLate
// once it has lasted too long.
func (w *Watch) Look(ctx context.Context, l *Log, now time.Time) (*SignedCheckpoint, error) {
	c, err := l.Checkpoint(ctx)
	var f *Fault
	switch {
	case err != nil && !errors.As(err, &f):
		if late := w.late(now); late != nil {
			late.Err = err
			return nil, late
		}
		return nil, err
	case err != nil:
		return nil, err
	}
	if w.last != nil {
		if err := l.CheckConsistency(ctx, &w.last.Checkpoint, &c.Checkpoint); err != nil {
			return c, err
		}
	}
	if w.last == nil || c.Size > w.last.Size {
		w.changed = now
	}
	w.last = c
	if late := w.late(now); late != nil {
		return c, late
	}
	return c, nil
}

// late judges the last checkpoint.
func (w *Watch) late(now time.Time) *Fault {
	if w.Late <= 0 || w.last == nil {
		return nil
	}
	since, what := w.changed, "the log has published nothing new since "
	for i, c := range w.last.Cosigned {
		if i == 0 || c.At.After(since) {
			since, what = c.At, "no witness has signed since "
		}
	}
	if now.Sub(since) <= w.Late {
		return nil
	}
	return &Fault{Code: CheckpointLate, Path: checkpointPath, Entry: -1, What: fmt.Sprintf("%s%s", what, since.UTC().Format(time.RFC3339))}
}

type savedWatch struct {
	Form       string    `json:"form"`
	Checkpoint string    `json:"checkpoint"`
	Changed    time.Time `json:"changed"`
}

// Save encodes what the watch remembers. It must be kept where the log's
// operator cannot write.
func (w *Watch) Save() ([]byte, error) {
	return json.Marshal(savedWatch{formWatch, string(w.last.Note), w.changed.UTC()})
}

// Load brings back what Save encoded; the keys must still accept it.
func (w *Watch) Load(raw []byte, k *Keys) error {
	var in savedWatch
	if err := strict(raw, &in); err != nil || in.Form != formWatch {
		return errors.New("audit: this is not the saved state of a watch")
	}
	quorum := *k
	quorum.Quorum = 0 // it was accepted then; witnesses may have been added since
	c, err := quorum.Open([]byte(in.Checkpoint))
	if err != nil {
		return err
	}
	w.last, w.changed = c, in.Changed
	return nil
}
