package render_test

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/abide-privacy/abide/policy/diag"
	"github.com/abide-privacy/abide/policy/labels"
	"github.com/abide-privacy/abide/policy/render"
	"github.com/abide-privacy/abide/policy/rule"
	"github.com/abide-privacy/abide/policy/source"
)

var update = flag.Bool("update", false, "write the golden pages anew; read the difference before you commit it")

// labelled is the policy of testdata/labelled with a translation into each of
// the languages, whose document block says more.
func labelled(t *testing.T, more map[string]string) (*rule.Set, *diag.Files) {
	t.Helper()
	original, err := os.ReadFile("testdata/labelled/privacy.md")
	if err != nil {
		t.Fatal(err)
	}
	files := fstest.MapFS{"privacy.md": {Data: original}}
	for tag, extra := range more {
		if tag == "en" {
			continue
		}
		files["privacy."+tag+".md"] = &fstest.MapFile{Data: []byte(fmt.Sprintf(
			"# %s {#every-table}\n\n…\n\n```abide\ndocument \"privacy_%s\" {\n  language = %q\n  translation_of = privacy\n%s\n}\n```\n",
			tag, strings.ReplaceAll(tag, "-", "_"), tag, extra))}
	}
	set, kept, found := source.Parse(files)
	if found.HasErrors() {
		t.Fatalf("%+v", found)
	}
	return set, kept
}

// TestPagesInEveryLanguage compares the tables of one policy, in every language
// that has labels, with what a person read and found right.
func TestPagesInEveryLanguage(t *testing.T) {
	more := map[string]string{}
	for _, tag := range labels.Languages() {
		more[tag] = ""
	}
	set, files := labelled(t, more)
	for tag := range maps.Keys(more) {
		var b bytes.Buffer
		o := render.Options{Files: files, Document: "privacy", Language: tag, Published: time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC)}
		if err := render.Text(&b, set, nil, o); err != nil {
			t.Fatal(err)
		}
		golden(t, tag+".txt", b.Bytes())
	}
	for _, tag := range []string{"de", "zh-Hant"} {
		var b bytes.Buffer
		if err := render.HTML(&b, set, nil, render.Options{Files: files, Document: "privacy", Language: tag, Rules: true, Stylesheet: "/policy.css"}); err != nil {
			t.Fatal(err)
		}
		golden(t, tag+".html", b.Bytes())
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := "testdata/golden/" + name
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		g, w := strings.Split(string(got), "\n"), strings.Split(string(want), "\n")
		for i := range min(len(g), len(w)) {
			if g[i] != w[i] {
				t.Errorf("%s, line %d:\n got %s\nwant %s", name, i+1, g[i], w[i])
				return
			}
		}
		t.Errorf("%s has %d lines, want %d", name, len(g), len(w))
	}
}

// TestALanguageWithoutLabels: the page keeps its language and direction, what
// it says beside the prose is English and marked as such, and it is found.
func TestALanguageWithoutLabels(t *testing.T) {
	set, files := labelled(t, map[string]string{"ar": "", "sv": ""})
	for tag, html := range map[string]string{
		"ar": page(t, set, render.Options{Files: files, Document: "privacy", Language: "ar", Rules: true, Examples: true}),
		"sv": page(t, set, render.Options{Files: files, Document: "privacy", Language: "sv", Rules: true, Examples: true}),
	} {
		dir := map[string]string{"ar": "rtl", "sv": "ltr"}[tag]
		if !strings.Contains(html, `<html lang="`+tag+`" dir="`+dir+`">`) {
			t.Errorf("%s: the page does not say its language and direction", tag)
		}
		for _, part := range []string{`<div class="glance" lang="en" dir="ltr">`, `<summary lang="en" dir="ltr">Contents</summary>`,
			`<footer class="colophon" lang="en" dir="ltr">`, `<a class="skip" href="#text" lang="en" dir="ltr">`, `<details class="rules" lang="en" dir="ltr">`} {
			if !strings.Contains(html, part) {
				t.Errorf("%s: English is not marked: %s", tag, part)
			}
		}
	}
	if got := unlabelled(set); !slices.Equal(got, []string{"privacy.ar.md", "privacy.sv.md"}) {
		t.Errorf("found %v", got)
	}
}

