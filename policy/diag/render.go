package diag

import (
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"strconv"
	"strings"

	abide "github.com/abide-privacy/abide"
)

// Counts returns how many errors, warnings and notes a list holds.
func (l List) Counts() (errors, warnings, notes int) {
	for i := range l {
		switch l[i].Severity {
		case Error:
			errors++
		case Warning:
			warnings++
		default:
			notes++
		}
	}
	return errors, warnings, notes
}

// Summary says in words how many findings there are.
func (l List) Summary() string {
	e, w, n := l.Counts()
	var parts []string
	for _, c := range []struct {
		n    int
		name string
	}{{e, "error"}, {w, "warning"}, {n, "note"}} {
		switch {
		case c.n == 1:
			parts = append(parts, "1 "+c.name)
		case c.n > 1:
			parts = append(parts, strconv.Itoa(c.n)+" "+c.name+"s")
		}
	}
	if len(parts) == 0 {
		return "nothing found"
	}
	return strings.Join(parts, ", ")
}

// Colours of a terminal, by what they mean here.
const (
	reset  = "\x1b[0m"
	bold   = "\x1b[1m"
	red    = "\x1b[31m"
	yellow = "\x1b[33m"
	blue   = "\x1b[34m"
	cyan   = "\x1b[36m"
)

// Terminal writes findings for people: the sentence, the line with carets under
// the place, the other place of a conflict, and a hint. It colours them only if
// told that w is a terminal.
func Terminal(w io.Writer, files *Files, l List, colour bool) error {
	var b strings.Builder
	for i := range l {
		if i > 0 {
			b.WriteByte('\n')
		}
		(&terminal{b: &b, files: files, colour: colour}).finding(&l[i])
	}
	_, err := io.WriteString(w, b.String())
	return err
}

type terminal struct {
	b      *strings.Builder
	files  *Files
	colour bool
}

func (t *terminal) paint(colour, s string) string {
	if !t.colour || s == "" {
		return s
	}
	return colour + s + reset
}

func (t *terminal) finding(d *Diagnostic) {
	hue := map[Severity]string{Error: red, Warning: yellow}[d.Severity]
	if hue == "" {
		hue = cyan
	}
	fmt.Fprintf(t.b, "%s: %s\n", t.paint(bold+hue, string(d.Severity)+"["+string(d.Code)+"]"), t.paint(bold, shown(d.Message)))
	gutter := len(strconv.Itoa(d.Span.Start.Line))
	if d.Other != nil {
		gutter = max(gutter, len(strconv.Itoa(d.Other.Span.Start.Line)))
	}
	where := d.Span.File + ":" + strconv.Itoa(d.Span.Start.Line) + ":" + strconv.Itoa(d.Span.Start.Column)
	if d.Clause != "" {
		where += " (" + d.Clause + ")"
	}
	fmt.Fprintf(t.b, "%s%s %s\n", strings.Repeat(" ", gutter), t.paint(blue, "-->"), shown(where))
	t.place(d.Span, d.Label, "^", hue, gutter)
	if d.Other != nil {
		if d.Other.Span.File != d.Span.File {
			fmt.Fprintf(t.b, "%s%s %s:%d:%d\n", strings.Repeat(" ", gutter), t.paint(blue, "-->"), shown(d.Other.Span.File), d.Other.Span.Start.Line, d.Other.Span.Start.Column)
		}
		t.place(d.Other.Span, d.Other.Label, "-", blue, gutter)
	}
	if d.Hint != "" {
		fmt.Fprintf(t.b, "%s%s %s\n", strings.Repeat(" ", gutter+1), t.paint(cyan, "hint:"), shown(d.Hint))
	}
}

// place writes one line of a file, and what is marked in it.
func (t *terminal) place(s abide.Span, label, mark, hue string, gutter int) {
	if t.files == nil {
		return
	}
	sn, ok := t.files.snippet(s)
	if !ok {
		return
	}
	bar := t.paint(blue, "|")
	fmt.Fprintf(t.b, "%s %s %s\n", t.paint(blue, fmt.Sprintf("%*d", gutter, sn.Line)), bar, sn.Before+sn.Mark+sn.After)
	under := strings.Repeat(mark, sn.Width)
	if label != "" {
		under += " " + shown(label)
	}
	if sn.More > 0 {
		under += fmt.Sprintf(" (to line %d)", sn.More)
	}
	fmt.Fprintf(t.b, "%*s %s %s%s\n", gutter, "", bar, strings.Repeat(" ", sn.Indent), t.paint(hue, under))
}

// JSON writes findings as one object: {"diagnostics": […], "errors": n,
// "warnings": n, "notes": n}.
func JSON(w io.Writer, l List) error {
	e, wn, n := l.Counts()
	if l == nil {
		l = List{}
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(struct {
		Diagnostics List `json:"diagnostics"`
		Errors      int  `json:"errors"`
		Warnings    int  `json:"warnings"`
		Notes       int  `json:"notes"`
	}{l, e, wn, n})
}

type htmlFinding struct {
	Diagnostic
	Title  string
	Places []htmlPlace
}

type htmlPlace struct {
	snippet
	File, Label string
	Column      int
	Shown       bool
	Other       bool
}

var findingsHTML = template.Must(template.New("findings").Parse(`<ol class="findings">
{{- range . }}
<li class="finding {{ .Severity }}">
<p class="finding-message"><strong>{{ .Severity }}</strong> <code title="{{ .Title }}">{{ .Code }}</code> {{ .Message }}</p>
{{- range .Places }}
<figure class="finding-place{{ if .Other }} other{{ end }}">
<figcaption>{{ .File }}:{{ .Line }}:{{ .Column }}{{ if .Label }}: {{ .Label }}{{ end }}</figcaption>
{{- if .Shown }}
<pre><code>{{ .Before }}<mark>{{ .Mark }}</mark>{{ .After }}</code></pre>
{{- end }}
</figure>
{{- end }}
{{- if .Hint }}
<p class="finding-hint">{{ .Hint }}</p>
{{- end }}
</li>
{{- end }}
</ol>
`))

// HTML writes findings as an ordered list, without a page around it.
func HTML(w io.Writer, files *Files, l List) error {
	list := make([]htmlFinding, len(l))
	for i, d := range l {
		in, _ := Lookup(d.Code)
		f := htmlFinding{Diagnostic: d, Title: in.Title, Places: []htmlPlace{placeHTML(files, d.Span, d.Label)}}
		if d.Other != nil {
			other := placeHTML(files, d.Other.Span, d.Other.Label)
			other.Other = true
			f.Places = append(f.Places, other)
		}
		list[i] = f
	}
	return findingsHTML.Execute(w, list)
}

func placeHTML(files *Files, s abide.Span, label string) htmlPlace {
	p := htmlPlace{File: s.File, Label: label, Column: s.Start.Column, snippet: snippet{Line: s.Start.Line}}
	if files == nil {
		return p
	}
	if sn, ok := files.snippet(s); ok {
		p.snippet, p.Shown = sn, true
	}
	return p
}
