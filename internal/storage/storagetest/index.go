package storagetest

import (
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/abide-privacy/abide/internal/storage"
)

// indexed makes a subject with an item of each value, under one index key.
func (e *env) indexed(key string, keys storage.IndexKeys, values ...string) *storage.Change {
	e.Helper()
	c := e.subject(e.id())
	c.Index = keys
	for i, v := range values {
		it := e.item("person.email", uint64(i+1), storage.Live)
		it.IndexKey, it.Index = key, []byte(v)
		c.PutItems = append(c.PutItems, it)
	}
	e.commit(c)
	return c
}

func (e *env) unindexed(after storage.IndexedItem, limit int, keep ...string) []storage.IndexedItem {
	e.Helper()
	return get(e.s.Unindexed(e.ctx, keep, after, limit))(e)
}

var indexCases = []testCase{
	{name: "index/keys are put in force by whoever knows those that are", data: func(e *env) {
		equal(e, get(e.s.Index(e.ctx))(e), storage.IndexKeys(""))
		e.want(e.s.SetIndex(e.ctx, "a", "b a"), storage.ErrConflict)
		e.must(e.s.SetIndex(e.ctx, "", "a"))
		e.must(e.s.SetIndex(e.ctx, "", "a")) // done already: an outcome was unknown
		e.want(e.s.SetIndex(e.ctx, "", "b"), storage.ErrConflict)
		e.must(e.s.SetIndex(e.ctx, "a", "b a"))
		equal(e, get(e.s.Index(e.ctx))(e), storage.IndexKeys("b a"))
	}},
	{name: "index/the keys in force come with every load, find and epoch", data: func(e *env) {
		e.must(e.s.SetIndex(e.ctx, "", "a"))
		id := e.create(1)[0]
		ep, err := e.s.Epoch(e.ctx)
		e.want(err, storage.ErrNotFound) // no policy
		equal(e, ep, storage.Epoch{Index: "a"})
		equal(e, e.load(id, storage.Want{}).Epoch, storage.Epoch{Index: "a"})
		e.publish(0, "v1")
		e.must(e.s.SetIndex(e.ctx, "a", "b a"))
		want := storage.Epoch{N: 1, Version: "v1", Since: e.now, Index: "b a"}
		equal(e, get(e.s.Epoch(e.ctx))(e), want)
		equal(e, e.load(id, storage.Want{}).Epoch, want)
		l, err := e.s.Load(e.ctx, e.id(), storage.Want{})
		e.want(err, storage.ErrNotFound)
		equal(e, l.Epoch, want)
		_, now, err := e.s.Find(e.ctx, "person.email", []storage.IndexValue{{Key: "b", Value: []byte("x")}}, 10)
		e.must(err)
		equal(e, now, "b a")
		e.publish(1, "v2")
		equal(e, get(e.s.Index(e.ctx))(e), storage.IndexKeys("b a"))
	}},
	{name: "index/a change that writes values made under other keys conflicts", data: func(e *env) {
		e.must(e.s.SetIndex(e.ctx, "", "a"))
		c := e.indexed("a", "a", "x")
		e.must(e.s.SetIndex(e.ctx, "a", "b a"))
		n := e.next(c.Row.ID)
		n.Index, n.PutItems = "a", c.PutItems
		e.want(e.s.Commit(e.ctx, n), storage.ErrConflict)
		equal(e, e.load(c.Row.ID, storage.Want{}).Subject.Version, 1)
		n.PutItems[0].IndexKey, n.PutItems[0].Index = "", nil
		e.commit(n) // it writes none
		n = e.next(c.Row.ID)
		n.Index, n.PutItems = "b a", []storage.Item{{Category: "person.email", ID: idOf(7), Version: 1, Compartment: storage.Live, IndexKey: "b", Index: []byte("y")}}
		e.commit(n)
	}},
	{name: "index/what is under other keys is listed in order, page by page", data: func(e *env) {
		a, b := e.indexed("a", "", "x", "y"), e.indexed("b", "", "z")
		c := e.indexed("a", "", "w")
		e.create(1)
		var want, got []storage.IndexedItem
		for _, of := range []*storage.Change{a, c} {
			for _, it := range of.PutItems {
				want = append(want, storage.IndexedItem{Subject: of.Row.ID, Item: it})
			}
		}
		for last := (storage.IndexedItem{}); ; {
			page := e.unindexed(last, 2, "b", "other")
			got = append(got, page...)
			if len(page) < 2 {
				break
			}
			last = page[1]
		}
		equal(e, got, want)
		equal(e, e.unindexed(storage.IndexedItem{}, 10, "a"), []storage.IndexedItem{{Subject: b.Row.ID, Item: b.PutItems[0]}})
		equal(e, get(e.s.IndexedBy(e.ctx))(e), map[string]int64{"a": 3, "b": 1})
	}},
	{name: "index/a value is replaced only where the old one stands", data: func(e *env) {
		c := e.indexed("a", "", "v", "w", "x", "y", "z")
		items := slices.Clone(c.PutItems)
		re := make([]storage.Reindexed, len(items))
		for i, it := range items {
			n := it
			n.IndexKey, n.Index = "b", append([]byte("new "), it.Index...)
			re[i] = storage.Reindexed{Subject: c.Row.ID, Old: it, New: n}
		}
		re[1].Old.Version = 2
		re[2].Old.Index = []byte("another")
		re[3].Subject = e.id()
		re[4].New.IndexKey, re[4].New.Index = "", nil
		for range 2 { // again: an outcome was unknown
			equal(e, get(e.s.Reindex(e.ctx, re))(e), []bool{true, false, false, false, true})
		}
		items[0].IndexKey, items[0].Index = "b", []byte("new v")
		items[4].IndexKey, items[4].Index = "", nil
		l := e.load(c.Row.ID, storage.Want{AllItems: true})
		equal(e, l.Items, items)
		equal(e, l.Subject, c.Row)
		equal(e, len(get(e.s.Reindex(e.ctx, nil))(e)), 0)
	}},
	{name: "index/look-ups are listed by value, whoever holds them", data: func(e *env) {
		a, b := e.id(), e.id()
		all := []storage.Lookup{claimOf(a, "u", true, time.Time{}), claimOf(a, "x", false, e.now.Add(time.Minute)), claimOf(b, "x", false, time.Time{}), claimOf(b, "y", true, time.Time{})}
		e.must(e.claim(all...))
		var got []storage.Lookup
		for last := (storage.Lookup{}); ; {
			page := get(e.s.ListLookups(e.ctx, last, 3))(e)
			got = append(got, page...)
			if len(page) < 3 {
				break
			}
			last = page[2]
		}
		equal(e, got, all)
	}},
	{name: "index/a claim on a value that is borne leaves the subject's own as it is", data: func(e *env) {
		a, soon, later := e.id(), e.now.Add(time.Minute), e.now.Add(time.Hour)
		borne := func(value string, unique bool) storage.Lookup {
			l := claimOf(a, value, unique, later)
			l.Borne = true
			return l
		}
		e.must(e.claim(claimOf(a, "x", true, soon), claimOf(a, "y", false, soon), claimOf(a, "z", true, time.Time{}), claimOf(e.id(), "w", true, later)))
		e.must(e.claim(borne("x", true), borne("y", false), borne("z", true), borne("new", true)))
		e.want(e.claim(borne("w", true)), storage.ErrTaken)
		expires := func() (out []time.Time) {
			for _, v := range []string{"x", "y", "z", "new"} {
				out = append(out, e.find("person.email", storage.IndexValue{Key: "k1", Value: []byte(v)})[0].Expires)
			}
			return out
		}
		equal(e, expires(), []time.Time{soon, soon, {}, later})
		e.now = soon
		e.must(e.claim(borne("x", true), borne("y", false)))
		equal(e, expires(), []time.Time{later, later, {}, later})
	}},
	{name: "index/releasing removes what nobody confirmed or claimed again", data: func(e *env) {
		a := e.id()
		soon, later := e.now.Add(time.Minute), e.now.Add(time.Hour)
		mine := []storage.Lookup{claimOf(a, "left", true, soon), claimOf(a, "confirmed", true, soon), claimOf(a, "again", true, soon), claimOf(a, "shared", false, soon)}
		e.must(e.claim(mine...))
		e.must(e.s.Confirm(e.ctx, mine[1:2]))
		e.must(e.claim(claimOf(a, "again", true, later)))
		e.must(e.s.Release(e.ctx, append(mine, claimOf(e.id(), "left", true, soon), claimOf(a, "absent", true, soon))))
		equal(e, len(e.found("left"))+len(e.found("shared")), 0)
		equal(e, append(e.found("confirmed"), e.found("again")...), ids{a, a})
		e.must(e.s.Release(e.ctx, nil))
	}},
	{name: "index/when other keys are in force no change under the old ones is on its way", data: func(e *env) {
		e.must(e.s.SetIndex(e.ctx, "", "a"))
		subjects := make(ids, 400)
		for i := range subjects {
			subjects[i] = e.id()
		}
		var made, refused, next atomic.Int64
		var then map[string]int64
		some := make(chan struct{})
		together(9, func(i int) {
			if i == 0 {
				<-some // are there, and others on their way
				if err := e.s.SetIndex(e.ctx, "a", "b a"); err != nil {
					e.Errorf("set: %v", err)
				}
				var err error
				if then, err = e.s.IndexedBy(e.ctx); err != nil {
					e.Errorf("count: %v", err)
				}
				return
			}
			for {
				k := next.Add(1) - 1
				if k >= int64(len(subjects)) {
					return
				}
				c := e.subject(subjects[k])
				it := e.item("person.email", 1, storage.Live)
				it.IndexKey, it.Index = "a", []byte("x")
				c.Index, c.PutItems = "a", []storage.Item{it}
				switch err := e.s.Commit(e.ctx, c); {
				case err == nil:
					if made.Add(1) == 20 {
						close(some)
					}
				case errors.Is(err, storage.ErrConflict):
					refused.Add(1)
				default:
					e.Errorf("commit: %v", err)
				}
			}
		})
		equal(e, get(e.s.IndexedBy(e.ctx))(e), map[string]int64{"a": made.Load()})
		equal(e, then["a"], made.Load())
		equal(e, made.Load()+refused.Load(), int64(len(subjects)))
	}},
}
