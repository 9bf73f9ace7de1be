package storagetest

import (
	"bytes"
	"context"
	"errors"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
)

func isError(err, sentinel error) bool { return errors.Is(err, sentinel) }

// sentinel reports whether err is one that callers act upon.
func sentinel(err error) bool {
	for _, s := range []error{storage.ErrNotFound, storage.ErrConflict, storage.ErrTaken, storage.ErrOutcomeUnknown,
		storage.ErrUnavailable, storage.ErrFull, storage.ErrClosed} {
		if errors.Is(err, s) {
			return true
		}
	}
	return false
}

var changeCases = []testCase{
	{name: "load/an unknown subject is not found, and the epoch is told", data: func(e *env) {
		l, err := e.s.Load(e.ctx, e.id(), storage.Want{AllItems: true})
		e.want(err, storage.ErrNotFound)
		equal(e, l.Epoch, storage.Epoch{})
		e.publish(0, "v1")
		l, err = e.s.Load(e.ctx, e.id(), storage.Want{})
		e.want(err, storage.ErrNotFound)
		equal(e, l.Epoch, storage.Epoch{N: 1, Version: "v1", Since: e.now})
	}},
	{name: "commit/every field of a subject comes back", data: func(e *env) {
		e.publish(0, "v1")
		row := storage.SubjectRow{ID: e.id(), Kind: abide.Visitor, Status: abide.StatusErasing, Version: 1, NextDue: e.now.Add(time.Hour),
			Sealed: []byte{0, 1, 2, 0xff}, Law: []byte("law"), EntryN: 7, ConsentN: 1<<40 + 1, Created: e.now}
		e.commit(&storage.Change{Row: row, Epoch: 1})
		l := e.load(row.ID, storage.Want{})
		equal(e, *l, storage.Loaded{Subject: row, Epoch: storage.Epoch{N: 1, Version: "v1", Since: e.now}})
	}},
	{name: "commit/what is not given comes back as not given", data: func(e *env) {
		c := e.subject(e.id())
		c.Row.Sealed = nil
		c.PutItems = []storage.Item{{Category: "a", ID: idOf(1), Version: 1, Compartment: storage.Live}}
		e.commit(c)
		l := e.load(c.Row.ID, storage.Want{AllItems: true, Erasure: true, Idempotency: []byte("none")})
		equal(e, *l, storage.Loaded{Subject: c.Row, Items: c.PutItems})
	}},
	{name: "commit/an update replaces all but the time of creation", data: func(e *env) {
		c := e.subject(e.id())
		e.commit(c)
		row := storage.SubjectRow{ID: c.Row.ID, Kind: abide.Person, Status: abide.StatusErased, Version: 2, Law: []byte("kept"), EntryN: 3}
		e.commit(&storage.Change{Expect: 1, Row: row})
		row.Created = c.Row.Created
		equal(e, e.load(row.ID, storage.Want{}).Subject, row)
	}},
	{name: "commit/times are kept to the microsecond, in UTC", data: func(e *env) {
		c := e.subject(e.id())
		c.Row.Created = e.now.Add(789 * time.Nanosecond).In(time.FixedZone("UTC+8", 8*3600))
		e.commit(c)
		equal(e, e.load(c.Row.ID, storage.Want{}).Subject.Created, e.now)
	}},
	{name: "commit/a subject that exists is a conflict", data: func(e *env) {
		id := e.create(1)[0]
		c := e.subject(id)
		c.Row.Sealed = []byte("other")
		e.want(e.s.Commit(e.ctx, c), storage.ErrConflict)
		equal(e, e.load(id, storage.Want{}).Subject.Sealed, []byte("sealed state"))
	}},
	{name: "commit/a subject that does not exist is a conflict for an update", data: func(e *env) {
		c := e.subject(e.id())
		c.Expect, c.Row.Version = 1, 2
		e.want(e.s.Commit(e.ctx, c), storage.ErrConflict)
	}},
	{name: "commit/a conflict writes nothing of the change", data: func(e *env) {
		id := e.create(1)[0]
		c := e.full(id)
		c.Expect, c.Row.Version = 5, 6
		e.want(e.s.Commit(e.ctx, c), storage.ErrConflict)
		e.untouched(id)
	}},
	{name: "commit/the same change twice is applied once", data: func(e *env) {
		c := e.full(e.id())
		e.commit(c)
		e.want(e.s.Commit(e.ctx, c), storage.ErrConflict)
		equal(e, e.items(c.Row.ID), c.PutItems)
		equal(e, get(e.s.Entries(e.ctx, c.Row.ID, 0, 10))(e), c.Entries)
	}},
	{name: "commit/a change decided under another epoch is a conflict", data: func(e *env) {
		id := e.id()
		c := e.full(id)
		c.Epoch = 1
		e.want(e.s.Commit(e.ctx, c), storage.ErrConflict)
		e.publish(0, "v1")
		e.commit(c)
		e.publish(1, "v2")
		n := e.next(id)
		n.Epoch = 1
		e.want(e.s.Commit(e.ctx, n), storage.ErrConflict)
		n.Epoch = 2
		e.commit(n)
	}},
	{name: "commit/a change that fails late leaves nothing, and is no conflict", data: func(e *env) {
		id := e.create(1)[0]
		first := e.next(id)
		first.Entries = []storage.Entry{e.entry(id, 1)}
		e.commit(first)
		c := e.full(id)
		c.Expect, c.Row.Version = 2, 3
		c.Entries = []storage.Entry{e.entry(id, 2), e.entry(id, 1)} // 1 is taken
		err := e.s.Commit(e.ctx, c)
		if err == nil || sentinel(err) {
			e.Fatalf("error is %v; want one that nobody retries", err)
		}
		l := e.load(id, storage.Want{AllItems: true, Idempotency: []byte("key")})
		equal(e, l.Subject.Version, 2)
		equal(e, len(l.Items), 0)
		equal(e, l.Idempotency, nil)
		equal(e, len(get(e.s.Entries(e.ctx, id, 0, 10))(e)), 1)
		e.commit(e.next(id))
	}},
	{name: "commit/a malformed change is refused", data: func(e *env) {
		for name, spoil := range map[string]func(c *storage.Change){
			"no subject":        func(c *storage.Change) { c.Row.ID = abide.SubjectID{} },
			"version skipped":   func(c *storage.Change) { c.Row.Version = 3 },
			"no kind":           func(c *storage.Change) { c.Row.Kind = "" },
			"no status":         func(c *storage.Change) { c.Row.Status = "" },
			"foreign entry":     func(c *storage.Change) { c.Entries[0].Subject = idOf(99) },
			"foreign consent":   func(c *storage.Change) { c.ConsentIndex[0].Subject = idOf(99) },
			"foreign erasure":   func(c *storage.Change) { c.Erasure.Subject = idOf(99) },
			"foreign claim":     func(c *storage.Change) { c.Claims = []storage.Lookup{claimOf(idOf(99), "x", true, e.now)} },
			"entry of no one":   func(c *storage.Change) { c.Entries[0].Subject = abide.SubjectID{} },
			"version unchanged": func(c *storage.Change) { c.Expect = 1 },
		} {
			c := e.full(e.id())
			spoil(c)
			err := e.s.Commit(e.ctx, c)
			if err == nil || sentinel(err) {
				e.Errorf("%s: error is %v; want one that nobody retries", name, err)
			}
		}
		equal(e, len(get(e.s.ListSubjects(e.ctx, abide.SubjectID{}, 10))(e)), 0)
	}},
	{name: "commit/an ended context changes nothing", data: func(e *env) {
		ctx, cancel := context.WithCancel(e.ctx)
		cancel()
		c := e.full(e.id())
		e.want(e.s.Commit(ctx, c), context.Canceled)
		_, err := e.s.Load(ctx, c.Row.ID, storage.Want{})
		e.want(err, context.Canceled)
		_, err = e.s.Load(e.ctx, c.Row.ID, storage.Want{})
		e.want(err, storage.ErrNotFound)
	}},
	{name: "items/put inserts and replaces, drop removes", data: func(e *env) {
		c := e.subject(e.id())
		a, b := e.item("person.email", 1, storage.Live), e.item("person.phone", 2, storage.Law)
		a.IndexKey, a.Index, a.Due = "k1", []byte("blind"), e.now.Add(time.Hour)
		c.PutItems = []storage.Item{a, b}
		e.commit(c)
		equal(e, e.items(c.Row.ID), []storage.Item{a, b})
		n := e.next(c.Row.ID)
		b.Version, b.Compartment, b.Sealed, b.IndexKey, b.Index = 2, storage.Live, []byte("new"), "k2", []byte("other")
		n.PutItems = []storage.Item{b, e.item("person.phone", 3, storage.Live)}
		n.DropItems = []storage.ItemKey{{Category: a.Category, ID: a.ID}, {Category: "absent", ID: a.ID}}
		e.commit(n)
		equal(e, e.items(c.Row.ID), n.PutItems)
	}},
	{name: "items/dropped and put in one change are put", data: func(e *env) {
		c := e.subject(e.id())
		c.PutItems = []storage.Item{e.item("a", 1, storage.Live)}
		e.commit(c)
		n := e.next(c.Row.ID)
		n.DropItems = []storage.ItemKey{{Category: "a", ID: idOf(1)}}
		n.PutItems = []storage.Item{e.item("a", 1, storage.Law)}
		e.commit(n)
		equal(e, e.items(c.Row.ID), n.PutItems)
	}},
	{name: "items/load gives the categories wanted, in order of category and id", data: func(e *env) {
		c := e.subject(e.id())
		for _, cat := range []abide.Category{"Z.upper", "a.b", "a-b", "a.c", "ä.ö", "a.b"} {
			c.PutItems = append(c.PutItems, e.item(cat, uint64(len(c.PutItems)+1), storage.Live))
		}
		e.commit(c)
		p := c.PutItems
		equal(e, e.items(c.Row.ID), []storage.Item{p[0], p[2], p[1], p[5], p[3], p[4]})
		l := e.load(c.Row.ID, storage.Want{Items: []abide.Category{"ä.ö", "a.b", "none", "a.b"}})
		equal(e, l.Items, []storage.Item{p[1], p[5], p[4]})
		equal(e, len(e.load(c.Row.ID, storage.Want{}).Items), 0)
	}},
	{name: "items/load gives those in the law compartment, and counts the others", data: func(e *env) {
		c, other := e.subject(e.id()), e.subject(e.id())
		for i, compartment := range []storage.Compartment{storage.Law, storage.Live, storage.Live, storage.Law} {
			c.PutItems = append(c.PutItems, e.item(abide.Category("abab"[i:i+1]), uint64(i+1), compartment))
			other.PutItems = append(other.PutItems, e.item("a", uint64(i+9), compartment))
		}
		c.PutItems = append(c.PutItems, e.item("a", 5, storage.Live))
		e.commit(c)
		e.commit(other)
		l := e.load(c.Row.ID, storage.Want{LawItems: true, Counts: true, Erasure: true})
		equal(e, l.Items, []storage.Item{c.PutItems[0], c.PutItems[3]})
		equal(e, l.Counts, map[abide.Category]int{"a": 2, "b": 1})
		equal(e, e.load(c.Row.ID, storage.Want{LawItems: true}).Counts, nil)
		equal(e, *e.load(e.create(1)[0], storage.Want{LawItems: true, Counts: true}), storage.Loaded{Subject: e.load(idOf(3), storage.Want{}).Subject})
	}},
	{name: "items/the same item id may stand under two subjects", data: func(e *env) {
		for range 2 { // a message belongs to both parties
			c := e.subject(e.id())
			c.PutItems = []storage.Item{e.item("message", 9, storage.Live)}
			e.commit(c)
			equal(e, e.items(c.Row.ID), c.PutItems)
		}
	}},
	{name: "items/large values and strange names come back as they were", data: func(e *env) {
		c := e.subject(e.id())
		big := e.item(`a"b'c\d%_?$1;--`, 1, storage.Live)
		big.Sealed = bytes.Repeat([]byte("0123456789abcdef"), 1<<18) // 4 MiB
		c.PutItems = []storage.Item{big}
		c.Row.Sealed = bytes.Repeat([]byte{0}, 100_000)
		e.commit(c)
		l := e.load(c.Row.ID, storage.Want{Items: []abide.Category{big.Category}})
		equal(e, l.Items, c.PutItems)
		equal(e, l.Subject, c.Row)
	}},
	{name: "facts/an event may be told again with another time", data: func(e *env) {
		c := e.subject(e.id())
		c.Facts = []storage.FactRow{{Anchor: "order", Event: "1", At: e.now}, {Anchor: "order", Event: "2", At: e.now}}
		e.commit(c)
		n := e.next(c.Row.ID)
		n.Facts = []storage.FactRow{{Anchor: "order", Event: "1", At: e.now.Add(time.Hour)}}
		e.commit(n)
	}},
	{name: "idempotency/the answer is found under its key and subject only", data: func(e *env) {
		ids := e.create(2)
		n := e.next(ids[0])
		n.Idempotency = &storage.IdempotencyRow{Key: []byte("key"), Digest: []byte("digest"), Sealed: []byte("answer"), Expires: e.now}
		e.commit(n)
		equal(e, e.load(ids[0], storage.Want{Idempotency: []byte("key")}).Idempotency, n.Idempotency)
		equal(e, e.load(ids[0], storage.Want{Idempotency: []byte("other")}).Idempotency, nil)
		equal(e, e.load(ids[1], storage.Want{Idempotency: []byte("key")}).Idempotency, nil)
		n2 := e.next(ids[0])
		n2.Idempotency = &storage.IdempotencyRow{Key: []byte("key"), Digest: []byte("second"), Expires: e.now.Add(time.Hour)}
		e.commit(n2)
		equal(e, e.load(ids[0], storage.Want{Idempotency: []byte("key")}).Idempotency, n2.Idempotency)
	}},
	{name: "erasure/a job is listed until done, its certificate stays", data: func(e *env) {
		ids := e.create(3)
		for _, id := range ids[:2] {
			n := e.next(id)
			n.Erasure = &storage.ErasureJob{Subject: id, Step: "intent", Started: e.now}
			e.commit(n)
		}
		job := func(id abide.SubjectID, step string, cert []byte) storage.ErasureJob {
			return storage.ErasureJob{Subject: id, Step: step, Certificate: cert, Started: e.now}
		}
		equal(e, get(e.s.ErasureJobs(e.ctx, 10))(e), []storage.ErasureJob{job(ids[0], "intent", nil), job(ids[1], "intent", nil)})
		equal(e, get(e.s.ErasureJobs(e.ctx, 1))(e), []storage.ErasureJob{job(ids[0], "intent", nil)})
		for _, step := range []storage.ErasureJob{job(ids[0], "certified", []byte("cert")), job(ids[0], "rows_purged", nil), job(ids[0], storage.ErasureDone, nil)} {
			n := e.next(ids[0])
			n.Erasure = &step
			e.commit(n)
		}
		equal(e, get(e.s.ErasureJobs(e.ctx, 10))(e), []storage.ErasureJob{job(ids[1], "intent", nil)})
		equal(e, *e.load(ids[0], storage.Want{Erasure: true}).Erasure, job(ids[0], storage.ErasureDone, []byte("cert")))
		equal(e, e.load(ids[0], storage.Want{}).Erasure, nil)
	}},
}

