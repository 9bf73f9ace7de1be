package engine_test

import (
	"encoding/json"
	"slices"
	"testing"
	"testing/fstest"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/engine"
	"github.com/abide-privacy/abide/internal/storage"
)

// Before consent, after, after withdrawal, and as of each of those times: deny,
// permit, deny; again deny, permit, deny; for an erased person, erased.
func TestConsentThroughTime(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		id := w.person(engine.NewSubject{})
		step := func() time.Time { at := w.clock.now(); w.clock.add(time.Hour); return at }
		before := w.newsletter(id, time.Time{})
		t0 := step()
		w.consent(id, "give")
		given := w.newsletter(id, time.Time{})
		t1 := step()
		w.consent(id, "withdraw")
		withdrawn := w.newsletter(id, time.Time{})
		t2 := step()
		for i, d := range []abide.Decision{before, given, withdrawn, w.newsletter(id, t0), w.newsletter(id, t1), w.newsletter(id, t2)} {
			if got, want := d.Allowed(), i%3 == 1; got != want {
				t.Errorf("step %d: permitted %v, want %v: %+v", i, got, want, d.Reasons)
			}
		}
		if d := w.newsletter(id, t2); !hasReason(d, abide.DenyWithdrawn) {
			t.Errorf("as of the withdrawal: %+v", d.Reasons)
		}
		must2(w.e.Erase(t.Context(), admin, id))(t)
		for _, at := range []time.Time{{}, t0, t1, t2} {
			if d := w.newsletter(id, at); d.Allowed() || !hasReason(d, abide.DenyErased) {
				t.Errorf("erased, as of %v: %+v", at, d)
			}
		}
	})
}

// A question about the past is answered by the policy and the facts of that
// day.
func TestAsOfPolicyAndFacts(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		id := w.person(engine.NewSubject{})
		read := func(at time.Time) abide.Decision {
			d, err := w.e.Decide(t.Context(), app, engine.Decide{Subject: id, Purpose: "provide", Act: abide.ActRead, Categories: []abide.Category{"person.phone"}, AsOf: at})
			must(t, err)
			return d
		}
		t0 := w.clock.now()
		if d := read(t0.Add(-time.Hour)); d.Allowed() {
			t.Errorf("before the first policy: %+v", d)
		}
		w.clock.add(time.Hour)
		yes := true
		must2(w.e.UpdateSubject(t.Context(), app, id, engine.SubjectPatch{Restricted: &yes}))(t)
		t1 := w.clock.now()
		w.clock.add(time.Hour)
		no := false
		must2(w.e.UpdateSubject(t.Context(), admin, id, engine.SubjectPatch{Restricted: &no}))(t)
		w.publish(edit(t, "person.phone, ", "", "phone number, account id, card", "account id, card"))
		w.clock.add(time.Hour)
		if d := read(t0); !d.Allowed() {
			t.Errorf("under the first policy: %+v", d.Reasons)
		}
		if d := read(t1); !hasReason(d, abide.DenyRestricted) {
			t.Errorf("while restricted: %+v", d.Reasons)
		}
		if d := read(time.Time{}); !hasReason(d, abide.DenyNotCovered) {
			t.Errorf("under the policy in force: %+v", d.Reasons)
		}
	})
}

// When terms widen, what was agreed stays permitted and the rest is refused
// with its own reason.
func TestTermsWiden(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		id := w.person(engine.NewSubject{})
		w.consent(id, "give")
		w.clock.add(time.Hour)
		w.publish(edit(t, "contacts  = [person.name, person.email]", "contacts  = [person.name, person.email, person.phone]",
			"it goes to your name and e-mail address", "it goes to your name, phone number and e-mail address"))
		contact := func(c abide.Category) abide.Decision {
			d, err := w.e.Decide(t.Context(), app, engine.Decide{Subject: id, Purpose: "newsletter", Act: abide.ActContact, Categories: []abide.Category{c}})
			must(t, err)
			return d
		}
		if d := contact("person.email"); !d.Allowed() {
			t.Errorf("old category: %+v", d.Reasons)
		}
		if d := contact("person.phone"); !hasReason(d, abide.DenyTermsNotCovered) {
			t.Errorf("new category: %+v", d.Reasons)
		}
		v, err := w.e.Consents(t.Context(), self(id), id)
		must(t, err)
		if len(v.State) != 1 || v.State[0].TermsCurrent {
			t.Errorf("state %+v: want old terms", v.State)
		}
		w.consent(id, "give")
		if d := contact("person.phone"); !d.Allowed() {
			t.Errorf("asked anew: %+v", d.Reasons)
		}
	})
}

func TestReceipt(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		id := w.person(engine.NewSubject{})
		req := say(id, "give")
		r, err := w.e.WriteConsent(t.Context(), once(app, "k"), req)
		must(t, err)
		again, err := w.e.WriteConsent(t.Context(), once(app, "k"), req)
		must(t, err)
		if again.ID != r.ID {
			t.Fatal("the retry got another receipt")
		}
		key, keyID := w.e.PublicKeys()[0].Key, w.e.PublicKeys()[0].ID
		text, err := audit.Canonical(again)
		must(t, err)
		got, err := audit.VerifyReceipt(text, key)
		must(t, err)
		if got.Key != keyID || got.Subject != id || got.Event != 1 || got.Terms == "" || got.WordingHash == "" || got.Controller != "Example Ltd, privacy@example.test" {
			t.Fatalf("receipt %+v", got)
		}
		entries, _, err := w.e.SubjectLog(t.Context(), self(id), id, engine.Page{})
		must(t, err)
		i := slices.IndexFunc(entries, func(e engine.LogEntry) bool { return e.N == r.LogEntry })
		if i < 0 || entries[i].Kind != "consented" {
			t.Fatalf("the receipt names entry %d, which is %+v", r.LogEntry, entries)
		}
		forged := []byte(string(text))
		forged = []byte(replaceOnce(string(forged), `"newsletter"`, `"newsletters"`))
		if _, err := audit.VerifyReceipt(forged, key); err == nil {
			t.Fatal("a forged receipt verifies")
		}
	})
}

