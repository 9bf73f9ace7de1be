package check

import (
	"fmt"
	"slices"
	"strings"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy/diag"
	"github.com/abide-privacy/abide/policy/rule"
)

// conflicts finds rules that contradict each other.
func (c *checker) conflicts() {
	uses := c.together()
	for _, t := range uses {
		c.apart(t)
	}
	c.derivedApart()
	c.nobody(uses)
	c.nevers()
	c.wildcards()
}

// together is categories that one rule brings together for one person.
type together struct {
	what   string // `purpose "reports"`
	name   string
	clause *rule.Clause
	list   []used
}

type used struct {
	category *rule.Category
	span     abide.Span
	choosing bool // chooses, or contacts: acts on one person
}

// together lists each rule that brings categories together for one person.
func (x *index) together() []together {
	var out []together
	for _, p := range x.set.Purposes {
		t := together{what: "purpose \"" + string(p.Name) + "\"", name: string(p.Name), clause: p.Clause}
		t.take(x, p.Uses, false)
		t.take(x, p.Contacts, true)
		t.take(x, p.ChosenBy, true)
		out = append(out, t)
	}
	for _, r := range x.set.Recipients {
		for _, g := range r.Gets {
			t := together{what: "recipient \"" + string(r.Name) + "\"", name: string(r.Name), clause: r.Clause}
			t.take(x, g.Categories, false)
			out = append(out, t)
		}
	}
	for _, s := range x.set.Statistics {
		t := together{what: "statistic \"" + s.Name + "\"", name: s.Name, clause: s.Clause}
		for _, d := range s.By {
			t.take(x, []rule.Ref{d.Category}, false)
		}
		out = append(out, t)
	}
	for _, tr := range x.set.Trackers {
		t := together{what: "tracker \"" + tr.Name + "\"", name: tr.Name, clause: tr.Clause}
		t.take(x, tr.Sees, false)
		out = append(out, t)
	}
	for _, s := range x.set.Services {
		t := together{what: "service \"" + string(s.Name) + "\"", name: string(s.Name), clause: s.Clause}
		t.take(x, s.Needs, false)
		t.take(x, s.Wants, false)
		out = append(out, t)
	}
	return out
}

func (t *together) take(x *index, refs []rule.Ref, choosing bool) {
	for _, r := range refs {
		for _, c := range x.expand(r) {
			t.list = append(t.list, used{c, r.Span, choosing})
		}
	}
}

// partedBy returns the declaration that keeps a apart from b, if there is one:
// on a or on its group. What is apart from people is apart from everything
// that is linked to them, which is all that is not declared apart itself.
func (x *index) partedBy(a, b *rule.Category) (rule.Ref, bool) {
	for _, r := range apartOf(a) {
		if r.Name == string(b.Name) || b.Group != nil && r.Name == b.Group.Name || x.people[r.Name] && x.linkedToPeople(b) {
			return r, true
		}
	}
	return rule.Ref{}, false
}

func (x *index) linkedToPeople(c *rule.Category) bool {
	_, apart := x.unlinked(c)
	return c.CountPer == "" && !apart
}

// findPeople finds the groups that stand for people: "person", and any other
// by whose data people are contacted or served.
func (x *index) findPeople() {
	x.people = map[string]bool{"person": true}
	mark := func(refs []rule.Ref) {
		for _, r := range refs {
			for _, c := range x.expand(r) {
				x.people[groupName(c)] = true
			}
		}
	}
	for _, p := range x.set.Purposes {
		mark(p.Contacts)
	}
	for _, s := range x.set.Services {
		mark(s.Needs)
	}
}

// apartOf lists what a category is kept apart from.
func apartOf(c *rule.Category) []rule.Ref {
	if c.Group == nil {
		return c.Apart
	}
	return append(slices.Clip(c.Apart), c.Group.Apart...)
}

// unlinked returns the declaration that keeps a category apart from people.
func (x *index) unlinked(c *rule.Category) (rule.Ref, bool) {
	list := apartOf(c)
	i := slices.IndexFunc(list, func(r rule.Ref) bool { return x.people[r.Name] && (c.Group == nil || r.Name != c.Group.Name) })
	if i < 0 {
		return rule.Ref{}, false
	}
	return list[i], true
}

// apart reports data that is kept apart and that a rule uses nevertheless
// beside the data it is kept apart from; and unlinked data that a rule uses to
// choose or contact, which is one person's always (CLAUSES C08, C09, C10).
func (c *checker) apart(t together) {
	reported := map[abide.Category]bool{}
	for _, a := range t.list {
		if reported[a.category.Name] {
			continue
		}
		if decl, ok := c.unlinked(a.category); ok && a.choosing {
			reported[a.category.Name] = true
			c.reportApart(t, a, nil, decl)
			continue
		}
		for i := range t.list {
			b := &t.list[i]
			if decl, ok := c.partedBy(a.category, b.category); ok && b.category != a.category {
				reported[a.category.Name] = true
				c.reportApart(t, a, b, decl)
				break
			}
		}
	}
}

