package policy

import (
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"

	abide "github.com/abide-privacy/abide"
)

// Keys of law values that deciding and the checks read. A profile may hold
// others; they are data for people and later use.
const (
	LawAgeOfConsent    = "age_of_digital_consent" // years
	LawAgeOfMajority   = "age_of_majority"        // years
	LawDirectMarketing = "direct_marketing"       // a regime
	LawCookies         = "cookies"                // a regime
)

// Regimes are what a profile can ask for, from the loosest to the strictest.
const (
	RegimeOptOut      = "opt_out"
	RegimeNoObjection = "no_objection"
	RegimeOptIn       = "opt_in"
	RegimeSeparate    = "separate_opt_in"
)

// LawValue is one value of a profile, with where it comes from. Values are
// product data, not legal advice: Reviewed is false until somebody who may say
// so has looked at it.
type LawValue struct {
	Key       string `json:"key"`
	Value     string `json:"value"`
	Source    string `json:"source"`
	AsOf      string `json:"as_of"`
	Reviewed  bool   `json:"reviewed"`
	Unsettled bool   `json:"unsettled,omitempty"` // sources disagree: Value is the strictest reading
	Note      string `json:"note,omitempty"`
	// SignedBy names who answers for using a value that nobody reviewed.
	SignedBy string `json:"signed_by,omitempty"`
}

// Profile is the law of one place as far as the product needs it. Places lie
// within others and inherit from them, value by value.
type Profile struct {
	Place  abide.Place   `json:"place"`
	Names  []string      `json:"names"` // how prose and addresses call it
	Within []abide.Place `json:"within,omitempty"`
	Values []LawValue    `json:"values,omitempty"`
}

// Laws is a set of profiles. It is immutable.
type Laws struct {
	profiles map[abide.Place]*Profile
	places   []abide.Place // sorted
	above    map[abide.Place][]abide.Place
	named    map[string]abide.Place
}

// NewLaws puts profiles together. A later profile of the same place overrides
// an earlier one value by value, which is how an operator corrects one.
func NewLaws(profiles []Profile) (*Laws, error) {
	l := &Laws{profiles: map[abide.Place]*Profile{}, above: map[abide.Place][]abide.Place{}, named: map[string]abide.Place{}}
	for i := range profiles {
		if err := l.add(&profiles[i]); err != nil {
			return nil, err
		}
	}
	for p := range l.profiles {
		l.places = append(l.places, p)
	}
	slices.Sort(l.places)
	for _, p := range l.places {
		above, err := l.climb(p, nil)
		if err != nil {
			return nil, err
		}
		l.above[p] = above
	}
	return l, nil
}

func lawError(detail, message string, place abide.Place) error {
	return &abide.Error{Code: abide.CodeInvalid, Detail: detail, Message: message, Field: string(place),
		Hint: "correct the profile of this place"}
}

func (l *Laws) add(in *Profile) error {
	if in.Place == "" {
		return lawError("law_place_missing", "a law profile names no place", "")
	}
	p := l.profiles[in.Place]
	if p == nil {
		p = &Profile{Place: in.Place}
		l.profiles[in.Place] = p
	}
	for _, w := range in.Within {
		if !slices.Contains(p.Within, w) {
			p.Within = append(p.Within, w)
		}
	}
	for _, n := range in.Names {
		if !slices.Contains(p.Names, n) {
			p.Names = append(p.Names, n)
		}
		l.named[strings.ToLower(n)] = in.Place
	}
	for _, v := range in.Values {
		if err := checkLawValue(in.Place, v); err != nil {
			return err
		}
		if i := slices.IndexFunc(p.Values, func(o LawValue) bool { return o.Key == v.Key }); i >= 0 {
			p.Values[i] = v
		} else {
			p.Values = append(p.Values, v)
		}
	}
	return nil
}

func checkLawValue(place abide.Place, v LawValue) error {
	if v.Key == "" || v.Value == "" || v.Source == "" || v.AsOf == "" {
		return lawError("law_value_incomplete", "a law value needs key, value, source and as_of", place)
	}
	switch {
	case v.Key == LawAgeOfConsent || v.Key == LawAgeOfMajority:
		if n, err := strconv.Atoi(v.Value); err != nil || n < 1 || n > 30 {
			return lawError("law_value_wrong", v.Key+" must be a number of years", place)
		}
	case isRegimeKey(v.Key):
		if _, ok := regimeRank(v.Value); !ok {
			return lawError("law_value_wrong", v.Key+" must be opt_out, no_objection, opt_in or separate_opt_in", place)
		}
	}
	if must := checkCounting(v); must != "" {
		return lawError("law_value_wrong", v.Key+" must be "+must, place)
	}
	return nil
}

