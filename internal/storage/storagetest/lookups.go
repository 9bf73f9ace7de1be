package storagetest

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
)

// claimOf is a claim of a subject on an e-mail address.
func claimOf(id abide.SubjectID, value string, unique bool, expires time.Time) storage.Lookup {
	return storage.Lookup{Category: "person.email", Index: storage.IndexValue{Key: "k1", Value: []byte(value)},
		Unique: unique, Subject: id, Expires: expires}
}

func (e *env) claim(claims ...storage.Lookup) error { return e.s.Claim(e.ctx, claims, e.now) }

// found returns the subjects that claim the e-mail addresses.
func (e *env) found(values ...string) []abide.SubjectID {
	e.Helper()
	var index []storage.IndexValue
	for _, v := range values {
		index = append(index, storage.IndexValue{Key: "k1", Value: []byte(v)})
	}
	ids := []abide.SubjectID{}
	for _, l := range e.find("person.email", index...) {
		ids = append(ids, l.Subject)
	}
	return ids
}

func (e *env) find(c abide.Category, values ...storage.IndexValue) []storage.Lookup {
	e.Helper()
	found, _, err := e.s.Find(e.ctx, c, values, 10)
	e.must(err)
	return found
}

type ids = []abide.SubjectID

var lookupCases = []testCase{
	{name: "lookups/a claim comes back as it was made", data: func(e *env) {
		a, soon := e.id(), e.now.Add(time.Minute)
		for _, l := range []storage.Lookup{claimOf(a, "x", true, soon), claimOf(a, "y", false, time.Time{})} {
			e.must(e.claim(l))
			equal(e, e.find(l.Category, l.Index), []storage.Lookup{l})
		}
	}},
	{name: "lookups/category, key and value together name a look-up", data: func(e *env) {
		l := claimOf(e.id(), "x", true, time.Time{})
		e.must(e.claim(l))
		for _, other := range []storage.Lookup{
			{Category: "person.phone", Index: l.Index},
			{Category: l.Category, Index: storage.IndexValue{Key: "k2", Value: l.Index.Value}},
			{Category: l.Category, Index: storage.IndexValue{Key: "k1", Value: []byte("y")}},
		} {
			equal(e, len(e.find(other.Category, other.Index)), 0)
			other.Subject, other.Unique = e.id(), true
			e.must(e.claim(other))
		}
		equal(e, e.found("x"), ids{l.Subject})
		equal(e, len(e.find(l.Category)), 0)
	}},
	{name: "lookups/a unique value is taken until its claim expires", data: func(e *env) {
		a, b := e.id(), e.id()
		e.must(e.claim(claimOf(a, "x", true, e.now.Add(time.Minute))))
		e.want(e.claim(claimOf(b, "x", true, e.now.Add(time.Hour))), storage.ErrTaken)
		equal(e, e.found("x"), ids{a})
		e.now = e.now.Add(time.Minute)
		e.must(e.claim(claimOf(b, "x", true, e.now.Add(time.Hour))))
		equal(e, e.found("x"), ids{b})
		e.want(e.claim(claimOf(a, "x", true, e.now.Add(time.Hour))), storage.ErrTaken)
	}},
	{name: "lookups/a confirmed claim does not expire, even if claimed again", data: func(e *env) {
		a, b := e.id(), e.id()
		l := claimOf(a, "x", true, e.now.Add(time.Minute))
		e.must(e.claim(l))
		e.must(e.s.Confirm(e.ctx, []storage.Lookup{l}))
		e.must(e.claim(l))
		e.now = e.now.Add(time.Hour)
		e.want(e.claim(claimOf(b, "x", true, time.Time{})), storage.ErrTaken)
		equal(e, e.found("x"), ids{a})
	}},
	{name: "lookups/claiming again puts off the expiry", data: func(e *env) {
		a := e.id()
		e.must(e.claim(claimOf(a, "x", true, e.now.Add(time.Minute))))
		e.must(e.claim(claimOf(a, "x", true, e.now.Add(time.Hour))))
		e.now = e.now.Add(2 * time.Minute)
		e.want(e.claim(claimOf(e.id(), "x", true, time.Time{})), storage.ErrTaken)
	}},
	{name: "lookups/a claim that another took over cannot be confirmed", data: func(e *env) {
		a, b := e.id(), e.id()
		old := claimOf(a, "x", true, e.now.Add(time.Minute))
		e.must(e.claim(old))
		e.now = e.now.Add(time.Hour)
		e.must(e.claim(claimOf(b, "x", true, e.now.Add(time.Minute))))
		e.must(e.s.Confirm(e.ctx, []storage.Lookup{old}))
		e.now = e.now.Add(time.Hour)
		e.must(e.claim(claimOf(a, "x", true, e.now.Add(time.Minute)))) // b's has expired
		equal(e, e.found("x"), ids{a})
	}},
	{name: "lookups/many may share a value that is not unique", data: func(e *env) {
		var want ids
		for range 3 { // newest claim first
			id := e.id()
			e.must(e.claim(claimOf(id, "family", false, e.now.Add(time.Minute))))
			want = append(ids{id}, want...)
			e.now = e.now.Add(time.Second)
		}
		equal(e, e.found("family"), want)
		e.must(e.claim(claimOf(want[2], "family", false, e.now.Add(time.Minute))))
		equal(e, e.found("family"), ids{want[2], want[0], want[1]})
		l, _, err := e.s.Find(e.ctx, "person.email", []storage.IndexValue{{Key: "k1", Value: []byte("family")}}, 2)
		e.must(err)
		equal(e, len(l), 2)
	}},
	{name: "lookups/a value that many hold cannot become one's own", data: func(e *env) {
		a := e.id()
		e.must(e.claim(claimOf(a, "x", false, time.Time{})))
		e.want(e.claim(claimOf(e.id(), "x", true, time.Time{})), storage.ErrTaken)
		e.must(e.claim(claimOf(a, "x", true, time.Time{})))
		equal(e, e.found("x"), ids{a})
	}},
	{name: "lookups/one that is taken does not undo the others", data: func(e *env) {
		a, b := e.id(), e.id()
		e.must(e.claim(claimOf(a, "x", true, time.Time{})))
		e.want(e.claim(claimOf(b, "w", true, time.Time{}), claimOf(b, "x", true, time.Time{})), storage.ErrTaken)
		equal(e, e.found("w"), ids{b})
		equal(e, e.found("x"), ids{a})
	}},
	{name: "lookups/of a page of claims only those that are taken are refused", data: func(e *env) {
		a, b := e.id(), e.id()
		e.must(e.claim(claimOf(a, "v10", true, time.Time{}), claimOf(a, "v20", false, time.Time{}), claimOf(a, "v21", false, time.Time{}), claimOf(a, "v30", false, time.Time{})))
		var page []storage.Lookup
		for i := 39; i >= 0; i-- { // v30 may be shared
			page = append(page, claimOf(b, fmt.Sprintf("v%02d", i), i != 30, e.now.Add(time.Minute)))
		}
		page = append(page, page[5]) // twice in one call is once
		e.want(e.claim(page...), storage.ErrTaken)
		for i := range 40 {
			want := ids{b}
			switch i {
			case 10, 20, 21:
				want = ids{a}
			case 30:
				want = ids{a, b}
			}
			equal(e, slices.SortedFunc(slices.Values(e.found(fmt.Sprintf("v%02d", i))), func(a, b abide.SubjectID) int { return bytes.Compare(a[:], b[:]) }), want)
		}
		e.must(e.s.Confirm(e.ctx, page))
		equal(e, len(get(e.s.Expired(e.ctx, e.now.Add(time.Hour), 100))(e)), 0)
		e.must(e.s.Drop(e.ctx, page))
		for i := range 40 {
			equal(e, len(e.found(fmt.Sprintf("v%02d", i))), map[int]int{10: 1, 20: 1, 21: 1, 30: 1}[i])
		}
	}},
	{name: "lookups/find takes several values and names a subject once", data: func(e *env) {
		a, b := e.id(), e.id()
		e.must(e.claim(claimOf(a, "x", false, time.Time{}), claimOf(a, "y", false, time.Time{})))
		e.now = e.now.Add(time.Second)
		e.must(e.claim(claimOf(b, "y", false, time.Time{})))
		equal(e, e.found("x", "y", "z"), ids{b, a})
	}},
	{name: "lookups/drop removes a subject's own claim only", data: func(e *env) {
		a, b := e.id(), e.id()
		shared := claimOf(a, "x", false, time.Time{})
		e.must(e.claim(shared, claimOf(b, "x", false, time.Time{}), claimOf(a, "u", true, time.Time{})))
		e.must(e.s.Drop(e.ctx, []storage.Lookup{shared, claimOf(a, "absent", true, time.Time{}), claimOf(b, "u", true, time.Time{})}))
		equal(e, e.found("x"), ids{b})
		equal(e, e.found("u"), ids{a})
		e.must(e.s.Drop(e.ctx, []storage.Lookup{claimOf(a, "u", true, time.Time{})}))
		e.must(e.claim(claimOf(b, "u", true, time.Time{})))
	}},
	{name: "lookups/nothing to do is no error", data: func(e *env) {
		e.must(e.claim())
		e.must(e.s.Confirm(e.ctx, nil))
		e.must(e.s.Drop(e.ctx, nil))
		e.must(e.s.Confirm(e.ctx, []storage.Lookup{claimOf(e.id(), "absent", true, time.Time{})}))
	}},
	{name: "lookups/a change confirms its claims and drops what is stale", data: func(e *env) {
		id, other := e.create(1)[0], e.id()
		old := claimOf(id, "old", true, time.Time{})
		e.must(e.claim(old))
		c := e.next(id)
		c.Claims, c.Claimed = []storage.Lookup{claimOf(id, "x", true, e.now.Add(time.Minute)), claimOf(id, "y", false, e.now.Add(time.Minute))}, e.now
		c.Stale = []storage.Lookup{old, claimOf(id, "absent", true, time.Time{})}
		e.commit(c)
		equal(e, e.found("x"), ids{id})
		equal(e, e.found("y"), ids{id})
		equal(e, e.found("old"), ids{})
		e.now = e.now.Add(time.Hour)
		e.want(e.claim(claimOf(other, "x", true, time.Time{})), storage.ErrTaken)
		l, _, err := e.s.Find(e.ctx, "person.email", []storage.IndexValue{c.Claims[1].Index}, 1)
		e.must(err)
		equal(e, l[0].Expires, time.Time{})

		again := e.next(id) // its own, once more
		again.Claims, again.Claimed = c.Claims, e.now
		e.commit(again)
		equal(e, e.found("x"), ids{id})
	}},
	{name: "lookups/a change whose value another claims is refused, however old the claim", data: func(e *env) {
		id, other := e.create(1)[0], e.id()
		e.must(e.claim(claimOf(other, "confirmed", true, time.Time{}), claimOf(other, "shared", false, time.Time{}),
			claimOf(other, "expired", true, e.now.Add(-time.Minute))))
		e.must(e.claim(claimOf(id, "kept", true, time.Time{})))
		for _, value := range []string{"confirmed", "shared", "expired"} {
			c := e.full(id)
			c.Expect, c.Row.Version = 1, 2
			c.Claims, c.Claimed = []storage.Lookup{claimOf(id, value, true, e.now.Add(time.Minute))}, e.now
			c.Stale = []storage.Lookup{claimOf(id, "kept", true, time.Time{})}
			e.want(e.s.Commit(e.ctx, c), storage.ErrTaken)
			e.untouched(id)
			equal(e, e.found(value), ids{other})
			equal(e, e.found("kept"), ids{id})
		}
		e.must(e.claim(claimOf(id, "expired", true, e.now.Add(time.Minute)))) // which takes it over
		c := e.next(id)
		c.Claims, c.Claimed = []storage.Lookup{claimOf(id, "expired", true, e.now.Add(time.Minute))}, e.now
		e.commit(c)
		equal(e, e.found("expired"), ids{id})
	}},
	{name: "lookups/many may claim a value in their changes", data: func(e *env) {
		for range 2 {
			c := e.next(e.create(1)[0])
			c.Claims, c.Claimed = []storage.Lookup{claimOf(c.Row.ID, "family", false, e.now.Add(time.Minute))}, e.now
			e.commit(c)
		}
		equal(e, len(e.found("family")), 2)
	}},
	{name: "lookups/a change that conflicts settles none of its look-ups", data: func(e *env) {
		id, other := e.create(1)[0], e.id()
		e.must(e.claim(claimOf(id, "kept", true, time.Time{})))
		c := e.next(id)
		c.Expect, c.Row.Version = 5, 6
		c.Claims, c.Claimed = []storage.Lookup{claimOf(id, "x", true, e.now.Add(time.Minute))}, e.now
		c.Stale = []storage.Lookup{claimOf(id, "kept", true, time.Time{})}
		e.want(e.s.Commit(e.ctx, c), storage.ErrConflict)
		equal(e, e.found("kept"), ids{id})
		e.now = e.now.Add(time.Hour)
		e.must(e.claim(claimOf(other, "x", true, time.Time{})))
	}},
}
