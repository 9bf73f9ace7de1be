package render

import (
	"strconv"
	"strings"

	"github.com/abide-privacy/abide/policy/rule"
)

var lawOf = map[rule.LawOf]string{
	rule.LawOfResidence:   "where the person lives",
	rule.LawOfWhereabouts: "where the person is",
	rule.LawOfController:  "where the controller is",
}

func (s *speaker) document(d *rule.Document) {
	at := rule.At{Span: d.Span}
	if len(d.Clauses) > 0 {
		at.Clause = holding(d)
	}
	c := lead("this document is " + quote(d.Title) + " (" + string(d.Name) + "), in the language " + quote(d.Language))
	c.addIf(d.TranslationOf != "", "it translates "+s.names.document(string(d.TranslationOf))+" ("+string(d.TranslationOf)+")")
	if d.Party != nil {
		c.party(d.Party)
	} else {
		c.addIf(d.Controller != "", "the controller is "+d.Controller)
	}
	c.addIf(len(d.StoredIn) > 0, "the data is kept in "+list(places(d.StoredIn)))
	c.addIf(d.NoticeAt != "", "the page is published at "+d.NoticeAt)
	c.addIf(d.RightsAt != "", "people exercise their rights at "+d.RightsAt)
	switch laws := s.laws(d.LawOf); len(laws) {
	case 0:
		c.add("the law of where the person lives applies")
	case 1:
		c.add("the law of " + laws[0] + " applies")
	default:
		c.add("the strictest applies of the laws of " + list(laws))
	}
	if y := d.YieldsTo; y != nil {
		other := s.names.document(y.Document.Name) + " (" + y.Document.Name + ")"
		among := pretty(y.Among)
		if y.Among == "those_who_agreed" {
			among = "those who agreed to it"
		}
		c.add("where the two disagree " + other + " prevails, among " + among + " and nobody else")
	}
	s.say(at, "document", string(d.Name), c)
	for _, a := range d.AcceptsLaw {
		s.acceptedLaw(at, a)
	}
	for _, clause := range d.Clauses {
		s.suppressions(clause)
	}
}

func (c *clauses) party(p *rule.Party) {
	c.add("the controller is " + p.Text())
	c.addIf(p.Contact != "", "ask there for "+p.Contact)
	c.addIf(p.URL != "", "its page is "+p.URL)
}

// acceptedLaw says who answers for law values that nobody reviewed.
func (s *speaker) acceptedLaw(at rule.At, a rule.AcceptedLaw) {
	where := "everywhere"
	if len(a.Places) > 0 {
		where = "in " + list(places(a.Places))
	}
	by := a.By
	if by == "" {
		by = "nobody"
	}
	c := lead(by + " answers for the values of the law on " + pretty(a.Value) + " that nobody has reviewed, " + where)
	if a.On != "" {
		c.lead += ", signed on " + a.On
	}
	s.sayAt(at, a.Span, "accepts_law", a.Value, c)
}

// holding is the clause in which a document block stands, the first one if it
// cannot be told.
func holding(d *rule.Document) *rule.Clause {
	for _, c := range d.Clauses {
		if c.Body.File == d.Span.File && c.Body.Start.Byte <= d.Span.Start.Byte && d.Span.Start.Byte < c.Body.End.Byte {
			return c
		}
	}
	return d.Clauses[0]
}

func (s *speaker) laws(of []rule.LawOf) []string {
	out := make([]string, len(of))
	for i, l := range of {
		out[i] = lawOf[l]
		if out[i] == "" {
			out[i] = pretty(string(l))
		}
	}
	return out
}

