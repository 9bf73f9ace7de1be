package source

import (
	"bytes"
	"regexp"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/yuin/goldmark/ast"
	mdparser "github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"

	"github.com/abide-privacy/abide/policy/diag"
)

// Limits of what is read. The parsers of Markdown and of HCL descend by
// recursion and take more than linear time on some nonsense; no policy that
// people write comes near these.
const (
	maxFile      = 2 << 20  // bytes of a file
	maxParagraph = 32 << 10 // bytes of a paragraph, a heading or a table
	maxDepth     = 64       // brackets within brackets, quotations within lists
	maxOperators = 256      // operators in one expression
	maxParts     = 1000     // lines and pieces of the texts of one attribute
)

var deepLine = regexp.MustCompile(`(?m)^(?:[ \t]*(?:>|(?:[-+*]|[0-9]{1,9}[.)])[ \t])){64}|^[ \t]{256,}[-+*0-9>]`)

// blocksOnly reads the blocks of a document and leaves what is in them alone.
var blocksOnly = mdparser.NewParser(mdparser.WithBlockParsers(mdparser.DefaultBlockParsers()...),
	mdparser.WithInlineParsers(util.Prioritized(noInlines{}, 1)))

// noInlines is an inline parser that finds nothing.
type noInlines struct{}

func (noInlines) Trigger() []byte { return []byte{0} }

func (noInlines) Parse(ast.Node, text.Reader, mdparser.Context) ast.Node { return nil }

// tooMuch reports where a document goes beyond the limits.
func (p *parser) tooMuch(file string, src []byte) bool {
	if m := deepLine.FindIndex(src); m != nil {
		p.report(diag.New(diag.TooMuch, p.files.Span(file, m[0], m[0]+1), "quotations and lists stand in each other more than %d deep", maxDepth))
		return true
	}
	found := false
	_ = ast.Walk(blocksOnly.Parse(text.NewReader(src)), func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering || n.Type() != ast.TypeBlock || n.Kind() == ast.KindFencedCodeBlock || n.Kind() == ast.KindCodeBlock || n.Lines().Len() == 0 {
			return ast.WalkContinue, nil
		}
		first, last := n.Lines().At(0), n.Lines().At(n.Lines().Len()-1)
		if last.Stop-first.Start > maxParagraph {
			found = true
			p.report(diag.New(diag.TooMuch, p.files.Span(file, first.Start, lineEnd(src, first.Start)), "a paragraph is longer than %d bytes", maxParagraph))
		}
		return ast.WalkSkipChildren, nil
	})
	return found
}

// measure reports the first token at which rules go beyond the limits.
func measure(file string, src []byte, offset int) *hcl.Diagnostic {
	tokens, _ := hclsyntax.LexConfig(src, file, hcl.Pos{Line: 1, Column: 1, Byte: offset})
	var open []hclsyntax.TokenType
	operators, parts := 0, 0
	for _, t := range tokens {
		switch t.Type {
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenOQuote, hclsyntax.TokenOHeredoc,
			hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
			open = append(open, t.Type)
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenCQuote, hclsyntax.TokenCHeredoc,
			hclsyntax.TokenTemplateSeqEnd:
			open = open[:max(len(open)-1, 0)]
		case hclsyntax.TokenNewline:
			if len(open) == 0 || open[len(open)-1] == hclsyntax.TokenOBrace {
				operators, parts = 0, 0
			}
		case hclsyntax.TokenPlus, hclsyntax.TokenMinus, hclsyntax.TokenStar, hclsyntax.TokenSlash, hclsyntax.TokenPercent,
			hclsyntax.TokenBang, hclsyntax.TokenQuestion, hclsyntax.TokenAnd, hclsyntax.TokenOr, hclsyntax.TokenEqualOp,
			hclsyntax.TokenNotEqual, hclsyntax.TokenLessThan, hclsyntax.TokenLessThanEq, hclsyntax.TokenGreaterThan, hclsyntax.TokenGreaterThanEq:
			operators++
		}
		switch t.Type {
		case hclsyntax.TokenStringLit, hclsyntax.TokenQuotedLit, hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
			parts++
		}
		if len(open) > maxDepth || operators > maxOperators || parts > maxParts {
			return &hcl.Diagnostic{Severity: hcl.DiagError, Summary: tooMuchSummary, Subject: t.Range.Ptr()}
		}
	}
	return nil
}

const tooMuchSummary = "Too much"

// tooLarge reports a file beyond the limit.
func (p *parser) tooLarge(name string, text []byte) bool {
	if len(text) <= maxFile {
		return false
	}
	end := bytes.IndexByte(text, '\n')
	p.report(diag.New(diag.TooMuch, p.files.Span(name, 0, max(end, 0)), "%s is larger than %d MiB", name, maxFile>>20))
	return true
}
