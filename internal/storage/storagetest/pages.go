package storagetest

import (
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
)

var pageCases = []testCase{
	{name: "entries/come in order, page by page, of one subject", data: func(e *env) {
		ids := e.create(2)
		var want []storage.Entry
		for n := uint64(1); n <= 5; n += 2 {
			c := e.next(ids[0])
			c.Entries = []storage.Entry{e.entry(ids[0], n), e.entry(ids[0], n+1)}
			e.commit(c)
			want = append(want, c.Entries...)
		}
		c := e.next(ids[1])
		c.Entries = []storage.Entry{e.entry(ids[1], 1)}
		e.commit(c)
		equal(e, get(e.s.Entries(e.ctx, ids[0], 0, 100))(e), want)
		equal(e, get(e.s.Entries(e.ctx, ids[0], 2, 3))(e), want[2:5])
		equal(e, len(get(e.s.Entries(e.ctx, ids[0], 6, 3))(e)), 0)
		equal(e, get(e.s.Entries(e.ctx, ids[1], 0, 100))(e), c.Entries)
	}},
	{name: "pending/holds each commitment once, in order of key", data: func(e *env) {
		ids := []abide.SubjectID{e.id(), e.id()}
		for _, id := range []abide.SubjectID{ids[1], ids[0]} { // commits arrive out of order
			c := e.subject(id)
			c.Entries = []storage.Entry{e.entry(id, 1), e.entry(id, 2)}
			e.commit(c)
		}
		e.publish(0, "v1")
		var want []storage.PendingRow
		for _, k := range []storage.EntryKey{{N: 1}, {Subject: ids[0], N: 1}, {Subject: ids[0], N: 2}, {Subject: ids[1], N: 1}, {Subject: ids[1], N: 2}} {
			want = append(want, storage.PendingRow{Key: k, Commitment: commitment(k.Subject, k.N)})
		}
		equal(e, get(e.s.Pending(e.ctx, storage.EntryKey{}, 100))(e), want)
		equal(e, get(e.s.Pending(e.ctx, want[1].Key, 2))(e), want[2:4])
		equal(e, len(get(e.s.Pending(e.ctx, want[4].Key, 2))(e)), 0)
	}},
	{name: "consents/events come in order, page by page", data: func(e *env) {
		id := e.create(1)[0]
		var want []storage.ConsentRow
		for n := uint64(1); n <= 4; n++ {
			c := e.next(id)
			c.Consents = []storage.ConsentRow{{N: n, At: e.now.Add(time.Duration(n) * time.Minute), Purpose: "marketing",
				Action: abide.ConsentGiven, Terms: "digest", Sealed: []byte{byte(n)}}}
			e.commit(c)
			want = append(want, c.Consents...)
		}
		equal(e, get(e.s.ConsentEvents(e.ctx, id, 0, 100))(e), want)
		equal(e, get(e.s.ConsentEvents(e.ctx, id, 1, 2))(e), want[1:3])
		equal(e, len(get(e.s.ConsentEvents(e.ctx, e.id(), 0, 2))(e)), 0)
	}},
	{name: "candidates/are filtered by purpose and effect, paged by subject", data: func(e *env) {
		var given []storage.ConsentIndexRow
		for i := range 6 {
			c := e.subject(e.id())
			row := storage.ConsentIndexRow{Subject: c.Row.ID, Purpose: "marketing", Terms: "t1", Effect: "given"}
			if i%3 == 2 {
				row.Effect = "refused"
			} else {
				given = append(given, row)
			}
			c.ConsentIndex = []storage.ConsentIndexRow{row, {Purpose: "research", Terms: "t1", Effect: "given"}}
			e.commit(c)
		}
		equal(e, get(e.s.Candidates(e.ctx, "marketing", "given", abide.SubjectID{}, 100))(e), given)
		equal(e, get(e.s.Candidates(e.ctx, "marketing", "given", given[0].Subject, 2))(e), given[1:3])
		n := e.next(given[0].Subject)
		n.ConsentIndex = []storage.ConsentIndexRow{{Purpose: "marketing", Terms: "t2", Effect: "withdrawn"}}
		e.commit(n)
		equal(e, get(e.s.Candidates(e.ctx, "marketing", "given", abide.SubjectID{}, 100))(e), given[1:])
		equal(e, get(e.s.Candidates(e.ctx, "marketing", "withdrawn", abide.SubjectID{}, 100))(e),
			[]storage.ConsentIndexRow{{Subject: given[0].Subject, Purpose: "marketing", Terms: "t2", Effect: "withdrawn"}})
	}},
	{name: "subjects/are listed in order of id, page by page", data: func(e *env) {
		e.publish(0, "v1") // an entry of the store itself makes no subject
		ids := []abide.SubjectID{e.id(), e.id(), e.id(), e.id()}
		var rows []storage.SubjectRow
		for _, i := range []int{2, 0, 3, 1} {
			e.commit(e.subject(ids[i]))
		}
		for _, id := range ids {
			rows = append(rows, e.subject(id).Row)
		}
		equal(e, get(e.s.ListSubjects(e.ctx, abide.SubjectID{}, 100))(e), rows)
		equal(e, get(e.s.ListSubjects(e.ctx, ids[0], 2))(e), rows[1:3])
		equal(e, len(get(e.s.ListSubjects(e.ctx, ids[3], 2))(e)), 0)
	}},
	{name: "subjects/are counted by kind and status", data: func(e *env) {
		equal(e, get(e.s.Count(e.ctx))(e), map[string]int64{})
		for i := range 5 {
			c := e.subject(e.id())
			if i > 2 {
				c.Row.Kind = abide.Visitor
			}
			if i == 4 {
				c.Row.Status = abide.StatusErased
			}
			e.commit(c)
		}
		equal(e, get(e.s.Count(e.ctx))(e), map[string]int64{"person/active": 3, "visitor/active": 1, "visitor/erased": 1})
	}},
	{name: "store/is ready, scrubs, and closes once", data: func(e *env) {
		e.must(e.s.Ready(e.ctx))
		id := e.create(1)[0]
		e.must(e.s.Scrub(e.ctx))
		equal(e, e.load(id, storage.Want{}).Subject.ID, id)
		e.must(e.s.Close())
		e.must(e.s.Close())
		e.want(e.s.Commit(e.ctx, e.subject(e.id())), storage.ErrClosed)
		_, err := e.s.Load(e.ctx, id, storage.Want{})
		e.want(err, storage.ErrClosed)
		e.want(e.s.Ready(e.ctx), storage.ErrClosed)
		e.want(e.s.Claim(e.ctx, []storage.Lookup{{Category: "a", Subject: id}}, e.now), storage.ErrClosed)
	}},
}

