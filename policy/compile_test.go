package policy_test

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy"
	"github.com/abide-privacy/abide/policy/diag"
	"github.com/abide-privacy/abide/policy/source"
)

// compiled compiles rules that stand under one heading.
func compiled(t *testing.T, l *policy.Laws, rules string) (*policy.Policy, diag.List) {
	t.Helper()
	if !strings.Contains(rules, "document \"") {
		rules = "document \"privacy\" { controller = \"Example Ltd, HK\" }\n" + rules
	}
	set, _, found := source.Parse(fstest.MapFS{"privacy.md": {Data: []byte("# Privacy {#top}\n```abide\n" + rules + "\n```\n")}})
	failOn(t, found)
	return policy.Compile(set, policy.Options{Laws: l})
}

const data = `data "person" {
  name  = "name"
  email = "e-mail address"
}
data "nobody" { model = { words = "model", count_per = week } }
`

func TestCompileFindings(t *testing.T) {
	cases := []struct {
		name, rules string
		code        diag.Code
		about       string // the name concerned
		hint        string // part of the hint
		other       bool   // names the other place
		noLaws      bool
	}{
		{name: "a category nobody declared", rules: `purpose "p" {
  uses  = [person.nmae]
  basis = contract
}`, code: diag.UnknownName, about: "person.nmae", hint: "person.name"},
		{name: "a purpose nobody declared", rules: `service "s" {
  needs  = [person.name]
  serves = [provde]
}
purpose "provide" {
  uses  = [person.name]
  basis = contract
}`, code: diag.UnknownName, about: "provde", hint: "provide"},
		{name: "a recipient nobody declared", rules: `recipient "couriers" { class = processor }
never "n" { give = { what = any, to = courier } }`, code: diag.UnknownName, about: "courier", hint: "couriers"},
		{name: "a level nobody declared", rules: `level "base" { floor_for = [person] }
data "x" { a = { words = "a", level = bsae } }`, code: diag.UnknownName, about: "bsae", hint: "base"},
		{name: "levels in a circle", rules: `level "a" { opens = { above = b } }
level "b" { opens = { above = a } }`, code: diag.LevelCycle, about: "a"},
		{name: "a level below the floor", rules: `level "low" { opens = { mask = last(1) } }
level "high" { floor_for = [x] }
data "x" { a = { words = "a", level = low } }`, code: diag.LevelBelowFloor, about: "x.a", other: true},
		{name: "data derived from itself", rules: `data "x" {
  a = { words = "a", derived_from = [x.b] }
  b = { words = "b", derived_from = [x.a] }
}`, code: diag.DerivedCycle, about: "x.a"},
		{name: "purposes within each other", rules: `purpose "p" {
  uses   = [person.name]
  basis  = contract
  within = q
}
purpose "q" {
  uses   = [person.name]
  basis  = contract
  within = p
}`, code: diag.WithinCycle, about: "p"},
		{name: "a purpose without basis", rules: `purpose "p" { uses = [person.name] }`, code: diag.BasisMissing, about: "p", hint: "consent"},
		{name: "a place that is none", rules: `purpose "p" {
  uses  = [person.name]
  basis = consent
  in EUU { ask = separate }
}`, code: diag.UnknownPlace, about: "EUU", hint: "EU"},
		{name: "two rules for one place", rules: `purpose "p" {
  uses  = [person.name]
  basis = consent
  keep  = obtained + 9 * days
  in DE FR { keep = obtained + 2 * days }
  in FR GB { keep = obtained + 3 * days }
}`, code: diag.PlaceTie, about: "p", other: true},
		{name: "less than the law of the place", rules: `purpose "p" {
  contacts = [person.email]
  basis    = law.direct_marketing
  in DE    { basis = legitimate_interest }
}`, code: diag.FloorLoosened, about: "p", hint: "floor", other: true},
		{name: "less than the law of a place within", rules: `purpose "p" {
  contacts = [person.email]
  basis    = law.direct_marketing
  in EEA   { basis = no_objection(told(contacts)) }
}`, code: diag.FloorLoosened, about: "p"},
		{name: "a law value that is none", rules: `purpose "p" {
  contacts = [person.email]
  basis    = law.direct_marketing
}`, code: diag.LawsMissing, about: "direct_marketing", noLaws: true},
		{name: "a controller without a place", rules: `document "privacy" {
  controller = "Example Ltd"
  law_of     = strictest(residence, controller)
}`, code: diag.ControllerPlace, about: "privacy"},
		{name: "nobody contacted", rules: `purpose "p" {
  contacts = [nobody.model]
  basis    = consent
}`, code: diag.CategoryOfNobody, about: "nobody.model", other: true},
		{name: "given more than used", rules: `purpose "p" {
  uses  = [person.name]
  basis = contract
}
recipient "r" {
  class = processor
  gets  = { p = [person.email] }
}`, code: diag.GetsNotUsed, about: "person.email", other: true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			l := shippedLaws(t)
			if c.noLaws {
				l = nil
			}
			p, found := compiled(t, l, data+c.rules)
			if p != nil {
				t.Error("it compiles")
			}
			i := slices.IndexFunc(found, func(d diag.Diagnostic) bool { return d.Code == c.code && d.Name == c.about })
			if i < 0 {
				t.Fatalf("want %s about %s, got %v", c.code, c.about, found)
			}
			d := found[i]
			if d.Span.File == "" || d.Span.Start.Line == 0 {
				t.Errorf("points nowhere: %+v", d)
			}
			if !strings.Contains(d.Hint, c.hint) {
				t.Errorf("hint %q does not name %q", d.Hint, c.hint)
			}
			if c.other && (d.Other == nil || d.Other.Span.Start.Line == 0) {
				t.Errorf("names no other place: %+v", d)
			}
		})
	}
}

