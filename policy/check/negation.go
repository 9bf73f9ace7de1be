package check

import "slices"

// markKind is the part a small word plays in the reach of a negation.
type markKind uint8

const (
	noMark markKind = iota
	denies
	deniesBoth
	excludes // "nobody"
	lacks    // "without"
	idiom
	unless
	turns
	owns
	unlessTurns // both: "unless", "except"
	idiomTurns  // "not only …": denies nothing, and ends the reach of an earlier negation
	promises    // a verb of promising
	speaker     // "we"
	alone       // promises by itself: "is never"
)

// mark is such a word in a block.
type mark struct {
	kind     markKind
	from, to int // tokens
}

// phraseTrie finds the marks of a language, the longest at each place.
type phraseTrie struct {
	next map[string]*phraseTrie
	kind markKind
}

func newPhraseTrie(l *language) *phraseTrie {
	t := &phraseTrie{}
	t.insert(l.deny, denies)
	t.insert(l.denyBoth, deniesBoth)
	t.insert(l.without, lacks)
	t.insert(l.nobody, excludes)
	t.insert(l.idioms, idiom)
	t.insert(l.unless, unless)
	t.insert(l.turns, turns)
	t.insert(l.own, owns)
	return t
}

func (t *phraseTrie) insert(list []string, k markKind) {
	for _, p := range list {
		n := t
		for _, tok := range tokenize(p) {
			if n.next == nil {
				n.next = map[string]*phraseTrie{}
			}
			if n.next[tok.text] == nil {
				n.next[tok.text] = &phraseTrie{}
			}
			n = n.next[tok.text]
		}
		switch {
		case k == turns && n.kind == unless:
			n.kind = unlessTurns
		case k == turns && n.kind == idiom:
			n.kind = idiomTurns
		default:
			n.kind = k
		}
	}
}

func (t *phraseTrie) scan(tokens []token) []mark {
	var out []mark
	for i := 0; i < len(tokens); {
		n, best, to := t, noMark, 0
		for j := i; j < len(tokens) && n != nil; j++ {
			if j > i && tokens[j].pause >= turn {
				break
			}
			if n = n.next[tokens[j].text]; n != nil && n.kind != noMark {
				best, to = n.kind, j+1
			}
		}
		if best == noMark {
			i++
			continue
		}
		out = append(out, mark{best, i, to})
		i = to
	}
	return out
}

// polarity judges a mention by the negations in its sentence. A negation
// reaches forward to the next turn of the sentence; backward only over an
// auxiliary verb ("is never used"), over the word right in front of it
// ("Partners never …"), or where the language puts it last ("… nicht").
func (l *language) polarity(tokens []token, marks []mark, m *mention) polarity {
	if slices.ContainsFunc(marks, func(k mark) bool { return k.kind == owns && k.to == m.from }) && m.things[0].kind == aCategory {
		return companys
	}
	start, end := sentence(tokens, m.from)
	from, to := l.stretch(tokens, marks, m, start, end)
	p := affirmed
	for _, k := range marks {
		if k.from < from || k.to > to || k.to > m.from && k.from < m.to {
			continue
		}
		forward := k.to <= m.from
		switch k.kind {
		case denies, excludes:
			if forward || l.reachesBack(tokens, k, m) {
				p = denied
			}
		case lacks:
			if forward {
				p = denied
			}
		case deniesBoth:
			p = denied
		}
	}
	if p == denied && l.softened(tokens, marks, start, end) {
		return conditional
	}
	return p
}

// reachesBack: "your location is never used", "partners never get it"; but not
// "to serve you better, we are not …", which speaks of us.
func (l *language) reachesBack(tokens []token, k mark, m *mention) bool {
	if k.from == m.to && k.to-k.from == 1 {
		return true
	}
	verb := k.from - 1
	if tokens[k.from].pause != noPause || !slices.Contains(l.auxiliary, tokens[verb].text) {
		return false
	}
	return verb == 0 || !slices.Contains(l.subjects, tokens[verb-1].text)
}

// softened: what is denied may happen after all, if the sentence says "unless",
// or denies a second time with "without".
func (l *language) softened(tokens []token, marks []mark, start, end int) bool {
	without, others := false, false
	for _, k := range marks {
		if k.from < start || k.to > end {
			continue
		}
		switch k.kind {
		case unless, unlessTurns:
			return true
		case lacks:
			without = true
		case excludes:
			if slices.ContainsFunc(tokens[k.to:end], func(t token) bool { return slices.Contains(l.but, t.text) }) {
				return true
			}
			others = true
		case denies, deniesBoth:
			others = true
		}
	}
	return without && others
}

// sentence returns the tokens of the sentence around token i.
func sentence(tokens []token, i int) (start, end int) {
	for start = i; start > 0 && tokens[start].pause < fullStop; start-- {
	}
	for end = i + 1; end < len(tokens) && tokens[end].pause < fullStop; end++ {
	}
	return start, end
}

// stretch returns the tokens around a mention within which a negation reaches
// it: bounded by turns, and by a subject that starts anew.
func (l *language) stretch(tokens []token, marks []mark, m *mention, start, end int) (from, to int) {
	from, to = start, end
	bound := func(at int) {
		if at <= m.from && at > from {
			from = at
		}
		if at >= m.to && at < to {
			to = at
		}
	}
	for i := start + 1; i < end; i++ {
		switch p := tokens[i].pause; {
		case p >= turn, p == comma && l.commaEnd, l.startsAnew(tokens, i):
			bound(i)
		}
	}
	for _, k := range marks {
		if k.from > start && k.to <= end && (k.kind == turns || k.kind == unlessTurns || k.kind == idiomTurns) {
			bound(k.from)
		}
	}
	return from, to
}

// startsAnew: a subject behind a comma or an "and" starts another thought, and
// so does a promise behind an "and": "we never sell it and keep your name".
func (l *language) startsAnew(tokens []token, i int) bool {
	if l.listing != nil && tokens[i].pause == comma && tokens[i].text == firstOf(l.and) {
		return true
	}
	behindAnd := slices.Contains(l.and, tokens[i-1].text)
	if slices.Contains(l.subjects, tokens[i].text) {
		return tokens[i].pause == comma || behindAnd
	}
	return behindAnd && tokens[i-1].text == firstOf(l.and) && slices.Contains(l.promises, tokens[i].text)
}

// chained lets a negation run on through a list: "never your age, gender, and
// location". A few words that the policy does not know may stand between; a
// verb may not, nor one behind: ", and your name serves …" says something new.
func (l *language) chained(tokens []token, marks []mark, before, m *mention) bool {
	if l.listing == nil || before.polarity != denied && before.polarity != conditional || before.to > m.from {
		return false
	}
	if slices.ContainsFunc(marks, func(k mark) bool { return k.from >= before.to && k.to <= m.from }) {
		return false
	}
	unknown := 0
	for i := before.to; i <= m.from; i++ {
		if tokens[i].pause >= turn {
			return false
		}
		if i < m.from && !slices.Contains(l.listing, tokens[i].text) {
			if unknown++; unknown > 3 || l.verb(tokens[i].text) {
				return false
			}
		}
	}
	return m.to >= len(tokens) || tokens[m.to].pause != noPause || !l.verb(tokens[m.to].text)
}

func (l *language) verb(w string) bool {
	return slices.Contains(l.promises, w) || slices.Contains(l.auxiliary, w) || slices.Contains(l.subjects, w)
}

func firstOf(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}
