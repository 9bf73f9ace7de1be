package engine_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/engine"
)

func service(name string, purposes ...abide.Purpose) engine.Call {
	return engine.Call{Actor: abide.Actor{Kind: abide.ActorService, Name: name, Purposes: purposes}, Token: name}
}

func serving(name string, purposes ...abide.Purpose) engine.Call {
	return engine.Call{Actor: abide.Actor{Kind: abide.ActorStaff, Name: name, Role: "support", Purposes: purposes}, Token: name}
}

// Whoever holds a token cannot agree for people to purposes that the token
// does not carry. A no passes from anybody.
func TestNobodyAgreesForOthersPurposes(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		id := w.person(engine.NewSubject{})
		say := func(c engine.Call, action string) error {
			_, err := w.e.WriteConsent(t.Context(), c, engine.ConsentWrite{Subject: id, Purpose: "newsletter", Action: action,
				Evidence: abide.Evidence{Wording: "Yes.", Note: "asked by phone"}})
			return err
		}
		for _, c := range []engine.Call{service("none"), service("checkout", "provide"), serving("sam", "provide")} {
			for _, action := range []string{"ask", "tell", "give", "indicate_no_objection", "renew", "lift_objection"} {
				wantError(t, say(c, action), abide.CodeDenied, "actor_may_not")
			}
			for _, action := range []string{"refuse", "object", "withdraw"} {
				must(t, say(c, action))
			}
		}
		_, err := w.e.WriteConsent(t.Context(), service("none"), engine.ConsentWrite{Subject: id, Document: "privacy", Action: "accept"})
		wantError(t, err, abide.CodeDenied, "actor_may_not")
		for _, c := range []engine.Call{app, serving("sam", "newsletter"), self(id)} {
			must(t, say(c, "lift_objection"))
			must(t, say(c, "give"))
		}
	})
}

// What is known of a person is seen by those who have a purpose, and of the
// ledger only what is about it.
func TestLedgerIsSeenByPurpose(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		id := w.person(engine.NewSubject{})
		must2(w.e.WriteConsent(t.Context(), app, engine.ConsentWrite{Subject: id, Purpose: "newsletter", Action: "give",
			Evidence: abide.Evidence{Wording: "Send me news."}}))(t)
		for _, c := range []struct {
			call engine.Call
			want int
		}{{app, 1}, {self(id), 1}, {admin, 1}, {service("checkout", "provide"), 0}} {
			v, err := w.e.Consents(t.Context(), c.call, id)
			must(t, err)
			if len(v.Events) != c.want || len(v.State) != c.want {
				t.Errorf("%s sees %d events and %d states, want %d", c.call.Token, len(v.Events), len(v.State), c.want)
			}
		}
		none := service("none")
		for name, see := range map[string]func() error{
			"consents": func() error { _, err := w.e.Consents(t.Context(), none, id); return err },
			"services": func() error { _, err := w.e.Services(t.Context(), none, id); return err },
			"subject":  func() error { _, err := w.e.Subject(t.Context(), none, id); return err },
			"update": func() error {
				_, err := w.e.UpdateSubject(t.Context(), none, id, engine.SubjectPatch{})
				return err
			},
			"event": func() error { return w.e.RecordEvent(t.Context(), none, id, "order.closed", "1", time.Time{}) },
			"join":  func() error { _, err := w.e.JoinService(t.Context(), none, id, "shop"); return err },
			"join for another purpose": func() error {
				_, err := w.e.JoinService(t.Context(), service("checkout", "newsletter"), id, "shop")
				return err
			},
			"event for another purpose": func() error {
				return w.e.RecordEvent(t.Context(), service("checkout", "newsletter"), id, "order.closed", "1", time.Time{})
			},
		} {
			if err := see(); abide.ErrorDetail(err) != "actor_may_not" {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// A service cannot open by its own word what the state of a person closes.
func TestServiceDoesNotLoosen(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		yes, no := true, false
		older, younger, unknown := abide.Date{Year: 1980, Month: 1, Day: 1}, abide.Date{Year: 2016, Month: 1, Day: 1}, abide.Date{}
		child := w.person(engine.NewSubject{BirthDate: abide.Date{Year: 2015, Month: 1, Day: 1}, DeclaredMinor: true})
		must2(w.e.UpdateSubject(t.Context(), app, child, engine.SubjectPatch{Restricted: &yes}))(t)
		for name, patch := range map[string]engine.SubjectPatch{
			"no restriction": {Restricted: &no}, "grown up": {BirthDate: &older}, "no age": {BirthDate: &unknown}, "not declared": {DeclaredMinor: &no},
		} {
			_, err := w.e.UpdateSubject(t.Context(), app, child, patch)
			if abide.ErrorDetail(err) != "actor_may_not" {
				t.Errorf("%s: %v", name, err)
			}
		}
		must2(w.e.UpdateSubject(t.Context(), app, child, engine.SubjectPatch{BirthDate: &younger, Restricted: &yes, DeclaredMinor: &yes}))(t)
		must2(w.e.UpdateSubject(t.Context(), serving("sam", "provide"), child, engine.SubjectPatch{BirthDate: &older, Restricted: &no, DeclaredMinor: &no}))(t)
	})
}

// Deadlines wait for facts; a fact of the future would put them off at will.
func TestFutureFactsRefused(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		id := w.person(engine.NewSubject{})
		now := w.clock.now()
		must(t, w.e.RecordEvent(t.Context(), app, id, "order.closed", "1", now.Add(time.Minute)))
		for _, at := range []time.Time{now.Add(time.Hour), now.AddDate(900, 0, 0)} {
			wantError(t, w.e.RecordEvent(t.Context(), app, id, "order.closed", "1", at), abide.CodeInvalid, "in_the_future")
		}
	})
}

