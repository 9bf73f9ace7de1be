package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	abide "github.com/abide-privacy/abide"
)

// printJSON writes v indented, for people and for jq alike.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// table writes rows in columns.
func table(w io.Writer, header string, rows func(row func(cells ...any))) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, header)
	rows(func(cells ...any) {
		for i, c := range cells {
			if i > 0 {
				fmt.Fprint(t, "\t")
			}
			fmt.Fprint(t, c)
		}
		fmt.Fprintln(t)
	})
	return t.Flush()
}

// writeDecision shows a decision to a person: the effect first, then why, with
// the clause and the line of the policy.
func writeDecision(w io.Writer, d abide.Decision) {
	fmt.Fprintln(w, d.Effect)
	writeReasons(w, d.Reasons)
	for _, o := range d.Obligations {
		fmt.Fprintf(w, "  must: %s", o.Code)
		if o.N != 0 {
			fmt.Fprintf(w, " %d", o.N)
		}
		fmt.Fprintln(w)
	}
	if d.Effect == abide.Deny && len(d.Permitted) > 0 {
		fmt.Fprintf(w, "  would be permitted: %v\n", d.Permitted)
	}
}

func writeReasons(w io.Writer, reasons []abide.Reason) {
	for _, r := range reasons {
		fmt.Fprintf(w, "  %s: %s", r.Code, r.Text)
		if r.Category != "" {
			fmt.Fprintf(w, " [%s]", r.Category)
		}
		if r.Clause != "" {
			fmt.Fprintf(w, "\n    at %s", r.Clause)
			if r.Span.File != "" {
				fmt.Fprintf(w, ", %s:%d", r.Span.File, r.Span.Start.Line)
			}
		}
		fmt.Fprintln(w)
	}
}
