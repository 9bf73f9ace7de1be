package render

import (
	"strings"

	"github.com/abide-privacy/abide/policy/rule"
)

func (s *speaker) purposeRule(p *rule.Purpose) {
	title := s.purpose(string(p.Name))
	c := lead("for " + quote(title) + s.nameUnlessTitle(string(p.Name), title) + " we")
	var does []string
	if len(p.Uses) > 0 {
		does = append(does, "use "+list(s.categoriesOf(p.Uses)))
	}
	if len(p.Contacts) > 0 {
		does = append(does, "contact people by their "+list(s.categoriesOf(p.Contacts)))
	}
	if len(p.ChosenBy) > 0 {
		does = append(does, "choose what people are shown by "+list(s.categoriesOf(p.ChosenBy))+" and by nothing else")
	}
	if len(does) == 0 {
		does = []string{"use no data"}
	}
	c.lead += " " + strings.Join(does, "; ")
	c.add(calledToo(p.Words, title))
	c.addIf(p.DPV != "", "the Data Privacy Vocabulary calls it "+p.DPV)
	c.addIf(len(p.Offers) > 0, "we offer "+s.offers(p.Offers))
	c.addIf(len(p.Topics) > 0, "its topics are "+list(prettyRefs(p.Topics))+", each refused on its own or all together")
	c.addIf(len(p.Channels) > 0, "its channels are "+list(channels(p.Channels))+", each refused on its own")
	c.addIf(p.Marketing, "it is direct marketing")
	if p.Within != nil {
		c.add("it is permitted only while " + quote(s.purpose(p.Within.Name)) + " is permitted too")
	}
	c.addIf(len(p.Honours) > 0, "the signal "+list(signals(p.Honours))+" counts as a refusal")
	if p.Basis != nil {
		c.add("the ground is " + s.basis(p.Basis))
	} else {
		c.add("no ground is given, so it is denied")
	}
	c.add(ask(p.Ask))
	c.add(grade(p.Grade))
	c.add(lasts(p.Lasts))
	c.add(keep(p))
	s.say(p.At, "purpose", string(p.Name), c)
	if m := p.Message; m != nil {
		s.message(p, m)
	}
	for _, in := range p.In {
		s.placeRule(p, in)
	}
}

var signalNames = map[string]string{"gpc": "Global Privacy Control of the browser", "dnt": "Do Not Track of the browser"}

func signals(refs []rule.Ref) []string {
	out := make([]string, len(refs))
	for i, r := range refs {
		out[i] = signalNames[r.Name]
		if out[i] == "" {
			out[i] = quote(r.Name)
		}
	}
	return out
}

// nameUnlessTitle adds a rule's name where its title is another.
func (s *speaker) nameUnlessTitle(name, title string) string {
	if strings.EqualFold(pretty(name), title) {
		return ""
	}
	return " (" + name + ")"
}

var whose = map[string]string{
	"own": "our own", "affiliates": "our affiliates’", "partners": "our partners’",
}

func (s *speaker) offers(offers []rule.Offer) string {
	out := make([]string, len(offers))
	for i, o := range offers {
		owner := whose[o.Whose]
		if owner == "" {
			owner = s.recipient(o.Whose) + "’"
		}
		out[i] = owner + " " + list(prettyRefs(o.Kinds))
	}
	return list(out)
}

var channelNames = map[string]string{
	"email": "e-mail", "sms": "text message", "post": "letter", "push": "push message", "phone": "telephone",
}

func channels(refs []rule.Ref) []string {
	out := make([]string, len(refs))
	for i, r := range refs {
		out[i] = channelNames[r.Name]
		if out[i] == "" {
			out[i] = pretty(r.Name)
		}
	}
	return out
}

// profiles say what a law profile decides.
var profiles = map[string]string{
	"direct_marketing": "direct marketing", "cookies": "cookies and the like",
}

func (s *speaker) basis(b *rule.Basis) string {
	switch b.Kind {
	case rule.BasisConsent:
		return "the person's consent"
	case rule.BasisNoObjection:
		said := "the person's indication, once asked, that they do not object"
		if len(b.Told) > 0 {
			said += ", after being told of " + list(s.told(b.Told))
		}
		return said
	case rule.BasisContract:
		return "our contract with the person"
	case rule.BasisLaw:
		said := "a duty in law"
		if b.Place != "" {
			said += " of " + place(string(b.Place))
		}
		if b.Citation != "" {
			said += " (" + b.Citation + ")"
		}
		return said
	case rule.BasisLegitimate:
		return "our legitimate interest, to which the person may object"
	case rule.BasisProfile:
		what := profiles[b.Profile]
		if what == "" {
			what = pretty(b.Profile)
		}
		return "whatever the law on " + what + " asks where the person lives"
	}
	return quote(string(b.Kind))
}