// The most specific place wins field by field, and inherits what it does not
// say.
func TestPlacesOverrideFieldByField(t *testing.T) {
	p, found := compiled(t, shippedLaws(t), data+`purpose "p" {
  uses  = [person.name]
  basis = consent
  keep  = obtained + 1 * days
  in EEA { keep = obtained + 2 * days }
  in EU  { ask = separate }
  in DE  { keep = obtained + 3 * days }
}`)
	failOn(t, found)
	for place, want := range map[abide.Place]string{"HK": "1d", "NO": "2d", "FR": "2d", "DE": "3d"} {
		f := adult()
		f.Residence = place
		terms, ok := p.Terms("p", &f, noon)
		if !ok || len(terms.Keep) != 1 || terms.Keep[0] != "obtained+"+want {
			t.Errorf("%s keeps %v, want %s", place, terms.Keep, want)
		}
		agreed(t, p, &f, "p", policy.StateGiven)
		f.Consents[0].Separate = false
		req := ask(abide.ActUse, "p", "person.name")
		d := p.Decide(&f, nil, &req)
		if separate := place == "FR" || place == "DE"; d.Allowed() == separate {
			t.Errorf("%s: bundled consent: %s %v", place, d.Effect, d.Reasons)
		}
	}
}

// Where several places' laws count, each binds.
func TestStrictestOfPlaces(t *testing.T) {
	p := lantern(t)
	cases := []struct {
		residence, whereabouts abide.Place
		state                  policy.ConsentState
		separate               bool
		want                   abide.ReasonCode
	}{
		{"HK", "", policy.StateIndicated, false, abide.PermitNoObjection},
		{"HK", "HK", policy.StateIndicated, false, abide.PermitNoObjection},
		{"HK", "DE", policy.StateIndicated, false, abide.DenyNoConsent},
		{"HK", "DE", policy.StateGiven, false, abide.DenyNotSeparate},
		{"DE", "HK", policy.StateGiven, true, abide.PermitConsent},
		{"US", "", policy.StateIndicated, false, abide.PermitNoObjection}, // opt-out there, but the controller is in Hong Kong
		{"US", "", policy.StateNone, false, abide.DenyNotTold},
		{"BR", "", policy.StateGiven, true, abide.DenyClosedPlace},
		{"", "", policy.StateGiven, true, abide.DenyUnknownPlace},
		{"XX", "", policy.StateGiven, true, abide.DenyUnknownPlace},
		{"HK", "XX", policy.StateGiven, true, abide.DenyUnknownPlace},
	}
	for _, c := range cases {
		f := adult()
		agreed(t, p, &f, "marketing", c.state)
		f.Residence, f.Whereabouts, f.Consents[0].Separate = c.residence, c.whereabouts, c.separate
		req := ask(abide.ActContact, "marketing", "person.email")
		req.Channel = "email"
		d := p.Decide(&f, nil, &req)
		if d.Reasons[0].Code != c.want {
			t.Errorf("%s in %s, %s: %v, want %s", c.residence, c.whereabouts, c.state, d.Reasons, c.want)
		}
	}
}

// A profile may ask for more on one channel than on another.
func TestLawByChannel(t *testing.T) {
	p, found := compiled(t, shippedLaws(t), data+`purpose "p" {
  contacts = [person.email]
  basis    = law.direct_marketing
}`)
	failOn(t, found)
	f := adult()
	f.Residence = "US-NV"
	for channel, want := range map[abide.Channel]abide.ReasonCode{"email": abide.PermitOptOut, "sms": abide.DenyNoConsent, "": abide.DenyNoConsent} {
		req := ask(abide.ActContact, "p", "person.email")
		req.Channel = channel
		if d := p.Decide(&f, nil, &req); d.Reasons[0].Code != want {
			t.Errorf("by %q: %v, want %s", channel, d.Reasons, want)
		}
	}
}

// CLAUSES C21: the agreement prevails for those who accepted it, and only for
// them.
func TestPrecedence(t *testing.T) {
	p := lantern(t)
	accepts := func(f *policy.Facts) {
		f.Accepted = []policy.Accepted{{Document: "agreement", At: noon}}
	}
	for _, accepted := range []bool{false, true} {
		f := adult()
		agreed(t, p, &f, "marketing", policy.StateGiven)
		if accepted {
			accepts(&f)
		}
		call := ask(abide.ActContact, "marketing", "person.phone")
		if d := p.Decide(&f, nil, &call); d.Allowed() == accepted {
			t.Errorf("accepted %v: a call that the agreement forbids: %s %v", accepted, d.Effect, d.Reasons)
		}
		warranty := ask(abide.ActUse, "warranty", "person.orders")
		if d := p.Decide(&f, nil, &warranty); d.Allowed() != accepted {
			t.Errorf("accepted %v: a purpose of the agreement: %s %v", accepted, d.Effect, d.Reasons)
		}
	}
}
