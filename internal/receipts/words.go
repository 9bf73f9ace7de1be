package receipts

import (
	"strconv"
	"strings"
	"time"
)

// A deadline of terms is written anchor+12m+30d: after so many months and days
// from what the anchor names.
type deadline struct {
	anchor       string
	months, days int
}

func parseDeadline(s string) deadline {
	parts := strings.Split(s, "+")
	d := deadline{anchor: parts[0]}
	for _, p := range parts[1:] {
		n, err := strconv.Atoi(strings.TrimRight(p, "md"))
		switch {
		case err != nil:
		case strings.HasSuffix(p, "m"):
			d.months += n
		case strings.HasSuffix(p, "d"):
			d.days += n
		}
	}
	return d
}

// iso is the length as ISO 8601 writes it, P12M30D; empty if there is none.
func (d deadline) iso() string {
	if d.months+d.days == 0 {
		return ""
	}
	s := "P"
	if d.months > 0 {
		s += strconv.Itoa(d.months) + "M"
	}
	if d.days > 0 {
		s += strconv.Itoa(d.days) + "D"
	}
	return s
}

// event is what ends it, as people say it.
func (d deadline) event() string {
	event := map[string]string{"obtained": "the data was obtained", "consent.ended": "the consent ends", "given": "the consent was given"}[d.anchor]
	if event == "" {
		event = strings.ReplaceAll(d.anchor, ".", " ")
	}
	if d.iso() == "" {
		return event
	}
	var parts []string
	if d.months > 0 {
		parts = append(parts, plural(d.months, "month"))
	}
	if d.days > 0 {
		parts = append(parts, plural(d.days, "day"))
	}
	return strings.Join(parts, " and ") + " after " + event
}

func plural(n int, of string) string {
	if n != 1 {
		of += "s"
	}
	return strconv.Itoa(n) + " " + of
}

// words is the deadline as people say it.
func (d deadline) words() string {
	if d.iso() == "" {
		return "until " + d.event()
	}
	return d.event()
}

// deadlines are those of the terms: all bind, the earliest ends it.
func (s *Source) deadlines() []deadline {
	var out []deadline
	for _, text := range append(append([]string{}, s.Terms.Keep...), s.Terms.AtMost...) {
		out = append(out, parseDeadline(text))
	}
	if len(out) == 0 {
		out = append(out, deadline{anchor: "consent.ended"})
	}
	return out
}

// termination says when the processing ends.
func (s *Source) termination() string {
	var parts []string
	for _, d := range s.deadlines() {
		parts = append(parts, d.words())
	}
	if end := s.ends(); !end.IsZero() {
		parts = append(parts, "until "+end.UTC().Format(time.RFC3339))
	}
	if len(parts) > 1 {
		return strings.Join(parts, ", or ") + ", whichever comes first"
	}
	return parts[0]
}
