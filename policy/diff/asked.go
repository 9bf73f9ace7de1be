package diff

import (
	"slices"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy"
)

// Asked is a purpose whose terms change for people at some places.
type Asked struct {
	Purpose  abide.Purpose      `json:"purpose"`
	Accepted abide.DocumentName `json:"accepted,omitempty"`
	Places   []Places           `json:"places"`
	Old      string             `json:"old,omitempty"` // digests of the terms
	New      string             `json:"new"`
	// Again: who agreed to the old terms must be asked again, because the new
	// ones are wider. Where only First is set nobody had to be asked before.
	Again  bool        `json:"again"`
	First  bool        `json:"first"`
	Wider  TermsChange `json:"wider"`
	Narrow TermsChange `json:"narrower"`
	// Denied is what the new policy permits to those who agree to its terms and
	// denies to those who agreed to the old ones.
	Denied []What `json:"denied,omitempty"`
}

// TermsChange is what terms gain, or lose.
type TermsChange struct {
	Uses       []abide.Category        `json:"uses,omitempty"`
	Contacts   []abide.Category        `json:"contacts,omitempty"`
	ChosenBy   []abide.Category        `json:"chosen_by,omitempty"`
	Recipients []policy.TermsRecipient `json:"recipients,omitempty"`
	Offers     []policy.TermsOffer     `json:"offers,omitempty"`
	Topics     []abide.Topic           `json:"topics,omitempty"`
	Keep       []string                `json:"keep,omitempty"`
	AtMost     []string                `json:"at_most,omitempty"`
}

// Empty reports whether nothing is gained or lost.
func (t *TermsChange) Empty() bool {
	return len(t.Uses)+len(t.Contacts)+len(t.ChosenBy)+len(t.Recipients)+len(t.Offers)+len(t.Topics)+len(t.Keep)+len(t.AtMost) == 0
}

// gainedTerms lists what to has and from has not.
func gainedTerms(from, to policy.Terms) TermsChange {
	return TermsChange{
		Uses:       without(to.Uses, from.Uses),
		Contacts:   without(to.Contacts, from.Contacts),
		ChosenBy:   without(to.ChosenBy, from.ChosenBy),
		Recipients: gainedRecipients(from, to),
		Offers:     gainedOffers(from, to),
		Topics:     without(to.Topics, from.Topics),
		Keep:       without(to.Keep, from.Keep),
		AtMost:     without(to.AtMost, from.AtMost),
	}
}

func without[T comparable](a, b []T) []T {
	var out []T
	for _, x := range a {
		if !slices.Contains(b, x) {
			out = append(out, x)
		}
	}
	return out
}

func gainedRecipients(from, to policy.Terms) []policy.TermsRecipient {
	had := map[abide.Recipient][]abide.Category{}
	for _, r := range from.Recipients {
		had[r.Recipient] = append(had[r.Recipient], r.Categories...)
	}
	var out []policy.TermsRecipient
	for _, r := range to.Recipients {
		if more := without(r.Categories, had[r.Recipient]); len(more) > 0 {
			out = append(out, policy.TermsRecipient{Recipient: r.Recipient, Categories: more})
		}
	}
	return out
}

func gainedOffers(from, to policy.Terms) []policy.TermsOffer {
	had := map[string][]string{}
	for _, o := range from.Offers {
		had[o.Whose] = append(had[o.Whose], o.Kinds...)
	}
	var out []policy.TermsOffer
	for _, o := range to.Offers {
		if more := without(o.Kinds, had[o.Whose]); len(more) > 0 {
			out = append(out, policy.TermsOffer{Whose: o.Whose, Kinds: more})
		}
	}
	return out
}

// asked compares terms regime by regime.
func (g *grid) asked(old, new shape, before, after *probe) []Asked {
	if after.purpose == nil {
		return nil
	}
	var out []Asked
	var where []bits
	for r, place := range g.regimes {
		a := Asked{Purpose: g.purpose, Accepted: g.accepted}
		asks := g.asks(new, r)
		a.First = asks && !g.asks(old, r)
		before.facts.Residence, before.facts.Whereabouts = place.Residence, place.Whereabouts
		after.facts.Residence, after.facts.Whereabouts = place.Residence, place.Whereabouts
		was, had := before.policy.Terms(g.purpose, &before.facts, noon)
		is, has := after.policy.Terms(g.purpose, &after.facts, noon)
		before.digested, after.digested = false, false
		if !has || had && !a.First && sameTerms(before, after) {
			continue
		}
		if had {
			a.Old, _ = before.policy.TermsDigest(g.purpose, &before.facts, noon)
		}
		a.New, _ = after.policy.TermsDigest(g.purpose, &after.facts, noon)
		a.Wider, a.Narrow = gainedTerms(was, is), gainedTerms(is, was)
		if asks && !a.First && a.Old != "" {
			a.Again = !a.Wider.Empty()
			a.Denied = g.denied(new, after, place, r, a.Old)
		}
		if before.purpose == nil && !a.First {
			continue // a new purpose that asks nobody: its change says all
		}
		i := slices.IndexFunc(out, func(b Asked) bool { return b.alike(a) })
		if i < 0 {
			i = len(out)
			out, where = append(out, a), append(where, nil)
		}
		for p, class := range g.places {
			if class.regime == r {
				where[i].set(p)
			}
		}
	}
	for i := range out {
		out[i].Places = joinPlaces(g.places, where[i])
	}
	return out
}

// alike tells whether the same terms become the same terms, with the same
// effect; it leaves out the places.
func (a Asked) alike(b Asked) bool {
	return a.Old == b.Old && a.New == b.New && a.Again == b.Again && a.First == b.First && slices.Equal(a.Denied, b.Denied)
}

func sameTerms(before, after *probe) bool {
	x, _ := before.policy.TermsDigest(before.purpose.Name, &before.facts, noon)
	y, _ := after.policy.TermsDigest(after.purpose.Name, &after.facts, noon)
	return x == y
}

// asks reports whether anything wants a person's word under a regime.
func (g *grid) asks(sh shape, r int) bool {
	nr := len(g.regimes)
	nothing := slices.Index(g.standings, Standing{Said: SaidNothing})
	best := slices.Index(g.standings, inOrder)
	for k := range g.strands {
		if sh.standing[(k*len(g.standings)+best)*nr+r] && !sh.standing[(k*len(g.standings)+nothing)*nr+r] {
			return true
		}
	}
	return false
}

// denied lists what an old agreement does not cover.
func (g *grid) denied(new shape, after *probe, place Place, r int, digest string) []What {
	var out []What
	for i, w := range g.whats {
		if w.Kind != abide.Person || !new.what[i*len(g.regimes)+r] {
			continue
		}
		if !after.permitsTo(w, place, digest) {
			out = append(out, w)
		}
	}
	return out
}

// permitsTo decides for a grown-up who agreed, on its own, to other terms.
func (pr *probe) permitsTo(w What, pl Place, digest string) bool {
	pr.at(pl)
	for i, name := range pr.chain {
		d := pr.digests[i]
		if i == 0 {
			d = digest
		}
		pr.facts.Consents[i] = consent(name, inOrder, d)
	}
	pr.age(grownUp)
	return pr.decide(w)
}
