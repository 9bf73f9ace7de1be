package policy

import (
	"slices"
	"strconv"
	"strings"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy/diag"
	"github.com/abide-privacy/abide/policy/rule"
)

// exampleTime is when all examples take place: what they tell must not change
// with the day on which the policy is checked.
var exampleTime = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// RunExamples decides the example blocks of a policy and reports those that
// come out otherwise than they say, with the reasons of what came out.
//
// The person of an example is known, active, grown up as far as anyone knows,
// and has done nothing but what is given. Who acts is a service that carries
// the purpose, unless staff is given. Whatever is given as agreed was asked on
// its own, under the terms in force, and is proved. The reviews of the policy
// have taken place unless one is given as late. A class of recipients whose
// members are in a register stands for a member of it. Without anything given
// there is no person at all.
func RunExamples(p *Policy) diag.List {
	var found diag.List
	for _, x := range p.set.Examples {
		e := &example{p: p, rule: x}
		found = append(found, e.run()...)
	}
	return found
}

type example struct {
	p     *Policy
	rule  *rule.Example
	facts Facts
	reg   Register
	req   Request
	later []func() // what needs the places to be known: terms
	bad   diag.List
}

func (e *example) run() diag.List {
	e.facts = Facts{Kind: abide.Person, Status: abide.StatusActive}
	e.req = Request{At: exampleTime, Actor: abide.Actor{Kind: abide.ActorService, Name: "example"}}
	for _, r := range e.p.set.Reviews {
		e.reg.Reviews = append(e.reg.Reviews, ReviewFact{Name: r.Name, At: exampleTime.AddDate(0, 0, -1)})
	}
	for _, g := range e.rule.Given {
		e.given(g)
	}
	for _, f := range e.later {
		f()
	}
	e.request(e.rule.Request)
	if len(e.bad) > 0 {
		return e.bad
	}
	facts := &e.facts
	if len(e.rule.Given) == 0 {
		facts = nil
	}
	d := e.p.Decide(facts, &e.reg, &e.req)
	return e.judge(&d)
}

func (e *example) judge(d *abide.Decision) diag.List {
	because := abide.ReasonCode(e.rule.Because)
	fits := because == "" || slices.ContainsFunc(d.Reasons, func(r abide.Reason) bool { return r.Code == because })
	if d.Effect == e.rule.Want && fits {
		return nil
	}
	got, want := d.Effect.String(), e.rule.Want.String()
	if because != "" {
		want += " because of " + string(because)
	}
	f := diag.New(diag.ExampleFails, e.rule.Span, "example %q expects %s, and the policy says %s", e.rule.Name, want, got).
		In(clauseOf(e.rule.At), e.rule.Name)
	var why []string
	for _, r := range d.Reasons {
		at := r.Clause
		if at != "" {
			at = " (" + at + ")"
		}
		why = append(why, string(r.Code)+": "+r.Text+at)
	}
	f.Hint = strings.Join(why, " ")
	f.Label = "expects " + want
	for _, r := range d.Reasons {
		if r.Span != (abide.Span{}) {
			f.Other = &diag.Place{Span: r.Span, Label: "decides it: " + string(r.Code)}
			break
		}
	}
	return diag.List{f}
}

func (e *example) unreadable(span abide.Span, name, format string, args ...any) *diag.Diagnostic {
	if span == (abide.Span{}) {
		span = e.rule.Span
	}
	e.bad = append(e.bad, diag.New(diag.ExampleUnreadable, span, format, args...).In(clauseOf(e.rule.At), name))
	return &e.bad[len(e.bad)-1]
}

