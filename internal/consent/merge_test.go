package consent_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/consent"
	"github.com/abide-privacy/abide/policy"
)

func receiptID(n uint64) string { return fmt.Sprintf("receipt-%d", n) }

func TestMerge(t *testing.T) {
	for _, c := range []struct {
		name            string
		visitor, person []string
		want            string // the person's state after the merge
		carried         string // actions carried over
	}{
		{"a yes where nothing was said", []string{"given"}, []string{"asked"}, "given terms=A", "given"},
		{"a yes where consent expired", []string{"given"}, []string{"given until=02", "expired"}, "given terms=A", "given"},
		{"an indication brings its notice", []string{"told", "indicated_no_objection"}, nil, "indicated_no_objection terms=A told", "told indicated_no_objection"},
		{"a no beats a yes", []string{"refused"}, []string{"given"}, "refused terms=A", "refused"},
		{"a no beats a later yes", []string{"refused"}, []string{"given day=09"}, "refused terms=A", "refused"},
		{"the person's no stands", []string{"given day=09"}, []string{"refused"}, "refused terms=A", ""},
		{"a no on both sides is one", []string{"refused"}, []string{"withdrawn"}, "withdrawn terms=A", ""},
		{"being asked is nothing to carry", []string{"asked", "told"}, nil, "none", ""},
		{"a yes on both sides stays the person's", []string{"given terms=B"}, []string{"given"}, "given terms=A", ""},
		{"a signal refuses", []string{"refused signal=gpc"}, []string{"given"}, "refused terms=A", "refused"},
		{"an explicit later yes beats a signal", []string{"refused signal=gpc"}, []string{"given day=09"}, "given terms=A", ""},
		{"an explicit later yes beats the account's signal", []string{"given day=09"}, []string{"refused signal=gpc"}, "given terms=A", "given"},
		{"an explicit earlier yes does not", []string{"given"}, []string{"refused signal=gpc day=09"}, "refused terms=A", ""},
		{"an objection beats a yes", []string{"objected"}, []string{"given"}, "given terms=A objected", "objected"},
		{"an objection by signal yields to a later yes", []string{"objected signal=gpc"}, []string{"given day=09"}, "given terms=A", ""},
		{"a later yes lifts the account's objection by signal", []string{"given day=09"}, []string{"objected signal=gpc"}, "given terms=A", "objection_lifted given"},
		{"and not an explicit one", []string{"given day=09"}, []string{"objected"}, "none objected", ""},
		{"a yes that was objected to", []string{"given", "objected"}, nil, "none objected", "objected"},
		{"a topic refused", []string{"refused topics=news"}, []string{"given"}, "given terms=A -topics=news", "refused"},
		{"a topic refused by the person stays so", []string{"given topics=news,offers"}, []string{"refused topics=news"}, "given terms=A topics=offers -topics=news", "given"},
		{"a yes to nothing but that", []string{"given topics=news"}, []string{"refused topics=news"}, "none -topics=news", ""},
		{"a yes with a refused topic", []string{"given topics=news,offers", "refused topics=news"}, nil, "given terms=A topics=offers -topics=news", "given refused"},
		{"a channel both refused", []string{"refused channels=sms"}, []string{"given", "refused channels=sms"}, "given terms=A -channels=sms", ""},
		{"expired consent of a visitor", []string{"given until=03"}, nil, "none", ""},
	} {
		visitor, person := ledger(t, c.visitor...), ledger(t, c.person...)
		now := day(20)
		carried := consent.Merge(visitor, person, now, receiptID)
		var got []string
		for i := range carried {
			got = append(got, string(carried[i].Action))
			if carried[i].At != now || !strings.HasPrefix(carried[i].Evidence.Cites, "receipt-") || carried[i].Actor.Kind != abide.ActorSystem {
				t.Errorf("%s: carried %+v", c.name, carried[i])
			}
		}
		after := summary(fold(append(person, carried...), now).Find("marketing"))
		if after != c.want || strings.Join(got, " ") != c.carried {
			t.Errorf("%s:\n got %s, carried %v\nwant %s, carried %s", c.name, after, got, c.want, c.carried)
		}
	}
}

func TestMergeCarriesDocuments(t *testing.T) {
	visitor := ledger(t, "accepted document=privacy terms=P1", "accepted document=agreement terms=A1")
	person := ledger(t, "accepted document=agreement terms=A2 day=05")
	carried := consent.Merge(visitor, person, day(9), receiptID)
	if len(carried) != 1 || carried[0].Document != "privacy" || carried[0].Evidence.Cites != "receipt-1" {
		t.Errorf("carried %+v", carried)
	}
}

// After a merge nothing is permitted that either side forbids, save a signal
// that an explicit later choice overrode; and what is carried may follow.
func TestMergeIsStrict(t *testing.T) {
	gen := anyEvents()
	rapid.Check(t, func(t *rapid.T) {
		visitor, person := gen.Draw(t, "visitor"), gen.Draw(t, "person")
		now := start.AddDate(1, 0, 0)
		carried := consent.Merge(visitor, person, now, receiptID)
		f := &policy.Facts{Status: abide.StatusActive}
		fold(person, now).Put(f)
		for i := range carried {
			e, err := consent.Next(f, carried[i], consent.Options{Now: now.Add(time.Hour)})
			if err != nil {
				t.Fatalf("%s may not follow: %v", carried[i].Action, err)
			}
			consent.Apply(consent.Of(f), &e).Put(f)
		}
		v, p, after := fold(visitor, now), fold(person, now), consent.Of(f)
		for _, purpose := range []abide.Purpose{"marketing", "provide"} {
			a, b, c := v.Find(purpose), p.Find(purpose), after.Find(purpose)
			if permits(c) && (refuses(a) || refuses(b)) {
				t.Fatalf("%s: visitor %s, person %s, yet %s", purpose, summary(a), summary(b), summary(c))
			}
			for _, topic := range append(a.RefusedTopics, b.RefusedTopics...) {
				if !strings.Contains(summary(c)+",", "-topics=") || !contains(c.RefusedTopics, topic) {
					t.Fatalf("%s: topic %s is no longer refused: %s", purpose, topic, summary(c))
				}
			}
		}
	})
}

func refuses(c policy.Consent) bool {
	return c.Objected || c.State == policy.StateRefused || c.State == policy.StateWithdrawn
}

func contains[T comparable](list []T, x T) bool {
	for _, y := range list {
		if x == y {
			return true
		}
	}
	return false
}
