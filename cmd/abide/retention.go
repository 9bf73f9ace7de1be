package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/abide-privacy/abide/client"
)

func (m *Main) retentionCommand() *cobra.Command {
	var p place
	cmd := &cobra.Command{
		Use: "retention", GroupID: "people", Short: "See when data goes, let it go, or hold it for a legal ground",
		Long: `Data goes when its last lawful ground ends. From that instant on nothing can read
it; a running server lets it go within minutes. docs/decisions/0018-retention.md
says how deadlines are computed.`,
	}
	m.placeFlags(cmd, &p)
	cmd.AddCommand(m.retentionShow(&p), m.retentionRun(&p), m.retentionForecast(&p), m.retentionHold(&p), m.retentionRelease(&p))
	return cmd
}

func (m *Main) retentionShow(p *place) *cobra.Command {
	return &cobra.Command{
		Use: "show SUBJECT", Short: "Show when each item of a person goes, and which ground keeps it", Args: cobra.ExactArgs(1),
		Example: "  abide retention show 0197b6a2-…",
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := subjectPath(args[0], "/retention")
			if err != nil {
				return err
			}
			return m.show(cmd, p, http.MethodGet, path, nil)
		},
	}
}

// swept is an answer of POST /v1/retention/run.
type swept struct {
	People   int            `json:"people"`
	Items    map[string]int `json:"items"`
	Unlinked map[string]int `json:"unlinked,omitempty"`
	Later    int            `json:"later"`
	Failed   int            `json:"failed"`
	Next     string         `json:"next,omitempty"`
}

func (s *swept) add(o *swept) {
	s.People, s.Later, s.Failed = s.People+o.People, s.Later+o.Later, s.Failed+o.Failed
	for c, n := range o.Items {
		s.Items[c] += n
	}
	for c, n := range o.Unlinked {
		s.Unlinked[c] += n
	}
}

func (m *Main) retentionRun(p *place) *cobra.Command {
	var dry bool
	cmd := &cobra.Command{
		Use: "run", Short: "Let go what is past its deadline; a server does so by itself", Args: cobra.NoArgs,
		Long: `Lets go what is past its deadline. What was interrupted goes on where it was when
it is called again. With --dry-run it says what would go and changes nothing.`,
		Example: "  abide retention run --dry-run\n  abide retention run --data DIR",
		RunE: func(cmd *cobra.Command, _ []string) error {
			all := swept{Items: map[string]int{}, Unlinked: map[string]int{}}
			_, tty := terminal(m.Stderr)
			err := m.with(cmd, p, func(ctx context.Context, c *client.Client) error {
				for after := ""; ; {
					var part swept
					if err := c.Do(ctx, http.MethodPost, "/v1/retention/run", map[string]any{"dry_run": dry, "after": after}, &part); err != nil {
						return err
					}
					all.add(&part)
					if after = part.Next; after == "" {
						return nil
					}
					if tty {
						fmt.Fprintf(m.Stderr, "\r%d people", all.People)
					}
				}
			})
			if err != nil {
				return err
			}
			if p.json {
				return printJSON(m.Stdout, all)
			}
			m.writeSwept(&all, dry)
			return nil
		},
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "say what would go, and change nothing")
	return cmd
}

func (m *Main) writeSwept(s *swept, dry bool) {
	went := "went"
	if dry {
		went = "would go"
	}
	for _, c := range slices.Sorted(maps.Keys(s.Items)) {
		unlinked := ""
		if n := s.Unlinked[c]; n > 0 {
			unlinked = fmt.Sprintf(" (%d unlinked)", n)
		}
		fmt.Fprintf(m.Stdout, "%s: %d %s%s\n", c, s.Items[c], went, unlinked)
	}
	fmt.Fprintf(m.Stdout, "people of whom something %s: %d\n", went, s.People)
	if s.Failed > 0 {
		fmt.Fprintf(m.Stdout, "people whose data could not be swept: %d; the log says why, run `abide doctor`\n", s.Failed)
	}
}

func (m *Main) retentionForecast(p *place) *cobra.Command {
	var days []int
	cmd := &cobra.Command{
		Use: "forecast", Short: "Show what goes in the next 7, 30 and 90 days", Args: cobra.NoArgs,
		Example: "  abide retention forecast\n  abide retention forecast --days 365",
		RunE: func(cmd *cobra.Command, _ []string) error {
			list := make([]string, len(days))
			for i, d := range days {
				list[i] = strconv.Itoa(d)
			}
			var got struct {
				Forecast []struct {
					Days   int              `json:"days"`
					Until  time.Time        `json:"until"`
					People int64            `json:"people"`
					Items  map[string]int64 `json:"items"`
				} `json:"forecast"`
			}
			err := m.with(cmd, p, func(ctx context.Context, c *client.Client) error {
				return c.Do(ctx, http.MethodGet, "/v1/retention/forecast?days="+strings.Join(list, ","), nil, &got)
			})
			if err != nil {
				return err
			}
			if p.json {
				return printJSON(m.Stdout, got)
			}
			for _, f := range got.Forecast {
				fmt.Fprintf(m.Stdout, "in %d days, until %s: data of %d people\n", f.Days, f.Until.Format(time.DateOnly), f.People)
				for _, c := range slices.Sorted(maps.Keys(f.Items)) {
					fmt.Fprintf(m.Stdout, "  %s: %d\n", c, f.Items[c])
				}
			}
			return nil
		},
	}
	cmd.Flags().IntSliceVar(&days, "days", []int{7, 30, 90}, "how many days ahead")
	return cmd
}

func (m *Main) retentionHold(p *place) *cobra.Command {
	var items, categories []string
	var until, reason string
	cmd := &cobra.Command{
		Use: "hold SUBJECT NAME", Short: "Keep items of a person for a legal ground, beyond their deadline", Args: cobra.ExactArgs(2),
		Long: `Keeps items for a legal ground until the hold is released or ends. Items that are
named stay readable for their purposes until their own deadline; categories, or
everything if nothing is named, are closed for everything but the law.`,
		Example: "  abide retention hold 0197b6a2-… claim-17 --item 0197b6a3-… --reason \"claim before the court\"",
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := subjectPath(args[0], "/holds")
			if err != nil {
				return err
			}
			body := map[string]any{"name": args[1], "reason": reason}
			if len(items) > 0 {
				body["items"] = items
			}
			if len(categories) > 0 {
				body["categories"] = categories
			}
			when, err := parseTime(until)
			if err != nil {
				return err
			}
			if !when.IsZero() {
				body["until"] = when
			}
			return m.show(cmd, p, http.MethodPost, path, body)
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&items, "item", nil, "this item, by its id; repeat it")
	f.StringSliceVar(&categories, "category", nil, "all of this category; repeat it")
	f.StringVar(&until, "until", "", "when the hold ends; without it, it is released")
	f.StringVar(&reason, "reason", "", "why; it is kept sealed, and in the person's log")
	_ = cmd.MarkFlagRequired("reason")
	return cmd
}

func (m *Main) retentionRelease(p *place) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "release SUBJECT NAME", Short: "End a hold", Args: cobra.ExactArgs(2),
		Example: "  abide retention release 0197b6a2-… claim-17 --reason \"settled\"",
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := subjectPath(args[0], "/holds/release")
			if err != nil {
				return err
			}
			return m.show(cmd, p, http.MethodPost, path, map[string]any{"name": args[1], "reason": reason})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why; it is kept in the person's log")
	_ = cmd.MarkFlagRequired("reason")
	return cmd
}
