package policy

import (
	"slices"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy/diag"
	"github.com/abide-privacy/abide/policy/rule"
)

func (c *compiler) purposes() {
	for _, pu := range c.allPurposes() {
		r := pu.Rule
		uses, contacts, chosen := c.categorySet(r.At, r.Uses, false), c.ofPerson(r.At, r.Contacts), c.ofPerson(r.At, r.ChosenBy)
		pu.Uses, pu.Contacts, pu.ChosenBy = c.list(uses), c.list(contacts), c.list(chosen)
		for _, t := range r.Topics {
			pu.Topics = append(pu.Topics, abide.Topic(t.Name))
		}
		for _, t := range r.Channels {
			pu.Channels = append(pu.Channels, abide.Channel(t.Name))
		}
		if r.Message != nil && r.Message.EndsWith == "unsubscribe" || pu.Marketing {
			pu.messages = []abide.Obligation{{Code: abide.MustOfferUnsubscribe, Clause: pu.Clause}}
		}
		pu.covers = newCoverage(pu.Name, pu.Marketing, uses, contacts, chosen)
		pu.covers.topics = pu.Topics
		pu.covers.all.each(func(i int32) {
			if cat := c.p.categories[i]; !slices.Contains(cat.used, pu.id) {
				cat.used = append(cat.used, pu.id)
			}
		})
		if r.Basis == nil {
			c.report(diag.BasisMissing, r.At, r.Label, string(pu.Name), "purpose %s says no legal basis", pu.Name)
		}
	}
}

// ofPerson resolves categories that belong to one person. Data about nobody
// may be used, as counts, but nobody can be contacted or chosen by it.
func (c *compiler) ofPerson(at rule.At, refs []rule.Ref) bitset {
	set := c.categorySet(at, refs, false)
	for _, r := range refs {
		cat, ok := c.p.Category(abide.Category(r.Name))
		if ok && cat.nobody {
			d := c.report(diag.CategoryOfNobody, at, r.Span, r.Name, "%s is counted and never kept, so it belongs to no person", r.Name)
			d.Other = &diag.Place{Span: cat.Span, Label: "counted here"}
		}
	}
	return set
}

func newCoverage(name abide.Purpose, marketing bool, uses, contacts, chosen bitset) *coverage {
	cov := &coverage{purpose: name, read: uses.union(contacts), contact: contacts, choose: chosen}
	cov.all = cov.read.union(chosen)
	if !marketing && contacts.empty() {
		cov.contact = uses
	}
	return cov
}

func (c *compiler) recipients() {
	for _, r := range c.p.recipients {
		for _, m := range r.Rule.Members {
			r.Members = append(r.Members, abide.Recipient(m.Name))
			c.p.listed[abide.Recipient(m.Name)] = r.id
		}
		for _, g := range r.Rule.Gets {
			c.gets(r, g)
		}
	}
	for _, pu := range c.allPurposes() {
		for _, r := range c.p.recipients {
			if set, ok := r.gets[pu.id]; ok {
				if pu.covers.gets == nil {
					pu.covers.gets = map[abide.Recipient]bitset{}
				}
				pu.covers.gets[r.Name] = set
			}
		}
	}
}

func (c *compiler) gets(r *Recipient, g rule.Gets) {
	pu, ok := c.p.Purpose(abide.Purpose(g.Purpose.Name))
	if !ok {
		c.unknown("purpose", r.Rule.At, g.Purpose, c.purposeNames())
		return
	}
	set := c.ofPerson(r.Rule.At, g.Categories)
	for _, ref := range g.Categories {
		cat, ok := c.p.Category(abide.Category(ref.Name))
		if ok && !pu.covers.all.has(cat.id) {
			d := c.report(diag.GetsNotUsed, r.Rule.At, ref.Span, ref.Name, "%s gets %s for %s, which does not use it", r.Name, cat.Name, pu.Name)
			d.Other = &diag.Place{Span: pu.Span, Label: "the purpose"}
		}
	}
	r.gets[pu.id] = r.gets[pu.id].union(set)
	r.Gets[pu.Name] = c.list(r.gets[pu.id])
}

func (c *compiler) within() {
	for _, pu := range c.allPurposes() {
		w := pu.Rule.Within
		if w == nil {
			continue
		}
		parent, ok := c.p.Purpose(abide.Purpose(w.Name))
		if !ok {
			c.unknown("purpose", pu.Rule.At, *w, c.purposeNames())
			continue
		}
		pu.within, pu.Within = parent, parent.Name
	}
	for _, pu := range c.allPurposes() {
		at := pu.within
		for range len(c.p.purposes) + 1 {
			if at == nil {
				break
			}
			at = at.within
		}
		if at != nil {
			c.report(diag.WithinCycle, pu.Rule.At, pu.Rule.Within.Span, string(pu.Name), "purpose %s stands within itself", pu.Name)
			return
		}
	}
}

