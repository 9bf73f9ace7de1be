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
func (c *TermsChange) Empty() bool {
	return len(c.Uses)+len(c.Contacts)+len(c.ChosenBy)+len(c.Recipients)+len(c.Offers)+len(c.Topics)+len(c.Keep)+len(c.AtMost) == 0
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
func (g *grid) asked(old, new *shape, before, after *probe) []Asked {
	if after.purpose == nil {
		return nil
	}
	var out []Asked
	var where []bitset
	for r, place := range g.regimes {
		oldDigest, had := before.termsAt(place)
		newDigest, has := after.termsAt(place)
		asks := g.asks(new, r)
		first := asks && !g.asks(old, r)
		switch {
		case !has, had && !first && oldDigest == newDigest:
			continue
		case before.purpose == nil && !first:
			continue // a new purpose that asks nobody: its change says all
		}
		a := Asked{Purpose: g.purpose, Accepted: g.accepted, New: newDigest, First: first}
		var was policy.Terms
		if had {
			a.Old = oldDigest
			was, _ = before.policy.Terms(g.purpose, &before.facts, noon)
		}
		is, _ := after.policy.Terms(g.purpose, &after.facts, noon)
		a.Wider, a.Narrow = gainedTerms(was, is), gainedTerms(is, was)
		if asks && !a.First && a.Old != "" {
			a.Again = !a.Wider.Empty()
			a.Denied = g.denied(new, after, place, r, a.Old)
		}
		i := slices.IndexFunc(out, func(b Asked) bool { return b.alike(a) })
		if i < 0 {
			i = len(out)
			out, where = append(out, a), append(where, bitset(nil).cleared(len(g.classes)))
		}
		for p, class := range g.classes {
			if class.regime == r {
				where[i].set(p)
			}
		}
	}
	for i := range out {
		out[i].Places = g.join(where[i])
	}
	return out
}

// termsAt is the digest of the terms at a place, false if there are none.
func (pr *probe) termsAt(pl Place) (string, bool) {
	pr.facts.Residence, pr.facts.Whereabouts = pl.Residence, pl.Whereabouts
	pr.elsewise = true
	if pr.purpose == nil {
		return "", false
	}
	return pr.policy.TermsDigest(pr.purpose, &pr.facts, noon)
}

// alike tells whether the same terms become the same terms, with the same
// effect; it leaves out the places.
func (a Asked) alike(b Asked) bool {
	return a.Old == b.Old && a.New == b.New && a.Again == b.Again && a.First == b.First && slices.Equal(a.Denied, b.Denied)
}

// asks reports whether anything wants a person's word under a regime.
func (g *grid) asks(sh *shape, r int) bool {
	for k := range g.strands {
		said := sh.standing.row(k*len(g.regimes) + r)
		if said.has(best) && !said.has(nothing) {
			return true
		}
	}
	return false
}

var (
	nothing = slices.Index(ownStandings, Standing{Said: SaidNothing})
	best    = slices.Index(ownStandings, inOrder)
)

// denied lists what an old agreement does not cover.
func (g *grid) denied(new *shape, after *probe, place Place, r int, digest string) []What {
	var out []What
	for i := range g.whats {
		w := &g.whats[i]
		if w.Kind == abide.Person && new.what.row(r).has(i) && !after.permitsTo(w, place, digest) {
			out = append(out, *w)
		}
	}
	return out
}

// permitsTo decides for a grown-up who agreed, on its own, to other terms.
func (pr *probe) permitsTo(w *What, pl Place, digest string) bool {
	pr.at(pl)
	pr.agreed(digest)
	pr.say(inOrder)
	pr.age(grownUp)
	return pr.decide(w)
}