// isRegimeKey reports whether a key holds a regime: "direct_marketing",
// "cookies", or one of them for a single channel, "direct_marketing.sms".
func isRegimeKey(key string) bool {
	head, rest, dotted := strings.Cut(key, ".")
	if head != LawDirectMarketing && head != LawCookies {
		return false
	}
	return !dotted || slices.Contains(regimeChannels, abide.Channel(rest))
}

// regimeChannels are the channels for which a profile may differ.
var regimeChannels = []abide.Channel{"email", "sms", "phone", "post", "push"}

// climb lists the places that p lies within, nearest first.
func (l *Laws) climb(p abide.Place, seen []abide.Place) ([]abide.Place, error) {
	if slices.Contains(seen, p) {
		return nil, lawError("law_places_circle", "a place lies within itself", p)
	}
	prof := l.profiles[p]
	if prof == nil {
		return nil, lawError("law_place_unknown", "a profile lies within a place that has none", p)
	}
	var out []abide.Place
	for _, w := range prof.Within {
		above, err := l.climb(w, append(seen, p))
		if err != nil {
			return nil, err
		}
		for _, a := range append([]abide.Place{w}, above...) {
			if !slices.Contains(out, a) {
				out = append(out, a)
			}
		}
	}
	// The deeper a place lies within others, the nearer it is.
	sort.SliceStable(out, func(i, j int) bool { return l.depth(out[i]) > l.depth(out[j]) })
	return out, nil
}

// depth is the length of the longest way up. climb has found no circle below.
func (l *Laws) depth(p abide.Place) int {
	d := 0
	for _, w := range l.profiles[p].Within {
		d = max(d, 1+l.depth(w))
	}
	return d
}

// Places lists all places, sorted.
func (l *Laws) Places() []abide.Place {
	if l == nil {
		return nil
	}
	return slices.Clone(l.places)
}

// Known reports whether there is a profile for the place, be it an empty one.
func (l *Laws) Known(p abide.Place) bool { return l != nil && l.profiles[p] != nil }

// Profile returns a copy of a place's own profile, without what it inherits.
func (l *Laws) Profile(p abide.Place) (Profile, bool) {
	if !l.Known(p) {
		return Profile{}, false
	}
	out := *l.profiles[p]
	out.Names, out.Within, out.Values = slices.Clone(out.Names), slices.Clone(out.Within), slices.Clone(out.Values)
	return out, true
}

// Within lists the places that p lies within, the nearest first; p itself is
// not among them.
func (l *Laws) Within(p abide.Place) []abide.Place {
	if l == nil {
		return nil
	}
	return slices.Clone(l.above[p])
}

// Value returns the value that holds at a place: its own, or that of the
// nearest place around it, and where it was found.
func (l *Laws) Value(p abide.Place, key string) (LawValue, abide.Place, bool) {
	if !l.Known(p) {
		return LawValue{}, "", false
	}
	if v, ok := l.profiles[p].value(key); ok {
		return v, p, true
	}
	for _, a := range l.above[p] {
		if v, ok := l.profiles[a].value(key); ok {
			return v, a, true
		}
	}
	return LawValue{}, "", false
}

func (p *Profile) value(key string) (LawValue, bool) {
	for _, v := range p.Values {
		if v.Key == key {
			return v, true
		}
	}
	return LawValue{}, false
}

// Years returns a value that is an age.
func (l *Laws) Years(p abide.Place, key string) (int, bool) {
	v, _, ok := l.Value(p, key)
	if !ok {
		return 0, false
	}
	n, err := strconv.Atoi(v.Value)
	return n, err == nil
}

// Named finds the place in a text such as "Lantern Ltd, Hong Kong": a part
// between commas that is the code or a name of a place.
func (l *Laws) Named(text string) (abide.Place, bool) {
	if l == nil {
		return "", false
	}
	for _, part := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ';' || r == '(' || r == ')' }) {
		part = strings.TrimSpace(part)
		if l.Known(abide.Place(part)) {
			return abide.Place(part), true
		}
		if p, ok := l.named[strings.ToLower(part)]; ok {
			return p, true
		}
	}
	return "", false
}

// With returns these laws with an operator's profiles laid over them.
func (l *Laws) With(over []Profile) (*Laws, error) {
	var all []Profile
	if l != nil {
		for _, p := range l.places {
			all = append(all, *l.profiles[p])
		}
	}
	out, err := NewLaws(append(all, over...))
	if err != nil {
		return nil, fmt.Errorf("law overrides: %w", err)
	}
	return out, nil
}
