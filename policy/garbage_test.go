package policy_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy"
	"github.com/abide-privacy/abide/policy/rule"
)

// unknowns put something into a request that the policy does not know.
var unknowns = map[string]func(r *policy.Request, garbage string){
	"purpose": func(r *policy.Request, g string) { r.Purpose = abide.Purpose(g) },
	"act":     func(r *policy.Request, g string) { r.Act = abide.Act(100 + len(g)) },
	"no act":  func(r *policy.Request, _ string) { r.Act = abide.ActUnknown },
	"category": func(r *policy.Request, g string) {
		r.Categories = append(slices.Clone(r.Categories), abide.Category(g))
	},
	"time":      func(r *policy.Request, _ string) { r.At = time.Time{} },
	"nothing":   func(r *policy.Request, _ string) { r.Categories = nil },
	"recipient": func(r *policy.Request, g string) { r.Act, r.Recipient = abide.ActDisclose, abide.Recipient(g) },
	"service":   func(r *policy.Request, g string) { r.Service = abide.Service(g) },
	"topic":     func(r *policy.Request, g string) { r.Topic = abide.Topic(g) },
	"channel":   func(r *policy.Request, g string) { r.Channel = abide.Channel(g) },
	"actor":     func(r *policy.Request, g string) { r.Actor.Kind = abide.ActorKind(g) },
	"role":      func(r *policy.Request, g string) { r.Actor.Kind, r.Actor.Role = abide.ActorStaff, g },
	"order":     func(r *policy.Request, g string) { r.Order = &policy.Order{Rule: g, Scope: r.Categories} },
}

// Whatever is unknown denies, whatever else is fine.
func TestUnknownDenies(t *testing.T) {
	p := lantern(t)
	for name, spoil := range unknowns {
		t.Run(name, func(t *testing.T) {
			permitted := 0
			rapid.Check(t, func(t *rapid.T) {
				d := newDraw(t, p)
				reg, req := d.register(), d.request()
				facts := d.facts(req.Purpose)
				if d := p.Decide(&facts, reg, &req); d.Allowed() {
					permitted++
				}
				garbage := "x" + rapid.String().Draw(t, "garbage")
				spoil(&req, garbage)
				if d := p.Decide(&facts, reg, &req); d.Allowed() {
					t.Fatalf("permitted with an unknown %s: %+v", name, req)
				} else if len(d.Reasons) == 0 {
					t.Fatalf("denied without a reason: %+v", req)
				}
			})
			if permitted == 0 {
				t.Error("no request would have been permitted without the garbage")
			}
		})
	}
}

// A permit satisfies what the rules, read from the syntax tree by other code,
// ask for at the very least.
func TestPermitsHaveGrounds(t *testing.T) {
	p := lantern(t)
	for _, act := range abide.Acts() {
		t.Run(act.String(), func(t *testing.T) {
			permits := 0
			// Some acts are seldom permitted: go on until one was.
			for round := 0; round < 10 || (permits == 0 && round < 50); round++ {
				rapid.Check(t, func(t *rapid.T) {
					d := newDraw(t, p)
					reg, req := d.register(), d.requestTo(act)
					facts := d.facts(req.Purpose)
					if checkGround(t, p, &facts, reg, &req) {
						permits++
					}
				})
			}
			if permits == 0 {
				t.Error("nothing was ever permitted")
			}
		})
	}
}

// checkGround reports whether the request is permitted.
func checkGround(t *rapid.T, p *policy.Policy, facts *policy.Facts, reg *policy.Register, req *policy.Request) bool {
	got := p.Decide(facts, reg, req)
	ground := len(got.Permitted) == len(req.Categories) && len(got.Reasons) == 1 && isGround(got.Reasons[0].Code)
	if got.Allowed() != ground {
		t.Fatalf("effect and reasons disagree: %+v", got)
	}
	if !got.Allowed() {
		return false
	}
	if why := groundless(p, facts, req); why != "" {
		t.Fatalf("permitted, though %s\nfacts %+v\nrequest %+v", why, *facts, *req)
	}
	return true
}