// suppressions says what a clause keeps the check from saying: it is part of
// what a reviewer must see.
func (s *speaker) suppressions(clause *rule.Clause) {
	at := rule.At{Clause: clause, Span: clause.Heading}
	if clause.Informative != "" {
		s.sayAt(at, clause.Heading, "informative", clause.ID, lead("this clause promises nothing that a rule must keep: "+clause.Informative))
	}
	for _, p := range clause.Suppress {
		what := "every finding " + quote(p.Code)
		if p.Name != "" {
			what = "the finding " + quote(p.Code) + " about " + quote(p.Name)
		}
		s.sayAt(at, p.Span, "suppress", p.Code, lead("the check keeps silent here about "+what+", because "+p.Reason))
	}
}

var floorNames = map[string]string{"person": "people", "visitor": "visitors", "others": "people known only through others"}

func (s *speaker) level(l *rule.Level) {
	c := lead("the level " + quote(l.Name) + " is a class of protection")
	if l.Above != nil {
		c.lead = "the level " + quote(l.Name) + " lies directly above " + quote(l.Above.Name)
	}
	if len(l.FloorFor) > 0 {
		floor := make([]string, len(l.FloorFor))
		for i, r := range l.FloorFor {
			floor[i] = floorNames[r.Name]
			if floor[i] == "" {
				floor[i] = s.category(r.Name)
			}
		}
		c.add("nothing about " + either(floor) + " is classed lower")
	}
	c.addIf(l.Reason, "to open its data one must state a reason")
	c.addIf(l.Approvals > 0, "to open its data one needs "+count(l.Approvals, "approval")+" by others")
	c.addIf(l.Mask > 0, "of its values only the last "+count(l.Mask, "character")+" are shown")
	c.addIf(l.Undertaking, "staff open it only under a current confidentiality undertaking")
	c.addIf(l.ReviewEvery > 0, "staff open it only if their access was reviewed in the last "+months(l.ReviewEvery))
	s.say(l.At, "level", l.Name, c)
}

func (s *speaker) group(g *rule.Group) {
	rows := make([]string, len(g.Categories))
	for i, r := range g.Categories {
		rows[i] = s.row(r)
	}
	what := list(rows)
	if what == "" {
		what = "nothing yet"
	}
	c := lead("the data " + quote(pretty(g.Name)) + " is: " + what)
	c.addIf(len(g.Apart) > 0, "it is never linked with "+either(s.apart(g.Apart))+", not by a key and not by a clock")
	s.say(g.At, "data", g.Name, c)
	for _, r := range g.Categories {
		s.categoryRule(r)
	}
}

// apart says what something is kept apart from: groups by their names.
func (s *speaker) apart(refs []rule.Ref) []string {
	out := make([]string, len(refs))
	for i, r := range refs {
		if _, ok := s.categories[r.Name]; ok {
			out[i] = s.category(r.Name)
		} else {
			out[i] = "the data " + quote(pretty(r.Name))
		}
	}
	return out
}

var coarsened = map[string]string{
	"network": "only the network part of it",
	"hour":    "only the hour of its time",
	"day":     "only the day of its date",
	"month":   "only the month of its date",
	"year":    "only the year of its date",
}

var formats = map[string]string{
	"text": "text", "email": "an e-mail address", "phone": "a phone number", "date": "a date", "address": "an address",
	"country": "a country", "money": "an amount of money", "json": "JSON", "ip": "an IP address", "imei": "an IMEI",
	"url": "a web address", "number": "a number", "time": "a time", "file": "a file",
}

