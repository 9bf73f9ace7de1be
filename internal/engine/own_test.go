package engine_test

import (
	"archive/zip"
	"bytes"
	"os"
	"testing"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/engine"
	"github.com/abide-privacy/abide/internal/storage"
)

// Whoever can write to the database but has no keyring gives no token a right
// that it did not have: not by editing its row, and not by adding one.
func TestEditedToken(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		secret, _, err := w.e.CreateToken(t.Context(), admin, engine.NewToken{Name: "mail", Expires: w.clock.now().Add(time.Hour),
			Actor: abide.Actor{Kind: abide.ActorService, Purposes: []abide.Purpose{"newsletter"}}})
		must(t, err)
		other, _, err := w.e.CreateToken(t.Context(), admin, engine.NewToken{Name: "lead",
			Actor: abide.Actor{Kind: abide.ActorStaff, Admin: true}})
		must(t, err)
		lead, err := w.tokenRow(t, "lead")
		must(t, err)
		for name, edit := range map[string]func(*storage.TokenRow){
			"purpose":  func(r *storage.TokenRow) { r.Actor.Purposes = append(r.Actor.Purposes, "provide") },
			"admin":    func(r *storage.TokenRow) { r.Actor.Admin = true },
			"name":     func(r *storage.TokenRow) { r.Name = "app" },
			"expiry":   func(r *storage.TokenRow) { r.Expires = time.Time{} },
			"unproved": func(r *storage.TokenRow) { r.Seal = nil },
			"taken from another": func(r *storage.TokenRow) {
				hash := r.Hash
				*r = lead
				r.Hash = hash
			},
		} {
			e := w.over(&tampered{token: edit})
			if _, _, err := e.Authenticate(t.Context(), secret); abide.ErrorDetail(err) != "token_damaged" {
				t.Errorf("%s: %v, want token_damaged", name, err)
			}
		}
		for _, s := range []string{secret, other} {
			_, _, err := w.e.Authenticate(t.Context(), s)
			must(t, err)
		}
	})
}

func (w *world) tokenRow(t *testing.T, name string) (storage.TokenRow, error) {
	rows, err := w.store.Tokens(t.Context())
	for _, r := range rows {
		if r.Name == name {
			return r, err
		}
	}
	t.Fatal("no such token: " + name)
	return storage.TokenRow{}, err
}

// A register edited or added in the store is refused, not believed: a contract
// that ended does not run on because somebody wrote another day over it.
func TestEditedRegister(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		must(t, w.e.PutRegister(t.Context(), admin, "contracts", "print", []byte(`{"recipient":"couriers","signed":"2026-01-01T00:00:00Z","ends":"2026-02-01T00:00:00Z"}`)))
		for name, edit := range map[string]func(*storage.Record){
			"plain": func(r *storage.Record) {
				r.Body = []byte(`{"name":"print","recipient":"couriers","signed":"2026-01-01T00:00:00Z"}`)
			},
			"renamed": func(r *storage.Record) { r.Name = "post" },
			"version": func(r *storage.Record) { r.Version++ },
			"kind":    func(r *storage.Record) { r.Kind = "member" },
		} {
			e := w.over(&tampered{record: edit})
			if v, err := e.Register(t.Context(), admin); abide.ErrorDetail(err) != "system_damaged" {
				t.Errorf("%s: %v %v, want system_damaged", name, v, err)
			}
		}
		must2(w.e.Register(t.Context(), admin))(t)
	})
}

// A policy that somebody put into the store, complete and of the right version,
// is not in force: only what was published with the keyring is.
func TestForgedPolicy(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		id := w.person(engine.NewSubject{})
		fsys := os.DirFS("testdata/policy")
		ep, err := w.store.Epoch(t.Context())
		must(t, err)
		var packed bytes.Buffer
		z := zip.NewWriter(&packed)
		must(t, z.AddFS(fsys))
		must(t, z.Close())
		forged := &storage.PolicyRow{Version: ep.Version, N: ep.N, Source: packed.Bytes(), Published: ep.Since, By: "lead"}
		e := w.over(&tampered{forged: forged})
		_, err = e.Decide(t.Context(), app, engine.Decide{Subject: id, Purpose: "provide", Act: abide.ActRead})
		wantError(t, err, abide.CodeUnavailable, string(abide.DenyPolicyUnavailable))
	})
}

