package render

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/yuin/goldmark/ast"
	extast "github.com/yuin/goldmark/extension/ast"

	"github.com/abide-privacy/abide/policy"
	"github.com/abide-privacy/abide/policy/rule"
)

// Text publishes one document of a policy as plain text of 78 columns: its
// prose, then the tables its rules make, as indented lists.
func Text(w io.Writer, set *rule.Set, p *policy.Policy, o Options) error {
	pg, err := newPage(set, p, o)
	if err != nil {
		return err
	}
	b := bufio.NewWriter(w)
	underline(b, pg.Title, "=")
	if pg.Controller != "" {
		paragraph(b, "", pg.Controller)
	}
	if pg.Published != "" {
		paragraph(b, "", pg.Dated())
	}
	for _, s := range []*section{pg.Intro, pg.Lead} {
		if s != nil {
			textBody(b, s)
		}
	}
	for _, s := range pg.Sections {
		title := s.Plain
		if s.ShowID {
			title += "  [" + s.ID + "]"
		}
		fmt.Fprintln(b)
		underline(b, title, "-")
		textBody(b, s)
	}
	pg.textTables(b)
	if pg.Version != "" {
		fmt.Fprintf(b, "\n%s\n", pg.l.Say("version", "version", pg.Version))
	}
	return b.Flush()
}

func underline(b *bufio.Writer, title, with string) {
	for _, l := range wrap(title, columns) {
		fmt.Fprintln(b, l)
	}
	fmt.Fprintln(b, strings.Repeat(with, min(utf8.RuneCountInString(title), columns)))
}

// paragraph writes a blank line and a wrapped paragraph.
func paragraph(b *bufio.Writer, indent, text string) {
	fmt.Fprintln(b)
	hang(b, indent, indent, text)
}

// hang writes a wrapped paragraph whose first line begins otherwise.
func hang(b *bufio.Writer, first, rest, text string) {
	for i, l := range wrap(text, columns-utf8.RuneCountInString(rest)) {
		if i == 0 {
			fmt.Fprintln(b, first+l)
		} else {
			fmt.Fprintln(b, rest+l)
		}
	}
}

func textBody(b *bufio.Writer, s *section) {
	if s.Text != "" {
		fmt.Fprint(b, "\n", strings.TrimRight(s.Text, "\n"), "\n")
	}
	switch {
	case len(s.Rules) > 0:
		paragraph(b, "", s.Enforced()+strings.TrimRight(s.page.l.Say("colon"), " "))
		for _, r := range s.Rules {
			hang(b, "  | ", "  | ", r)
		}
	case s.Informative != "":
		paragraph(b, "", s.ForInformation()+s.page.l.Say("colon")+s.Informative)
	}
}

func (pg *page) textTables(b *bufio.Writer) {
	if len(pg.Nevers) > 0 {
		fmt.Fprintln(b)
		underline(b, pg.Say("nevers"), "-")
		fmt.Fprintln(b)
		for _, n := range pg.Nevers {
			hang(b, "* ", "  ", n)
		}
	}
	for _, t := range pg.Tables {
		fmt.Fprintln(b)
		underline(b, t.Caption, "-")
		for _, body := range t.Bodies {
			pg.textRows(b, body)
		}
	}
	if len(pg.Examples) > 0 {
		fmt.Fprintln(b)
		underline(b, pg.Say("examples"), "-")
		for _, e := range pg.Examples {
			outcome := "refused"
			if e.Permitted {
				outcome = "permitted"
			}
			paragraph(b, "", e.Name)
			said := e.Asked + ": " + outcome
			if e.Given != "" {
				said = "Given " + e.Given + ": " + said
			}
			hang(b, "    ", "    ", said)
		}
	}
}

