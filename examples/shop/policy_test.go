package shop_test

import (
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/examples"
	"github.com/abide-privacy/abide/laws"
	"github.com/abide-privacy/abide/policy"
	"github.com/abide-privacy/abide/policy/diag"
	"github.com/abide-privacy/abide/policy/load"
)

// Every clause of the sample policy is a thing the software does. For each, a
// test names decisions that its rules bring about; taking the rules of the
// clause out of the policy must then change one of these decisions, or the
// policy must no longer pass its check. Prose alone does nothing.

// now is when the cases take place.
var now = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// decision is a request about a person and what must come of it.
type decision struct {
	name    string
	person  func(p *policy.Policy) policy.Facts
	request policy.Request
	want    abide.Effect
	because abide.ReasonCode // for a denial: one of its reasons; for a permit: its ground
}

// sample returns the policy as it is published.
var sample = sync.OnceValue(func() *load.Result { return loadPolicy(files("")) })

func loadPolicy(fsys fs.FS) *load.Result {
	profiles, err := laws.Load()
	if err != nil {
		panic(err)
	}
	return load.Load(fsys, profiles, nil)
}

// files returns the sample policy, with the rules of one clause of privacy.md
// taken out.
func files(without string) fstest.MapFS {
	out := fstest.MapFS{}
	err := fs.WalkDir(examples.Shop(), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := fs.ReadFile(examples.Shop(), name)
		if err != nil {
			return err
		}
		if name == "privacy.md" && without != "" {
			text = []byte(withoutRules(string(text), without))
		}
		out[name] = &fstest.MapFile{Data: text}
		return nil
	})
	if err != nil {
		panic(err)
	}
	return out
}

// withoutRules drops the blocks of rules under the heading with the anchor.
func withoutRules(text, anchor string) string {
	var out []string
	inClause, inRules := false, false
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "## ") {
			inClause = strings.Contains(line, "{#"+anchor+"}")
		}
		if inClause && strings.HasPrefix(line, "```abide") {
			inRules = true
		}
		if !inRules {
			out = append(out, line)
		}
		if inRules && strings.HasPrefix(line, "```") && !strings.HasPrefix(line, "```abide") {
			inRules = false
		}
	}
	return strings.Join(out, "")
}

// clause judges the decisions of a clause, then takes its rules away.
func clause(t *testing.T, id string, decisions ...decision) {
	t.Helper()
	whole := sample()
	if whole.Diagnostics.HasErrors() {
		t.Fatalf("the sample policy does not pass its check: %s", first(whole.Diagnostics))
	}
	for _, d := range decisions {
		t.Run(d.name, func(t *testing.T) {
			got := d.decide(whole.Policy)
			if got.Effect != d.want || !hasReason(got, d.because) {
				t.Errorf("got %s %v, want %s because %s", got.Effect, codes(got), d.want, d.because)
			}
		})
	}
	t.Run("without its rules", func(t *testing.T) {
		less := loadPolicy(files(id))
		change := difference(whole, less, decisions)
		if change == "" {
			t.Errorf("clause %s decides nothing: without its rules every decision stays and the policy still passes its check", id)
		}
		t.Log(change)
	})
}

// difference says what the missing rules change: a named decision, or else an
// error of the check that was none before.
func difference(whole, less *load.Result, decisions []decision) string {
	if less.Policy != nil {
		for _, d := range decisions {
			was, is := d.decide(whole.Policy), d.decide(less.Policy)
			if was.Effect != is.Effect || !slices.Equal(codes(was), codes(is)) {
				return d.name + ": " + was.Effect.String() + " becomes " + is.Effect.String() + " because " + strings.Join(codes(is), ", ")
			}
		}
	}
	for _, d := range less.Diagnostics {
		if d.Severity == diag.Error {
			return string(d.Code) + ": " + d.Message
		}
	}
	return ""
}

func (d decision) decide(p *policy.Policy) abide.Decision {
	facts := d.person(p)
	req := d.request
	req.At = now
	if req.Actor.Kind == "" {
		req.Actor = abide.Actor{Kind: abide.ActorService, Name: "app", Purposes: []abide.Purpose{req.Purpose}}
	}
	return p.Decide(&facts, register(), &req)
}

// register is what the company knows of its helpers and staff.
func register() *policy.Register {
	year := 365 * 24 * time.Hour
	return &policy.Register{
		Members: []policy.Member{
			{Name: "quay-talk", Class: "affiliates"},
			{Name: "former-sister", Class: "affiliates", Left: now.Add(-time.Hour)},
			{Name: "swift-parcel", Class: "couriers"},
			{Name: "loud-ads", Class: "advertisers"},
		},
		Contracts: []policy.ContractFact{
			{Recipient: "quay-talk", Signed: now.Add(-year), Covers: []abide.Place{"EU", "HK"}},
			{Recipient: "former-sister", Signed: now.Add(-year), Covers: []abide.Place{"EU", "HK"}},
			{Recipient: "swift-parcel", Signed: now.Add(-year), Covers: []abide.Place{"EU"}},
			{Recipient: "loud-ads", Signed: now.Add(-year), Covers: []abide.Place{"EU"}},
			{Recipient: "partners", Signed: now.Add(-year), Covers: []abide.Place{"EU"}},
			{Recipient: "adpartner", Signed: now.Add(-year), Covers: []abide.Place{"EU", "CA", "US"}},
			{Recipient: "facebook", Signed: now.Add(-year), Covers: []abide.Place{"HK"}},
		},
		Staff: []policy.StaffFact{
			{Name: "kim", UndertakingEnds: now.Add(year), ReviewedAt: now.Add(-24 * time.Hour)},
			{Name: "lee", ReviewedAt: now.Add(-24 * time.Hour)},
		},
		Reviews: []policy.ReviewFact{{Name: "machine rooms", At: now.Add(-24 * time.Hour)}},
	}
}

