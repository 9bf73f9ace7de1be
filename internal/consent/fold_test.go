package consent_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/consent"
	"github.com/abide-privacy/abide/internal/vault"
	"github.com/abide-privacy/abide/policy"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func day(n int) time.Time { return start.AddDate(0, 0, n) }

// ledger reads events written as words: one a day, "action [key=value…]", for
// the purpose marketing under terms A, evidence proved.
func ledger(t testing.TB, lines ...string) []abide.ConsentEvent {
	t.Helper()
	var out []abide.ConsentEvent
	for i, line := range lines {
		words := strings.Fields(line)
		e := abide.ConsentEvent{N: uint64(i + 1), At: day(i), Action: abide.ConsentAction(words[0]), Purpose: "marketing",
			Terms: "A", Grade: abide.GradeProved, Actor: abide.Actor{Kind: abide.ActorSubject}}
		for _, w := range words[1:] {
			key, value, _ := strings.Cut(w, "=")
			list := strings.Split(value, ",")
			switch key {
			case "terms":
				e.Terms = value
			case "purpose":
				e.Purpose = abide.Purpose(value)
			case "document":
				e.Document, e.Purpose = abide.DocumentName(value), ""
			case "grade":
				e.Grade = abide.Grade(value)
			case "signal":
				e.Evidence.Signal = value
			case "day":
				e.At = day(int(value[0]-'0')*10 + int(value[1]-'0'))
			case "until":
				e.Expires = day(int(value[0]-'0')*10 + int(value[1]-'0'))
			case "topics":
				for _, v := range list {
					e.Topics = append(e.Topics, abide.Topic(v))
				}
			case "channels":
				for _, v := range list {
					e.Channels = append(e.Channels, abide.Channel(v))
				}
			case "wording":
				e.Evidence.WordingHash = strings.Repeat("a", 64)
			case "separate":
				e.Evidence.Separate = true
			default:
				t.Fatalf("unknown word %q", w)
			}
		}
		out = append(out, e)
	}
	return out
}

// summary writes a consent as the fields that a decision reads.
func summary(c policy.Consent) string {
	s := string(c.State)
	if s == "" {
		s = "none"
	}
	add := func(word string, on bool) {
		if on {
			s += " " + word
		}
	}
	add("terms="+c.Terms, c.Terms != "" && c.State != policy.StateTold && c.State != policy.StateAsked)
	add("told", c.Told)
	add("separate", c.Separate)
	add("objected", c.Objected)
	add("grade="+string(c.Grade), c.Grade != "" && c.Grade != abide.GradeProved)
	list := func(name string, l []string) { add(name+"="+strings.Join(l, ","), len(l) > 0) }
	list("topics", words(c.Topics))
	list("channels", words(c.Channels))
	list("-topics", words(c.RefusedTopics))
	list("-channels", words(c.RefusedChannels))
	return s
}

func words[T ~string](l []T) []string {
	var out []string
	for _, w := range l {
		out = append(out, string(w))
	}
	return out
}

