package laws_test

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/laws"
	"github.com/abide-privacy/abide/policy"
)

func shipped(t *testing.T) *policy.Laws {
	t.Helper()
	l, err := laws.Load()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// testdata/values.txt lists, place by place, every value that was collected
// before any of them was shipped. A line is: places, key, value, and
// "unsettled" where the sources did not settle it.
func TestEveryCollectedValueIsShipped(t *testing.T) {
	l := shipped(t)
	raw, err := os.ReadFile("testdata/values.txt")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, line := range strings.Split(string(raw), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		parts := strings.Split(line, "|")
		if len(parts) < 3 {
			t.Fatalf("not places|key|value: %s", line)
		}
		for i := range parts {
			parts[i] = strings.TrimSpace(parts[i])
		}
		unsettled := len(parts) > 3 && parts[3] == "unsettled"
		for _, place := range strings.Fields(parts[0]) {
			n++
			v, _, ok := l.Value(abide.Place(place), parts[1])
			switch {
			case !ok:
				t.Errorf("%s has no %s", place, parts[1])
			case v.Value != parts[2] || v.Unsettled != unsettled:
				t.Errorf("%s: %s is %q, unsettled %v; want %q, %v", place, parts[1], v.Value, v.Unsettled, parts[2], unsettled)
			}
		}
	}
	if n < 100 {
		t.Errorf("only %d values compared", n)
	}
}

func TestEveryValueNamesSourceAndDay(t *testing.T) {
	l := shipped(t)
	for _, place := range l.Places() {
		p, _ := l.Profile(place)
		for _, v := range p.Values {
			if v.Reviewed {
				t.Errorf("%s %s: shipped as reviewed, which only an operator's reviewer can say", place, v.Key)
			}
			if _, err := time.Parse(time.DateOnly, v.AsOf); err != nil || v.Source == "" {
				t.Errorf("%s %s: source %q, as of %q", place, v.Key, v.Source, v.AsOf)
			}
			if v.Unsettled && v.Note == "" {
				t.Errorf("%s %s: unsettled without a note", place, v.Key)
			}
		}
	}
}

func TestPlacesNest(t *testing.T) {
	l := shipped(t)
	for _, c := range []struct {
		place, around string
	}{{"DE", "EU EEA"}, {"NO", "EEA"}, {"US-CA", "US"}, {"CA-QC", "CA"}, {"GB", ""}, {"HK", ""}, {"EU", "EEA"}} {
		var around []string
		for _, p := range l.Within(abide.Place(c.place)) {
			around = append(around, string(p))
		}
		if got := strings.Join(around, " "); got != c.around {
			t.Errorf("%s lies within %q, want %q", c.place, got, c.around)
		}
	}
	if n := len(l.Places()); n < 249+3 {
		t.Errorf("only %d places: all of ISO 3166-1 are there", n)
	}
	members := 0
	for _, p := range l.Places() {
		if len(l.Within(p)) == 2 {
			members++
		}
	}
	if members != 27 {
		t.Errorf("the EU has %d members", members)
	}
	for text, want := range map[string]abide.Place{"Lantern Ltd, Hong Kong, privacy@lantern.test": "HK", "Quay GmbH, germany": "DE", "X, US-CA": "US-CA"} {
		if got, ok := l.Named(text); !ok || got != want {
			t.Errorf("%q is in %q, want %q", text, got, want)
		}
	}
	if got, ok := l.Named("Nowhere Ltd, Atlantis"); ok {
		t.Errorf("Atlantis is %q", got)
	}
}

// An operator corrects single values; the others stay, and a wrong correction
// is refused.
func TestOverrides(t *testing.T) {
	over := func(text string) (*policy.Laws, error) {
		return laws.Overrides(fstest.MapFS{"ours.json": {Data: []byte(text)}})
	}
	l, err := over(`[{"place": "SI", "values": [{"key": "age_of_digital_consent", "value": "15", "source": "our counsel", "as_of": "2026-03-01", "reviewed": true}]}]`)
	if err != nil {
		t.Fatal(err)
	}
	v, at, _ := l.Value("SI", policy.LawAgeOfConsent)
	if v.Value != "15" || !v.Reviewed || at != "SI" {
		t.Errorf("not overridden: %+v", v)
	}
	if v, at, _ := l.Value("SI", policy.LawDirectMarketing); v.Value != policy.RegimeSeparate || at != "EEA" {
		t.Errorf("another value changed: %+v at %s", v, at)
	}
	if v, _, _ := shipped(t).Value("SI", policy.LawAgeOfConsent); v.Value != "16" {
		t.Error("the shipped laws changed")
	}
	for name, text := range map[string]string{
		"no source":      `[{"place": "SI", "values": [{"key": "cookies", "value": "opt_in", "as_of": "2026-03-01"}]}]`,
		"no such regime": `[{"place": "SI", "values": [{"key": "cookies", "value": "maybe", "source": "x", "as_of": "2026-03-01"}]}]`,
		"no age":         `[{"place": "SI", "values": [{"key": "age_of_digital_consent", "value": "young", "source": "x", "as_of": "2026-03-01"}]}]`,
		"no place":       `[{"values": []}]`,
		"a circle":       `[{"place": "EU", "within": ["DE"]}]`,
		"nowhere":        `[{"place": "DE-BY", "within": ["XX"]}]`,
		"unknown field":  `[{"place": "DE", "value": []}]`,
		"two lists":      `[][]`,
	} {
		if _, err := over(text); abide.ErrorCode(err) != abide.CodeInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}
