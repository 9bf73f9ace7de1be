package main

import (
	"fmt"
	"strings"

	"github.com/abide-privacy/abide/policy/check"
	"github.com/abide-privacy/abide/policy/diag"
	"github.com/abide-privacy/abide/policy/load"
)

// findings shows a policy's findings on standard error.
func (m *Main) findings(res *load.Result) {
	_ = diag.Terminal(m.Stderr, res.Files, res.Diagnostics, m.colour(m.Stderr)) // nothing more can be done if that fails
}

// checkOutput is what `policy check --json` prints.
type checkOutput struct {
	Publishable bool                 `json:"publishable"`
	Version     string               `json:"version,omitempty"`
	Diagnostics diag.List            `json:"diagnostics"`
	Coverage    check.Coverage       `json:"coverage"`
	Clauses     []check.ClauseReport `json:"clauses"`
	Suppressed  []check.Suppressed   `json:"suppressed"`
	Examples    int                  `json:"examples"`
}

func checkReport(res *load.Result) checkOutput {
	out := checkOutput{
		Publishable: res.Policy != nil && !res.Diagnostics.HasErrors(),
		Diagnostics: res.Diagnostics, Coverage: res.Report.Coverage, Clauses: res.Report.Clauses,
		Suppressed: res.Report.Suppressions, Examples: len(res.Set.Examples),
	}
	if out.Diagnostics == nil {
		out.Diagnostics = diag.List{}
	}
	if out.Suppressed == nil {
		out.Suppressed = []check.Suppressed{}
	}
	if out.Publishable {
		out.Version = res.Policy.Version()
	}
	return out
}

// printCheck shows findings first, then what holds: how many clauses carry
// their rules, how many examples came out as they say.
func (m *Main) printCheck(res *load.Result, verbose bool) {
	m.findings(res)
	if verbose {
		for _, c := range res.Report.Clauses {
			m.printClause(c)
		}
	}
	for _, d := range res.Report.Coverage.ByDocument {
		fmt.Fprintf(m.Stdout, "%s (%s): %d of %d clauses that promise are bound to rules", d.Document, d.Language, d.Bound, d.Clauses)
		if d.Informative > 0 {
			fmt.Fprintf(m.Stdout, ", %d informative", d.Informative)
		}
		fmt.Fprintln(m.Stdout)
	}
	for _, s := range res.Report.Suppressions {
		fmt.Fprintf(m.Stdout, "%s: %d finding(s) %s suppressed: %s\n", s.Clause, s.Count, s.Code, s.Reason)
	}
	if res.Policy == nil || res.Diagnostics.HasErrors() {
		fmt.Fprintln(m.Stdout, "not publishable")
		return
	}
	fmt.Fprintf(m.Stdout, "%d example(s) come out as they say; publishable as %s\n", len(res.Set.Examples), short(res.Policy.Version()))
}

func (m *Main) printClause(c check.ClauseReport) {
	mark := "  "
	switch {
	case c.Unbound:
		mark = "! "
	case len(c.Rules) > 0 || c.Within != "":
		mark = "+ "
	}
	fmt.Fprintf(m.Stdout, "%s%s  %s\n", mark, c.ID, c.Title)
	if len(c.Rules) > 0 {
		fmt.Fprintf(m.Stdout, "    rules: %s\n", strings.Join(c.Rules, ", "))
	}
	if c.Informative != "" {
		fmt.Fprintf(m.Stdout, "    informative: %s\n", c.Informative)
	}
}
