package engine_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/engine"
	"github.com/abide-privacy/abide/internal/storage"
)

type counter = storage.Counter

func TestTokens(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		n := engine.NewToken{Name: "shop", Actor: abide.Actor{Kind: abide.ActorService, Purposes: []abide.Purpose{"provide"}},
			Expires: w.clock.now().Add(30 * day)}
		_, _, err := w.e.CreateToken(ctx, app, n)
		wantError(t, err, abide.CodeDenied, "actor_may_not")
		secret, info, err := w.e.CreateToken(ctx, admin, n)
		must(t, err)
		if info.Name != "shop" || len(secret) < 40 {
			t.Fatalf("token %+v of %d characters", info, len(secret))
		}
		_, _, err = w.e.CreateToken(ctx, admin, n)
		wantError(t, err, abide.CodeConflict, "token_exists")

		actor, name, err := w.e.Authenticate(ctx, secret)
		must(t, err)
		if name != "shop" || actor.Name != "shop" || actor.Admin || !slices.Equal(actor.Purposes, []abide.Purpose{"provide"}) {
			t.Fatalf("authenticated as %s, %+v", name, actor)
		}
		for _, wrong := range []string{"", "abide_", secret + "x", secret[:len(secret)-1], strings.ToLower(secret), "Bearer " + secret} {
			if _, _, err := w.e.Authenticate(ctx, wrong); abide.ErrorCode(err) != abide.CodeUnauthorized {
				t.Errorf("a wrong token: %v", err)
			}
		}
		w.clock.add(31 * day)
		_, _, err = w.e.Authenticate(ctx, secret)
		wantError(t, err, abide.CodeUnauthorized, "token_expired")
		w.clock.add(-2 * day)
		must2(first(w.e.Authenticate(ctx, secret)))(t)
		must(t, w.e.RevokeToken(ctx, admin, "shop"))
		_, _, err = w.e.Authenticate(ctx, secret)
		wantError(t, err, abide.CodeUnauthorized, "token_unknown")
		list, err := w.e.Tokens(ctx, admin)
		must(t, err)
		if len(list) != 0 {
			t.Fatalf("tokens left: %+v", list)
		}
	})
}

func first[A, B any](a A, _ B, err error) (A, error) { return a, err }

func TestTokensRefused(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		for _, c := range []struct {
			name   string
			n      engine.NewToken
			detail string
		}{
			{"no name", engine.NewToken{Actor: abide.Actor{Kind: abide.ActorService}}, "bad_token_name"},
			{"no kind", engine.NewToken{Name: "x"}, "bad_token_kind"},
			{"Abide itself", engine.NewToken{Name: "x", Actor: abide.Actor{Kind: abide.ActorSystem}}, "bad_token_kind"},
			{"a person without an id", engine.NewToken{Name: "x", Actor: abide.Actor{Kind: abide.ActorSubject, Name: "ann@example.test"}}, "bad_token_subject"},
			{"a person who administers", engine.NewToken{Name: "x", Actor: abide.Actor{Kind: abide.ActorSubject, Name: abide.SubjectID{1}.String(), Admin: true}}, "bad_token_kind"},
		} {
			_, _, err := w.e.CreateToken(t.Context(), admin, c.n)
			if abide.ErrorDetail(err) != c.detail {
				t.Errorf("%s: %v, want %s", c.name, err, c.detail)
			}
		}
	})
}

