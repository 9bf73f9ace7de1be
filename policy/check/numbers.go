package check

import (
	"fmt"
	"strconv"

	"github.com/abide-privacy/abide/policy/diag"
	"github.com/abide-privacy/abide/policy/rule"
)

// stretch of time, as prose or a rule says it.
type stretchOfTime struct{ months, days int }

func (s stretchOfTime) String() string {
	switch {
	case s.months > 0 && s.months%12 == 0:
		return plural(s.months/12, "year")
	case s.months > 0:
		return plural(s.months, "month")
	}
	return plural(s.days, "day")
}

func plural(n int, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return fmt.Sprintf("%d %ss", n, unit)
}

// quantity is a number that prose states, and what it counts.
type quantity struct {
	kind     string // "time", "smallest", "approvals", "mask"
	time     stretchOfTime
	n        int
	from, to int // tokens
}

// numbers reports a number in the words of a clause that contradicts its
// rules: a stretch of time that none of them has, where some have one; another
// smallest group, another number of approvals, another number of signs. What a
// sentence names elsewhere, or links to, may have its own.
func (c *checker) numbers(s *scope) {
	own := c.statedBy(s.rules)
	seen := map[string]bool{}
	for _, r := range s.readings {
		for i, tokens := range r.tokens {
			for _, q := range s.vocab.lang.quantities(tokens) {
				key := q.kind + strconv.Itoa(q.n) + q.time.String()
				if seen[key] || len(own[q.kind]) == 0 || own[q.kind][q.value()] || c.elsewhereStates(s, r, i, q) {
					continue
				}
				seen[key] = true
				span := r.blocks[i].span(tokens[q.from].start, tokens[q.to-1].end)
				c.find(diag.New(diag.NumberNotInRules, span, "the clause says %s, and none of its rules does", q.value()).
					WithLabel("said here").WithOther(s.clause.Heading, "rules of this clause"), q.value(), s.clause)
			}
		}
	}
}

func (q quantity) value() string {
	if q.kind == "time" {
		return q.time.String()
	}
	return map[string]string{"smallest": "fewer than ", "approvals": "others, in number ", "mask": "the last "}[q.kind] + strconv.Itoa(q.n)
}

// stated are the numbers that rules have, by kind and as they are said.
type stated map[string]map[string]bool

func (st stated) add(q quantity) {
	if q.n == 0 && q.time == (stretchOfTime{}) {
		return
	}
	if st[q.kind] == nil {
		st[q.kind] = map[string]bool{}
	}
	st[q.kind][q.value()] = true
}

func (st stated) time(list ...*rule.Deadline) {
	for _, d := range list {
		if d != nil {
			st.add(quantity{kind: "time", time: stretchOfTime{d.Months, d.Days}})
		}
	}
}

// statedBy collects the numbers of rules.
func (c *checker) statedBy(rules []*bound) stated {
	st := stated{}
	for _, b := range rules {
		c.stateRule(st, b)
	}
	return st
}

func (c *checker) stateRule(st stated, b *bound) {
	for _, p := range c.set.Purposes {
		if b.block == "purpose" && p.At == b.at {
			st.time(deadlinesOf(p)...)
		}
	}
	for _, g := range c.set.Groups {
		if b.block == "data" && g.At == b.at {
			for _, cat := range g.Categories {
				st.time(cat.Keep)
			}
		}
	}
	for _, t := range c.set.Trackers {
		if b.block == "tracker" && t.At == b.at {
			st.time(t.Keep)
		}
	}
	for _, m := range c.set.Minors {
		if b.block == "minors" && m.At == b.at && m.Reported != nil {
			st.time(m.Reported.Within)
		}
	}
	for _, v := range c.set.Reviews {
		if b.block == "review" && v.At == b.at {
			st.add(quantity{kind: "time", time: stretchOfTime{months: v.Every}})
		}
	}
	for _, l := range c.set.Levels {
		if b.block == "level" && l.At == b.at {
			st.add(quantity{kind: "time", time: stretchOfTime{months: l.ReviewEvery}})
			st.add(quantity{kind: "approvals", n: l.Approvals})
			st.add(quantity{kind: "mask", n: l.Mask})
		}
	}
	for _, w := range c.set.WithoutConsent {
		if b.block == "without_consent" && w.At == b.at {
			st.add(quantity{kind: "approvals", n: w.Approvals})
		}
	}
	for _, v := range c.set.Statistics {
		if b.block == "statistic" && v.At == b.at {
			st.add(quantity{kind: "smallest", n: v.Smallest})
		}
	}
}

