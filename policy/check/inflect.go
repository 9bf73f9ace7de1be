package check

import (
	"slices"
	"strings"
)

// irregular pairs of singular and plural, both ways.
var irregular = pairs(`person people; child children; man men; woman women; datum data; index indices; analysis analyses; basis bases;
	criterion criteria; medium media; half halves; life lives; foot feet; leaf leaves; shelf shelves; query queries; status statuses; address addresses;
	business businesses; process processes; access accesses; bus buses; appendix appendices; matrix matrices; birthday birthdays`)

// unchanging words lose nothing at their end, though they look like plurals.
var unchanging = set(`news gps sms mms dns https express wireless series species always plus its his us as is was has this thus less
	address status access process business analysis basis bus gas bias class pass press progress success`)

func pairs(s string) map[string]string {
	m := map[string]string{}
	for p := range strings.SplitSeq(s, ";") {
		f := strings.Fields(p)
		m[f[0]], m[f[1]] = f[1], f[0]
	}
	return m
}

func set(s string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(s) {
		m[w] = true
	}
	return m
}

func isVowel(c byte) bool { return strings.IndexByte("aeiou", c) >= 0 }

func anySuffix(w string, suffixes ...string) bool {
	return slices.ContainsFunc(suffixes, func(s string) bool { return strings.HasSuffix(w, s) })
}

// englishForms: regular and irregular number, both ways.
func englishForms(w string) []string {
	out := []string{w}
	if other, ok := irregular[w]; ok {
		out = append(out, other)
	}
	n := len(w)
	if n < 2 {
		return out
	}
	switch {
	case strings.HasSuffix(w, "y") && !isVowel(w[n-2]):
		out = append(out, w[:n-1]+"ies")
	case anySuffix(w, "s", "x", "z", "ch", "sh", "o"):
		out = append(out, w+"es", w+"s")
	case strings.HasSuffix(w, "fe"):
		out = append(out, w[:n-2]+"ves", w+"s")
	default:
		out = append(out, w+"s")
	}
	if n > 3 && !unchanging[w] {
		switch {
		case strings.HasSuffix(w, "ies"):
			out = append(out, w[:n-3]+"y", w[:n-1])
		case anySuffix(w, "sses", "xes", "zzes", "ches", "shes", "oes"):
			out = append(out, w[:n-2], w[:n-1])
		case strings.HasSuffix(w, "s") && !anySuffix(w, "ss", "us", "is"):
			out = append(out, w[:n-1])
		}
	}
	return out
}

// endings returns w with each ending added, and with each ending taken away
// if a word of at least four letters is left.
func endings(w string, ends ...string) []string {
	out := []string{w}
	for _, e := range ends {
		out = append(out, w+e)
		if s, ok := strings.CutSuffix(w, e); ok && len([]rune(s)) >= 4 {
			out = append(out, s)
		}
	}
	return out
}

var umlaut = strings.NewReplacer("a", "ä", "o", "ö", "u", "ü")

// germanForms: number and case endings, with or without a changed vowel.
func germanForms(w string) []string {
	out := endings(w, "e", "n", "en", "er", "ern", "s", "es", "se", "sen", "nen")
	if i := strings.LastIndexAny(w, "aou"); i >= 0 && len(w) > 3 {
		if i > 0 && w[i] == 'u' && w[i-1] == 'a' {
			i--
		}
		u := w[:i] + umlaut.Replace(w[i:i+1]) + w[i+1:]
		out = append(out, u, u+"e", u+"er", u+"en", u+"ern", u+"n")
	}
	return out
}

// frenchForms: number, and the agreement of adjectives.
func frenchForms(w string) []string {
	out := endings(w, "s", "x", "e", "es")
	if s, ok := strings.CutSuffix(w, "al"); ok {
		out = append(out, s+"aux")
	}
	if s, ok := strings.CutSuffix(w, "aux"); ok {
		out = append(out, s+"al", s+"au")
	}
	return out
}

// spanishForms: number; "dirección" loses its accent in the plural.
func spanishForms(w string) []string {
	out := endings(w, "s", "es")
	if s, ok := strings.CutSuffix(w, "ón"); ok {
		out = append(out, s+"ones")
	}
	if s, ok := strings.CutSuffix(w, "ones"); ok {
		out = append(out, s+"ón")
	}
	if s, ok := strings.CutSuffix(w, "z"); ok {
		out = append(out, s+"ces")
	}
	if s, ok := strings.CutSuffix(w, "ces"); ok {
		out = append(out, s+"z")
	}
	return out
}

func portugueseForms(w string) []string {
	out := endings(w, "s", "es")
	if s, ok := strings.CutSuffix(w, "ão"); ok {
		out = append(out, s+"ões", s+"ãos")
	}
	if s, ok := strings.CutSuffix(w, "ões"); ok {
		out = append(out, s+"ão")
	}
	if s, ok := strings.CutSuffix(w, "m"); ok {
		out = append(out, s+"ns")
	}
	if s, ok := strings.CutSuffix(w, "l"); ok {
		out = append(out, s+"is")
	}
	return out
}

func italianForms(w string) []string {
	out := []string{w}
	if len(w) < 3 {
		return out
	}
	stem, last := w[:len(w)-1], w[len(w)-1]
	switch last {
	case 'o', 'e':
		out = append(out, stem+"i")
	case 'a':
		out = append(out, stem+"e")
	case 'i':
		out = append(out, stem+"o", stem+"e")
	}
	return out
}

func dutchForms(w string) []string {
	out := endings(w, "en", "s", "n", "e")
	if n := len(w); n > 3 && !isVowel(w[n-1]) {
		out = append(out, w+w[n-1:]+"en")
		if w[n-2] == w[n-3] && isVowel(w[n-2]) {
			out = append(out, w[:n-2]+w[n-1:]+"en")
		}
	}
	return out
}
