package render

import (
	"github.com/abide-privacy/abide/policy/rule"
)

var classes = map[string]string{
	"affiliate": "companies of our group", "processor": "service providers who act for us", "partner": "partners",
	"authority": "authorities", "network": "a social network of its own", "advertiser": "advertisers",
}

func class(name string) string {
	if c, ok := classes[name]; ok {
		return c
	}
	return pretty(name)
}

func (s *speaker) recipientRule(r *rule.Recipient) {
	title := s.recipient(string(r.Name))
	c := lead("the recipient " + quote(title) + s.nameUnlessTitle(string(r.Name), title))
	if r.Class != "" {
		c.lead += " stands for " + class(r.Class)
	} else {
		c.lead += " is of no declared class"
	}
	if len(r.Sectors) > 0 {
		c.lead += " in " + list(prettyRefs(r.Sectors))
	}
	c.add(calledToo(r.Words, title))
	switch {
	case len(r.Members) > 0:
		c.add("it is made up of " + list(prettyRefs(r.Members)))
	case !r.Register:
		c.add("it is one recipient, without members")
	}
	c.addIf(r.Register, "its members are those in our register")
	if k := r.Contract; k != nil {
		c.add(contract(k))
	}
	c.addIf(r.OwnPolicy != "", "its own policy governs it: "+r.OwnPolicy)
	c.addIf(len(r.Gets) == 0, "it gets nothing")
	s.say(r.At, "recipient", string(r.Name), c)
	for _, g := range r.Gets {
		what := list(s.categoriesOf(g.Categories))
		if what == "" {
			what = "nothing"
		}
		s.sayAt(r.At, g.Span, "gets", string(r.Name), lead(quote(title)+" gets "+what+" for "+quote(s.purpose(g.Purpose.Name))+" and for nothing else"))
	}
}

func contract(k *rule.Contract) string {
	said := "a contract must be in force"
	switch k.Covers {
	case "":
	case "residence":
		said += " that covers the law of where the person lives"
	default:
		said += " that covers " + pretty(k.Covers)
	}
	switch k.Lapse {
	case "":
	case "closes":
		said += ", and when it lapses nothing more is disclosed"
	default:
		said += ", and when it lapses: " + pretty(k.Lapse)
	}
	return said
}

var whens = map[string]string{"requires": "requires it", "expressly_permits": "expressly permits it"}

func (s *speaker) withoutConsent(w *rule.WithoutConsent) {
	c := lead("under " + quote(pretty(w.Name)) + ", " + list(acts(w.Acts)) + " data goes without consent")
	when := make([]string, len(w.When))
	for i, x := range w.When {
		when[i] = whens[x]
		if when[i] == "" {
			when[i] = pretty(x)
		}
	}
	if len(when) > 0 {
		c.lead += " only where the law " + either(when)
	}
	var order []string
	if w.Authority {
		order = append(order, "its authority")
	}
	if w.Citation {
		order = append(order, "its legal ground")
	}
	if w.Scope {
		order = append(order, "its scope")
	}
	c.addIf(len(order) > 0, "the order must name "+list(order))
	c.addIf(w.Approvals > 0, "it needs "+count(w.Approvals, "approval"))
	s.say(w.At, "without_consent", w.Name, c)
}

var trackerKinds = map[string]string{
	"cookie": "cookie", "storage": "item in the browser's storage", "pixel": "pixel", "script": "script", "widget": "widget",
}

var afters = map[string]string{
	"click": "the person clicks it", "consent": "the person has consented", "load": "the page has loaded",
}

func (s *speaker) tracker(t *rule.Tracker) {
	title := t.Title
	if title == "" {
		title = pretty(t.Name)
	}
	kind := trackerKinds[t.Kind]
	if kind == "" {
		kind = "tracker (" + pretty(t.Kind) + ")"
	}
	c := lead("the " + kind + " " + quote(title) + s.nameUnlessTitle(t.Name, title))
	if t.Host != nil {
		c.lead += " belongs to " + s.recipient(t.Host.Name)
	} else {
		c.lead += " is our own"
	}
	c.add(calledToo(t.Words, title))
	if t.Purpose != nil {
		c.add("it serves " + quote(s.purpose(t.Purpose.Name)))
	}
	if len(t.Sees) > 0 {
		c.add("it sees " + list(s.categoriesOf(t.Sees)))
	} else {
		c.add("it sees no data")
	}
	if t.After != "" {
		after := afters[t.After]
		if after == "" {
			after = pretty(t.After)
		}
		c.add("it starts only after " + after)
	}
	if t.Keep != nil {
		c.add("it stays " + until(t.Keep))
	}
	c.addIf(len(t.Names) > 0, "the browser shows it as "+list(quoteAll(t.Names)))
	c.addIf(t.Strict, "the site cannot do without it")
	s.say(t.At, "tracker", t.Name, c)
}

