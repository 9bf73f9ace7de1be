package diag

import (
	"fmt"

	abide "github.com/abide-privacy/abide"
)

// Info declares a code: how grave it is, what it is called in a list, and what
// to do about it when the finding itself gives no better hint.
type Info struct {
	Code     Code
	Severity Severity
	Title    string
	Hint     string
}

// Codes found while reading the files (package source).
const (
	Unreadable           Code = "unreadable"
	NotText              Code = "not_text"
	NoDocuments          Code = "no_documents"
	Syntax               Code = "syntax"
	FenceUnclosed        Code = "fence_unclosed"
	FenceMisspelt        Code = "fence_misspelt"
	UnknownBlock         Code = "unknown_block"
	UnknownArgument      Code = "unknown_argument"
	DuplicateArgument    Code = "duplicate_argument"
	MissingArgument      Code = "missing_argument"
	WrongLabels          Code = "wrong_labels"
	WrongValue           Code = "wrong_value"
	UnknownWord          Code = "unknown_word"
	Wildcard             Code = "wildcard"
	EmptyRule            Code = "empty_rule"
	DuplicateName        Code = "duplicate_name"
	DuplicateAnchor      Code = "duplicate_anchor"
	DocumentMissing      Code = "document_missing"
	UnknownHeading       Code = "unknown_heading"
	NoticeMissing        Code = "notice_missing"
	NoticeTextChanged    Code = "notice_text_changed"
	BindingWithoutDigest Code = "binding_without_digest"
	MisplacedBlock       Code = "misplaced_block"
	TooMuch              Code = "too_much"
)

var parseCodes = []Info{
	{Unreadable, Error, "file cannot be read", "check that the file exists and may be read"},
	{NotText, Error, "file is not UTF-8 text", "save the file as UTF-8"},
	{NoDocuments, Error, "no document in the policy folder", "a policy needs at least one Markdown file with a document block; `abide init` lays one down"},
	{Syntax, Error, "rules cannot be read", ""},
	{FenceUnclosed, Error, "rules are not closed", "close the block of rules with a line of its own: ```"},
	{FenceMisspelt, Warning, "code block looks like rules but is not marked abide", "mark the block ```abide if it holds rules"},
	{UnknownBlock, Error, "no such kind of rule", ""},
	{UnknownArgument, Error, "no such argument", ""},
	{DuplicateArgument, Error, "argument is set twice", "keep one of the two"},
	{MissingArgument, Error, "argument is missing", ""},
	{WrongLabels, Error, "rule is named wrongly", ""},
	{WrongValue, Error, "value of the wrong kind", ""},
	{UnknownWord, Error, "no such word here", ""},
	{Wildcard, Error, "wildcard where names are wanted", "name each category: a new row would otherwise silently widen what people agreed to"},
	{EmptyRule, Error, "rule says nothing", ""},
	{DuplicateName, Error, "name is declared twice", "rename or remove one of the two"},
	{DuplicateAnchor, Error, "anchor is used twice", "anchors name clauses: give each heading its own"},
	{DocumentMissing, Error, "file declares no document", "add a block such as: document \"privacy\" { controller = \"…\" }"},
	{UnknownHeading, Error, "notice has no such heading", ""},
	{NoticeMissing, Error, "notice of the sidecar is not there", "a sidecar NOTICE.rules.md belongs to the notice NOTICE.md"},
	{NoticeTextChanged, Error, "text of the notice has changed since its rules were written", ""},
	{BindingWithoutDigest, Warning, "binding remembers no text", ""},
	{MisplacedBlock, Error, "rule stands in the wrong place", ""},
	{TooMuch, Error, "file is larger or nested deeper than is read", "divide it"},
}

// tables lists the codes of every package that reports findings.
var tables = [][]Info{parseCodes, compileCodes, checkCodes, renderCodes}

// Codes returns every declared code, in the order of declaration.
func Codes() []Info {
	var all []Info
	for _, t := range tables {
		all = append(all, t...)
	}
	return all
}

// ParseCodes returns the codes that reading a policy can find.
func ParseCodes() []Info { return parseCodes }

var byCode = func() map[Code]Info {
	m := map[Code]Info{}
	for _, in := range Codes() {
		if _, twice := m[in.Code]; twice {
			panic("diag: code declared twice: " + string(in.Code))
		}
		m[in.Code] = in
	}
	return m
}()

// Lookup returns the declaration of a code.
func Lookup(c Code) (Info, bool) {
	in, ok := byCode[c]
	return in, ok
}

// New returns a finding with the severity and the hint its code declares. It
// panics if the code is not declared, which is a mistake of the program.
func New(c Code, at abide.Span, format string, args ...any) Diagnostic {
	in, ok := byCode[c]
	if !ok {
		panic("diag: code not declared: " + string(c))
	}
	return Diagnostic{Code: c, Severity: in.Severity, Message: fmt.Sprintf(format, args...), Hint: in.Hint, Span: at}
}

// WithHint returns d with another hint.
func (d Diagnostic) WithHint(format string, args ...any) Diagnostic {
	d.Hint = fmt.Sprintf(format, args...)
	return d
}

// WithOther returns d pointing at a second place.
func (d Diagnostic) WithOther(at abide.Span, label string) Diagnostic {
	d.Other = &Place{Span: at, Label: label}
	return d
}

// WithLabel returns d with a word about what stands at its span.
func (d Diagnostic) WithLabel(label string) Diagnostic {
	d.Label = label
	return d
}

// In returns d with the clause and the name it concerns.
func (d Diagnostic) In(clause, name string) Diagnostic {
	d.Clause, d.Name = clause, name
	return d
}
