package check

import (
	"slices"
	"strings"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy/rule"
)

// kind is what a word of the policy names.
type kind uint8

const (
	aCategory kind = iota
	aPurpose
	aRecipient
	aService
	aChannel
)

func (k kind) String() string {
	return [...]string{"category", "purpose", "recipient", "service", "channel"}[k]
}

// thing is something that a rule uses and prose can name.
type thing struct {
	kind kind
	name string
}

// term is one thing as a word names it. Weak terms come from the name of a
// rule, not from its words: they help a rule to find its mention, but prose
// that holds one is not held to have meant it ("provide" is a common verb).
type term struct {
	thing
	weak bool
}

// vocabulary is all words of a policy in one language, ready to be found.
type vocabulary struct {
	lang     *language
	forms    map[string][]int // written form of a token → the tokens it may stand for
	root     *node
	terms    []term
	seen     map[string]int // token → its number
	names    map[thing]bool // everything declared, for links
	texts    []string       // the words as written, for each term
	marks    *phraseTrie
	promises *phraseTrie
	silences *phraseTrie
}

type node struct {
	next  map[int]*node
	terms []int
	// unmeant ends a phrase in which no word is meant.
	unmeant bool
}

// newVocabulary collects the words that apply to documents of a language.
func newVocabulary(set *rule.Set, tag string) *vocabulary {
	v := &vocabulary{lang: languageOf(tag), forms: map[string][]int{}, root: &node{}, seen: map[string]int{}, names: map[thing]bool{}}
	for _, g := range set.Groups {
		for _, c := range g.Categories {
			th := thing{aCategory, string(c.Name)}
			n := v.addWords(th, c.Words, languageAt(c.Clause, g.Clause), tag)
			if n == 0 && len(c.Words) == 0 {
				v.add(term{th, false}, pretty(afterDot(string(c.Name))))
			}
		}
	}
	for _, p := range set.Purposes {
		v.addNamed(thing{aPurpose, string(p.Name)}, p.Words, p.Title, p.Clause, tag, true)
	}
	for _, r := range set.Recipients {
		v.addNamed(thing{aRecipient, string(r.Name)}, r.Words, r.Title, r.Clause, tag, false)
	}
	for _, s := range set.Services {
		v.addNamed(thing{aService, string(s.Name)}, s.Words, s.Title, s.Clause, tag, true)
	}
	for _, ch := range set.Channels {
		v.addChannel(ch, tag)
	}
	for _, p := range v.lang.unmeant {
		v.insert(p, func(n *node) { n.unmeant = true }, false)
	}
	v.marks, v.promises, v.silences = newPhraseTrie(v.lang), newPromises(v.lang), &phraseTrie{}
	v.silences.insert(v.lang.silences, alone)
	return v
}

// addNamed adds the words of a rule that has a name and perhaps a title.
func (v *vocabulary) addNamed(th thing, list []rule.Word, title string, c *rule.Clause, tag string, weak bool) {
	own := languageAt(c)
	v.addWords(th, list, own, tag)
	if base(own) == base(tag) {
		if title != "" {
			v.add(term{th, weak}, title)
		}
		v.add(term{th, weak}, pretty(th.name))
	}
}

// addChannel adds the words of a channel, all of them weak: "e-mail" says many
// things, and only the clause that declares the channel is held to have meant it.
func (v *vocabulary) addChannel(ch *rule.Channel, tag string) {
	th := thing{aChannel, string(ch.Name)}
	own := languageAt(ch.Clause)
	v.names[th] = true
	for _, w := range ch.Words {
		if lang := w.Language; appliesTo(lang, tag) || lang == "" && appliesTo(own, tag) {
			v.add(term{th, true}, w.Text)
		}
	}
	if base(own) == base(tag) {
		v.add(term{th, true}, ch.Title)
		v.add(term{th, true}, pretty(th.name))
	}
}

// languageAt is the language of the first clause there is.
func languageAt(clauses ...*rule.Clause) string {
	for _, c := range clauses {
		if c != nil && c.Document != nil {
			return c.Document.Language
		}
	}
	return "en"
}

