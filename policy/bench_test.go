package policy_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy"
	"github.com/abide-privacy/abide/policy/source"
)

// large writes a policy of n purposes, a fifth of them marketing, over ten
// categories each of n/5+10.
func large(t testing.TB, n int) *policy.Policy {
	t.Helper()
	var b strings.Builder
	b.WriteString("# Large {#top}\n```abide\ndocument \"privacy\" {\n  controller = \"Large Ltd, HK\"\n  law_of = strictest(residence, whereabouts, controller)\n}\ndata \"d\" {\n")
	cats := n/5 + 10
	for i := range cats {
		fmt.Fprintf(&b, "  c%d = \"word %d\"\n", i, i)
	}
	b.WriteString("}\n")
	for i := range n {
		use := make([]string, 10)
		for k := range use {
			use[k] = fmt.Sprintf("d.c%d", (i*7+k)%cats)
		}
		list := strings.Join(use, ", ")
		if i%5 == 0 {
			fmt.Fprintf(&b, "purpose \"p%d\" {\n  contacts = [%s]\n  basis = law.direct_marketing\n  in HK { basis = no_objection(told(contacts)) }\n  keep = consent.ended\n}\n", i, list)
		} else {
			fmt.Fprintf(&b, "purpose \"p%d\" {\n  uses = [%s]\n  basis = contract\n  keep = obtained + 12 * months\n}\n", i, list)
		}
	}
	b.WriteString("never \"sale\" { give = { what = any, against = value } }\n```\n")
	set, _, found := source.Parse(fstest.MapFS{"privacy.md": {Data: []byte(b.String())}})
	failOn(t, found)
	p, found := policy.Compile(set, policy.Options{Laws: shippedLaws(t)})
	failOn(t, found)
	return p
}

// asked are a permitted and a refused contact with somebody in Hong Kong who
// has twenty consents.
func asked(t testing.TB, p *policy.Policy) (f policy.Facts, permit, deny policy.Request) {
	f = adult()
	for i := range min(20, len(p.Purposes())/5) {
		agreed(t, p, &f, abide.Purpose(fmt.Sprintf("p%d", i*5)), policy.StateIndicated)
	}
	permit = ask(abide.ActContact, "p25", p.Covered("p25", abide.ActContact)[:4]...)
	deny = permit
	deny.Act = abide.ActChoose
	return f, permit, deny
}

var sizes = []int{50, 1000, 10000}

// A permit allocates nothing, whatever the size of the policy.
func TestPermitAllocatesNothing(t *testing.T) {
	for _, n := range sizes[:2] {
		p := large(t, n)
		f, permit, _ := asked(t, p)
		reg := &policy.Register{}
		if d := p.Decide(&f, reg, &permit); !d.Allowed() || d.Reasons[0].Clause == "" || d.Reasons[0].Span.Start.Line == 0 {
			t.Fatalf("not permitted, or without clause and line: %+v", d)
		}
		if allocs := testing.AllocsPerRun(100, func() {
			if d := p.Decide(&f, reg, &permit); !d.Allowed() {
				t.Fatal("not permitted")
			}
		}); allocs != 0 {
			t.Errorf("%d purposes: a permit allocates %v times", n, allocs)
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	reg := &policy.Register{}
	for _, n := range sizes {
		p := large(b, n)
		f, permit, deny := asked(b, p)
		for name, req := range map[string]*policy.Request{"permit": &permit, "deny": &deny} {
			b.Run(fmt.Sprintf("%s/purposes=%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				want := name == "permit"
				for b.Loop() {
					if d := p.Decide(&f, reg, req); d.Allowed() != want {
						b.Fatalf("%+v", d.Reasons)
					}
				}
			})
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	for _, n := range sizes {
		p := large(b, n)
		set, l := p.Set(), shippedLaws(b)
		b.Run(fmt.Sprintf("purposes=%d", n), func(b *testing.B) {
			for b.Loop() {
				if p, _ := policy.Compile(set, policy.Options{Laws: l}); p == nil {
					b.Fatal("does not compile")
				}
			}
		})
	}
}
