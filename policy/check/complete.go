package check

import (
	"slices"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy/diag"
	"github.com/abide-privacy/abide/policy/rule"
)

// Anchors that need no service to report them.
const (
	anchorObtained = "obtained"
	anchorGiven    = "given"
	anchorConsent  = "consent.ended"
)

// deadlines reports deadlines that may never come, because they wait for an
// event without a cap, or for a fact that no service reports.
func (c *checker) deadlines() {
	reports := map[string]bool{anchorObtained: true, anchorGiven: true, anchorConsent: true}
	for _, s := range c.set.Services {
		for _, r := range s.Reports {
			reports[r.Name] = true
		}
	}
	anchor := func(d *rule.Deadline, what, name string, cl *rule.Clause) {
		if d != nil && !reports[d.Anchor] {
			c.find(diag.New(diag.AnchorNotReported, d.Span, "%s waits for %s, which no service reports", what, d.Anchor).
				WithLabel("waits for it").WithHint("let a service report it: reports = [%s]", d.Anchor), name, cl)
		}
	}
	for _, p := range c.set.Purposes {
		what := "purpose \"" + string(p.Name) + "\""
		for _, d := range deadlinesOf(p) {
			anchor(d, what, string(p.Name), p.Clause)
		}
		c.capped(p.Keep, p.AtMost, agreed(p), what, string(p.Name), p.Clause)
		for _, in := range p.In {
			if in.Keep != nil || in.AtMost != nil {
				c.capped(first(in.Keep, p.Keep), first(in.AtMost, p.AtMost), agreed(p), what, string(p.Name), p.Clause)
			}
		}
	}
	for _, g := range c.set.Groups {
		for _, cat := range g.Categories {
			anchor(cat.Keep, "category "+string(cat.Name), string(cat.Name), cat.Clause)
			c.capped(cat.Keep, nil, true, "category "+string(cat.Name), string(cat.Name), cat.Clause)
		}
	}
	for _, t := range c.set.Trackers {
		anchor(t.Keep, "tracker \""+t.Name+"\"", t.Name, t.Clause)
		c.capped(t.Keep, nil, true, "tracker \""+t.Name+"\"", t.Name, t.Clause)
	}
}

func deadlinesOf(p *rule.Purpose) []*rule.Deadline {
	out := []*rule.Deadline{p.Keep, p.AtMost, p.Lasts}
	for _, in := range p.In {
		out = append(out, in.Keep, in.AtMost, in.Lasts)
	}
	return out
}

func first(list ...*rule.Deadline) *rule.Deadline {
	for _, d := range list {
		if d != nil {
			return d
		}
	}
	return nil
}

// capped: a deadline counted from obtaining comes by itself, and the end of a
// consent is in the person's own hand, where there is a consent. Any other
// event needs a cap counted from obtaining.
func (c *checker) capped(keep, atMost *rule.Deadline, consented bool, what, name string, cl *rule.Clause) {
	if atMost != nil && atMost.Anchor != anchorObtained {
		c.find(diag.New(diag.DeadlineWithoutCap, atMost.Span, "the cap of %s waits for an event itself", what).WithLabel("waits for "+atMost.Anchor).
			WithHint("count the cap from the day the data is obtained: at_most = obtained + ..."), name, cl)
		return
	}
	if keep == nil || atMost != nil || keep.Anchor == anchorObtained || keep.Anchor == anchorConsent && consented {
		return
	}
	c.find(diag.New(diag.DeadlineWithoutCap, keep.Span, "%s is kept until %s, which may never come, and has no cap", what, keep.Anchor).
		WithLabel("waits for "+keep.Anchor), name, cl)
}

// completeness reports rules that lack their counterpart.
func (c *checker) completeness() {
	c.unused()
	c.retention()
	c.contracts()
	c.trackers()
	c.channels()
	c.services()
	c.held()
}

// unused reports categories that serve no purpose. Data about nobody serves
// its count; data that others derive from serves through them; what is never
// collected needs no purpose.
func (c *checker) unused() {
	used := map[*rule.Category]bool{}
	mark := func(refs []rule.Ref) {
		for _, r := range refs {
			for _, cat := range c.expand(r) {
				used[cat] = true
			}
		}
	}
	for _, p := range c.set.Purposes {
		mark(p.Uses)
		mark(p.Contacts)
		mark(p.ChosenBy)
	}
	for _, s := range c.set.Statistics {
		for _, d := range s.By {
			mark([]rule.Ref{d.Category})
		}
	}
	for _, t := range c.set.Trackers {
		if t.Purpose != nil {
			mark(t.Sees)
		}
	}
	for _, g := range c.set.Groups {
		for _, cat := range g.Categories {
			mark(cat.DerivedFrom)
		}
	}
	for _, g := range c.set.Groups {
		for _, cat := range g.Categories {
			if !used[cat] && cat.CountPer == "" && !c.forbidden[cat] {
				c.find(diag.New(diag.CategoryUnused, cat.Label, "no purpose uses %s", cat.Name).WithLabel("declared here"), string(cat.Name), cat.Clause, groupClause(cat))
			}
		}
	}
}

