package policy_test

import (
	"testing"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy"
)

func day(s string) time.Time {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		panic(err)
	}
	return t
}

func TestDeadline(t *testing.T) {
	p := lantern(t)
	obtained := day("2024-01-31")
	marketing := func(state policy.ConsentState, change func(*policy.Consent)) func(*policy.Facts) {
		return func(f *policy.Facts) {
			agreed(t, p, f, "marketing", state)
			c := &f.Consents[len(f.Consents)-1]
			c.Since = day("2024-03-01")
			if change != nil {
				change(c)
			}
		}
	}
	closed := func(ref, at string) func(*policy.Facts) {
		return func(f *policy.Facts) {
			f.Events = append(f.Events, policy.Event{Anchor: "order.closed", Ref: ref, At: day(at)})
		}
	}
	cases := []struct {
		name     string
		category abide.Category
		item     policy.ItemFact
		given    []func(*policy.Facts)
		due      string // "" if no end is known
		ground   abide.Purpose
	}{
		{"an event that has not come waits for the cap", "person.phone", policy.ItemFact{}, nil, "2029-01-31", "provide"},
		{"an event ends it, counted from the event", "person.phone", policy.ItemFact{}, []func(*policy.Facts){closed("", "2024-02-29")}, "2026-01-31", "messages"},
		{"the order's own event counts", "person.orders", policy.ItemFact{Ref: "1"}, []func(*policy.Facts){closed("1", "2024-02-29"), closed("2", "2025-02-28")}, "2025-02-28", "provide"},
		{"another order's event does not", "person.orders", policy.ItemFact{Ref: "1"}, []func(*policy.Facts){closed("2", "2024-02-29")}, "2029-01-31", "provide"},
		{"a month that is shorter ends on its last day", "person.name", policy.ItemFact{}, []func(*policy.Facts){closed("", "2024-02-29")}, "2025-02-28", "provide"},
		{"the longest lawful ground wins", "person.invoice", policy.ItemFact{}, []func(*policy.Facts){closed("", "2024-02-29")}, "2031-01-31", "books"},
		{"the category's own deadline caps it", "visit.address", policy.ItemFact{}, nil, "2024-03-01", "logs"},
		{"without consent marketing is no ground", "person.browsing", policy.ItemFact{}, nil, "2024-01-31", "marketing"},
		{"asked and silent is none either", "person.browsing", policy.ItemFact{}, []func(*policy.Facts){marketing(policy.StateAsked, nil)}, "2024-01-31", "marketing"},
		{"consent that lasts two years ends then", "person.browsing", policy.ItemFact{}, []func(*policy.Facts){marketing(policy.StateGiven, nil)}, "2026-03-01", "marketing"},
		{"what only marketing held goes with the consent", "person.browsing", policy.ItemFact{}, []func(*policy.Facts){marketing(policy.StateWithdrawn, nil)}, "2024-03-01", "marketing"},
		{"an expiry ends it sooner", "person.browsing", policy.ItemFact{}, []func(*policy.Facts){marketing(policy.StateGiven, func(c *policy.Consent) { c.Expires = day("2024-06-01") })}, "2024-06-01", "marketing"},
		{"a hold keeps it longer", "person.browsing", policy.ItemFact{}, []func(*policy.Facts){func(f *policy.Facts) {
			f.Holds = []policy.Hold{{Name: "court", Until: day("2030-01-01")}}
		}}, "2030-01-01", ""},
		{"a hold without end", "person.browsing", policy.ItemFact{}, []func(*policy.Facts){func(f *policy.Facts) {
			f.Holds = []policy.Hold{{Name: "court", Categories: []abide.Category{"person.browsing"}}}
		}}, "", ""},
		{"a hold of something else", "person.browsing", policy.ItemFact{}, []func(*policy.Facts){func(f *policy.Facts) {
			f.Holds = []policy.Hold{{Name: "court", Categories: []abide.Category{"person.name"}}}
		}}, "2024-01-31", "marketing"},
		{"a derived item lives by its purposes", "person.invoice", policy.ItemFact{Purposes: []abide.Purpose{"provide"}}, nil, "2029-01-31", "provide"},
		{"and by none if it has none", "person.invoice", policy.ItemFact{Purposes: []abide.Purpose{}}, nil, "2024-01-31", ""},
		{"a category nobody knows is due at once", "person.shoe", policy.ItemFact{}, nil, "2024-01-31", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := adult()
			for _, g := range c.given {
				g(&f)
			}
			c.item.Category, c.item.Obtained = c.category, obtained
			due, ground, ok := p.Deadline(c.category, c.item, &f)
			if ok != (c.due != "") || (ok && !due.Equal(day(c.due))) || ground != c.ground {
				t.Errorf("due %v by %q, known %v; want %s by %q", due, ground, ok, c.due, c.ground)
			}
		})
	}
}

// An item that only the books still need opens for the books alone (C19).
func TestPastDeadlineOpensForTheGroundAlone(t *testing.T) {
	p := lantern(t)
	f := adult()
	item := policy.ItemFact{Category: "person.invoice", Obtained: noon.AddDate(-6, 0, 0)}
	for purpose, want := range map[abide.Purpose]abide.ReasonCode{"books": abide.PermitLegal, "provide": abide.DenyRetention} {
		req := ask(abide.ActUse, purpose, "person.invoice")
		req.Items = []policy.ItemFact{item}
		if d := p.Decide(&f, nil, &req); d.Reasons[0].Code != want {
			t.Errorf("%s: %v", purpose, d.Reasons)
		}
	}
	ground, until, ok := p.LawGround("person.invoice", item, &f)
	if !ok || ground != "books" || !until.Equal(noon.AddDate(1, 0, 0)) {
		t.Errorf("law ground %q until %v, %v", ground, until, ok)
	}
	if _, _, ok := p.LawGround("person.name", item, &f); ok {
		t.Error("a name has a law ground")
	}
}

// The instant of the deadline is past it; the one before is not.
func TestDeadlineIsExact(t *testing.T) {
	p := lantern(t)
	f := adult()
	req := ask(abide.ActUse, "survey", "person.email")
	req.Items = []policy.ItemFact{{Category: "person.email", Obtained: noon.AddDate(0, -6, 0)}}
	if d := p.Decide(&f, nil, &req); d.Allowed() {
		t.Error("readable at its deadline")
	}
	req.At = req.At.Add(-time.Nanosecond)
	if d := p.Decide(&f, nil, &req); !d.Allowed() {
		t.Errorf("unreadable before its deadline: %v", d.Reasons)
	}
}
