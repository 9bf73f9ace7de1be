package storagetest

import (
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
)

// due gives a new subject items that are due after so many minutes; 0: never.
func (e *env) due(minutes ...int) abide.SubjectID {
	e.Helper()
	c := e.create(1)[0]
	n := e.next(c)
	for i, m := range minutes {
		it := storage.Item{Category: abide.Category([]string{"person.name", "person.email"}[i%2]), ID: e.id(), Version: 1, Compartment: storage.Live, Sealed: []byte("sealed")}
		if m != 0 {
			it.Due = e.now.Add(time.Duration(m) * time.Minute)
			if n.Row.NextDue.IsZero() || it.Due.Before(n.Row.NextDue) {
				n.Row.NextDue = it.Due
			}
		}
		n.PutItems = append(n.PutItems, it)
	}
	e.commit(n)
	return n.Row.ID
}

func (e *env) minutes(n int) time.Time { return e.now.Add(time.Duration(n) * time.Minute) }

var dueCases = []testCase{
	{name: "due/subjects come by when they are due, each once, page by page", data: func(e *env) {
		late, soon, never, tie := e.due(9, 3), e.due(1, 7), e.due(0), e.due(3)
		equal(e, len(get(e.s.DueSubjects(e.ctx, e.minutes(1).Add(-time.Microsecond), storage.Due{}, 10))(e)), 0)
		all := []storage.Due{{At: e.minutes(1), Subject: soon}, {At: e.minutes(3), Subject: late}, {At: e.minutes(3), Subject: tie}}
		equal(e, get(e.s.DueSubjects(e.ctx, e.minutes(3), storage.Due{}, 10))(e), all)
		equal(e, get(e.s.DueSubjects(e.ctx, e.minutes(100), storage.Due{}, 10))(e), all)
		var paged []storage.Due
		for after := (storage.Due{}); ; {
			page := get(e.s.DueSubjects(e.ctx, e.minutes(3), after, 1))(e)
			if len(page) == 0 {
				break
			}
			paged = append(paged, page...)
			after = page[0]
		}
		equal(e, paged, all)
		_ = never
	}},
	{name: "due/a load brings what is due and when the next is", data: func(e *env) {
		id := e.due(9, 3, 0, 1)
		got := func(minutes int) (n int, next time.Time) {
			l := get(e.s.Load(e.ctx, id, storage.Want{DueBy: e.minutes(minutes)}))(e)
			for i := range l.Items {
				if l.Items[i].Due.After(e.minutes(minutes)) || l.Items[i].Due.IsZero() {
					e.Errorf("an item due at %v is loaded by %v", l.Items[i].Due, e.minutes(minutes))
				}
			}
			return len(l.Items), l.NextDue
		}
		for minutes, want := range map[int]struct{ n, next int }{0: {0, 1}, 1: {1, 3}, 3: {2, 9}, 8: {2, 9}, 9: {3, 0}} {
			n, next := got(minutes)
			equal(e, n, want.n)
			equal(e, next.IsZero(), want.next == 0)
			if want.next != 0 {
				equal(e, next, e.minutes(want.next))
			}
		}
	}},
	{name: "due/what is due is counted by category, with whose it is", data: func(e *env) {
		e.due(1, 2)
		e.due(1)
		e.due(0)
		for minutes, want := range map[int]struct {
			name, email, people int64
		}{0: {0, 0, 0}, 1: {2, 0, 2}, 2: {2, 1, 2}} {
			items, people, err := e.s.DueItems(e.ctx, e.minutes(minutes))
			e.must(err)
			equal(e, items["person.name"], want.name)
			equal(e, items["person.email"], want.email)
			equal(e, people, want.people)
		}
	}},
}