// Who may call what: the capacity of the caller, apart from what the policy
// says.
func TestCapacities(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		id, other := w.person(engine.NewSubject{}), w.person(engine.NewSubject{})
		support := engine.Call{Actor: abide.Actor{Kind: abide.ActorStaff, Name: "sam", Role: "support", Purposes: []abide.Purpose{"provide"}}, Token: "sam"}
		guardian := engine.Call{Actor: abide.Actor{Kind: abide.ActorGuardian, Name: id.String()}, Token: "g"}
		calls := map[string]func(c engine.Call) error{
			"services": func(c engine.Call) error { _, err := w.e.Services(ctx, c, id); return err },
			"consents": func(c engine.Call) error { _, err := w.e.Consents(ctx, c, id); return err },
			"log":      func(c engine.Call) error { _, _, err := w.e.SubjectLog(ctx, c, id, engine.Page{}); return err },
			"update":   func(c engine.Call) error { _, err := w.e.UpdateSubject(ctx, c, id, engine.SubjectPatch{}); return err },
			"guardian": func(c engine.Call) error {
				yes := true
				_, err := w.e.UpdateSubject(ctx, c, id, engine.SubjectPatch{GuardianVerified: &yes})
				return err
			},
			"tokens":   func(c engine.Call) error { _, err := w.e.Tokens(ctx, c); return err },
			"findings": func(c engine.Call) error { _, err := w.e.Findings(ctx, c); return err },
			"publish":  func(c engine.Call) error { _, _, err := w.e.Publish(ctx, c, edit(t)); return err },
			"register": func(c engine.Call) error { return w.e.DropRegister(ctx, c, "members", "x") },
			"event":    func(c engine.Call) error { return w.e.RecordEvent(ctx, c, id, "order.closed", "1", time.Time{}) },
			"erase":    func(c engine.Call) error { _, err := w.e.Erase(ctx, c, id); return err },
		}
		may := map[string]string{
			"service":  "services consents event update",
			"staff":    "services consents event update guardian",
			"self":     "services consents log erase",
			"guardian": "services consents log erase",
			"nobody":   "",
			"another":  "",
			"admin":    "services consents log update guardian tokens findings publish register event erase",
		}
		for who, call := range map[string]engine.Call{"service": app, "staff": support, "self": self(id), "guardian": guardian,
			"nobody": {}, "another": self(other), "admin": admin} {
			for name, do := range calls {
				if name == "erase" {
					continue // below: afterwards nothing else can be called
				}
				err := do(call)
				if got, want := err == nil, slices.Contains(strings.Fields(may[who]), name); got != want {
					t.Errorf("%s calls %s: %v, want allowed %v", who, name, err, want)
				}
			}
		}
		for who, call := range map[string]engine.Call{"service": app, "staff": support, "nobody": {}, "another": self(other)} {
			if calls["erase"](call) == nil {
				t.Errorf("%s may erase", who)
			}
		}
		must(t, calls["erase"](guardian))
	})
}

func TestRegister(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		put := func(kind, name, body string) error { return w.e.PutRegister(ctx, admin, kind, name, []byte(body)) }
		must(t, put("members", "dispatch", `{"class":"affiliates"}`))
		must(t, put("members", "dispatch", `{"class":"affiliates","left":"2026-01-01T00:00:00Z"}`))
		must(t, put("contracts", "c1", `{"recipient":"dispatch","signed":"2025-01-01T00:00:00Z","covers":["HK"]}`))
		must(t, put("staff", "sam", `{"undertaking_ends":"2027-01-01T00:00:00Z"}`))
		must(t, put("reviews", "machine rooms", `{"at":"2026-01-01T00:00:00Z"}`))
		v, err := w.e.Register(ctx, admin)
		must(t, err)
		if len(v.Members) != 1 || v.Members[0].Left.IsZero() || v.Members[0].Name != "dispatch" || len(v.Contracts) != 1 || len(v.Staff) != 1 || len(v.Reviews) != 1 {
			t.Fatalf("register %+v", v)
		}
		wantError(t, put("friends", "x", `{}`), abide.CodeInvalid, "unknown_register")
		wantError(t, put("members", "x", `{}`), abide.CodeInvalid, "register_fact_incomplete")
		wantError(t, put("members", "x", `{"klass":"y"}`), abide.CodeInvalid, "bad_register_fact")
		wantError(t, put("members", "", `{"class":"y"}`), abide.CodeInvalid, "bad_register_name")
		must(t, w.e.DropRegister(ctx, admin, "members", "dispatch"))
		must(t, w.e.DropRegister(ctx, admin, "members", "dispatch"))
		if v, err = w.e.Register(ctx, admin); err != nil || len(v.Members) != 0 {
			t.Fatalf("after dropping: %+v, %v", v, err)
		}
	})
}

// Data about nobody: written together, in an order that tells nothing, and
// never with anything that names a person.
func TestCount(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		for range 3 {
			must(t, w.e.Count(ctx, app, "nobody.device", "P40 / 12.0.1", 1))
		}
		must(t, w.e.Count(ctx, app, "nobody.device", "Aa 1", 2))
		if rows, err := w.store.Counters(ctx, "nobody.device"); err != nil || len(rows) != 0 {
			t.Fatalf("a count was written by itself: %+v, %v", rows, err)
		}
		for _, c := range []struct{ category, value, detail string }{
			{"person.name", "P40", "not_counted"},
			{"nobody.shoe", "P40", "not_counted"},
			{"nobody.device", "", "bad_counted_value"},
			{"nobody.device", strings.Repeat("x", 81), "bad_counted_value"},
			{"nobody.device", "ann@example.test", "counted_value_personal"},
			{"nobody.device", "490154203237518", "counted_value_personal"},
			{"nobody.device", "P40 192.0.2.7", "counted_value_personal"},
			{"nobody.device", "+852 2345 67 89", "counted_value_personal"},
		} {
			if err := w.e.Count(ctx, app, abide.Category(c.category), c.value, 1); abide.ErrorDetail(err) != c.detail {
				t.Errorf("%s of %d characters: %v, want %s", c.category, len(c.value), err, c.detail)
			}
		}
		must(t, w.e.Close(ctx))
		rows, err := w.store.Counters(ctx, "nobody.device")
		must(t, err)
		slices.SortFunc(rows, func(a, b counter) int { return strings.Compare(a.Value, b.Value) })
		if len(rows) != 2 || rows[0].N != 2 || rows[1].N != 3 || rows[1].Period != "2026-W09" {
			t.Fatalf("counts %+v", rows)
		}
	})
}

