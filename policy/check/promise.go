package check

import (
	"slices"

	abide "github.com/abide-privacy/abide"
)

// promise returns the first sentence of the scope that promises something: a
// verb of keeping, using or sharing beside "we", or a passive such as "are
// deleted".
func (s *scope) promise() (abide.Span, bool) {
	for _, r := range s.readings {
		for i, tokens := range r.tokens {
			for at := 0; at < len(tokens); {
				_, end := sentence(tokens, at)
				if s.vocab.lang.promising(s.vocab.promises, tokens[at:end]) {
					return r.blocks[i].span(tokens[at].start, tokens[end-1].end), true
				}
				at = end
			}
		}
	}
	return abide.Span{}, false
}

// promising judges one sentence.
func (l *language) promising(marks *phraseTrie, sentence []token) bool {
	we, verb := false, false
	for _, k := range marks.scan(sentence) {
		switch k.kind {
		case alone:
			return true
		case speaker:
			we = true
		case promises:
			verb = true
		}
	}
	return we && verb
}

// newPromises enters the words of promising; "we" may be a phrase.
func newPromises(l *language) *phraseTrie {
	t := &phraseTrie{}
	t.insert(l.promises, promises)
	t.insert(l.we, speaker)
	t.insert(l.alone, alone)
	return t
}

// declared is where a thing is declared.
func (x *index) declared(th thing) abide.Span {
	switch th.kind {
	case aCategory:
		if c := x.categories[th.name]; c != nil {
			return c.Label
		}
	case aPurpose:
		if p := x.purposes[th.name]; p != nil {
			return p.Label
		}
	case aRecipient:
		if r := x.recipients[th.name]; r != nil {
			return r.Label
		}
	case aChannel:
		for _, ch := range x.set.Channels {
			if string(ch.Name) == th.name {
				return ch.Label
			}
		}
	case aService:
		if s := x.services[th.name]; s != nil {
			return s.Label
		}
	}
	return abide.Span{}
}

func containsAny[T comparable](list, of []T) bool {
	return slices.ContainsFunc(list, func(t T) bool { return slices.Contains(of, t) })
}
