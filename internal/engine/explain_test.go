package engine_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/engine"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/vault"
)

// letter is a person who said yes, got a newsletter, and said no.
func letter(t *testing.T, w *world) (id abide.SubjectID, sent time.Time, record engine.LookReceipt) {
	t.Helper()
	id = w.person(engine.NewSubject{})
	w.collect(id, "shop", items{"person.name": "Ann", "person.email": "ann@example.test"})
	w.clock.add(day)
	w.consent(id, "give")
	w.clock.add(day)
	got, err := w.e.ReadData(t.Context(), app, engine.Read{Subject: id, Purpose: "newsletter", Act: abide.ActContact, Channel: "email",
		Categories: []abide.Category{"person.email"}})
	must(t, err)
	sent = w.clock.now()
	w.clock.add(day)
	w.consent(id, "withdraw")
	w.clock.add(day)
	w.kinds(id) // which makes the look findable by its subject
	return id, sent, got.Receipt
}

func TestExplain(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		id, sent, record := letter(t, w)
		explain := func(r engine.Explain) *engine.Explanation {
			t.Helper()
			r.Subject = id
			if r.Entry == "" {
				r.Purpose = "newsletter"
			}
			x, err := w.e.Explain(t.Context(), self(id), r)
			must(t, err)
			return x
		}
		x := explain(engine.Explain{At: sent.Add(time.Hour)})
		if !x.Then.Allowed() || x.Now.Allowed() || !hasReason(x.Then, abide.PermitConsent) || !hasReason(*x.Now, abide.DenyWithdrawn) {
			t.Fatalf("then %+v, now %+v", x.Then, x.Now)
		}
		if len(x.Agreed) != 1 || x.Agreed[0].Action != abide.ConsentGiven || len(x.Since) != 1 || x.Since[0].Name != "withdrawn newsletter" {
			t.Errorf("agreed %+v, since %+v", x.Agreed, x.Since)
		}
		if r := x.Recorded; r == nil || r.Kind != "contacted" || !r.Agrees || r.Effect != "permit" || r.Entry != place(record) {
			t.Errorf("on record %+v, want the letter", r)
		}
		if x.Asked.Channel != "email" || x.Asked.Act != "contact" || len(x.FromNow) > 0 || x.Policy == nil {
			t.Errorf("asked %+v, from now %v, policy %+v", x.Asked, x.FromNow, x.Policy)
		}

		// Before she said yes, nothing like it is on record.
		x = explain(engine.Explain{At: sent.Add(-30 * time.Hour), Act: abide.ActContact})
		if x.Then.Allowed() || !hasReason(x.Then, abide.DenyNoConsent) || x.Recorded != nil || len(x.Agreed) != 0 {
			t.Errorf("before: %+v", x)
		}
		if r := x.Then.Reasons[0]; r.Clause == "" || r.Span.File == "" || r.Span.Start.Line == 0 {
			t.Errorf("a reason without its line: %+v", r)
		}

		// Each by its name.
		if x = explain(engine.Explain{Entry: place(record)}); x.Recorded == nil || x.Recorded.Kind != "contacted" {
			t.Errorf("by its place: %+v", x.Recorded)
		}
		for name, want := range map[string]string{"1": "unknown_decision", "n1/1/1": "unknown_decision"} {
			_, err := w.e.Explain(t.Context(), self(id), engine.Explain{Subject: id, Entry: name})
			wantError(t, err, abide.CodeNotFound, want)
		}
		for _, c := range []struct {
			at     time.Time
			code   abide.Code
			detail string
		}{{w.clock.now().Add(time.Hour), abide.CodeInvalid, "in_the_future"}, {sent.Add(-90 * day), abide.CodeNotFound, "unknown_then"}} {
			_, err := w.e.Explain(t.Context(), self(id), engine.Explain{Subject: id, Purpose: "newsletter", At: c.at})
			wantError(t, err, c.code, c.detail)
		}
		_, err := w.e.Explain(t.Context(), self(id), engine.Explain{Subject: id})
		wantError(t, err, abide.CodeInvalid, "purpose_missing")
	})
}

