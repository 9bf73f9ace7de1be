package consent_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/consent"
	"github.com/abide-privacy/abide/policy"
)

var person = abide.Actor{Kind: abide.ActorSubject}

func yes() abide.ConsentEvent {
	return abide.ConsentEvent{Action: abide.ConsentGiven, Purpose: "marketing", Terms: "A", Actor: person,
		Evidence: abide.Evidence{Wording: "I agree to letters", Language: "en"}}
}

// facts folds a ledger as of its latest event.
func facts(t testing.TB, lines ...string) *policy.Facts {
	t.Helper()
	f := &policy.Facts{Status: abide.StatusActive}
	events := ledger(t, lines...)
	at := start
	for i := range events {
		if events[i].At.After(at) {
			at = events[i].At
		}
	}
	fold(events, at).Put(f)
	return f
}

func TestNext(t *testing.T) {
	now := consent.Options{Now: day(30)}
	imported := consent.Options{Now: day(30), Import: true}
	with := func(change func(e *abide.ConsentEvent)) abide.ConsentEvent { e := yes(); change(&e); return e }
	by := func(a abide.Actor, note string) abide.ConsentEvent {
		return with(func(e *abide.ConsentEvent) { e.Actor, e.Evidence.Note = a, note })
	}
	no := func(a abide.ConsentAction) abide.ConsentEvent {
		return abide.ConsentEvent{Action: a, Purpose: "marketing", Actor: person}
	}
	guarded := facts(t)
	guarded.Guardian.Verified = true
	erased := facts(t)
	erased.Status = abide.StatusErased
	hash := strings.Repeat("0", 64)

	for _, c := range []struct {
		name   string
		facts  *policy.Facts
		event  abide.ConsentEvent
		o      consent.Options
		detail string // "": may follow
	}{
		// who may write
		{"the person", facts(t), yes(), now, ""},
		{"a guardian", guarded, by(abide.Actor{Kind: abide.ActorGuardian}, ""), now, ""},
		{"a guardian nobody verified", facts(t), by(abide.Actor{Kind: abide.ActorGuardian}, ""), now, "guardian_not_verified"},
		{"an operator with a reason", facts(t), by(abide.Actor{Kind: abide.ActorStaff, Name: "s-1"}, "by letter of 3 May"), now, ""},
		{"an operator without a reason", facts(t), by(abide.Actor{Kind: abide.ActorStaff, Name: "s-1"}, " "), now, "reason_missing"},
		{"an operator without a name", facts(t), by(abide.Actor{Kind: abide.ActorStaff}, "because"), now, "reason_missing"},
		{"a service", facts(t), by(abide.Actor{Kind: abide.ActorService, Name: "shop"}, ""), now, ""},
		{"a service without a name", facts(t), by(abide.Actor{Kind: abide.ActorService}, ""), now, "actor_unnamed"},
		{"the system", facts(t), by(abide.Actor{Kind: abide.ActorSystem, Name: "sweep"}, "why not"), now, "not_for_system"},
		{"a merge", facts(t), with(func(e *abide.ConsentEvent) {
			e.Actor, e.Evidence.Cites = abide.Actor{Kind: abide.ActorSystem, Name: "merge"}, "r-1"
		}), now, ""},
		{"the system refusing with a reason", facts(t), with(func(e *abide.ConsentEvent) {
			*e = no(abide.ConsentRefused)
			e.Actor, e.Evidence.Note = abide.Actor{Kind: abide.ActorSystem}, "reported by a guardian"
		}), now, ""},
		{"somebody", facts(t), by(abide.Actor{}, ""), now, "unknown_actor"},
		{"a person letting consent expire", facts(t, "given"), no(abide.ConsentExpired), now, "only_system"},
		{"an erased subject", erased, yes(), now, "erased"},

		// form
		{"no action", facts(t), with(func(e *abide.ConsentEvent) { e.Action = "nodded" }), now, "bad_action"},
		{"no purpose", facts(t), with(func(e *abide.ConsentEvent) { e.Purpose = "" }), now, "purpose_missing"},
		{"a purpose and a document", facts(t), with(func(e *abide.ConsentEvent) { e.Document = "agreement" }), now, "purpose_missing"},
		{"accepting no document", facts(t), with(func(e *abide.ConsentEvent) { e.Action = abide.ConsentAccepted }), now, "document_missing"},
		{"accepting a document", facts(t), with(func(e *abide.ConsentEvent) { e.Action, e.Purpose, e.Document = abide.ConsentAccepted, "", "agreement" }), now, ""},
		{"no terms", facts(t), with(func(e *abide.ConsentEvent) { e.Terms = "" }), now, "terms_missing"},
		{"refusing needs no terms", facts(t), no(abide.ConsentRefused), now, ""},
		{"a signal that agrees", facts(t), with(func(e *abide.ConsentEvent) { e.Evidence.Signal = "gpc" }), now, "signal_cannot_agree"},
		{"a signal that objects", facts(t), with(func(e *abide.ConsentEvent) { *e = no(abide.ConsentObjected); e.Evidence.Signal = "gpc" }), now, ""},

		// evidence
		{"no wording, from whoever was there", facts(t), with(func(e *abide.ConsentEvent) { e.Evidence.Wording = "" }), now, ""},
		{"the wording's hash alone", facts(t), with(func(e *abide.ConsentEvent) { e.Evidence.Wording, e.Evidence.WordingHash = "", hash }), now, ""},
		{"a hash of something else", facts(t), with(func(e *abide.ConsentEvent) { e.Evidence.WordingHash = hash }), now, "wording_hash_mismatch"},
		{"no hash", facts(t), with(func(e *abide.ConsentEvent) { e.Evidence.LayoutHash = "v1" }), now, "bad_hash"},
		{"no language", facts(t), with(func(e *abide.ConsentEvent) { e.Evidence.Language = "klingonese!" }), now, "bad_language"},
		{"ending before it begins", facts(t), with(func(e *abide.ConsentEvent) { e.Expires = day(30) }), now, "bad_expiry"},
		{"ending later", facts(t), with(func(e *abide.ConsentEvent) { e.Expires = day(31) }), now, ""},
		{"an import without wording", facts(t), with(func(e *abide.ConsentEvent) {
			e.Evidence.Wording, e.At, e.Grade = "", day(3), abide.GradeClaimed
		}), imported, ""},
		{"an import that claims proof without wording", facts(t), with(func(e *abide.ConsentEvent) { e.Evidence.Wording, e.Grade = "", abide.GradeProved }), imported, "wording_missing"},
		{"an import of some grade", facts(t), with(func(e *abide.ConsentEvent) { e.Grade = "excellent" }), imported, "bad_grade"},
		{"an import from the future", facts(t), with(func(e *abide.ConsentEvent) { e.At = day(31) }), imported, "in_the_future"},

		// order
		{"an import older than a refusal", facts(t, "refused day=09"), with(func(e *abide.ConsentEvent) { e.At, e.Grade = day(3), abide.GradeProved }), imported, "out_of_order"},
		{"a claim against a proved refusal", facts(t, "refused"), with(func(e *abide.ConsentEvent) { e.At, e.Grade = day(3), abide.GradeClaimed }), imported, "weaker_evidence"},
		{"a late refusal", facts(t, "given day=09"), with(func(e *abide.ConsentEvent) { *e = no(abide.ConsentWithdrawn); e.At = day(3) }), imported, ""},
		{"consent against an objection", facts(t, "objected"), yes(), now, "objection_stands"},
		{"consent after it was lifted", facts(t, "objected", "objection_lifted"), yes(), now, ""},
		{"an indication after notice", facts(t, "told"), with(func(e *abide.ConsentEvent) { e.Action = abide.ConsentIndicated }), now, ""},
		{"an indication without notice", facts(t, "asked"), with(func(e *abide.ConsentEvent) { e.Action = abide.ConsentIndicated }), now, "not_told"},
		{"an indication on other terms", facts(t, "told terms=B"), with(func(e *abide.ConsentEvent) { e.Action = abide.ConsentIndicated }), now, "not_told"},
		{"renewing", facts(t, "given until=40"), with(func(e *abide.ConsentEvent) { e.Action = abide.ConsentRenewed }), now, ""},
		{"renewing nothing", facts(t), with(func(e *abide.ConsentEvent) { e.Action = abide.ConsentRenewed }), now, "nothing_to_renew"},
		{"renewing what expired meanwhile", facts(t, "given until=20"), with(func(e *abide.ConsentEvent) { e.Action = abide.ConsentRenewed }), now, "nothing_to_renew"},
		{"renewing other terms", facts(t, "given terms=B"), with(func(e *abide.ConsentEvent) { e.Action = abide.ConsentRenewed }), now, "terms_changed"},
		{"withdrawing what was never given", facts(t), no(abide.ConsentWithdrawn), now, ""},
		{"objecting twice", facts(t, "objected"), no(abide.ConsentObjected), now, ""},
	} {
		if _, err := consent.Next(c.facts, c.event, c.o); abide.ErrorDetail(err) != c.detail {
			t.Errorf("%s: got %v, want %q", c.name, err, c.detail)
		}
	}
}

