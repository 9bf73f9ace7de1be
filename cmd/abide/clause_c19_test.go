package main

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/abide-privacy/abide/internal/testx/pg"
)

// shop is a running server with the sample policy and a clock that the test
// moves. What a clause promises is shown through its API and the command line
// alone.
type shop struct {
	*testServer
	t  *testing.T
	mu sync.Mutex
	at time.Time
}

// onEachEngine runs a clause's test on SQLite and on PostgreSQL.
func onEachEngine(t *testing.T, test func(s *shop)) {
	for name, where := range map[string]func(t *testing.T) []string{
		"sqlite":   func(*testing.T) []string { return nil },
		"postgres": func(t *testing.T) []string { return []string{"--postgres", pg.Database(t)} },
	} {
		t.Run(name, func(t *testing.T) {
			s := &shop{t: t, at: time.Date(2026, 1, 15, 9, 0, 0, 0, time.UTC)}
			s.testServer = &testServer{t: t, Dir: t.TempDir(), output: &lockedBuffer{}, now: s.clock}
			at := where(t)
			s.found(append([]string{"--data", s.Dir}, at...)...)
			s.serve(at...)
			test(s)
		})
	}
}

func (s *shop) clock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at
}

func (s *shop) moveTo(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = at
}

// must calls and wants success.
func (s *shop) must(method, path string, body any, headers ...string) answered {
	s.t.Helper()
	got := s.call(method, path, body, headers...)
	if got.Status >= 300 {
		s.t.Fatalf("%s %s: status %d: %s", method, path, got.Status, got.Body)
	}
	return got
}

// cli runs a command against the server.
func (s *shop) cli(args ...string) []byte {
	s.t.Helper()
	return s.run(append(args, "--server", s.URL, "--token", s.Admin)...)
}

// allowed makes a token for purposes and calls with it from then on.
func (s *shop) allowed(purposes ...string) {
	s.t.Helper()
	var made struct{ Token string }
	decode(s.t, s.cli("token", "create", "app", "--admin", "--json", "--purpose", strings.Join(purposes, ",")), &made)
	s.Admin = made.Token
}

func decode(t *testing.T, raw []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatalf("%v: %s", err, raw)
	}
}

// kept is what the retention view says of an item.
type kept struct {
	ID       string
	Category string
	Ref      string
	Due      time.Time
	Ground   string
	Clause   string
	Then     string
	Hold     string
	Past     bool
}

// kept returns the items of a category, by the command line.
func (s *shop) kept(id, category string) []kept {
	s.t.Helper()
	var v struct{ Items []kept }
	decode(s.t, s.cli("retention", "show", id), &v)
	return slices.DeleteFunc(v.Items, func(k kept) bool { return k.Category != category })
}

func (s *shop) wantKept(id, category string, due time.Time, ground, clause, then string) {
	s.t.Helper()
	got := s.kept(id, category)
	if len(got) != 1 || !got[0].Due.Equal(due) || got[0].Ground != ground || got[0].Clause != clause || got[0].Then != then {
		s.t.Fatalf("%s is kept as %+v; want until %v for %s by %s, then %s", category, got, due, ground, clause, then)
	}
}

func (s *shop) read(id, purpose, category string) answered {
	return s.call("POST", "/v1/subjects/"+id+"/data/read", map[string]any{"purpose": purpose, "categories": []string{category}})
}

// wantRefused fails unless an answer is a refusal for the reason, by the clause.
func (s *shop) wantRefused(got answered, reason, clause string) {
	s.t.Helper()
	var p struct {
		Decision struct {
			Reasons []struct{ Code, Clause string }
		}
	}
	decode(s.t, got.Body, &p)
	for _, r := range p.Decision.Reasons {
		if got.Status == http.StatusForbidden && r.Code == reason && r.Clause == clause {
			return
		}
	}
	s.t.Fatalf("status %d: %s; want a refusal for %s by %s", got.Status, got.Body, reason, clause)
}

// customer makes somebody in Hong Kong who ordered once.
func (s *shop) customer() string {
	s.t.Helper()
	id := s.must("POST", "/v1/subjects", map[string]any{"jurisdiction": "HK", "birth_date": "1987-03-29"}).field(s.t, "id")
	s.must("PUT", "/v1/subjects/"+id+"/data", map[string]any{"service": "shop", "source": "checkout", "ref": "1017", "items": map[string]any{
		"person.name": "Ho Yee", "person.email": "ho.yee@plain.example", "person.address": []string{"1 Quay Street"},
		"person.account": "hy-1987", "person.invoice": []string{"invoice 1017"}}})
	return id
}

// event reports that the order was closed.
func (s *shop) closed(id string, at time.Time, key string) {
	s.t.Helper()
	s.must("POST", "/v1/subjects/"+id+"/events", map[string]any{"anchor": "order.closed", "ref": "1017", "at": at}, "Idempotency-Key", key)
}