func TestFold(t *testing.T) {
	for _, c := range []struct {
		name   string
		events []string
		want   string
	}{
		{"nothing happened", nil, "none"},
		{"asked and silent is nothing", []string{"asked"}, "asked"},
		{"told and silent is nothing", []string{"told"}, "told told"},
		{"asked after told", []string{"told", "asked"}, "told told"},
		{"told after asked", []string{"asked", "told"}, "told told"},
		{"given", []string{"given"}, "given terms=A"},
		{"given with its wording", []string{"given wording separate"}, "given terms=A told separate"},
		{"given after notice", []string{"told", "given"}, "given terms=A told"},
		{"given after notice of other terms", []string{"told terms=B", "given"}, "given terms=A"},
		{"indicated after notice", []string{"told", "indicated_no_objection"}, "indicated_no_objection terms=A told"},
		{"indicated without notice", []string{"indicated_no_objection wording"}, "indicated_no_objection terms=A"},
		{"indicated after notice of other terms", []string{"told terms=B", "indicated_no_objection"}, "indicated_no_objection terms=A"},
		{"indicated on a notice from before a refusal", []string{"told", "refused", "indicated_no_objection"}, "indicated_no_objection terms=A"},
		{"withdrawn", []string{"given", "withdrawn"}, "withdrawn terms=A"},
		{"withdrawn without ever giving", []string{"withdrawn"}, "withdrawn terms=A"},
		{"asking again changes no refusal", []string{"refused", "asked", "told terms=B"}, "refused terms=A"},
		{"asking again changes no consent", []string{"given", "asked", "told terms=B"}, "given terms=A"},
		{"given again after withdrawal", []string{"given", "withdrawn", "given terms=B"}, "given terms=B"},
		{"a topic refused", []string{"given", "refused topics=news"}, "given terms=A -topics=news"},
		{"a channel withdrawn", []string{"given", "withdrawn channels=sms,email"}, "given terms=A -channels=email,sms"},
		{"a topic refused before consent stays refused", []string{"refused topics=news", "given"}, "given terms=A -topics=news"},
		{"a topic refused, then agreed to by name", []string{"given", "refused topics=news,offers", "given topics=news"}, "given terms=A -topics=offers"},
		{"a topic refused outlives withdrawal and new consent", []string{"refused topics=news", "withdrawn", "given"}, "given terms=A -topics=news"},
		{"consent to one topic, then another", []string{"given topics=news", "given topics=events"}, "given terms=A topics=events,news"},
		{"consent to one topic, then to other terms", []string{"given topics=news", "given topics=events terms=B"}, "given terms=B topics=events"},
		{"consent to all, then to one topic", []string{"given", "given topics=events"}, "given terms=A"},
		{"the only topic refused is not all topics", []string{"given topics=news", "refused topics=news"}, "given terms=A topics=news -topics=news"},
		{"topic and channel refused together", []string{"given", "refused topics=news channels=sms"}, "given terms=A -topics=news -channels=sms"},
		{"objected", []string{"given", "objected"}, "given terms=A objected"},
		{"consent does not lift an objection", []string{"objected", "given"}, "given terms=A objected"},
		{"objection lifted", []string{"given", "objected", "objection_lifted"}, "given terms=A"},
		{"lifting restores no consent", []string{"withdrawn", "objected", "objection_lifted"}, "withdrawn terms=A"},
		{"objection to a topic, lifted", []string{"given", "objected topics=news,offers", "objection_lifted topics=news"}, "given terms=A -topics=offers"},
		{"expired by date", []string{"given until=02", "asked purpose=other", "asked purpose=other"}, "expired terms=A"},
		{"not yet expired", []string{"given until=03", "asked purpose=other", "asked purpose=other"}, "given terms=A"},
		{"expired by event", []string{"given", "expired"}, "expired terms=A"},
		{"a refusal does not expire", []string{"refused", "expired"}, "refused terms=A"},
		{"asked after expiry", []string{"given until=01", "asked"}, "asked"},
		{"renewed", []string{"given until=03", "renewed until=20", "asked purpose=other", "asked purpose=other"}, "given terms=A"},
		{"renewed too late", []string{"given until=01", "asked purpose=other", "renewed until=20"}, "expired terms=A"},
		{"renewed under other terms", []string{"given until=03", "renewed terms=B until=20", "asked purpose=other", "asked purpose=other"}, "expired terms=A"},
		{"renewing a refusal", []string{"refused", "renewed until=20"}, "refused terms=A"},
		{"an import that claims consent before a refusal", []string{"refused day=09", "given day=01"}, "refused terms=A"},
		{"a refusal that is learnt late", []string{"given day=09", "withdrawn day=01"}, "withdrawn terms=A"},
		{"a claim against proof", []string{"withdrawn", "given grade=claimed"}, "withdrawn terms=A"},
		{"proof against a claim", []string{"refused grade=claimed", "given"}, "given terms=A"},
		{"a claimed consent", []string{"given grade=claimed"}, "given terms=A grade=claimed"},
		{"a claimed refusal beats proof", []string{"given", "refused grade=unknown"}, "refused terms=A grade=unknown"},
	} {
		events := ledger(t, c.events...)
		at := day(len(events) - 1)
		if len(events) > 0 && at.Before(events[0].At) {
			at = events[0].At
		}
		consents, _ := consent.Fold(events, at)
		if got := summary(consent.State{Consents: consents}.Find("marketing")); got != c.want {
			t.Errorf("%s: %v\n got %s\nwant %s", c.name, c.events, got, c.want)
		}
	}
}

