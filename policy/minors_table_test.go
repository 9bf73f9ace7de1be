package policy_test

import (
	"os"
	"strings"
	"testing"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy"
)

const minorsRules = `document "privacy" { controller = "Example Ltd, GB" }
data "person" {
  email = "e-mail address"
  birth = { words = "birth date", format = date }
}
purpose "deliver" {
  uses  = [person.email, person.birth]
  basis = contract
  keep  = obtained + 12 * months
}
purpose "linking" {
  uses  = [person.email]
  basis = consent
  lasts = given + 24 * months
  keep  = consent.ended
}
purpose "marketing" {
  contacts = [person.email]
  basis    = consent
  lasts    = given + 24 * months
  keep     = consent.ended
}
purpose "books" {
  uses  = [person.email]
  basis = law("GB", "Companies Act 2006 s.388")
  keep  = obtained + 72 * months
}
service "shop" {
  needs  = [person.email]
  serves = [deliver]
}
service "club" {
  needs  = [person.email]
  serves = [deliver]
  minors = true
}
minors { closed = [marketing] }
`

// asksOf are the columns of the table, from the fourth on.
var asksOf = []policy.Request{
	{Act: abide.ActCollect, Purpose: "deliver", Service: "club"},
	{Act: abide.ActCollect, Purpose: "deliver", Service: "shop"},
	{Act: abide.ActUse, Purpose: "deliver"},
	{Act: abide.ActUse, Purpose: "linking"},
	{Act: abide.ActContact, Purpose: "marketing", Channel: "email"},
	{Act: abide.ActCollect, Purpose: "books"},
}

var (
	saysOf  = map[string]bool{"nothing": false, "a minor": true}
	bornsOf = map[string]abide.Date{
		"not known": {},
		"12 years, the day before the 13th birthday": {Year: 2013, Month: 11, Day: 26},
		"13 years today": {Year: 2013, Month: 11, Day: 25},
		"17 years, the day before the 18th birthday": {Year: 2008, Month: 11, Day: 26},
		"18 years today": {Year: 2008, Month: 11, Day: 25},
	}
	guardiansOf = map[string]policy.Guardian{
		"none":                        {},
		"named, not verified":         {Consents: []abide.Purpose{"linking", "marketing"}},
		"verified, agreed to nothing": {Verified: true},
		"verified, agreed":            {Verified: true, Consents: []abide.Purpose{"linking", "marketing"}},
	}
	minorCodes = map[abide.ReasonCode]string{abide.DenyMinor: "minor", abide.DenyMinorNoGuardian: "guardian"}
)

// TestMinorsTable asks for each cell of spec/minors.md; every declaration, age
// and guardian is in it with every other.
func TestMinorsTable(t *testing.T) {
	p, found := compiled(t, shippedLaws(t), minorsRules)
	failOn(t, found)
	text, err := os.ReadFile("../spec/minors.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		says, ok := saysOf[cells[0]]
		if !ok {
			continue
		}
		born, isBorn := bornsOf[cells[1]]
		guardian, isGuardian := guardiansOf[cells[2]]
		if !isBorn || !isGuardian || len(cells) != 3+len(asksOf) {
			t.Fatalf("a row that cannot be read: %s", line)
		}
		seen[strings.Join(cells[:3], "|")] = true
		for i, req := range asksOf {
			if got := whatMinorsGet(p, says, born, guardian, req); got != cells[3+i] {
				t.Errorf("%s: for %s %s the table says %q, it is %q", strings.Join(cells[:3], ", "), req.Act, req.Purpose, cells[3+i], got)
			}
		}
	}
	if want := len(saysOf) * len(bornsOf) * len(guardiansOf); len(seen) != want {
		t.Errorf("%d rows of %d", len(seen), want)
	}
}

// whatMinorsGet is a cell of the table.
func whatMinorsGet(p *policy.Policy, says bool, born abide.Date, g policy.Guardian, req policy.Request) string {
	at := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	f := &policy.Facts{Kind: abide.Person, Status: abide.StatusActive, Residence: "GB", BirthDate: born, DeclaredMinor: says, Guardian: g}
	for _, purpose := range []abide.Purpose{"linking", "marketing"} {
		terms, _ := p.Terms(purpose, f, at)
		f.Consents = append(f.Consents, policy.Consent{Purpose: purpose, State: policy.StateGiven, Terms: terms.Digest(), Grade: abide.GradeProved,
			Separate: true, Since: at.AddDate(0, -1, 0)})
	}
	for _, s := range []abide.Service{"shop", "club"} {
		f.Services = append(f.Services, policy.Taking{Service: s, Since: at.AddDate(0, -1, 0)})
	}
	req.At, req.Actor = at, abide.Actor{Kind: abide.ActorService, Name: "app", Purposes: []abide.Purpose{"deliver", "linking", "marketing", "books"}}
	req.Categories = []abide.Category{"person.email"}
	d := p.Decide(f, &policy.Register{}, &req)
	if d.Allowed() {
		return "yes"
	}
	var codes []string
	for _, r := range d.Reasons {
		code, ok := minorCodes[r.Code]
		if !ok {
			code = string(r.Code)
		}
		codes = append(codes, code)
	}
	return strings.Join(codes, ", ")
}
