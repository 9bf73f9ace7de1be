package check

import (
	"slices"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy"
	"github.com/abide-privacy/abide/policy/diag"
	"github.com/abide-privacy/abide/policy/rule"
)

// Report is what a check found.
type Report struct {
	Diagnostics  diag.List      `json:"diagnostics"`
	Clauses      []ClauseReport `json:"clauses"`
	Suppressions []Suppressed   `json:"suppressions"` // all there are, with what each silenced
	Coverage     Coverage       `json:"coverage"`
}

// ClauseReport says how the words and rules of one clause meet.
type ClauseReport struct {
	ID          string     `json:"id"` // document#anchor
	Title       string     `json:"title"`
	Span        abide.Span `json:"span"`
	Rules       []string   `json:"rules"` // `purpose "provide"`
	Mentions    []Mention  `json:"mentions"`
	Informative string     `json:"informative,omitempty"` // why it promises nothing
	Promises    bool       `json:"promises"`              // its prose promises something
	Unbound     bool       `json:"unbound,omitempty"`     // it promises and no rule keeps it
	Within      string     `json:"within,omitempty"`      // its prose belongs to this clause above it
}

// Mention is a word of the policy found in a clause.
type Mention struct {
	Names    []string   `json:"names"` // "person.email", "purpose marketing"
	Text     string     `json:"text"`
	Span     abide.Span `json:"span"`
	Denied   bool       `json:"denied,omitempty"` // under negation: it binds only what forbids
	Exact    bool       `json:"exact,omitempty"`  // bound by a link
	Ignored  bool       `json:"ignored,omitempty"`
	Covering bool       `json:"covered"` // a rule of the clause speaks of it
}

// Suppressed is a suppression and the number of findings it silenced.
type Suppressed struct {
	Clause string     `json:"clause"`
	Code   string     `json:"code"`
	Name   string     `json:"name,omitempty"`
	Reason string     `json:"reason"`
	Span   abide.Span `json:"span"`
	Count  int        `json:"count"`
}

// Coverage counts clauses. Bound, Informative and Unbound are of those that
// promise or have rules; headings that do neither count nowhere.
type Coverage struct {
	Clauses     int            `json:"clauses"`     // clauses that have rules or promise
	Bound       int            `json:"bound"`       // have rules, or belong to a clause that has
	Informative int            `json:"informative"` // marked as promising nothing
	Unbound     int            `json:"unbound"`     // promise, and no rule keeps it
	Mentions    int            `json:"mentions"`
	Suppressed  int            `json:"suppressed"`          // findings silenced
	Held        int            `json:"held"`                // categories that a registered system holds
	Categories  int            `json:"categories"`          // categories that somebody has to hold
	ByDocument  []DocumentPart `json:"by_document"`         // in the order of the documents
	Languages   []string       `json:"languages,omitempty"` // languages the policy is written in
}

// DocumentPart is the coverage of one document.
type DocumentPart struct {
	Document    abide.DocumentName `json:"document"`
	Language    string             `json:"language"`
	Clauses     int                `json:"clauses"`
	Bound       int                `json:"bound"`
	Informative int                `json:"informative"`
	Unbound     int                `json:"unbound"`
}

// Check compares the words and rules of a policy. The compiled policy may be
// nil, if compiling failed; the laws may be nil, if there are none: then what
// needs them is not checked. Check changes nothing.
func Check(set *rule.Set, p *policy.Policy, laws *policy.Laws) *Report {
	c := &checker{set: set, laws: laws, index: newIndex(set), report: &Report{}, wordless: map[*rule.Document]map[thing]bool{}}
	c.translations()
	c.words()
	c.conflicts()
	c.deadlines()
	c.completeness()
	c.documents()
	c.law()
	c.suppressions()
	c.coverage()
	c.report.Diagnostics.Sort()
	return c.report
}

// checker carries a run.
type checker struct {
	*index
	set      *rule.Set
	laws     *policy.Laws
	report   *Report
	findings []finding
	scopes   []*scope
	vocab    map[string]*vocabulary
	wordless map[*rule.Document]map[thing]bool // reported as lacking words in its language
}

// finding is a diagnostic and the clauses in which it may be suppressed.
type finding struct {
	diag.Diagnostic
	clauses []*rule.Clause
}

// find reports d, which concerns a name and stands in the given clauses.
func (c *checker) find(d diag.Diagnostic, name string, clauses ...*rule.Clause) {
	d.Name = name
	for _, cl := range clauses {
		if cl != nil {
			d.Clause = cl.FullID()
			break
		}
	}
	c.findings = append(c.findings, finding{d, clauses})
}

// suppressions drops what the policy silences with a reason, and reports those
// that silence nothing.
func (c *checker) suppressions() {
	counts := map[*rule.Suppression]int{}
	for _, f := range c.findings {
		if s := silencer(f); s != nil {
			counts[s]++
			c.report.Coverage.Suppressed++
			continue
		}
		c.report.Diagnostics = append(c.report.Diagnostics, f.Diagnostic)
	}
	for _, d := range c.set.Documents {
		for _, cl := range d.Clauses {
			for i := range cl.Suppress {
				c.suppression(cl, &cl.Suppress[i], counts[&cl.Suppress[i]])
			}
		}
	}
}

func (c *checker) suppression(cl *rule.Clause, s *rule.Suppression, n int) {
	c.report.Suppressions = append(c.report.Suppressions, Suppressed{cl.FullID(), s.Code, s.Name, s.Reason, s.Span, n})
	if n > 0 {
		return
	}
	d := diag.New(diag.SuppressionUnused, s.Span, "this suppression of %s silences nothing", s.Code)
	c.report.Diagnostics = append(c.report.Diagnostics, d.In(cl.FullID(), s.Name))
}

// silencer returns the suppression that silences a finding. One without a
// reason silences nothing.
func silencer(f finding) *rule.Suppression {
	for _, cl := range f.clauses {
		if cl == nil {
			continue
		}
		i := slices.IndexFunc(cl.Suppress, func(s rule.Suppression) bool {
			return s.Reason != "" && s.Code == string(f.Code) && (s.Name == "" || s.Name == f.Name)
		})
		if i >= 0 {
			return &cl.Suppress[i]
		}
	}
	return nil
}

// Codes lists the codes of the findings that a check reports.
func Codes() []diag.Code { return diag.CheckCodes() }