var toldWords = map[string]string{
	"contacts": "the data used to contact them", "offers": "the kinds of goods offered and whose they are",
	"free_reply": "a free way to answer", "chosen_by": "the data by which we choose", "uses": "the data used",
	"recipients": "who receives it", "topics": "the topics", "keep": "how long it is kept",
}

func (s *speaker) told(refs []rule.Ref) []string {
	out := make([]string, len(refs))
	for i, r := range refs {
		out[i] = toldWords[r.Name]
		if out[i] == "" {
			out[i] = s.category(r.Name)
		}
	}
	return out
}

func ask(how string) string {
	switch how {
	case "":
		return ""
	case "separate":
		return "it is asked on its own, never bundled with another question"
	}
	return "it is asked " + pretty(how)
}

func grade(g string) string {
	switch g {
	case "":
		return ""
	case "proved":
		return "of consents from before, only those suffice that can be proved"
	case "claimed":
		return "consents from before suffice though they are only claimed"
	}
	return "consents from before suffice if they are " + pretty(g)
}

func lasts(d *rule.Deadline) string {
	if d == nil {
		return ""
	}
	return "a consent lasts " + until(d)
}

// keep says how long what a purpose holds is kept, and what becomes of it.
func keep(p *rule.Purpose) string {
	var said string
	switch {
	case p.Keep != nil && p.AtMost != nil:
		said = "the data is kept " + until(p.Keep) + ", but at most " + until(p.AtMost)
	case p.Keep != nil:
		said = "the data is kept " + until(p.Keep)
	case p.AtMost != nil:
		said = "the data is kept at most " + until(p.AtMost)
	default:
		said = "how long the data is kept is not said here"
	}
	return said + ", then " + then(p.Then)
}

func then(what string) string {
	switch what {
	case "", "erase":
		return "erased"
	case "unlink":
		return "stripped of whatever ties it to the person"
	}
	return pretty(what)
}

func (s *speaker) message(p *rule.Purpose, m *rule.Message) {
	c := lead("a message for " + quote(s.purpose(string(p.Name))))
	var does []string
	if len(m.Fields) > 0 {
		fields := make([]string, len(m.Fields))
		for i, f := range m.Fields {
			fields[i] = s.category(f.Name)
			if f.Name == "contacts" {
				fields[i] = "the data people are contacted by"
			}
		}
		does = append(does, "may hold "+list(fields)+" and nothing else about the person")
	}
	if m.EndsWith != "" {
		end := pretty(m.EndsWith)
		if m.EndsWith == "unsubscribe" {
			end = "a link to unsubscribe"
		}
		does = append(does, "ends with "+end)
	}
	if len(does) == 0 {
		does = []string{"has no particular form"}
	}
	c.lead += " " + list(does)
	s.sayAt(p.At, m.Span, "message", string(p.Name), c)
}

func (s *speaker) placeRule(p *rule.Purpose, in *rule.PlaceRule) {
	c := lead("in " + list(places(in.Places)) + ", for " + quote(s.purpose(string(p.Name))) + ":")
	c.addIf(in.Closed, "it is not pursued at all")
	if in.Basis != nil {
		c.add("the ground is " + s.basis(in.Basis))
	}
	c.add(ask(in.Ask))
	c.add(lasts(in.Lasts))
	if in.Keep != nil {
		c.add("the data is kept " + until(in.Keep))
	}
	if in.AtMost != nil {
		c.add("the data is kept at most " + until(in.AtMost))
	}
	s.sayAt(p.At, in.Span, "in", string(p.Name), c)
}

func (s *speaker) serviceRule(v *rule.Service) {
	title := s.service(string(v.Name))
	c := lead("the service " + quote(title) + s.nameUnlessTitle(string(v.Name), title))
	if len(v.Needs) > 0 {
		c.lead += " needs " + list(s.categoriesOf(v.Needs)) + ", and without one of them it alone stops"
	} else {
		c.lead += " needs no data"
	}
	c.add(calledToo(v.Words, title))
	c.addIf(len(v.Wants) > 0, "it welcomes "+list(s.categoriesOf(v.Wants))+" and never demands it")
	c.addIf(len(v.Serves) > 0, "it acts for "+list(s.purposesOf(v.Serves)))
	c.addIf(len(v.Sources) > 0, "when a person leaves it, "+list(quoteAll(prettyRefs(v.Sources)))+" must stop sending")
	c.addIf(len(v.Reports) > 0, "the application reports when "+list(reported(v.Reports)))
	c.addIf(v.Minors, "minors may take part")
	s.say(v.At, "service", string(v.Name), c)
}

func reported(refs []rule.Ref) []string {
	out := make([]string, len(refs))
	for i, r := range refs {
		out[i] = event(r.Name, false)
	}
	return out
}
