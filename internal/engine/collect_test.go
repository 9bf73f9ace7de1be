package engine_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/engine"
	"github.com/abide-privacy/abide/internal/storage"
)

type items = map[abide.Category]any

// values reads a category and returns its values as JSON texts.
func (w *world) values(id abide.SubjectID, purpose abide.Purpose, c abide.Category) []string {
	w.t.Helper()
	got, err := w.read(app, id, purpose, c)
	must(w.t, err)
	var out []string
	for _, v := range got.Data[c] {
		out = append(out, string(v.Value))
	}
	slices.Sort(out) // of one instant, items come in any order
	return out
}

func TestCollect(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		id := w.person(engine.NewSubject{})
		got := w.collect(id, "shop", items{"person.name": " Ann ", "person.phone": []string{"2345 6789", "+44 20 7946 0000"},
			"person.forum": "elsewhere", "person.orders": map[string]any{"n": 1}})
		if len(got.Items) != 4 {
			t.Errorf("%d items kept, want 4: %+v", len(got.Items), got.Items)
		}
		if !slices.Equal(got.Skipped, []abide.Category{"person.forum"}) {
			t.Errorf("skipped %v, want what is held elsewhere", got.Skipped)
		}
		if len(got.Missing) != 1 || got.Missing[0].Service != "shop" || !slices.Equal(got.Missing[0].Categories, []abide.Category{"person.email"}) || got.Missing[0].Clause != "privacy#data" {
			t.Errorf("missing %+v, want e-mail for the shop, by its clause", got.Missing)
		}
		if v := w.values(id, "provide", "person.name"); !slices.Equal(v, []string{`"Ann"`}) {
			t.Errorf("name %v", v)
		}
		if v := w.values(id, "provide", "person.phone"); !slices.Equal(v, []string{`"+442079460000"`, `"+85223456789"`}) {
			t.Errorf("phones %v: a local number is read by the person's place", v)
		}
		if v := w.values(id, "provide", "person.forum"); v != nil {
			t.Errorf("what is held elsewhere is shown as kept: %v", v)
		}
		if v, err := w.e.Subject(t.Context(), app, id); err != nil || v.Holds["person.forum"] != 0 || v.Holds["person.phone"] != 2 {
			t.Errorf("holds %+v, %v", v.Holds, err)
		}

		w.collect(id, "shop", items{"person.name": "Anne"})
		if v := w.values(id, "provide", "person.name"); !slices.Equal(v, []string{`"Anne"`}) {
			t.Errorf("after rectification: %v", v)
		}
		w.collect(id, "shop", items{"person.phone": "+852 2345 6789"})
		if v := w.values(id, "provide", "person.phone"); len(v) != 2 {
			t.Errorf("an equal number was added again: %v", v)
		}
		w.collect(id, "shop", items{"person.orders": []any{map[string]int{"n": 2}, map[string]int{"n": 3}}})
		if v := w.values(id, "provide", "person.orders"); len(v) != 3 {
			t.Errorf("orders %v", v)
		}
		want := []string{"created", "joined_service", "collected"}
		if got := w.kinds(id); !slices.Equal(got[:3], want) || !slices.Contains(got, "rectified") {
			t.Errorf("log %v", got)
		}
	})
}

