package rights

import (
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy"
)

// Deadline is the last day on which a request can be answered, and whose law
// says so.
type Deadline struct {
	Day    Date
	Until  time.Time // the first instant that is too late
	Law    abide.Place
	Term   string // as the profile writes it
	Source string
}

// Answer returns by when a request that came at an instant must be answered:
// the first deadline among the places whose law applies. It fails with
// no_deadline if none of them has one.
func Answer(l *policy.Laws, places []abide.Place, came time.Time) (Deadline, error) {
	return first(l, places, came, false)
}

// Extend returns by when it must be answered once it was extended. Each law
// counts its extension from the receipt, not from where its deadline came to
// lie. It fails with no_extension if some law that applies would be broken.
func Extend(l *policy.Laws, places []abide.Place, came time.Time) (Deadline, error) {
	base, err := first(l, places, came, false)
	if err != nil {
		return Deadline{}, err
	}
	longer, err := first(l, places, came, true)
	if err != nil {
		return Deadline{}, err
	}
	if !base.Until.Before(longer.Until) {
		return Deadline{}, &abide.Error{Code: abide.CodeConflict, Detail: "no_extension",
			Message: "the law that sets this deadline allows no extension", Hint: "answer by the deadline, in part if need be, and say why"}
	}
	return longer, nil
}

func first(l *policy.Laws, places []abide.Place, came time.Time, extended bool) (out Deadline, err error) {
	for _, place := range places {
		d, ok, err := answer(l, place, came, extended)
		if err != nil {
			return Deadline{}, err
		}
		if ok && (out.Until.IsZero() || d.Until.Before(out.Until)) {
			out = d
		}
	}
	if out.Until.IsZero() {
		return Deadline{}, &abide.Error{Code: abide.CodeNotFound, Detail: "no_deadline",
			Message: "no law profile that applies says by when a request must be answered",
			Hint:    "lay a profile with request_deadline over the shipped ones"}
	}
	return out, nil
}

func answer(l *policy.Laws, place abide.Place, came time.Time, extended bool) (Deadline, bool, error) {
	v, law, ok := l.Value(place, policy.LawRequestDeadline)
	if !ok {
		return Deadline{}, false, nil
	}
	term, err := policy.ParseTerm(v.Value)
	if err != nil {
		return Deadline{}, false, err
	}
	c, err := CalendarOf(l, place)
	if err != nil {
		return Deadline{}, false, err
	}
	out := Deadline{Law: law, Term: v.Value, Source: v.Source}
	day := DateOf(came, c.zone)
	// An extension is looked for where the deadline was found: a state that sets
	// its own deadline does not inherit another law's extension.
	more, from, found := l.Value(place, policy.LawRequestExtension)
	switch {
	case !extended, !found, from != law, more.Value == policy.NoExtension:
		day = Last(term, day, c)
	default:
		extra, err := policy.ParseTerm(more.Value)
		if err != nil {
			return Deadline{}, false, err
		}
		out.Term, out.Source = v.Value+" + "+more.Value, more.Source
		if extra.Unit == term.Unit {
			day = Last(policy.Term{N: term.N + extra.N, Unit: term.Unit}, day, c)
		} else {
			day = Last(extra, Last(term, day, c), c)
		}
	}
	out.Day = c.Ends(day)
	out.Until = out.Day.End(c.zone)
	return out, true, nil
}
