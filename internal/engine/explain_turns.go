package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy"
)

// Turn is an instant from which on the answer was another one, and why.
type Turn struct {
	At      time.Time      `json:"at"`
	Effect  string         `json:"effect"` // from then on
	Reasons []abide.Reason `json:"reasons"`
	Why     []string       `json:"why"` // empty at the beginning
}

const (
	// turnStep bounds how long nothing but time may pass between two looks at the
	// answer: what turns twice within is not found.
	turnStep = 30 * 24 * time.Hour
	maxTurns = 1000
)

// stretch is a time in which neither person nor policy changed.
type stretch struct {
	from, until time.Time // until exclusive
	why         []string  // what began it
}

// turns lists when the answer to a request changed, from an instant to the time
// that is explained.
func (x *explaining) turns(ctx context.Context, req *policy.Request, reg *policy.Register, chain []abide.Purpose) ([]Turn, error) {
	all, err := x.Policies(ctx)
	if err != nil {
		return nil, err
	}
	var out []Turn
	last := ""
	for _, s := range x.stretches(all, chain) {
		p, err := x.policyOf(ctx, all, s.from)
		if err != nil {
			return nil, err
		}
		facts, err := x.factsOn(ctx, s.from)
		if err != nil {
			return nil, err
		}
		answer := func(at time.Time) abide.Decision { return decideThen(p, &facts, reg, *req, at) }
		for at, why := s.from, s.why; len(out) < maxTurns; {
			d := answer(at)
			if sign := signOf(&d); sign != last {
				out = append(out, Turn{At: at, Effect: d.Effect.String(), Reasons: d.Reasons, Why: why})
				last = sign
			}
			next, turned := nextTurn(at, s.until, func(t time.Time) string { d := answer(t); return signOf(&d) })
			if !turned {
				break
			}
			at, why = next, []string{"Time passed: an age, an expiry or the end of a consent was reached."}
		}
	}
	if len(out) > 0 {
		out[0].Why = nil
	}
	return out, nil
}

// nextTurn finds, to the microsecond, when the answer is first seen to be
// another one than at from.
func nextTurn(from, until time.Time, sign func(time.Time) string) (time.Time, bool) {
	was := sign(from)
	low := from
	for low.Before(until.Add(-time.Microsecond)) {
		high := low.Add(turnStep)
		if !high.Before(until) {
			high = until.Add(-time.Microsecond)
		}
		if sign(high) == was {
			low = high
			continue
		}
		for high.Sub(low) > time.Microsecond {
			if mid := low.Add(high.Sub(low) / 2); sign(mid) == was {
				low = mid
			} else {
				high = mid
			}
		}
		return high.Truncate(time.Microsecond), true
	}
	return time.Time{}, false
}

// signOf tells answers apart: effect, and every reason with its clause.
func signOf(d *abide.Decision) string {
	var b strings.Builder
	fmt.Fprint(&b, d.Effect, d.Permitted)
	for _, r := range d.Reasons {
		fmt.Fprintf(&b, "|%s %s %s", r.Code, r.Clause, r.Category)
	}
	return b.String()
}

// stretches cuts the time asked about where a policy was published or something
// was learned of the person.
func (x *explaining) stretches(all []PublishInfo, chain []abide.Purpose) []stretch {
	why := map[time.Time][]string{x.r.Since: nil}
	note := func(at time.Time, text ...string) {
		if at.After(x.r.Since) && !at.After(x.r.At) {
			why[at] = append(why[at], text...)
		}
	}
	for _, info := range all {
		note(info.Published, "A policy was published: "+info.Version+".")
	}
	known := uint64(0)
	for i := range x.history.states {
		s := &x.history.states[i]
		for _, ev := range agreed(x.history.events[min(known, s.ledger):min(s.ledger, uint64(len(x.history.events)))], chain) {
			note(s.at, fmt.Sprintf("The ledger of consent: %s %s%s (event %d).", ev.Action, ev.Purpose, ev.Document, ev.N))
		}
		if known = s.ledger; len(s.changed) > 0 && i > 0 {
			note(s.at, fmt.Sprintf("What is known of the person changed: %s (entry %d).", strings.Join(s.changed, ", "), s.entry))
		}
	}
	var cuts []time.Time
	for at := range why {
		cuts = append(cuts, at)
	}
	slices.SortFunc(cuts, time.Time.Compare)
	out := make([]stretch, len(cuts))
	for i, at := range cuts {
		until := x.r.At.Add(time.Microsecond)
		if i+1 < len(cuts) {
			until = cuts[i+1]
		}
		out[i] = stretch{from: at, until: until, why: why[at]}
	}
	return out
}

func (x *explaining) policyOf(ctx context.Context, all []PublishInfo, at time.Time) (*policy.Policy, error) {
	version := ""
	for _, info := range all {
		if !info.Published.After(at) {
			version = info.Version
		}
	}
	if version == "" {
		return nil, nil
	}
	loaded, err := x.policyVersion(ctx, version)
	if err != nil {
		return nil, err
	}
	return loaded.Policy, nil
}

// factsOn are the facts as they were known at an instant.
func (x *explaining) factsOn(ctx context.Context, at time.Time) (policy.Facts, error) {
	st := x.history.when(at)
	switch {
	case x.history.whole && st == nil: // nobody knew the person yet
		return policy.Facts{Kind: x.s.row.Kind, Status: abide.StatusActive}, nil
	case !x.history.whole:
		x.fromNow = append(x.fromNow, FromNowFacts)
		return x.Engine.factsOf(ctx, x.s, at)
	}
	return x.history.factsOf(st), nil
}
