package node

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/engine"
)

// Ack is what a node under load says: that a call was acknowledged, and what it
// was. Op "erasing" comes before the call, because an erasure whose outcome is
// unknown may take away what was acknowledged before.
type Ack struct {
	Op      string
	Subject abide.SubjectID    `json:",omitzero"`
	Items   []engine.ItemRef   `json:",omitempty"`
	Receipt string             `json:",omitempty"` // of a consent
	Event   uint64             `json:",omitempty"` // its number in the ledger
	Look    engine.LookReceipt `json:",omitzero"`
	Epoch   uint64             `json:",omitempty"`
	// Tries is how often the call was sent until it was acknowledged.
	Tries int `json:",omitempty"`
	// Why is the detail of the error, of an Op "refused": a call that was not
	// acknowledged and is sent again. Said if the Job asks for it.
	Why string `json:",omitempty"`
}

// load runs clients that make people, take in data, record consents, read,
// erase, import and publish, each call again with the same key until it is
// acknowledged, and says what was.
func (j Job) load(ctx context.Context) error {
	s, err := j.Open(ctx)
	if err != nil {
		return err
	}
	e, err := Start(ctx, s, time.Now)
	if err != nil {
		return err
	}
	var left atomic.Int64
	left.Store(int64(j.Writes))
	errs := make([]error, j.Clients)
	var wg sync.WaitGroup
	for i := range j.Clients {
		wg.Go(func() {
			c := &loader{e: e, n: i, refusals: j.Refusals}
			for errs[i] == nil && (j.Writes == 0 || left.Add(-1) >= 0) {
				errs[i] = c.next(ctx)
			}
		})
	}
	wg.Wait()
	return errors.Join(append(errs, e.Close(ctx), Close(s))...)
}

// loader is one client.
type loader struct {
	e      *engine.Engine
	n      int
	calls  int
	id     abide.SubjectID
	number int

	refusals bool
}

// next makes a person, does some things to them, and goes on to the next.
func (l *loader) next(ctx context.Context) error {
	l.calls++
	key := fmt.Sprintf("%d-%d-%d", l.n, l.calls, rand.Int64())
	switch n := rand.IntN(20); {
	case l.id.IsZero():
		return l.create(ctx, key)
	case n < 6:
		return l.collect(ctx, key)
	case n < 11:
		return l.consent(ctx, key, []string{"give", "withdraw"}[n%2])
	case n < 15:
		return l.read(ctx)
	case n < 17:
		return l.erase(ctx)
	case n < 19:
		return l.imports(ctx, key)
	default:
		if l.n > 0 {
			return l.create(ctx, key)
		}
		return l.publish(ctx)
	}
}

// until repeats a call while its failure says that it may succeed: the store is
// not available, or cannot tell the outcome. A node that is not killed itself
// goes on when its database is back.
func (l *loader) until(call func() error) (int, error) {
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	for n := 1; ; n++ {
		err := call()
		switch abide.ErrorCode(err) {
		case abide.CodeUnavailable, abide.CodeOutcomeUnknown:
			if l.refusals {
				if err := say(Ack{Op: "refused", Why: abide.ErrorDetail(err)}); err != nil {
					return n, err
				}
			}
			<-pause.C
			continue
		}
		if abide.ErrorDetail(err) == "changed_meanwhile" {
			continue // policies are published all the time
		}
		return n, err
	}
}

func (l *loader) create(ctx context.Context, key string) error {
	l.number++
	var got engine.CreatedSubject
	n, err := l.until(func() (err error) {
		got, err = l.e.CreateSubject(ctx, app(key), person("ref "+key))
		return err
	})
	if err != nil {
		return err
	}
	l.id = got.ID
	return say(Ack{Op: "created", Subject: l.id, Tries: n})
}

func (l *loader) collect(ctx context.Context, key string) error {
	m := map[abide.Category]any{"person.email": key + "@example.test", "person.orders": []any{map[string]string{"n": key}}}
	service := abide.Service("shop")
	if l.calls%3 == 0 {
		m, service = map[abide.Category]any{"person.account": "account " + key}, "chat"
	}
	var got engine.Collected
	n, err := l.until(func() (err error) {
		got, err = l.e.Collect(ctx, app(key), engine.Collect{Subject: l.id, Service: service, Source: "load", Items: items(m)})
		return err
	})
	if err != nil {
		return err
	}
	return say(Ack{Op: "collected", Subject: l.id, Items: got.Items, Tries: n})
}

func (l *loader) consent(ctx context.Context, key, action string) error {
	var got engine.Receipt
	n, err := l.until(func() (err error) {
		got, err = l.e.WriteConsent(ctx, app(key), asked(l.id, action))
		return err
	})
	if err != nil {
		return err
	}
	return say(Ack{Op: action, Subject: l.id, Receipt: got.ID, Event: got.Event, Tries: n})
}

func (l *loader) read(ctx context.Context) error {
	var got *engine.ReadResult
	n, err := l.until(func() (err error) {
		got, err = l.e.ReadData(ctx, app(""), engine.Read{Subject: l.id, Purpose: "provide", Categories: []abide.Category{"person.email"}})
		return err
	})
	if err != nil {
		return err
	}
	return say(Ack{Op: "read", Subject: l.id, Look: got.Receipt, Tries: n})
}

func (l *loader) erase(ctx context.Context) error {
	if err := say(Ack{Op: "erasing", Subject: l.id}); err != nil {
		return err
	}
	n, err := l.until(func() error { _, err := l.e.Erase(ctx, lead(""), l.id); return err })
	if err != nil {
		return err
	}
	done := Ack{Op: "erased", Subject: l.id, Tries: n}
	l.id = abide.SubjectID{}
	return say(done)
}

func (l *loader) imports(ctx context.Context, key string) error {
	in := engine.Import{ID: key, Service: "shop"}
	for i := range 3 {
		in.People = append(in.People, engine.ImportPerson{Row: int64(i + 1), Reference: fmt.Sprintf("import %s %d", key, i), Jurisdiction: "HK",
			BirthDate: abide.Date{Year: 1980, Month: 1, Day: 1}, Items: items(map[abide.Category]any{"person.name": "Ann"})})
	}
	var out []engine.ImportOutcome
	n, err := l.until(func() (err error) { out, err = l.e.Import(ctx, lead(""), in); return err })
	if err != nil {
		return err
	}
	for i, o := range out {
		if o.Code != "" {
			return fmt.Errorf("row %d of an import: %s", i, o.Code)
		}
		id, err := l.imported(ctx, in.People[i].Reference)
		if err != nil {
			return err
		}
		if err := say(Ack{Op: "created", Subject: id, Tries: n}); err != nil {
			return err
		}
	}
	return nil
}

func (l *loader) imported(ctx context.Context, reference string) (id abide.SubjectID, err error) {
	_, err = l.until(func() (err error) { id, err = found(ctx, l.e, reference); return err })
	return id, err
}

func (l *loader) publish(ctx context.Context) error {
	var epoch uint64
	n, err := l.until(func() error {
		_, info, err := l.e.Publish(ctx, lead(""), edition(rand.IntN(1000)))
		epoch = info.Epoch
		return err
	})
	if err != nil {
		return err
	}
	return say(Ack{Op: "published", Epoch: epoch, Tries: n})
}
