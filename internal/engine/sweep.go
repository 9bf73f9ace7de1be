package engine

import (
	"context"
	"encoding/hex"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/storage"
)

const (
	expireEvery  = time.Minute
	sweepPage    = 500
	sweepWorkers = 4                // subjects swept side by side: they share commits, and leave room for others
	sweepRests   = 1                // as long as it worked, of a gentle sweep
	scrubEvery   = 30 * time.Second // while a sweep goes on; the promise is 60 s
)

// Sweep asks for a part of a sweep.
type Sweep struct {
	DryRun bool   // say what would go, and change nothing
	After  string // Next of the part before; empty: from the beginning
	People int    // at most so many, a page more or less; 0: all
	// Gently sweeps one person at a time and rests as long as that took, so that
	// others hardly notice; it takes several times as long.
	Gently bool
}

// Swept says what a part of a sweep let go, or would let go.
type Swept struct {
	At       time.Time              `json:"at"`
	People   int                    `json:"people"` // of whom something went
	Items    map[abide.Category]int `json:"items"`  // that went, by category
	Unlinked map[abide.Category]int `json:"unlinked,omitempty"`
	Later    int                    `json:"later"`  // people of whom nothing was due after all: a fact had moved it
	Failed   int                    `json:"failed"` // people whose data could not be swept; the server's log says why
	// Next goes on where this part ended; empty if nothing is left.
	Next string `json:"next,omitempty"`
}

func (s *Swept) total() int {
	n := 0
	for _, c := range s.Items {
		n += c
	}
	return n
}

// Sweep lets go what is past its deadline, and costs in proportion to that. A
// process killed anywhere leaves what it did not come to as it was, which the
// next sweep begins with: what is swept is not due any more. Several nodes may
// do it at once.
func (e *Engine) Sweep(ctx context.Context, c Call, o Sweep) (Swept, error) {
	if err := authorise(c, opSweep, abide.SubjectID{}); err != nil {
		return Swept{}, err
	}
	after, err := parseDue(o.After)
	if err != nil {
		return Swept{}, err
	}
	w := &sweeping{e: e, call: c, dry: o.DryRun, gently: o.Gently, out: Swept{At: e.now(), Items: map[abide.Category]int{}, Unlinked: map[abide.Category]int{}}}
	for done := 0; ; {
		// By a wrong clock nothing goes: what is gone does not come back.
		if err := e.store.Ready(ctx); err != nil {
			return w.out, storageError(err)
		}
		page, err := e.store.DueSubjects(ctx, w.out.At, after, sweepPage)
		if err == nil {
			err = w.page(ctx, page)
		}
		if err != nil {
			return w.out, errors.Join(storageError(err), w.end(ctx))
		}
		done += len(page)
		if len(page) < sweepPage {
			return w.out, w.end(ctx)
		}
		after = page[len(page)-1]
		if o.People > 0 && done >= o.People {
			w.out.Next = formatDue(after)
			return w.out, w.end(ctx)
		}
	}
}

// sweeping is one part of a sweep under way.
type sweeping struct {
	e        *Engine
	call     Call
	dry      bool
	gently   bool
	mu       sync.Mutex
	out      Swept
	scrubbed int // how many had gone when the files were scrubbed last
	last     time.Time
}