var protections = map[string]string{
	"end_to_end": "sealed from end to end: nobody on the way can read it",
	"in_transit": "sealed on its way from one machine to the next, which can read it",
	"none":       "not protected: whoever carries it can read it",
}

func (s *speaker) channel(ch *rule.Channel) {
	title := ch.Title
	if title == "" {
		title = pretty(string(ch.Name))
	}
	said := protections[ch.Protection]
	if said == "" {
		said = pretty(ch.Protection)
	}
	c := lead("the channel " + quote(title) + s.nameUnlessTitle(string(ch.Name), title) + " is " + orNothing(said, "protected in a way that nobody says"))
	c.add(calledToo(ch.Words, title))
	s.say(ch.At, "channel", string(ch.Name), c)
}

func orNothing(said, instead string) string {
	if said == "" {
		return instead
	}
	return said
}

func (s *speaker) signin(g *rule.Signin) {
	c := lead("people may sign in with " + s.host(g.Host, g.Name))
	c.add(calledToo(g.Words, pretty(g.Name)))
	if len(g.MayAsk) > 0 {
		ticked := "unticked"
		if g.Ticked {
			ticked = "ticked"
		}
		c.add("we may ask it for " + list(s.categoriesOf(g.MayAsk)) + ", each a choice that starts " + ticked + ", and drop whatever else arrives")
	} else if g.Ticked {
		c.add("its choices start ticked")
	}
	if len(g.Where) > 0 {
		c.add("this is offered in " + list(places(g.Where)))
	} else {
		c.add("this is offered everywhere")
	}
	s.say(g.At, "signin", g.Name, c)
}

// host names the other company of a rule: its recipient, or else the rule.
func (s *speaker) host(r *rule.Ref, name string) string {
	if r == nil {
		return quote(upperFirst(pretty(name)))
	}
	host := s.recipient(r.Name)
	if r.Name != name {
		host += " (" + name + ")"
	}
	return host
}

func (s *speaker) post(p *rule.Post) {
	c := lead("we post to a profile at " + s.host(p.Host, p.Name))
	switch p.Each {
	case "shown_and_confirmed":
		c.lead += " only what the person was shown and confirmed, each time"
	case "":
		c.lead += " under no stated condition, so never"
	default:
		c.lead += " only if each time it is " + pretty(p.Each)
	}
	s.say(p.At, "post", p.Name, c)
}

var reportedThen = map[string]string{
	"erase": "the child's data is erased", "unsubscribe_everywhere": "the child is unsubscribed everywhere",
}

func (s *speaker) minors(m *rule.Minors) {
	c := lead("minors are judged by the age that the law of their place sets")
	if len(m.Closed) > 0 {
		c.lead = "for minors " + list(s.purposesOf(m.Closed)) + " is closed, guardian or not"
	}
	c.addIf(m.Known, "who has not said their age counts as a minor")
	if r := m.Reported; r != nil {
		said := "when a child's data is reported"
		if r.By != "" {
			said += " by a " + pretty(r.By)
		}
		what := make([]string, len(r.Then))
		for i, t := range r.Then {
			what[i] = reportedThen[t]
			if what[i] == "" {
				what[i] = pretty(t)
			}
		}
		if len(what) > 0 {
			said += ", " + list(what)
		} else {
			said += ", nothing follows"
		}
		if r.Within != nil {
			said += " " + within(r.Within)
		}
		c.add(said)
	}
	s.say(m.At, "minors", "", c)
}

func (s *speaker) review(v *rule.Review) {
	c := lead("the review " + quote(pretty(v.Name)) + " takes place")
	if v.Every > 0 {
		c.lead += " every " + months(v.Every)
	} else {
		c.lead += " at no fixed interval"
	}
	if v.By.Name != "" {
		c.lead += ", by " + quote(pretty(v.By.Name))
	}
	switch {
	case v.Closes != nil:
		c.add("when it is late, data classed " + quote(v.Closes.Name) + " closes")
	case v.Late != "":
		c.add("when it is late: " + pretty(v.Late))
	}
	s.say(v.At, "review", v.Name, c)
}

