package diff

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	abide "github.com/abide-privacy/abide"
)

const noChange = "Nothing changes: every request is decided as before, and nobody is asked again."

// Text writes the difference as plain sentences, grouped and without what
// follows from what was said already. JSON of the Difference holds everything.
func (d *Difference) Text(w io.Writer) error {
	b := bufio.NewWriter(w)
	t := &texter{b: b, d: d}
	if d.Empty() && len(d.Rules) == 0 {
		fmt.Fprintln(b, noChange)
		return b.Flush()
	}
	for _, sec := range t.sections() {
		t.section(sec.Title, sec.Items)
	}
	return b.Flush()
}

// section is a part of what is said, as text or as HTML.
type section struct {
	Title string
	Items []string // each of one line or more
}

func (t *texter) sections() []section {
	return []section{
		{"Becomes permitted", t.sentences(abide.Permit)},
		{"Becomes forbidden", t.sentences(abide.Deny)},
		{"Must be asked", t.asked()},
		{"Staff and others who act", t.staff()},
		{"Rules that read differently", t.rules()},
	}
}

type texter struct {
	b *bufio.Writer
	d *Difference
}

func (t *texter) section(title string, items []string) {
	fmt.Fprintf(t.b, "%s\n", title)
	if len(items) == 0 {
		fmt.Fprintln(t.b, "  nothing")
	}
	for _, item := range items {
		t.item(item)
	}
	fmt.Fprintln(t.b)
}

// item writes a wrapped list item; its own lines keep their breaks.
func (t *texter) item(text string) {
	for i, l := range strings.Split(text, "\n") {
		mark, rest := "  - ", "    "
		if i > 0 {
			mark, rest = "      ", "        "
		}
		line := mark
		used := false
		for _, word := range strings.Fields(l) {
			if used && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > 78 {
				fmt.Fprintln(t.b, line)
				line, used = rest, false
			}
			if used {
				line += " "
			}
			line += word
			used = true
		}
		fmt.Fprintln(t.b, line)
	}
}

// sentences says the changes in one direction: one sentence for what is done,
// whatever it is done to, its purposes and its places joined.
func (t *texter) sentences(effect abide.Effect) []string {
	type key struct {
		purpose  abide.Purpose
		accepted abide.DocumentName
		said     string
	}
	where := map[key][]Places{}
	var order []key
	for i := range t.d.Changes {
		c := &t.d.Changes[i]
		if c.Effect != effect {
			continue
		}
		k := key{c.Purpose, c.Accepted, t.change(c)}
		if where[k] == nil {
			order = append(order, k)
		}
		where[k] = append(where[k], c.Places...)
	}
	var lines []said
	for _, k := range order {
		lines = append(lines, said{string(k.purpose), k.accepted, k.said + " (" + t.where(where[k]) + ")"})
	}
	return joinPurposes(lines)
}

// said is a sentence about one purpose, for those who accepted one document.
type said struct {
	purpose  string
	accepted abide.DocumentName
	text     string
}

// joinPurposes joins purposes of which the same is said. What is said of those
// who accepted nothing is not repeated for those who accepted a document.
func joinPurposes(lines []said) []string {
	purposes := map[string][]string{}
	var order []string
	for _, l := range lines {
		text := l.text
		if l.accepted != "" {
			if slices.Contains(lines, said{l.purpose, "", l.text}) {
				continue
			}
			text += ", for those who accepted " + string(l.accepted)
		}
		if purposes[text] == nil {
			order = append(order, text)
		}
		purposes[text] = appendNew(purposes[text], l.purpose)
	}
	out := make([]string, len(order))
	for i, text := range order {
		out[i] = list(purposes[text]) + " " + text
	}
	return out
}

func appendNew(to []string, s string) []string {
	if slices.Contains(to, s) {
		return to
	}
	return append(to, s)
}

// change says what becomes of a purpose, beginning after its name.
func (t *texter) change(c *Change) string {
	var said string
	may := "may now"
	if c.Effect == abide.Deny {
		may = "may no longer"
	}
	switch c.Cause {
	case CauseWhat:
		said = may + " " + t.whats(c.Whats)
		if c.Everything {
			said += map[bool]string{true: "; the purpose was permitted nothing before", false: "; the purpose is permitted nothing any more"}[c.Effect == abide.Permit]
		}
	case CauseStanding:
		said = may + " do " + t.did(c) + " " + t.said(c.Standings)
	case CauseAge:
		said = may + " do " + t.did(c) + " " + ages(c.Ages)
	}
	return said
}

// did says what a purpose does already, if it matters which of it.
func (t *texter) did(c *Change) string {
	channels := []string{}
	for _, w := range c.Whats {
		if w.Channel == "" && w.Service == "" {
			return "what it does"
		}
		if w.Channel != "" {
			channels = appendNew(channels, "contact by "+string(w.Channel))
		}
		if w.Service != "" {
			channels = appendNew(channels, "collecting for "+string(w.Service))
		}
	}
	return "its " + list(channels)
}

// whats says what is done, act by act, without what another item implies: a
// message by e-mail where messages are said, the same for every kind of person.
func (t *texter) whats(ws []What) string {
	var acts []string
	for _, act := range []abide.Act{abide.ActCollect, abide.ActRead, abide.ActUse, abide.ActContact, abide.ActChoose} {
		plain := map[string]bool{}
		for _, w := range ws {
			if w.Act == act && w.Channel == "" && w.Topic == "" && w.Service == "" {
				plain[string(w.Category)+" "+string(w.Kind)] = true
			}
		}
		by := map[string][]string{}
		var order []string
		for _, w := range ws {
			if w.Act != act || (w.Channel+abide.Channel(w.Topic)+abide.Channel(w.Service) != "" && plain[string(w.Category)+" "+string(w.Kind)]) {
				continue
			}
			how := manner(w)
			if _, ok := by[how]; !ok {
				order = append(order, how)
			}
			by[how] = appendNew(by[how], string(w.Category))
		}
		for _, how := range order {
			acts = appendNew(acts, verb(act)+" "+list(by[how])+how)
		}
	}
	acts = joinVerbs(acts)
	return strings.Join(append(acts, disclosures(ws)...), "; ")
}