// page sweeps the subjects of a page. One that fails is passed over.
func (w *sweeping) page(ctx context.Context, page []storage.Due) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(sweepWorkers)
	if w.gently {
		g.SetLimit(1)
	}
	for _, d := range page {
		g.Go(func() error {
			begun := time.Now()
			err := w.subject(gctx, d.Subject)
			w.rest(gctx, time.Since(begun))
			if err == nil || gctx.Err() != nil {
				return gctx.Err()
			}
			switch abide.ErrorCode(err) {
			case abide.CodeUnavailable, abide.CodeOutcomeUnknown:
				return err // of the store, not of this subject
			case abide.CodeNotFound:
				return nil
			}
			w.e.log.Error("the data of a subject cannot be swept", "subject", d.Subject.String(), "error", err.Error())
			w.mu.Lock()
			w.out.Failed++
			w.mu.Unlock()
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if w.e.clock().Sub(w.last) >= scrubEvery {
		return w.scrub(ctx)
	}
	return nil
}

// rest waits as long as the work took, if the sweep is to be gentle.
func (w *sweeping) rest(ctx context.Context, worked time.Duration) {
	if !w.gently || w.dry {
		return
	}
	t := time.NewTimer(sweepRests * worked)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// scrub takes what went out of the files too.
func (w *sweeping) scrub(ctx context.Context) error {
	w.last = w.e.clock()
	if w.dry || w.out.total() == w.scrubbed {
		return nil
	}
	w.scrubbed = w.out.total()
	return w.e.store.Scrub(ctx)
}

// end records the run, in counts, and scrubs the files.
func (w *sweeping) end(ctx context.Context) error {
	if w.dry || w.out.total() == 0 {
		return nil
	}
	env := w.e.envelope(w.call, audit.Swept)
	env.Categories = slices.Sorted(maps.Keys(w.out.Items))
	env.Object = strconv.Itoa(w.out.total()) + " items of " + strconv.Itoa(w.out.People) + " people"
	return errors.Join(w.e.noteStore(ctx, w.call, env), storageError(w.scrub(ctx)))
}

// subject sweeps one subject; again if another change came first.
func (w *sweeping) subject(ctx context.Context, id abide.SubjectID) error {
	defer w.e.alone(id)()
	for range changeTries {
		gone, err := w.attempt(ctx, id)
		if errors.Is(err, storage.ErrConflict) {
			w.e.metrics.conflict()
			continue
		}
		if err == nil {
			w.count(gone)
		}
		return err
	}
	return storageError(storage.ErrConflict)
}

func (w *sweeping) attempt(ctx context.Context, id abide.SubjectID) ([]gone, error) {
	s, err := w.e.load(ctx, id, storage.Want{DueBy: w.out.At})
	if err != nil {
		return nil, err
	}
	if s.derived() {
		// Their sources must be seen, due or not.
		next := s.nextDue
		s.close()
		if s, err = w.e.load(ctx, id, storage.Want{AllItems: true}); err != nil {
			return nil, err
		}
		s.dueBy(w.out.At, next)
	}
	defer s.close()
	if s.force == nil {
		return nil, nil // without a policy nothing is known to be due
	}
	switch s.row.Status {
	case abide.StatusActive:
		return w.active(ctx, s)
	case abide.StatusErased:
		return w.erased(ctx, s)
	}
	return nil, nil // an erasure is under way, and takes everything
}

// gone is an item that went.
type gone struct {
	key    storage.ItemKey
	ground abide.Purpose
	then   string
	month  string // in which it was obtained
	blob   string
}

// active lets go what is due of a living person's data.
func (w *sweeping) active(ctx context.Context, s *subject) ([]gone, error) {
	ch := &change{subject: s, call: w.call, engine: w.e, sweeping: true}
	ch.Expect, ch.Row, ch.Epoch, ch.Row.NextDue = s.row.Version, s.row, s.force.epoch.N, s.nextDue
	var out []gone
	d := deadlinesOf(w.e, s, &s.facts)
	for i := range s.items {
		it := s.items[i]
		if isPseudo(it.Category) || it.Due.IsZero() || it.Due.After(w.out.At) {
			continue
		}
		o, r, err := d.of(&s.items[i])
		if err != nil {
			return nil, err
		}
		if !r.Ends || s.now.Before(r.Due) {
			it.Due = r.Due // a fact moved it
			ch.PutItems = append(ch.PutItems, it)
			ch.Row.NextDue = sooner(ch.Row.NextDue, it.Due)
			continue
		}
		g := gone{key: storage.ItemKey{Category: it.Category, ID: it.ID}, ground: r.Ground, then: r.Then, month: o.record.Obtained.Format("2006-01")}
		if o.record.Blob != nil {
			g.blob = blobName(s.id, o.record.Blob)
		}
		out = append(out, g)
	}
	if w.dry || len(out) == 0 && len(ch.PutItems) == 0 && ch.Row.NextDue.Equal(s.row.NextDue) {
		return out, nil
	}
	for i := range out {
		if err := ch.letGo(&out[i]); err != nil {
			return nil, err
		}
	}
	ch.logSwept(out)
	return out, ch.land(ctx)
}

// letGo takes an item out of the change's subject, with what leads to it.
func (ch *change) letGo(g *gone) error {
	ch.DropItems = append(ch.DropItems, g.key)
	if g.blob != "" {
		ch.doomed = append(ch.doomed, g.blob)
	}
	at := slices.IndexFunc(ch.items, func(it storage.Item) bool { return it.Category == g.key.Category && it.ID == g.key.ID })
	return ch.giveUp(&ch.items[at])
}

// logSwept says what went and for want of which ground, or that deadlines were
// moved.
func (ch *change) logSwept(out []gone) {
	env := ch.engine.envelope(ch.call, audit.Expired)
	if len(out) == 0 {
		env = ch.engine.envelope(ch.call, audit.Retained)
	}
	env.Policy = ch.policy().Version()
	p := partOf(ch.call)
	var notes []string
	for _, g := range out {
		if !slices.Contains(env.Categories, g.key.Category) {
			env.Categories = append(env.Categories, g.key.Category)
		}
		if note := string(g.key.Category) + " " + g.then + " " + string(g.ground); !slices.Contains(notes, note) {
			notes = append(notes, note)
		}
	}
	slices.Sort(env.Categories)
	slices.Sort(notes)
	p.Note = strings.Join(notes, "; ")
	ch.log(p, env)
}

// count adds what went to what the part says, and what was unlinked to the
// counts about nobody.
func (w *sweeping) count(out []gone) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(out) == 0 {
		w.out.Later++
		return
	}
	w.out.People++
	for _, g := range out {
		w.out.Items[g.key.Category]++
		if g.then != "unlink" {
			continue
		}
		w.out.Unlinked[g.key.Category]++
		if !w.dry {
			w.e.counters.add(counterKey{string(g.key.Category), unlinkedValue, g.month}, 1, w.e.now())
		}
	}
}

// derived reports whether the items that were loaded by their deadline may
// come from others.
func (s *subject) derived() bool {
	return s.active() && s.force != nil && slices.ContainsFunc(s.items, func(it storage.Item) bool {
		cat, ok := s.policy().Category(it.Category)
		return ok && len(cat.DerivedFrom) > 0
	})
}

// dueBy sets when the next item is due of those that are not due at a time. All
// items are loaded; they may be newer than a hint that an earlier load found.
func (s *subject) dueBy(at, hint time.Time) {
	s.nextDue = hint
	for i := range s.items {
		if due := s.items[i].Due; due.After(at) {
			s.nextDue = sooner(s.nextDue, due)
		}
	}
}

// expirer sweeps now and then, until its context ends.
func (e *Engine) expirer(ctx context.Context) {
	t := time.NewTicker(expireEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		if _, err := e.ArmDeadlines(ctx); err != nil && ctx.Err() == nil {
			e.log.Warn("the deadlines are not all armed under the new policy yet", "error", err.Error())
		}
		done, err := e.Sweep(ctx, systemCall, Sweep{Gently: true})
		if err != nil && ctx.Err() == nil {
			e.log.Warn("what is past its deadline is not swept yet", "error", err.Error())
		}
		if done.People > 0 || done.Failed > 0 {
			e.log.Info("swept", "items", done.total(), "people", done.People, "failed", done.Failed)
		}
	}
}

func formatDue(d storage.Due) string {
	return strconv.FormatInt(storage.Micros(d.At), 10) + "." + hex.EncodeToString(d.Subject[:])
}

func parseDue(s string) (storage.Due, error) {
	if s == "" {
		return storage.Due{}, nil
	}
	at, id, _ := strings.Cut(s, ".")
	us, err := strconv.ParseInt(at, 10, 64)
	raw, err2 := hex.DecodeString(id)
	if err != nil || err2 != nil || len(raw) != len(abide.SubjectID{}) {
		return storage.Due{}, invalid("bad_position", "this is no place where a sweep ended", "send next of the answer before, or nothing", "after")
	}
	return storage.Due{At: storage.FromMicros(us), Subject: abide.SubjectID(raw)}, nil
}
