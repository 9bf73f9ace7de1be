package rights_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/rights"
	"github.com/abide-privacy/abide/laws"
	"github.com/abide-privacy/abide/policy"
)

func shipped(t testing.TB) *policy.Laws {
	t.Helper()
	l, err := laws.Load()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// over lays values of one place over the shipped ones.
func over(t testing.TB, place abide.Place, values ...policy.LawValue) *policy.Laws {
	t.Helper()
	l, err := shipped(t).With([]policy.Profile{{Place: place, Values: values}})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func value(key, v string) policy.LawValue {
	return policy.LawValue{Key: key, Value: v, Source: "test", AsOf: "2026-11-25"}
}

func table(t *testing.T, name string) (rows [][]string) {
	t.Helper()
	raw, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			rows = append(rows, strings.Fields(line))
		}
	}
	return rows
}

func TestDeadlines(t *testing.T) {
	l := shipped(t)
	rows := table(t, "deadlines.txt")
	if len(rows) < 40 {
		t.Fatalf("only %d dates", len(rows))
	}
	for _, row := range rows {
		came, err := time.Parse("2006-01-02T15:04Z", row[1])
		if err != nil {
			t.Fatal(err)
		}
		places := []abide.Place{abide.Place(row[0])}
		due, err := rights.Answer(l, places, came)
		if err != nil || due.Day.String() != row[2] {
			t.Errorf("%v: due %v, %v", row, due.Day, err)
		}
		longer, err := rights.Extend(l, places, came)
		switch {
		case row[3] == "none":
			if abide.ErrorDetail(err) != "no_extension" {
				t.Errorf("%v: extended to %v, %v", row, longer.Day, err)
			}
		case err != nil || longer.Day.String() != row[3]:
			t.Errorf("%v: extended to %v, %v", row, longer.Day, err)
		}
	}
}

func TestTerms(t *testing.T) {
	l := shipped(t)
	for _, row := range table(t, "terms.txt") {
		place, begins, want := row[0], row[len(row)-2], row[len(row)-1]
		term, err := policy.ParseTerm(strings.Join(row[1:len(row)-2], " "))
		if err != nil {
			t.Fatal(err)
		}
		c, err := rights.CalendarOf(l, abide.Place(place))
		if err != nil {
			t.Fatal(err)
		}
		day, err := rights.ParseDate(begins)
		if err != nil {
			t.Fatal(err)
		}
		if got := rights.Last(term, day, c); got.String() != want {
			t.Errorf("%v: %v", row, got)
		}
	}
}

// TestTheFirstLawDecides: of several laws the one that is due first, and an
// extension only as far as all of them allow.
func TestTheFirstLawDecides(t *testing.T) {
	l := shipped(t)
	came := time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)
	due, err := rights.Answer(l, []abide.Place{"HK", "DE"}, came)
	if err != nil || due.Law != "EEA" || due.Day.String() != "2026-12-02" || due.Term != "1 month" || due.Source != "GDPR Art. 12(3)" {
		t.Errorf("%+v, %v", due, err)
	}
	if longer, err := rights.Extend(l, []abide.Place{"HK", "DE"}, came); err != nil || longer.Law != "HK" || longer.Day.String() != "2026-12-12" {
		t.Errorf("%+v, %v", longer, err)
	}
	if _, err := rights.Extend(l, []abide.Place{"JP", "DE"}, came); abide.ErrorDetail(err) != "no_extension" {
		t.Error(err)
	}
	if _, err := rights.Answer(l, []abide.Place{"AQ"}, came); abide.ErrorDetail(err) != "no_deadline" {
		t.Error(err)
	}
}

// TestOverridesCount: an operator's values are used, and named when they
// cannot be read.
func TestOverridesCount(t *testing.T) {
	came := time.Date(2026, 11, 25, 2, 0, 0, 0, time.UTC)
	l := over(t, "SG", value(policy.LawHolidays, "2026-12-25 2026-12-26"))
	if due, err := rights.Answer(l, []abide.Place{"SG"}, came); err != nil || due.Day.String() != "2026-12-28" {
		t.Errorf("%v, %v", due.Day, err)
	}
	// A place that sets its own deadline does not inherit another law's extension.
	l = over(t, "DE", value(policy.LawRequestDeadline, "14 days"))
	if _, err := rights.Extend(l, []abide.Place{"DE"}, came); abide.ErrorDetail(err) != "no_extension" {
		t.Error(err)
	}
	for key, bad := range map[string]string{policy.LawTimeZone: "Mars/Olympus", policy.LawPeriodEnd: "saturdays", policy.LawHolidays: "25 December",
		policy.LawRequestDeadline: "2 weeks", policy.LawRequestExtension: "some"} {
		_, err := shipped(t).With([]policy.Profile{{Place: "DE", Values: []policy.LawValue{value(key, bad)}}})
		if abide.ErrorDetail(err) != "law_value_wrong" {
			t.Errorf("%s: %v", key, err)
		}
	}
	for _, bad := range []string{"", "0 days", "-1 days", "1", "days", "1 fortnight", "400 months", "1  day", "1 day ", "none"} {
		if _, err := policy.ParseTerm(bad); abide.ErrorDetail(err) != "bad_term" {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestDeadlineProperties: whatever the place and the instant, a deadline is
// after the receipt, never moves back as receipts come later, ends on a day
// that may end a period, and is never after its extension.
func TestDeadlineProperties(t *testing.T) {
	l := shipped(t)
	var places []abide.Place
	for _, p := range l.Places() {
		if _, _, ok := l.Value(p, policy.LawRequestDeadline); ok {
			places = append(places, p)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		place := []abide.Place{rapid.SampledFrom(places).Draw(t, "place")}
		came := time.Unix(rapid.Int64Range(1704067200, 2000000000).Draw(t, "came"), 0).UTC()
		due, err := rights.Answer(l, place, came)
		if err != nil {
			t.Fatal(err)
		}
		if !came.Before(due.Until) {
			t.Fatalf("came %v, due until %v", came, due.Until)
		}
		later, err := rights.Answer(l, place, came.Add(time.Duration(rapid.Int64Range(0, 1<<40).Draw(t, "more"))*time.Microsecond))
		if err != nil || later.Until.Before(due.Until) {
			t.Fatalf("a later receipt is due sooner: %v, %v, %v", due.Until, later.Until, err)
		}
		if c, err := rights.CalendarOf(l, place[0]); err != nil || c.Ends(due.Day) != due.Day {
			t.Fatalf("ends on %v, %v", due.Day, err)
		}
		if longer, err := rights.Extend(l, place, came); err == nil && !due.Until.Before(longer.Until) {
			t.Fatalf("extended from %v to %v", due.Until, longer.Until)
		}
	})
}