// TestClause_C19_NothingIsReadPastItsDay: a deadline follows from the rules and
// the facts, the longest lawful ground is named, a later fact moves it, and
// from its instant on the item is refused, before anything has swept it.
func TestClause_C19_NothingIsReadPastItsDay(t *testing.T) {
	onEachEngine(t, func(s *shop) {
		s.allowed("provide", "records", "books", "notices", "aftersales")
		start := s.clock()
		id := s.customer()
		// The cap, while the event has not come; the law's, for the invoice.
		s.wantKept(id, "person.address", start.AddDate(5, 0, 0), "provide", "privacy#C05", "erase")
		s.wantKept(id, "person.invoice", start.AddDate(7, 0, 0), "books", "privacy#C19", "erase")

		// The fact with its own time moves it, and a later one moves it again.
		s.moveTo(start.AddDate(0, 0, 30))
		first := start.AddDate(0, 0, 10)
		for range 2 {
			s.closed(id, first, "once") // the same report twice is one report
		}
		s.wantKept(id, "person.address", first.AddDate(1, 0, 0), "provide", "privacy#C05", "erase")
		second := start.AddDate(0, 0, 20)
		s.closed(id, second, "again")
		end := second.AddDate(1, 0, 0)
		s.wantKept(id, "person.address", end, "provide", "privacy#C05", "erase")
		// Of the account the business records are the longest ground by then.
		s.wantKept(id, "person.account", start.AddDate(3, 0, 0), "records", "privacy#C05", "unlink")

		look := func() []byte {
			return s.must("POST", "/v1/subjects/lookup", map[string]any{"category": "person.account", "value": "hy-1987", "purpose": "provide"}).Body
		}
		evaluate := func(category string) answered {
			return s.must("POST", "/access/v1/evaluation", map[string]any{"subject": map[string]any{"type": "service", "id": "app"},
				"action":   map[string]any{"name": "read", "properties": map[string]any{"purpose": "provide"}},
				"resource": map[string]any{"type": "person", "id": id, "properties": map[string]any{"categories": []string{category}}}})
		}
		s.moveTo(end.Add(-time.Second))
		if got := s.read(id, "provide", "person.address"); got.Status != http.StatusOK || !strings.Contains(string(got.Body), "1 Quay Street") {
			s.t.Fatalf("a second before its deadline: %d %s", got.Status, got.Body)
		}
		if got := look(); !strings.Contains(string(got), id) {
			s.t.Fatalf("not found a second before: %s", got)
		}
		if got := evaluate("person.address"); !strings.Contains(string(got.Body), `"decision":true`) {
			s.t.Fatalf("evaluated a second before: %s", got.Body)
		}

		s.moveTo(end)
		s.wantRefused(s.read(id, "provide", "person.address"), "retention_passed", "privacy#C05")
		if got := look(); strings.Contains(string(got), id) {
			s.t.Fatalf("found past the deadline: %s", got)
		}
		for _, c := range []string{"person.address", "person.account"} {
			if got := string(evaluate(c).Body); !strings.Contains(got, `"decision":false`) || !strings.Contains(got, "retention_passed") || !strings.Contains(got, "privacy#C05") {
				s.t.Fatalf("AuthZEN past the deadline of %s: %s", c, got)
			}
		}
		got := s.call("POST", "/v1/decide", map[string]any{"subject": id, "purpose": "provide", "act": "read", "categories": []string{"person.address"}})
		if !strings.Contains(string(got.Body), "retention_passed") {
			s.t.Fatalf("decided past the deadline: %s", got.Body)
		}
		// What another purpose still needs opens for that one alone.
		s.wantRefused(s.read(id, "provide", "person.account"), "retention_passed", "privacy#C05")
		if got := s.read(id, "records", "person.account"); got.Status != http.StatusOK || !strings.Contains(string(got.Body), "hy-1987") {
			s.t.Fatalf("the business records: %d %s", got.Status, got.Body)
		}
		s.moveTo(start.AddDate(3, 0, 0))
		s.wantRefused(s.read(id, "records", "person.account"), "retention_passed", "privacy#C05")
	})
}

