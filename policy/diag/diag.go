// Package diag is the one form in which findings about a policy are reported:
// a stable code, a place, perhaps the other place of a conflict, and what to
// do. It renders them for a terminal, as JSON and as HTML.
package diag

import abide "github.com/abide-privacy/abide"

// Severity orders findings.
type Severity string

// The severities. Only errors keep a policy from being published.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
	Note    Severity = "note"
)

// Code is a stable name of a finding, such as "rule_not_in_prose". Codes are
// declared once, in codes.go, with their severity and title.
type Code string

// Diagnostic is one finding.
type Diagnostic struct {
	Code     Code       `json:"code"`
	Severity Severity   `json:"severity"`
	Message  string     `json:"message"` // one sentence
	Hint     string     `json:"hint,omitempty"`
	Span     abide.Span `json:"span"`
	Label    string     `json:"label,omitempty"` // what stands at Span
	Clause   string     `json:"clause,omitempty"`
	Other    *Place     `json:"other,omitempty"` // the other place of a conflict
	Name     string     `json:"name,omitempty"`  // the category, purpose, recipient or word concerned
}

// Place is a second place of a finding.
type Place struct {
	Span  abide.Span `json:"span"`
	Label string     `json:"label"`
}

// List is a run's findings.
type List []Diagnostic

// HasErrors reports whether any finding is an error.
func (l List) HasErrors() bool {
	for i := range l {
		if l[i].Severity == Error {
			return true
		}
	}
	return false
}
