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
	chain    []abide.Purpose // the purpose and those it stands within
	facts    policy.Facts
	request  policy.Request
	category [1]abide.Category
	place    Place
	digests  []string // of the chain's terms at place
	digested bool
}

func (s *Space) probe(p *policy.Policy, name abide.Purpose, accepted abide.DocumentName) *probe {
	pr := &probe{space: s, policy: p}
	pr.facts.Status = abide.StatusActive
	if accepted != "" {
		pr.facts.Accepted = []policy.Accepted{{Document: accepted, At: long}}
	}
	for _, v := range s.Services {
		pr.facts.Services = append(pr.facts.Services, policy.Taking{Service: v, Since: long})
	}
	pu, ok := p.Purpose(name)
	if !ok {
		return pr
	}
	pr.purpose = pu
	for w := pu; ; {
		pr.chain = append(pr.chain, w.Name)
		next, ok := p.Purpose(w.Within)
		if !ok {
			break
		}
		w = next
	}
	pr.digests = make([]string, len(pr.chain))
	pr.facts.Consents = make([]policy.Consent, len(pr.chain))
	pr.request = policy.Request{Purpose: name, At: noon, Reason: "compared", Approvals: 1 << 20,
		Actor: abide.Actor{Kind: abide.ActorService, Name: "compared", Purposes: []abide.Purpose{name}}}
	return pr
}

func (pr *probe) permits(w What, pl Place, st Standing, age Age) bool {
	if pr.purpose == nil {
		return false
	}
	pr.at(pl)
	for i, name := range pr.chain {
		said := inOrder
		if st.Of == name || st.Of == "" && i == 0 {
			said = st
		}
		pr.facts.Consents[i] = consent(name, said, pr.digests[i])
	}
	pr.age(age)
	return pr.decide(w)
}

// tellsChannelsApart reports whether the law behind the purpose, or one it
// stands within, may ask for something else on some channels.
func (pr *probe) tellsChannelsApart() bool {
	return pr.policy.TellsChannelsApart(pr.purpose)
}

// decide puts what is done to the policy, for the person as they stand.
func (pr *probe) decide(w What) bool {
	pr.facts.Kind = w.Kind
	pr.category[0] = w.Category
	r := &pr.request
	r.Act, r.Categories, r.Recipient, r.ForValue = w.Act, pr.category[:], w.Recipient, w.ForValue
	r.Service, r.Channel, r.Topic = w.Service, w.Channel, w.Topic
	return pr.policy.Decide(&pr.facts, &pr.space.register, r).Effect == abide.Permit
}

// at moves the person.
func (pr *probe) at(pl Place) {
	if pr.digested && pr.place == pl {
		return
	}
	pr.place, pr.digested = pl, true
	pr.facts.Residence, pr.facts.Whereabouts = pl.Residence, pl.Whereabouts
	for i, name := range pr.chain {
		pr.digests[i], _ = pr.policy.TermsDigest(name, &pr.facts, noon)
	}
}

func (pr *probe) age(a Age) {
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

// consent is the ledger's state of a purpose for somebody who said this.
func consent(purpose abide.Purpose, st Standing, digest string) policy.Consent {
	c := policy.Consent{Purpose: purpose, Told: true, Terms: digest, Since: long, Grade: st.Grade}
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
	return c
}