// Each kind of deadline of the sample policy, by the rule it comes from.
func TestClause_C19_EachKindOfDeadline(t *testing.T) {
	onEachEngine(t, func(s *shop) {
		s.allowed("provide", "notices", "promotions", "newsletter", "records", "statistics", "aftersales", "books")
		start := s.clock()
		id := s.customer()
		say := func(action, purpose string) {
			s.must("POST", "/v1/subjects/"+id+"/consents", map[string]any{"purpose": purpose, "action": action,
				"evidence": map[string]any{"wording": "May we?", "source": "form", "separate": true}})
		}
		// Fixed days from obtaining, with nothing to wait for.
		s.must("PUT", "/v1/subjects/"+id+"/data", map[string]any{"purpose": "statistics", "source": "form", "items": map[string]any{"person.gender": "f"}})
		s.wantKept(id, "person.gender", start.AddDate(2, 0, 0), "statistics", "privacy#C05", "erase")
		// The account closed ends the notices; the cap ends them if it never is.
		s.must("PUT", "/v1/subjects/"+id+"/data", map[string]any{"service": "messaging", "source": "app", "items": map[string]any{"person.phone": "+85291234567"}})
		s.wantKept(id, "person.phone", start.AddDate(5, 0, 0), "aftersales", "privacy#C05", "erase")
		s.closed(id, start, "k1")
		at := start.AddDate(0, 2, 0)
		s.moveTo(at)
		s.must("POST", "/v1/subjects/"+id+"/events", map[string]any{"anchor": "account.closed", "at": at.Add(-time.Hour)})
		// Consent that ended keeps a while longer, and no longer than its cap.
		s.wantKept(id, "person.phone", start.AddDate(1, 0, 0), "aftersales", "privacy#C05", "erase")
		say("give", "promotions")
		for _, c := range []string{"person.name", "person.email", "person.phone"} {
			s.wantKept(id, c, start.AddDate(2, 0, 0), "promotions", "privacy#C05", "erase")
		}
		s.moveTo(start.AddDate(0, 11, 0))
		say("withdraw", "promotions")
		s.wantKept(id, "person.email", start.AddDate(0, 11, 90), "promotions", "privacy#C05", "erase")
		s.wantKept(id, "person.address", start.AddDate(1, 0, 0), "provide", "privacy#C05", "erase")
	})
}

// what a run of the sweep says.
type run struct {
	People, Failed int
	Items          map[string]int
	Unlinked       map[string]int
}

func (s *shop) sweep(args ...string) run {
	s.t.Helper()
	var r run
	decode(s.t, s.cli(append([]string{"retention", "run", "--json"}, args...)...), &r)
	return r
}

// logged lists the kinds of entry in a person's log that a kind of event left.
func (s *shop) logged(id, kind string) int {
	s.t.Helper()
	return strings.Count(string(s.cli("subject", "log", id)), " "+kind+" ")
}

// TestClause_C19_WhatIsPastItsDayGoes: the forecast, a dry run, and the sweep
// that lets it go, erased or unlinked, on record; and what is not due stays.
func TestClause_C19_WhatIsPastItsDayGoes(t *testing.T) {
	onEachEngine(t, func(s *shop) {
		s.allowed("provide", "records", "books", "notices", "aftersales")
		start := s.clock()
		var people []string
		for i := range 21 {
			id := s.must("POST", "/v1/subjects", map[string]any{"jurisdiction": "HK", "birth_date": "1987-03-29"}).field(s.t, "id")
			s.must("PUT", "/v1/subjects/"+id+"/data", map[string]any{"service": "shop", "source": "checkout", "ref": "1017", "items": map[string]any{
				"person.address": []string{"1 Quay Street"}, "person.account": "hy-" + strings.Repeat("x", i+1), "person.invoice": []string{"invoice 1017"}}})
			s.closed(id, start, "k")
			people = append(people, id)
		}
		end := start.AddDate(1, 0, 0)
		s.moveTo(end.AddDate(0, 0, -8))
		forecast := string(s.cli("retention", "forecast"))
		want := "in 7 days, until 2027-01-14: data of 0 people\nin 30 days, until 2027-02-06: data of 21 people\n  person.address: 21\nin 90 days, until 2027-04-07: data of 21 people\n  person.address: 21\n"
		if forecast != want {
			s.t.Fatalf("forecast\n%swant\n%s", forecast, want)
		}
		if got := s.sweep(); got.People != 0 || len(got.Items) != 0 {
			s.t.Fatalf("before anything was due, %+v went", got)
		}
		s.moveTo(end)
		if got := s.sweep("--dry-run"); got.People != 21 || got.Items["person.address"] != 21 || len(got.Items) != 1 {
			s.t.Fatalf("would go: %+v", got)
		}
		if n := len(s.kept(people[0], "person.address")); n != 1 {
			s.t.Fatal("a dry run let something go")
		}
		if got := s.sweep(); got.People != 21 || got.Items["person.address"] != 21 || len(got.Items) != 1 || got.Failed != 0 {
			s.t.Fatalf("went: %+v", got)
		}
		for _, id := range people {
			if len(s.kept(id, "person.address")) != 0 || len(s.kept(id, "person.invoice")) != 1 || len(s.kept(id, "person.account")) != 1 {
				s.t.Fatalf("after the sweep: %+v", s.kept(id, "person.account"))
			}
		}
		if s.logged(people[0], "expired") != 1 {
			s.t.Fatal("the log does not say what went")
		}
		if got := s.sweep(); got.People != 0 {
			s.t.Fatalf("went twice: %+v", got)
		}

		// Three years: the account is unlinked. It is found by nothing any more,
		// and what remains is a count that names nobody.
		s.moveTo(start.AddDate(3, 0, 0))
		if got := s.sweep(); got.Unlinked["person.account"] != 21 || got.Items["person.account"] != 21 {
			s.t.Fatalf("unlinked: %+v", got)
		}
		if found := s.must("POST", "/v1/subjects/lookup", map[string]any{"category": "person.account", "value": "hy-x", "purpose": "records"}).Body; strings.Contains(string(found), people[0]) {
			s.t.Fatalf("found by what was unlinked: %s", found)
		}
		if n := len(s.kept(people[0], "person.account")); n != 0 {
			s.t.Fatalf("%d accounts are left", n)
		}
	})
}

