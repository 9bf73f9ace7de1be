package receipts

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/policy"
	"github.com/abide-privacy/abide/policy/load"
)

var update = flag.Bool("update", false, "write testdata anew, to be read before it is committed")

const notice = `# Quay
If you agree, news goes to your e-mail address, chosen by your health record, until you say no. Couriers get your e-mail address for news.
` + "```abide" + `
document "privacy" {
  controller = {
    name    = "Quay Ltd"
    address = { street = "1 Quay", city = "Cork", region = "Munster", postcode = "T12", country = "Ireland" }
    contact = "Privacy desk"
    email   = "privacy@quay.example"
    phone   = "+353 21 000 0000"
    url     = "https://quay.example"
  }
  stored_in = [IE]
  notice_at = "https://quay.example/policy"
  rights_at = "https://quay.example/privacy"
}
data "person" {
  email  = { words = "e-mail address", format = email }
  health = { words = "health record", dpv = HealthRecord }
}
purpose "news" {
  dpv       = DirectMarketing
  contacts  = [person.email]
  chosen_by = [person.health]
  basis     = consent
  keep      = consent.ended
  at_most   = obtained + 2 * years
  lasts     = given + 24 * months
}
recipient "couriers" {
  class   = partner
  members = [dispatch]
  gets    = { news = [person.email] }
}
service "letters" {
  needs  = [person.email]
  serves = [news]
}
` + "```\n"

// source is a receipt of somebody who lives in a place.
func source(t *testing.T, place abide.Place, within ...abide.Place) *Source {
	t.Helper()
	res := load.Load(fstest.MapFS{"privacy.md": {Data: []byte(notice)}}, nil, nil)
	if res.Policy == nil {
		t.Fatalf("%+v", res.Diagnostics)
	}
	terms, ok := res.Policy.Terms("news", &policy.Facts{Residence: place}, time.Time{})
	if !ok {
		t.Fatal("no terms")
	}
	id, err := abide.ParseSubjectID("01890a5d-ac96-774b-bcce-b302099a8057")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return &Source{Then: res.Policy, Now: res.Policy, Terms: &terms, Places: append([]abide.Place{place}, within...),
		PublicKey: "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=", Created: at.AddDate(0, 0, 1),
		Receipt: &audit.Receipt{ID: "01890a5d-ac96-774b-bcce-b302099a8058", Controller: "Quay", Subject: id, Event: 1, LogEntry: 2,
			Action: abide.ConsentGiven, Purpose: "news", Terms: terms.Digest(), Grade: abide.GradeProved, WordingHash: strings.Repeat("ab", 32),
			Language: "en", Separate: true, Source: "sign-up page", Jurisdiction: place, Policy: "sha256:00", Actor: audit.Who{Kind: abide.ActorSubject}, At: at}}
}

