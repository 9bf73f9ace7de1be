package vault_test

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/vault"
	"github.com/abide-privacy/abide/internal/wire"
	"github.com/abide-privacy/abide/policy"
)

// fill sets a value, and all within it, to something that is not zero. n makes
// every value another.
func fill(t *testing.T, v reflect.Value, n *int) {
	t.Helper()
	*n++
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("word-%d", *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int:
		v.SetInt(int64(*n%27 + 1))
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(t, v.Index(i), n)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Unix(1700000000+int64(*n)*3600, int64(*n)).UTC()))
			return
		}
		for i := range v.NumField() {
			fill(t, v.Field(i), n)
		}
	case reflect.Array: // an id
		*n++
		for i := range v.Len() {
			v.Index(i).SetUint(uint64(*n + i))
		}
	default:
		t.Fatalf("policy.Facts holds a %s: teach this test, and the state codec, about it", v.Kind())
	}
}

// walk calls f with every leaf of a filled value, by its path, settable.
func walk(v reflect.Value, path string, f func(path string, v reflect.Value)) {
	switch {
	case v.Kind() == reflect.Struct && v.Type() != reflect.TypeFor[time.Time]():
		for i := range v.NumField() {
			walk(v.Field(i), path+"."+v.Type().Field(i).Name, f)
		}
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			walk(v.Index(i), fmt.Sprintf("%s[%d]", path, i), f)
		}
	default:
		f(path, v)
	}
}

func roundTrip(f *policy.Facts) (policy.Facts, error) {
	var got policy.Facts
	err := vault.DecodeState(vault.EncodeState(f), &got)
	return got, err
}

// Every field of policy.Facts survives a round trip, found by reflection: a
// field that the codec does not know fails here.
func TestEveryFieldOfFactsSurvives(t *testing.T) {
	full := func() *policy.Facts {
		var f policy.Facts
		n := 0
		fill(t, reflect.ValueOf(&f).Elem(), &n)
		return &f
	}
	if got, err := roundTrip(full()); err != nil || !reflect.DeepEqual(&got, full()) {
		t.Fatalf("got  %+v\nwant %+v\n%v", got, full(), err)
	}
	leaves := 0
	f := full()
	walk(reflect.ValueOf(f).Elem(), "Facts", func(path string, v reflect.Value) {
		leaves++
		old := reflect.New(v.Type()).Elem()
		old.Set(v)
		v.SetZero()
		if got, err := roundTrip(f); err != nil || !reflect.DeepEqual(&got, f) {
			t.Errorf("%s alone zero does not survive (%v)", path, err)
		}
		v.Set(old)
	})
	if leaves < 60 {
		t.Errorf("only %d leaves found in policy.Facts: the walk misses some", leaves)
	}
	if got, err := roundTrip(&policy.Facts{}); err != nil || !reflect.DeepEqual(got, policy.Facts{}) {
		t.Errorf("empty facts: %+v, %v", got, err)
	}
}

func factsGen() *rapid.Generator[policy.Facts] {
	instant := rapid.Custom(func(t *rapid.T) time.Time {
		if rapid.Bool().Draw(t, "zero") {
			return time.Time{}
		}
		return time.Unix(rapid.Int64Range(-1e10, 1e10).Draw(t, "sec"), rapid.Int64Range(0, 999999999).Draw(t, "ns")).UTC()
	})
	names := rapid.SampledFrom([]string{"", "a", "marketing", "sha256:00", "person.email"})
	list := func(t *rapid.T, label string) []string {
		l := rapid.SliceOfN(names, 0, 3).Draw(t, label)
		if len(l) == 0 {
			return nil
		}
		return l
	}
	consent := rapid.Custom(func(t *rapid.T) policy.Consent {
		return policy.Consent{Purpose: abide.Purpose(names.Draw(t, "purpose")),
			State: rapid.SampledFrom([]policy.ConsentState{"", policy.StateAsked, policy.StateGiven, policy.StateWithdrawn, "new-word"}).Draw(t, "state"),
			Grade: rapid.SampledFrom([]abide.Grade{"", abide.GradeProved, abide.GradeUnknown}).Draw(t, "grade"),
			Told:  rapid.Bool().Draw(t, "told"), Terms: names.Draw(t, "terms"), ToldTerms: names.Draw(t, "told terms"),
			Separate: rapid.Bool().Draw(t, "separate"), Objected: rapid.Bool().Draw(t, "objected"),
			Expires: instant.Draw(t, "expires"), Since: instant.Draw(t, "since"), Last: instant.Draw(t, "last"),
			Topics: conv[abide.Topic](list(t, "topics")), RefusedTopics: conv[abide.Topic](list(t, "refused topics")),
			Channels: conv[abide.Channel](list(t, "channels")), RefusedChannels: conv[abide.Channel](list(t, "refused channels"))}
	})
	return rapid.Custom(func(t *rapid.T) policy.Facts {
		f := policy.Facts{Kind: rapid.SampledFrom([]abide.SubjectKind{"", abide.Person, abide.Visitor, abide.Other}).Draw(t, "kind"),
			Status:    rapid.SampledFrom([]abide.Status{"", abide.StatusActive, abide.StatusErased}).Draw(t, "status"),
			Residence: abide.Place(names.Draw(t, "residence")), DeclaredMinor: rapid.Bool().Draw(t, "minor"),
			Restricted: rapid.Bool().Draw(t, "restricted")}
		if c := rapid.SliceOfN(consent, 0, 4).Draw(t, "consents"); len(c) > 0 {
			f.Consents = c
		}
		return f
	})
}