func (s *speaker) role(r *rule.Role) {
	title := r.Title
	if title == "" {
		title = pretty(r.Name)
	}
	c := lead("staff in the role " + quote(title) + s.nameUnlessTitle(r.Name, title))
	if len(r.Purposes) > 0 {
		c.lead += " act for " + list(s.purposesOf(r.Purposes))
	} else {
		c.lead += " act for no purpose"
	}
	if len(r.Reads) > 0 {
		c.add("they may use only " + list(s.categoriesOf(r.Reads)))
	} else {
		c.add("they may use whatever those purposes use")
	}
	if r.Level != nil {
		c.add("nothing classed above " + quote(r.Level.Name))
	}
	if len(r.Acts) > 0 {
		c.add("they do nothing with it but " + list(acts(r.Acts)) + " it")
	}
	s.say(r.At, "role", r.Name, c)
}

func (s *speaker) never(n *rule.Never) {
	what := list(s.categoriesOf(n.What))
	switch {
	case n.Any && what != "":
		what = "any personal data, " + what + " among it"
	case n.Any:
		what = "any personal data"
	}
	doing := either(acts(n.Acts))
	if doing == "" {
		doing = "processing"
	}
	c := lead("never, whatever else permits (" + quote(pretty(n.Name)) + "):")
	if what != "" || len(n.Acts) > 0 || len(n.To) > 0 || n.Against != "" || len(n.For) > 0 {
		c.add(s.forbidden(n, doing, what))
	}
	if len(n.Link) > 0 {
		groups := make([]string, len(n.Link))
		for i, g := range n.Link {
			groups[i] = quote(pretty(g.Name))
		}
		c.add("using the data " + list(groups) + " together for one person")
	}
	s.say(n.At, "never", n.Name, c)
}

func (s *speaker) forbidden(n *rule.Never, doing, what string) string {
	if what == "" {
		what = "it"
	}
	said := doing + " " + what
	if len(n.To) > 0 {
		to := make([]string, len(n.To))
		for i, r := range n.To {
			to[i] = s.recipient(r.Name)
			if _, named := s.recipients[r.Name]; !named {
				to[i] = class(r.Name)
			}
		}
		said += " to " + either(to)
	}
	if len(n.For) > 0 {
		said += " for " + either(s.purposesOf(n.For))
	}
	switch n.Against {
	case "":
	case "value":
		said += " against money or anything else of value"
	default:
		said += " against " + pretty(n.Against)
	}
	return said
}

func (s *speaker) example(e *rule.Example) {
	c := lead("example " + quote(e.Name) + ":")
	given := make([]string, len(e.Given))
	for i, g := range e.Given {
		given[i] = s.call(g)
	}
	outcome := "is refused"
	if e.Want.String() == "permit" {
		outcome = "is permitted"
	}
	said := s.call(e.Request) + " " + outcome
	if e.Because != "" {
		said += " because of " + quote(e.Because)
	}
	if len(given) > 0 {
		said = "given " + list(given) + ", " + said
	}
	c.add(said)
	s.say(e.At, "example", e.Name, c)
}

// call says a fact or a request as it is written, with its arguments in words.
func (s *speaker) call(c rule.Call) string {
	args := make([]string, len(c.Args))
	for i, a := range c.Args {
		args[i] = s.arg(a.Name)
	}
	for _, inner := range c.Calls {
		args = append(args, s.call(inner))
	}
	if c.After != nil {
		args = append(args, orNoTime(amount(c.After)))
	}
	if speak, ok := calls[c.Name]; ok && len(args) > 0 {
		return speak(args)
	}
	said := pretty(c.Name)
	if len(args) > 0 {
		said += " (" + list(args) + ")"
	}
	return said
}

func (s *speaker) arg(name string) string {
	if _, ok := s.categories[name]; ok {
		return s.category(name)
	}
	if _, ok := s.purposes[name]; ok {
		return quote(s.purpose(name))
	}
	if _, ok := s.recipients[name]; ok {
		return s.recipient(name)
	}
	return place(name)
}

func (s *speaker) system(y *rule.System) {
	c := lead("the system " + quote(y.Name))
	if len(y.Holds) > 0 {
		c.lead += " holds " + list(s.categoriesOf(y.Holds))
	} else {
		c.lead += " holds no data"
	}
	obeys := make([]string, len(y.Obeys))
	for i, o := range y.Obeys {
		obeys[i] = pretty(o)
	}
	c.addIf(len(obeys) > 0, "it obeys "+list(obeys))
	c.addIf(y.Via != "", "it is reached through "+y.Via)
	if y.AnswerWithin != nil {
		c.add("it answers " + within(y.AnswerWithin))
	}
	s.sayAt(rule.At{}, y.Span, "system", y.Name, c)
}
