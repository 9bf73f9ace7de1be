package storagetest

import (
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
)

// together runs fn n times at once and returns when all have ended.
func together(n int, fn func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { fn(i) })
	}
	wg.Wait()
}

var concurrencyCases = []testCase{
	{name: "together/no acknowledged change to a subject is lost", data: func(e *env) {
		const clients, each = 8, 10
		id := e.create(1)[0]
		together(clients, func(int) {
			for done := 0; done < each; {
				l, err := e.s.Load(e.ctx, id, storage.Want{})
				if err != nil {
					e.Errorf("load: %v", err)
					return
				}
				c := &storage.Change{Expect: l.Subject.Version, Row: l.Subject}
				c.Row.Version++
				c.Row.EntryN++
				c.Entries = []storage.Entry{e.entry(id, c.Row.EntryN)}
				switch err := e.s.Commit(e.ctx, c); {
				case err == nil:
					done++
				case !errors.Is(err, storage.ErrConflict):
					e.Errorf("commit: %v", err)
					return
				}
			}
		})
		equal(e, e.load(id, storage.Want{}).Subject.Version, clients*each+1)
		equal(e, len(get(e.s.Entries(e.ctx, id, 0, 1000))(e)), clients*each)
	}},
	{name: "together/of many that make one subject one succeeds", data: func(e *env) {
		id := e.id()
		var made, refused atomic.Int64
		together(16, func(int) {
			switch err := e.s.Commit(e.ctx, e.full(id)); {
			case err == nil:
				made.Add(1)
			case errors.Is(err, storage.ErrConflict):
				refused.Add(1)
			default:
				e.Errorf("commit: %v", err)
			}
		})
		equal(e, made.Load(), 1)
		equal(e, refused.Load(), 15)
	}},
	{name: "together/one bad change does not take the others", data: func(e *env) {
		id := e.create(1)[0]
		c := e.next(id)
		c.Entries = []storage.Entry{e.entry(id, 1)}
		e.commit(c)
		subjects := make(ids, 32)
		for i := range subjects {
			subjects[i] = e.id()
		}
		together(len(subjects), func(i int) {
			c := e.full(subjects[i])
			if i%4 == 0 {
				c.Entries[1] = c.Entries[0]
			}
			if err := e.s.Commit(e.ctx, c); (err != nil) != (i%4 == 0) || sentinel(err) {
				e.Errorf("client %d: %v", i, err)
			}
		})
		for i, id := range subjects {
			_, err := e.s.Load(e.ctx, id, storage.Want{})
			if i%4 == 0 {
				e.want(err, storage.ErrNotFound)
				continue
			}
			e.must(err)
			equal(e, len(get(e.s.Entries(e.ctx, id, 0, 10))(e)), 2)
		}
	}},
	{name: "together/a load never mixes two states of a subject", data: func(e *env) {
		id := e.create(1)[0]
		stop := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			defer close(stop)
			for v := uint64(1); v <= 60; v++ {
				c := e.subject(id)
				c.Expect, c.Row.Version = v, v+1
				c.PutItems = []storage.Item{e.item("a", 1, storage.Live), e.item("b", 1, storage.Live)}
				for i := range c.PutItems {
					c.PutItems[i].Sealed = binary.BigEndian.AppendUint64(nil, v+1)
				}
				if err := e.s.Commit(e.ctx, c); err != nil {
					e.Errorf("commit: %v", err)
					return
				}
			}
		})
		for range 4 {
			wg.Go(func() {
				for running := true; running; {
					select {
					case <-stop:
						running = false
					default:
					}
					l, err := e.s.Load(e.ctx, id, storage.Want{AllItems: true})
					if err != nil {
						e.Errorf("load: %v", err)
						return
					}
					for _, it := range l.Items {
						if v := binary.BigEndian.Uint64(it.Sealed); v != l.Subject.Version {
							e.Errorf("item of version %d in a subject of version %d", v, l.Subject.Version)
						}
					}
				}
			})
		}
		wg.Wait()
	}},
	{name: "together/of many that claim one unique value one gets it", data: func(e *env) {
		subjects := make(ids, 16)
		for i := range subjects {
			subjects[i] = e.id()
		}
		var got atomic.Int64
		together(len(subjects), func(i int) {
			switch err := e.claim(claimOf(subjects[i], "x", true, time.Time{})); {
			case err == nil:
				got.Add(1)
			case !errors.Is(err, storage.ErrTaken):
				e.Errorf("claim: %v", err)
			}
		})
		equal(e, got.Load(), 1)
		equal(e, len(e.found("x")), 1)
	}},
	{name: "together/of many that publish one succeeds", data: func(e *env) {
		var won atomic.Int64
		together(8, func(int) {
			switch err := e.s.Publish(e.ctx, e.policy(1, "v1"), nil, 0, e.entry(abide.SubjectID{}, 1)); {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, storage.ErrConflict):
				e.Errorf("publish: %v", err)
			}
		})
		equal(e, won.Load(), 1)
	}},
	{name: "together/counters lose nothing", data: func(e *env) {
		together(8, func(i int) {
			for range 10 {
				one := []storage.Counter{{Name: "a", Value: "x", Period: "p", N: 1}, {Name: "b", Value: "x", Period: "p", N: 1}}
				if i%2 == 0 {
					one[0], one[1] = one[1], one[0]
				}
				if err := e.s.AddCounters(e.ctx, one); err != nil {
					e.Errorf("count: %v", err)
				}
			}
		})
		equal(e, get(e.s.Counters(e.ctx, "a"))(e), []storage.Counter{{Name: "a", Value: "x", Period: "p", N: 80}})
		equal(e, get(e.s.Counters(e.ctx, "b"))(e), []storage.Counter{{Name: "b", Value: "x", Period: "p", N: 80}})
	}},
	{name: "together/of many that put the first constant all see the same", data: func(e *env) {
		got := make([]string, 8)
		together(len(got), func(i int) {
			v, err := e.s.PutMeta(e.ctx, "store", []byte{byte(i)})
			if err != nil {
				e.Errorf("meta: %v", err)
			}
			got[i] = string(v)
		})
		for _, v := range got {
			equal(e, v, got[0])
		}
	}},
}
