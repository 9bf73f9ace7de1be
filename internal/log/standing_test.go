package log_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/log"
)

// empty is a place of which nothing is left.
func (w *world) empty() *seen {
	w.Helper()
	return &seen{Place: must(log.OpenDir(filepath.Join(w.TempDir(), "log")))(w)}
}

// TestRestoredWithoutWhatWasPublished: a database that comes back without the
// published log signs nothing by itself, and is let go on only with the last
// checkpoint that anybody saw, or under a new origin that names it.
func TestRestoredWithoutWhatWasPublished(t *testing.T) {
	engines(t, func(w *world) {
		t := w.T
		p := w.dir()
		backup := restored(w, p, nil)
		last := w.whole()
		kept := must(backup.store.Checkpoint(w.ctx, 1))(t)
		wants := func(name string, place log.Place, known []byte, lost bool, want log.Outcome, detail string) {
			t.Helper()
			got, err := log.Restored(w.ctx, backup.store, w.keys, place, known, lost)
			if got != want || abide.ErrorDetail(err) != detail {
				t.Errorf("%s: outcome %d, error %v; want %d, %s", name, got, err, want, detail)
			}
		}

		gone := w.empty()
		s := backup.node("n9", backup.store, gone)
		for range 3 {
			backup.watch += 4 * time.Second
			_ = s.Step(w.ctx)
		}
		if abide.ErrorDetail(s.State()) != log.DetailNotPlaced {
			t.Errorf("a sequencer without what was published: %v", s.State())
		}
		if _, err := gone.Read(w.ctx, "checkpoint", 1<<20); !errors.Is(err, fs.ErrNotExist) {
			t.Error("it published a second history")
		}

		wants("nothing known", gone, nil, false, 0, log.DetailNotPlaced)
		wants("a checkpoint beyond the database", gone, last.Note, false, 0, log.DetailNotPlaced)
		wants("no checkpoint", gone, []byte("no checkpoint"), true, 0, "log_checkpoint_unknown")
		wants("another log's", gone, must(w.twinOf(t).store.Checkpoint(w.ctx, 1))(t).Note, true, 0, "log_checkpoint_unknown")
		wants("it is there", p, nil, false, log.GoesOn, "")
		wants("it is there, as known", p, last.Note, false, log.GoesOn, "")
		wants("it is there, and said to be lost", p, nil, true, 0, "log_not_lost")

		again := w.empty()
		wants("the database has all of it", again, kept.Note, false, log.Republished, "")
		if entries, c := backup.verified(again); len(entries) != int(kept.Size) || !bytes.Equal(c.Note, kept.Note) {
			t.Errorf("%d entries are published again under\n%s", len(entries), c.Note)
		}
		if err := log.Republish(w.ctx, backup.store, w.keys, w.empty(), last.Note); abide.ErrorDetail(err) != log.DetailNotPlaced {
			t.Errorf("published again, though the database is behind: %v", err)
		}

		wants("lost", gone, last.Note, true, log.Renewed, "")
		head := must(backup.store.LogHead(w.ctx))(t)
		backup.write(3)
		w.ok(s.Step(w.ctx))
		entries, c := backup.verified(gone.under("2"))
		if checkpoint, ok := log.Continues(entries[0]); !ok || !bytes.Equal(checkpoint, last.Note) || head.Origin != origin+"/2" || c.Origin != head.Origin {
			t.Errorf("%s begins with %q, want the checkpoint %q", head.Origin, entries[0], last.Note)
		}
		if _, err := log.Renew(w.ctx, w.store, w.keys, gone, nil); abide.ErrorDetail(err) != log.DetailForked {
			t.Errorf("a second log under the origin of the one that is there: %v", err)
		}
	})
}

// TestNothingIsKnown: neither database nor place has a log.
func TestNothingIsKnown(t *testing.T) {
	w := newWorld(t, newStore(t))
	if _, err := log.Restored(w.ctx, w.store, w.keys, w.empty(), nil, false); abide.ErrorDetail(err) != log.DetailNotPlaced {
		t.Errorf("error is %v", err)
	}
	if got := must(log.Restored(w.ctx, w.store, w.keys, w.empty(), nil, true))(t); got != log.Unknown {
		t.Errorf("outcome is %d", got)
	}
}

// twinOf is a world with a log of other keys.
func (w *world) twinOf(t *testing.T) *world {
	t.Helper()
	other := newWorld(t, newStore(t))
	other.write(2)
	other.ok(other.node("n1", other.store, nil).Step(w.ctx))
	return other
}

// under is one of the logs in a place.
func (p *seen) under(number string) *seen {
	dir, err := log.OpenDir(filepath.Join(p.Name(), number))
	if err != nil {
		panic(err) // it is there
	}
	return &seen{Place: dir}
}

// TestPlaceIsNotLostOnASecondStart: what was published stays what the log goes on
// from, also over a crash between the place and the database.
func TestPlaceIsNotLostOnASecondStart(t *testing.T) {
	w := newWorld(t, newStore(t))
	p := w.dir()
	w.write(3)
	w.ok(w.node("n1", w.store, p).Step(w.ctx))
	if err := os.RemoveAll(p.Name()); err != nil {
		t.Fatal(err)
	}
	head := must(w.store.LogHead(w.ctx))(t)
	w.ok(w.store.LeaveLog(w.ctx, 1, head.Epoch))
	w.write(1)
	if err := w.node("n2", w.store, p).Step(w.ctx); abide.ErrorDetail(err) != log.DetailNotPlaced {
		t.Errorf("without its place: %v", err)
	}
}
