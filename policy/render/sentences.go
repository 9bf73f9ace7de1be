package render

import (
	"sort"
	"strings"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy/rule"
)

// Sentence is one rule said back.
type Sentence struct {
	Clause *rule.Clause // nil for what stands outside the published documents
	Span   abide.Span
	Kind   string // the block's word: "purpose"
	Name   string
	Text   string // one sentence, in English, with its full stop
}

// Sentences says every rule of set, in the order in which they are written
// within each clause. A data row with more to it than its words, a place
// override, what a recipient gets and a message are rules of their own.
func Sentences(set *rule.Set) []Sentence {
	s := &speaker{names: newNames(set, "en")}
	for _, d := range set.Documents {
		s.document(d)
	}
	s.rules(set)
	for _, y := range set.Systems {
		s.system(y)
	}
	sort.SliceStable(s.said, func(i, j int) bool { return before(s.said[i].Span, s.said[j].Span) })
	return s.said
}

func before(a, b abide.Span) bool {
	if a.File != b.File {
		return a.File < b.File
	}
	return a.Start.Byte < b.Start.Byte
}

// speaker collects sentences.
type speaker struct {
	*names
	said []Sentence
}

func (s *speaker) say(at rule.At, kind, name string, c *clauses) {
	s.said = append(s.said, Sentence{Clause: at.Clause, Span: at.Span, Kind: kind, Name: name, Text: c.sentence()})
}

// sayAt is say for a part of a rule that has a span of its own.
func (s *speaker) sayAt(at rule.At, span abide.Span, kind, name string, c *clauses) {
	if span != (abide.Span{}) {
		at.Span = span
	}
	s.say(at, kind, name, c)
}

// clauses gathers the parts of a sentence.
type clauses struct {
	lead  string
	parts []string
}

func lead(text string) *clauses { return &clauses{lead: text} }

// add appends a part unless it is empty.
func (c *clauses) add(part string) {
	if part != "" {
		c.parts = append(c.parts, part)
	}
}

// addIf appends a part if a condition holds.
func (c *clauses) addIf(when bool, part string) {
	if when {
		c.add(part)
	}
}

// sentence ends the parts with a full stop.
func (c *clauses) sentence() string {
	text := c.lead
	if len(c.parts) > 0 {
		if text != "" && !strings.HasSuffix(text, ":") {
			text += ";"
		}
		if text != "" {
			text += " "
		}
		text += strings.Join(c.parts, "; ")
	}
	return upperFirst(text) + "."
}

// rules says whatever stands in a set, type by type. A test goes through the
// fields of rule.Set and of every type below it by reflection, so a new one
// cannot stay unsaid.
func (s *speaker) rules(set *rule.Set) {
	each(set.Levels, s.level)
	each(set.Groups, s.group)
	each(set.Purposes, s.purposeRule)
	each(set.Services, s.serviceRule)
	each(set.Recipients, s.recipientRule)
	each(set.WithoutConsent, s.withoutConsent)
	each(set.Statistics, s.statistic)
	each(set.Trackers, s.tracker)
	each(set.Channels, s.channel)
	each(set.Signins, s.signin)
	each(set.Posts, s.post)
	each(set.Minors, s.minors)
	each(set.Reviews, s.review)
	each(set.Roles, s.role)
	each(set.Nevers, s.never)
	each(set.Examples, s.example)
}

func each[T any](rules []T, speak func(T)) {
	for _, r := range rules {
		speak(r)
	}
}