// TestClause_C19_HeldForALegalGround: a hold keeps an item beyond its day and
// through an erasure, unreadable, and its end lets it go.
func TestClause_C19_HeldForALegalGround(t *testing.T) {
	onEachEngine(t, func(s *shop) {
		s.allowed("provide", "records", "books", "notices", "aftersales")
		start := s.clock()
		id, other := s.customer(), s.must("POST", "/v1/subjects", map[string]any{"jurisdiction": "HK", "birth_date": "1970-01-01"}).field(s.t, "id")
		s.must("PUT", "/v1/subjects/"+other+"/data", map[string]any{"service": "shop", "source": "checkout", "items": map[string]any{"person.address": []string{"2 Quay Street"}}})
		for _, one := range []string{id, other} {
			s.closed(one, start, "k")
		}
		item := s.kept(id, "person.address")[0].ID
		until := start.AddDate(2, 0, 0)

		// Not without a reason, and not by everyone.
		if got := s.call("POST", "/v1/subjects/"+id+"/holds", map[string]any{"name": "claim 17", "items": []string{item}, "reason": " "}); got.Status != http.StatusUnprocessableEntity {
			s.t.Fatalf("held without a reason: %d %s", got.Status, got.Body)
		}
		var made struct{ Token string }
		decode(s.t, s.cli("token", "create", "till", "--json", "--purpose", "provide"), &made)
		lead := s.Admin
		s.Admin = made.Token
		if got := s.call("POST", "/v1/subjects/"+id+"/holds", map[string]any{"name": "claim 17", "items": []string{item}, "reason": "a claim"}); got.Status != http.StatusForbidden {
			s.t.Fatalf("a till holds: %d %s", got.Status, got.Body)
		}
		s.Admin = lead
		s.cli("retention", "hold", id, "claim 17", "--item", item, "--until", until.Format(time.RFC3339), "--reason", "a claim before the court")
		s.cli("retention", "hold", other, "inquiry", "--category", "person.address", "--reason", "an inquiry")
		if got := s.read(id, "provide", "person.address"); got.Status != http.StatusOK {
			s.t.Fatalf("an item that is held is closed before its deadline: %d %s", got.Status, got.Body)
		}

		s.moveTo(start.AddDate(1, 0, 0))
		s.wantRefused(s.read(id, "provide", "person.address"), "retention_passed", "privacy#C05")
		if got := s.sweep(); got.Items["person.address"] != 0 {
			s.t.Fatalf("what is held went: %+v", got)
		}
		if k := s.kept(id, "person.address"); len(k) != 1 || k[0].Hold != "claim 17" || !k[0].Due.Equal(until) || !k[0].Past {
			s.t.Fatalf("held as %+v", k)
		}
		// Erased, the person is forgotten, and what is held stays.
		certificate := string(s.must("DELETE", "/v1/subjects/"+id, nil).Body)
		if !strings.Contains(certificate, "legal hold") || !strings.Contains(certificate, "person.address") {
			s.t.Fatalf("the certificate does not name what is held: %s", certificate)
		}
		if got := s.sweep(); got.Items["person.address"] != 0 {
			s.t.Fatalf("what is held of the erased went: %+v", got)
		}
		// The hold ends by itself, or is released.
		s.moveTo(until)
		if got := s.sweep(); got.Items["person.address"] != 1 {
			s.t.Fatalf("at the end of the hold: %+v", got)
		}
		s.cli("retention", "release", other, "inquiry", "--reason", "closed")
		s.wantRefused(s.read(other, "provide", "person.address"), "retention_passed", "privacy#C05")
		if got := s.sweep(); got.Items["person.address"] != 1 || got.People != 1 {
			s.t.Fatalf("after the release: %+v", got)
		}
		if s.logged(other, "hold_placed") != 1 || s.logged(other, "hold_ended") != 1 {
			s.t.Fatalf("the log does not have the hold: %s", s.cli("subject", "log", other))
		}
	})
}