// addWords adds the words that apply to documents in the language tag, and
// returns how many. A word without a language has that of the document it is
// written in; a word for "zh" applies to "zh-Hant" too.
func (v *vocabulary) addWords(th thing, list []rule.Word, own, tag string) int {
	v.names[th] = true
	n := 0
	for _, w := range list {
		lang := w.Language
		if lang == "" {
			lang = own
		}
		if appliesTo(lang, tag) {
			v.add(term{th, false}, w.Text)
			n++
		}
	}
	return n
}

func appliesTo(word, doc string) bool {
	word, doc = normTag(word), normTag(doc)
	return word == doc || strings.HasPrefix(doc, word+"-") || strings.HasPrefix(word, doc+"-") && doc == base(doc)
}

func normTag(t string) string {
	t = strings.ToLower(strings.ReplaceAll(t, "_", "-"))
	if t == "" {
		return "en"
	}
	return t
}

func (v *vocabulary) add(t term, text string) {
	v.names[t.thing] = true
	id := len(v.terms)
	v.terms, v.texts = append(v.terms, t), append(v.texts, text)
	v.insert(text, func(n *node) {
		if !slices.ContainsFunc(n.terms, func(o int) bool { return v.terms[o].thing == t.thing && (!v.terms[o].weak || t.weak) }) {
			n.terms = append(n.terms, id)
		}
	}, true)
}

// insert adds a phrase to the trie, its hyphens once as gaps and once as
// nothing: "e-mail" is also "email" and "e mail".
func (v *vocabulary) insert(text string, end func(*node), inflect bool) {
	for _, spelling := range spellings(tokenize(text)) {
		n := v.root
		for _, w := range spelling {
			id := v.token(w, inflect)
			if n.next == nil {
				n.next = map[int]*node{}
			}
			if n.next[id] == nil {
				n.next[id] = &node{}
			}
			n = n.next[id]
		}
		if n != v.root {
			end(n)
		}
	}
}

// spellings are the ways to write a phrase: each hyphen as a gap or not at all.
func spellings(tokens []token) [][]string {
	out := [][]string{nil}
	for _, t := range tokens {
		n := len(out)
		for i := range n {
			if t.glued && len(out[i]) > 0 && len(out) < 16 {
				joined := slices.Clone(out[i])
				joined[len(joined)-1] += t.text
				out = append(out, joined)
			}
			out[i] = append(slices.Clip(out[i]), t.text)
		}
	}
	return out
}

// token numbers a word of the vocabulary and enters the forms in which prose
// may write it.
func (v *vocabulary) token(w string, inflect bool) int {
	key := w
	if !inflect {
		key = "=" + w
	}
	if id, ok := v.seen[key]; ok {
		return id
	}
	id := len(v.seen) + 1
	v.seen[key] = id
	list := []string{w}
	if inflect {
		list = v.lang.forms(w)
	}
	for _, f := range list {
		if !slices.Contains(v.forms[f], id) {
			v.forms[f] = append(v.forms[f], id)
		}
	}
	return id
}

func afterDot(s string) string {
	if i := strings.LastIndexByte(s, '.'); i >= 0 {
		return s[i+1:]
	}
	return s
}

// pretty turns a name into words: after_sales into "after sales".
func pretty(name string) string {
	return strings.NewReplacer("_", " ", ".", " ").Replace(name)
}

// linkTarget reads a link that binds exactly: "#person.imei" names a
// category, "#purpose.marketing" a purpose, "#recipient.couriers" a recipient,
// "#service.shop" a service. ok is false if the link has not that form.
func linkTarget(link string) (th thing, ok bool) {
	name, found := strings.CutPrefix(link, "#")
	if !found {
		return thing{}, false
	}
	group, row, found := strings.Cut(name, ".")
	if !found || group == "" || row == "" {
		return thing{}, false
	}
	switch group {
	case "purpose":
		return thing{aPurpose, row}, true
	case "recipient":
		return thing{aRecipient, row}, true
	case "service":
		return thing{aService, row}, true
	case "channel":
		return thing{aChannel, row}, true
	}
	return thing{aCategory, string(abide.Category(name))}, true
}