// unlabelled lists what Unlabelled finds: the file, and the label if it is one.
func unlabelled(set *rule.Set) []string {
	var out []string
	for _, d := range render.Unlabelled(set) {
		out = append(out, strings.TrimSpace(d.Span.File+" "+d.Name))
	}
	slices.Sort(out)
	return out
}

// TestNamesWantLabels: a translation shows what the policy itself named, and
// each such name wants a label; with them, nothing is found and the page is in
// one language.
func TestNamesWantLabels(t *testing.T) {
	set, _ := labelled(t, map[string]string{"de": ""})
	var own []string
	for _, line := range unlabelled(set) {
		_, key, _ := strings.Cut(line, " ")
		text := "Wort"
		if strings.HasPrefix(key, "after.") {
			text = "für {time} ab dem Verlust"
		}
		own = append(own, fmt.Sprintf("%q = %q", key, text))
	}
	for _, want := range []string{"name.news", "name.phones", "name.transport", "name.compass", "name.private", "after.parcel.lost", "name.person"} {
		if !slices.ContainsFunc(own, func(s string) bool { return strings.HasPrefix(s, `"`+want+`"`) }) {
			t.Errorf("no label is wanted for %s: %v", want, own)
		}
	}
	set, files := labelled(t, map[string]string{"de": "labels = { contents = \"Übersicht\", " + strings.Join(own, ", ") + " }"})
	if got := unlabelled(set); len(got) != 0 {
		t.Errorf("still found: %v", got)
	}
	html := page(t, set, render.Options{Files: files, Document: "privacy", Language: "de"})
	for _, want := range []string{"Übersicht", "Für 22 Tage ab dem Verlust", `<html lang="de" dir="ltr">`, "Jedes Thema einzeln: Wort und Wort"} {
		if !strings.Contains(html, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if english := regexp.MustCompile(`\b(the|your|never|what|until|after)\b`).FindString(regexp.MustCompile(`(?s)<style>.*?</style>|<[^>]*>`).ReplaceAllString(html, " ")); english != "" {
		t.Errorf("the German page says %q", english)
	}
	if strings.Contains(html, `lang="en" dir`) {
		t.Error("the German page marks a part as English")
	}
}

// TestTheShopsTranslationsAreWhole: what the sample publishes is in one language.
func TestTheShopsTranslationsAreWhole(t *testing.T) {
	set, files := shop(t)
	if got := unlabelled(set); len(got) != 0 {
		t.Errorf("found %v", got)
	}
	for _, d := range set.Documents {
		if d.Language == "en" {
			continue
		}
		html := page(t, set, render.Options{Files: files, Document: d.Name})
		if strings.Contains(html, `lang="en" dir`) {
			t.Errorf("%s marks a part as English", d.Name)
		}
	}
}

// TestAPolicyOfAnotherLanguage: a rule's name is an identifier; on a page that
// is not English its words are its name.
func TestAPolicyOfAnotherLanguage(t *testing.T) {
	set, kept, found := source.Parse(fstest.MapFS{"p.md": {Data: []byte("# Datenschutz\n\nWir liefern Pakete mit Ihrem Namen.\n\n```abide\n" +
		"document \"p\" { language = de }\ndata \"person\" { name = \"Name\" }\npurpose \"deliver\" {\n  words = \"Lieferung\"\n  uses  = [person.name]\n" +
		"  basis = contract\n  keep  = obtained + 1 * months\n}\n```\n")}})
	if found.HasErrors() {
		t.Fatalf("%+v", found)
	}
	html := page(t, set, render.Options{Files: kept, Document: "p"})
	if !strings.Contains(html, "Für 1 Monat ab der Erhebung") || !strings.Contains(html, "Lieferung") || strings.Contains(html, "Deliver") {
		t.Errorf("the page is not in its language:\n%s", html)
	}
	if got := unlabelled(set); len(got) != 0 {
		t.Errorf("found %v", got)
	}
}
