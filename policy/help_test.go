package policy_test

import (
	"os"
	"testing"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/laws"
	"github.com/abide-privacy/abide/policy"
	"github.com/abide-privacy/abide/policy/diag"
	"github.com/abide-privacy/abide/policy/source"
)

// noon is when the decisions of these tests take place.
var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func shippedLaws(t testing.TB) *policy.Laws {
	t.Helper()
	l, err := laws.Load()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// lantern compiles the policy of testdata/lantern, which has every kind of
// rule that a decision looks at.
func lantern(t testing.TB) *policy.Policy {
	t.Helper()
	set, _, found := source.Parse(os.DirFS("testdata/lantern"))
	failOn(t, found)
	p, found := policy.Compile(set, policy.Options{Laws: shippedLaws(t)})
	failOn(t, found)
	return p
}

func failOn(t testing.TB, found diag.List) {
	t.Helper()
	for _, d := range found {
		if d.Severity == diag.Error {
			t.Errorf("%s:%d: %s: %s", d.Span.File, d.Span.Start.Line, d.Code, d.Message)
		}
	}
	if t.Failed() {
		t.FailNow()
	}
}

func adult() policy.Facts {
	return policy.Facts{Kind: abide.Person, Status: abide.StatusActive, Residence: "HK"}
}

func agreed(t testing.TB, p *policy.Policy, f *policy.Facts, purpose abide.Purpose, state policy.ConsentState) {
	t.Helper()
	terms, ok := p.Terms(purpose, f, noon)
	if !ok {
		t.Fatalf("no terms of %s", purpose)
	}
	f.Consents = append(f.Consents, policy.Consent{Purpose: purpose, State: state, Told: true, Terms: terms.Digest(),
		Grade: abide.GradeProved, Separate: true, Since: noon.AddDate(0, -1, 0)})
}

func ask(act abide.Act, purpose abide.Purpose, categories ...abide.Category) policy.Request {
	return policy.Request{Actor: abide.Actor{Kind: abide.ActorService, Name: "app", Purposes: []abide.Purpose{purpose}},
		Act: act, Purpose: purpose, Categories: categories, At: noon}
}
