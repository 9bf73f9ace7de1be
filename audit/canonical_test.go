package audit

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// The vectors of RFC 8785: section 3.2.2 (a document), section 3.2.3 (order of
// keys) and appendix B (numbers).
func TestCanonicalizeRFC8785(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"section 3.2.2", `{
			"numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
			"string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
			"literals": [null, true, false]
		}`, `{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}`},
		{"section 3.2.3", `{
			"\u20ac": "Euro Sign",
			"\r": "Carriage Return",
			"\ufb33": "Hebrew Letter Dalet With Dagesh",
			"1": "One",
			"\ud83d\ude00": "Emoji: Grinning Face",
			"\u0080": "Control",
			"\u00f6": "Latin Small Letter O With Diaeresis"
		}`, "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u0080\":\"Control\",\"ö\":\"Latin Small Letter O With Diaeresis\"," +
			"\"€\":\"Euro Sign\",\"😀\":\"Emoji: Grinning Face\",\"\ufb33\":\"Hebrew Letter Dalet With Dagesh\"}"},
		{"what Go would escape", `["<&>\u2028\u007f\b\t\f"]`, "[\"<&>\u2028\u007f\\b\\t\\f\"]"},
		{"empty", ` { } `, `{}`},
	} {
		got, err := Canonicalize([]byte(c.in))
		if err != nil || string(got) != c.want {
			t.Errorf("%s:\n got %s, %v\nwant %s", c.name, got, err, c.want)
		}
	}
	for hex, want := range map[string]string{
		"0000000000000000": "0", "8000000000000000": "0", "0000000000000001": "5e-324", "8000000000000001": "-5e-324",
		"7fefffffffffffff": "1.7976931348623157e+308", "ffefffffffffffff": "-1.7976931348623157e+308",
		"4340000000000000": "9007199254740992", "c340000000000000": "-9007199254740992",
		"4430000000000000": "295147905179352830000", "44b52d02c7e14af5": "9.999999999999997e+22",
		"44b52d02c7e14af6": "1e+23", "44b52d02c7e14af7": "1.0000000000000001e+23",
		"444b1ae4d6e2ef4e": "999999999999999700000", "444b1ae4d6e2ef4f": "999999999999999900000",
		"444b1ae4d6e2ef50": "1e+21", "3eb0c6f7a0b5ed8c": "9.999999999999997e-7", "3eb0c6f7a0b5ed8d": "0.000001",
		"41b3de4355555553": "333333333.3333332", "41b3de4355555554": "333333333.33333325",
		"41b3de4355555555": "333333333.3333333", "41b3de4355555556": "333333333.3333334",
		"41b3de4355555557": "333333333.33333343", "becbf647612f3696": "-0.0000033333333333333333",
		"43143ff3c1cb0959": "1424953923781206.2",
	} {
		bits, err := strconv.ParseUint(hex, 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		in := strconv.FormatFloat(math.Float64frombits(bits), 'g', -1, 64)
		if got, err := Canonicalize([]byte(in)); err != nil || string(got) != want {
			t.Errorf("%s: got %s, %v, want %s", hex, got, err, want)
		}
	}
}

func TestCanonicalizeRefuses(t *testing.T) {
	for name, in := range map[string]string{
		"a key twice": `{"a":1,"b":2,"a":3}`, "the same key escaped": `{"a":1,"\u0061":2}`,
		"not UTF-8": "\"\xff\"", "a second value": `{} {}`, "nothing": ``, "a cut object": `{"a":`,
		"beyond a double": `1e400`, "too deep": string(bytes.Repeat([]byte("["), 300)) + string(bytes.Repeat([]byte("]"), 300)),
	} {
		if got, err := Canonicalize([]byte(in)); err == nil {
			t.Errorf("%s: got %s, want an error", name, got)
		}
	}
}

// What is canonical stays as it is, and means what it meant.
func TestCanonicalizeIsIdempotent(t *testing.T) {
	value := rapid.Deferred(func() *rapid.Generator[any] { return jsonValue(3) })
	rapid.Check(t, func(t *rapid.T) {
		v := value.Draw(t, "v")
		one, err := Canonical(v)
		if err != nil {
			t.Fatal(err)
		}
		two, err := Canonicalize(one)
		if err != nil || !bytes.Equal(one, two) {
			t.Fatalf("%s became %s, %v", one, two, err)
		}
		var back, want any
		plain, err := json.Marshal(v)
		if err != nil || json.Unmarshal(one, &back) != nil || json.Unmarshal(plain, &want) != nil {
			t.Fatal("does not decode")
		}
		a, errA := json.Marshal(back)
		b, errB := json.Marshal(want)
		if errA != nil || errB != nil || !bytes.Equal(a, b) {
			t.Fatalf("%s means %s, not %s", one, a, b)
		}
	})
}

func jsonValue(depth int) *rapid.Generator[any] {
	scalar := rapid.OneOf(rapid.String().AsAny(), rapid.Float64Range(1e-300, 1e300).AsAny(), rapid.Bool().AsAny(), rapid.Int32().AsAny(), rapid.Just[any](nil))
	if depth == 0 {
		return scalar
	}
	return rapid.OneOf(scalar,
		rapid.SliceOfN(jsonValue(depth-1), 0, 4).AsAny(),
		rapid.MapOfN(rapid.String(), jsonValue(depth-1), 0, 4).AsAny())
}

func FuzzCanonicalize(f *testing.F) {
	f.Add([]byte(`{"b":[1,2.50,"x"],"a":null}`))
	f.Add([]byte(`"\ud83d\ude00"`))
	f.Fuzz(func(t *testing.T, in []byte) {
		one, err := Canonicalize(in)
		if err != nil {
			return
		}
		two, err := Canonicalize(one)
		if err != nil || !bytes.Equal(one, two) {
			t.Fatalf("%q became %q, then %q (%v)", in, one, two, err)
		}
	})
}
