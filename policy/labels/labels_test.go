package labels

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/language"
)

// Every language says every label, with the same places to fill in and each
// plural form that its numbers take, and no label that English has not.
func TestEveryLanguageSaysEverything(t *testing.T) {
	if len(languages) < 11 {
		t.Fatalf("only %d languages", len(languages))
	}
	for name, words := range languages {
		if missing := lacking(language.Make(name), words); len(missing) > 0 {
			t.Errorf("%s does not say %s", name, strings.Join(missing, ", "))
		}
		for key, text := range words {
			if !Known(key) || strings.HasPrefix(key, "name.") {
				t.Errorf("%s says %s, which nothing asks for", name, key)
			}
			if got, want := Blanks(text), BlanksOf(key); !slices.Equal(got, want) {
				t.Errorf("%s, %s fills in %v, want %v", name, key, got, want)
			}
		}
	}
}

// No language is a copy of another: a label that is the same in English was
// forgotten, but for words that languages share.
func TestLabelsAreTranslated(t *testing.T) {
	for name, words := range languages {
		if name == "en" {
			continue
		}
		same := 0
		for key, text := range words {
			if strings.ContainsAny(text, "abcdefghijklmnopqrstuvwxyz") && text == languages["en"][key] && len(Blanks(text)) == 0 && !strings.HasPrefix(key, "date") {
				same++
			}
		}
		if same > 12 {
			t.Errorf("%s has %d labels that are word for word English", name, same)
		}
	}
}

func TestPlurals(t *testing.T) {
	for _, c := range []struct {
		tag  string
		n    int
		want string
	}{
		{"en", 1, "1 day"}, {"en", 0, "0 days"}, {"de", 1, "1 Tag"}, {"de", 30, "30 Tage"},
		{"fr", 0, "0 jour"}, {"fr", 1, "1 jour"}, {"fr", 2, "2 jours"},
		{"pl", 1, "1 dzień"}, {"pl", 2, "2 dni"}, {"pl", 5, "5 dni"}, {"pl", 22, "22 dni"}, {"ja", 3, "3日"}, {"zh-Hant", 1, "1 天"},
	} {
		l, ok := For(c.tag)
		if got := l.Count("day", c.n); !ok || got != c.want {
			t.Errorf("%s: %d days is %q, want %q", c.tag, c.n, got, c.want)
		}
	}
	pl, _ := For("pl")
	for n, want := range map[int]string{1: "1 rok", 2: "2 lata", 5: "5 lat", 12: "12 lat", 22: "22 lata", 25: "25 lat"} {
		if got := pl.Count("year", n); got != want {
			t.Errorf("%d years in Polish is %q, want %q", n, got, want)
		}
	}
}

func TestTagsFindTheirLanguage(t *testing.T) {
	for tag, want := range map[string]string{
		"de-AT": "Inhalt", "pt-BR": "Índice", "zh": "目录", "zh-CN": "目录", "zh-HK": "目錄", "zh-TW": "目錄", "zh-Hant-MO": "目錄", "en-GB": "Contents",
	} {
		l, ok := For(tag)
		if got := l.Say("contents"); !ok || got != want {
			t.Errorf("%s: %q, want %q", tag, got, want)
		}
	}
	if l, ok := For("sv"); ok || !l.English() || l.Say("contents") != "Contents" {
		t.Error("Swedish, which has no labels, is not English")
	}
}

func TestAPolicyOverridesAndAddsALanguage(t *testing.T) {
	l, ok := In("de", map[string]string{"contents": "Übersicht", "name.news": "Neuigkeiten"})
	if !ok || l.Say("contents") != "Übersicht" || l.Say("name.news") != "Neuigkeiten" || l.Say("data.1") != "Daten" {
		t.Error("a policy's own label is not said")
	}
	whole := map[string]string{}
	for k := range languages["de"] {
		whole[k] = "x " + languages["de"][k]
	}
	if l, ok := In("sv", whole); !ok || l.English() || l.Say("contents") != "x Inhalt" {
		t.Error("a policy that says every label has no language")
	}
	delete(whole, "purposes.2")
	if l, ok := In("sv", whole); ok || !l.English() {
		t.Error("a language that lacks a label counts as whole")
	}
}

func TestListsAndPlaces(t *testing.T) {
	three := []string{"a", "b", "c"}
	for tag, want := range map[string]string{"en": "a, b and c", "de": "a, b und c", "ja": "a、b、c", "zh-Hans": "a、b和c"} {
		if l, _ := For(tag); l.List(three) != want {
			t.Errorf("%s: %q, want %q", tag, l.List(three), want)
		}
	}
	for tag, want := range map[string]string{"de": "Frankreich", "ja": "フランス", "pl": "Francja"} {
		if l, _ := For(tag); l.Place("FR") != want {
			t.Errorf("%s: %q, want %q", tag, l.Place("FR"), want)
		}
	}
	de, _ := For("de")
	for code, want := range map[string]string{"EU": "Europäische Union", "US-CA": "Vereinigte Staaten (CA)", "nowhere": "nowhere"} {
		if got := de.Place(code); got != want {
			t.Errorf("%s is %q, want %q", code, got, want)
		}
	}
	if Direction("ar") != "rtl" || Direction("he-IL") != "rtl" || Direction("zh-Hant") != "ltr" || Direction("az-Arab") != "rtl" {
		t.Error("directions are wrong")
	}
}
