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

// asked compares terms place by place.
func (g *grid) asked(old, new shape, before, after *probe) []Asked {
	if after.purpose == nil {
		return nil
	}
	var out []Asked
	for _, class := range g.places {
		a := Asked{Purpose: g.purpose, Accepted: g.accepted, Places: []Places{{class.residences, class.whereabouts}}}
		asks := g.asks(new, class.regime)
		a.First = asks && !g.asks(old, class.regime)
		place := class.one()
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
			a.Denied = g.denied(new, after, place, class.regime, a.Old)
		}
		if before.purpose == nil && !a.First {
			continue // a new purpose that asks nobody: its change says all
		}
		out = append(out, a)
	}
	return out
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

// mergeAsked joins places where the same terms become the same terms.
func mergeAsked(in []Asked) []Asked {
	type key struct {
		accepted     abide.DocumentName
		old, new     string
		again, first bool
		denied       int
	}
	index := map[key]int{}
	var out []Asked
	for _, a := range in {
		k := key{a.Accepted, a.Old, a.New, a.Again, a.First, len(a.Denied)}
		if i, ok := index[k]; ok && slices.Equal(out[i].Denied, a.Denied) {
			out[i].Places = addPlaces(out[i].Places, a.Places[0])
			continue
		}
		index[k] = len(out)
		out = append(out, a)
	}
	return out
}

func addPlaces(to []Places, more Places) []Places {
	for k := range to {
		if slices.Equal(to[k].Whereabouts, more.Whereabouts) {
			to[k].Residences = append(slices.Clone(to[k].Residences), more.Residences...)
			slices.Sort(to[k].Residences)
			return to
		}
	}
	return append(to, more)
}