func TestConsentRules(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		id := w.person(engine.NewSubject{})
		topic := say(id, "give")
		topic.Topics = []abide.Topic{"weather"}
		old := say(id, "give")
		old.At = w.clock.now().Add(-day)
		unknown := say(id, "give")
		unknown.Purpose = "fun"
		document := engine.ConsentWrite{Subject: id, Action: "accept", Document: "constitution"}
		for _, c := range []struct {
			name   string
			call   engine.Call
			req    engine.ConsentWrite
			code   abide.Code
			detail string
		}{
			{"unknown action", app, say(id, "shrug"), abide.CodeInvalid, "bad_action"},
			{"unknown purpose", app, unknown, abide.CodeInvalid, "unknown_purpose"},
			{"unknown topic", app, topic, abide.CodeInvalid, "unknown_topic"},
			{"unknown document", app, document, abide.CodeInvalid, "unknown_document"},
			{"an import without an administrator", app, old, abide.CodeDenied, "actor_may_not"},
			{"indication without notice", app, say(id, "indicate_no_objection"), abide.CodeConflict, "not_told"},
			{"somebody else", self(abide.SubjectID{3}), say(id, "give"), abide.CodeNotFound, "subject_not_found"},
		} {
			_, err := w.e.WriteConsent(t.Context(), c.call, c.req)
			if abide.ErrorCode(err) != c.code || abide.ErrorDetail(err) != c.detail {
				t.Errorf("%s: %v, want %s (%s)", c.name, err, c.code, c.detail)
			}
		}
		v, err := w.e.Consents(t.Context(), self(id), id)
		must(t, err)
		if len(v.Events) != 0 {
			t.Fatalf("refused events are in the ledger: %+v", v.Events)
		}
		old.Grade = abide.GradeClaimed
		must2(w.e.WriteConsent(t.Context(), staff(admin, "import"), withNote(old)))(t)
		must2(w.e.WriteConsent(t.Context(), app, engine.ConsentWrite{Subject: id, Action: "accept", Document: "privacy", Evidence: say(id, "").Evidence}))(t)
		v, err = w.e.Consents(t.Context(), self(id), id)
		must(t, err)
		if len(v.Events) != 2 || v.Events[0].Grade != abide.GradeClaimed || !v.Events[0].At.Equal(old.At) || len(v.Accepted) != 1 {
			t.Fatalf("ledger %+v", v)
		}
		if v.Events[0].Actor.Purposes != nil || v.Events[0].Actor.Admin {
			t.Fatalf("the ledger says what else the actor may do: %+v", v.Events[0].Actor)
		}
	})
}

func staff(c engine.Call, token string) engine.Call { c.Token = token; return c }

func withNote(r engine.ConsentWrite) engine.ConsentWrite {
	r.Evidence.Note = "from the old system"
	return r
}

// A withdrawal whose outcome was unknown binds once it is acknowledged, and is
// in the ledger once.
func TestWithdrawalOutcomeUnknown(t *testing.T) {
	for name, persisted := range map[string]bool{"failed and not persisted": false, "failed although persisted": true} {
		t.Run(name, func(t *testing.T) {
			onEvery(t, func(t *testing.T, w *world) {
				id := w.person(engine.NewSubject{})
				w.consent(id, "give")
				lost := map[string]error{"commit": storage.ErrOutcomeUnknown}
				if persisted {
					w.faults.set(nil, lost)
				} else {
					w.faults.set(lost, nil)
				}
				_, err := w.e.WriteConsent(t.Context(), once(app, "k"), say(id, "withdraw"))
				w.faults.clear()
				if d := w.newsletter(id, time.Time{}); err == nil && d.Allowed() {
					t.Fatal("an acknowledged withdrawal does not bind")
				}
				must2(w.e.WriteConsent(t.Context(), once(app, "k"), say(id, "withdraw")))(t)
				if d := w.newsletter(id, time.Time{}); d.Allowed() {
					t.Fatal("an acknowledged withdrawal does not bind")
				}
				v, err := w.e.Consents(t.Context(), self(id), id)
				must(t, err)
				if len(v.Events) != 2 {
					t.Fatalf("%d events, want the consent and one withdrawal", len(v.Events))
				}
			})
		})
	}
}

// edit returns the test policy with texts replaced, old and new in turn.
func edit(t *testing.T, oldnew ...string) fstest.MapFS {
	t.Helper()
	text := policyText(t)
	for i := 0; i < len(oldnew); i += 2 {
		changed := replaceOnce(text, oldnew[i], oldnew[i+1])
		if changed == text {
			t.Fatalf("the policy has no %q", oldnew[i])
		}
		text = changed
	}
	return fstest.MapFS{"privacy.md": {Data: []byte(text)}}
}

func (w *world) publish(folder fstest.MapFS) engine.PublishInfo {
	w.t.Helper()
	res, info, err := w.e.Publish(w.t.Context(), admin, folder)
	if abide.ErrorDetail(err) == "policy_rejected" {
		found, _ := json.MarshalIndent(res.Diagnostics, "", " ")
		w.t.Fatalf("%s", found)
	}
	must(w.t, err)
	return info
}