var purgeCases = []testCase{
	{name: "purge/an active subject is refused, an unknown one not found", data: func(e *env) {
		c := e.full(e.id())
		e.commit(c)
		_, _, err := e.s.PurgeItems(e.ctx, c.Row.ID, []storage.Compartment{storage.Live}, 10)
		e.want(err, storage.ErrConflict)
		equal(e, e.items(c.Row.ID), c.PutItems)
		_, _, err = e.s.PurgeItems(e.ctx, e.id(), []storage.Compartment{storage.Live}, 10)
		e.want(err, storage.ErrNotFound)
	}},
	{name: "purge/takes items page by page with their look-ups", data: func(e *env) {
		id, other := e.erasing(5, storage.Live), e.erasing(1, storage.Live)
		var dropped []storage.Lookup
		for _, more := range []bool{true, true, false} {
			d, m, err := e.s.PurgeItems(e.ctx, id, []storage.Compartment{storage.Live}, 2)
			e.must(err)
			equal(e, m, more)
			dropped = append(dropped, d...)
		}
		equal(e, len(dropped), 5)
		for _, l := range dropped {
			equal(e, l.Subject, id)
			for _, f := range e.find(l.Category, l.Index) {
				equal(e, f.Subject, other) // who shares a value keeps its look-up
			}
		}
		equal(e, len(e.items(id)), 0)
		equal(e, len(e.items(other)), 1)
		d, m, err := e.s.PurgeItems(e.ctx, id, []storage.Compartment{storage.Live}, 2)
		e.must(err)
		equal(e, len(d) == 0 && !m, true)
	}},
	{name: "purge/what law keeps stays, with its evidence", data: func(e *env) {
		c := e.full(e.id())
		c.Row.Status = abide.StatusErased
		kept := e.item("invoice", 2, storage.Law)
		c.PutItems = append(c.PutItems, kept, e.item("note", 3, storage.Log))
		e.commit(c)
		id := c.Row.ID
		_, more, err := e.s.PurgeItems(e.ctx, id, []storage.Compartment{storage.Live, storage.Log}, 10)
		e.must(err)
		equal(e, more, false)
		l := e.load(id, storage.Want{AllItems: true, Idempotency: []byte("key"), Erasure: true})
		equal(e, l.Items, []storage.Item{kept})
		equal(e, l.Idempotency, nil)
		equal(e, l.Erasure, c.Erasure)
		equal(e, len(get(e.s.Candidates(e.ctx, "marketing", "given", abide.SubjectID{}, 10))(e)), 0)
		equal(e, get(e.s.ConsentEvents(e.ctx, id, 0, 10))(e), c.Consents)
		equal(e, get(e.s.Entries(e.ctx, id, 0, 10))(e), c.Entries)
		_, _, err = e.s.PurgeItems(e.ctx, id, []storage.Compartment{storage.Law}, 10)
		e.must(err)
		equal(e, len(e.items(id)), 0)
		equal(e, len(get(e.s.ConsentEvents(e.ctx, id, 0, 10))(e)), 0)
		equal(e, get(e.s.Entries(e.ctx, id, 0, 10))(e), c.Entries) // the log is append-only
	}},
}

// erasing makes a subject in erasure with n items that have look-ups.
func (e *env) erasing(n uint64, compartment storage.Compartment) abide.SubjectID {
	e.Helper()
	c := e.subject(e.id())
	c.Row.Status = abide.StatusErasing
	for i := range n {
		it := e.item("person.email", i+1, compartment)
		it.IndexKey, it.Index = "k1", []byte{byte(i)}
		c.PutItems = append(c.PutItems, it)
	}
	e.must(e.s.Claim(e.ctx, storage.LookupsOf(c.Row.ID, c.PutItems), e.now))
	e.commit(c)
	return c.Row.ID
}
