package policy_test

import (
	"slices"
	"time"

	"pgregory.net/rapid"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy"
)

// draw makes facts, registers and requests that touch every rule of a policy,
// near misses included: names that exist nowhere, times on both sides of every
// deadline, terms of this policy, of earlier ones, and of none.
type draw struct {
	t *rapid.T
	p *policy.Policy
	// digests to choose from: those of all terms, and one that nobody knows.
	digests []string
}

func newDraw(t *rapid.T, p *policy.Policy) *draw {
	d := &draw{t: t, p: p}
	for _, terms := range p.AllTerms() {
		d.digests = append(d.digests, terms.Digest())
	}
	return d
}

func pick[T any](d *draw, what string, from ...T) T { return rapid.SampledFrom(from).Draw(d.t, what) }

func some[T any](d *draw, what string, most int, from ...T) []T {
	return rapid.SliceOfN(rapid.SampledFrom(from), 0, most).Draw(d.t, what)
}

func (d *draw) yes(what string) bool { return rapid.Bool().Draw(d.t, what) }

// rarely is true about once in eight times.
func (d *draw) rarely(what string) bool { return rapid.IntRange(0, 7).Draw(d.t, what) == 7 }

func (d *draw) purposes() []abide.Purpose {
	var out []abide.Purpose
	for _, pu := range d.p.Purposes() {
		out = append(out, pu.Name)
	}
	return out
}

func (d *draw) categories() []abide.Category {
	var out []abide.Category
	for _, c := range d.p.Categories() {
		out = append(out, c.Name)
	}
	return out
}

var (
	somePlaces = []abide.Place{"", "HK", "DE", "FR", "EU", "GB", "US", "US-CA", "US-ZZ", "BR", "IN", "NG", "XX"}
	someWhen   = []time.Time{{}, noon.AddDate(-6, 0, 0), noon.AddDate(-3, 0, 0), noon.AddDate(0, -2, 0), noon.AddDate(0, 0, -1), noon,
		noon.AddDate(0, 0, 1), noon.AddDate(1, 0, 0)}
	someTopics   = []abide.Topic{"offers", "news", "weather"}
	someChannels = []abide.Channel{"email", "sms", "post", "pigeon"}
	someGrades   = []abide.Grade{abide.GradeProved, abide.GradeProved, abide.GradeProved, abide.GradeProved, abide.GradeClaimed, abide.GradeUnknown, ""}
	someStates   = []policy.ConsentState{policy.StateGiven, policy.StateGiven, policy.StateGiven, policy.StateGiven, policy.StateGiven,
		policy.StateGiven, policy.StateGiven, policy.StateIndicated, policy.StateIndicated, policy.StateIndicated, policy.StateNone, policy.StateAsked,
		policy.StateTold, policy.StateRefused, policy.StateWithdrawn, policy.StateExpired, "perhaps"}
)

func (d *draw) when(what string) time.Time { return pick(d, what, someWhen...) }

// facts of a person, mostly with what a request for the purpose wants.
func (d *draw) facts(pu abide.Purpose) policy.Facts {
	f := policy.Facts{Kind: abide.Person, Status: abide.StatusActive, Residence: pick(d, "residence", somePlaces...)}
	if d.rarely("abroad") {
		f.Whereabouts = pick(d, "whereabouts", somePlaces...)
	}
	if d.rarely("not a person") {
		f.Kind = pick(d, "kind", abide.Visitor, abide.Other, "robot")
	}
	if d.rarely("not active") {
		f.Status = pick(d, "status", abide.StatusErasing, abide.StatusErased, "asleep")
	}
	if d.yes("age known") {
		f.BirthDate = abide.Date{Year: 2026 - pick(d, "age", 40, 40, 40, 40, 19, 17, 15, 12, 3), Month: 1, Day: 1}
	}
	f.DeclaredMinor, f.Restricted, f.RestoredGap = d.rarely("minor"), d.rarely("restricted"), d.rarely("gap")
	f.Guardian = policy.Guardian{Verified: !d.rarely("no guardian"), Consents: []abide.Purpose{pu}}
	if d.rarely("guardian's other") {
		f.Guardian.Consents = some(d, "guardian's", 3, pu, "recommend", "marketing")
	}
	if d.rarely("held") {
		f.Holds = []policy.Hold{d.hold()}
	}
	for w := pu; w != ""; {
		if !d.rarely("no consent") {
			f.Consents = append(f.Consents, d.consent(w, &f))
		}
		got, _ := d.p.Purpose(w)
		w = got.Within
	}
	if d.rarely("another consent") {
		f.Consents = append(f.Consents, d.consent(pick(d, "other purpose", d.purposes()...), &f))
	}
	if d.yes("accepted") {
		f.Accepted = []policy.Accepted{{Document: "agreement", At: d.when("accepted at")}}
	}
	for _, s := range d.p.Services() {
		if !d.rarely("does not take") {
			f.Services = append(f.Services, policy.Taking{Service: s.Name, Since: pick(d, "since", noon.AddDate(-1, 0, 0), noon, noon.AddDate(0, 0, 1)),
				Left: pick(d, "left", time.Time{}, time.Time{}, noon.AddDate(0, 0, -1), noon.AddDate(0, 0, 1))})
		}
	}
	if d.yes("event") {
		f.Events = []policy.Event{{Anchor: "order.closed", Ref: pick(d, "ref", "", "1", "2"), At: d.when("event")}}
	}
	return f
}

