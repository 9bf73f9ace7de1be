package diag_test

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy/diag"
)

func TestEveryCodeIsDeclaredOnceWithWords(t *testing.T) {
	name := regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)
	seen := map[diag.Code]bool{}
	for _, in := range diag.Codes() {
		if seen[in.Code] {
			t.Errorf("%s is declared twice", in.Code)
		}
		seen[in.Code] = true
		if !name.MatchString(string(in.Code)) {
			t.Errorf("%s: a code is lower-case words joined by _", in.Code)
		}
		if in.Title == "" || in.Title != strings.TrimSuffix(in.Title, ".") {
			t.Errorf("%s: title %q is empty or a whole sentence", in.Code, in.Title)
		}
		if in.Severity != diag.Error && in.Severity != diag.Warning && in.Severity != diag.Note {
			t.Errorf("%s: severity %q", in.Code, in.Severity)
		}
	}
}

func TestPositionsCountLinesAndCharacters(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.RuneFrom([]rune("ab é語\n\r\t😀"))).Draw(t, "text")
		files := diag.NewFiles()
		files.Add("f", []byte(text))
		offset := rapid.IntRange(0, len(text)).Draw(t, "offset")
		before := text[:offset]
		line := 1 + strings.Count(before, "\n")
		column := 1 + utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
		if got := files.Pos("f", offset); got != (abide.Pos{Line: line, Column: column, Byte: offset}) {
			t.Fatalf("offset %d of %q: got %+v, want line %d column %d", offset, text, got, line, column)
		}
	})
}