// elsewhereStates: the sentence names a rule of another clause, or links to the
// clause, that has the number.
func (c *checker) elsewhereStates(s *scope, r *reading, block int, q quantity) bool {
	start, end := sentence(r.tokens[block], q.from)
	st := stated{}
	for _, m := range r.mentions {
		if m.block != block || m.from < start || m.to > end {
			continue
		}
		for _, th := range m.things {
			if p := c.purposes[th.name]; th.kind == aPurpose && p != nil {
				st.time(deadlinesOf(p)...)
			}
			if cat := c.categories[th.name]; th.kind == aCategory && cat != nil {
				st.time(cat.Keep)
			}
		}
	}
	for _, run := range r.blocks[block].runs {
		if link := run.text.Link; len(link) > 1 && link[0] == '#' && s.clause.Document != nil {
			if other := clauseOf(s.clause.Document, link[1:]); other != nil {
				for _, b := range c.byClause[other] {
					c.stateRule(st, b)
				}
			}
		}
	}
	return st[q.kind][q.value()]
}

// quantities finds the numbers that a language states in a way that says what
// they count.
func (l *language) quantities(tokens []token) []quantity {
	var out []quantity
	word := func(i int) string {
		if i < 0 || i >= len(tokens) {
			return ""
		}
		return tokens[i].text
	}
	for i := range tokens {
		if every, ok := l.often[word(i)]; ok && word(i+1) == "a" && word(i+2) == "year" {
			out = append(out, quantity{kind: "time", time: stretchOfTime{months: every}, from: i, to: i + 3})
			continue
		}
		n, ok := l.number(word(i))
		if !ok {
			continue
		}
		unit, timed := l.units[word(i+1)]
		switch {
		case timed && (word(i-1) == "last" || word(i-1) == "past"): // what was, not what is promised
		case timed && word(i) == "one" && word(i+1) == "day": // "one day something will go wrong"
		case timed:
			out = append(out, quantity{kind: "time", time: stretchOfTime{n * unit.months, n * unit.days}, from: i, to: i + 2})
		case word(i-1) == "than" && (word(i-2) == "fewer" || word(i-2) == "less" || word(i-2) == "smaller"):
			out = append(out, quantity{kind: "smallest", n: n, from: i - 2, to: i + 1})
		case word(i-1) == "last":
			out = append(out, quantity{kind: "mask", n: n, from: i - 1, to: i + 1})
		case word(i+1) == "others" || word(i+1) == "people" && word(i+2) == "here" || word(i+1) == "colleagues":
			out = append(out, quantity{kind: "approvals", n: n, from: i, to: i + 2})
		}
	}
	return out
}

func (l *language) number(word string) (int, bool) {
	if n, ok := l.numerals[word]; ok {
		return n, true
	}
	n, err := strconv.Atoi(word)
	return n, err == nil && n > 0 && n < 10_000 && l.numerals != nil
}

// englishNumerals, units and often are how English states numbers.
var (
	englishNumerals = map[string]int{"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
		"eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16, "eighteen": 18, "twenty": 20, "thirty": 30, "forty": 40,
		"fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90, "hundred": 100}
	englishUnits = map[string]stretchOfTime{"day": {days: 1}, "days": {days: 1}, "week": {days: 7}, "weeks": {days: 7},
		"month": {months: 1}, "months": {months: 1}, "year": {months: 12}, "years": {months: 12}}
	englishOften = map[string]int{"once": 12, "twice": 6}
)
