// Package consent holds the rules of the ledger of consent: what the events
// add up to (Fold, Apply), which event may be appended and by whom (Next), how
// a visitor's choices pass to a person who signs in (Merge), and the bytes of
// an event (Encode, Decode). It is pure: no I/O, no clock.
//
// # What events add up to
//
// The state of a purpose is folded from its events in the order of the ledger.
// Where two readings are possible, the stricter one holds:
//
//   - Silence is nothing. Being asked or told changes what the person knows,
//     never what they agreed to.
//   - Refusing, withdrawing and objecting always take effect, whoever records
//     them and whatever went before. With topics or channels named, they refuse
//     these one by one; without, the whole purpose.
//   - A topic or channel once refused stays refused until a later agreement
//     names it, or an objection to it is lifted.
//   - Agreeing does not lift an objection; lifting one does not restore consent.
//   - An indication of no objection counts as told only if the person was told
//     of the very terms it rests on, before it.
//   - Agreement dated before the purpose's last event, or evidenced worse than
//     the state it would replace, changes nothing: an import cannot undo what
//     somebody did since.
//   - Renewing prolongs an agreement in force, under the same terms. Expired
//     agreement is asked for anew.
package consent

import (
	"cmp"
	"slices"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy"
)

// State is what a subject's ledger adds up to: at most one consent per purpose
// and one acceptance per document, each sorted by name.
type State struct {
	Consents []policy.Consent
	Accepted []policy.Accepted
}

// Of returns the state that a subject's facts hold.
func Of(f *policy.Facts) State { return State{f.Consents, f.Accepted} }

// Put writes the state into a subject's facts.
func (s State) Put(f *policy.Facts) { f.Consents, f.Accepted = s.Consents, s.Accepted }

// Fold returns the state at an instant: of the events up to then, with what
// has expired by then marked so. Events must be in the order of the ledger.
func Fold(events []abide.ConsentEvent, at time.Time) ([]policy.Consent, []policy.Accepted) {
	var s State
	for i := range events {
		if !events[i].At.After(at) {
			s = Apply(s, &events[i])
		}
	}
	s = Expire(s, at)
	return s.Consents, s.Accepted
}

// Apply returns the state after one more event. The given state is unchanged
// and shares no slice with the returned one that either will write to.
//
// Folding is incremental: a stored state, applied to what was appended since,
// equals the fold of everything.
func Apply(s State, e *abide.ConsentEvent) State {
	if e.Action == abide.ConsentAccepted {
		return State{s.Consents, accept(s.Accepted, e)}
	}
	if e.Purpose == "" {
		return s
	}
	i, found := slices.BinarySearchFunc(s.Consents, e.Purpose, func(c policy.Consent, p abide.Purpose) int { return cmp.Compare(c.Purpose, p) })
	consents := slices.Clone(s.Consents)
	if !found {
		consents = slices.Insert(consents, i, policy.Consent{Purpose: e.Purpose})
	}
	expire(&consents[i], e.At)
	apply(&consents[i], e)
	return State{consents, s.Accepted}
}

// Find returns the consent to a purpose; the zero Consent of that purpose if
// the ledger knows none.
func (s State) Find(p abide.Purpose) policy.Consent {
	for i := range s.Consents {
		if s.Consents[i].Purpose == p {
			return s.Consents[i]
		}
	}
	return policy.Consent{Purpose: p}
}

// Expire returns the state with agreements that end at or before an instant
// marked as expired.
func Expire(s State, at time.Time) State {
	for i := range s.Consents {
		if expired(&s.Consents[i], at) {
			consents := slices.Clone(s.Consents)
			for j := i; j < len(consents); j++ {
				expire(&consents[j], at)
			}
			return State{consents, s.Accepted}
		}
	}
	return s
}

func expired(c *policy.Consent, at time.Time) bool {
	return agreed(c.State) && !c.Expires.IsZero() && !at.Before(c.Expires)
}

func expire(c *policy.Consent, at time.Time) {
	if expired(c, at) {
		c.State, c.Since = policy.StateExpired, c.Expires
	}
}

func agreed(s policy.ConsentState) bool {
	return s == policy.StateGiven || s == policy.StateIndicated
}

// decisive reports whether the person has taken a stand.
func decisive(s policy.ConsentState) bool {
	return agreed(s) || s == policy.StateRefused || s == policy.StateWithdrawn
}

func apply(c *policy.Consent, e *abide.ConsentEvent) {
	backdated := e.At.Before(c.Last)
	if !backdated {
		c.Last = e.At
	}
	switch e.Action {
	case abide.ConsentAsked:
		if !backdated && (c.State == policy.StateNone || c.State == policy.StateExpired) {
			c.State, c.Since = policy.StateAsked, e.At
		}
	case abide.ConsentTold:
		if !backdated {
			told(c, e)
		}
	case abide.ConsentGiven, abide.ConsentIndicated:
		if !backdated && !weaker(c, e) {
			agree(c, e)
		}
	case abide.ConsentRenewed:
		if !backdated && !weaker(c, e) && agreed(c.State) && e.Terms == c.Terms {
			c.Expires = e.Expires
		}
	case abide.ConsentRefused:
		deny(c, e, policy.StateRefused)
	case abide.ConsentWithdrawn:
		deny(c, e, policy.StateWithdrawn)
	case abide.ConsentExpired:
		if agreed(c.State) && !e.At.Before(c.Since) { // the end of this agreement, however late one hears of it
			c.State, c.Since = policy.StateExpired, e.At
		}
	case abide.ConsentObjected:
		if partial(e) {
			refuseParts(c, e)
		} else {
			c.Objected = true
		}
	case abide.ConsentObjectionLifted:
		if !backdated {
			lift(c, e)
		}
	}
}