// Events of one person on many goroutines are all kept, in one order.
func TestConcurrentChanges(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		id := w.person(engine.NewSubject{})
		other, err := engine.Open(t.Context(), engine.Options{Store: w.store, Keys: w.keys, Keyring: w.ring, Clock: w.clock.now})
		must(t, err)
		defer other.Close(t.Context())
		errs := make(chan error, 40)
		for i := range cap(errs) {
			node := w.e
			if i%2 == 1 {
				node = other
			}
			go func() {
				_, err := node.Collect(t.Context(), app, put(id, "shop", items{"person.orders": map[string]int{"n": i}}))
				for abide.ErrorDetail(err) == "changed_meanwhile" {
					_, err = node.Collect(t.Context(), app, put(id, "shop", items{"person.orders": map[string]int{"n": i}}))
				}
				errs <- err
			}()
		}
		for range cap(errs) {
			must(t, <-errs)
		}
		if v := w.values(id, "provide", "person.orders"); len(v) != 40 {
			t.Fatalf("%d of 40 orders kept", len(v))
		}
		entries, err := w.store.Entries(t.Context(), id, 0, 100)
		must(t, err)
		for i, e := range entries {
			if e.N != uint64(i+1) {
				t.Fatalf("entry %d follows %d", e.N, i)
			}
		}
	})
}

// A withdrawal acknowledged on one node binds the next decision on another.
func TestWithdrawalBindsEveryNode(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		other, err := engine.Open(t.Context(), engine.Options{Store: w.store, Keys: w.keys, Keyring: w.ring, Clock: w.clock.now})
		must(t, err)
		defer other.Close(t.Context())
		id := w.person(engine.NewSubject{})
		for range 20 {
			must2(w.e.WriteConsent(t.Context(), app, say(id, "give")))(t)
			for _, want := range []bool{true, false} {
				d, err := other.Decide(t.Context(), app, engine.Decide{Subject: id, Purpose: "newsletter", Act: abide.ActContact, Categories: []abide.Category{"person.email"}})
				must(t, err)
				if d.Allowed() != want {
					t.Fatalf("permitted %v, want %v: %+v", d.Allowed(), want, d.Reasons)
				}
				if want {
					must2(w.e.WriteConsent(t.Context(), app, say(id, "withdraw")))(t)
				}
			}
		}
	})
}

// Closing makes durable what was answered: decisions too.
func TestCloseDrains(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		id := w.person(engine.NewSubject{})
		for range 50 {
			w.newsletter(id, time.Time{})
		}
		w.restart()
		if n := count(w.kinds(id), "decided"); n != 50 {
			t.Fatalf("%d of 50 decisions on record", n)
		}
		must(t, w.e.Close(t.Context()))
		_, err := w.read(app, id, "provide", "person.name")
		wantError(t, err, abide.CodeUnavailable, "closing")
	})
}

// A review that is overdue closes its level and stands among the findings
// until it is entered.
func TestReviewOverdue(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		id := w.person(engine.NewSubject{})
		w.collect(id, "shop", items{"person.card": "4111111111111111"})
		w.publish(edit(t, `level "personal"`, `review "vault" { plan = { every = 12 * months, by = security, late = closes(private) } }`+"\n"+`level "personal"`))
		card := func() error {
			_, err := w.e.ReadData(t.Context(), app, engine.Read{Subject: id, Purpose: "provide", Categories: []abide.Category{"person.card"}, Reason: "refund"})
			return err
		}
		review := func() {
			must(t, w.e.PutRegister(t.Context(), admin, "reviews", "vault", []byte(`{"at":"`+w.clock.now().Format(time.RFC3339)+`"}`)))
		}
		overdue := func() bool {
			found, err := w.e.Findings(t.Context(), admin)
			must(t, err)
			return slices.ContainsFunc(found, func(f engine.Finding) bool { return f.Code == engine.FindingReviewOverdue && f.Name == "vault" })
		}
		review()
		must(t, card())
		if overdue() {
			t.Fatal("a review of today is overdue")
		}
		w.clock.add(370 * day)
		wantReason(t, card(), abide.DenyOverdueReview)
		if !overdue() {
			t.Fatal("an overdue review is no finding")
		}
		review()
		must(t, card())
		if overdue() {
			t.Fatal("the finding outlives the review")
		}
	})
}
