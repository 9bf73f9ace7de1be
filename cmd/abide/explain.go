package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/client"
)

func (m *Main) explainCommand() *cobra.Command {
	var p place
	var subject, at, since string
	var r client.ExplainRequest
	var purpose, recipient, topic, channel string
	var categories []string
	cmd := &cobra.Command{
		Use:     "explain --subject ID --purpose PURPOSE --at TIME",
		GroupID: "people",
		Short:   "Tell what was allowed for one person on an earlier day, and whether the record agrees",
		Long: `Makes a past decision again from log and ledger of consent, with the policy of that
day: what was allowed then and by which line, what the person had said by then, what
has changed since, and where the decision on record differs from what comes out.
--entry names one decision of the person's log; otherwise it is the last one like it
by then. Of a person who was erased it says so. That you looked goes on record
(docs/explain.md).

Exit codes: 0 explained, 1 the record differs from what log and ledger say, 4 erased.`,
		Example: `  abide explain --subject 0197b6a2-… --purpose marketing --at 2026-11-04T12:00:00Z
  abide explain --subject 0197b6a2-… --purpose marketing --act contact --category person.email --at 2026-11-04
  abide explain --subject 0197b6a2-… --purpose marketing --act contact --since 2024-01-01
  abide explain --subject 0197b6a2-… --entry 17 --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			id, err := abide.ParseSubjectID(subject)
			if err != nil {
				return err
			}
			if purpose == "" && r.Entry == "" {
				return usage("neither a purpose nor an entry is named; use --purpose, or --entry for one decision on record")
			}
			if r.Act != "" && abide.ParseAct(r.Act) == abide.ActUnknown {
				return usage("there is no such act; --act is collect, read, use, contact, choose or disclose")
			}
			r.Purpose, r.Recipient, r.Topic, r.Channel = abide.Purpose(purpose), abide.Recipient(recipient), abide.Topic(topic), abide.Channel(channel)
			for _, c := range categories {
				r.Categories = append(r.Categories, abide.Category(c))
			}
			if r.At, err = parseTime(at); err != nil {
				return err
			}
			if r.Since, err = parseTime(since); err != nil {
				return err
			}
			return m.with(cmd, &p, func(ctx context.Context, c *client.Client) error {
				x, err := c.Explain(ctx, id, r)
				if err != nil {
					return err
				}
				if p.json {
					err = printJSON(m.Stdout, x)
				} else {
					writeExplanation(m.Stdout, &x)
				}
				switch {
				case err != nil:
					return err
				case x.Status != abide.StatusActive:
					return quiet{exitMissing}
				case x.Recorded != nil && !x.Recorded.Agrees:
					return quiet{exitFailed}
				}
				return nil
			})
		},
	}
	m.placeFlags(cmd, &p)
	f := cmd.Flags()
	f.StringVar(&subject, "subject", "", "whose: the subject's id")
	f.StringVar(&purpose, "purpose", "", "purpose of the policy")
	f.StringVar(&at, "at", "", "a time such as 2026-11-01T12:00:00Z or a date; now, unless said otherwise")
	f.StringVar(&since, "since", "", "list besides when the answer changed from this time on, and why")
	f.StringVar(&r.Entry, "entry", "", "one decision on record: an entry's number, node/batch/pos of a look, or a commitment")
	f.StringVar(&r.Act, "act", "", "collect, read, use, contact, choose or disclose; as on record, or read")
	f.StringSliceVar(&categories, "category", nil, "category; repeat it, or leave it out for those on record or all that the purpose uses")
	f.StringVar(&recipient, "recipient", "", "recipient, for disclose")
	f.StringVar(&topic, "topic", "", "type of message, for contact")
	f.StringVar(&channel, "channel", "", "channel, for contact")
	f.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "categories" {
			name = "category"
		}
		return pflag.NormalizedName(name)
	})
	_ = cmd.MarkFlagRequired("subject")
	return cmd
}

// writeExplanation tells a privacy officer what was allowed, why, what is on
// record and what has changed.
func writeExplanation(w io.Writer, x *client.Explanation) {
	if x.Status != abide.StatusActive {
		fmt.Fprintln(w, x.Status)
		fmt.Fprintln(w, "The person was erased: what was allowed for them is not for anyone to know now.")
		return
	}
	fmt.Fprintf(w, "At %s, purpose %s: %s\n", stamp(x.At), x.Asked.Purpose, x.Then.Effect)
	fmt.Fprintf(w, "  asked: %s\n", askedWords(&x.Asked))
	writeReasons(w, x.Then.Reasons)
	if x.Policy != nil {
		fmt.Fprintf(w, "\nPolicy of that day: %s, published %s\n", x.Policy.Version, stamp(x.Policy.Published))
	}
	if len(x.Known) > 0 {
		fmt.Fprintf(w, "Known of the person by then: %s\n", strings.Join(x.Known, ", "))
	}
	if len(x.Agreed) == 0 {
		fmt.Fprintln(w, "The person had said nothing about it by then.")
	} else {
		fmt.Fprintln(w, "What the person had said by then:")
	}
	for _, a := range x.Agreed {
		fmt.Fprintf(w, "  %d. %s %s %s%s, by %s, %s", a.N, stamp(a.At), a.Action, a.Purpose, a.Document, a.By, a.Grade)
		if !a.Expires.IsZero() {
			fmt.Fprintf(w, ", until %s", stamp(a.Expires))
		}
		fmt.Fprintln(w)
	}
	writeRecorded(w, x.Recorded)
	if len(x.Since) > 0 {
		fmt.Fprintln(w, "\nSince then:")
	}
	for _, s := range x.Since {
		fmt.Fprintf(w, "  %s %s\n", stamp(s.At), s.Text)
	}
	if len(x.Turns) > 0 {
		fmt.Fprintln(w, "\nWhen the answer changed:")
	}
	for _, t := range x.Turns {
		fmt.Fprintf(w, "  %s %s", stamp(t.At), t.Effect)
		for i, r := range t.Reasons {
			fmt.Fprintf(w, "%s %s", map[bool]string{true: ":", false: ","}[i == 0], r.Code)
		}
		fmt.Fprintln(w)
		for _, why := range t.Why {
			fmt.Fprintf(w, "    %s\n", why)
		}
	}
	if x.Now != nil {
		fmt.Fprintf(w, "\nToday the same is: %s\n", x.Now.Effect)
		if x.Now.Effect != x.Then.Effect {
			writeReasons(w, x.Now.Reasons)
		}
	}
	if len(x.FromNow) > 0 {
		fmt.Fprintf(w, "\nTaken from today, because nothing on record tells how it was then: %s\n", strings.Join(x.FromNow, ", "))
	}
}

func writeRecorded(w io.Writer, r *client.RecordedDecision) {
	if r == nil {
		fmt.Fprintln(w, "\nOn record: no decision like it by then.")
		return
	}
	fmt.Fprintf(w, "\nOn record: %s, entry %s of %s, %s\n", r.Kind, r.Entry, stamp(r.At), r.Effect)
	fmt.Fprintf(w, "  asked: %s\n", askedWords(&r.Asked))
	if !r.AsOf.IsZero() {
		fmt.Fprintf(w, "  about an earlier day: %s\n", stamp(r.AsOf))
	}
	if r.Agrees {
		fmt.Fprintln(w, "  From log and ledger comes the same, with every reason.")
		return
	}
	fmt.Fprintln(w, "  From log and ledger comes something else:")
	for _, d := range r.Differences {
		fmt.Fprintf(w, "  %s: %s\n", d.What, strings.TrimSpace(d.Text))
		if d.Recorded != "" || d.Remade != "" {
			fmt.Fprintf(w, "    on record: %s; from log and ledger: %s\n", orNothing(d.Recorded), orNothing(d.Remade))
		}
		if d.Clause != "" {
			fmt.Fprintf(w, "    at %s", d.Clause)
			if d.Span.File != "" {
				fmt.Fprintf(w, ", %s:%d", d.Span.File, d.Span.Start.Line)
			}
			fmt.Fprintln(w)
		}
	}
}

func askedWords(a *client.Asked) string {
	words := []string{a.Act}
	for _, c := range a.Categories {
		words = append(words, string(c))
	}
	text := strings.Join(words, " ")
	if a.Recipient != "" {
		text += " to " + string(a.Recipient)
	}
	who := string(a.Actor.Kind)
	if a.Actor.Name != "" {
		who += " " + a.Actor.Name
	}
	if a.Actor.Role != "" {
		who += " (" + a.Actor.Role + ")"
	}
	return text + ", by " + who
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