// fact adds something to what is known of a person.
type fact func(*policy.Policy, *policy.Facts)

func person(place abide.Place, facts ...fact) func(*policy.Policy) policy.Facts {
	return subject(abide.Person, place, facts)
}

func visitor(place abide.Place, facts ...fact) func(*policy.Policy) policy.Facts {
	return subject(abide.Visitor, place, facts)
}

func subject(kind abide.SubjectKind, place abide.Place, facts []fact) func(*policy.Policy) policy.Facts {
	return func(p *policy.Policy) policy.Facts {
		f := policy.Facts{Kind: kind, Status: abide.StatusActive, Residence: place}
		for _, add := range facts {
			add(p, &f)
		}
		return f
	}
}

func takes(s abide.Service) fact {
	return func(_ *policy.Policy, f *policy.Facts) {
		f.Services = append(f.Services, policy.Taking{Service: s, Since: now.AddDate(0, -2, 0)})
	}
}

func left(s abide.Service) fact {
	return func(_ *policy.Policy, f *policy.Facts) {
		f.Services = append(f.Services, policy.Taking{Service: s, Since: now.AddDate(0, -2, 0), Left: now.AddDate(0, -1, 0)})
	}
}

// said puts a consent in a state into the facts, to the terms of that day.
func said(pu abide.Purpose, state policy.ConsentState) fact {
	return func(p *policy.Policy, f *policy.Facts) {
		terms, _ := p.Terms(pu, f, now)
		f.Consents = append(f.Consents, policy.Consent{Purpose: pu, State: state, Told: true, Terms: terms.Digest(),
			Grade: abide.GradeProved, Separate: true, Since: now.AddDate(0, -1, 0)})
	}
}

func agreed(pu abide.Purpose) fact { return said(pu, policy.StateGiven) }

func born(d abide.Date) fact {
	return func(_ *policy.Policy, f *policy.Facts) { f.BirthDate = d }
}

func guardianAgreed(pu abide.Purpose) fact {
	return func(_ *policy.Policy, f *policy.Facts) {
		f.Guardian = policy.Guardian{Verified: true, Consents: []abide.Purpose{pu}}
	}
}

func accepted(doc abide.DocumentName) fact {
	return func(_ *policy.Policy, f *policy.Facts) {
		f.Accepted = append(f.Accepted, policy.Accepted{Document: doc, At: now.AddDate(-3, 0, 0)})
	}
}

func happened(anchor string, at time.Time) fact {
	return func(_ *policy.Policy, f *policy.Facts) {
		f.Events = append(f.Events, policy.Event{Anchor: anchor, At: at})
	}
}

// ask is a request of a program that carries the purpose it asks for.
func ask(act abide.Act, pu abide.Purpose, categories ...abide.Category) policy.Request {
	return policy.Request{Act: act, Purpose: pu, Categories: categories}
}

func read(pu abide.Purpose, c ...abide.Category) policy.Request { return ask(abide.ActRead, pu, c...) }
func use(pu abide.Purpose, c ...abide.Category) policy.Request  { return ask(abide.ActUse, pu, c...) }
func contact(pu abide.Purpose, c ...abide.Category) policy.Request {
	return ask(abide.ActContact, pu, c...)
}

func collect(s abide.Service, pu abide.Purpose, c ...abide.Category) policy.Request {
	r := ask(abide.ActCollect, pu, c...)
	r.Service = s
	return r
}

func disclose(to abide.Recipient, pu abide.Purpose, c ...abide.Category) policy.Request {
	r := ask(abide.ActDisclose, pu, c...)
	r.Recipient = to
	return r
}

// obtained says when the item was obtained that a request would touch.
func obtained(r policy.Request, at time.Time) policy.Request {
	r.Items = []policy.ItemFact{{Category: r.Categories[0], Obtained: at}}
	return r
}

func hasReason(d abide.Decision, want abide.ReasonCode) bool {
	return slices.ContainsFunc(d.Reasons, func(r abide.Reason) bool { return r.Code == want })
}

func codes(d abide.Decision) []string {
	var out []string
	for _, r := range d.Reasons {
		out = append(out, string(r.Code)+"@"+r.Clause)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func first(list diag.List) string {
	for _, d := range list {
		if d.Severity == diag.Error {
			return string(d.Code) + ": " + d.Message
		}
	}
	return ""
}
