package diff

import (
	"testing"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy/rule"
)

// What is compared of 10,000 purposes depends on how much changes: a few of
// them, all of them, or a rule that may touch any of them.
func BenchmarkDiff10000(b *testing.B) {
	old := compile(b, many(10_000, 0), nil)
	for _, c := range []struct {
		name string
		set  *rule.Set
	}{
		{"one-in-a-hundred", many(10_000, 100)},
		{"every-purpose", many(10_000, 1)},
		{"global-rule/never", withNever(many(10_000, 0))},
		{"global-rule/level", withLevel(many(10_000, 0))},
		{"global-rule/minors", withMinors(many(10_000, 0))},
	} {
		now := compile(b, c.set, old.AllTerms())
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				benchmarked = Diff(old, now)
			}
			b.ReportMetric(float64(len(benchmarked.Changes)), "changes")
		})
	}
}

var benchmarked *Difference

func withNever(set *rule.Set) *rule.Set {
	set.Nevers = append(set.Nevers, &rule.Never{At: set.Groups[0].At, Name: "n", What: []rule.Ref{{Name: "person.c7"}}, Acts: []abide.Act{abide.ActRead, abide.ActUse}})
	return set
}

func withLevel(set *rule.Set) *rule.Set {
	set.Levels = append(set.Levels, &rule.Level{At: set.Groups[0].At, Name: "high", Reason: true, Approvals: 2, Undertaking: true})
	set.Groups[0].Categories[7].Level = &rule.Ref{Name: "high"}
	return set
}

func withMinors(set *rule.Set) *rule.Set {
	set.Minors = append(set.Minors, &rule.Minors{At: set.Groups[0].At, Closed: []rule.Ref{{Name: "p7"}}, Known: true})
	return set
}