func TestNextCompletes(t *testing.T) {
	e := yes()
	e.Actor = abide.Actor{Kind: abide.ActorService, Name: "shop"}
	e.At, e.Grade = day(-900), abide.GradeUnknown // ignored: this is no import
	e.Topics = []abide.Topic{"offers", "news", "offers"}
	got, err := consent.Next(facts(t), e, consent.Options{Now: day(5).In(time.FixedZone("HKT", 8*3600))})
	if err != nil {
		t.Fatal(err)
	}
	if got.At != day(5) || got.Grade != abide.GradeProved || got.Evidence.Source != "shop" {
		t.Errorf("time, grade or source: %+v", got)
	}
	if len(got.Topics) != 2 || got.Topics[0] != "news" || len(got.Evidence.WordingHash) != 64 {
		t.Errorf("topics or hash: %+v", got)
	}
	if e.Topics[0] != "offers" {
		t.Error("Next changed the caller's event")
	}
}

// A node whose clock lags behind the one that wrote the last event still
// records what the person says now as the latest word.
func TestClocksThatDisagree(t *testing.T) {
	f := facts(t, "withdrawn day=05")
	got, err := consent.Next(f, yes(), consent.Options{Now: day(5).Add(-300 * time.Millisecond)})
	if err != nil || !got.At.Equal(day(5)) {
		t.Fatalf("%+v, %v", got, err)
	}
	s := consent.Apply(consent.Of(f), &got)
	if c := s.Find("marketing"); c.State != policy.StateGiven {
		t.Errorf("the latest word is lost: %+v", c)
	}
}

// What Next lets through has the effect it says: a yes that was accepted is a
// yes in the state, unless it names parts that are refused.
func TestAcceptedYesTakesEffect(t *testing.T) {
	gen := anyEvents()
	rapid.Check(t, func(t *rapid.T) {
		events := gen.Draw(t, "events")
		now := start.AddDate(1, 0, 0)
		f := &policy.Facts{Status: abide.StatusActive}
		fold(events, now).Put(f)
		e := yes()
		e.Action = rapid.SampledFrom([]abide.ConsentAction{abide.ConsentGiven, abide.ConsentIndicated, abide.ConsentRenewed}).Draw(t, "action")
		got, err := consent.Next(f, e, consent.Options{Now: now})
		if err != nil {
			return
		}
		c := consent.Apply(consent.Of(f), &got).Find("marketing")
		if !permits(c) || c.Terms != "A" || e.Action == abide.ConsentIndicated && !c.Told {
			t.Fatalf("%s was accepted and the state is %+v", e.Action, c)
		}
	})
}