// A channel is one of the purpose's, never a text of the caller's.
func TestUnknownChannelsRefused(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		id := w.person(engine.NewSubject{})
		give := func(ch abide.Channel) error {
			_, err := w.e.WriteConsent(t.Context(), app, engine.ConsentWrite{Subject: id, Purpose: "newsletter", Action: "give",
				Channels: []abide.Channel{ch}, Evidence: abide.Evidence{Wording: "Yes."}})
			return err
		}
		must(t, give("email"))
		for _, ch := range []abide.Channel{"pigeon", "ann@example.test", abide.Channel(strings.Repeat("x", 1<<20))} {
			wantError(t, give(ch), abide.CodeInvalid, "unknown_channel")
		}
	})
}

// Whoever may not act for a purpose neither sees what is asked for it, nor agrees
// to it.
func TestApprovalsOfOwnPurposes(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		id := w.person(engine.NewSubject{})
		ask := func(by engine.Call, p abide.Purpose) string {
			a, err := w.e.AskApproval(t.Context(), by, engine.ApprovalRequest{Subject: id, Purpose: p,
				Categories: []abide.Category{"person.email"}, Reason: "Ann Smith complains"})
			must(t, err)
			return a.ID
		}
		mara := serving("mara", "provide", "newsletter")
		provide, newsletter := ask(mara, "provide"), ask(mara, "newsletter")
		for _, c := range []struct {
			call engine.Call
			want []string
		}{
			{serving("sam", "provide"), []string{provide}},
			{serving("eve", "newsletter"), []string{newsletter}},
			{serving("ben", "books"), nil},
			{mara, []string{provide, newsletter}},
			{admin, []string{provide, newsletter}},
		} {
			got, err := w.e.Approvals(t.Context(), c.call)
			must(t, err)
			var ids []string
			for _, a := range got {
				ids = append(ids, a.ID)
			}
			slices.Sort(ids)
			want := slices.Sorted(slices.Values(c.want))
			if !slices.Equal(ids, want) {
				t.Errorf("%s sees %v, want %v", c.call.Token, ids, want)
			}
		}
		_, err := w.e.Approve(t.Context(), serving("eve", "newsletter"), provide)
		wantError(t, err, abide.CodeDenied, "actor_may_not")
		must2(w.e.Approve(t.Context(), serving("sam", "provide"), provide))(t)
	})
}

// A reason for which others are asked to agree speaks of the person, and goes
// with them.
func TestErasureForgetsApprovals(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		gone, stays := w.person(engine.NewSubject{}), w.person(engine.NewSubject{})
		asker, other := serving("mara", "provide"), serving("sam", "provide")
		ask := func(id abide.SubjectID) (engine.Approval, error) {
			return w.e.AskApproval(t.Context(), asker, engine.ApprovalRequest{Subject: id, Purpose: "provide",
				Categories: []abide.Category{"person.email"}, Reason: "Ann Smith complains"})
		}
		first, err := ask(gone)
		must(t, err)
		second, err := ask(stays)
		must(t, err)
		must2(w.e.Erase(t.Context(), admin, gone))(t)
		left, err := w.e.Approvals(t.Context(), other)
		must(t, err)
		if len(left) != 1 || left[0].ID != second.ID {
			t.Errorf("approvals left: %+v", left)
		}
		_, err = w.e.Approve(t.Context(), other, first.ID)
		wantError(t, err, abide.CodeNotFound, "no_such_approval")
		_, err = ask(gone)
		wantError(t, err, abide.CodeErased, "subject_erased")
		_, err = w.e.Approve(t.Context(), serving("eve"), second.ID)
		wantError(t, err, abide.CodeDenied, "actor_may_not")
		must2(w.e.Approve(t.Context(), other, second.ID))(t)
	})
}
