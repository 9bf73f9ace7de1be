package check

import (
	"github.com/abide-privacy/abide/policy/diag"
	"github.com/abide-privacy/abide/policy/rule"
)

// silence reports words by which silence would be agreement, in a clause of a
// purpose that rests on agreement: "unless you opt out".
func (c *checker) silence(s *scope) {
	asked := c.asking(s)
	if asked == nil {
		return
	}
	for _, r := range s.readings {
		for i, tokens := range r.tokens {
			for _, k := range s.vocab.silences.scan(tokens) {
				span := r.blocks[i].span(tokens[k.from].start, tokens[k.to-1].end)
				c.find(diag.New(diag.ConsentBySilence, span, "the clause takes silence for agreement, and purpose \"%s\" rests on agreement that is given", asked.Name).
					WithLabel("said here").WithOther(asked.Label, "rests on it"), string(asked.Name), s.clause)
				return
			}
		}
	}
}

// asking returns a purpose of the clause for which people are asked.
func (c *checker) asking(s *scope) *rule.Purpose {
	for _, b := range s.rules {
		for _, p := range c.set.Purposes {
			if b.block == "purpose" && p.At == b.at && p.Basis != nil && (p.Basis.Kind == rule.BasisConsent || p.Basis.Kind == rule.BasisNoObjection || p.Basis.Kind == rule.BasisProfile) {
				return p
			}
		}
	}
	return nil
}
