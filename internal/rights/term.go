package rights

import (
	"time"

	"github.com/abide-privacy/abide/policy"
)

// Last returns the last day of a term for what came on a day. That day does
// not count: one month from 31 January ends on the last day of February, one
// day from Friday on Saturday (Regulation 1182/71 Art. 3(1) and (2)(c); EDPB
// Guidelines 01/2022, para. 160).
func Last(t policy.Term, day Date, c *Calendar) Date {
	switch t.Unit {
	case policy.Months:
		return day.addMonths(t.N)
	case policy.WorkingDays:
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