func TestCollectRefuses(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		id := w.person(engine.NewSubject{})
		other := w.person(engine.NewSubject{})
		w.collect(other, "chat", items{"person.account": "taken"})
		secret := "kanarie-91.example"
		newsletterOnly := app
		newsletterOnly.Actor.Purposes = []abide.Purpose{"newsletter"}
		for _, c := range []struct {
			name   string
			call   engine.Call
			req    engine.Collect
			code   abide.Code
			detail string
			reason abide.ReasonCode
		}{
			{"nothing", app, put(id, "shop", nil), abide.CodeInvalid, "no_items", ""},
			{"no service", app, put(id, "", items{"person.name": secret}), abide.CodeInvalid, "service_missing", ""},
			{"bad e-mail", app, put(id, "shop", items{"person.email": secret}), abide.CodeInvalid, "bad_email", ""},
			{"a number for a text", app, put(id, "shop", items{"person.name": 7}), abide.CodeInvalid, "not_a_string", ""},
			{"nothing for a text", app, put(id, "shop", items{"person.name": nil}), abide.CodeInvalid, "value_missing", ""},
			{"held by somebody else", app, put(id, "chat", items{"person.account": "taken"}), abide.CodeConflict, "value_taken", ""},
			{"derived from nothing", app, put(id, "shop", items{"person.taste": secret}), abide.CodeInvalid, "sources_missing", ""},
			{"unknown service", app, put(id, "casino", items{"person.name": secret}), abide.CodeDenied, "denied", abide.DenyUnknownService},
			{"unknown category", app, put(id, "shop", items{"person.shoe": secret}), abide.CodeDenied, "denied", abide.DenyUnknownCategory},
			{"not of this service", app, put(id, "chat", items{"person.name": secret}), abide.CodeDenied, "denied", abide.DenyNotCovered},
			{"about nobody", app, put(id, "shop", items{"nobody.device": secret}), abide.CodeDenied, "denied", abide.DenyNotLinked},
			{"purpose not carried", newsletterOnly, put(id, "shop", items{"person.name": secret}), abide.CodeDenied, "denied", abide.DenyActorPurpose},
			{"somebody else's", self(other), put(id, "shop", items{"person.name": secret}), abide.CodeNotFound, "subject_not_found", ""},
			{"nobody known", app, put(abide.SubjectID{9}, "shop", items{"person.name": secret}), abide.CodeNotFound, "subject_not_found", ""},
		} {
			_, err := w.e.Collect(t.Context(), c.call, c.req)
			if abide.ErrorCode(err) != c.code || abide.ErrorDetail(err) != c.detail {
				t.Errorf("%s: %v, want %s (%s)", c.name, err, c.code, c.detail)
				continue
			}
			if c.reason != "" {
				wantReason(t, err, c.reason)
			}
			if text, _ := json.Marshal(err); strings.Contains(err.Error()+string(text), secret) {
				t.Errorf("%s: the error repeats the value", c.name)
			}
		}
		if v, err := w.e.Subject(t.Context(), app, id); err != nil || len(v.Holds) != 0 {
			t.Errorf("something of a refused request was kept: %+v, %v", v.Holds, err)
		}
	})
}

// All of a request is kept, or nothing.
func TestCollectIsWhole(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		id := w.person(engine.NewSubject{})
		_, err := w.e.Collect(t.Context(), app, put(id, "shop", items{"person.name": "Ann", "person.email": "not one"}))
		wantError(t, err, abide.CodeInvalid, "bad_email")
		if v := w.values(id, "provide", "person.name"); v != nil {
			t.Fatalf("half a request was kept: %v", v)
		}
		if svc, err := w.e.Services(t.Context(), app, id); err != nil || !svc[0].Since.IsZero() {
			t.Fatalf("a refused request made the person take part: %+v, %v", svc, err)
		}
	})
}

func TestCollectIdempotency(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		id := w.person(engine.NewSubject{})
		req := put(id, "shop", items{"person.orders": map[string]int{"n": 1}})
		first, err := w.e.Collect(t.Context(), once(app, "k"), req)
		must(t, err)
		second, err := w.e.Collect(t.Context(), once(app, "k"), req)
		must(t, err)
		if first.Items[0] != second.Items[0] {
			t.Fatalf("the retry kept %v, the first try %v", second.Items, first.Items)
		}
		if v := w.values(id, "provide", "person.orders"); len(v) != 1 {
			t.Fatalf("kept twice: %v", v)
		}
		_, err = w.e.Collect(t.Context(), once(app, "k"), put(id, "shop", items{"person.orders": map[string]int{"n": 2}}))
		wantError(t, err, abide.CodeConflict, "idempotency_mismatch")
		w.clock.add(25 * time.Hour)
		_, err = w.e.Collect(t.Context(), once(app, "k"), put(id, "shop", items{"person.orders": map[string]int{"n": 2}}))
		must(t, err)
	})
}

// A token that bears the name of one that was revoked, or of Abide's own import,
// does not get its answers: keys belong to the secret.
func TestIdempotencyIsTheTokensOwn(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		bearer := func() engine.Call {
			secret, info, err := w.e.CreateToken(t.Context(), admin, engine.NewToken{Name: "import",
				Actor: abide.Actor{Kind: abide.ActorService, Name: "import", Purposes: app.Actor.Purposes}})
			must(t, err)
			return engine.Call{Actor: info.Actor, Token: info.Name, Credential: engine.Credential(secret), IdempotencyKey: "k"}
		}
		first := bearer()
		ann, err := w.e.CreateSubject(t.Context(), first, engine.NewSubject{Jurisdiction: "HK"})
		must(t, err)
		req := put(ann.ID, "shop", items{"person.orders": map[string]int{"n": 1}})
		kept, err := w.e.Collect(t.Context(), first, req)
		must(t, err)
		must(t, w.e.RevokeToken(t.Context(), admin, "import"))
		second := bearer()
		byName := second
		byName.Credential = nil
		for _, c := range []engine.Call{second, byName} {
			got, err := w.e.CreateSubject(t.Context(), c, engine.NewSubject{Jurisdiction: "HK"})
			must(t, err)
			if got.ID == ann.ID || got.Existing {
				t.Errorf("got the subject that another token made")
			}
			other, err := w.e.Collect(t.Context(), c, req)
			must(t, err)
			if slices.Equal(other.Items, kept.Items) {
				t.Errorf("got the answer that another token got")
			}
		}
		again, err := w.e.Collect(t.Context(), first, req)
		must(t, err)
		if !slices.Equal(again.Items, kept.Items) {
			t.Errorf("the retry kept %v, the first try %v", again.Items, kept.Items)
		}
	})
}