func TestSuggestFindsWhatWasMeant(t *testing.T) {
	kinds := []string{"purpose", "recipient", "service", "statistic", "data"}
	for _, c := range []struct{ name, want string }{
		{"purpsoe", "purpose"}, {"Purpose", "purpose"}, {"recipent", "recipient"}, {"dta", "data"},
		{"statistics", "statistic"}, {"wombat", ""}, {"x", ""},
	} {
		got, ok := diag.Suggest(c.name, kinds)
		if got != c.want || ok != (c.want != "") {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func sample() (*diag.Files, diag.List) {
	files := diag.NewFiles()
	files.Add("privacy.md", []byte("## Börse & <b>post</b>\n\tuses = [person.name]\n一二 person.email\n"))
	files.Add("other.md", []byte(strings.Repeat("long ", 60)+"HERE"+strings.Repeat(" tail", 60)+"\n"))
	return files, diag.List{
		diag.New(diag.DuplicateName, span(files, "privacy.md", "person.name"), "data person is declared twice").
			WithLabel("again").WithOther(span(files, "privacy.md", "Börse"), "first here").In("privacy#x", "person"),
		diag.New(diag.FenceMisspelt, span(files, "other.md", "HERE"), "an \x1b[31mescape").WithHint("did you mean <abide>?"),
		diag.New(diag.Wildcard, span(files, "privacy.md", "person.email"), "wide characters before it"),
	}
}

func span(files *diag.Files, name, token string) abide.Span {
	text, _ := files.Text(name)
	at := strings.Index(text, token)
	return files.Span(name, at, at+len(token))
}

func TestTerminalShowsBothPlacesUnderCarets(t *testing.T) {
	files, list := sample()
	var b bytes.Buffer
	if err := diag.Terminal(&b, files, list[:1], false); err != nil {
		t.Fatal(err)
	}
	want := `error[duplicate_name]: data person is declared twice
 --> privacy.md:2:10 (privacy#x)
2 |     uses = [person.name]
  |             ^^^^^^^^^^^ again
1 | ## Börse & <b>post</b>
  |    ----- first here
  hint: rename or remove one of the two
`
	if got := b.String(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestTerminalMeasuresWideCharacters(t *testing.T) {
	files, list := sample()
	var b bytes.Buffer
	if err := diag.Terminal(&b, files, list[2:], false); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "3 | 一二 person.email\n  |      ^^^^^^^^^^^^\n") {
		t.Errorf("two wide characters take four columns:\n%s", b.String())
	}
}

func TestTerminalShowsTheStretchOfALongLine(t *testing.T) {
	files, list := sample()
	var b bytes.Buffer
	if err := diag.Terminal(&b, files, list[1:2], false); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(b.String(), "\n")
	text, carets := []rune(lines[2]), []rune(lines[3])
	if len(text) > 120 {
		t.Errorf("the line takes %d columns:\n%s", len(text), b.String())
	}
	at := strings.IndexRune(string(carets), '^')
	if got := string(text[at : at+4]); got != "HERE" {
		t.Errorf("the carets stand under %q:\n%s", got, b.String())
	}
	if strings.Contains(b.String(), "\x1b") {
		t.Errorf("an escape sequence of the policy reached the terminal: %q", b.String())
	}
}

func TestTerminalColoursOnlyWhenTold(t *testing.T) {
	files, list := sample()
	var plain, coloured bytes.Buffer
	if err := diag.Terminal(&plain, files, list, false); err != nil {
		t.Fatal(err)
	}
	if err := diag.Terminal(&coloured, files, list, true); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(plain.String(), "\x1b[") {
		t.Error("colour without a terminal")
	}
	if !strings.Contains(coloured.String(), "\x1b[1m\x1b[31merror[duplicate_name]\x1b[0m") {
		t.Errorf("no colour on a terminal: %q", coloured.String())
	}
	bare := regexp.MustCompile("\x1b\\[[0-9]+m").ReplaceAllString(coloured.String(), "")
	if bare != plain.String() {
		t.Errorf("colour changes the layout:\n%s\n---\n%s", bare, plain.String())
	}
}

func TestJSONKeepsEveryField(t *testing.T) {
	_, list := sample()
	var b bytes.Buffer
	if err := diag.JSON(&b, list); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Diagnostics diag.List `json:"diagnostics"`
		Errors      int       `json:"errors"`
		Warnings    int       `json:"warnings"`
	}
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Errors != 2 || got.Warnings != 1 || len(got.Diagnostics) != 3 {
		t.Fatalf("got %+v", got)
	}
	if d := got.Diagnostics[0]; d.Other == nil || *d.Other != *list[0].Other || d.Span != list[0].Span || d.Clause != "privacy#x" {
		t.Errorf("got %+v, want %+v", d, list[0])
	}
	b.Reset()
	if err := diag.JSON(&b, nil); err != nil || !strings.Contains(b.String(), `"diagnostics": []`) {
		t.Errorf("no findings are an empty list: %s %v", b.String(), err)
	}
}

func TestHTMLEscapesThePolicy(t *testing.T) {
	files, list := sample()
	list[0].Span = files.Span("privacy.md", 0, 5)
	var b bytes.Buffer
	if err := diag.HTML(&b, files, list); err != nil {
		t.Fatal(err)
	}
	got := b.String()
	if strings.Contains(got, "<b>") || strings.Contains(got, "<abide>") {
		t.Errorf("words of the policy became markup:\n%s", got)
	}
	for _, want := range []string{"<mark>Börse</mark>", "<code title=\"name is declared twice\">duplicate_name</code>", "&lt;b&gt;post&lt;/b&gt;", "did you mean &lt;abide&gt;?"} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is missing in\n%s", want, got)
		}
	}
}

func TestSortKeepsTheOrderOfOnePlace(t *testing.T) {
	at := func(file string, b int, msg string) diag.Diagnostic {
		return diag.Diagnostic{Message: msg, Span: abide.Span{File: file, Start: abide.Pos{Byte: b}}}
	}
	l := diag.List{at("b", 1, "4"), at("a", 9, "2"), at("a", 9, "3"), at("a", 2, "1")}
	l.Sort()
	var got string
	for _, d := range l {
		got += d.Message
	}
	if got != "1234" {
		t.Errorf("got %s", got)
	}
}

func TestSummary(t *testing.T) {
	_, list := sample()
	if got := list.Summary(); got != "2 errors, 1 warning" {
		t.Errorf("got %q", got)
	}
	if got := (diag.List{}).Summary(); got != "nothing found" {
		t.Errorf("got %q", got)
	}
}
