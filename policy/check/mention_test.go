package check

import (
	"bufio"
	"os"
	"strings"
	"testing"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy/rule"
	"pgregory.net/rapid"
)

// vocabularyOf reads words, each as `group.row = a, b`; names without a dot
// are recipients.
func vocabularyOf(lang string, lines ...string) *vocabulary {
	set := &rule.Set{}
	doc := &rule.Document{Name: "d", Language: lang}
	at := rule.At{Clause: &rule.Clause{Document: doc}}
	g := &rule.Group{At: at, Name: "g"}
	for _, l := range lines {
		name, list, _ := strings.Cut(l, "=")
		name = strings.TrimSpace(name)
		var ws []rule.Word
		for w := range strings.SplitSeq(list, ",") {
			ws = append(ws, rule.Word{Text: strings.TrimSpace(w)})
		}
		if strings.Contains(name, ".") {
			g.Categories = append(g.Categories, &rule.Category{At: at, Name: abide.Category(name), Group: g, Words: ws})
		} else {
			set.Recipients = append(set.Recipients, &rule.Recipient{At: at, Name: abide.Recipient(name), Words: ws})
		}
	}
	set.Groups = []*rule.Group{g}
	return newVocabulary(set, lang)
}

func reads(v *vocabulary, text string) []mention {
	return v.read([]rule.Text{{Text: text}}).mentions
}

// TestReading runs the lines of testdata/reading.txt: words of a language, then
// sentences, each with the mentions that are meant. A mention is the name of a
// category, "!" in front if the sentence denies it, "?" if it is denied unless
// something happens, "~" if it is the company's own.
func TestReading(t *testing.T) {
	f, err := os.Open("testdata/reading.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var v *vocabulary
	var lang string
	var lines []string
	n := 0
	for in := bufio.NewScanner(f); in.Scan(); {
		line := strings.TrimSpace(in.Text())
		n++
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "language "):
			lang, lines, v = strings.TrimPrefix(line, "language "), nil, nil
		case strings.HasPrefix(line, "word "):
			lines = append(lines, strings.TrimPrefix(line, "word "))
			v = vocabularyOf(lang, lines...)
		default:
			text, want, ok := strings.Cut(line, "→")
			if !ok {
				t.Fatalf("line %d has no arrow", n)
			}
			if got := describe(reads(v, strings.TrimSpace(text))); got != strings.TrimSpace(want) {
				t.Errorf("line %d (%s): %s\n got  %s\n want %s", n, lang, text, got, want)
			}
		}
	}
	if n < 50 {
		t.Errorf("only %d lines read", n)
	}
}

func describe(list []mention) string {
	var out []string
	for _, m := range list {
		name := strings.TrimPrefix(m.things[0].name, "g.")
		out = append(out, map[polarity]string{affirmed: "", denied: "!", conditional: "?", companys: "~"}[m.polarity]+name)
	}
	if len(out) == 0 {
		return "none"
	}
	return strings.Join(out, " ")
}

// TestAMentionIsFoundInEveryGuise: whatever stands around a word and however it
// is hyphenated, broken and cased, it is found, and at its place.
func TestAMentionIsFoundInEveryGuise(t *testing.T) {
	v := vocabularyOf("en", "g.email = e-mail address", "g.name = name", "g.ip = IP address")
	rapid.Check(t, func(t *rapid.T) {
		guise := rapid.SampledFrom([]string{"e-mail address", "E-MAIL ADDRESSES", "email address", "e mail address", "e\u2011mail\u00a0address", "e\u00admail address", "ｅ-mail address"}).Draw(t, "guise")
		filler := rapid.StringMatching(`x[a-z]{1,3}[0-9]?`) // no word of any list
		before := strings.Join(rapid.SliceOfN(filler, 0, 5).Draw(t, "before"), " ")
		after := strings.Join(rapid.SliceOfN(filler, 0, 5).Draw(t, "after"), " ")
		text := before + " (" + guise + ") " + after
		got := reads(v, text)
		if len(got) != 1 || got[0].things[0].name != "g.email" || got[0].text != guise {
			t.Fatalf("%q: %+v", text, got)
		}
		if s := got[0].span; text[s.Start.Byte:s.End.Byte] != guise {
			t.Fatalf("%q: span %d–%d", text, s.Start.Byte, s.End.Byte)
		}
	})
}

// TestMentionsNeverOverlap: whatever the prose, mentions lie inside it, in
// order, and none within another.
func TestMentionsNeverOverlap(t *testing.T) {
	v := vocabularyOf("en", "g.email = e-mail address", "g.ip = IP address", "g.addr = address", "g.book = address book", "p = partners")
	piece := rapid.SampledFrom([]string{"e-mail", "IP", "address", "book", "partners", "not", "unless", "our", ",", ".", " ", "-", "\u00ad", "地址", "’s", "n't", "\n", "é", "\xff"})
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(piece, 0, 20).Draw(t, "pieces"), rapid.SampledFrom([]string{" ", ""}).Draw(t, "by"))
		end := 0
		for _, m := range reads(v, text) {
			s := m.span
			if s.Start.Byte < end || s.End.Byte <= s.Start.Byte || s.End.Byte > len(text) {
				t.Fatalf("%q: %+v behind %d", text, s, end)
			}
			end = s.End.Byte
		}
	})
}

// TestMentionsCrossRuns: emphasis and line breaks part runs, not words.
func TestMentionsCrossRuns(t *testing.T) {
	v := vocabularyOf("en", "g.ip = IP address")
	at := func(line, col, byt int) abide.Pos { return abide.Pos{Line: line, Column: col, Byte: byt} }
	r := v.read([]rule.Text{
		{Text: "the IP ", Span: abide.Span{File: "f", Start: at(1, 1, 0)}, Segments: []rule.Segment{{Offset: 0, Pos: at(1, 1, 0)}, {Offset: 6, Pos: at(1, 7, 6)}}},
		{Text: "addresses", Span: abide.Span{File: "f", Start: at(2, 2, 8)}, Segments: []rule.Segment{{Offset: 0, Pos: at(2, 2, 8)}}},
	})
	if len(r.mentions) != 1 {
		t.Fatalf("mentions: %+v", r.mentions)
	}
	if s := r.mentions[0].span; s.Start != at(1, 5, 4) || s.End != at(2, 11, 17) {
		t.Errorf("span %+v", s)
	}
}
