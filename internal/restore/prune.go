package restore

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/abide-privacy/abide/internal/flock"
)

// Segments that no kept backup can need are pruned: deleted, after a file says
// for ever what they were. A store that has not seen all of them, a backup from
// before them, is refused: replayed without them it would bring back who was
// erased.

const (
	prunedFile = "pruned.json"
	prunedForm = "abide-restore-ledger-pruned/1"
)

// ErrPruned says that the store is older than what the ledger was pruned of.
var ErrPruned = errors.New("restore: the ledger no longer holds what this store has not seen")

// ErrBusy says that another process starts or prunes: try again later.
var ErrBusy = errors.New("restore: another process is at the ledger")

// pruned is the file. N counts prunings; a store that knows of fewer than
// Horizon is refused, whatever it has seen, for the file does not tell any more
// what went before.
type pruned struct {
	Form     string `json:"form"`
	Ledger   string `json:"ledger"`
	N        uint64 `json:"n"`
	Horizon  uint64 `json:"horizon"`
	Segments []gone `json:"segments"`
	MAC      string `json:"mac,omitempty"` // keyed, over the rest
}

type gone struct {
	Segment string    `json:"segment"`
	Last    Mark      `json:"last"`
	N       uint64    `json:"n"`
	At      time.Time `json:"at"`
}

func (p *pruned) digest(k Keyed) (string, error) {
	body := *p
	body.MAC = ""
	raw, err := json.Marshal(body)
	if err != nil {
		return "", err
	}
	sum, err := k.Digest(append([]byte("abide/restore-ledger/pruned/1\x00"), raw...))
	return hex.EncodeToString(sum), err
}

func (p *pruned) of(segment string) *gone {
	i := slices.IndexFunc(p.Segments, func(g gone) bool { return g.Segment == segment })
	if i < 0 {
		return nil
	}
	return &p.Segments[i]
}

// readPruned reads the file anew.
func (l *Ledger) readPruned() (pruned, error) {
	raw, err := os.ReadFile(filepath.Join(l.dir, prunedFile))
	p := pruned{Form: prunedForm, Ledger: l.ID()}
	if err == nil {
		if err = json.Unmarshal(raw, &p); err != nil {
			err = errors.Join(ErrDamaged, err)
		}
		if err == nil {
			var mac string
			if mac, err = p.digest(l.key); err == nil && (mac != p.MAC || p.Form != prunedForm || p.Ledger != l.ID()) {
				err = fmt.Errorf("%w: %s", ErrDamaged, prunedFile)
			}
		}
	}
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return pruned{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pruned = p
	return p, nil
}

// Pruned returns how often the ledger was pruned.
func (l *Ledger) Pruned() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pruned.N
}

// Gone reports whether a segment went with one of the first n prunings.
func (l *Ledger) Gone(segment string, n uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	g := l.pruned.of(segment)
	return g != nil && g.N <= n
}

// held reports whether a segment that was pruned reached as far as a mark.
func (l *Ledger) held(segment string, m Mark) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	g := l.pruned.of(segment)
	return g != nil && g.Last.Seq >= m.Seq
}

// Covers fails with ErrPruned if a store with these marks, which knows of so
// many prunings, has not seen all that is gone.
func (l *Ledger) Covers(marks map[string]Mark, seen uint64) error {
	p, err := l.readPruned()
	if errors.Is(err, ErrDamaged) {
		return nil // it tells nothing: every segment that is missing is a gap
	}
	if err != nil {
		return unusable(err)
	}
	if seen < p.Horizon {
		return ErrPruned
	}
	for _, g := range p.Segments {
		if g.N > seen && marks[g.Segment] != g.Last {
			return ErrPruned
		}
	}
	return nil
}

// lost reports whether a segment that is not there is missing: it was not
// pruned.
func (l *Ledger) lost(segment string) bool {
	p, err := l.readPruned()
	return err != nil || p.of(segment) == nil
}

// Ended reports whether nobody writes a segment any more and the mark is that of
// its last record.
func (l *Ledger) Ended(name string, m Mark) (bool, error) {
	l.mu.Lock()
	writing := name == l.current
	l.mu.Unlock()
	if writing || m.Seq == 0 {
		return false, nil
	}
	s, err := openSegment(l.path(name), name, l.ids, l.key)
	if err == nil {
		defer s.close()
		if beingWritten(s.f) {
			return false, nil
		}
		err = s.seek(m)
	}
	if err == nil {
		_, err = s.next()
	}
	switch {
	case errors.Is(err, io.EOF):
		return true, nil
	case errors.Is(err, errTorn): // a record that was never acknowledged
		return s != nil && s.at == m, nil
	case err == nil, errors.Is(err, ErrDamaged), errors.Is(err, ErrShort), errors.Is(err, os.ErrNotExist):
		return false, nil
	}
	return false, unusable(err)
}

// Prune deletes segments whose last record the store has seen, after noting
// durably what they were, and what an earlier pruning that was killed left. It
// forgets what was pruned before the time given, unless that is newer than what
// the store knows of. It returns how often the ledger was pruned.
func (l *Ledger) Prune(what map[string]Mark, now, forget time.Time, seen uint64) (uint64, error) {
	unlock, err := flock.TryLock(filepath.Join(l.dir, startFile)) // nobody starts meanwhile
	if errors.Is(err, flock.ErrHeld) {
		return 0, ErrBusy
	}
	if err != nil {
		return 0, unusable(err)
	}
	defer unlock()
	p, err := l.readPruned()
	if err != nil {
		return 0, unusable(err)
	}
	// What an earlier pruning noted and did not come to delete.
	if err := l.remove(p.Segments); err != nil {
		return 0, err
	}
	next := pruned{Form: prunedForm, Ledger: l.ID(), N: p.N, Horizon: p.Horizon}
	var fresh []gone
	for _, name := range slices.Sorted(maps.Keys(what)) {
		if p.of(name) == nil {
			fresh = append(fresh, gone{name, what[name], p.N + 1, now})
			next.N = p.N + 1
		}
	}
	for _, g := range p.Segments {
		if g.N <= seen && g.At.Before(forget) {
			next.Horizon = max(next.Horizon, g.N)
		} else {
			next.Segments = append(next.Segments, g)
		}
	}
	next.Segments = append(next.Segments, fresh...)
	if next.N == p.N && next.Horizon == p.Horizon {
		return p.N, nil
	}
	if err := l.writePruned(next); err != nil {
		return 0, unusable(err)
	}
	return next.N, l.remove(fresh)
}

// remove deletes segments that were noted as pruned.
func (l *Ledger) remove(segments []gone) error {
	n := 0
	for _, g := range segments {
		switch err := os.Remove(l.path(g.Segment)); {
		case err == nil:
			n++
		case !errors.Is(err, os.ErrNotExist):
			return unusable(err)
		}
		l.mu.Lock()
		delete(l.own, g.Segment)
		l.mu.Unlock()
	}
	if n == 0 {
		return nil
	}
	if err := syncDir(l.dir); err != nil {
		return unusable(err)
	}
	return nil
}

// writePruned puts the file in its place, whole and durable.
func (l *Ledger) writePruned(p pruned) error {
	var err error
	if p.MAC, err = p.digest(l.key); err != nil {
		return err
	}
	raw, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	place := func(tmp string) error { return os.Rename(tmp, filepath.Join(l.dir, prunedFile)) }
	if err := l.writeWhole(raw, place); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pruned = p
	return nil
}
