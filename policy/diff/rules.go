package diff

import (
	"slices"

	"github.com/abide-privacy/abide/policy/render"
	"github.com/abide-privacy/abide/policy/rule"
)

// RuleChange is a rule that reads differently, in the words of say. Either text
// may be empty: the rule is new, or gone.
type RuleChange struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	Was  string `json:"was,omitempty"`
	Is   string `json:"is,omitempty"`
}

func names(refs []rule.Ref) []string {
	out := make([]string, len(refs))
	for i, r := range refs {
		out[i] = r.Name
	}
	return out
}

type ruleKey struct{ kind, name string }

// compareRules compares what both policies say. Among rules of one kind and
// name, such as a purpose's places, those that read the same are left out and
// the others matched in their order.
func compareRules(old, new *rule.Set) []RuleChange {
	was, before := sentences(old)
	is, order := sentences(new)
	var out []RuleChange
	done := map[ruleKey]bool{}
	for _, k := range append(order, before...) {
		if done[k] {
			continue
		}
		done[k] = true
		gone, come := subtract(was[k], is[k]), subtract(is[k], was[k])
		for i := range max(len(gone), len(come)) {
			c := RuleChange{Kind: k.kind, Name: k.name}
			if i < len(gone) {
				c.Was = gone[i]
			}
			if i < len(come) {
				c.Is = come[i]
			}
			out = append(out, c)
		}
	}
	return out
}

func sentences(set *rule.Set) (map[ruleKey][]string, []ruleKey) {
	texts := map[ruleKey][]string{}
	var order []ruleKey
	for _, s := range render.Sentences(set) {
		k := ruleKey{s.Kind, s.Name}
		texts[k] = append(texts[k], s.Text)
		order = append(order, k)
	}
	return texts, order
}

// subtract lists a without b, as multisets.
func subtract(a, b []string) []string {
	rest := slices.Clone(b)
	var out []string
	for _, x := range a {
		if i := slices.Index(rest, x); i >= 0 {
			rest = slices.Delete(rest, i, i+1)
		} else {
			out = append(out, x)
		}
	}
	return out
}