// givens are the words that given understands.
var givens = map[string]func(*example, rule.Call){
	"lives":           func(e *example, c rule.Call) { e.facts.Residence = abide.Place(e.place(c)) },
	"is_in":           func(e *example, c rule.Call) { e.facts.Whereabouts = abide.Place(e.place(c)) },
	"visitor":         func(e *example, _ rule.Call) { e.facts.Kind = abide.Visitor },
	"other":           func(e *example, _ rule.Call) { e.facts.Kind = abide.Other },
	"erased":          func(e *example, _ rule.Call) { e.facts.Status = abide.StatusErased },
	"restricted":      func(e *example, _ rule.Call) { e.facts.Restricted = true },
	"declared_minor":  func(e *example, _ rule.Call) { e.facts.DeclaredMinor = true },
	"restored":        func(e *example, _ rule.Call) { e.facts.RestoredGap = true },
	"age":             (*example).age,
	"born":            (*example).born,
	"held":            (*example).held,
	"asked":           state(func(c *Consent) { c.State = StateAsked }),
	"told":            state(func(c *Consent) { c.State, c.Told = StateTold, true }),
	"agreed":          agreement(StateGiven),
	"indicated":       agreement(StateIndicated),
	"bundled":         state(func(c *Consent) { c.Separate = false }),
	"claimed":         state(func(c *Consent) { c.Grade = abide.GradeClaimed }),
	"refused":         state(func(c *Consent) { c.State = StateRefused }),
	"withdrew":        state(func(c *Consent) { c.State = StateWithdrawn }),
	"objected":        state(func(c *Consent) { c.Objected = true }),
	"expired":         state(func(c *Consent) { c.State = StateExpired }),
	"topic_refused":   (*example).topicRefused,
	"channel_refused": (*example).channelRefused,
	"guardian":        (*example).guardian,
	"accepted":        (*example).accepted,
	"takes":           (*example).takes,
	"left":            (*example).left,
	"obtained":        (*example).obtained,
	"happened":        (*example).happened,
	"member":          (*example).member,
	"left_group":      (*example).leftGroup,
	"contract":        (*example).contract,
	"staff":           (*example).staff,
	"undertaking":     func(e *example, _ rule.Call) { e.fact().UndertakingEnds = exampleTime.AddDate(1, 0, 0) },
	"reviewed":        func(e *example, c rule.Call) { e.fact().ReviewedAt = e.ago(c) },
	"late":            (*example).late,
	"reason":          func(e *example, _ rule.Call) { e.req.Reason = "example" },
	"approvals":       (*example).approvals,
	"order":           (*example).order,
	"for_value":       func(e *example, _ rule.Call) { e.req.ForValue = true },
	"topic":           func(e *example, c rule.Call) { e.req.Topic = abide.Topic(e.arg(c, 0)) },
	"channel":         func(e *example, c rule.Call) { e.req.Channel = abide.Channel(e.arg(c, 0)) },
	"subject":         func(e *example, _ rule.Call) { e.req.Actor.Kind = abide.ActorSubject },
}

func (e *example) given(c rule.Call) {
	f := givens[c.Name]
	if f == nil {
		d := e.unreadable(c.Span, c.Name, "nothing is known of given %s", c.Name)
		d.Hint = diag.DidYouMean(c.Name, sortedKeys(givens))
		return
	}
	f(e, c)
}

// arg returns the i-th name of a call, reporting if it is not there.
func (e *example) arg(c rule.Call, i int) string {
	if i < len(c.Args) {
		return c.Args[i].Name
	}
	e.unreadable(c.Span, c.Name, "%s wants %d names", c.Name, i+1)
	return ""
}

func (e *example) place(c rule.Call) string {
	p := e.arg(c, 0)
	if _, ok := e.p.places.id(abide.Place(p)); !ok && p != "" {
		e.unreadable(c.Span, p, "no place is called %s", p)
	}
	return p
}

func (e *example) purpose(c rule.Call) abide.Purpose {
	name := e.arg(c, 0)
	if _, ok := e.p.Purpose(abide.Purpose(name)); !ok && name != "" {
		var all []string
		for _, pu := range e.p.purposes {
			all = append(all, string(pu.Name))
		}
		e.unreadable(c.Span, name, "no purpose is called %s", name).Hint = diag.DidYouMean(name, all)
	}
	return abide.Purpose(name)
}

func (e *example) ago(c rule.Call) time.Time {
	if c.After == nil {
		return exampleTime
	}
	return addMonths(exampleTime, -c.After.Months).AddDate(0, 0, -c.After.Days)
}

func (e *example) number(c rule.Call) int {
	n, err := strconv.Atoi(e.arg(c, 0))
	if err != nil || n < 0 {
		e.unreadable(c.Span, c.Name, "%s wants a number", c.Name)
	}
	return n
}

func (e *example) age(c rule.Call) {
	y, m, d := exampleTime.Date()
	e.facts.BirthDate = abide.Date{Year: y - e.number(c), Month: m, Day: d}
}

func (e *example) born(c rule.Call) {
	d, err := abide.ParseDate(e.arg(c, 0))
	if err != nil {
		e.unreadable(c.Span, c.Name, "born wants a date such as \"1990-04-02\"")
	}
	e.facts.BirthDate = d
}

func (e *example) held(c rule.Call) {
	h := Hold{Name: "example"}
	for _, a := range c.Args {
		h.Categories = append(h.Categories, abide.Category(a.Name))
	}
	e.facts.Holds = append(e.facts.Holds, h)
}