// A change whose outcome the store could not tell is neither lost nor done
// twice.
func TestCollectOutcomeUnknown(t *testing.T) {
	for name, persisted := range map[string]bool{"failed and not persisted": false, "failed although persisted": true} {
		t.Run(name, func(t *testing.T) {
			onEvery(t, func(t *testing.T, w *world) {
				id := w.person(engine.NewSubject{})
				lost := map[string]error{"commit": storage.ErrOutcomeUnknown}
				if persisted {
					w.faults.set(nil, lost)
				} else {
					w.faults.set(lost, nil)
				}
				req := put(id, "shop", items{"person.orders": map[string]int{"n": 1}})
				_, err := w.e.Collect(t.Context(), once(app, "k"), req)
				if persisted {
					must(t, err) // the random commitment of its entry shows that it landed
				} else {
					wantError(t, err, abide.CodeOutcomeUnknown, "outcome_unknown")
				}
				w.faults.clear()
				_, err = w.e.Collect(t.Context(), once(app, "k"), req)
				must(t, err)
				if v := w.values(id, "provide", "person.orders"); len(v) != 1 {
					t.Fatalf("orders %v, want one", v)
				}
			})
		})
	}
}

// Without an idempotency key, too, a change that landed although the store
// could not tell is recognised, and not made again.
func TestLandedIsNotRepeated(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		id := w.person(engine.NewSubject{})
		w.faults.set(nil, map[string]error{"commit": storage.ErrOutcomeUnknown})
		must2(w.e.Collect(t.Context(), app, put(id, "shop", items{"person.orders": map[string]int{"n": 1}})))(t)
		w.faults.clear()
		if v := w.values(id, "provide", "person.orders"); len(v) != 1 {
			t.Fatalf("orders %v, want one", v)
		}
	})
}

func TestUniqueValues(t *testing.T) { onEvery(t, uniqueValues) }

func uniqueValues(t *testing.T, w *world) {
	ann, bob := w.person(engine.NewSubject{}), w.person(engine.NewSubject{})
	account := func(id abide.SubjectID, v string) error {
		_, err := w.e.Collect(t.Context(), app, put(id, "chat", items{"person.account": v}))
		return err
	}
	must(t, account(ann, "a-1"))
	wantError(t, account(bob, "a-1"), abide.CodeConflict, "value_taken")
	must(t, account(ann, "a-1")) // her own again
	must(t, account(ann, "a-2"))
	must(t, account(bob, "a-1")) // free again
	_, err := w.e.Erase(t.Context(), admin, ann)
	must(t, err)
	must(t, account(bob, "a-2"))
	if ids, err := w.e.Lookup(t.Context(), app, engine.Lookup{Category: "person.account", Value: []byte(`"a-2"`), Purpose: "chat"}); err != nil || !slices.Equal(ids, []abide.SubjectID{bob}) {
		t.Fatalf("found %v, %v", ids, err)
	}
}

// TestLookupsApart is TestUniqueValues where look-ups lie on other servers.
func TestLookupsApart(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		w.faults.distributed = true
		uniqueValues(t, w)
	})
}

// What commits in one piece is not there in pieces: a change that failed has
// left no claim that would keep others out.
func TestFailedChangeClaimsNothing(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		ann, bob := w.person(engine.NewSubject{}), w.person(engine.NewSubject{})
		w.faults.set(map[string]error{"commit": storage.ErrUnavailable}, nil)
		_, err := w.e.Collect(t.Context(), app, put(ann, "chat", items{"person.account": "a-1"}))
		wantError(t, err, abide.CodeUnavailable, "storage_unavailable")
		w.faults.clear()
		w.collect(bob, "chat", items{"person.account": "a-1"})
	})
}

// A claim that dangles, because its subject never bore the value, does not
// keep others out for longer than it lives.
func TestDanglingClaim(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		w.faults.distributed = true
		ann, bob := w.person(engine.NewSubject{}), w.person(engine.NewSubject{})
		req := put(ann, "chat", items{"person.account": "a-1"})
		w.faults.set(map[string]error{"commit": storage.ErrUnavailable}, nil)
		_, err := w.e.Collect(t.Context(), app, req)
		wantError(t, err, abide.CodeUnavailable, "storage_unavailable")
		w.faults.clear()
		req.Subject = bob
		_, err = w.e.Collect(t.Context(), app, req)
		wantError(t, err, abide.CodeConflict, "value_being_taken") // ann's change could still be on its way
		if ids, err := w.e.Lookup(t.Context(), app, engine.Lookup{Category: "person.account", Value: []byte(`"a-1"`), Purpose: "chat"}); err != nil || len(ids) != 0 {
			t.Fatalf("found %v by a value that nobody bears, %v", ids, err)
		}
		w.clock.add(time.Minute)
		_, err = w.e.Collect(t.Context(), app, req)
		must(t, err)
	})
}

