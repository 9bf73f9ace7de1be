package policy_test

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"pgregory.net/rapid"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy"
	"github.com/abide-privacy/abide/policy/source"
)

// The vectors were made by another program (Python's json and hashlib), so
// that anybody can check a receipt's digest without this code.
func TestTermsVectors(t *testing.T) {
	raw, err := os.ReadFile("../spec/terms-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Name              string
		Terms             policy.Terms
		Canonical, Digest string
	}
	if err := json.Unmarshal(raw, &vectors); err != nil || len(vectors) < 6 {
		t.Fatal(err, len(vectors))
	}
	for _, v := range vectors {
		if got := string(v.Terms.Canonical()); got != v.Canonical {
			t.Errorf("%s: canonical form\n got %s\nwant %s", v.Name, got, v.Canonical)
		}
		if got := v.Terms.Digest(); got != v.Digest {
			t.Errorf("%s: digest %s, want %s", v.Name, got, v.Digest)
		}
		back, err := policy.ParseTerms([]byte(v.Canonical))
		if err != nil || back.Digest() != v.Digest {
			t.Errorf("%s: read back: %v, digest %s", v.Name, err, back.Digest())
		}
	}
}

func TestParseTermsRefusesOtherForms(t *testing.T) {
	for _, s := range []string{``, `{}`, `null`, `{"purpose":""}`, `{"purpose":"p"} `, ` {"purpose":"p"}`, `{"purpose":"p"}{}`,
		`{"purpose":"p","uses":[]}`, `{"purpose":"p","uses":["b","a"]}`, `{"purpose":"p","uses":["a","a"]}`,
		`{"uses":["a"],"purpose":"p"}`, `{"purpose":"p","more":1}`, `{"Purpose":"p"}`} {
		if _, err := policy.ParseTerms([]byte(s)); abide.ErrorDetail(err) != "bad_terms" {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func drawTerms(t *rapid.T) policy.Terms {
	names := rapid.SliceOfN(rapid.SampledFrom([]abide.Category{"a.a", "a.b", "b.c", "ü.ö", "z\"z"}), 0, 4)
	tm := policy.Terms{Purpose: "p", Uses: names.Draw(t, "uses"), Contacts: names.Draw(t, "contacts"), ChosenBy: names.Draw(t, "chosen"),
		Topics: rapid.SliceOfN(rapid.SampledFrom([]abide.Topic{"x", "y"}), 0, 2).Draw(t, "topics")}
	for _, r := range rapid.SliceOfN(rapid.SampledFrom([]abide.Recipient{"r", "s"}), 0, 3).Draw(t, "recipients") {
		tm.Recipients = append(tm.Recipients, policy.TermsRecipient{Recipient: r, Categories: names.Draw(t, "gets")})
	}
	return tm
}

// What is the same terms has the same bytes, and they can be read back;
// whatever is added to terms changes their digest.
func TestTermsCanonical(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tm := drawTerms(t)
		canonical := tm.Canonical()
		if !json.Valid(canonical) {
			t.Fatalf("not JSON: %s", canonical)
		}
		back, err := policy.ParseTerms(canonical)
		if err != nil || !bytes.Equal(back.Canonical(), canonical) {
			t.Fatalf("read back: %v\n%s\n%s", err, canonical, back.Canonical())
		}
		shuffled := tm
		shuffled.Uses = rapid.Permutation(tm.Uses).Draw(t, "shuffled")
		if shuffled.Digest() != tm.Digest() {
			t.Fatal("order counts")
		}
		wider := tm
		wider.Uses = append([]abide.Category{"new.row"}, tm.Uses...)
		if wider.Digest() == tm.Digest() {
			t.Fatal("a category more is the same terms")
		}
	})
}

func parsed(t testing.TB, text string, archive ...policy.Terms) *policy.Policy {
	t.Helper()
	set, _, found := source.Parse(fstest.MapFS{"privacy.md": {Data: []byte(text)}})
	failOn(t, found)
	p, found := policy.Compile(set, policy.Options{Laws: shippedLaws(t), Archive: archive})
	failOn(t, found)
	return p
}

const newsletter = `# News {#top}

We write about news, if you agree.

` + "```abide" + `
document "privacy" { controller = "News Ltd, HK" }
data "person" {
  email = "e-mail address"
  name  = "name"
  phone = "phone number"
}
purpose "news" {
  contacts = [person.email, person.name]
  topics   = [daily]
  basis    = consent
  keep     = consent.ended
}
` + "```\n"

// Prose is no part of terms: a typo asks nobody again. It is part of what is
// published, so the version changes.
func TestTyposChangeNoTerms(t *testing.T) {
	before := parsed(t, newsletter)
	typo := parsed(t, strings.Replace(newsletter, "about news", "about the news", 1))
	moved := parsed(t, strings.Replace(newsletter, "# News", "\n\n# News", 1))
	terms := func(p *policy.Policy) string { return p.AllTerms()[0].Digest() }
	if terms(before) != terms(typo) {
		t.Error("a changed word of prose changed the terms")
	}
	if before.Version() == typo.Version() {
		t.Error("a changed word of prose changed no version")
	}
	if before.Version() != moved.Version() {
		t.Error("empty lines changed the version")
	}
	for _, change := range [][2]string{{"[daily]", "[daily, weekly]"}, {"consent.ended", "consent.ended + 3 * days"},
		{"person.email, person.name", "person.email"}, {"basis    = consent", "offers = { own = [papers] }\n basis = consent"}} {
		if p := parsed(t, strings.Replace(newsletter, change[0], change[1], 1)); terms(p) == terms(before) {
			t.Errorf("%s changed no terms", change[1])
		} else if p.Version() == before.Version() {
			t.Errorf("%s changed no version", change[1])
		}
	}
}

// Whoever agreed to narrower terms is still permitted what those covered, and
// refused the rest with a reason of its own (issue 2, item 5).
func TestWidenedTerms(t *testing.T) {
	old := parsed(t, newsletter)
	wide := parsed(t, strings.NewReplacer("person.email, person.name", "person.email, person.name, person.phone", "[daily]", "[daily, weekly]").
		Replace(newsletter), old.AllTerms()...)
	f := adult()
	agreed(t, old, &f, "news", policy.StateGiven)
	cases := []struct {
		name      string
		topic     abide.Topic
		cats      []abide.Category
		permitted []abide.Category
		because   abide.ReasonCode
	}{
		{"what they covered", "daily", []abide.Category{"person.email", "person.name"}, []abide.Category{"person.email", "person.name"}, abide.PermitConsent},
		{"what is new", "daily", []abide.Category{"person.phone"}, nil, abide.DenyTermsNotCovered},
		{"both", "daily", []abide.Category{"person.email", "person.phone"}, []abide.Category{"person.email"}, abide.DenyTermsNotCovered},
		{"a new type of message", "weekly", []abide.Category{"person.email"}, nil, abide.DenyTermsNotCovered},
	}
	for _, c := range cases {
		req := ask(abide.ActContact, "news", c.cats...)
		req.Topic = c.topic
		d := wide.Decide(&f, nil, &req)
		if len(d.Permitted) != len(c.permitted) || len(d.Reasons) == 0 || d.Reasons[0].Code != c.because {
			t.Errorf("%s: permitted %v, reasons %v", c.name, d.Permitted, d.Reasons)
		}
	}
	forgotten := parsed(t, strings.Replace(newsletter, "person.email, person.name", "person.email", 1))
	req := ask(abide.ActContact, "news", "person.email")
	if d := forgotten.Decide(&f, nil, &req); d.Allowed() || d.Reasons[0].Code != abide.DenyTermsUnknown {
		t.Errorf("terms that nobody kept: %v", d.Reasons)
	}
}