// full is a change that makes a subject with a row in every table.
func (e *env) full(id abide.SubjectID) *storage.Change {
	c := e.subject(id)
	c.PutItems = []storage.Item{e.item("person.email", 1, storage.Live)}
	c.Consents = []storage.ConsentRow{{N: 1, At: e.now, Purpose: "marketing", Action: abide.ConsentGiven, Terms: "t", Sealed: []byte("evidence")}}
	c.ConsentIndex = []storage.ConsentIndexRow{{Subject: id, Purpose: "marketing", Terms: "t", Effect: "given"}}
	c.Facts = []storage.FactRow{{Anchor: "order", Event: "1", At: e.now}}
	c.Entries = []storage.Entry{e.entry(id, 1), e.entry(id, 2)}
	c.Idempotency = &storage.IdempotencyRow{Key: []byte("key"), Digest: []byte("digest"), Expires: e.now}
	c.Erasure = &storage.ErasureJob{Subject: id, Step: "intent", Started: e.now}
	return c
}

// untouched checks that a subject made by create has no other rows.
func (e *env) untouched(id abide.SubjectID) {
	e.Helper()
	l := e.load(id, storage.Want{AllItems: true, Idempotency: []byte("key"), Erasure: true})
	equal(e, *l, storage.Loaded{Subject: e.subject(id).Row})
	equal(e, len(get(e.s.Entries(e.ctx, id, 0, 10))(e)), 0)
	equal(e, len(get(e.s.ConsentEvents(e.ctx, id, 0, 10))(e)), 0)
	equal(e, len(get(e.s.Candidates(e.ctx, "marketing", "given", abide.SubjectID{}, 10))(e)), 0)
	equal(e, len(get(e.s.Pending(e.ctx, storage.EntryKey{}, 10))(e)), 0)
	equal(e, len(get(e.s.ErasureJobs(e.ctx, 10))(e)), 0)
}