func (d *draw) hold() policy.Hold {
	return policy.Hold{Name: "court", Categories: some(d, "held", 2, d.categories()...), Until: d.when("until")}
}

func (d *draw) consent(pu abide.Purpose, f *policy.Facts) policy.Consent {
	c := policy.Consent{Purpose: pu, State: pick(d, "state", someStates...), Told: !d.rarely("not told"), Grade: pick(d, "grade", someGrades...),
		Separate: !d.rarely("bundled"), Since: noon.AddDate(0, -1, 0)}
	if terms, ok := d.p.Terms(pu, f, noon); ok {
		c.Terms = terms.Digest()
	}
	if d.rarely("other terms") {
		c.Terms = pick(d, "terms", append([]string{"", "sha256:00"}, d.digests...)...)
	}
	if d.rarely("since otherwise") {
		c.Since = d.when("consent since")
	}
	if d.rarely("expires") {
		c.Expires = d.when("consent expires")
	}
	if d.rarely("topics") {
		c.Topics = some(d, "topics", 2, someTopics...)
	}
	if d.rarely("channels") {
		c.Channels = some(d, "channels", 2, someChannels...)
	}
	if d.rarely("refused") {
		c.RefusedTopics, c.RefusedChannels = some(d, "refused topics", 2, someTopics...), some(d, "refused channels", 2, someChannels...)
	}
	c.Objected = d.rarely("objected")
	return c
}

func (d *draw) register() *policy.Register {
	if d.rarely("no register") {
		return nil
	}
	r := &policy.Register{Members: []policy.Member{{Name: "dispatch", Class: "affiliates", Left: pick(d, "member left", time.Time{}, time.Time{}, noon)}},
		Staff:   []policy.StaffFact{{Name: "kim", UndertakingEnds: d.when("undertaking"), ReviewedAt: d.when("reviewed")}},
		Reviews: []policy.ReviewFact{{Name: "machine rooms", At: d.when("machine rooms")}}}
	for _, name := range []abide.Recipient{"dispatch", "couriers", "friends", "affiliates"} {
		if !d.rarely("no contract") {
			r.Contracts = append(r.Contracts, policy.ContractFact{Recipient: name, Signed: pick(d, "signed", noon.AddDate(-1, 0, 0), noon.AddDate(1, 0, 0)),
				Ends: pick(d, "ends", time.Time{}, time.Time{}, noon), Covers: some(d, "covers", 6, append([]abide.Place{"HK", "EEA", "US"}, somePlaces...)...)})
		}
	}
	return r
}

func (d *draw) request() policy.Request { return d.requestTo(pick(d, "act", abide.Acts()...)) }

func (d *draw) requestTo(act abide.Act) policy.Request {
	pu := pick(d, "purpose", append(d.purposes(), "marketing", "marketing", "recommend", "recommend", "survey", "club", "club", "club")...)
	if len(d.p.Covered(pu, act)) == 0 && !d.rarely("uncovered act") {
		pu = pick[abide.Purpose](d, "other purpose", "marketing", "recommend")
	}
	recipient := pick[abide.Recipient](d, "recipient", "dispatch", "couriers", "friends", "court", "affiliates")
	if act == abide.ActDisclose && !d.rarely("any disclosure") {
		pu, recipient = "provide", pick[abide.Recipient](d, "named recipient", "dispatch", "couriers")
	}
	r := policy.Request{Purpose: pu, Act: act, At: noon, Actor: abide.Actor{Kind: abide.ActorService, Name: "app", Purposes: []abide.Purpose{pu}}}
	// Mostly what the purpose covers, so that permits are ordinary.
	pool := d.p.Covered(pu, act)
	if d.rarely("by another act") {
		pool = d.p.Covered(pu, abide.ActUse)
	}
	if len(pool) == 0 || d.rarely("any category") {
		pool = d.categories()
	} else if act == abide.ActDisclose {
		pool = []abide.Category{"person.name", "person.name", "person.phone"}
	}
	r.Categories = slices.Compact(rapid.SliceOfN(rapid.SampledFrom(pool), 1, 4).Draw(d.t, "categories"))
	if d.rarely("other actor") {
		r.Actor = abide.Actor{Kind: pick(d, "actor", abide.ActorStaff, abide.ActorSubject, abide.ActorGuardian, abide.ActorSystem), Name: "kim",
			Role: pick(d, "role", "support", "vault", "cook"), Purposes: []abide.Purpose{pu}}
	}
	switch act {
	case abide.ActCollect:
		r.Service = pick[abide.Service](d, "service", "", "", "shop", "messaging")
	case abide.ActDisclose:
		r.Recipient = recipient
		r.ForValue = d.rarely("for value")
	case abide.ActContact, abide.ActChoose:
		r.Topic, r.Channel = pick[abide.Topic](d, "topic", "", "offers", "news"), pick[abide.Channel](d, "channel", "", "email", "sms", "post")
	}
	if !d.rarely("no reason") {
		r.Reason, r.Approvals = "why", 2
	}
	if d.rarely("order") {
		r.Order = &policy.Order{Rule: "by law", Authority: "court", Citation: "s.1", Scope: some(d, "scope", 3, d.categories()...), Approvals: 2,
			When: pick(d, "when", "requires", "expressly_permits", "")}
	}
	if d.rarely("items") {
		for _, c := range r.Categories {
			r.Items = append(r.Items, policy.ItemFact{Category: c, Obtained: d.when("obtained"), Ref: pick(d, "item ref", "", "1")})
		}
	}
	return r
}
