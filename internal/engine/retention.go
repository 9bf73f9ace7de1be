package engine

import (
	"context"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/policy"
)

// Retention is how long what is held of a person is kept, item by item, and
// why.
type Retention struct {
	Subject abide.SubjectID `json:"subject"`
	At      time.Time       `json:"at"`
	Items   []Kept          `json:"items"`
	Holds   []Hold          `json:"holds"`
}

// Kept is one item with its deadline. Due is absent while no end is known: the
// consent goes on, or a hold has no end.
type Kept struct {
	Category abide.Category  `json:"category"`
	ID       abide.SubjectID `json:"id"`
	Obtained time.Time       `json:"obtained"`
	Ref      string          `json:"ref,omitempty"`
	Due      time.Time       `json:"due,omitzero"`
	// Ground is the purpose that keeps it longest, Clause where the policy says
	// so, Ends when nothing may read it any more, and Then what becomes of it.
	Ground abide.Purpose `json:"ground,omitempty"`
	Clause string        `json:"clause,omitempty"`
	Span   abide.Span    `json:"span,omitzero"`
	Ends   time.Time     `json:"ends,omitzero"`
	Then   string        `json:"then"`
	Hold   string        `json:"hold,omitempty"` // keeps it after that
	Past   bool          `json:"past"`           // unreadable already, and waits for the sweep or for its hold
}

// Retention tells when each item goes and which ground keeps it, under the
// policy, the facts and the time of the call.
func (e *Engine) Retention(ctx context.Context, c Call, id abide.SubjectID) (Retention, error) {
	if err := authorise(c, opSeeRetention, id); err != nil {
		return Retention{}, err
	}
	s, err := e.load(ctx, id, storage.Want{AllItems: true})
	if err != nil {
		return Retention{}, err
	}
	defer s.close()
	switch {
	case !s.active():
		return Retention{}, erasedError()
	case s.force == nil:
		return Retention{}, noPolicy()
	}
	if err := e.looked(ctx, c, s); err != nil {
		return Retention{}, err
	}
	out := Retention{Subject: id, At: s.now, Items: []Kept{}, Holds: holdsOf(&s.facts)}
	d := deadlinesOf(e, s, &s.facts)
	for i := range s.items {
		it := &s.items[i]
		if isPseudo(it.Category) {
			continue
		}
		o, r, err := d.of(it)
		if err != nil {
			return Retention{}, err
		}
		out.Items = append(out.Items, Kept{Category: it.Category, ID: it.ID, Obtained: o.record.Obtained, Ref: o.record.Ref,
			Due: r.Due, Ground: r.Ground, Clause: r.Clause, Span: r.Span, Ends: r.GroundEnds, Then: r.Then, Hold: r.Hold,
			Past: !r.GroundEnds.IsZero() && !s.now.Before(r.GroundEnds)})
	}
	return out, nil
}

// deadlines computes when the items of a subject go. What was derived goes with
// the first of its sources (D6 of the policy language): the sources must be
// among the subject's items, or they count as gone.
type deadlines struct {
	e      *Engine
	s      *subject
	facts  *policy.Facts
	opened map[storage.ItemKey]opened
}

func deadlinesOf(e *Engine, s *subject, f *policy.Facts) *deadlines {
	return &deadlines{e: e, s: s, facts: f, opened: map[storage.ItemKey]opened{}}
}

// of opens an item and returns how long it is kept.
func (d *deadlines) of(it *storage.Item) (opened, policy.Retention, error) {
	o, err := d.open(it)
	if err != nil {
		return o, policy.Retention{}, err
	}
	r, err := d.retention(o)
	return o, r, err
}

func (d *deadlines) open(it *storage.Item) (opened, error) {
	k := storage.ItemKey{Category: it.Category, ID: it.ID}
	if o, ok := d.opened[k]; ok {
		return o, nil
	}
	r, err := d.e.vault.OpenItem(d.s.keys, it)
	if err != nil {
		return opened{}, err
	}
	o := opened{it, r}
	d.opened[k] = o
	return o, nil
}

// retention is how long an opened item is kept. Derived items form no circles:
// each was made from items that were held before it.
func (d *deadlines) retention(o opened) (policy.Retention, error) {
	f := o.fact()
	for _, ref := range o.record.From {
		end, err := d.sourceEnds(storage.ItemKey{Category: ref.Category, ID: ref.ID}, o.record.Obtained)
		if err != nil {
			return policy.Retention{}, err
		}
		if !end.IsZero() && (f.Cap.IsZero() || end.Before(f.Cap)) {
			f.Cap = end
		}
	}
	return d.s.policy().Retention(o.item.Category, f, d.facts), nil
}

// sourceEnds is when a source may not be used any more: when the derived item
// was made, if it is gone; zero if no end is known.
func (d *deadlines) sourceEnds(k storage.ItemKey, gone time.Time) (time.Time, error) {
	for i := range d.s.items {
		it := &d.s.items[i]
		if it.Category != k.Category || it.ID != k.ID {
			continue
		}
		_, r, err := d.of(it)
		return r.GroundEnds, err
	}
	return gone, nil
}

// Forecast says what goes until an instant if nothing happens meanwhile: no
// order is closed, no consent ends, no hold is placed.
type Forecast struct {
	Days   int                      `json:"days"`
	Until  time.Time                `json:"until"`
	People int64                    `json:"people"`
	Items  map[abide.Category]int64 `json:"items"`
}

// maxForecast is how far ahead a forecast looks, in days.
const maxForecast = 10 * 366

// Forecast counts what goes within so many days, what is past already included,
// from the deadlines as they were armed last. It costs in proportion to what
// it counts.
func (e *Engine) Forecast(ctx context.Context, c Call, days []int) ([]Forecast, error) {
	if err := authorise(c, opForecast, abide.SubjectID{}); err != nil {
		return nil, err
	}
	out := []Forecast{}
	now := e.now()
	for _, d := range days {
		if d < 0 || d > maxForecast {
			return nil, invalid("bad_days", "a forecast looks 0 to 3,660 days ahead", "send 7, 30 and 90", "days")
		}
		f := Forecast{Days: d, Until: now.AddDate(0, 0, d)}
		var err error
		if f.Items, f.People, err = e.store.DueItems(ctx, f.Until); err != nil {
			return nil, storageError(err)
		}
		out = append(out, f)
	}
	return out, nil
}
