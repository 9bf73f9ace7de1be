package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/abide-privacy/abide/policy/diag"
	"github.com/abide-privacy/abide/policy/rule"
)

// scope is the prose and the rules that have to agree: a clause, with the
// deeper headings it takes in.
type scope struct {
	clause   *rule.Clause
	parts    []*rule.Clause // clause, and the headings it takes in
	rules    []*bound
	vocab    *vocabulary
	readings []*reading // one for each part
	within   *rule.Clause
	inform   string
}

// buildScopes cuts the documents into scopes and reads their prose.
func (c *checker) buildScopes() {
	c.vocab = map[string]*vocabulary{}
	for _, d := range c.set.Documents {
		taken := map[*rule.Clause]*rule.Clause{}
		for i, cl := range d.Clauses {
			s := &scope{clause: cl, parts: []*rule.Clause{cl}, rules: c.rulesOf(cl), vocab: c.vocabulary(d.Language), inform: c.informative(cl), within: taken[cl]}
			if s.bound() && cl.Depth >= 2 {
				for _, sub := range c.takenIn(d.Clauses[i+1:], cl.Depth) {
					taken[sub] = cl
					s.parts = append(s.parts, sub)
				}
			}
			for _, p := range s.parts {
				r := s.vocab.read(p.Prose)
				if len(r.blocks) > 0 && strings.TrimSpace(r.blocks[0].text) == strings.TrimSpace(p.Title) {
					r.title = 1
				}
				s.readings = append(s.readings, r)
			}
			c.scopes = append(c.scopes, s)
		}
	}
}

// takenIn returns the headings below a clause that have no rules of their own
// and are not informative.
func (c *checker) takenIn(below []*rule.Clause, depth int) []*rule.Clause {
	var out []*rule.Clause
	skip := 0 // deeper than this, headings belong to another clause
	for _, cl := range below {
		if cl.Depth <= depth {
			break
		}
		if skip > 0 && cl.Depth > skip {
			continue
		}
		skip = 0
		if hasBinding(c.rulesOf(cl)) || c.informative(cl) != "" {
			skip = cl.Depth
			continue
		}
		out = append(out, cl)
	}
	return out
}

// rulesOf returns the rules of a clause; a translated clause has those of the
// clause it translates.
func (c *checker) rulesOf(cl *rule.Clause) []*bound {
	rules := c.byClause[cl]
	if o := c.original(cl); o != nil {
		rules = append(slices.Clip(c.byClause[o]), rules...)
	}
	return rules
}

func (c *checker) informative(cl *rule.Clause) string {
	if o := c.original(cl); o != nil && cl.Informative == "" {
		return o.Informative
	}
	return cl.Informative
}

// original returns the clause that cl translates, or nil.
func (c *checker) original(cl *rule.Clause) *rule.Clause {
	if cl.Document == nil || cl.Document.TranslationOf == "" {
		return nil
	}
	o := c.index.documents[cl.Document.TranslationOf]
	if o == nil {
		return nil
	}
	return clauseOf(o, cl.ID)
}

func clauseOf(d *rule.Document, id string) *rule.Clause {
	if i := slices.IndexFunc(d.Clauses, func(c *rule.Clause) bool { return c.ID == id }); i >= 0 {
		return d.Clauses[i]
	}
	return nil
}

func (c *checker) vocabulary(tag string) *vocabulary {
	if c.vocab[tag] == nil {
		c.vocab[tag] = newVocabulary(c.set, tag)
	}
	return c.vocab[tag]
}

func hasBinding(rules []*bound) bool { return slices.ContainsFunc(rules, (*bound).binding) }

// bound reports whether rules stand in the scope. A document block in an
// informative clause does not make it promise anything.
func (s *scope) bound() bool {
	return slices.ContainsFunc(s.rules, func(b *bound) bool { return b.binding() && (b.block != "document" || s.inform == "") })
}

// each calls f for every mention.
func (s *scope) each(f func(*mention)) {
	for _, r := range s.readings {
		for i := range r.mentions {
			f(&r.mentions[i])
		}
	}
}

// words runs the checks between prose and rules.
func (c *checker) words() {
	c.buildScopes()
	for _, s := range c.scopes {
		for _, r := range s.readings {
			c.links(s, r)
		}
		switch {
		case s.within != nil:
		case s.bound():
			c.rulesInProse(s)
			c.proseInRules(s)
			c.elsewhere(s)
			c.numbers(s)
			c.silence(s)
			c.places(s)
			c.affirmed(s)
		case s.inform == "":
			c.withoutRule(s)
		}
	}
}

// links reports links that would bind exactly, but name nothing.
func (c *checker) links(s *scope, r *reading) {
	for _, d := range r.dangling {
		if s.clause.Document != nil && clauseOf(s.clause.Document, strings.TrimPrefix(d.link, "#")) != nil {
			continue
		}
		var known []string
		for th := range s.vocab.names {
			if th.kind == d.target.kind {
				known = append(known, th.name)
			}
		}
		slices.Sort(known)
		e := diag.New(diag.UnknownBinding, d.span, "the link %s names no %s of this policy", d.link, d.target.kind)
		if m, ok := diag.Suggest(d.target.name, known); ok {
			e = e.WithHint("did you mean %s?", m)
		}
		c.find(e, d.target.name, s.clause)
	}
}

// rulesInProse reports what rules use and their clause does not name: once for
// a clause, however many of its rules use it.
func (c *checker) rulesInProse(s *scope) {
	seen := map[thing]bool{}
	for _, b := range s.rules {
		for _, u := range b.uses {
			if !u.must || seen[u.thing] {
				continue
			}
			seen[u.thing] = true
			c.useInProse(s, b, u)
		}
	}
}

