package diff

import (
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy"
)

// probe puts points of one purpose to one policy. It reuses its facts, so it
// must not be shared between goroutines.
type probe struct {
	space    *Space
	policy   *policy.Policy
	purpose  *policy.Purpose // nil if the policy does not have it
	around   []*policy.Purpose
	chain    []abide.Purpose // the purpose and those it stands within
	facts    policy.Facts
	request  policy.Request
	category [1]abide.Category
	purposes [1]abide.Purpose

	// What the facts hold now, so that only what differs is written.
	place    Place
	standing Standing
	aged     Age
	// fresh: none of them yet; elsewise: the terms agreed to are not those of
	// place.
	fresh, elsewise bool
}

func (s *Space) probe(p *policy.Policy, name abide.Purpose, accepted abide.DocumentName) *probe {
	pr := s.newProbe(p)
	pr.ask(name, accepted)
	return pr
}

func (s *Space) newProbe(p *policy.Policy) *probe {
	pr := &probe{space: s, policy: p}
	pr.facts.Status = abide.StatusActive
	for _, v := range s.Services {
		pr.facts.Services = append(pr.facts.Services, policy.Taking{Service: v, Since: long})
	}
	return pr
}

// ask turns the probe to a purpose, for people who accepted a document.
func (pr *probe) ask(name abide.Purpose, accepted abide.DocumentName) {
	pr.facts.Accepted = pr.facts.Accepted[:0]
	if accepted != "" {
		pr.facts.Accepted = append(pr.facts.Accepted, policy.Accepted{Document: accepted, At: long})
	}
	pr.fresh, pr.around, pr.chain, pr.facts.Consents = true, nil, pr.chain[:0], pr.facts.Consents[:0]
	var ok bool
	if pr.purpose, ok = pr.policy.Purpose(name); !ok {
		pr.purpose = nil
		return
	}
	pr.around = pr.policy.Around(pr.purpose)
	for _, w := range pr.around {
		pr.chain = append(pr.chain, w.Name)
		pr.facts.Consents = append(pr.facts.Consents, policy.Consent{Purpose: w.Name, Told: true, Since: long})
	}
	pr.purposes[0] = name
	pr.request = policy.Request{Purpose: name, At: noon, Reason: "compared", Approvals: 1 << 20, Categories: pr.category[:],
		Actor: abide.Actor{Kind: abide.ActorService, Name: "compared", Purposes: pr.purposes[:]}}
}

func (pr *probe) permits(w *What, pl Place, st Standing, age Age) bool {
	if pr.purpose == nil {
		return false
	}
	pr.at(pl)
	pr.say(st)
	pr.age(age)
	pr.fresh = false
	return pr.decide(w)
}

// decide puts what is done to the policy, for the person as they stand.
func (pr *probe) decide(w *What) bool {
	pr.facts.Kind = w.Kind
	pr.category[0] = w.Category
	r := &pr.request
	r.Act, r.Recipient, r.ForValue = w.Act, w.Recipient, w.ForValue
	r.Service, r.Channel, r.Topic = w.Service, w.Channel, w.Topic
	return pr.policy.Permits(&pr.facts, &pr.space.register, r)
}

// at moves the person, and lets what they agreed to be the terms there.
func (pr *probe) at(pl Place) {
	if !pr.fresh && !pr.elsewise && pr.place == pl {
		return
	}
	pr.place, pr.elsewise = pl, false
	pr.facts.Residence, pr.facts.Whereabouts = pl.Residence, pl.Whereabouts
	for i, w := range pr.around {
		pr.facts.Consents[i].Terms, _ = pr.policy.TermsDigest(w, &pr.facts, noon)
	}
}

// agreed lets what the person agreed to be other terms.
func (pr *probe) agreed(digest string) {
	pr.facts.Consents[0].Terms, pr.elsewise = digest, true
}

// say lets the person have said this, and yes to all others.
func (pr *probe) say(st Standing) {
	if !pr.fresh && pr.standing == st {
		return
	}
	pr.standing = st
	for i, name := range pr.chain {
		said := inOrder
		if st.Of == name || st.Of == "" && i == 0 {
			said = st
		}
		said.into(&pr.facts.Consents[i])
	}
}

// into writes a standing into the ledger's state of a purpose.
func (st Standing) into(c *policy.Consent) {
	c.Grade, c.State, c.Objected, c.Separate = st.Grade, policy.StateNone, false, false
	switch st.Said {
	case SaidNo:
		c.State = policy.StateRefused
	case SaidObjected:
		c.Objected = true
	case SaidNoObject:
		c.State = policy.StateIndicated
	case SaidBundled:
		c.State = policy.StateGiven
	case SaidYes:
		c.State, c.Separate = policy.StateGiven, true
	case SaidNothing:
		c.State = policy.StateAsked
	}
}

func (pr *probe) age(a Age) {
	if !pr.fresh && pr.aged == a {
		return
	}
	pr.aged = a
	f := &pr.facts
	f.BirthDate, f.DeclaredMinor, f.Guardian = abide.Date{}, a.Declared, policy.Guardian{}
	if a.Years >= 0 {
		f.BirthDate = abide.Date{Year: noon.Year() - a.Years, Month: time.January, Day: 1}
	}
	switch a.Guardian {
	case "verified":
		f.Guardian.Verified = true
	case "agreed":
		f.Guardian = policy.Guardian{Verified: true, Consents: pr.chain}
	}
}
