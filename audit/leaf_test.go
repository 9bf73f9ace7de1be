package audit

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	abide "github.com/abide-privacy/abide"
)

var update = flag.Bool("update", false, "rewrite testdata/vectors.json")

func example() (*Part, *Envelope) {
	id, err := abide.ParseSubjectID("01890a5d-ac96-774b-bcce-b302099a8057")
	if err != nil {
		panic(err)
	}
	p := &Part{Subject: id, N: 7, Reason: "customer asked where the parcel is",
		Items: []Item{{Category: "person.phone", ID: abide.SubjectID{1}, Version: 2, Digest: "ab"}}}
	e := &Envelope{Kind: Looked, At: time.Date(2026, 3, 1, 9, 30, 0, 5e6, time.FixedZone("HKT", 8*3600)),
		Actor: Who{Kind: abide.ActorStaff, Name: "staff-17", Role: "care"}, Purpose: "provide", Act: "read",
		Categories: []abide.Category{"person.phone"}, Effect: "permit", Policy: "sha256:00",
		Reasons: []Ground{{Code: abide.PermitContract, Clause: "privacy#C05"}}}
	return p, e
}

func fixedRandom() (r [2 * randomSize]byte) {
	for i := range r {
		r[i] = byte(i)
	}
	return r
}

// vector is one test vector of spec/log-entry.md: whoever implements the form
// elsewhere checks against it.
type vector struct {
	Random     string `json:"random"`   // r1 and r2, hex
	Part       string `json:"part"`     // exactly these bytes
	Envelope   string `json:"envelope"` // exactly these bytes
	Commitment string `json:"commitment"`
}

