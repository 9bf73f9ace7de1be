package render

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/abide-privacy/abide/policy/rule"
)

// list joins words as English does: "a", "a and b", "a, b and c".
func list(words []string) string { return join(words, "and") }

// either joins words as alternatives: "a or b".
func either(words []string) string { return join(words, "or") }

func join(words []string, conjunction string) string {
	switch len(words) {
	case 0:
		return ""
	case 1:
		return words[0]
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " " + conjunction + " " + words[last]
}

// quote sets off a name that a sentence would otherwise swallow.
func quote(s string) string { return "“" + s + "”" }

func quoteAll(words []string) []string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = quote(w)
	}
	return out
}

// pretty makes an identifier readable: "network_apps" becomes "network apps".
func pretty(name string) string {
	return strings.NewReplacer("_", " ", "-", " ").Replace(name)
}

func upperFirst(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	if n == 0 {
		return s
	}
	return string(unicode.ToUpper(r)) + s[n:]
}

// count says how many of a thing: "1 day", "3 days".
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return strconv.Itoa(n) + " " + thing + "s"
}

// months says a number of months, in years where it comes out even.
func months(n int) string {
	if n != 0 && n%12 == 0 {
		return count(n/12, "year")
	}
	return count(n, "month")
}

// amount says the length of a deadline, "" if it has none.
func amount(d *rule.Deadline) string {
	var parts []string
	if d.Months != 0 {
		parts = append(parts, months(d.Months))
	}
	if d.Days != 0 {
		parts = append(parts, count(d.Days, "day"))
	}
	return list(parts)
}

// until says a deadline as the end of a stretch of time: "until consent ends",
// "for 30 days after it was obtained".
func until(d *rule.Deadline) string {
	length := amount(d)
	if d.Anchor == "" {
		return "for " + orNoTime(length)
	}
	if length == "" {
		return "until " + event(d.Anchor, false)
	}
	return "for " + length + " after " + event(d.Anchor, true)
}

// within says a deadline as a limit: "within 7 days", "within 2 days of the
// order being closed".
func within(d *rule.Deadline) string {
	length := orNoTime(amount(d))
	if d.Anchor == "" {
		return "within " + length
	}
	return "within " + length + " after " + event(d.Anchor, true)
}

func orNoTime(length string) string {
	if length == "" {
		return "no time at all"
	}
	return length
}

// intransitive are the participles that say themselves: a visit ended, it was
// not ended by anyone.
var intransitive = map[string][2]string{ // present, past
	"ended":   {"ends", "ended"},
	"expired": {"expires", "expired"},
	"lapsed":  {"lapses", "lapsed"},
	"left":    {"leaves", "left"},
	"arrived": {"arrives", "arrived"},
}

// event says the moment a deadline is counted from.
func event(anchor string, past bool) string {
	switch anchor {
	case "obtained":
		return "it was obtained"
	case "given":
		return "it was given"
	}
	noun, participle, dotted := strings.Cut(anchor, ".")
	if !dotted {
		return quote(pretty(anchor)) + " is reported"
	}
	noun, participle = pretty(noun), pretty(participle)
	if noun != "consent" {
		noun = "the " + noun
	}
	if verb, ok := intransitive[participle]; ok {
		if past {
			return noun + " " + verb[1]
		}
		return noun + " " + verb[0]
	}
	if past {
		return noun + " was " + participle
	}
	return noun + " is " + participle
}

// placeNames are the places that privacy law names most. A place that is not
// here is said by its code.
var placeNames = map[string]string{
	"EU": "the European Union", "EEA": "the European Economic Area", "GB": "the United Kingdom",
	"US": "the United States", "US-CA": "California", "US-CO": "Colorado", "US-CT": "Connecticut",
	"US-TX": "Texas", "US-VA": "Virginia", "US-UT": "Utah", "US-NY": "New York",
	"HK": "Hong Kong", "CN": "mainland China", "TW": "Taiwan", "MO": "Macao", "JP": "Japan", "KR": "South Korea",
	"SG": "Singapore", "IN": "India", "AU": "Australia", "NZ": "New Zealand", "MY": "Malaysia", "TH": "Thailand",
	"ID": "Indonesia", "PH": "the Philippines", "VN": "Vietnam", "CA": "Canada", "CA-QC": "Quebec", "BR": "Brazil",
	"MX": "Mexico", "AR": "Argentina", "CL": "Chile", "CO": "Colombia", "PE": "Peru", "ZA": "South Africa",
	"CH": "Switzerland", "NO": "Norway", "IS": "Iceland", "LI": "Liechtenstein", "IL": "Israel", "TR": "Türkiye",
	"AE": "the United Arab Emirates", "SA": "Saudi Arabia", "KE": "Kenya", "NG": "Nigeria",
	"AT": "Austria", "BE": "Belgium", "BG": "Bulgaria", "CY": "Cyprus", "CZ": "Czechia", "DE": "Germany",
	"DK": "Denmark", "EE": "Estonia", "ES": "Spain", "FI": "Finland", "FR": "France", "GR": "Greece",
	"HR": "Croatia", "HU": "Hungary", "IE": "Ireland", "IT": "Italy", "LT": "Lithuania", "LU": "Luxembourg",
	"LV": "Latvia", "MT": "Malta", "NL": "the Netherlands", "PL": "Poland", "PT": "Portugal", "RO": "Romania",
	"SE": "Sweden", "SI": "Slovenia", "SK": "Slovakia",
}

// place says a jurisdiction by its English name, or by its code.
func place(code string) string {
	if name, ok := placeNames[code]; ok {
		return name
	}
	return code
}

func places(refs []rule.Ref) []string {
	out := make([]string, len(refs))
	for i, r := range refs {
		out[i] = place(r.Name)
	}
	return out
}
