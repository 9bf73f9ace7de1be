package policy_test

import (
	"strings"
	"testing"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy"
	"github.com/abide-privacy/abide/policy/diag"
)

const exampleRules = data + `
purpose "post" {
  contacts = [person.email]
  topics   = [offers, news]
  basis    = law.direct_marketing
  in HK    { basis = no_objection(told(contacts)) }
  keep     = consent.ended
}
purpose "order" {
  uses  = [person.name]
  basis = contract
  keep  = obtained + 2 * years
}
purpose "count" {
  uses  = [nobody.model]
  basis = legitimate_interest
}
service "shop" {
  needs  = [person.name]
  serves = [order]
}
recipient "group" {
  class    = affiliate
  members  = register
  gets     = { order = [person.name] }
  contract = { covers = residence, lapse = closes }
}
minors { closed = [post] }
`

// Each example stands for one given word; all of them hold.
const examplesThatHold = `
example "silence" {
  given   = [lives(HK), told(post), asked(post)]
  refused = contact(post, person.email)
  because = asked_and_silent
}
example "an indication" {
  given     = [lives(HK), told(post), indicated(post)]
  permitted = contact(post, person.email, news)
}
example "an indication without notice" {
  given   = [lives(HK), indicated(post)]
  refused = contact(post, person.email)
  because = not_told
}
example "bundled" {
  given   = [lives(DE), agreed(post), bundled(post)]
  refused = contact(post, person.email)
  because = consent_not_separate
}
example "abroad" {
  given     = [lives(HK), is_in(DE), told(post), indicated(post)]
  permitted = contact(post, person.email)
}
example "a type of message" {
  given   = [lives(HK), agreed(post), topic_refused(post, news)]
  refused = contact(post, person.email, news)
  because = topic_refused
}
example "a channel" {
  given   = [lives(HK), agreed(post), channel_refused(post, sms)]
  refused = contact(post, person.email, sms)
  because = channel_refused
}
example "withdrawn" {
  given   = [lives(HK), withdrew(post)]
  refused = contact(post, person.email)
  because = withdrawn
}
example "a child" {
  given   = [lives(HK), age(12), guardian(post)]
  refused = contact(post, person.email)
  because = minor
}
example "erased" {
  given   = [erased()]
  refused = use(order, person.name)
  because = erased
}
example "a member" {
  given     = [lives(FR), member(dispatch, group), contract(dispatch, EU)]
  permitted = disclose(order, person.name, dispatch)
}
example "the class stands for a member" {
  given     = [lives(FR), contract(group, EU)]
  permitted = disclose(order, person.name, to(group))
}
example "a member that left" {
  given   = [lives(FR), member(dispatch, group), left_group(dispatch), contract(dispatch, EU)]
  refused = disclose(order, person.name, dispatch)
  because = recipient_not_registered
}
example "takes part" {
  given     = [lives(HK), takes(shop)]
  permitted = collect(order, person.name, shop)
}
example "left" {
  given   = [lives(HK), left(shop)]
  refused = collect(order, person.name, shop)
  because = source_must_stop
}
example "old" {
  given   = [lives(HK), obtained(person.name, 3 * years)]
  refused = use(order, person.name)
  because = retention_passed
}
example "about nobody" {
  permitted = collect(count, nobody.model)
}
`

func TestExamplesHold(t *testing.T) {
	p, found := compiled(t, shippedLaws(t), exampleRules+examplesThatHold)
	failOn(t, found)
	failOn(t, policy.RunExamples(p))
	if n := len(p.Set().Examples); n != strings.Count(examplesThatHold, "example \"") {
		t.Errorf("%d examples were read", n)
	}
}

// Turning what an example expects around makes it fail, every one of them.
func TestExamplesFailWhenTurned(t *testing.T) {
	turned := strings.NewReplacer("permitted = ", "refused = ", "refused = ", "permitted = ").Replace(examplesThatHold)
	p, found := compiled(t, shippedLaws(t), exampleRules+turned)
	failOn(t, found)
	found = policy.RunExamples(p)
	if len(found) != len(p.Set().Examples) {
		t.Errorf("%d of %d fail", len(found), len(p.Set().Examples))
	}
	for _, d := range found {
		if d.Code != diag.ExampleFails || d.Span.Start.Line == 0 || !strings.Contains(d.Message, "expects") {
			t.Errorf("%+v", d)
		}
	}
}

// A failing example says what came out, why, and where the policy says so.
func TestExampleFailureSaysWhy(t *testing.T) {
	p, found := compiled(t, shippedLaws(t), exampleRules+`
example "hopeful" {
  given     = [lives(HK), asked(post)]
  permitted = contact(post, person.email)
}`)
	failOn(t, found)
	found = policy.RunExamples(p)
	if len(found) != 1 {
		t.Fatal(found)
	}
	d := found[0]
	for _, want := range []string{`"hopeful"`, "expects permit", "says deny"} {
		if !strings.Contains(d.Message, want) {
			t.Errorf("message %q does not say %s", d.Message, want)
		}
	}
	if !strings.Contains(d.Hint, string(abide.DenySilent)) || d.Other == nil || d.Other.Span.Start.Line == 0 {
		t.Errorf("no reason or place: %+v", d)
	}
}

func TestExampleUnreadable(t *testing.T) {
	for given, name := range map[string]string{
		"given = [livs(HK)]\n permitted = use(order, person.name)":             "livs",
		"given = [lives(XX)]\n permitted = use(order, person.name)":            "XX",
		"given = [asked(pots)]\n permitted = use(order, person.name)":          "pots",
		"given = [age(old)]\n permitted = use(order, person.name)":             "age",
		"given = [late(\"roof\")]\n permitted = use(order, person.name)":       "roof",
		"given = [left_group(dispatch)]\n permitted = use(order, person.name)": "dispatch",
		"permitted = use(ordr, person.name)":                                   "ordr",
		"permitted = use(order, person.nme)":                                   "person.nme",
		"permitted = look(order, person.name)":                                 "look",
		"permitted = use(order)":                                               "use",
	} {
		p, found := compiled(t, shippedLaws(t), exampleRules+"example \"e\" {\n "+given+"\n}")
		failOn(t, found)
		found = policy.RunExamples(p)
		if len(found) == 0 || found[0].Code != diag.ExampleUnreadable || found[0].Name != name {
			t.Errorf("%s: %v", given, found)
		}
	}
}