func TestVectors(t *testing.T) {
	r := fixedRandom()
	p, e := example()
	system := &Envelope{Kind: Published, At: e.At, Actor: Who{Kind: abide.ActorStaff, Name: "lead"}, Object: "sha256:00"}
	var got []vector
	for _, entry := range []struct {
		p *Part
		e *Envelope
	}{{p, e}, {&Part{}, system}} {
		leaf, err := newLeaf(r, entry.p, entry.e)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, vector{hex.EncodeToString(r[:]), string(Body(leaf.Part)), string(Body(leaf.Envelope)), hex.EncodeToString(leaf.Commitment[:])})
	}
	const file = "testdata/vectors.json"
	text, err := json.MarshalIndent(got, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(file, append(text, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != string(text)+"\n" {
		t.Errorf("entries no longer commit to what they did; old leaves would not prove.\ngot %s\nwant %s", text, want)
	}
}

func TestEitherPartProvesTheLeafAlone(t *testing.T) {
	p, e := example()
	leaf, err := NewLeaf(p, e)
	if err != nil {
		t.Fatal(err)
	}
	gotP, h, err := OpenPart(leaf.Part)
	if err != nil || h != leaf.Commitment || !reflect.DeepEqual(gotP, p) {
		t.Errorf("subject's part: %+v, %v", gotP, err)
	}
	gotE, h, err := OpenEnvelope(leaf.Envelope)
	want := *e
	want.At = e.At.UTC()
	if err != nil || h != leaf.Commitment || !reflect.DeepEqual(gotE, &want) {
		t.Errorf("envelope: %+v, %v", gotE, err)
	}
}

func TestAnyChangedByteBreaksTheProof(t *testing.T) {
	p, e := example()
	leaf, err := NewLeaf(p, e)
	if err != nil {
		t.Fatal(err)
	}
	for name, part := range map[string][]byte{"part": leaf.Part, "envelope": leaf.Envelope} {
		for i := range part {
			forged := bytes.Clone(part)
			forged[i] ^= 1
			open := func(b []byte) (Hash, error) { _, h, err := OpenPart(b); return h, err }
			if name == "envelope" {
				open = func(b []byte) (Hash, error) { _, h, err := OpenEnvelope(b); return h, err }
			}
			if h, err := open(forged); err == nil && h == leaf.Commitment {
				t.Fatalf("%s: byte %d changed and it still proves", name, i)
			}
		}
	}
	if _, h, err := OpenPart(leaf.Envelope); err == nil && h == leaf.Commitment {
		t.Error("an envelope passes as a subject's part")
	}
	for _, short := range [][]byte{nil, leaf.Part[:63]} {
		if _, _, err := OpenPart(short); err == nil {
			t.Error("a cut part opens")
		}
	}
}

// Nothing may be guessed from a leaf: the same entry twice gives unrelated
// leaves, and either half of the randomness alone changes it.
func TestLeavesHideTheirEntries(t *testing.T) {
	p, e := example()
	a, errA := NewLeaf(p, e)
	b, errB := NewLeaf(p, e)
	if errA != nil || errB != nil || a.Commitment == b.Commitment {
		t.Fatal("equal entries give equal leaves")
	}
	r := fixedRandom()
	base, err := newLeaf(r, p, e)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{0, randomSize} {
		other := r
		other[i] ^= 1
		leaf, err := newLeaf(other, p, e)
		if err != nil || leaf.Commitment == base.Commitment {
			t.Errorf("randomness at %d is not in the leaf (%v)", i, err)
		}
	}
	if bytes.Contains(a.Envelope, a.Part[:randomSize]) || bytes.Contains(a.Part, a.Envelope[:randomSize]) {
		t.Error("one part holds the other's randomness, so the other can be guessed from it")
	}
}

func TestEnvelopeNamesNoSubject(t *testing.T) {
	for _, kind := range []abide.ActorKind{abide.ActorSubject, abide.ActorGuardian} {
		e := &Envelope{Kind: Looked, Actor: Who{Kind: kind, Name: "somebody"}}
		if _, err := NewLeaf(&Part{}, e); err == nil {
			t.Errorf("%s named in an envelope", kind)
		}
		if who := WhoIs(&abide.Actor{Kind: kind, Name: "somebody"}); who.Name != "" {
			t.Errorf("WhoIs names a %s", kind)
		}
	}
	if who := WhoIs(&abide.Actor{Kind: abide.ActorStaff, Name: "s", Role: "care"}); who != (Who{abide.ActorStaff, "s", "care"}) {
		t.Errorf("staff: %+v", who)
	}
}

func TestUnknownKindAndFieldAreRefused(t *testing.T) {
	if _, err := NewLeaf(&Part{}, &Envelope{Kind: "peeked"}); err == nil {
		t.Error("an unknown kind was accepted")
	}
	p, e := example()
	leaf, err := NewLeaf(p, e)
	if err != nil {
		t.Fatal(err)
	}
	newer := bytes.Replace(leaf.Part, []byte(`{"items"`), []byte(`{"from_the_future":1,"items"`), 1)
	if _, _, err := OpenPart(newer); err == nil {
		t.Error("a part with an unknown field decoded as if it were not there")
	}
}

func TestDecisionFillsEnvelope(t *testing.T) {
	var e Envelope
	e.Decision(&abide.Decision{PolicyVersion: "v", Reasons: []abide.Reason{{Code: abide.DenyNever, Clause: "privacy#C13", Text: "prose", Category: "person.email"}}})
	want := Envelope{Effect: "deny", Policy: "v", Reasons: []Ground{{abide.DenyNever, "privacy#C13", "person.email"}}}
	if !reflect.DeepEqual(e, want) {
		t.Errorf("got %+v", e)
	}
}

// parts draws parts with every field, JSON and times among them.
var parts = rapid.MakeCustom[Part](rapid.MakeConfig{Types: map[reflect.Type]*rapid.Generator[any]{
	reflect.TypeFor[json.RawMessage](): rapid.SampledFrom([]any{json.RawMessage(nil), json.RawMessage(`{"b":1,"a":[null,"x"]}`), json.RawMessage(`{}`)}),
	reflect.TypeFor[time.Time](): rapid.Custom(func(t *rapid.T) any {
		return time.Unix(rapid.Int64Range(0, 1<<37).Draw(t, "sec"), rapid.Int64Range(0, 999999999).Draw(t, "ns")).UTC()
	}),
	reflect.TypeFor[uint64](): rapid.Uint64Range(0, 1<<53-1).AsAny(),
}})

// The direct encoders write what Canonical writes, whatever the fields hold.
func TestEncodersAreCanonical(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := parts.Draw(t, "part")
		want, err := Canonical(&p)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := encodePart(&p); !ok || !bytes.Equal(got, want) {
			t.Fatalf("part\n got %s\nwant %s", got, want)
		}
		e := Envelope{
			Kind: Kind(rapid.String().Draw(t, "kind")), At: time.Unix(rapid.Int64Range(0, 1<<37).Draw(t, "sec"), rapid.Int64Range(0, 999999999).Draw(t, "ns")).UTC(),
			Actor: rapid.Make[Who]().Draw(t, "actor"), Purpose: rapid.Make[abide.Purpose]().Draw(t, "purpose"), Act: rapid.String().Draw(t, "act"),
			Categories: rapid.Make[[]abide.Category]().Draw(t, "categories"), Recipient: rapid.Make[abide.Recipient]().Draw(t, "recipient"),
			Effect: rapid.String().Draw(t, "effect"), Reasons: rapid.Make[[]Ground]().Draw(t, "reasons"), Policy: rapid.String().Draw(t, "policy"),
			Object: rapid.String().Draw(t, "object"), Count: rapid.Int64Range(0, 1<<50).Draw(t, "count"),
		}
		if want, err = Canonical(&e); err != nil {
			t.Fatal(err)
		}
		if got, ok := encodeEnvelope(&e); !ok || !bytes.Equal(got, want) {
			t.Fatalf("envelope\n got %s\nwant %s", got, want)
		}
	})
	if n := reflect.TypeFor[Envelope]().NumField(); n != 12 {
		t.Errorf("Envelope has %d fields: draw and encode the new one", n)
	}
}

func TestBadStringsAreRefused(t *testing.T) {
	e := &Envelope{Kind: Looked}
	for name, entry := range map[string]struct {
		p *Part
		e *Envelope
	}{
		"reason":   {&Part{Reason: "\xff"}, e},
		"category": {&Part{}, &Envelope{Kind: Looked, Categories: []abide.Category{"\xff"}}},
		"item":     {&Part{Items: []Item{{Category: "\xff"}}}, e},
		"actor":    {&Part{}, &Envelope{Kind: Looked, Actor: Who{Role: "\xff"}}},
		"count":    {&Part{}, &Envelope{Kind: Looked, Count: -1}},
		"year":     {&Part{}, &Envelope{Kind: Looked, At: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}},
		"number":   {&Part{N: 1 << 60}, e},
	} {
		if _, err := NewLeaf(entry.p, entry.e); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func BenchmarkNewLeaf(b *testing.B) {
	p, e := example()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := NewLeaf(p, e); err != nil {
			b.Fatal(err)
		}
	}
}
