package render

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/abide-privacy/abide/policy"
	"github.com/abide-privacy/abide/policy/rule"
)

// columns is the width of everything printed as plain text.
const columns = 78

// Say writes every rule of set back as one plain English sentence, clause by
// clause, each with its line, to be read beside the prose. Clauses without
// rules are named too: what promises without a rule is worth seeing. The
// policy may be nil; if it is not, its version heads the page.
func Say(w io.Writer, set *rule.Set, p *policy.Policy) error {
	b := bufio.NewWriter(w)
	if p != nil {
		fmt.Fprintf(b, "Policy %s\n\n", p.Version())
	}
	said := Sentences(set)
	for _, d := range set.Documents {
		fmt.Fprintf(b, "%s\n%s\n", d.Title, strings.Repeat("=", utf8.RuneCountInString(d.Title)))
		for _, c := range d.Clauses {
			sayClause(b, c, said)
		}
		fmt.Fprintln(b)
	}
	sayOutside(b, said)
	return b.Flush()
}

func sayClause(b *bufio.Writer, c *rule.Clause, said []Sentence) {
	fmt.Fprintf(b, "\n%s\n", headline(c))
	none := true
	for _, s := range said {
		if s.Clause == c {
			none = false
			saySentence(b, s, c.Heading.File)
		}
	}
	if none {
		fmt.Fprintln(b, "      – no rule")
	}
}

// headline names a clause and where it stands, the anchor only where it says
// more than the title.
func headline(c *rule.Clause) string {
	return fmt.Sprintf("%s  [%s, %s:%d]", c.Title, c.FullID(), c.Heading.File, c.Heading.Start.Line)
}

// saySentence writes the line number in the margin and wraps the sentence
// beside it. A rule from a sidecar names its file.
func saySentence(b *bufio.Writer, s Sentence, file string) {
	text := s.Text
	if s.Span.File != "" && s.Span.File != file {
		text += " (" + s.Span.File + ")"
	}
	margin := fmt.Sprintf("%5d ", s.Span.Start.Line)
	if s.Span.Start.Line == 0 {
		margin = "      "
	}
	for i, line := range wrap(text, columns-6) {
		if i > 0 {
			margin = "      "
		}
		fmt.Fprintf(b, "%s%s\n", margin, line)
	}
}

// sayOutside writes what stands in no clause: the systems.
func sayOutside(b *bufio.Writer, said []Sentence) {
	first := true
	for _, s := range said {
		if s.Clause != nil {
			continue
		}
		if first {
			fmt.Fprintf(b, "Not published\n=============\n\n")
			first = false
		}
		saySentence(b, s, s.Span.File)
	}
}

// wrap breaks text into lines of at most width characters at spaces. A word
// longer than that stands on a line of its own.
func wrap(text string, width int) []string {
	var lines []string
	line, used := "", 0
	for _, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		if used > 0 && used+1+n > width {
			lines = append(lines, line)
			line, used = "", 0
		}
		if used > 0 {
			line += " "
			used++
		}
		line += word
		used += n
	}
	if used > 0 {
		lines = append(lines, line)
	}
	return lines
}
