package rights

import (
	"strconv"
	"strings"
	"time"

	abide "github.com/abide-privacy/abide"
)

// Unit is what a term counts.
type Unit uint8

// Units of a term.
const (
	Days Unit = iota
	WorkingDays
	Months // calendar months
)

var units = map[string]Unit{
	"day": Days, "days": Days,
	"working day": WorkingDays, "working days": WorkingDays, "business day": WorkingDays, "business days": WorkingDays,
	"month": Months, "months": Months,
}

// Term is a length of time as laws write it. The zero Term is "without delay":
// it ends with the day on which it begins.
type Term struct {
	N    int
	Unit Unit
}

// maxTerm keeps a slip of the pen (400 months) from becoming a promise.
const maxTerm = 366

// ParseTerm reads the form that law profiles have: "1 month", "45 days",
// "10 working days", "without delay". It fails with bad_term.
func ParseTerm(s string) (Term, error) {
	if s == "without delay" || s == "at once" {
		return Term{}, nil
	}
	count, unit, _ := strings.Cut(s, " ")
	n, err := strconv.Atoi(count)
	u, known := units[unit]
	if err != nil || n < 1 || n > maxTerm || !known {
		return Term{}, &abide.Error{Code: abide.CodeInvalid, Detail: "bad_term",
			Message: "a term of a law profile cannot be read", Hint: `write "1 month", "45 days", "10 working days" or "without delay"`}
	}
	return Term{N: n, Unit: u}, nil
}

// From returns the last day of the term for what came on a day. That day does
// not count: one month from 31 January ends on the last day of February, one
// day from Friday on Saturday (Regulation 1182/71 Art. 3(1) and (2)(c); EDPB
// Guidelines 01/2022, para. 160).
func (t Term) From(day Date, c *Calendar) Date {
	switch t.Unit {
	case Months:
		return day.addMonths(t.N)
	case WorkingDays:
		for n := t.N; n > 0; {
			if day = day.Add(1); c.Working(day) {
				n--
			}
		}
		return day
	default:
		return day.Add(t.N)
	}
}

// Date is a day of the calendar, wherever it dawns.
type Date struct{ t time.Time } // midnight UTC

// DateOf is the day on which an instant falls in a zone.
func DateOf(at time.Time, zone *time.Location) Date {
	y, m, d := at.In(zone).Date()
	return NewDate(y, m, d)
}

// NewDate returns a day; one that its month does not have lies in the next.
func NewDate(y int, m time.Month, d int) Date {
	return Date{time.Date(y, m, d, 0, 0, 0, 0, time.UTC)}
}

// ParseDate reads 2026-11-25.
func ParseDate(s string) (Date, error) {
	t, err := time.Parse(time.DateOnly, s)
	return Date{t}, err
}

// Add returns the day n days later.
func (d Date) Add(n int) Date { return Date{d.t.AddDate(0, 0, n)} }

// addMonths returns the same day n months later, or the last of that month if
// it has no such day.
func (d Date) addMonths(n int) Date {
	y, m, day := d.t.Date()
	last := time.Date(y, m+time.Month(n)+1, 0, 0, 0, 0, 0, time.UTC).Day()
	return NewDate(y, m+time.Month(n), min(day, last))
}

// Before reports whether d comes before other.
func (d Date) Before(other Date) bool { return d.t.Before(other.t) }

// Weekday is the day of the week.
func (d Date) Weekday() time.Weekday { return d.t.Weekday() }

// End is the first instant after the day in a zone.
func (d Date) End(zone *time.Location) time.Time {
	y, m, day := d.t.Date()
	return time.Date(y, m, day+1, 0, 0, 0, 0, zone)
}

// String writes 2026-11-25.
func (d Date) String() string { return d.t.Format(time.DateOnly) }

// MarshalText writes 2026-11-25.
func (d Date) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads 2026-11-25.
func (d *Date) UnmarshalText(text []byte) (err error) {
	*d, err = ParseDate(string(text))
	return err
}
