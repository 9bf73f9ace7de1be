// Package labels holds the words that a published page says by itself: its
// headings, the columns of its tables, stretches of time, grounds. They are
// data, a file for each language; a policy can add to them and override them.
// Each is a whole phrase with places to fill in, so that no grammar is built
// from parts: where a language would inflect what is filled in, its phrase sets
// it behind a colon.
package labels

import (
	"embed"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"
	"golang.org/x/text/language/display"
)

//go:embed text/*.txt
var files embed.FS

// languages are the labels that come with Abide, by the name of their file.
var languages = read()

// Labels are the labels of one language.
type Labels struct {
	tag   language.Tag
	words map[string]string
	own   map[string]string // a policy's
}

// For returns the labels of a BCP 47 tag. If there are none, ok is false and
// the labels are English.
func For(tag string) (l *Labels, ok bool) {
	t := language.Make(tag)
	base, _ := t.Base()
	name := base.String()
	if name == "zh" {
		script, _ := t.Script() // that of the region, where the tag names none
		name += "-" + script.String()
	}
	if words := languages[name]; words != nil {
		return &Labels{tag: t, words: words}, true
	}
	return &Labels{tag: language.English, words: languages["en"]}, false
}

// In is For, with what a policy says itself. A policy that says every label
// makes a language of its own.
func In(tag string, own map[string]string) (l *Labels, ok bool) {
	l, ok = For(tag)
	l.own = own
	if !ok && len(lacking(language.Make(tag), own)) == 0 {
		l.tag, l.words, ok = language.Make(tag), nil, true
	}
	return l, ok
}

// lacking are the keys that a whole language would have to say.
func lacking(tag language.Tag, own map[string]string) []string {
	var out []string
	for _, k := range Keys() {
		stem, form, _ := cutLast(k)
		if form == "one" { // which plural forms there are is the language's affair
			continue
		}
		if form == "other" {
			for _, f := range Forms(tag) {
				if own[stem+"."+f] == "" {
					out = append(out, stem+"."+f)
				}
			}
			continue
		}
		if own[k] == "" {
			out = append(out, k)
		}
	}
	return out
}

// Languages lists the languages that come with Abide.
func Languages() []string { return slices.Sorted(maps.Keys(languages)) }

// Keys lists all labels, by their English ones.
func Keys() []string { return slices.Sorted(maps.Keys(languages["en"])) }

// Known tells whether a policy may say this label. Some families are open,
// because a policy makes the names itself: name.X for an identifier, until.X
// and after.X for an event, place.X for a place.
func Known(key string) bool {
	if languages["en"][key] != "" {
		return true
	}
	for _, family := range []string{"name.", "until.", "after.", "place."} {
		if rest, ok := strings.CutPrefix(key, family); ok && rest != "" {
			return true
		}
	}
	return Counts(key)
}

// Counts tells whether a label is a plural form, which may write its number
// out ("one day") or leave it unsaid.
func Counts(key string) bool {
	stem, form, ok := cutLast(key)
	return ok && slices.Contains(forms, form) && languages["en"][stem+".other"] != ""
}

// Blanks returns the places to fill in of a label, in order and each once.
func Blanks(text string) []string {
	var out []string
	for {
		_, after, ok := strings.Cut(text, "{")
		if !ok {
			break
		}
		name, rest, ok := strings.Cut(after, "}")
		if !ok {
			break
		}
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
		text = rest
	}
	slices.Sort(out)
	return out
}

// BlanksOf are the places that a label has in English, which any other text
// for it may fill in.
func BlanksOf(key string) []string {
	text := languages["en"][key]
	if text == "" {
		stem, _, _ := cutLast(key)
		text = languages["en"][stem+".other"]
	}
	if text == "" && strings.HasPrefix(key, "after.") {
		return []string{"time"}
	}
	return Blanks(text)
}

// Has tells whether there is a label of this key.
func (l *Labels) Has(key string) bool { return l.own[key] != "" || l.words[key] != "" }

// English tells whether the labels are English.
func (l *Labels) English() bool { base, _ := l.tag.Base(); return base.String() == "en" }