func (c *checker) useInProse(s *scope, b *bound, u use) {
	var against, own *mention
	found := false
	s.each(func(m *mention) {
		switch {
		case !m.names(u.thing):
		case m.polarity == companys:
			own = m
		case m.polarity != denied || u.forbid:
			found = true
		case against == nil:
			against = m
		}
	})
	switch {
	case found:
	case against != nil:
		c.find(diag.New(diag.RuleAgainstProse, u.span, "%s uses %s %s, which its clause mentions only to deny it", b.title(), u.kind, u.name).
			WithLabel("used here").WithOther(against.span, "denied here"), u.name, s.clause)
	case !s.vocab.has(u.thing):
		if c.wordless[s.clause.Document] == nil {
			c.wordless[s.clause.Document] = map[thing]bool{}
		}
		if c.wordless[s.clause.Document][u.thing] {
			return
		}
		c.wordless[s.clause.Document][u.thing] = true
		c.find(diag.New(diag.WordsMissing, u.span, "%s %s has no words in the language of %s (%s)", u.kind, u.name, s.clause.Document.File, s.clause.Document.Language).
			WithLabel("used here").WithOther(s.clause.Heading, "by this clause").
			WithHint("give it words in that language: words = { %s = \"…\" }", s.clause.Document.Language), u.name, s.clause)
	default:
		e := diag.New(diag.RuleNotInProse, u.span, "%s uses %s %s, which its clause never mentions", b.title(), u.kind, u.name).
			WithLabel("used here").WithOther(s.clause.Heading, "not in the words of this clause")
		if ws := s.vocab.wordsOf(u.thing); len(ws) > 0 {
			e = e.WithHint("say so in the clause (%s), take it out of the rule, or bind other words by a link: [words](#%s)", quoted(ws), linkOf(u.thing))
		}
		if own != nil {
			e = e.WithHint("“our %s” is read as the company's own; write whose it is, or bind it by a link: [%s](#%s)", own.text, own.text, linkOf(u.thing))
		}
		c.find(e, u.name, s.clause)
	}
}

// proseInRules reports what a clause names and none of its rules covers.
func (c *checker) proseInRules(s *scope) {
	seen := map[thing]bool{}
	s.each(func(m *mention) {
		if m.polarity == denied || m.polarity == companys || m.weak || seen[m.things[0]] || covers(s.rules, m.things) {
			return
		}
		th := m.things[0]
		code := diag.ProseNotInRules
		switch th.kind {
		case aPurpose:
			code = diag.PurposeNotInRules
		case aService:
			return
		}
		seen[th] = true
		c.find(diag.New(code, m.span, "the clause names %s %s (“%s”), which none of its rules covers", th.kind, th.name, m.text).
			WithLabel("named here").WithOther(c.declared(th), th.kind.String()+" declared here").
			WithHint("use %s in a rule of this clause, say it otherwise, or suppress this with a reason", th.name), th.name, s.clause)
	})
}

// withoutRule reports a clause that has no rule, though it names what rules
// use or promises something.
func (c *checker) withoutRule(s *scope) {
	var names []string
	var first *mention
	s.each(func(m *mention) {
		if m.weak || m.polarity == denied || m.polarity == companys || m.things[0].kind == aService {
			return
		}
		if first == nil {
			first = m
		}
		if !slices.Contains(names, m.things[0].name) {
			names = append(names, m.things[0].name)
		}
	})
	promise, promises := s.promise()
	switch {
	case first != nil:
		c.find(diag.New(diag.ClauseWithoutRule, first.span, "clause %s names %s and has no rule", s.clause.FullID(), list(names)).
			WithLabel("named here").WithOther(s.clause.Heading, "this clause has no rule"), "", s.clause)
	case promises:
		c.find(diag.New(diag.PromiseWithoutRule, promise, "clause %s promises something and has no rule", s.clause.FullID()).
			WithLabel("promised here").WithOther(s.clause.Heading, "this clause has no rule"), "", s.clause)
	}
}

// translations reports what a translated document lacks.
func (c *checker) translations() {
	for _, d := range c.set.Documents {
		if d.TranslationOf == "" {
			continue
		}
		o := c.index.documents[d.TranslationOf]
		if o == nil {
			continue
		}
		for _, cl := range o.Clauses {
			if hasBinding(c.byClause[cl]) && clauseOf(d, cl.ID) == nil {
				c.find(diag.New(diag.TranslationIncomplete, d.Span, "%s has no clause %s, whose rules bind in %s too", d.File, cl.ID, d.Language).
					WithOther(cl.Heading, "this clause is not translated").WithHint("translate the clause under a heading with the anchor {#%s}", cl.ID), cl.ID, cl)
			}
		}
	}
}

// has reports whether the language has words for a thing.
func (v *vocabulary) has(th thing) bool {
	return slices.ContainsFunc(v.terms, func(t term) bool { return t.thing == th })
}

// wordsOf returns the words for a thing as the policy gives them.
func (v *vocabulary) wordsOf(th thing) []string {
	var out []string
	for i, t := range v.terms {
		if t.thing == th && !slices.Contains(out, v.texts[i]) {
			out = append(out, v.texts[i])
		}
	}
	return out
}

func quoted(ws []string) string {
	out := make([]string, 0, len(ws))
	for _, w := range ws[:min(len(ws), 3)] {
		out = append(out, "“"+w+"”")
	}
	return strings.Join(out, " or ")
}

func linkOf(th thing) string {
	if th.kind == aCategory {
		return th.name
	}
	return fmt.Sprintf("%s.%s", th.kind, th.name)
}

// list writes names as a person would: "a, b and c".
func list(names []string) string {
	if len(names) > 5 {
		return strings.Join(names[:4], ", ") + fmt.Sprintf(" and %d more", len(names)-4)
	}
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}
