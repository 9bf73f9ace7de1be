// Package peers compares Abide with others in one run. It is a module of its
// own, so that what it compares with is no dependency of the server.
package peers

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/cedar-policy/cedar-go"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/vault"
	"github.com/abide-privacy/abide/policy"
	"github.com/abide-privacy/abide/policy/source"
)

// BenchmarkDecision asks the same of both: may the application contact this
// person by this category for this purpose, the person having consented to
// twenty purposes? n purposes of ten categories each. Abide's answer also
// carries the clause, the line, the terms that were agreed to, the person's
// age and place; Cedar's carries the id of the policy.
func BenchmarkDecision(b *testing.B) {
	for _, n := range []int{50, 1000, 10000} {
		b.Run(fmt.Sprintf("abide/purposes=%d", n), func(b *testing.B) { benchAbide(b, n) })
		b.Run(fmt.Sprintf("cedar/purposes=%d", n), func(b *testing.B) { benchCedar(b, n) })
	}
}

const asked, consented = 25, 20

func benchAbide(b *testing.B, n int) {
	var md strings.Builder
	md.WriteString("# Large {#top}\n```abide\ndocument \"privacy\" { controller = \"Large Ltd, HK\" }\ndata \"d\" {\n")
	cats := n/5 + 10
	for i := range cats {
		fmt.Fprintf(&md, "  c%d = \"word %d\"\n", i, i)
	}
	md.WriteString("}\n")
	for i := range n {
		use := make([]string, 10)
		for k := range use {
			use[k] = fmt.Sprintf("d.c%d", (i*7+k)%cats)
		}
		fmt.Fprintf(&md, "purpose \"p%d\" {\n  contacts = [%s]\n  basis = consent\n  keep = consent.ended\n}\n", i, strings.Join(use, ", "))
	}
	md.WriteString("```\n")
	set, _, found := source.Parse(fstest.MapFS{"privacy.md": {Data: []byte(md.String())}})
	if found.HasErrors() {
		b.Fatal(found[0].Message)
	}
	p, found := policy.Compile(set, policy.Options{})
	if p == nil {
		b.Fatal(found[0].Message)
	}
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	f := policy.Facts{Kind: abide.Person, Status: abide.StatusActive, Residence: "HK", BirthDate: abide.Date{Year: 1980, Month: 1, Day: 1}}
	for i := range consented {
		name := abide.Purpose(fmt.Sprintf("p%d", i*5%n))
		terms, _ := p.Terms(name, &f, now)
		f.Consents = append(f.Consents, policy.Consent{Purpose: name, State: policy.StateGiven, Told: true, Terms: terms.Digest(),
			Grade: abide.GradeProved, Separate: true, Since: now.Add(-time.Hour)})
	}
	purpose := abide.Purpose(fmt.Sprintf("p%d", asked))
	req := policy.Request{Actor: abide.Actor{Kind: abide.ActorService, Name: "app", Purposes: []abide.Purpose{purpose}},
		Purpose: purpose, Act: abide.ActContact, Categories: p.Covered(purpose, abide.ActContact)[:1], At: now}
	reg := &policy.Register{}
	refused := req
	refused.Act = abide.ActChoose
	b.Run("permit", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if d := p.Decide(&f, reg, &req); !d.Allowed() {
				b.Fatal(d.Reasons)
			}
		}
	})
	b.Run("deny", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if d := p.Decide(&f, reg, &refused); d.Allowed() {
				b.Fatal("permitted")
			}
		}
	})
	// What a decision in the server costs besides: the facts are decoded from
	// the subject's state for every request.
	b.Run("decoding-the-facts", func(b *testing.B) {
		raw := vault.EncodeState(&f)
		b.ReportAllocs()
		for b.Loop() {
			var g policy.Facts
			if err := vault.DecodeState(raw, &g); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func benchCedar(b *testing.B, n int) {
	var text strings.Builder
	cats := n/5 + 10
	for i := range n {
		use := make([]string, 10)
		for k := range use {
			use[k] = fmt.Sprintf("Category::\"c%d\"", (i*7+k)%cats)
		}
		fmt.Fprintf(&text, "permit (principal == Service::\"app\", action == Action::\"contact\", resource) when { context.purpose == \"p%d\" && context.consents.contains(\"p%d\") && [%s].contains(context.category) };\n",
			i, i, strings.Join(use, ", "))
	}
	set, err := cedar.NewPolicySetFromBytes("large.cedar", []byte(text.String()))
	if err != nil {
		b.Fatal(err)
	}
	var consents []cedar.Value
	for i := range consented {
		consents = append(consents, cedar.String(fmt.Sprintf("p%d", i*5%n)))
	}
	req := cedar.Request{
		Principal: cedar.NewEntityUID("Service", "app"),
		Action:    cedar.NewEntityUID("Action", "contact"),
		Resource:  cedar.NewEntityUID("Person", "1"),
		Context: cedar.NewRecord(cedar.RecordMap{
			"purpose":  cedar.String(fmt.Sprintf("p%d", asked)),
			"consents": cedar.NewSet(consents...),
			"category": cedar.NewEntityUID("Category", cedar.String(fmt.Sprintf("c%d", asked*7%cats))),
		}),
	}
	b.ReportAllocs()
	for b.Loop() {
		if ok, diag := cedar.Authorize(set, cedar.EntityMap{}, req); ok != cedar.Allow {
			b.Fatal(diag)
		}
	}
}