func (pg *page) textRows(b *bufio.Writer, body tableBody) {
	colon := pg.Say("colon")
	if body.Title != "" {
		title := body.Title
		if body.Note != "" {
			title = pg.l.Say("parens", "x", title, "y", body.Note)
		}
		paragraph(b, "", title)
	}
	for _, r := range body.Rows {
		title := r.Title
		if len(r.Notes) > 0 {
			title = pg.l.Say("parens", "x", title, "y", strings.Join(r.Notes, pg.Say("semicolon")))
		}
		fmt.Fprintln(b)
		hang(b, "  ", "  ", title)
		for _, c := range r.Cells {
			for i, l := range c.Lines {
				said := l.Text
				if l.Label != "" {
					said = strings.TrimSuffix(l.Label+colon+l.Text, colon)
				}
				if len(l.For) > 0 {
					said += colon + pg.l.List(titles(l.For))
				}
				if i == 0 && c.Column != "" && len(r.Cells) > 1 {
					hang(b, "    ", "      ", c.Column+colon+said)
					continue
				}
				hang(b, "      ", "      ", said)
			}
		}
	}
}

func titles(links []link) []string {
	out := make([]string, len(links))
	for i, l := range links {
		out[i] = l.Title
	}
	return out
}

// plainBlock writes a block of Markdown as plain text, wrapped and indented.
func plainBlock(out *strings.Builder, n ast.Node, src []byte, indent int) {
	pad := strings.Repeat(" ", indent)
	put := func(first, text string) {
		b := bufio.NewWriter(out)
		hang(b, first, pad, text)
		_ = b.Flush() // a strings.Builder takes every write
	}
	switch n := n.(type) {
	case *ast.List:
		at := n.Start
		for item := n.FirstChild(); item != nil; item = item.NextSibling() {
			mark := "* "
			if n.IsOrdered() {
				mark = fmt.Sprintf("%d. ", at)
				at++
			}
			plainItem(out, item, src, indent, mark)
		}
		if indent == 0 {
			out.WriteByte('\n')
		}
	case *ast.Blockquote:
		for c := n.FirstChild(); c != nil; c = c.NextSibling() {
			plainBlock(out, c, src, indent+4)
		}
	case *ast.FencedCodeBlock, *ast.CodeBlock:
		for i := 0; i < n.Lines().Len(); i++ {
			l := n.Lines().At(i)
			out.WriteString(pad + "    " + string(l.Value(src)))
		}
		out.WriteByte('\n')
	case *ast.ThematicBreak:
		out.WriteString(pad + "* * *\n\n")
	case *extast.Table:
		for r := n.FirstChild(); r != nil; r = r.NextSibling() {
			var cells []string
			for c := r.FirstChild(); c != nil; c = c.NextSibling() {
				cells = append(cells, inlineText(c, src))
			}
			put(pad, strings.Join(cells, " | "))
		}
		out.WriteByte('\n')
	default:
		if t := inlineText(n, src); t != "" {
			put(pad, t)
			out.WriteByte('\n')
		}
	}
}

// plainItem writes a list item, its mark hanging.
func plainItem(out *strings.Builder, item ast.Node, src []byte, indent int, mark string) {
	var inner strings.Builder
	for c := item.FirstChild(); c != nil; c = c.NextSibling() {
		plainBlock(&inner, c, src, indent+len(mark))
	}
	text := strings.TrimRight(inner.String(), "\n")
	pad := strings.Repeat(" ", indent)
	out.WriteString(pad + mark + strings.TrimPrefix(text, pad+strings.Repeat(" ", len(mark))) + "\n")
}

// inlineText is the words of a block, its links' destinations behind them.
func inlineText(n ast.Node, src []byte) string {
	var b strings.Builder
	_ = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		switch n := n.(type) {
		case *ast.Text:
			if entering {
				b.Write(n.Value(src))
				if n.SoftLineBreak() || n.HardLineBreak() {
					b.WriteByte(' ')
				}
			}
		case *ast.String:
			if entering {
				b.Write(n.Value)
			}
		case *ast.AutoLink:
			if entering {
				b.Write(n.URL(src))
			}
		case *ast.Link:
			if dest := string(n.Destination); !entering && !strings.HasPrefix(dest, "#") {
				b.WriteString(" <" + dest + ">")
			}
		}
		return ast.WalkContinue, nil
	})
	return b.String()
}