func (c *checker) reportApart(t together, a used, b *used, decl rule.Ref) {
	msg := fmt.Sprintf("%s uses %s for one person, which is kept apart from %s", t.what, a.category.Name, decl.Name)
	if b != nil {
		msg = fmt.Sprintf("%s uses %s together with %s, from which it is kept apart", t.what, a.category.Name, b.category.Name)
	}
	c.find(diag.New(diag.ApartUsedPerPerson, a.span, "%s", msg).
		WithLabel("used per person here").WithOther(decl.Span, "kept apart here"), string(a.category.Name), t.clause, groupClause(a.category))
}

func groupClause(c *rule.Category) *rule.Clause {
	if c.Group != nil {
		return c.Group.Clause
	}
	return c.Clause
}

// derivedApart reports data about a person that derives from data kept apart
// from people.
func (c *checker) derivedApart() {
	for _, g := range c.set.Groups {
		for _, d := range g.Categories {
			for _, src := range d.DerivedFrom {
				for _, a := range c.expand(src) {
					if decl, ok := c.partedBy(a, d); ok {
						c.find(diag.New(diag.ApartUsedPerPerson, src.Span, "%s derives from %s, which is kept apart from %s", d.Name, a.Name, decl.Name).
							WithLabel("derived here").WithOther(decl.Span, "kept apart here"), string(a.Name), groupClause(d), groupClause(a))
					}
				}
			}
		}
	}
}

// nobody reports data about nobody that is counted beside an identifier of the
// same device, used per person, without being declared apart from it: the
// identifier tells the model (CLAUSES C03, C07).
func (c *checker) nobody(uses []together) {
	for _, g := range c.set.Groups {
		for _, n := range g.Categories {
			if n.CountPer == "" {
				continue
			}
			for _, t := range uses {
				i := slices.IndexFunc(t.list, func(u used) bool { return c.identifiesDevice(u.category) && !c.mutuallyParted(n, u.category) })
				if i < 0 {
					continue
				}
				id := t.list[i]
				c.find(diag.New(diag.NobodyBesideIdentifier, n.Label, "%s is counted as data about nobody, but %s uses %s of the same people's devices, and the two are not declared apart", n.Name, t.what, id.category.Name).
					WithLabel("counted about nobody").WithOther(id.span, "identifies a person's device").
					WithHint("write apart = [%s] in data \"%s\"", groupName(id.category), g.Name), string(n.Name), groupClause(n), t.clause)
				break
			}
		}
	}
}

func (c *checker) mutuallyParted(a, b *rule.Category) bool {
	_, ab := c.partedBy(a, b)
	_, ba := c.partedBy(b, a)
	return ab || ba
}

// identifiesDevice: by its format, or because its words say so.
func (c *checker) identifiesDevice(cat *rule.Category) bool {
	if cat.CountPer != "" {
		return false
	}
	if strings.EqualFold(cat.Format, "imei") {
		return true
	}
	for _, w := range cat.Words {
		text := strings.Join(tokenTexts(w.Text), " ")
		for _, id := range deviceIdentifiers {
			if strings.Contains(" "+text+" ", " "+id+" ") {
				return true
			}
		}
	}
	return false
}

// deviceIdentifiers are what the field calls numbers that tell one device from
// all others.
var deviceIdentifiers = []string{"imei", "imsi", "device id", "device identifier", "serial number", "advertising id", "advertising identifier", "mac address", "android id", "idfa", "hardware id"}

func tokenTexts(s string) []string {
	var out []string
	for _, t := range tokenize(s) {
		out = append(out, t.text)
	}
	return out
}

// wildcards reports whole groups in what people agree to.
func (c *checker) wildcards() {
	for _, p := range c.set.Purposes {
		if !agreed(p) {
			continue
		}
		for _, l := range [][]rule.Ref{p.Uses, p.Contacts, p.ChosenBy} {
			for _, r := range l {
				if c.categories[r.Name] == nil && c.expand(r) != nil {
					c.find(diag.New(diag.WildcardUnderConsent, r.Span, "purpose \"%s\" rests on consent and uses the whole group %s", p.Name, r.Name).
						WithLabel("names a whole group").WithOther(c.groups[strings.TrimSuffix(r.Name, ".*")].Label, "group declared here"), r.Name, p.Clause)
				}
			}
		}
	}
}

// agreed reports whether people agree to a purpose, anywhere.
func agreed(p *rule.Purpose) bool {
	if consents(p.Basis) {
		return true
	}
	return slices.ContainsFunc(p.In, func(in *rule.PlaceRule) bool { return consents(in.Basis) })
}

func consents(b *rule.Basis) bool {
	return b != nil && (b.Kind == rule.BasisConsent || b.Kind == rule.BasisNoObjection || b.Kind == rule.BasisProfile)
}

func groupName(c *rule.Category) string {
	if c.Group == nil {
		return ""
	}
	return c.Group.Name
}