func place(r engine.LookReceipt) string {
	return fmt.Sprintf("%s/%d/%d", r.Node, r.Batch, r.Pos)
}

// Explaining is a look at the person: it wants a role that may, and goes on
// record before it is answered.
func TestExplainingIsALook(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		id, _, _ := letter(t, w)
		ask := func(c engine.Call) error {
			_, err := w.e.Explain(t.Context(), c, engine.Explain{Subject: id, Purpose: "newsletter"})
			return err
		}
		for name, c := range map[string]engine.Call{"a service": app, "no role": serving("sam", "newsletter"), "another": self(w.person(engine.NewSubject{}))} {
			if ask(c) == nil {
				t.Errorf("%s may explain", name)
			}
		}
		before := w.kinds(id)
		must(t, ask(self(id)))
		if now := w.kinds(id); len(now) != len(before) {
			t.Errorf("the person's own question is on record: %v", now)
		}
		must(t, ask(admin))
		if now := w.kinds(id); len(now) != len(before)+1 || now[len(now)-1] != "staff_access" {
			t.Errorf("log %v", now)
		}
		w.faults.set(map[string]error{"spool": storage.ErrUnavailable}, nil)
		if ask(admin) == nil {
			t.Error("answered without a record")
		}
		w.faults.clear()
		must2(w.e.Erase(t.Context(), admin, id))(t)
		x, err := w.e.Explain(t.Context(), admin, engine.Explain{Subject: id, Purpose: "newsletter", At: w.clock.now().Add(-2 * day)})
		must(t, err)
		if x.Status != abide.StatusErased || x.Then.Allowed() || !hasReason(x.Then, abide.DenyErased) || len(x.Agreed)+len(x.Since) > 0 || x.Recorded != nil {
			t.Fatalf("of an erased person: %+v", x)
		}
	})
}

// A record that says something else than what was decided is told from what log
// and ledger say, thing by thing.
func TestExplainNamesWhatTheRecordSaysWrongly(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		id, sent, record := letter(t, w)
		must(t, w.e.Close(t.Context()))
		wrapped, err := w.keys.Get(t.Context(), id)
		must(t, err)
		v := vault.New(w.ring)
		k, err := v.Unlock(id, wrapped)
		must(t, err)
		look, err := w.store.Look(t.Context(), id, storage.LookKey(record))
		must(t, err)
		part, err := v.OpenLook(k, look)
		must(t, err)
		env, err := v.OpenEnvelope(look.Envelope, look.Commitment)
		must(t, err)
		names := map[string]func(p *audit.Part, e *audit.Envelope){
			"none": func(*audit.Part, *audit.Envelope) {},
			"effect reason": func(_ *audit.Part, e *audit.Envelope) {
				e.Effect, e.Reasons = "deny", []audit.Ground{{Code: abide.DenyWithdrawn, Clause: "privacy#newsletter"}}
			},
			"reason":        func(_ *audit.Part, e *audit.Envelope) { e.Reasons = nil },
			"effect":        func(_ *audit.Part, e *audit.Envelope) { e.Effect = "deny" },
			"later consent": func(p *audit.Part, _ *audit.Envelope) { p.Judged.State = 1 << 40 },
			"purpose":       func(p *audit.Part, _ *audit.Envelope) { p.Judged.Carries = nil },
			"policy":        func(p *audit.Part, e *audit.Envelope) { p.Judged.At = sent.Add(-80 * day) },
		}
		batch := uint64(0)
		forged := map[string]string{}
		for name, change := range names {
			p, e := *part, *env
			j := *part.Judged
			p.Judged = &j
			change(&p, &e)
			l, err := v.SealLook(k, id, p, e)
			must(t, err)
			batch++
			must(t, w.store.Spool(t.Context(), &storage.SpoolBatch{Node: "forger", Batch: batch, At: e.At, Looks: []storage.Look{l}}))
			forged[name] = place(engine.LookReceipt{Node: "forger", Batch: batch})
		}
		w.restart()
		for name, entry := range forged {
			x, err := w.e.Explain(t.Context(), self(id), engine.Explain{Subject: id, Entry: entry})
			must(t, err)
			text, err := json.Marshal(x.Recorded.Differences)
			must(t, err)
			if x.Recorded.Agrees != (name == "none") {
				t.Errorf("%s: agrees %v, %s", name, x.Recorded.Agrees, text)
			}
			for _, d := range x.Recorded.Differences {
				if d.Text == "" || d.What == "reason" && (d.Clause == "" || d.Span.File == "") && d.Remade != string(abide.DenyActorPurpose) {
					t.Errorf("%s: a difference without words, clause or line: %s", name, text)
				}
			}
			for _, want := range strings.Fields(map[string]string{"effect reason": `"effect" withdrawn given`, "reason": `"reason" permitted`, "effect": `"effect"`,
				"later consent": "withdrawn", "purpose": "actor_lacks_purpose nothing", "policy": `"policy"`}[name]) {
				if want != "permitted" && !strings.Contains(string(text), want) {
					t.Errorf("%s: %s does not say %s", name, text, want)
				}
			}
		}
	})
}