// TestForms holds each form against the file that a reader of the documents may
// look at.
func TestForms(t *testing.T) {
	for name, make := range map[string]func(*Source) (map[string]any, error){
		"record": (*Source).Record, "receipt": (*Source).ReceiptOf, "kantara": (*Source).Kantara} {
		doc, err := make(source(t, "IE", "EU"))
		if err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		enc := json.NewEncoder(&got)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		if err := enc.Encode(doc); err != nil {
			t.Fatal(err)
		}
		path := "testdata/" + name + ".json"
		if *update {
			if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil { //nolint:gosec // a fixture of this repository
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%s is not that of %s; -update writes it", name, path)
		}
	}
}

// TestOutsideOfEurope: the profile, the rights and the law are those of the place.
func TestOutsideOfEurope(t *testing.T) {
	s := source(t, "HK")
	rec, err := s.Record()
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := json.Marshal(rec)
	if rec["dct:conformsTo"] != audit.FormDPV+"record" || bytes.Contains(raw, []byte("eu-gdpr:A")) || bytes.Contains(raw, []byte("law-GDPR")) {
		t.Errorf("%s", raw)
	}
	s.Receipt.Action = abide.ConsentIndicated
	k, err := s.Kantara()
	if err != nil {
		t.Fatal(err)
	}
	if raw, _ := json.Marshal(k); !bytes.Contains(raw, []byte(`"consentType":"after being told, the person indicated no objection"`)) {
		t.Errorf("%s", raw)
	}
	for _, a := range []abide.ConsentAction{abide.ConsentTold, abide.ConsentObjected, abide.ConsentObjectionLifted, abide.ConsentAccepted} {
		s.Receipt.Action = a
		if _, err := s.Record(); abide.ErrorDetail(err) != "not_a_consent" {
			t.Errorf("%s: %v", a, err)
		}
	}
}

// TestTermsAreReal: each term of a vocabulary that is written is one that the
// vocabulary has.
func TestTermsAreReal(t *testing.T) {
	known := map[string]bool{"legal-eu:law-GDPR": true}
	raw, err := os.ReadFile("testdata/dpv-2.3.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		known[strings.TrimSpace(line)] = true
	}
	seen := map[string]bool{}
	terms := regexp.MustCompile(`"((?:dpv|pd|eu-gdpr|legal-eu):[^"]*)"`)
	for _, place := range []abide.Place{"EU", "HK"} {
		for _, action := range []abide.ConsentAction{abide.ConsentAsked, abide.ConsentGiven, abide.ConsentIndicated, abide.ConsentRenewed,
			abide.ConsentRefused, abide.ConsentWithdrawn, abide.ConsentExpired} {
			s := source(t, "IE", place)
			s.Receipt.Action, s.Receipt.Separate = action, action == abide.ConsentGiven
			if action == abide.ConsentRefused {
				s.Receipt.Actor.Kind, s.Receipt.Grade = abide.ActorGuardian, abide.GradeClaimed
			}
			doc, err := s.ReceiptOf()
			if err != nil {
				t.Fatal(err)
			}
			raw, _ := json.Marshal(doc)
			for _, m := range terms.FindAllSubmatch(raw, -1) {
				seen[string(m[1])] = true
			}
		}
	}
	for term := range seen {
		if !known[term] {
			t.Errorf("the vocabulary has no %s", term)
		}
	}
	if len(seen) < 60 {
		t.Errorf("only %d terms were looked at", len(seen))
	}
}

// TestTheDocumentNamesEveryField: the table of docs/receipts.md and the fields of
// a Kantara receipt are the same, and each row of that of TS 27560 names members
// that a record has.
func TestTheDocumentNamesEveryField(t *testing.T) {
	raw, err := os.ReadFile("../../docs/receipts.md")
	if err != nil {
		t.Fatal(err)
	}
	_, iso, _ := strings.Cut(string(raw), "## ISO/IEC TS 27560")
	iso, kantara, ok := strings.Cut(iso, "## Kantara")
	if !ok {
		t.Fatal("the document has no such sections")
	}
	s := source(t, "IE", "EU")
	k, err := s.Kantara()
	if err != nil {
		t.Fatal(err)
	}
	var fields, rows []string
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for name, inner := range v {
				if !slices.Contains(fields, name) {
					fields = append(fields, name)
				}
				if name != "address" {
					walk(inner)
				}
			}
		case []any:
			for _, inner := range v {
				walk(inner)
			}
		}
	}
	walk(k)
	lines := bufio.NewScanner(strings.NewReader(kantara))
	for lines.Scan() {
		if name, ok := strings.CutPrefix(lines.Text(), "| `"); ok {
			name, _, _ = strings.Cut(name, "`")
			rows = append(rows, name)
		}
	}
	slices.Sort(fields)
	slices.Sort(rows)
	if !slices.Equal(fields, rows) {
		t.Errorf("fields %v\nrows   %v", fields, rows)
	}
	rec, err := s.ReceiptOf()
	if err != nil {
		t.Fatal(err)
	}
	written, _ := json.Marshal(rec)
	n := 0
	for line := range strings.Lines(iso) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 || strings.Contains(cells[1], "field of") || strings.Contains(cells[1], "---") {
			continue
		}
		n++
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[2], -1) {
			if !bytes.Contains(written, []byte(`"`+m[1]+`"`)) {
				t.Errorf("%s: a receipt has no %s", strings.TrimSpace(cells[1]), m[1])
			}
		}
	}
	if n != 27 {
		t.Errorf("the table has %d rows", n)
	}
}
