package check

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// pause is the strongest punctuation in front of a token.
type pause uint8

const (
	noPause  pause = iota
	comma          // , and the like
	turn           // ; : ( ) and dashes: a new thought in the same sentence
	fullStop       // a new sentence, or another block
)

// token is one word of prose, or one character of a script that puts no
// spaces between words.
type token struct {
	text       string // folded: NFKC, case, no soft hyphens
	start, end int    // bytes of the block
	pause      pause  // in front of it
	glued      bool   // hangs on the token before by a hyphen: "e-mail"
	inner      bool   // inside a written word, not at its start (Hangul)
	code       bool   // stands in a code span: never a mention
}

var fold = cases.Fold()

func folded(s string) string {
	if ascii(s) {
		return strings.ToLower(s)
	}
	s = strings.Map(func(r rune) rune {
		if invisible(r) {
			return -1
		}
		return r
	}, s)
	return norm.NFKC.String(fold.String(norm.NFKC.String(s)))
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// invisible characters stand inside words without parting them.
func invisible(r rune) bool {
	switch r {
	case '\u00ad', '\u200b', '\u200c', '\u200d', '\u2060', '\ufeff':
		return true
	}
	return false
}

func isHyphen(r rune) bool {
	return r == '-' || r == '\u2010' || r == '\u2011' || r == '\ufe63' || r == '\uff0d'
}

func isApostrophe(r rune) bool { return r == '\'' || r == '\u2019' || r == '\u02bc' || r == '\uff07' }

func isWord(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) || r == '_'
}

// spaceless scripts are matched character by character, without boundaries.
func spaceless(r rune) bool {
	return r >= firstSpaceless && unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar) || r == 'ー'
}

// firstSpaceless is where the first of these scripts begins (Thai).
const firstSpaceless = '\u0e00'

// tokenize splits text into tokens.
func tokenize(text string) []token {
	t := tokenizer{text: text, pause: fullStop}
	for t.at < len(text) {
		r, n := utf8.DecodeRuneInString(text[t.at:])
		switch {
		case spaceless(r):
			t.character(n, false)
		case unicode.Is(unicode.Hangul, r):
			t.character(n, t.touchesHangul())
		case isWord(r):
			t.word()
		default:
			t.between(r, n)
		}
	}
	return t.tokens
}

type tokenizer struct {
	text   string
	at     int
	tokens []token
	pause  pause
	hyphen bool // the last thing seen was a hyphen right behind a token
}

func (t *tokenizer) add(start, end int, inner bool) {
	glued := t.hyphen && len(t.tokens) > 0
	t.tokens = append(t.tokens, token{text: folded(t.text[start:end]), start: start, end: end, pause: t.pause, glued: glued, inner: inner})
	t.pause, t.hyphen, t.at = noPause, false, end
}

// character takes one character and the marks on it.
func (t *tokenizer) character(n int, inner bool) {
	start, end := t.at, t.at+n
	for end < len(t.text) {
		r, n := utf8.DecodeRuneInString(t.text[end:])
		if !unicode.IsMark(r) && !invisible(r) {
			break
		}
		end += n
	}
	t.add(start, end, inner)
}

func (t *tokenizer) touchesHangul() bool {
	if len(t.tokens) == 0 {
		return false
	}
	last := t.tokens[len(t.tokens)-1]
	r, _ := utf8.DecodeRuneInString(t.text[last.start:])
	return last.end == t.at && unicode.Is(unicode.Hangul, r)
}

// word takes letters and digits. "n't" stays with its verb, because it
// negates; the possessive "'s" falls away.
func (t *tokenizer) word() {
	start := t.at
	end := t.wordEnd(start)
	if rest := t.text[end:]; rest != "" {
		r, n := utf8.DecodeRuneInString(rest)
		if isApostrophe(r) {
			tail := strings.ToLower(t.text[end+n : t.wordEnd(end+n)])
			if tail == "t" && strings.HasSuffix(strings.ToLower(t.text[start:end]), "n") {
				t.add(start, end+n+1, false)
				last := &t.tokens[len(t.tokens)-1]
				last.text = strings.Map(func(r rune) rune {
					if isApostrophe(r) {
						return '\''
					}
					return r
				}, last.text)
				return
			}
			if tail == "s" {
				t.add(start, end, false)
				t.at = end + n + 1
				return
			}
		}
	}
	t.add(start, end, false)
}

func (t *tokenizer) wordEnd(at int) int {
	for at < len(t.text) {
		r, n := utf8.DecodeRuneInString(t.text[at:])
		if (!isWord(r) || spaceless(r) || unicode.Is(unicode.Hangul, r)) && !invisible(r) {
			break
		}
		at += n
	}
	return at
}

// between takes one character that is not part of a word.
func (t *tokenizer) between(r rune, n int) {
	t.hyphen = isHyphen(r) && len(t.tokens) > 0 && t.tokens[len(t.tokens)-1].end == t.at ||
		t.hyphen && invisible(r)
	p := noPause
	switch {
	case r == ',' || r == '،' || r == '、' || r == '，' || r == '､':
		p = comma
	case strings.ContainsRune(";:()[]–—；：（）•·|", r):
		p = turn
	case r == '.':
		if t.endsSentence() {
			p = fullStop
		}
	case strings.ContainsRune("!?…。！？।؟", r):
		p = fullStop
	}
	t.pause = max(t.pause, p)
	t.at += n
}

// endsSentence tells the full stop from the dot of "e.g.", "4.5" and
// "example.test": behind it comes space and then no small letter, and in front
// of it more than one letter.
func (t *tokenizer) endsSentence() bool {
	rest := t.text[t.at+1:]
	trimmed := strings.TrimLeft(rest, " \t\n\r\u00a0\"'”’)»*_")
	if trimmed == "" {
		return true
	}
	if len(trimmed) == len(rest) {
		return false
	}
	if n := len(t.tokens); n > 0 && utf8.RuneCountInString(t.tokens[n-1].text) == 1 && t.tokens[n-1].end == t.at {
		r, _ := utf8.DecodeRuneInString(t.tokens[n-1].text)
		if unicode.IsLetter(r) && !spaceless(r) {
			return false
		}
	}
	r, _ := utf8.DecodeRuneInString(trimmed)
	return !unicode.IsLower(r)
}