func (s *speaker) categoryRule(r *rule.Category) {
	c := lead(quote(s.row(r)) + " (" + string(r.Name) + ")")
	if others := s.otherWords(r); len(others) > 0 {
		c.add("the text calls it " + either(others) + " as well")
	}
	if r.Format != "" {
		what := formats[r.Format]
		if what == "" {
			what = pretty(r.Format)
		}
		c.addIf(what != "text", "it must be "+what)
	}
	c.addIf(r.MaxMegabytes > 0, "it has at most "+strconv.Itoa(r.MaxMegabytes)+" megabytes")
	c.addIf(len(r.MediaTypes) > 0, "only "+either(quoteAll(r.MediaTypes))+" is taken")
	switch r.Find {
	case "":
	case "unique":
		c.add("it finds the one person who has it")
	case "many":
		c.add("it finds everyone who has it")
	default:
		c.add("it finds people: " + pretty(r.Find))
	}
	c.addIf(r.Many, "a person may have several")
	if r.Level != nil {
		c.add("it is classed " + quote(r.Level.Name))
	}
	if len(r.OnlyTo) > 0 {
		only := make([]string, len(r.OnlyTo))
		for i, o := range r.OnlyTo {
			only[i] = quote(s.service(o.Name))
		}
		c.add("only " + list(only) + " may use it")
	}
	c.addIf(len(r.Apart) > 0, "it is never linked with "+either(s.apart(r.Apart)))
	if r.Keep != nil {
		c.add("it is kept " + until(r.Keep) + " whatever else permits")
	}
	if r.Coarsen != "" {
		what := coarsened[r.Coarsen]
		if what == "" {
			what = "it coarsened to the " + pretty(r.Coarsen)
		}
		c.add("we keep " + what)
	}
	c.addIf(len(r.DerivedFrom) > 0, "it is derived from "+list(s.categoriesOf(r.DerivedFrom))+" and goes when one of them may no longer be used")
	c.addIf(r.DPV != "", "the Data Privacy Vocabulary calls it "+r.DPV)
	c.addIf(r.TwoParty, "it belongs to both parties, and one who erases their copy does not erase the other's")
	c.addIf(r.Elsewhere, "it is kept by a system of our own, and only decided about here")
	c.addIf(r.CountPer != "", "it is counted by the "+r.CountPer+" and never kept, so it is about nobody")
	if len(c.parts) == 0 {
		return
	}
	if len(c.parts) > 0 {
		c.lead += ":"
	}
	s.say(r.At, "category", string(r.Name), c)
}

// otherWords are the words of a row after the one by which it is said.
func (s *speaker) otherWords(r *rule.Category) []string {
	first := s.row(r)
	var out []string
	for _, w := range r.Words {
		switch {
		case w.Language != "" && base(w.Language) != base(s.language):
			out = append(out, quote(w.Text)+" ("+w.Language+")")
		case w.Text != first:
			out = append(out, quote(w.Text))
		}
	}
	return out
}

func (s *speaker) statistic(t *rule.Statistic) {
	title := t.Title
	if title == "" {
		title = pretty(t.Name)
	}
	dims := make([]string, len(t.By))
	for i, d := range t.By {
		dims[i] = s.category(d.Category.Name)
		if d.Band > 0 {
			dims[i] += " in bands of " + strconv.Itoa(d.Band)
		}
	}
	c := lead("the statistic " + quote(title) + " counts people")
	if len(dims) > 0 {
		c.lead += " by " + list(dims)
	}
	if len(t.To) > 0 {
		c.lead += " and goes to " + list(s.recipientsOf(t.To))
	} else {
		c.lead += " and goes to nobody outside"
	}
	c.add(calledToo(t.Words, title))
	c.addIf(t.Smallest > 0, "no count under "+strconv.Itoa(t.Smallest)+" leaves")
	if t.Epsilon > 0 {
		spend := "noise hides each person, with a privacy budget of ε = " + strconv.FormatFloat(t.Epsilon, 'g', -1, 64)
		if t.Per != "" {
			spend += " a " + pretty(t.Per)
		}
		c.add(spend)
	} else if t.Per != "" {
		c.add("it is released by the " + pretty(t.Per))
	}
	s.say(t.At, "statistic", t.Name, c)
}

// calledToo says by which words the prose names something, beyond its title.
func calledToo(words []rule.Word, title string) string {
	var out []string
	for _, w := range words {
		if w.Language == "" && strings.EqualFold(w.Text, title) {
			continue
		}
		said := quote(w.Text)
		if w.Language != "" {
			said += " (" + w.Language + ")"
		}
		out = append(out, said)
	}
	if len(out) == 0 {
		return ""
	}
	return "the text calls it " + either(out)
}