// Say returns a label, filled in: pairs are names of places and what stands
// there.
func (l *Labels) Say(key string, pairs ...string) string {
	text := l.own[key]
	if text == "" {
		text = l.words[key]
	}
	if text == "" {
		text = languages["en"][key]
	}
	old := make([]string, 0, len(pairs))
	for i := 0; i+1 < len(pairs); i += 2 {
		old = append(old, "{"+pairs[i]+"}", pairs[i+1])
	}
	return strings.NewReplacer(old...).Replace(text)
}

// Count returns a label in the plural form that the number wants.
func (l *Labels) Count(key string, n int) string {
	form := formOf(l.tag, n)
	if !l.Has(key + "." + form) {
		form = "other"
	}
	return l.Say(key+"."+form, "n", strconv.Itoa(n))
}

// List joins words: "a", "a and b", "a, b and c".
func (l *Labels) List(words []string) string { return l.join(words, "and") }

// Either joins words as alternatives.
func (l *Labels) Either(words []string) string { return l.join(words, "or") }

func (l *Labels) join(words []string, how string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return l.Say(how, "a", strings.Join(words[:last], l.Say("comma")), "b", words[last])
}

// Quote sets off a name.
func (l *Labels) Quote(s string) string { return l.Say("quote", "x", s) }

// Place says a place: by the policy's own label, or by the name that Unicode's
// CLDR gives it, or by its code.
func (l *Labels) Place(code string) string {
	if key := "place." + code; l.Has(key) {
		return l.Say(key)
	}
	country, part, parted := strings.Cut(code, "-")
	region, err := language.ParseRegion(country)
	if err != nil {
		return code
	}
	name := display.Regions(l.tag).Name(region)
	switch {
	case name == "":
		return code
	case parted:
		return l.Say("parens", "x", name, "y", part)
	}
	return name
}

// Direction of the script that a language is written in: "rtl" or "ltr".
func Direction(tag string) string {
	script, _ := language.Make(tag).Script()
	switch script.String() {
	case "Arab", "Hebr", "Syrc", "Thaa", "Nkoo", "Adlm", "Rohg":
		return "rtl"
	}
	return "ltr"
}

// forms are the plural forms of CLDR.
var forms = []string{"zero", "one", "two", "few", "many", "other"}

func formOf(tag language.Tag, n int) string {
	switch plural.Cardinal.MatchPlural(tag, n, 0, 0, 0, 0) {
	case plural.Zero:
		return "zero"
	case plural.One:
		return "one"
	case plural.Two:
		return "two"
	case plural.Few:
		return "few"
	case plural.Many:
		return "many"
	default:
		return "other"
	}
}

// Forms are the plural forms that whole numbers take in a language; "other" is
// always among them.
func Forms(tag language.Tag) []string {
	seen := map[string]bool{"other": true}
	for n := range 200 {
		seen[formOf(tag, n)] = true
	}
	return slices.Sorted(maps.Keys(seen))
}

func cutLast(key string) (stem, last string, ok bool) {
	i := strings.LastIndexByte(key, '.')
	if i < 0 {
		return key, "", false
	}
	return key[:i], key[i+1:], true
}

// read parses the files; they are part of the program, so that a mistake in
// them is one of ours and found by any test.
func read() map[string]map[string]string {
	out := map[string]map[string]string{}
	list, err := files.ReadDir("text")
	if err != nil {
		panic(err)
	}
	for _, f := range list {
		text, err := files.ReadFile("text/" + f.Name())
		if err != nil {
			panic(err)
		}
		words, err := parse(string(text))
		if err != nil {
			panic(f.Name() + ": " + err.Error())
		}
		out[strings.TrimSuffix(f.Name(), ".txt")] = words
	}
	return out
}

// parse reads lines of "key = text"; a text in quotes keeps its spaces, and a
// line that begins with # says nothing.
func parse(text string) (map[string]string, error) {
	out := map[string]string{}
	for i, line := range strings.Split(text, "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		key, value, ok := strings.Cut(line, " = ")
		if !ok || value == "" {
			return nil, fmt.Errorf("line %d is not key = text", i+1)
		}
		if out[key] != "" {
			return nil, fmt.Errorf("line %d says %s a second time", i+1, key)
		}
		if value[0] == '"' {
			unquoted, err := strconv.Unquote(value)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", i+1, err)
			}
			value = unquoted
		}
		out[key] = value
	}
	return out, nil
}