// A token without any purpose learns of nobody: neither by a reference, nor by
// creating a person whom somebody else created.
func TestNoPurposeNobodyFound(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		w.person(engine.NewSubject{Reference: "customer-1"})
		none := engine.Call{Actor: abide.Actor{Kind: abide.ActorService, Name: "none"}, Token: "none"}
		for _, ref := range []string{"customer-1", "customer-2"} {
			_, err := w.e.Lookup(t.Context(), none, engine.Lookup{Category: "~reference", Value: []byte(`"` + ref + `"`)})
			wantError(t, err, abide.CodeDenied, "actor_may_not")
			_, err = w.e.CreateSubject(t.Context(), none, engine.NewSubject{Reference: ref})
			wantError(t, err, abide.CodeDenied, "actor_may_not")
		}
	})
}

// Times that no answer could write again are refused where they come in.
func TestTimesBeyondWriting(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		id := w.person(engine.NewSubject{})
		for _, text := range []string{"9999-12-31T23:59:59-12:00", "0000-01-01T00:00:00+14:00"} {
			at, err := time.Parse(time.RFC3339, text)
			must(t, err)
			say := say(id, "give")
			say.Expires = at
			_, err = w.e.WriteConsent(t.Context(), app, say)
			wantError(t, err, abide.CodeInvalid, "bad_time")
			c := put(id, "shop", map[abide.Category]any{"person.email": "a@example.test"})
			c.Obtained = at
			_, err = w.e.Collect(t.Context(), app, c)
			wantError(t, err, abide.CodeInvalid, "bad_time")
		}
	})
}

// Looking for somebody who is not there leaves a trace as well: trying out
// numbers does not go unseen.
func TestLookupOfNobodyIsRecorded(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		before := w.spooled(t)
		for _, l := range []engine.Lookup{
			{Category: "person.email", Value: []byte(`"nobody@example.test"`), Purpose: "provide"},
			{Category: "~reference", Value: []byte(`"nobody"`)},
		} {
			ids, err := w.e.Lookup(t.Context(), app, l)
			must(t, err)
			if len(ids) != 0 {
				t.Fatal("found somebody")
			}
			after := w.spooled(t)
			if after != before+1 {
				t.Errorf("%s: %d records, want %d", l.Category, after, before+1)
			}
			before = after
		}
	})
}

func (w *world) spooled(t *testing.T) int {
	t.Helper()
	batches, err := w.store.SpoolBatches(t.Context(), 1000)
	must(t, err)
	n := 0
	for _, b := range batches {
		n += len(b.Looks)
	}
	return n
}

// A name with a NUL or broken UTF-8 is a name nobody knows, on both engines:
// the refusal is an answer and on record, not a fault of the store.
func TestNamesThatNoColumnHolds(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		id := w.person(engine.NewSubject{})
		const nul = "x\x00" // no JSON text brings broken UTF-8 this far
		before := w.spooled(t)
		_, err := w.read(app, id, "provide", abide.Category(nul))
		wantError(t, err, abide.CodeDenied, "denied")
		if after := w.spooled(t); after != before+1 {
			t.Errorf("a refusal for %q left %d records", nul, after-before)
		}
		_, err = w.e.Collect(t.Context(), app, put(id, "shop", map[abide.Category]any{abide.Category(nul): "x"}))
		wantError(t, err, abide.CodeDenied, "denied")
		for _, bad := range []string{nul, "x\xff"} {
			_, _, err := w.e.CreateToken(t.Context(), admin, engine.NewToken{Name: bad, Actor: abide.Actor{Kind: abide.ActorService}})
			wantError(t, err, abide.CodeInvalid, "bad_token_name")
			wantError(t, w.e.PutRegister(t.Context(), admin, "staff", bad, []byte(`{}`)), abide.CodeInvalid, "bad_register_name")
			must(t, w.e.DropRegister(t.Context(), admin, "staff", bad))
			must(t, w.e.RevokeToken(t.Context(), admin, bad))
			_, err = w.e.PolicySource(t.Context(), bad)
			wantError(t, err, abide.CodeNotFound, "policy_not_found")
			must2(w.e.Counters(t.Context(), app, abide.Category(bad)))(t)
		}
	})
}