func TestFoldAsOf(t *testing.T) {
	events := ledger(t, "told", "given until=05", "refused topics=news", "withdrawn", "given terms=B")
	want := []string{"told told", "given terms=A told", "given terms=A told -topics=news", "withdrawn terms=A -topics=news", "given terms=B -topics=news"}
	for n := range want {
		consents, _ := consent.Fold(events, day(n))
		if got := summary(consents[0]); got != want[n] {
			t.Errorf("day %d: got %s, want %s", n, got, want[n])
		}
	}
	if consents, accepted := consent.Fold(events, day(0).Add(-1)); consents != nil || accepted != nil {
		t.Errorf("before anything: %v %v", consents, accepted)
	}
}

func TestAcceptedDocuments(t *testing.T) {
	events := ledger(t, "accepted document=privacy terms=P1", "accepted document=agreement terms=A1", "accepted document=agreement terms=A2", "accepted document=privacy terms=P0 day=00")
	_, got := consent.Fold(events, day(9))
	want := []policy.Accepted{{Document: "agreement", Digest: "A2", At: day(2)}, {Document: "privacy", Digest: "P0", At: day(0)}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	older := ledger(t, "accepted document=agreement terms=A2 day=05", "accepted document=agreement terms=A1 day=01")
	if _, got := consent.Fold(older, day(9)); got[0].Digest != "A2" {
		t.Errorf("an older acceptance replaced a newer one: %v", got)
	}
}

// anyEvents draws a ledger whose times never go back.
func anyEvents() *rapid.Generator[[]abide.ConsentEvent] {
	return rapid.Custom(func(t *rapid.T) []abide.ConsentEvent {
		n := rapid.IntRange(0, 12).Draw(t, "n")
		at := start
		var out []abide.ConsentEvent
		for i := range n {
			at = at.Add(time.Duration(rapid.IntRange(0, 48).Draw(t, "hours")) * time.Hour)
			out = append(out, anyEvent(t, uint64(i+1), at))
		}
		return out
	})
}

func anyEvent(t *rapid.T, n uint64, at time.Time) abide.ConsentEvent {
	topics := rapid.SampledFrom([][]abide.Topic{nil, nil, {"news"}, {"news", "offers"}})
	channels := rapid.SampledFrom([][]abide.Channel{nil, nil, nil, {"sms"}})
	e := abide.ConsentEvent{N: n, At: at, Action: rapid.SampledFrom(actions).Draw(t, "action"),
		Purpose: rapid.SampledFrom([]abide.Purpose{"marketing", "provide"}).Draw(t, "purpose"),
		Terms:   rapid.SampledFrom([]string{"A", "B"}).Draw(t, "terms"),
		Topics:  topics.Draw(t, "topics"), Channels: channels.Draw(t, "channels"),
		Grade:    rapid.SampledFrom([]abide.Grade{abide.GradeProved, abide.GradeProved, abide.GradeClaimed}).Draw(t, "grade"),
		Evidence: abide.Evidence{Separate: rapid.Bool().Draw(t, "separate")}}
	if rapid.IntRange(0, 3).Draw(t, "expires") == 0 {
		e.Expires = at.Add(time.Duration(rapid.IntRange(1, 72).Draw(t, "lasts")) * time.Hour)
	}
	if e.Grade == abide.GradeProved {
		e.Evidence.WordingHash = strings.Repeat("a", 64)
	}
	if e.Action == abide.ConsentAccepted {
		e.Document, e.Purpose = "agreement", ""
	}
	return e
}

var actions = []abide.ConsentAction{abide.ConsentAsked, abide.ConsentTold, abide.ConsentGiven, abide.ConsentIndicated, abide.ConsentRefused,
	abide.ConsentWithdrawn, abide.ConsentRenewed, abide.ConsentExpired, abide.ConsentObjected, abide.ConsentObjectionLifted, abide.ConsentAccepted}

func fold(events []abide.ConsentEvent, at time.Time) consent.State {
	c, a := consent.Fold(events, at)
	return consent.State{Consents: c, Accepted: a}
}

// A state that was stored (through its codec) and applied to what came since
// equals the fold of the whole ledger: the state holds all that matters.
func TestFoldIsIncremental(t *testing.T) {
	gen := anyEvents()
	rapid.Check(t, func(t *rapid.T) {
		events := gen.Draw(t, "events")
		k := rapid.IntRange(0, len(events)).Draw(t, "prefix")
		stored := start
		if k > 0 {
			stored = events[k-1].At
		}
		at := start.AddDate(1, 0, 0)
		var facts policy.Facts
		fold(events[:k], stored).Put(&facts)
		var again policy.Facts
		if err := vault.DecodeState(vault.EncodeState(&facts), &again); err != nil {
			t.Fatal(err)
		}
		state := consent.Of(&again)
		for i := range events[k:] {
			before := clone(state)
			next := consent.Apply(state, &events[k+i])
			if !reflect.DeepEqual(before, state) {
				t.Fatal("Apply changed the state it was given")
			}
			state = next
		}
		state = consent.Expire(state, at)
		if want := fold(events, at); !same(state, want) {
			t.Fatalf("incremental %+v\nwhole       %+v", state, want)
		}
	})
}

func clone(s consent.State) consent.State {
	s.Consents, s.Accepted = slices.Clone(s.Consents), slices.Clone(s.Accepted)
	for i := range s.Consents {
		c := &s.Consents[i]
		c.Topics, c.Channels = slices.Clone(c.Topics), slices.Clone(c.Channels)
		c.RefusedTopics, c.RefusedChannels = slices.Clone(c.RefusedTopics), slices.Clone(c.RefusedChannels)
	}
	return s
}

func same(a, b consent.State) bool {
	if len(a.Consents)+len(b.Consents) > 0 && !reflect.DeepEqual(a.Consents, b.Consents) {
		return false
	}
	return len(a.Accepted)+len(b.Accepted) == 0 || reflect.DeepEqual(a.Accepted, b.Accepted)
}

func permits(c policy.Consent) bool {
	return (c.State == policy.StateGiven || c.State == policy.StateIndicated) && !c.Objected
}

// Whatever went before, and however badly it is evidenced: no means no, from
// then on, until the person says yes.
func TestNoMeansNo(t *testing.T) {
	gen := anyEvents()
	rapid.Check(t, func(t *rapid.T) {
		events := gen.Draw(t, "events")
		at := start
		if len(events) > 0 {
			at = events[len(events)-1].At
		}
		no := anyEvent(t, 99, at.Add(-time.Duration(rapid.IntRange(0, 99).Draw(t, "late"))*time.Hour))
		no.Purpose, no.Document = "marketing", ""
		no.Action = rapid.SampledFrom([]abide.ConsentAction{abide.ConsentRefused, abide.ConsentWithdrawn, abide.ConsentObjected}).Draw(t, "no")
		state := consent.Apply(fold(events, at), &no)
		c := state.Find("marketing")
		if len(no.Topics)+len(no.Channels) == 0 && permits(c) {
			t.Fatalf("permits after %s: %+v", no.Action, c)
		}
		for _, topic := range no.Topics {
			if !slices.Contains(c.RefusedTopics, topic) {
				t.Fatalf("topic %s is not refused: %+v", topic, c)
			}
		}
		for _, channel := range no.Channels {
			if !slices.Contains(c.RefusedChannels, channel) {
				t.Fatalf("channel %s is not refused: %+v", channel, c)
			}
		}
		for n, silent := range []abide.ConsentAction{abide.ConsentAsked, abide.ConsentTold, abide.ConsentExpired, abide.ConsentRenewed} {
			e := abide.ConsentEvent{N: uint64(100 + n), At: at.Add(time.Hour), Action: silent, Purpose: "marketing", Terms: "A", Grade: abide.GradeProved, Expires: at.AddDate(9, 0, 0)}
			state = consent.Apply(state, &e)
		}
		after := state.Find("marketing")
		if permits(after) && !permits(c) || len(after.RefusedTopics) < len(c.RefusedTopics) {
			t.Fatalf("silence undid a no: %+v became %+v", c, after)
		}
	})
}

// Events carry their own time, and may arrive in any order. None permits what
// the order in which they were said does not. A yes that comes after something
// later is not taken in: Next refuses it as out of order.
func TestOrderOfArrivalPermitsNothing(t *testing.T) {
	gen := anyEvents()
	permitted := 0
	rapid.Check(t, func(t *rapid.T) {
		said := gen.Draw(t, "events")
		for i := range said {
			said[i].At = said[i].At.Add(time.Duration(i) * time.Minute) // no two at once: their order is told by nothing else
			said[i].Grade, said[i].Evidence.WordingHash = abide.GradeProved, strings.Repeat("a", 64)
		}
		last := map[abide.Purpose]time.Time{}
		arrived := slices.DeleteFunc(rapid.Permutation(said).Draw(t, "arrived"), func(e abide.ConsentEvent) bool {
			late := e.At.Before(last[e.Purpose])
			if !late {
				last[e.Purpose] = e.At
			}
			yes := []abide.ConsentAction{abide.ConsentGiven, abide.ConsentIndicated, abide.ConsentRenewed, abide.ConsentObjectionLifted}
			return late && slices.Contains(yes, e.Action)
		})
		said = slices.SortedFunc(slices.Values(arrived), func(a, b abide.ConsentEvent) int { return a.At.Compare(b.At) })
		at := start.AddDate(0, 0, rapid.IntRange(0, 30).Draw(t, "day"))
		for _, got := range fold(arrived, at).Consents {
			if !permits(got) {
				continue
			}
			permitted++
			want := fold(said, at)
			c := want.Find(got.Purpose)
			if !permits(c) {
				t.Fatalf("permits %+v; in the order in which it was said: %+v", got, c)
			}
			for _, topic := range c.RefusedTopics {
				if !slices.Contains(got.RefusedTopics, topic) {
					t.Fatalf("permits topic %s of %+v; in the order in which it was said: %+v", topic, got, c)
				}
			}
		}
	})
	if permitted == 0 {
		t.Fatal("nothing was ever permitted")
	}
}

// Without an act of the person, nothing is ever permitted.
func TestSilenceIsNothing(t *testing.T) {
	gen := anyEvents()
	rapid.Check(t, func(t *rapid.T) {
		events := slices.DeleteFunc(gen.Draw(t, "events"), func(e abide.ConsentEvent) bool {
			return e.Action == abide.ConsentGiven || e.Action == abide.ConsentIndicated
		})
		for _, c := range fold(events, start.AddDate(0, 0, rapid.IntRange(0, 30).Draw(t, "day"))).Consents {
			if permits(c) {
				t.Fatalf("permits without any agreement: %+v", c)
			}
		}
	})
}
