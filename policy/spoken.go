package policy

import (
	abide "github.com/abide-privacy/abide"
)

// RoleMay reports whether a role of staff has a purpose and an act.
func (p *Policy) RoleMay(role string, purpose abide.Purpose, act abide.Act) bool {
	ro, pu := p.roles[role], p.purposeOf(purpose)
	return ro != nil && pu != nil && ro.purposes.has(pu.id) && ro.acts[act]
}

func (p *Policy) purposeOf(n abide.Purpose) *Purpose {
	pu, _ := p.Purpose(n)
	return pu
}

// ClauseSpan returns where a clause begins, by its full id: document#anchor.
func (p *Policy) ClauseSpan(id string) (abide.Span, bool) {
	for _, d := range p.set.Documents {
		for _, c := range d.Clauses {
			if c.FullID() == id {
				return c.Heading, true
			}
		}
	}
	return abide.Span{}, false
}

// Chain lists a purpose and those it stands within; nil if it is unknown.
func (p *Policy) Chain(purpose abide.Purpose) []abide.Purpose {
	var out []abide.Purpose
	for pu := p.purposeOf(purpose); pu != nil; pu = pu.within {
		out = append(out, pu.Name)
	}
	return out
}