// A claim that was never confirmed, because its process died after the commit,
// still keeps others out: its subject bears the value.
func TestUnconfirmedClaim(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		w.faults.distributed = true
		ann, bob := w.person(engine.NewSubject{}), w.person(engine.NewSubject{})
		w.faults.set(map[string]error{"confirm": storage.ErrUnavailable}, nil)
		w.collect(ann, "chat", items{"person.account": "a-1"})
		w.faults.clear()
		w.clock.add(time.Minute)
		_, err := w.e.Collect(t.Context(), app, put(bob, "chat", items{"person.account": "a-1"}))
		wantError(t, err, abide.CodeConflict, "value_taken")
		if ids, err := w.e.Lookup(t.Context(), app, engine.Lookup{Category: "person.account", Value: []byte(`"a-1"`), Purpose: "chat"}); err != nil || !slices.Equal(ids, []abide.SubjectID{ann}) {
			t.Fatalf("found %v, %v", ids, err)
		}
	})
}

func TestCoarsened(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		id := w.person(engine.NewSubject{})
		w.collect(id, "shop", items{"person.visit": "2026-03-01T09:41:17Z"})
		got, err := w.read(app, id, "provide", "person.visit")
		must(t, err)
		v := got.Data["person.visit"][0]
		if string(v.Value) != `"2026-03-01T00:00:00Z"` || v.Obtained.Hour() != 0 {
			t.Fatalf("kept %s, obtained %s: want the day only", v.Value, v.Obtained)
		}
	})
}

func TestServiceLeft(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		id := w.person(engine.NewSubject{})
		w.collect(id, "shop", items{"person.name": "Ann"})
		left, err := w.e.LeaveService(ctx, self(id), id, "shop")
		must(t, err)
		if !slices.Equal(left.Stop, []string{"checkout"}) || left.Left.IsZero() {
			t.Fatalf("leaving answers %+v, want the sources that must stop", left)
		}
		w.clock.add(time.Second)
		_, err = w.e.Collect(ctx, app, put(id, "shop", items{"person.name": "Anne"}))
		wantReason(t, err, abide.DenySourceStopped)
		_, err = w.e.Collect(ctx, app, put(id, "shop", items{"person.name": "Anne"}))
		wantReason(t, err, abide.DenySourceStopped)
		found, err := w.e.Findings(ctx, admin)
		must(t, err)
		if len(found) != 1 || found[0].Code != engine.FindingSourceMustStop || found[0].Name != "shop" || found[0].Count != 2 {
			t.Fatalf("findings %+v, want both writes raised", found)
		}
		if k := w.kinds(id); k[len(k)-1] != "refused" || !slices.Contains(k, "left_service") {
			t.Fatalf("log %v", k)
		}
		must2(w.e.JoinService(ctx, app, id, "shop"))(t)
		w.clock.add(time.Second)
		w.collect(id, "shop", items{"person.name": "Anne"})

		// Every other service goes on.
		w.collect(id, "chat", items{"person.account": "a"})
		must2(w.e.LeaveService(ctx, app, id, "shop"))(t)
		w.collect(id, "chat", items{"person.account": "b"})
	})
}

func must2[T any](_ T, err error) func(*testing.T) {
	return func(t *testing.T) { t.Helper(); must(t, err) }
}

func TestMissing(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		id := w.person(engine.NewSubject{})
		states, err := w.e.Services(t.Context(), self(id), id)
		must(t, err)
		byName := map[abide.Service]engine.ServiceState{}
		for _, s := range states {
			byName[s.Service] = s
		}
		if s := byName["shop"]; len(s.Missing) != 2 || s.Clause != "privacy#data" {
			t.Fatalf("shop: %+v", s)
		}
		w.collect(id, "shop", items{"person.name": "Ann", "person.email": "ann@example.test"})
		states, err = w.e.Services(t.Context(), self(id), id)
		must(t, err)
		for _, s := range states {
			if s.Service == "shop" && (len(s.Missing) != 0 || s.Since.IsZero()) {
				t.Fatalf("shop: %+v", s)
			}
			if s.Service == "chat" && (len(s.Missing) != 1 || !s.Since.IsZero()) {
				t.Fatalf("chat: %+v", s)
			}
		}
	})
}