func told(c *policy.Consent, e *abide.ConsentEvent) {
	c.ToldTerms = e.Terms
	if !decisive(c.State) {
		c.State, c.Since, c.Told, c.Terms = policy.StateTold, e.At, true, e.Terms
		c.Grade, c.Separate, c.Expires = e.Grade, false, time.Time{}
	}
}

// weaker reports whether an event is evidenced worse than the stand it would
// replace.
func weaker(c *policy.Consent, e *abide.ConsentEvent) bool {
	return decisive(c.State) && rank(e.Grade) < rank(c.Grade)
}

func rank(g abide.Grade) int {
	switch g {
	case abide.GradeProved:
		return 2
	case abide.GradeClaimed:
		return 1
	}
	return 0
}

func agree(c *policy.Consent, e *abide.ConsentEvent) {
	topics, channels := sortedSet(e.Topics), sortedSet(e.Channels)
	if agreed(c.State) && c.Terms == e.Terms {
		topics, channels = widen(c.Topics, topics), widen(c.Channels, channels)
	}
	c.State = policy.StateGiven
	// Wording shown with the question tells what consent to it means; an
	// indication of no objection needs a notice before it.
	c.Told = c.ToldTerms == e.Terms && e.Terms != "" || e.Evidence.WordingHash != ""
	if e.Action == abide.ConsentIndicated {
		c.State = policy.StateIndicated
		c.Told = c.ToldTerms == e.Terms && e.Terms != ""
	}
	c.Terms, c.Grade, c.Separate, c.Expires, c.Since = e.Terms, e.Grade, e.Evidence.Separate, e.Expires, e.At
	c.Topics, c.Channels = topics, channels
	c.RefusedTopics = without(c.RefusedTopics, e.Topics)
	c.RefusedChannels = without(c.RefusedChannels, e.Channels)
}

// deny refuses the parts that an event names, or the whole purpose.
func deny(c *policy.Consent, e *abide.ConsentEvent, state policy.ConsentState) {
	if partial(e) {
		refuseParts(c, e)
		return
	}
	c.State, c.Since, c.Grade = state, c.Last, e.Grade
	c.Terms, c.Told, c.Separate, c.Expires, c.Topics, c.Channels = e.Terms, false, false, time.Time{}, nil, nil
	c.ToldTerms = "" // whoever said no is told anew before an indication counts
}

func partial(e *abide.ConsentEvent) bool { return len(e.Topics)+len(e.Channels) > 0 }

// refuseParts refuses topics and channels one by one. An event that names both
// refuses both: there is no telling whether a topic was meant on one channel
// only.
func refuseParts(c *policy.Consent, e *abide.ConsentEvent) {
	c.RefusedTopics = union(c.RefusedTopics, e.Topics)
	c.RefusedChannels = union(c.RefusedChannels, e.Channels)
}

func lift(c *policy.Consent, e *abide.ConsentEvent) {
	if !partial(e) {
		c.Objected = false
		return
	}
	c.RefusedTopics = without(c.RefusedTopics, e.Topics)
	c.RefusedChannels = without(c.RefusedChannels, e.Channels)
}

func accept(list []policy.Accepted, e *abide.ConsentEvent) []policy.Accepted {
	a := policy.Accepted{Document: e.Document, Digest: e.Terms, At: e.At}
	i, found := slices.BinarySearchFunc(list, e.Document, func(a policy.Accepted, d abide.DocumentName) int { return cmp.Compare(a.Document, d) })
	if found && e.At.Before(list[i].At) {
		return list
	}
	list = slices.Clone(list)
	if !found {
		return slices.Insert(list, i, a)
	}
	list[i] = a
	return list
}

// widen joins what was agreed with what is agreed now; empty is all.
func widen[T ~string](had, more []T) []T {
	if len(had) == 0 || len(more) == 0 {
		return nil
	}
	return union(had, more)
}

func union[T ~string](a, b []T) []T {
	if len(b) == 0 {
		return a
	}
	return sortedSet(append(slices.Clone(a), b...))
}

func without[T ~string](a, b []T) []T {
	if len(a) == 0 || len(b) == 0 {
		return a
	}
	out := slices.DeleteFunc(slices.Clone(a), func(x T) bool { return slices.Contains(b, x) })
	if len(out) == 0 {
		return nil
	}
	return out
}

func sortedSet[T ~string](list []T) []T {
	if len(list) == 0 {
		return nil
	}
	out := slices.Clone(list)
	slices.Sort(out)
	return slices.Compact(out)
}
