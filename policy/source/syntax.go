package source

import (
	"bytes"
	"regexp"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy/diag"
)

// maxSyntaxErrors bounds the mistakes looked for in one rule that cannot be
// read; a file of nonsense is not worth more.
const maxSyntaxErrors = 20

// maxFenceErrors bounds them for a whole block of rules.
const maxFenceErrors = 200

// parseRules reads the rules in text, which stands at byte offset of file.
// Every mistake of syntax is reported, and whatever can be read in spite of it
// is returned: a mistake in one rule never hides the others.
func (p *parser) parseRules(file string, text []byte, offset int) *hclsyntax.Body {
	body, diags := parseHCL(file, text, offset)
	if !diags.HasErrors() {
		return body
	}
	whole := &hclsyntax.Body{Attributes: hclsyntax.Attributes{}}
	before := len(p.found)
	for _, c := range splitItems(text) {
		if len(p.found)-before > maxFenceErrors {
			break
		}
		part := p.parseItem(file, text[c.start:c.end], offset+c.start)
		whole.Blocks = append(whole.Blocks, part.Blocks...)
		for name, a := range part.Attributes {
			whole.Attributes[name] = a
		}
	}
	return whole
}

func parseHCL(file string, text []byte, offset int) (*hclsyntax.Body, hcl.Diagnostics) {
	if d := measure(file, text, offset); d != nil {
		return &hclsyntax.Body{}, hcl.Diagnostics{d}
	}
	f, diags := hclsyntax.ParseConfig(text, file, hcl.Pos{Line: 1, Column: 1, Byte: offset})
	if f == nil {
		return &hclsyntax.Body{}, diags
	}
	return f.Body.(*hclsyntax.Body), diags
}

// parseItem reads one rule. Where a line cannot be read, it is reported, taken
// out, and the rest is read again.
func (p *parser) parseItem(file string, text []byte, offset int) *hclsyntax.Body {
	text = bytes.Clone(text)
	var body *hclsyntax.Body
	for range maxSyntaxErrors {
		var diags hcl.Diagnostics
		body, diags = parseHCL(file, text, offset)
		first := firstError(diags)
		if first == nil {
			return body
		}
		at := min(max(first.Subject.Start.Byte-offset, 0), len(text))
		p.report(p.syntaxError(file, text, at, first))
		if openBracket(first) || first.Summary == tooMuchSummary || !blankLine(text, at) {
			return body
		}
	}
	return body
}

// openBracket reports whether a list, an object or a call seems never to be
// closed: then every line that follows looks wrong, and is not.
func openBracket(d *hcl.Diagnostic) bool {
	return strings.HasPrefix(d.Summary, "Missing item separator") || strings.HasPrefix(d.Summary, "Missing attribute separator") ||
		strings.HasPrefix(d.Summary, "Missing argument separator")
}

func firstError(diags hcl.Diagnostics) *hcl.Diagnostic {
	for _, d := range diags {
		if d.Severity == hcl.DiagError && d.Subject != nil {
			return d
		}
	}
	return nil
}

// blankLine takes the line at offset out, and reports false if that would
// upset the balance of brackets, after which nothing more can be learned.
func blankLine(text []byte, offset int) bool {
	start := bytes.LastIndexByte(text[:offset], '\n') + 1
	end := len(text)
	if i := bytes.IndexByte(text[offset:], '\n'); i >= 0 {
		end = offset + i
	}
	line := text[start:end]
	if len(bytes.TrimSpace(line)) == 0 || !balanced(line) {
		return false
	}
	for i := range line {
		line[i] = ' '
	}
	return true
}

func balanced(line []byte) bool {
	depth := 0
	for _, b := range line {
		switch b {
		case '{', '[', '(':
			depth++
		case '}', ']', ')':
			depth--
		}
		if depth < 0 {
			return false
		}
	}
	return depth == 0
}

type stretch struct{ start, end int }

var itemStart = regexp.MustCompile(`^[\pL_][\pL\pN_-]*\s*([\pL_"{=]|$)`)

// splitItems cuts rules at the lines that start a new one: those indented no
// deeper than the first line, and starting with a word.
func splitItems(text []byte) []stretch {
	var items []stretch
	base := -1
	for pos := 0; pos < len(text); {
		end := len(text)
		if i := bytes.IndexByte(text[pos:], '\n'); i >= 0 {
			end = pos + i + 1
		}
		line := text[pos:end]
		trimmed := bytes.TrimLeft(line, " \t")
		indent := len(line) - len(trimmed)
		if itemStart.Match(bytes.TrimRight(trimmed, "\r\n")) && (base < 0 || indent <= base) {
			if base < 0 {
				base = indent
			}
			if n := len(items); n > 0 {
				items[n-1].end = pos
			}
			items = append(items, stretch{pos, len(text)})
		} else if len(items) == 0 && len(bytes.TrimSpace(trimmed)) > 0 {
			items = append(items, stretch{pos, len(text)})
		}
		pos = end
	}
	return items
}

// syntaxError turns a complaint of the HCL parser into one that a writer of
// policies understands.
func (p *parser) syntaxError(file string, text []byte, at int, d *hcl.Diagnostic) diag.Diagnostic {
	span := p.span(file, *d.Subject)
	if bytes.HasPrefix(text[at:], []byte("*")) {
		return diag.New(diag.Wildcard, span, "a wildcard stands where names are wanted")
	}
	if d.Summary == tooMuchSummary {
		return diag.New(diag.TooMuch, span, "this rule nests or repeats more than rules do")
	}
	if strings.HasPrefix(d.Summary, "Attribute redefined") {
		return p.redefined(file, text, at, span)
	}
	detail := strings.TrimSpace(strings.ReplaceAll(d.Detail, "\n", " "))
	if i := strings.Index(detail, ". "); i > 0 {
		detail = detail[:i]
	}
	out := diag.New(diag.Syntax, span, "%s", lowerFirst(d.Summary))
	switch {
	case strings.Contains(d.Summary, "single-argument block"):
		return out.WithHint("a rule on one line takes one argument: give each argument a line of its own")
	case openBracket(d):
		return out.WithHint("is a comma or a closing bracket missing before this?")
	case strings.Contains(d.Summary, "'for' expression"):
		return out.WithHint("an object cannot start with for: put another entry first")
	default:
		return out.WithHint("%s", detail)
	}
}

// redefined says where the argument at offset at was set before.
func (p *parser) redefined(file string, text []byte, at int, span abide.Span) diag.Diagnostic {
	name, _ := p.files.At(span)
	out := diag.New(diag.DuplicateArgument, span, "%s is set twice", name)
	before := regexp.MustCompile(`(?m)^\s*(`+regexp.QuoteMeta(name)+`)\s*=`).FindAllSubmatchIndex(text[:at], -1)
	if len(before) == 0 {
		return out
	}
	first := before[len(before)-1]
	offset := span.Start.Byte - at
	return out.WithOther(p.files.Span(file, offset+first[2], offset+first[3]), "first set here")
}

// span maps a range of the HCL parser to the file. Only its byte offsets are
// used: they are exact, while its columns count other units than ours.
func (p *parser) span(file string, r hcl.Range) abide.Span {
	return p.files.Span(file, r.Start.Byte, r.End.Byte)
}

func lowerFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + strings.TrimSuffix(s[1:], ".")
}
