package storagetest

import (
	"time"

	"github.com/abide-privacy/abide/internal/storage"
)

// answer commits a remembered answer that expires after so many minutes.
func (e *env) answer(c *storage.Change, key string, minutes int) {
	e.Helper()
	c.Idempotency = &storage.IdempotencyRow{Key: []byte(key), Digest: []byte("digest"), Sealed: []byte("sealed"),
		Expires: e.now.Add(time.Duration(minutes) * time.Minute)}
	e.commit(c)
}

var expiryCases = []testCase{
	{name: "expiry/answers are forgotten when their time is over, the oldest first", data: func(e *env) {
		all := e.create(2)
		a, b := all[0], all[1]
		e.answer(e.next(a), "later", 3)
		e.answer(e.next(a), "soon", 1)
		e.answer(e.next(b), "soon", 2)
		remembers := func(want ...bool) {
			e.Helper()
			var got []bool
			for _, w := range []struct{ of, key int }{{0, 1}, {1, 1}, {0, 3}} {
				key := map[int]string{1: "soon", 3: "later"}[w.key]
				got = append(got, e.load(all[w.of], storage.Want{Idempotency: []byte(key)}).Idempotency != nil)
			}
			equal(e, got, want)
		}
		equal(e, get(e.s.ForgetAnswers(e.ctx, e.now.Add(time.Minute-time.Microsecond), 10))(e), 0)
		remembers(true, true, true)
		equal(e, get(e.s.ForgetAnswers(e.ctx, e.now.Add(2*time.Minute), 1))(e), 1)
		remembers(false, true, true)
		equal(e, get(e.s.ForgetAnswers(e.ctx, e.now.Add(2*time.Minute), 10))(e), 1)
		remembers(false, false, true)
		e.answer(e.next(a), "later", 5) // remembered anew
		equal(e, get(e.s.ForgetAnswers(e.ctx, e.now.Add(4*time.Minute), 10))(e), 0)
		remembers(false, false, true)
	}},
	{name: "expiry/claims never confirmed come back when their time is over, the oldest first", data: func(e *env) {
		a, b := e.id(), e.id()
		one, two := claimOf(a, "x", true, e.now.Add(2*time.Minute)), claimOf(b, "y", false, e.now.Add(time.Minute))
		e.must(e.claim(one, two, claimOf(a, "z", true, e.now.Add(time.Hour)), claimOf(b, "w", true, time.Time{})))
		equal(e, len(get(e.s.Expired(e.ctx, e.now.Add(time.Minute-time.Microsecond), 10))(e)), 0)
		equal(e, get(e.s.Expired(e.ctx, e.now.Add(2*time.Minute), 10))(e), []storage.Lookup{two, one})
		equal(e, get(e.s.Expired(e.ctx, e.now.Add(2*time.Minute), 1))(e), []storage.Lookup{two})
		e.must(e.s.Confirm(e.ctx, []storage.Lookup{two}))
		equal(e, get(e.s.Expired(e.ctx, e.now.Add(2*time.Minute), 10))(e), []storage.Lookup{one})
	}},
	{name: "expiry/a claim that was confirmed or made anew is not dropped as expired", data: func(e *env) {
		a, b := e.id(), e.id()
		soon := e.now.Add(time.Minute)
		confirmed, anew, shared, gone := claimOf(a, "x", true, soon), claimOf(a, "y", true, soon), claimOf(a, "f", false, soon), claimOf(b, "z", true, soon)
		e.must(e.claim(confirmed, anew, shared, gone, claimOf(b, "f", false, soon)))
		e.must(e.s.Confirm(e.ctx, []storage.Lookup{confirmed}))
		e.must(e.claim(claimOf(a, "y", true, soon.Add(time.Second))))
		for range 2 { // absent rows are no error
			e.must(e.s.Release(e.ctx, []storage.Lookup{confirmed, anew, shared, gone}))
		}
		equal(e, e.found("x"), ids{a})
		equal(e, e.found("y"), ids{a})
		equal(e, e.found("f"), ids{b})
		equal(e, len(e.found("z")), 0)
		e.must(e.s.Release(e.ctx, nil))
	}},
}
