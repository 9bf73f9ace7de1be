package check

import (
	"slices"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy/rule"
)

// polarity is what prose says with a word.
type polarity uint8

const (
	affirmed    polarity = iota
	conditional          // denied, unless something: it may happen
	denied               // under negation: binds only rules that forbid
	companys             // "our address": nobody's data
)

// mention is a word of the policy found in prose.
type mention struct {
	things   []thing // more than one if the word names several
	weak     bool    // only the name of a rule, not one of its words
	exact    bool    // bound by a link
	polarity polarity
	text     string
	span     abide.Span
	block    int // index of the block in the clause
	from, to int // tokens of the block
}

func (m *mention) names(t thing) bool { return slices.Contains(m.things, t) }

// reading is a clause's prose, read: its mentions and what negates them.
type reading struct {
	blocks   []block
	tokens   [][]token
	marks    [][]mark
	mentions []mention
	dangling []dangling
	title    int // blocks that are the heading itself: 0 or 1
}

// dangling is a link that has the form of a binding and names nothing.
type dangling struct {
	target thing
	link   string
	span   abide.Span
}

// read finds all mentions in prose.
func (v *vocabulary) read(prose []rule.Text) *reading {
	r := &reading{blocks: blocks(prose)}
	for i := range r.blocks {
		b := &r.blocks[i]
		tokens := tokenize(b.text)
		marks := v.marks.scan(tokens)
		r.tokens = append(r.tokens, tokens)
		r.marks = append(r.marks, marks)
		links := v.links(b, tokens, r)
		first := len(r.mentions)
		r.mentions = append(r.mentions, v.find(b, tokens, links)...)
		for j := first; j < len(r.mentions); j++ {
			m := &r.mentions[j]
			m.block = i
			m.span = b.span(tokens[m.from].start, tokens[m.to-1].end)
			m.text = b.text[tokens[m.from].start:tokens[m.to-1].end]
			m.polarity = v.lang.polarity(tokens, marks, m)
			if j > first && m.polarity == affirmed && v.lang.chained(tokens, marks, &r.mentions[j-1], m) {
				m.polarity = r.mentions[j-1].polarity
			}
		}
	}
	return r
}

// links returns, for each token inside a binding link, the thing it names, and
// marks the tokens of code spans.
func (v *vocabulary) links(b *block, tokens []token, r *reading) map[int]*linked {
	var out map[int]*linked
	for _, rn := range b.runs {
		th, binds := linkTarget(rn.text.Link)
		if !binds && !rn.text.Code {
			continue
		}
		end := rn.start + len(rn.text.Text)
		l := &linked{thing: th, from: -1}
		for i := range tokens {
			if tokens[i].start < rn.start || tokens[i].end > end {
				continue
			}
			if !binds {
				tokens[i].code = true
				continue
			}
			if l.from < 0 {
				l.from = i
			}
			l.to = i + 1
			if out == nil {
				out = map[int]*linked{}
			}
			out[i] = l
		}
		if binds && !v.names[th] {
			r.dangling = append(r.dangling, dangling{th, rn.text.Link, b.span(rn.start, end)})
		}
	}
	return out
}

type linked struct {
	thing    thing
	from, to int
}

// find returns the mentions of a block: at each place the longest, and none
// within another.
func (v *vocabulary) find(b *block, tokens []token, links map[int]*linked) []mention {
	var out []mention
	for i := 0; i < len(tokens); {
		if l := links[i]; l != nil {
			if v.names[l.thing] {
				out = append(out, mention{things: []thing{l.thing}, exact: true, from: l.from, to: l.to})
			}
			i = l.to
			continue
		}
		terms, to := v.longest(tokens, links, i)
		if to == 0 {
			i++
			continue
		}
		if len(terms) > 0 {
			out = append(out, v.mentionOf(terms, i, to))
		}
		i = to
	}
	return out
}

func (v *vocabulary) mentionOf(terms []int, from, to int) mention {
	m := mention{from: from, to: to, weak: true}
	for _, id := range terms {
		if th := v.terms[id].thing; !slices.Contains(m.things, th) {
			m.things = append(m.things, th)
		}
		m.weak = m.weak && v.terms[id].weak
	}
	return m
}

// longest returns the end of the longest phrase that starts at token i, or 0,
// and the terms it stands for: none, if it is a phrase in which no word is
// meant.
func (v *vocabulary) longest(tokens []token, links map[int]*linked, i int) (terms []int, to int) {
	if tokens[i].inner || tokens[i].glued {
		return nil, 0
	}
	var walk func(n *node, at int)
	walk = func(n *node, at int) {
		if (n.terms != nil || n.unmeant) && v.endsAt(tokens, at) && at >= to {
			if at > to {
				terms, to = nil, at
			}
			terms = append(terms, n.terms...)
		}
		if at >= len(tokens) || links[at] != nil || tokens[at].code || at > i && tokens[at].pause >= comma {
			return
		}
		// The next word alone, and joined with those that hang on it.
		text := tokens[at].text
		for end := at + 1; ; end++ {
			for _, id := range v.forms[text] {
				if c := n.next[id]; c != nil {
					walk(c, end)
				}
			}
			if end >= len(tokens) || !tokens[end].glued || end-at > 4 {
				return
			}
			text += tokens[end].text
		}
	}
	walk(v.root, i)
	return terms, to
}

// endsAt: a mention ends in front of token at, unless a hyphen ties on a word
// that makes another thing of it ("address-book"); "location-based" still
// names the location.
func (v *vocabulary) endsAt(tokens []token, at int) bool {
	if at >= len(tokens) || !tokens[at].glued {
		return true
	}
	return slices.Contains(v.lang.tied, tokens[at].text)
}
