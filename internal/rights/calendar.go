package rights

import (
	"time"

	"github.com/rickar/cal/v2"
	"github.com/rickar/cal/v2/at"
	"github.com/rickar/cal/v2/be"
	"github.com/rickar/cal/v2/bg"
	"github.com/rickar/cal/v2/br"
	"github.com/rickar/cal/v2/ca"
	"github.com/rickar/cal/v2/ch"
	"github.com/rickar/cal/v2/cz"
	"github.com/rickar/cal/v2/de"
	"github.com/rickar/cal/v2/dk"
	"github.com/rickar/cal/v2/es"
	"github.com/rickar/cal/v2/fr"
	"github.com/rickar/cal/v2/gb"
	"github.com/rickar/cal/v2/gr"
	"github.com/rickar/cal/v2/hr"
	"github.com/rickar/cal/v2/ie"
	"github.com/rickar/cal/v2/it"
	"github.com/rickar/cal/v2/jp"
	"github.com/rickar/cal/v2/lt"
	"github.com/rickar/cal/v2/lv"
	"github.com/rickar/cal/v2/nl"
	"github.com/rickar/cal/v2/no"
	"github.com/rickar/cal/v2/nz"
	"github.com/rickar/cal/v2/pl"
	"github.com/rickar/cal/v2/ro"
	"github.com/rickar/cal/v2/se"
	"github.com/rickar/cal/v2/si"
	"github.com/rickar/cal/v2/sk"
	"github.com/rickar/cal/v2/us"
	"github.com/rickar/cal/v2/za"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy"
)

// holidays by country, those of the whole country only. Of a country that is
// not here no holiday is known but those that a law profile lists: a term then
// ends sooner than it must, never later.
var holidays = map[abide.Place][]*cal.Holiday{
	"AT": at.Holidays, "BE": be.Holidays, "BG": bg.Holidays, "BR": br.Holidays, "CA": ca.Holidays, "CH": ch.Holidays,
	"CZ": cz.Holidays, "DE": de.Holidays, "DK": dk.Holidays, "ES": es.Holidays, "FR": fr.Holidays, "GB": gb.Holidays,
	"GR": gr.Holidays, "HR": hr.Holidays, "IE": ie.Holidays, "IT": it.Holidays, "JP": jp.Holidays, "LT": lt.Holidays,
	"LV": lv.Holidays, "NL": nl.Holidays, "NO": no.Holidays, "NZ": nz.Holidays, "PL": pl.Holidays, "RO": ro.Holidays,
	"SE": se.Holidays, "SI": si.Holidays, "SK": sk.Holidays, "US": us.Holidays, "ZA": za.Holidays,
}

// Calendar says which days count at a place.
type Calendar struct {
	zone   *time.Location
	known  cal.Calendar  // no cache: read by many at once
	listed map[Date]bool // holidays of the law profile
	moves  struct{ saturday, sunday, holiday bool }
}

// CalendarOf reads how a place counts. What an operator's profile says was
// checked when it was read; it fails all the same with bad_calendar if it does
// not make sense.
func CalendarOf(l *policy.Laws, place abide.Place) (*Calendar, error) {
	c := &Calendar{zone: time.UTC, listed: map[Date]bool{}}
	var err error
	for key, take := range map[string]func(string){
		policy.LawTimeZone: func(v string) { c.zone, err = time.LoadLocation(v) },
		policy.LawPeriodEnd: func(v string) {
			c.moves.saturday, c.moves.sunday, c.moves.holiday, err = policy.PeriodEnd(v)
		},
		policy.LawHolidays: func(v string) {
			var days []time.Time
			days, err = policy.Holidays(v)
			for _, d := range days {
				c.listed[Date{d}] = true
			}
		},
	} {
		if v, _, ok := l.Value(place, key); ok {
			if take(v.Value); err != nil {
				return nil, &abide.Error{Code: abide.CodeInvalid, Detail: "bad_calendar", Field: key,
					Message: "a law profile says how days are counted in a way that cannot be read", Hint: "correct it in the policy's folder laws/"}
			}
		}
	}
	for _, p := range append([]abide.Place{place}, l.Within(place)...) {
		if found, ok := holidays[p]; ok {
			c.known.Holidays = found
			break
		}
	}
	return c, nil
}

// Holiday reports whether a day, or a day in its stead, is a public holiday.
func (c *Calendar) Holiday(d Date) bool {
	actual, observed, _ := c.known.IsHoliday(d.t)
	return actual || observed || c.listed[d]
}

// Working reports whether a day is none of Saturday, Sunday and holiday.
func (c *Calendar) Working(d Date) bool {
	return d.Weekday() != time.Saturday && d.Weekday() != time.Sunday && !c.Holiday(d)
}

// Ends returns the day on which a period ends whose last day is d.
func (c *Calendar) Ends(d Date) Date {
	for c.moves.saturday && d.Weekday() == time.Saturday ||
		c.moves.sunday && d.Weekday() == time.Sunday ||
		c.moves.holiday && c.Holiday(d) {
		d = d.Add(1)
	}
	return d
}
