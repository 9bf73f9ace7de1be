package check

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy/diag"
	"github.com/abide-privacy/abide/policy/rule"
)

// documents reports rules of the same name in two documents that say different
// things: which prevails, and for whom (CLAUSES C21).
func (c *checker) documents() {
	byName := map[abide.Purpose][]*rule.Purpose{}
	for _, p := range c.set.Purposes {
		byName[p.Name] = append(byName[p.Name], p)
	}
	var names []string
	for n := range byName {
		names = append(names, string(n))
	}
	sort.Strings(names)
	for _, n := range names {
		list := byName[abide.Purpose(n)]
		for i, a := range list {
			for _, b := range list[i+1:] {
				if different(a.Clause, b.Clause) {
					c.disagree(a, b)
				}
			}
		}
	}
}

func (c *checker) disagree(a, b *rule.Purpose) {
	diffs := differences(a, b)
	if len(diffs) == 0 {
		return
	}
	over, under, yield := c.ranked(a, b)
	what := strings.Join(diffs, " and ")
	if yield == nil {
		c.find(diag.New(diag.DocumentsUnranked, b.Label, "%s and %s disagree on %s of purpose \"%s\", and neither yields to the other", a.Clause.Document.Name, b.Clause.Document.Name, what, a.Name).
			WithLabel("says one thing").WithOther(a.Label, "says another"), string(a.Name), b.Clause, a.Clause)
		return
	}
	c.find(diag.New(diag.DocumentsDisagree, under.Label, "%s and %s disagree on %s of purpose \"%s\": %s prevails for %s, %s for everybody else",
		under.Clause.Document.Name, over.Clause.Document.Name, what, a.Name, over.Clause.Document.Name, among(yield), under.Clause.Document.Name).
		WithLabel("yields").WithOther(over.Label, "prevails for "+among(yield)), string(a.Name), under.Clause, over.Clause)
}

// ranked says which of two purposes prevails, by the documents they stand in.
func (c *checker) ranked(a, b *rule.Purpose) (over, under *rule.Purpose, y *rule.Yield) {
	if y := yields(a.Clause.Document, b.Clause.Document); y != nil {
		return b, a, y
	}
	if y := yields(b.Clause.Document, a.Clause.Document); y != nil {
		return a, b, y
	}
	return nil, nil, nil
}

func yields(d, to *rule.Document) *rule.Yield {
	if d.YieldsTo != nil && d.YieldsTo.Document.Name == string(to.Name) {
		return d.YieldsTo
	}
	return nil
}

func among(y *rule.Yield) string {
	if y.Among == "" || y.Among == "those_who_agreed" {
		return "those who agreed to it"
	}
	return pretty(y.Among)
}

// differences names what two rules for one purpose say differently.
func differences(a, b *rule.Purpose) []string {
	var out []string
	add := func(what string, same bool) {
		if !same {
			out = append(out, what)
		}
	}
	if only := oneSided(a, b); len(only) > 0 {
		out = append(out, "the data ("+list(only)+")")
	}
	add("the legal basis", sameBasis(a.Basis, b.Basis))
	add("retention", sameDeadline(a.Keep, b.Keep) && sameDeadline(a.AtMost, b.AtMost))
	return out
}

// oneSided lists the categories that only one of two purposes uses, or that
// they use differently.
func oneSided(a, b *rule.Purpose) []string {
	var out []string
	for _, pair := range [][2][]rule.Ref{{a.Uses, b.Uses}, {a.Contacts, b.Contacts}, {a.ChosenBy, b.ChosenBy}} {
		for i, l := range pair {
			for _, r := range l {
				if !slices.ContainsFunc(pair[1-i], func(o rule.Ref) bool { return o.Name == r.Name }) && !slices.Contains(out, r.Name) {
					out = append(out, r.Name)
				}
			}
		}
	}
	slices.Sort(out)
	return out
}

func sameBasis(a, b *rule.Basis) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Kind == b.Kind && a.Place == b.Place && a.Citation == b.Citation && a.Profile == b.Profile
}

func sameDeadline(a, b *rule.Deadline) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Anchor == b.Anchor && a.Months == b.Months && a.Days == b.Days
}

// coverage fills the clause reports and counts them.
func (c *checker) coverage() {
	for _, d := range c.set.Documents {
		c.report.Coverage.ByDocument = append(c.report.Coverage.ByDocument, DocumentPart{Document: d.Name, Language: d.Language})
		if !slices.Contains(c.report.Coverage.Languages, d.Language) {
			c.report.Coverage.Languages = append(c.report.Coverage.Languages, d.Language)
		}
	}
	for _, s := range c.scopes {
		r := c.clauseReport(s)
		c.report.Clauses = append(c.report.Clauses, r)
		c.count(&r, s)
	}
}

func (c *checker) clauseReport(s *scope) ClauseReport {
	r := ClauseReport{ID: s.clause.FullID(), Title: s.clause.Title, Span: s.clause.Heading, Informative: s.inform, Rules: []string{}, Mentions: []Mention{}}
	for _, b := range s.rules {
		r.Rules = append(r.Rules, b.title())
	}
	if s.within != nil {
		r.Within = s.within.FullID()
	}
	_, r.Promises = s.promise()
	s.each(func(m *mention) {
		r.Mentions = append(r.Mentions, Mention{Names: nameList(m), Text: m.text, Span: m.span, Denied: m.polarity == denied,
			Exact: m.exact, Ignored: m.polarity == companys, Covering: covers(s.rules, m.things)})
	})
	r.Unbound = !s.bound() && s.within == nil && s.inform == "" && (r.Promises || slices.ContainsFunc(r.Mentions, func(m Mention) bool { return !m.Denied && !m.Ignored }))
	return r
}

func nameList(m *mention) []string {
	var out []string
	for _, th := range m.things {
		if th.kind == aCategory {
			out = append(out, th.name)
		} else {
			out = append(out, fmt.Sprintf("%s %s", th.kind, th.name))
		}
	}
	return out
}

func (c *checker) count(r *ClauseReport, s *scope) {
	cov := &c.report.Coverage
	i := slices.IndexFunc(cov.ByDocument, func(p DocumentPart) bool {
		return p.Document == s.clause.Document.Name && p.Language == s.clause.Document.Language
	})
	part := &cov.ByDocument[i]
	if s.within == nil {
		cov.Mentions += len(r.Mentions)
	}
	switch {
	case s.within != nil:
	case s.bound():
		cov.Bound, part.Bound, cov.Clauses, part.Clauses = cov.Bound+1, part.Bound+1, cov.Clauses+1, part.Clauses+1
	case s.inform != "":
		cov.Informative, part.Informative = cov.Informative+1, part.Informative+1
	case r.Unbound:
		cov.Unbound, part.Unbound, cov.Clauses, part.Clauses = cov.Unbound+1, part.Unbound+1, cov.Clauses+1, part.Clauses+1
	}
}
