package storagetest

import (
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
)

var referenceCases = []testCase{
	{name: "policy/none is in force at first", data: func(e *env) {
		_, err := e.s.Epoch(e.ctx)
		e.want(err, storage.ErrNotFound)
		_, err = e.s.Policy(e.ctx, "v1")
		e.want(err, storage.ErrNotFound)
		equal(e, len(get(e.s.Policies(e.ctx))(e)), 0)
		equal(e, len(get(e.s.AllTerms(e.ctx))(e)), 0)
	}},
	{name: "policy/publishing puts it in force with its terms and its entry", data: func(e *env) {
		terms := []storage.TermsRow{{Digest: "d2", Purpose: "research", Canonical: []byte("b")}, {Digest: "d1", Purpose: "marketing", Canonical: []byte("a")}}
		entry := e.entry(abide.SubjectID{}, 1)
		e.must(e.s.Publish(e.ctx, e.policy(1, "v1"), terms, 0, entry))
		equal(e, get(e.s.Epoch(e.ctx))(e), storage.Epoch{N: 1, Version: "v1", Since: e.now})
		equal(e, get(e.s.Policy(e.ctx, "v1"))(e), e.policy(1, "v1"))
		equal(e, get(e.s.AllTerms(e.ctx))(e), []storage.TermsRow{terms[1], terms[0]})
		equal(e, get(e.s.Entries(e.ctx, abide.SubjectID{}, 0, 10))(e), []storage.Entry{entry})
		equal(e, len(get(e.s.Pending(e.ctx, storage.EntryKey{}, 10))(e)), 1)
	}},
	{name: "policy/another epoch is a conflict and publishes nothing", data: func(e *env) {
		e.publish(0, "v1")
		terms := []storage.TermsRow{{Digest: "d", Purpose: "p"}}
		e.want(e.s.Publish(e.ctx, e.policy(1, "v2"), terms, 0, e.entry(abide.SubjectID{}, 2)), storage.ErrConflict)
		e.want(e.s.Publish(e.ctx, e.policy(3, "v2"), terms, 2, e.entry(abide.SubjectID{}, 2)), storage.ErrConflict)
		e.want(e.s.Publish(e.ctx, e.policy(2, "v2"), terms, 1, e.entry(abide.SubjectID{}, 1)), storage.ErrConflict) // entry 1 exists
		equal(e, get(e.s.Epoch(e.ctx))(e).N, 1)
		equal(e, len(get(e.s.Policies(e.ctx))(e)), 1)
		equal(e, len(get(e.s.AllTerms(e.ctx))(e)), 0)
		equal(e, len(get(e.s.Entries(e.ctx, abide.SubjectID{}, 0, 10))(e)), 1)
		e.publish(1, "v2")
	}},
	{name: "policy/a malformed publication is refused", data: func(e *env) {
		for name, err := range map[string]error{
			"number":  e.s.Publish(e.ctx, e.policy(2, "v1"), nil, 0, e.entry(abide.SubjectID{}, 1)),
			"version": e.s.Publish(e.ctx, e.policy(1, ""), nil, 0, e.entry(abide.SubjectID{}, 1)),
			"subject": e.s.Publish(e.ctx, e.policy(1, "v1"), nil, 0, e.entry(e.id(), 1)),
		} {
			if err == nil || sentinel(err) {
				e.Errorf("%s: error is %v; want one that nobody retries", name, err)
			}
		}
		equal(e, len(get(e.s.Policies(e.ctx))(e)), 0)
	}},
	{name: "policy/an older version may be published again", data: func(e *env) {
		var want []storage.PolicyRow
		for n, v := range []string{"v1", "v2", "v1"} {
			e.now = e.now.Add(time.Hour)
			e.publish(uint64(n), v)
			p := *e.policy(uint64(n)+1, v)
			p.Source = nil
			want = append(want, p)
		}
		equal(e, get(e.s.Policies(e.ctx))(e), want)
		equal(e, get(e.s.Policy(e.ctx, "v1"))(e).N, 3)
		equal(e, get(e.s.Epoch(e.ctx))(e), storage.Epoch{N: 3, Version: "v1", Since: e.now})
	}},
	{name: "terms/are kept as they were first published", data: func(e *env) {
		old := storage.TermsRow{Digest: "d", Purpose: "marketing", Canonical: []byte("first")}
		e.must(e.s.Publish(e.ctx, e.policy(1, "v1"), []storage.TermsRow{old}, 0, e.entry(abide.SubjectID{}, 1)))
		e.must(e.s.Publish(e.ctx, e.policy(2, "v2"), []storage.TermsRow{{Digest: "d", Purpose: "x", Canonical: []byte("second")}}, 1, e.entry(abide.SubjectID{}, 2)))
		equal(e, get(e.s.AllTerms(e.ctx))(e), []storage.TermsRow{old})
	}},
	{name: "tokens/are found by hash, listed by name, dropped by name", data: func(e *env) {
		token := func(hash, name string) storage.TokenRow {
			return storage.TokenRow{Hash: []byte(hash), Name: name, Created: e.now, Expires: e.now.Add(time.Hour),
				Actor: abide.Actor{Kind: abide.ActorStaff, Name: name, Role: "support", Purposes: []abide.Purpose{"provide", "marketing"}, Admin: true}}
		}
		b, a := token("h1", "b"), token("h2", "a")
		a.Expires = time.Time{}
		e.must(e.s.PutToken(e.ctx, &b))
		e.must(e.s.PutToken(e.ctx, &a))
		equal(e, get(e.s.Token(e.ctx, []byte("h2")))(e), &a)
		equal(e, get(e.s.Tokens(e.ctx))(e), []storage.TokenRow{a, b})
		b.Actor.Admin = false
		e.must(e.s.PutToken(e.ctx, &b))
		equal(e, get(e.s.Token(e.ctx, []byte("h1")))(e), &b)
		e.must(e.s.DropToken(e.ctx, "b"))
		e.want(e.s.DropToken(e.ctx, "b"), storage.ErrNotFound)
		_, err := e.s.Token(e.ctx, []byte("h1"))
		e.want(err, storage.ErrNotFound)
		equal(e, get(e.s.Tokens(e.ctx))(e), []storage.TokenRow{a})
	}},
	{name: "records/are versioned by kind and name", data: func(e *env) {
		put := func(kind, name string, expect uint64, body string) error {
			return e.s.PutRecord(e.ctx, &storage.Record{Kind: kind, Name: name, Expect: expect, Version: expect + 1, Body: []byte(body), At: e.now})
		}
		row := func(kind, name string, version uint64, body string) storage.Record {
			return storage.Record{Kind: kind, Name: name, Version: version, Body: []byte(body), At: e.now}
		}
		e.must(put("contract", "b", 0, "b1"))
		e.must(put("contract", "a", 0, "a1"))
		e.must(put("member", "a", 0, "m1"))
		e.want(put("contract", "a", 0, "x"), storage.ErrConflict)
		e.must(put("contract", "a", 1, "a2"))
		e.want(put("contract", "a", 1, "x"), storage.ErrConflict)
		e.want(put("contract", "c", 4, "x"), storage.ErrConflict)
		equal(e, get(e.s.Records(e.ctx, "contract"))(e), []storage.Record{row("contract", "a", 2, "a2"), row("contract", "b", 1, "b1")})
		e.must(e.s.DropRecord(e.ctx, "contract", "a"))
		e.want(e.s.DropRecord(e.ctx, "contract", "a"), storage.ErrNotFound)
		equal(e, get(e.s.Records(e.ctx, "contract"))(e), []storage.Record{row("contract", "b", 1, "b1")})
		equal(e, get(e.s.Records(e.ctx, "member"))(e), []storage.Record{row("member", "a", 1, "m1")})
		equal(e, len(get(e.s.Records(e.ctx, "none"))(e)), 0)
	}},
	{name: "meta/keeps the first value ever put", data: func(e *env) {
		equal(e, get(e.s.PutMeta(e.ctx, "store", []byte("first")))(e), []byte("first"))
		equal(e, get(e.s.PutMeta(e.ctx, "store", []byte("second")))(e), []byte("first"))
		equal(e, get(e.s.PutMeta(e.ctx, "other", []byte("third")))(e), []byte("third"))
	}},
}
