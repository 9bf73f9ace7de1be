package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/client"
)

// with runs f with a client for the place.
func (m *Main) with(cmd *cobra.Command, p *place, f func(context.Context, *client.Client) error) error {
	c, closing, err := m.connect(cmd.Context(), p)
	if err != nil {
		return err
	}
	defer closing()
	return f(cmd.Context(), c)
}

func (m *Main) decideCommand() *cobra.Command {
	var p place
	var purpose, act, recipient, service, topic, channel, at string
	var categories []string
	cmd := &cobra.Command{
		Use:     "decide SUBJECT",
		GroupID: "people",
		Short:   "Ask what the policy permits for one person, now or at an earlier time",
		Long: `Asks for a decision; nothing is released. The exit code is 0 if permitted and 3
if refused.`,
		Example: `  abide decide 0197b6a2-… --purpose marketing --act contact --category person.email
  abide decide 0197b6a2-… --purpose marketing --act contact --at 2026-11-01T12:00:00Z --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := abide.ParseSubjectID(args[0])
			if err != nil {
				return err
			}
			if abide.ParseAct(act) == 0 {
				return usage("there is no such act; --act is collect, read, use, contact, choose or disclose")
			}
			req := client.DecideRequest{Subject: id, Purpose: abide.Purpose(purpose), Act: act,
				Recipient: abide.Recipient(recipient), Service: abide.Service(service),
				Topic: abide.Topic(topic), Channel: abide.Channel(channel)}
			for _, c := range categories {
				req.Categories = append(req.Categories, abide.Category(c))
			}
			if req.AsOf, err = parseTime(at); err != nil {
				return err
			}
			return m.with(cmd, &p, func(ctx context.Context, c *client.Client) error {
				d, err := c.Decide(ctx, req)
				if err != nil {
					return err
				}
				if p.json {
					err = printJSON(m.Stdout, d)
				} else {
					writeDecision(m.Stdout, d)
				}
				if err == nil && !d.Allowed() {
					return quiet{exitDenied}
				}
				return err
			})
		},
	}
	m.placeFlags(cmd, &p)
	f := cmd.Flags()
	f.StringVar(&purpose, "purpose", "", "purpose of the policy")
	f.StringVar(&act, "act", "read", "collect, read, use, contact, choose or disclose")
	f.StringSliceVar(&categories, "category", nil, "category; repeat it, or leave it out for all that the purpose uses")
	f.StringVar(&recipient, "recipient", "", "recipient, for disclose")
	f.StringVar(&service, "service", "", "service, for collect")
	f.StringVar(&topic, "topic", "", "type of message, for contact")
	f.StringVar(&channel, "channel", "", "channel, for contact")
	f.StringVar(&at, "at", "", "what was permitted then: a time such as 2026-11-01T12:00:00Z or a date")
	_ = cmd.MarkFlagRequired("purpose")
	return cmd
}

// parseTime reads a time of RFC 3339 or a date, which means its first instant
// in UTC.
func parseTime(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, usage("this is not a time; write 2026-11-01T12:00:00Z or 2026-11-01")
}

func (m *Main) subjectCommand() *cobra.Command {
	var p place
	cmd := &cobra.Command{Use: "subject", GroupID: "people", Short: "Create, find and show data subjects, hand in and read their data"}
	m.placeFlags(cmd, &p)
	cmd.AddCommand(m.subjectCreate(&p), m.subjectShow(&p), m.subjectFind(&p), m.subjectPut(&p), m.subjectRead(&p), m.subjectUpload(&p), m.subjectDownload(&p),
		m.subjectLogCommand(&p), m.subjectServices(&p), m.subjectEvent(&p))
	return cmd
}

func (m *Main) subjectCreate(p *place) *cobra.Command {
	var s client.NewSubject
	var jurisdiction string
	cmd := &cobra.Command{
		Use: "create", Short: "Create a data subject and print its id",
		Example: "  abide subject create --jurisdiction HK --reference customer-1017",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s.Jurisdiction = abide.Place(jurisdiction)
			return m.with(cmd, p, func(ctx context.Context, c *client.Client) error {
				id, err := c.CreateSubject(ctx, s)
				if err != nil {
					return err
				}
				if p.json {
					return printJSON(m.Stdout, map[string]any{"id": id})
				}
				fmt.Fprintln(m.Stdout, id)
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&jurisdiction, "jurisdiction", "", "where the person lives: HK, DE, US-CA")
	cmd.Flags().StringVar(&s.BirthDate, "birth-date", "", "YYYY-MM-DD")
	cmd.Flags().StringVar(&s.Reference, "reference", "", "your own id of this person")
	return cmd
}

// show runs a call whose answer is printed as it is.
func (m *Main) show(cmd *cobra.Command, p *place, method, path string, in any) error {
	return m.with(cmd, p, func(ctx context.Context, c *client.Client) error {
		var out json.RawMessage
		if err := c.Do(ctx, method, path, in, &out); err != nil {
			return err
		}
		if len(out) == 0 {
			return nil
		}
		return printJSON(m.Stdout, out)
	})
}

func (m *Main) subjectShow(p *place) *cobra.Command {
	return &cobra.Command{
		Use: "show SUBJECT", Short: "Show what is held of a person, in counts", Args: cobra.ExactArgs(1),
		Example: "  abide subject show 0197b6a2-…",
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := subjectPath(args[0], "")
			if err != nil {
				return err
			}
			return m.show(cmd, p, http.MethodGet, path, nil)
		},
	}
}

func (m *Main) subjectFind(p *place) *cobra.Command {
	var category, purpose string
	cmd := &cobra.Command{
		Use: "find", Short: "Find people by a value read from standard input",
		Long:    "Finds people by a value of a findable category. The value is read from standard input, so that it stays out of the shell's history and the process list.",
		Example: "  printf a@example.test | abide subject find --category person.email --purpose provide\n  printf customer-1017 | abide subject find --category '~reference'",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			raw, err := io.ReadAll(io.LimitReader(m.Stdin, 1<<16))
			if err != nil {
				return err
			}
			value := strings.TrimRight(string(raw), "\r\n")
			if value == "" {
				return usage("there is no value on standard input")
			}
			if category != "~reference" && purpose == "" {
				return usage("say what for: --purpose; only your own reference is found without one")
			}
			return m.with(cmd, p, func(ctx context.Context, c *client.Client) error {
				ids, err := c.Lookup(ctx, abide.Category(category), value, abide.Purpose(purpose))
				if err != nil {
					return err
				}
				if len(ids) == 0 {
					fmt.Fprintln(m.Stderr, "abide: nobody is found by this value")
				}
				if p.json {
					return printJSON(m.Stdout, map[string]any{"ids": ids})
				}
				for _, id := range ids {
					fmt.Fprintln(m.Stdout, id)
				}
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&category, "category", "~reference", "findable category, or ~reference for your own id")
	cmd.Flags().StringVar(&purpose, "purpose", "", "purpose of the policy")
	return cmd
}

func (m *Main) subjectPut(p *place) *cobra.Command {
	var service, purpose, source, ref, file string
	cmd := &cobra.Command{
		Use: "put SUBJECT", Short: "Hand in data: a JSON object of values by category",
		Example: `  echo '{"person.email": "a@example.test"}' | abide subject put 0197b6a2-… --service shop --source checkout`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := abide.ParseSubjectID(args[0])
			if err != nil {
				return err
			}
			in := m.Stdin
			if file != "" && file != "-" {
				f, err := os.Open(file)
				if err != nil {
					return usage("the file of values cannot be opened")
				}
				defer func() { _ = f.Close() }()
				in = f
			}
			items := map[abide.Category]any{}
			d := json.NewDecoder(in)
			if d.Decode(&items) != nil || d.Decode(new(any)) != io.EOF || len(items) == 0 {
				return usage(`the values are not one JSON object; write {"category": value}`)
			}
			return m.with(cmd, p, func(ctx context.Context, c *client.Client) error {
				got, err := c.Put(ctx, id, client.PutRequest{Service: abide.Service(service), Purpose: abide.Purpose(purpose),
					Source: source, Ref: ref, Items: items})
				if err != nil {
					return err
				}
				return printJSON(m.Stdout, got)
			})
		},
	}
	cmd.Flags().StringVar(&service, "service", "", "service that asks for the data")
	cmd.Flags().StringVar(&purpose, "purpose", "", "purpose, instead of a service")
	cmd.Flags().StringVar(&source, "source", "cli", "where it came from")
	cmd.Flags().StringVar(&ref, "ref", "", "ties the items to facts: the order's number")
	cmd.Flags().StringVar(&file, "file", "-", "file with the values; - is standard input")
	cmd.MarkFlagsOneRequired("service", "purpose")
	return cmd
}

func (m *Main) subjectRead(p *place) *cobra.Command {
	var purpose, reason string
	cmd := &cobra.Command{
		Use: "read SUBJECT CATEGORY…", Short: "Read values for a purpose; the look is recorded",
		Example: "  abide subject read 0197b6a2-… person.email person.name --purpose provide",
		Args:    cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := abide.ParseSubjectID(args[0])
			if err != nil {
				return err
			}
			req := client.ReadRequest{Purpose: abide.Purpose(purpose), Reason: reason}
			for _, a := range args[1:] {
				req.Categories = append(req.Categories, abide.Category(a))
			}
			return m.with(cmd, p, func(ctx context.Context, c *client.Client) error {
				got, err := c.Read(ctx, id, req)
				var refused *client.Error
				if p.json && errors.As(err, &refused) && refused.Decision != nil {
					_ = printJSON(m.Stdout, map[string]any{"data": nil, "decision": refused.Decision}) // the error that follows says as much
				}
				if err != nil {
					return err
				}
				if p.json {
					return printJSON(m.Stdout, got)
				}
				if len(got.Data) == 0 {
					fmt.Fprintln(m.Stderr, "abide: permitted, but nothing is held of this")
				}
				return table(m.Stdout, "CATEGORY\tVALUE\tSOURCE\tUNTIL", func(row func(...any)) {
					for _, c := range req.Categories {
						for _, v := range got.Data[c] {
							until := ""
							if !v.Due.IsZero() {
								until = v.Due.Format(time.DateOnly)
							}
							row(c, string(v.Value), v.Source, until)
						}
					}
				})
			})
		},
	}
	cmd.Flags().StringVar(&purpose, "purpose", "", "purpose of the policy")
	cmd.Flags().StringVar(&reason, "reason", "", "why, where the policy wants a reason")
	_ = cmd.MarkFlagRequired("purpose")
	return cmd
}

func (m *Main) subjectLogCommand(p *place) *cobra.Command {
	return &cobra.Command{
		Use: "log SUBJECT", Short: "Show everything that touched a person", Args: cobra.ExactArgs(1),
		Example: "  abide subject log 0197b6a2-…",
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := subjectPath(args[0], "/log?limit=1000")
			if err != nil {
				return err
			}
			if p.json {
				return m.show(cmd, p, http.MethodGet, path, nil)
			}
			return m.with(cmd, p, func(ctx context.Context, c *client.Client) error {
				var page struct {
					Entries []struct {
						At       time.Time `json:"at"`
						Kind     string    `json:"kind"`
						Envelope struct {
							Actor   abide.Actor `json:"actor"`
							Purpose string      `json:"purpose"`
							Effect  string      `json:"effect"`
						} `json:"envelope"`
					} `json:"entries"`
				}
				if err := c.Do(ctx, http.MethodGet, path, nil, &page); err != nil {
					return err
				}
				return table(m.Stdout, "TIME\tKIND\tEFFECT\tPURPOSE\tBY", func(row func(...any)) {
					for _, e := range page.Entries {
						row(e.At.UTC().Format(time.RFC3339), e.Kind, e.Envelope.Effect, e.Envelope.Purpose, e.Envelope.Actor.Name)
					}
				})
			})
		},
	}
}

func (m *Main) subjectServices(p *place) *cobra.Command {
	var join, leave string
	cmd := &cobra.Command{
		Use: "services SUBJECT", Short: "Show which service lacks which data; join or leave one", Args: cobra.ExactArgs(1),
		Example: "  abide subject services 0197b6a2-…\n  abide subject services 0197b6a2-… --leave recommendations",
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := subjectPath(args[0], "/services")
			if err != nil {
				return err
			}
			switch {
			case join != "":
				return m.show(cmd, p, http.MethodPost, path, map[string]string{"service": join, "action": "join"})
			case leave != "":
				return m.show(cmd, p, http.MethodPost, path, map[string]string{"service": leave, "action": "leave"})
			}
			return m.show(cmd, p, http.MethodGet, path, nil)
		},
	}
	cmd.Flags().StringVar(&join, "join", "", "join this service")
	cmd.Flags().StringVar(&leave, "leave", "", "leave this service")
	cmd.MarkFlagsMutuallyExclusive("join", "leave")
	return cmd
}

func (m *Main) subjectEvent(p *place) *cobra.Command {
	var ref, at string
	cmd := &cobra.Command{
		Use: "event SUBJECT ANCHOR", Short: "Report a fact that deadlines wait for, such as order.closed", Args: cobra.ExactArgs(2),
		Example: "  abide subject event 0197b6a2-… order.closed --ref 1017 --at 2026-11-01",
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := abide.ParseSubjectID(args[0])
			if err != nil {
				return err
			}
			when, err := parseTime(at)
			if err != nil {
				return err
			}
			return m.with(cmd, p, func(ctx context.Context, c *client.Client) error {
				return c.RecordEvent(ctx, id, args[1], ref, when)
			})
		},
	}
	cmd.Flags().StringVar(&ref, "ref", "", "which one: the order's number")
	cmd.Flags().StringVar(&at, "at", "", "when; now, unless said otherwise")
	return cmd
}

// subjectPath builds the path of a call about a subject from an id that was
// checked, so that nothing else ever gets into a URL.
func subjectPath(arg, rest string) (string, error) {
	id, err := abide.ParseSubjectID(arg)
	if err != nil {
		return "", err
	}
	return "/v1/subjects/" + id.String() + rest, nil
}

func (m *Main) consentCommand() *cobra.Command {
	var p place
	cmd := &cobra.Command{Use: "consent", GroupID: "people", Short: "Record and show what people said"}
	m.placeFlags(cmd, &p)
	for _, a := range []struct{ use, action, short string }{
		{"ask", "ask", "Record that the person was asked; silence is no answer"},
		{"tell", "tell", "Record that the person was given the notice"},
		{"give", "give", "Record consent"},
		{"indicate", "indicate_no_objection", "Record an indication of no objection, an act after notice"},
		{"refuse", "refuse", "Record a refusal"},
		{"withdraw", "withdraw", "Record a withdrawal"},
		{"renew", "renew", "Record that consent was renewed"},
		{"object", "object", "Record an objection"},
		{"lift", "lift_objection", "Record that an objection was lifted"},
	} {
		cmd.AddCommand(m.consentWrite(&p, a.use, a.action, a.short))
	}
	cmd.AddCommand(m.consentAccept(&p), m.consentReceipt(&p), m.documentVerify("Check a receipt offline"), &cobra.Command{
		Use: "list SUBJECT", Short: "Show the state of every purpose and the ledger it follows from", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := subjectPath(args[0], "/consents")
			if err != nil {
				return err
			}
			return m.show(cmd, &p, http.MethodGet, path, nil)
		},
	})
	return cmd
}

func (m *Main) consentWrite(p *place, use, action, short string) *cobra.Command {
	var topics, channels []string
	var e client.Evidence
	cmd := &cobra.Command{
		Use: use + " SUBJECT PURPOSE", Short: short, Args: cobra.ExactArgs(2),
		Example: "  abide consent " + use + " 0197b6a2-… marketing --source counter --language en",
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := abide.ParseSubjectID(args[0])
			if err != nil {
				return err
			}
			req := client.ConsentRequest{Purpose: abide.Purpose(args[1]), Action: action, Evidence: e}
			for _, t := range topics {
				req.Topics = append(req.Topics, abide.Topic(t))
			}
			for _, c := range channels {
				req.Channels = append(req.Channels, abide.Channel(c))
			}
			return m.with(cmd, p, func(ctx context.Context, c *client.Client) error {
				receipt, err := c.Consent(ctx, id, req)
				if err != nil {
					return err
				}
				return printJSON(m.Stdout, receipt)
			})
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&topics, "topic", nil, "this type of message only; repeat it")
	f.StringSliceVar(&channels, "channel", nil, "this channel only; repeat it")
	f.StringVar(&e.Wording, "wording", "", "the exact text shown")
	f.StringVar(&e.Language, "language", "", "language of the text: en, zh-Hant")
	f.StringVar(&e.Source, "source", "cli", "page, form or call centre")
	f.StringVar(&e.Note, "note", "", "why an operator records this for the person")
	f.BoolVar(&e.Separate, "separate", false, "asked on its own, not bundled with other consents")
	return cmd
}

func (m *Main) consentAccept(p *place) *cobra.Command {
	return &cobra.Command{
		Use: "accept SUBJECT DOCUMENT", Short: "Record that the person agreed to a document", Args: cobra.ExactArgs(2),
		Example: "  abide consent accept 0197b6a2-… agreement",
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := abide.ParseSubjectID(args[0])
			if err != nil {
				return err
			}
			return m.with(cmd, p, func(ctx context.Context, c *client.Client) error {
				receipt, err := c.Consent(ctx, id, client.ConsentRequest{Document: abide.DocumentName(args[1]), Action: "accept",
					Evidence: client.Evidence{Source: "cli"}})
				if err != nil {
					return err
				}
				return printJSON(m.Stdout, receipt)
			})
		},
	}
}

func (m *Main) eraseCommand() *cobra.Command {
	var p place
	var yes bool
	cmd := &cobra.Command{
		Use: "erase SUBJECT", GroupID: "people", Short: "Erase a person and print the certificate", Args: cobra.ExactArgs(1),
		Long:    "Erases a person: every read is refused from the answer on, and the keys are destroyed. It cannot be undone.",
		Example: "  abide erase 0197b6a2-… --yes",
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := abide.ParseSubjectID(args[0])
			if err != nil {
				return err
			}
			if !yes {
				return usage("erasing cannot be undone; add --yes")
			}
			return m.with(cmd, &p, func(ctx context.Context, c *client.Client) error {
				certificate, err := c.Erase(ctx, id)
				if err != nil {
					return err
				}
				return printJSON(m.Stdout, certificate)
			})
		},
	}
	m.placeFlags(cmd, &p)
	cmd.Flags().BoolVar(&yes, "yes", false, "erase without asking")
	return cmd
}