// manner says what of a request is special, and of which people.
func manner(w What) string {
	said := ""
	if w.Channel != "" {
		said += " by " + string(w.Channel)
	}
	if w.Topic != "" {
		said += " about " + string(w.Topic)
	}
	if w.Service != "" {
		said += " for the service " + string(w.Service)
	}
	return said
}

func verb(a abide.Act) string {
	switch a {
	case abide.ActContact:
		return "contact by"
	case abide.ActChoose:
		return "choose by"
	}
	return a.String()
}

// joinVerbs joins acts on the same data: "collect a", "use a" become "collect
// and use a".
func joinVerbs(acts []string) []string {
	verbs := map[string][]string{}
	var order []string
	for _, a := range acts {
		v, rest, _ := strings.Cut(a, " ")
		if r, ok := strings.CutPrefix(rest, "by "); ok && (v == "contact" || v == "choose") {
			v, rest = v+" by", r
		}
		if _, ok := verbs[rest]; !ok {
			order = append(order, rest)
		}
		verbs[rest] = append(verbs[rest], v)
	}
	out := make([]string, len(order))
	for i, rest := range order {
		out[i] = list(verbs[rest]) + " " + rest
	}
	return out
}

// disclosures says what goes to whom; for value only where without is not said.
func disclosures(ws []What) []string {
	to := map[string][]string{}
	var order []string
	for _, value := range []bool{false, true} {
		for _, w := range ws {
			if w.Act != abide.ActDisclose || w.ForValue != value {
				continue
			}
			free := w
			free.ForValue = false
			who := " to " + string(w.Recipient)
			if value {
				if slices.Contains(ws, free) {
					continue
				}
				who += " for value"
			}
			if _, ok := to[who]; !ok {
				order = append(order, who)
			}
			to[who] = appendNew(to[who], string(w.Category))
		}
	}
	out := make([]string, len(order))
	for i, who := range order {
		out[i] = "disclose " + list(to[who]) + who
	}
	return out
}

var saidWords = map[Said]string{
	SaidNothing: "said nothing", SaidNo: "said no", SaidObjected: "objected", SaidNoObject: "indicated no objection",
	SaidBundled: "said yes among other questions", SaidYes: "said yes when asked on its own",
}

// said says for whom, by what they said; of several grades only the worst.
func (t *texter) said(sts []Standing) string {
	byPurpose := map[abide.Purpose][]string{}
	var order []abide.Purpose
	for _, st := range sts {
		if _, ok := byPurpose[st.Of]; !ok {
			order = append(order, st.Of)
		}
		words := saidWords[st.Said]
		if st.Grade != "" && st.Grade != abide.GradeProved {
			words += " (" + string(st.Grade) + ")"
		}
		byPurpose[st.Of] = appendNew(byPurpose[st.Of], words)
	}
	var out []string
	for _, of := range order {
		said := "for people who " + either(byPurpose[of])
		if len(byPurpose[of]) == len(Standings("")) {
			said = "for everyone, whatever they said"
		}
		if of != "" {
			said += " to " + string(of)
		}
		out = append(out, said)
	}
	return strings.Join(out, ", and ")
}

func ages(as []Age) string {
	var out []string
	for _, g := range []string{"none", "verified", "agreed"} {
		var known []string
		low := -1
		for _, a := range as {
			switch {
			case a.Guardian != g:
			case a.Declared:
				known = append(known, "minors by their own word")
			case a.Years < 0:
				known = append(known, "people of unknown age")
			case low < 0:
				low = a.Years
				known = append(known, fmt.Sprintf("people from %d", a.Years))
			}
		}
		if len(known) > 0 {
			out = append(out, list(known)+map[string]string{"none": " without a guardian", "verified": " whose guardian did not agree", "agreed": " whose guardian agreed"}[g])
		}
	}
	return "for " + strings.Join(out, "; ")
}

// where says places by the shorter of two lists: those meant, or those left out.
func (t *texter) where(ps []Places) string {
	var res []abide.Place
	pairs := 0
	for _, p := range ps {
		if slices.Contains(p.Whereabouts, "") {
			res = append(res, p.Residences...)
		} else {
			pairs++
		}
	}
	slices.Sort(res)
	res = slices.Compact(res)
	if len(res) == 0 {
		res = ps[0].Residences
		return t.residences(res) + ", depending on where they are"
	}
	return t.residences(res)
}

func (t *texter) residences(res []abide.Place) string {
	missing := without(t.d.all, res)
	switch {
	case len(missing) == 0, len(missing) == 1 && missing[0] == "":
		return "everywhere"
	case len(res) > len(missing):
		return "everywhere but " + placeList(missing)
	}
	return placeList(res)
}

func placeList(ps []abide.Place) string {
	var out []string
	for _, p := range ps {
		switch p {
		case "":
			out = append(out, "where the place is unknown")
		case nowhere:
			out = append(out, "places no law profile names")
		default:
			out = append(out, string(p))
		}
	}
	return list(out)
}

func list(words []string) string   { return conjoin(words, "and") }
func either(words []string) string { return conjoin(words, "or") }

func conjoin(words []string, with string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " " + with + " " + words[len(words)-1]
}
