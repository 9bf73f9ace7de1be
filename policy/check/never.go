package check

import (
	"slices"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy/diag"
	"github.com/abide-privacy/abide/policy/rule"
)

// permit is one thing that a rule permits.
type permit struct {
	what      string // `purpose "marketing"`
	act       abide.Act
	category  *rule.Category
	purpose   string
	recipient *rule.Recipient
	span      abide.Span
	clause    *rule.Clause
	advert    bool // handed to somebody for advertising
}

// permits lists what the rules permit, act by act.
func (x *index) permits() []permit {
	var out []permit
	add := func(p permit, refs []rule.Ref, acts ...abide.Act) {
		for _, r := range refs {
			for _, c := range x.expand(r) {
				for _, a := range acts {
					p.category, p.span, p.act = c, r.Span, a
					out = append(out, p)
				}
			}
		}
	}
	for _, p := range x.set.Purposes {
		base := permit{what: "purpose \"" + string(p.Name) + "\"", purpose: string(p.Name), clause: p.Clause}
		add(base, p.Uses, abide.ActCollect, abide.ActRead, abide.ActUse)
		add(base, p.Contacts, abide.ActContact)
		add(base, p.ChosenBy, abide.ActChoose)
	}
	for _, r := range x.set.Recipients {
		for _, g := range r.Gets {
			add(permit{what: "recipient \"" + string(r.Name) + "\"", purpose: g.Purpose.Name, recipient: r, clause: r.Clause, advert: x.advertises(r, g.Purpose.Name)},
				g.Categories, abide.ActDisclose)
		}
	}
	for _, t := range x.set.Trackers {
		if t.Host == nil {
			continue
		}
		for _, r := range x.recipientsOf(*t.Host) {
			p := permit{what: "tracker \"" + t.Name + "\"", recipient: r, clause: t.Clause}
			if t.Purpose != nil {
				p.purpose = t.Purpose.Name
			}
			p.advert = x.advertises(r, p.purpose)
			add(p, t.Sees, abide.ActDisclose)
		}
	}
	return out
}

// advertises: handing data to this recipient for this purpose is advertising,
// because the recipient is an advertiser or an advertising network, or the
// purpose is marketing and the recipient acts for itself.
func (x *index) advertises(r *rule.Recipient, purpose string) bool {
	p := x.purposes[purpose]
	marketing := p != nil && p.Marketing
	switch r.Class {
	case "advertiser":
		return true
	case "network", "partner":
		return marketing || p != nil && p.Basis != nil && p.Basis.Profile == "cookies"
	}
	return false
}

// nevers reports permits that a never forbids, of whichever document.
func (c *checker) nevers() {
	permits := c.permits()
	for _, n := range c.set.Nevers {
		seen := map[string]bool{}
		for i := range permits {
			p := &permits[i]
			if key := p.what + string(p.category.Name); !seen[key] && c.forbids(n, p) {
				seen[key] = true
				c.reportNever(n, p)
			}
		}
		c.linked(n)
	}
}

func (c *checker) reportNever(n *rule.Never, p *permit) {
	d := diag.New(diag.NeverLifted, p.span, "%s permits to %s %s, which never \"%s\" forbids", p.what, p.act, p.category.Name, n.Name).
		WithLabel("permitted here").WithOther(n.Span, "forbidden here")
	if different(n.Clause, p.clause) {
		d = d.WithHint("no document lifts a never of another, whichever prevails: narrow the never, or take the permit out")
	}
	c.find(d, string(p.category.Name), p.clause, n.Clause)
}

func different(a, b *rule.Clause) bool {
	return a != nil && b != nil && a.Document != nil && b.Document != nil && a.Document.Name != b.Document.Name
}

// forbids: a permit falls under a never if everything the never names fits it.
// A never against value (a sale) concerns only what the law check finds.
func (c *checker) forbids(n *rule.Never, p *permit) bool {
	if n.Against != "" || len(n.Link) > 0 {
		return false
	}
	if len(n.Acts) > 0 && !slices.Contains(n.Acts, p.act) {
		return false
	}
	if len(n.To) > 0 && !c.toRecipient(n, p) {
		return false
	}
	if len(n.For) > 0 && !slices.ContainsFunc(n.For, func(r rule.Ref) bool { return r.Name == p.purpose }) {
		return false
	}
	if n.Any {
		return true
	}
	return slices.ContainsFunc(n.What, func(r rule.Ref) bool { return slices.Contains(c.expand(r), p.category) })
}

func (c *checker) toRecipient(n *rule.Never, p *permit) bool {
	return p.recipient != nil && slices.ContainsFunc(n.To, func(r rule.Ref) bool {
		return r.Name == p.recipient.Class || slices.Contains(c.recipientsOf(r), p.recipient)
	})
}

// linked reports rules that bring together what a never keeps from being
// linked.
func (c *checker) linked(n *rule.Never) {
	if len(n.Link) < 2 {
		return
	}
	for _, t := range c.together() {
		var first *used
		side := -1
		for i := range t.list {
			at := slices.IndexFunc(n.Link, func(r rule.Ref) bool { return slices.Contains(c.expand(r), t.list[i].category) })
			if at < 0 || at == side {
				continue
			}
			if first == nil {
				first, side = &t.list[i], at
				continue
			}
			c.find(diag.New(diag.NeverLifted, t.list[i].span, "%s brings %s together with %s, which never \"%s\" forbids to link", t.what, t.list[i].category.Name, first.category.Name, n.Name).
				WithLabel("linked here").WithOther(n.Span, "forbidden here"), string(t.list[i].category.Name), t.clause, n.Clause)
			break
		}
	}
}
