package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // zones are known on machines that have no list of them

	abide "github.com/abide-privacy/abide"
)

// LawsFolder is the folder of a policy whose files, *.json, are law profiles:
// they are laid over the shipped ones, value by value, and are published with
// the policy.
const LawsFolder = "laws"

// ParseProfiles reads a file of law profiles: a JSON list of them. At is the
// byte at which reading failed.
func ParseProfiles(raw []byte) (profiles []Profile, at int, err error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&profiles); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return nil, int(syntax.Offset), err
		}
		return nil, int(dec.InputOffset()), err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, int(dec.InputOffset()), errors.New("something follows the list")
	}
	return profiles, len(raw), nil
}

// Keys of law values about requests and how their days are counted.
const (
	LawRequestDeadline  = "request_deadline"  // a Term
	LawRequestExtension = "request_extension" // a Term on top of the deadline, or NoExtension
	// LawTimeZone is the IANA name of the zone whose days count; the westernmost
	// of a place with several, because there the day of receipt is earliest.
	LawTimeZone = "time_zone"
	// LawPeriodEnd lists the days on which a period does not end but goes on to
	// the next: "saturday, sunday, holiday", some of them, or "none".
	LawPeriodEnd = "period_end_moves_past"
	// LawHolidays lists days, 2026-02-17 2026-02-18, that are holidays besides
	// those that are known.
	LawHolidays = "public_holidays"
)

// NoExtension is the value of a law under which no deadline is extended.
const NoExtension = "none"

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

// PeriodEnd reads a value of LawPeriodEnd.
func PeriodEnd(value string) (saturday, sunday, holiday bool, err error) {
	if value == "none" {
		return false, false, false, nil
	}
	days := strings.Split(value, ", ")
	for _, day := range days {
		if !slices.Contains([]string{"saturday", "sunday", "holiday"}, day) {
			return false, false, false, errors.New("no such day")
		}
	}
	return slices.Contains(days, "saturday"), slices.Contains(days, "sunday"), slices.Contains(days, "holiday"), nil
}

// Holidays reads a value of LawHolidays: midnights UTC.
func Holidays(value string) ([]time.Time, error) {
	var out []time.Time
	for _, day := range strings.Fields(value) {
		d, err := time.Parse(time.DateOnly, day)
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, nil
}

// checkCounting says what a value about deadlines and days must be, if it is
// not that.
func checkCounting(v LawValue) (must string) {
	var err error
	switch v.Key {
	case LawRequestExtension, LawRequestDeadline:
		if v.Key == LawRequestDeadline || v.Value != NoExtension {
			_, err = ParseTerm(v.Value)
		}
		must = `a term: "1 month", "45 days", "10 working days", "without delay"`
	case LawTimeZone:
		_, err = time.LoadLocation(v.Value)
		must = `the name of a time zone: "Asia/Hong_Kong"`
	case LawPeriodEnd:
		_, _, _, err = PeriodEnd(v.Value)
		must = `a list such as "saturday, sunday, holiday", or "none"`
	case LawHolidays:
		_, err = Holidays(v.Value)
		must = `days: "2026-02-17 2026-02-18"`
	}
	if err == nil {
		return ""
	}
	return must
}
