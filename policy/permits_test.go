package policy_test

import (
	"testing"

	"pgregory.net/rapid"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy"
)

// Permits says what Decide says, for persons and for nobody.
func TestPermitsIsTheEffectOfDecide(t *testing.T) {
	p := lantern(t)
	permitted, denied := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		for range 10 {
			d := newDraw(t, p)
			reg, req := d.register(), d.request()
			facts := d.facts(req.Purpose)
			f := &facts
			if d.rarely("nobody") {
				f = nil
			}
			decision := p.Decide(f, reg, &req)
			if got := p.Permits(f, reg, &req); got != decision.Allowed() {
				t.Fatalf("Permits says %v, Decide %v for\nfacts %+v\nrequest %+v", got, decision.Reasons, f, req)
			}
			if decision.Allowed() {
				permitted++
			} else {
				denied++
			}
		}
	})
	if permitted < 20 || denied < 20 {
		t.Errorf("only %d permits and %d denials were drawn", permitted, denied)
	}
}

// Asked for the effect alone, a denial allocates as little as a permit.
func TestPermitsAllocatesNothing(t *testing.T) {
	p := large(t, 50)
	f, permit, deny := asked(t, p)
	unasked := f
	unasked.Consents = []policy.Consent{{Purpose: "p25", State: policy.StateRefused}}
	reg := &policy.Register{}
	for _, c := range []struct {
		name  string
		facts *policy.Facts
		req   *policy.Request
		want  bool
	}{{"permit", &f, &permit, true}, {"not covered", &f, &deny, false}, {"refused", &unasked, &permit, false}, {"nobody", nil, &permit, false},
		{"unknown purpose", &f, &policy.Request{Act: abide.ActUse}, false}} {
		if got := p.Permits(c.facts, reg, c.req); got != c.want {
			t.Fatalf("%s: Permits says %v", c.name, got)
		}
		if allocs := testing.AllocsPerRun(100, func() { p.Permits(c.facts, reg, c.req) }); allocs != 0 {
			t.Errorf("%s: allocates %v times", c.name, allocs)
		}
	}
}