func (c *compiler) nevers() {
	var general []*never
	for _, r := range c.set.Nevers {
		n := c.never(r)
		if len(r.For) == 0 {
			general = append(general, n)
			continue
		}
		named := c.purposeSet(r.At, r.For)
		for _, pu := range c.allPurposes() {
			if pu.standsIn(named) {
				pu.nevers = append(pu.nevers, n)
			}
		}
	}
	for _, pu := range c.allPurposes() {
		if len(pu.nevers) == 0 {
			pu.nevers = general // shared: most purposes have none of their own
		} else {
			pu.nevers = append(slices.Clone(general), pu.nevers...)
		}
	}
}

// standsIn reports whether the purpose, or one it stands within, is in a set.
func (pu *Purpose) standsIn(set bitset) bool {
	for w := pu; w != nil; w = w.within {
		if set.has(w.id) {
			return true
		}
	}
	return false
}

// recipientClasses are words that a never may use for all recipients of a
// class.
var recipientClasses = []string{"affiliate", "processor", "partner", "authority", "network", "advertiser"}

func (c *compiler) never(r *rule.Never) *never {
	n := &never{rule: r, any: r.Any, toAnyone: len(r.To) == 0, forValue: r.Against == "value", onlyAgreed: -1}
	n.what = c.categorySet(r.At, r.What, true)
	n.acts = actTable(r.Acts)
	// What is never used, given or chosen by is not by way of what was made of it
	// either: a hashed address is an address (CLAUSES C11).
	named := n.what.union(nil)
	for _, cat := range c.p.categories {
		if cat.sources.meets(named) {
			n.what.add(cat.id)
		}
	}
	for _, to := range r.To {
		if slices.Contains(recipientClasses, to.Name) {
			n.toClasses = append(n.toClasses, to.Name)
			if _, ok := c.p.recIndex[abide.Recipient(to.Name)]; !ok {
				continue
			}
		}
		if rec, ok := c.p.Recipient(abide.Recipient(to.Name)); ok {
			n.to.add(rec.id)
		} else {
			c.unknown("recipient", r.At, to, append(namesOf(c.p.recipients, func(k *Recipient) string { return string(k.Name) }), recipientClasses...))
		}
	}
	n.link, _ = c.groupSet(r.At, r.Link)
	if d, ok := c.p.docIndex[documentOf(r.At)]; ok && c.p.documents[d].prevails {
		n.onlyAgreed = d
	}
	return n
}

// actTable marks the acts named, or all if none is.
func actTable(acts []abide.Act) [len(actWords)]bool {
	var t [len(actWords)]bool
	for _, a := range abide.Acts() {
		t[a] = len(acts) == 0 || slices.Contains(acts, a)
	}
	return t
}

func (c *compiler) minors() {
	m := &minors{}
	for _, r := range c.set.Minors {
		if m.rule == nil {
			m.rule = r
		}
		m.closed = m.closed.union(c.purposeSet(r.At, r.Closed))
	}
	c.p.minors = m
	for _, pu := range c.allPurposes() {
		if m.closed.has(pu.id) {
			pu.closed = m
		}
	}
}

func (c *compiler) roles() {
	for _, r := range c.set.Roles {
		if first, twice := c.p.roles[r.Name]; twice {
			c.twice("role", r.At, first.rule.At, r.Name)
			continue
		}
		ro := &role{rule: r, level: -1, anyAct: len(r.Acts) == 0, acts: actTable(r.Acts)}
		ro.purposes = c.purposeSet(r.At, r.Purposes)
		ro.reads = c.categorySet(r.At, r.Reads, true)
		if r.Level != nil {
			i, ok := c.p.levelIndex[r.Level.Name]
			if !ok {
				c.unknown("level", r.At, *r.Level, c.levelNames())
			} else {
				ro.level = i
				for at := i; at >= 0; at = c.p.levels[at].above {
					ro.reaches.add(at)
				}
			}
		}
		c.p.roles[r.Name] = ro
	}
}

func (c *compiler) orders() {
	for _, r := range c.set.WithoutConsent {
		if first, twice := c.p.orders[r.Name]; twice {
			c.twice("rule of law", r.At, first.rule.At, r.Name)
			continue
		}
		o := &order{rule: r, acts: actTable(r.Acts)}
		o.why = []abide.Reason{{Code: abide.PermitLegalRequest, Clause: clauseOf(r.At), Span: r.Span,
			Text: "A legal request that names its ground demands it, within its scope."}}
		o.tell = []abide.Obligation{{Code: abide.MustTell, Clause: clauseOf(r.At)}}
		c.p.orders[r.Name] = o
	}
}