func isGround(c abide.ReasonCode) bool {
	return slices.Contains([]abide.ReasonCode{abide.PermitConsent, abide.PermitNoObjection, abide.PermitContract, abide.PermitLegal,
		abide.PermitLegitimate, abide.PermitLegalRequest, abide.PermitOptOut}, c)
}

func groundless(p *policy.Policy, f *policy.Facts, r *policy.Request) string {
	pu, _ := p.Purpose(r.Purpose)
	named := map[abide.Act][][]rule.Ref{
		abide.ActContact: {pu.Rule.Contacts}, abide.ActChoose: {pu.Rule.ChosenBy}, abide.ActRead: {pu.Rule.Uses, pu.Rule.Contacts},
	}[r.Act]
	if named == nil || (r.Act == abide.ActContact && !pu.Marketing) {
		named = [][]rule.Ref{pu.Rule.Uses, pu.Rule.Contacts, pu.Rule.ChosenBy}
	}
	for _, c := range r.Categories {
		if r.Order != nil {
			if !slices.Contains(r.Order.Scope, c) {
				return "the order does not reach " + string(c)
			}
			continue
		}
		if !slices.ContainsFunc(slices.Concat(named...), func(ref rule.Ref) bool { return ref.Name == string(c) }) {
			return "the purpose does not name " + string(c)
		}
	}
	switch {
	case f.Status != abide.StatusActive:
		return "the person is erased"
	case r.ForValue && r.Act == abide.ActDisclose:
		return "it is a sale"
	case r.Order != nil:
		return ""
	case f.Restricted && r.Actor.Kind != abide.ActorSubject && r.Actor.Kind != abide.ActorGuardian:
		return "the person is restricted"
	case pu.Marketing && (f.Kind == abide.Other || f.DeclaredMinor):
		return "nobody may market to them"
	}
	if pu.Rule.Basis.Kind != rule.BasisConsent {
		return ""
	}
	if f.RestoredGap {
		return "what they decided is not known"
	}
	for i := range f.Consents {
		if c := &f.Consents[i]; c.Purpose == pu.Name {
			if c.State != policy.StateGiven || c.Objected || c.Since.After(r.At) {
				return "there is no consent"
			}
			return ""
		}
	}
	return "nothing is in the ledger"
}

// FuzzDecide feeds a decision strings that come from outside. None of them
// makes it panic, none of them turns up in its reasons unless the policy
// itself declares it, and a request that is denied stays denied.
func FuzzDecide(f *testing.F) {
	p := lantern(f)
	f.Add("marketing", "person.email", "HK", "email", "service", "shop", byte(4))
	f.Add("", "", "", "", "", "", byte(0))
	f.Add("provide", "person.email", "XX", "\x00", "staff", "court", byte(6))
	f.Fuzz(func(t *testing.T, purpose, category, place, word, kind, other string, act byte) {
		facts := adult()
		facts.Residence = abide.Place(place)
		req := policy.Request{Actor: abide.Actor{Kind: abide.ActorKind(kind), Name: word, Role: word, Purposes: []abide.Purpose{abide.Purpose(purpose)}},
			Purpose: abide.Purpose(purpose), Act: abide.Act(act), Categories: []abide.Category{abide.Category(category)},
			Recipient: abide.Recipient(other), Service: abide.Service(other), Topic: abide.Topic(word), Channel: abide.Channel(word), At: noon}
		d := p.Decide(&facts, nil, &req)
		_, knownPurpose := p.Purpose(req.Purpose)
		_, knownCategory := p.Category(req.Categories[0])
		if d.Allowed() && (!knownPurpose || !knownCategory || req.Act.String() == "") {
			t.Fatalf("permitted: %+v", req)
		}
		if !d.Allowed() && len(d.Reasons) == 0 {
			t.Fatal("denied without a reason")
		}
		for _, r := range d.Reasons {
			if r.Category != "" && !knownCategory {
				t.Fatal("a reason repeats a category that nobody declared")
			}
		}
	})
}