// consent returns the person's state of a purpose, making it.
func (e *example) consent(p abide.Purpose) *Consent {
	if c := e.facts.consent(p); c != nil {
		return c
	}
	e.facts.Consents = append(e.facts.Consents, Consent{Purpose: p, Grade: abide.GradeProved, Separate: true,
		Since: exampleTime.AddDate(0, 0, -1), Last: exampleTime.AddDate(0, 0, -1)})
	return &e.facts.Consents[len(e.facts.Consents)-1]
}

func state(change func(*Consent)) func(*example, rule.Call) {
	return func(e *example, c rule.Call) {
		k := e.consent(e.purpose(c))
		if c.After != nil {
			k.Since = e.ago(c)
		}
		change(k)
	}
}

func agreement(s ConsentState) func(*example, rule.Call) {
	return func(e *example, c rule.Call) {
		p := e.purpose(c)
		k := e.consent(p)
		k.State = s
		if c.After != nil {
			k.Since = e.ago(c)
		}
		// An indication of no objection is nothing without a notice before it:
		// an example that wants the notice says told.
		k.Told = k.Told || s == StateGiven || slices.ContainsFunc(e.rule.Given, func(g rule.Call) bool {
			return g.Name == "told" && len(g.Args) > 0 && g.Args[0].Name == string(p)
		})
		e.later = append(e.later, func() { e.terms(p) })
	}
}

func (e *example) terms(p abide.Purpose) {
	if t, ok := e.p.Terms(p, &e.facts, exampleTime); ok {
		e.consent(p).Terms = t.Digest()
	}
}

func (e *example) topicRefused(c rule.Call) {
	k := e.consent(e.purpose(c))
	k.RefusedTopics = append(k.RefusedTopics, abide.Topic(e.arg(c, 1)))
}

func (e *example) channelRefused(c rule.Call) {
	k := e.consent(e.purpose(c))
	k.RefusedChannels = append(k.RefusedChannels, abide.Channel(e.arg(c, 1)))
}

// guardian is a verified guardian who agreed for the child.
func (e *example) guardian(c rule.Call) {
	e.facts.Guardian.Verified = true
	if len(c.Args) == 0 {
		return
	}
	p := e.purpose(c)
	e.facts.Guardian.Consents = append(e.facts.Guardian.Consents, p)
	if k := e.consent(p); k.State == StateNone {
		k.State, k.Told = StateGiven, true
		e.later = append(e.later, func() { e.terms(p) })
	}
}

func (e *example) accepted(c rule.Call) {
	e.facts.Accepted = append(e.facts.Accepted, Accepted{Document: abide.DocumentName(e.arg(c, 0)), At: exampleTime.AddDate(0, 0, -1)})
}

func (e *example) takes(c rule.Call) {
	e.facts.Services = append(e.facts.Services, Taking{Service: abide.Service(e.arg(c, 0)), Since: exampleTime.AddDate(0, -1, 0)})
}

func (e *example) left(c rule.Call) {
	e.facts.Services = append(e.facts.Services, Taking{Service: abide.Service(e.arg(c, 0)),
		Since: exampleTime.AddDate(0, -1, 0), Left: exampleTime.AddDate(0, 0, -1)})
}

func (e *example) obtained(c rule.Call) {
	e.req.Items = append(e.req.Items, ItemFact{Category: abide.Category(e.arg(c, 0)), Obtained: e.ago(c)})
}

func (e *example) happened(c rule.Call) {
	e.facts.Events = append(e.facts.Events, Event{Anchor: e.arg(c, 0), At: e.ago(c)})
}

func (e *example) member(c rule.Call) {
	e.reg.Members = append(e.reg.Members, Member{Name: abide.Recipient(e.arg(c, 0)), Class: abide.Recipient(e.arg(c, 1))})
}

func (e *example) leftGroup(c rule.Call) {
	for i := range e.reg.Members {
		if string(e.reg.Members[i].Name) == e.arg(c, 0) {
			e.reg.Members[i].Left = exampleTime.AddDate(0, 0, -1)
			return
		}
	}
	e.unreadable(c.Span, e.arg(c, 0), "left_group names no member given before it")
}

func (e *example) contract(c rule.Call) {
	k := ContractFact{Recipient: e.stands(abide.Recipient(e.arg(c, 0))), Signed: exampleTime.AddDate(-1, 0, 0)}
	for _, a := range c.Args[min(1, len(c.Args)):] {
		k.Covers = append(k.Covers, abide.Place(a.Name))
	}
	e.reg.Contracts = append(e.reg.Contracts, k)
}