func conv[T ~string](list []string) []T {
	if list == nil {
		return nil
	}
	out := make([]T, len(list))
	for i, s := range list {
		out[i] = T(s)
	}
	return out
}

func TestFactsRoundTrip(t *testing.T) {
	gen := factsGen()
	rapid.Check(t, func(t *rapid.T) {
		f := gen.Draw(t, "facts")
		got, err := roundTrip(&f)
		if err != nil || !reflect.DeepEqual(got, f) {
			t.Fatalf("got  %+v\nwant %+v\n%v", got, f, err)
		}
		if !bytes.Equal(vault.EncodeState(&got), vault.EncodeState(&f)) {
			t.Fatal("equal facts give different bytes")
		}
	})
}

// A state that a later version wrote is refused: a field that is not
// understood may be the one that refuses.
func TestNewerStateIsRefused(t *testing.T) {
	good := vault.EncodeState(&policy.Facts{Kind: abide.Person})
	for name, b := range map[string][]byte{
		"a later form":                 {2},
		"an unknown field":             {1, 0x80, 0x80, 0x04},
		"an unknown word":              {1, 0x01, 0xc8},
		"an unknown field of consents": {1, 0x80, 0x10, 1, 0x80, 0x80, 0x04, 0, 0, 0},
	} {
		var f policy.Facts
		if err := vault.DecodeState(b, &f); !errors.Is(err, wire.ErrNewer) {
			t.Errorf("%s: %v, want ErrNewer", name, err)
		}
	}
	for i := range good {
		var f policy.Facts
		if err := vault.DecodeState(good[:i], &f); err == nil {
			t.Errorf("cut after %d bytes: accepted", i)
		}
	}
	var f policy.Facts
	if err := vault.DecodeState(append(good, 0), &f); !errors.Is(err, wire.ErrDamaged) {
		t.Errorf("bytes left over: %v", err)
	}
}

// What decodes means the same after another round trip; nothing panics or asks
// for memory that the input could not fill.
func FuzzDecodeState(f *testing.F) {
	f.Add(vault.EncodeState(typicalFacts()))
	f.Add(vault.EncodeState(&policy.Facts{}))
	f.Fuzz(func(t *testing.T, in []byte) {
		var a policy.Facts
		if vault.DecodeState(in, &a) != nil {
			return
		}
		var b policy.Facts
		if err := vault.DecodeState(vault.EncodeState(&a), &b); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(vault.EncodeState(&a), vault.EncodeState(&b)) {
			t.Fatalf("%+v became %+v", a, b)
		}
	})
}

// typicalFacts are those of a customer with consents to five purposes.
func typicalFacts() *policy.Facts {
	at := time.Date(2026, 2, 3, 4, 5, 6, 789e6, time.UTC)
	digest := "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	f := &policy.Facts{Kind: abide.Person, Status: abide.StatusActive, Residence: "HK", Whereabouts: "HK",
		BirthDate: abide.Date{Year: 1990, Month: 4, Day: 2},
		Accepted:  []policy.Accepted{{Document: "agreement", Digest: digest, At: at}},
		Services:  []policy.Taking{{Service: "shop", Since: at}, {Service: "cloud", Since: at}},
		Events:    []policy.Event{{Anchor: "order.closed", Ref: "A-1", At: at}, {Anchor: "order.closed", Ref: "A-2", At: at}}}
	for _, p := range []abide.Purpose{"communicate", "marketing", "promotions", "provide", "statistics"} {
		f.Consents = append(f.Consents, policy.Consent{Purpose: p, State: policy.StateGiven, Told: true, Terms: digest, ToldTerms: digest,
			Grade: abide.GradeProved, Separate: true, Since: at, Last: at})
	}
	f.Consents[1].RefusedTopics = []abide.Topic{"events", "news"}
	return f
}

// The cost that every decision pays before it is made.
func BenchmarkDecodeState(b *testing.B) {
	state := vault.EncodeState(typicalFacts())
	b.ReportAllocs()
	var f policy.Facts
	for b.Loop() {
		if err := vault.DecodeState(state, &f); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(state)), "bytes/state")
}

func BenchmarkEncodeState(b *testing.B) {
	f := typicalFacts()
	b.ReportAllocs()
	for b.Loop() {
		vault.EncodeState(f)
	}
}