// Who changes a record in the store, and has no keys, has it named.
func TestExplainNamesADamagedRecord(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		id, sent, record := letter(t, w)
		must(t, w.e.Close(t.Context()))
		look, err := w.store.Look(t.Context(), id, storage.LookKey(record))
		must(t, err)
		l := *look
		l.Envelope = append([]byte(nil), look.Envelope...)
		l.Envelope[len(l.Envelope)-1] ^= 1
		must(t, w.store.Spool(t.Context(), &storage.SpoolBatch{Node: "forger", Batch: 1, At: l.At, Looks: []storage.Look{l}}))
		w.restart()
		_, err = w.e.Explain(t.Context(), self(id), engine.Explain{Subject: id, Purpose: "newsletter", At: sent.Add(time.Hour)})
		if abide.ErrorCode(err) != abide.CodeInternal || abide.ErrorDetail(err) == "" {
			t.Fatalf("a changed record: %v", err)
		}
	})
}

// When the answer changed: by what the person said, by a birthday, by an expiry,
// by what is known, by a policy.
func TestExplainTellsWhenTheAnswerChanged(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		start := w.clock.now()
		id := w.person(engine.NewSubject{})
		w.clock.add(day)
		must2(w.e.WriteConsent(t.Context(), app, func() engine.ConsentWrite {
			c := say(id, "give")
			c.Expires = w.clock.now().Add(100*day + 90*time.Minute)
			return c
		}()))(t)
		w.clock.add(200 * day)
		must2(w.e.UpdateSubject(t.Context(), admin, id, engine.SubjectPatch{Restricted: new(true)}))(t)
		w.clock.add(day)
		x, err := w.e.Explain(t.Context(), self(id), engine.Explain{Subject: id, Purpose: "newsletter", Act: abide.ActContact,
			Categories: []abide.Category{"person.email"}, Since: start.Add(-day)})
		must(t, err)
		want := []struct {
			at     time.Time
			effect string
			why    string
		}{
			{start, "deny", ""},
			{start.Add(day), "permit", "given newsletter (event 1)"},
			{start.Add(101*day + 90*time.Minute), "deny", "Time passed"},
			{start.Add(201 * day), "deny", "restriction (entry 3)"},
		}
		if len(x.Turns) != len(want) {
			t.Fatalf("turns %+v", x.Turns)
		}
		for i, turn := range x.Turns {
			if !turn.At.Equal(want[i].at) || turn.Effect != want[i].effect || !strings.Contains(strings.Join(turn.Why, " "), want[i].why) || (len(turn.Why) == 0) != (i == 0) {
				t.Errorf("turn %d: %+v, want %+v", i, turn, want[i])
			}
		}
		_, err = w.e.Explain(t.Context(), self(id), engine.Explain{Subject: id, Purpose: "newsletter", At: start.Add(day), Since: start.Add(2 * day)})
		wantError(t, err, abide.CodeInvalid, "bad_since")
	})
}