// stands returns the member that a class with a register stands for.
func (e *example) stands(r abide.Recipient) abide.Recipient {
	i, ok := e.p.recIndex[r]
	if !ok || !e.p.recipients[i].Register {
		return r
	}
	name := "a member of " + r
	if !slices.ContainsFunc(e.reg.Members, func(m Member) bool { return m.Name == name }) {
		e.reg.Members = append(e.reg.Members, Member{Name: name, Class: r})
	}
	return name
}

func (e *example) staff(c rule.Call) {
	e.req.Actor = abide.Actor{Kind: abide.ActorStaff, Name: "example", Role: e.arg(c, 0)}
}

func (e *example) fact() *StaffFact {
	if len(e.reg.Staff) == 0 {
		e.reg.Staff = []StaffFact{{Name: "example"}}
	}
	return &e.reg.Staff[0]
}

// late says that a review has not taken place in time.
func (e *example) late(c rule.Call) {
	name := e.arg(c, 0)
	n := len(e.reg.Reviews)
	e.reg.Reviews = slices.DeleteFunc(e.reg.Reviews, func(r ReviewFact) bool { return r.Name == name })
	if len(e.reg.Reviews) == n && name != "" {
		e.unreadable(c.Span, name, "no review is called %s", name)
	}
}

func (e *example) approvals(c rule.Call) { e.req.Approvals = e.number(c) }

// order is a legal request that is complete, for the categories named.
func (e *example) order(c rule.Call) {
	o := &Order{Rule: e.arg(c, 0), Authority: "an authority", Citation: "a law", When: "requires"}
	if r, ok := e.p.orders[o.Rule]; ok {
		o.Approvals = r.rule.Approvals
		if len(r.rule.When) > 0 {
			o.When = r.rule.When[0]
		}
	}
	for _, a := range c.Args[min(1, len(c.Args)):] {
		o.Scope = append(o.Scope, abide.Category(a.Name))
	}
	e.req.Order = o
}

// request reads act(purpose, categories…, and whatever else the act is done
// with: a service, a recipient, a type of message or a channel).
func (e *example) request(c rule.Call) {
	e.req.Act = abide.ParseAct(c.Name)
	if e.req.Act == abide.ActUnknown {
		var all []string
		for _, a := range abide.Acts() {
			all = append(all, a.String())
		}
		e.unreadable(c.Span, c.Name, "%s is no act", c.Name).Hint = diag.DidYouMean(c.Name, all)
		return
	}
	e.req.Purpose = e.purpose(c)
	e.req.Actor.Purposes = []abide.Purpose{e.req.Purpose}
	for _, a := range c.Args[min(1, len(c.Args)):] {
		e.with(a)
	}
	for _, inner := range c.Calls {
		for _, a := range inner.Args {
			e.with(a)
		}
	}
	if len(e.req.Categories) == 0 {
		e.unreadable(c.Span, c.Name, "%s names no category", c.Name)
	}
	if len(e.req.Items) > 0 {
		e.req.Items = slices.DeleteFunc(e.req.Items, func(it ItemFact) bool { return !slices.Contains(e.req.Categories, it.Category) })
	}
}

func (e *example) with(a rule.Ref) {
	pu, _ := e.p.Purpose(e.req.Purpose)
	if _, ok := e.p.catIndex[abide.Category(a.Name)]; ok {
		e.req.Categories = append(e.req.Categories, abide.Category(a.Name))
		return
	}
	switch e.req.Act {
	case abide.ActCollect, abide.ActRead, abide.ActUse:
		if _, ok := e.p.Service(abide.Service(a.Name)); ok {
			e.req.Service = abide.Service(a.Name)
			return
		}
	case abide.ActDisclose:
		if _, ok := e.p.Recipient(abide.Recipient(a.Name)); ok {
			e.req.Recipient = e.stands(abide.Recipient(a.Name))
			return
		}
		if slices.ContainsFunc(e.reg.Members, func(m Member) bool { return string(m.Name) == a.Name }) {
			e.req.Recipient = abide.Recipient(a.Name)
			return
		}
	case abide.ActContact, abide.ActChoose:
		if pu != nil && slices.Contains(pu.Topics, abide.Topic(a.Name)) {
			e.req.Topic = abide.Topic(a.Name)
			return
		}
		if pu != nil && slices.Contains(pu.Channels, abide.Channel(a.Name)) || slices.Contains(regimeChannels, abide.Channel(a.Name)) {
			e.req.Channel = abide.Channel(a.Name)
			return
		}
	}
	var all []string
	for _, c := range e.p.categories {
		all = append(all, string(c.Name))
	}
	e.unreadable(a.Span, a.Name, "%s is nothing that %s is done with", a.Name, e.req.Act).Hint = diag.DidYouMean(a.Name, all)
}