// retention reports purposes that say nowhere how long data is kept.
func (c *checker) retention() {
	for _, p := range c.set.Purposes {
		if p.Keep != nil || p.AtMost != nil {
			continue
		}
		for _, l := range [][]rule.Ref{p.Uses, p.Contacts, p.ChosenBy} {
			if i := slices.IndexFunc(l, func(r rule.Ref) bool {
				return slices.ContainsFunc(c.expand(r), func(cat *rule.Category) bool { return cat.Keep == nil })
			}); i >= 0 {
				c.find(diag.New(diag.PurposeWithoutRetention, p.Label, "purpose \"%s\" does not say how long it keeps %s", p.Name, l[i].Name).
					WithLabel("no keep").WithOther(l[i].Span, "used here"), string(p.Name), p.Clause)
				break
			}
		}
	}
}

// contracts reports recipients that receive data and are bound by nothing.
func (c *checker) contracts() {
	for _, r := range c.set.Recipients {
		if r.Contract != nil || r.OwnPolicy != "" || r.Class == "authority" {
			continue
		}
		at, ok := c.receives(r)
		if !ok {
			continue
		}
		c.find(diag.New(diag.RecipientWithoutContract, r.Label, "recipient \"%s\" receives data without a contract", r.Name).
			WithLabel("no contract").WithOther(at, "receives data here"), string(r.Name), r.Clause)
	}
}

// receives returns where a recipient receives data about people.
func (c *checker) receives(r *rule.Recipient) (abide.Span, bool) {
	for _, g := range r.Gets {
		return g.Purpose.Span, true
	}
	for _, t := range c.set.Trackers {
		if t.Host != nil && len(t.Sees) > 0 && slices.Contains(c.recipientsOf(*t.Host), r) {
			return t.Host.Span, true
		}
	}
	return abide.Span{}, false
}

func (c *checker) trackers() {
	for _, t := range c.set.Trackers {
		if t.Purpose == nil && !t.Strict {
			c.find(diag.New(diag.TrackerWithoutPurpose, t.Label, "tracker \"%s\" serves no purpose", t.Name).WithLabel("no purpose"), t.Name, t.Clause)
		}
	}
}

// channels reports each channel by which a purpose reaches people and of which
// nothing says how protected it is (CLAUSES C18), once.
func (c *checker) channels() {
	known := map[string]bool{}
	for _, ch := range c.set.Channels {
		known[string(ch.Name)] = true
	}
	for _, p := range c.set.Purposes {
		for _, r := range p.Channels {
			if known[r.Name] {
				continue
			}
			known[r.Name] = true
			c.find(diag.New(diag.ChannelWithoutProtection, r.Span, "purpose \"%s\" reaches people by %s, and nothing says how protected that is", p.Name, r.Name).
				WithLabel("used here"), r.Name, p.Clause)
		}
	}
}

// services reports needs of a service that none of the purposes it serves may
// use.
func (c *checker) services() {
	for _, s := range c.set.Services {
		for _, n := range s.Needs {
			for _, cat := range c.expand(n) {
				if slices.ContainsFunc(s.Serves, func(r rule.Ref) bool { return c.purposeUses(r.Name, cat) }) {
					continue
				}
				d := diag.New(diag.ServiceNotPermitted, n.Span, "service \"%s\" needs %s, which none of the purposes it serves uses", s.Name, cat.Name).WithLabel("needed here")
				if len(s.Serves) > 0 {
					at := s.Serves[0].Span
					if p := c.purposes[s.Serves[0].Name]; p != nil {
						at = p.Label
					}
					d = d.WithOther(at, "does not use it")
				} else {
					d = d.WithHint("say which purposes the service serves: serves = [...]")
				}
				c.find(d, string(cat.Name), s.Clause)
			}
		}
	}
}

func (x *index) purposeUses(name string, cat *rule.Category) bool {
	p := x.purposes[name]
	if p == nil {
		return false
	}
	return slices.ContainsFunc([][]rule.Ref{p.Uses, p.Contacts, p.ChosenBy}, func(l []rule.Ref) bool {
		return slices.ContainsFunc(l, func(r rule.Ref) bool { return slices.Contains(x.expand(r), cat) })
	})
}

// held reports categories that no registered system holds, if systems are
// registered at all. What is only counted is held nowhere.
func (c *checker) held() {
	if len(c.set.Systems) == 0 {
		return
	}
	held := map[*rule.Category]bool{}
	for _, s := range c.set.Systems {
		for _, r := range s.Holds {
			for _, cat := range c.expand(r) {
				held[cat] = true
			}
		}
	}
	for _, g := range c.set.Groups {
		for _, cat := range g.Categories {
			if cat.CountPer != "" {
				continue
			}
			c.report.Coverage.Categories++
			if held[cat] {
				c.report.Coverage.Held++
				continue
			}
			c.find(diag.New(diag.CategoryUnheld, cat.Label, "no registered system holds %s", cat.Name).WithLabel("declared here").
				WithOther(c.set.Systems[0].Span, "systems are registered here"), string(cat.Name), cat.Clause, groupClause(cat))
		}
	}
}
