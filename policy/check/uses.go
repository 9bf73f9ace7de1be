package check

import (
	"slices"
	"strings"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy/rule"
)

// use is one thing that a rule of a clause speaks of.
type use struct {
	thing
	span   abide.Span
	list   string // the argument it stands in: "chosen_by"; "" for the rule itself
	must   bool   // the clause has to name it; otherwise it only covers a mention
	forbid bool   // the rule forbids it: a mention under negation will do
}

// bound is a rule as the words check sees it.
type bound struct {
	block string // "purpose"
	name  string
	at    rule.At
	uses  []use
	// anyThing: a rule that covers whatever its clause denies (never … any).
	anyThing bool
}

func (b *bound) title() string {
	if b.name == "" {
		return b.block
	}
	return b.block + " \"" + b.name + "\""
}

// index knows every name of a policy.
type index struct {
	set        *rule.Set
	categories map[string]*rule.Category
	groups     map[string]*rule.Group
	purposes   map[string]*rule.Purpose
	recipients map[string]*rule.Recipient
	services   map[string]*rule.Service
	documents  map[abide.DocumentName]*rule.Document
	byClause   map[*rule.Clause][]*bound
	members    map[string][]*rule.Recipient // class → recipients
	people     map[string]bool              // groups that stand for people
	forbidden  map[*rule.Category]bool      // declared only to say that it is never collected
}

func newIndex(set *rule.Set) *index {
	x := &index{set: set, categories: map[string]*rule.Category{}, groups: map[string]*rule.Group{}, purposes: map[string]*rule.Purpose{},
		recipients: map[string]*rule.Recipient{}, services: map[string]*rule.Service{}, documents: map[abide.DocumentName]*rule.Document{},
		byClause: map[*rule.Clause][]*bound{}, members: map[string][]*rule.Recipient{}}
	for _, d := range set.Documents {
		x.documents[d.Name] = d
	}
	for _, g := range set.Groups {
		x.groups[g.Name] = g
		for _, c := range g.Categories {
			x.categories[string(c.Name)] = c
		}
	}
	for _, p := range set.Purposes {
		if x.purposes[string(p.Name)] == nil {
			x.purposes[string(p.Name)] = p
		}
	}
	for _, r := range set.Recipients {
		x.recipients[string(r.Name)] = r
		x.members[r.Class] = append(x.members[r.Class], r)
	}
	for _, s := range set.Services {
		x.services[string(s.Name)] = s
	}
	x.findPeople()
	x.findForbidden()
	x.bind()
	return x
}

// expand returns the categories that a reference names: a category, or all of
// a group ("person", "person.*").
func (x *index) expand(r rule.Ref) []*rule.Category {
	if c := x.categories[r.Name]; c != nil {
		return []*rule.Category{c}
	}
	if g := x.groups[strings.TrimSuffix(r.Name, ".*")]; g != nil {
		return g.Categories
	}
	return nil
}

// recipientsOf returns the recipients that a reference names: one, or all of a
// class, in the singular or the plural.
func (x *index) recipientsOf(r rule.Ref) []*rule.Recipient {
	if rc := x.recipients[r.Name]; rc != nil {
		return []*rule.Recipient{rc}
	}
	if list := x.members[r.Name]; list != nil {
		return list
	}
	return x.members[strings.TrimSuffix(r.Name, "s")]
}

// bind lists what each rule uses, under the clause it stands in.
func (x *index) bind() {
	s := x.set
	for _, g := range s.Groups {
		b := x.start("data", g.Name, g.At)
		for _, c := range g.Categories {
			b.uses = append(b.uses, use{thing: thing{aCategory, string(c.Name)}, span: c.Label, must: true, forbid: x.forbidden[c]})
			x.categoriesIn(b, "derived_from", true, false, c.DerivedFrom)
			x.named(b, aService, "only_to", false, false, c.OnlyTo)
		}
	}
	for _, p := range s.Purposes {
		x.bindPurpose(p)
	}
	for _, v := range s.Services {
		b := x.start("service", string(v.Name), v.At)
		b.uses = append(b.uses, use{thing: thing{aService, string(v.Name)}, span: v.Label})
		x.categoriesIn(b, "needs", true, false, v.Needs)
		x.categoriesIn(b, "wants", true, false, v.Wants)
		x.named(b, aPurpose, "serves", false, false, v.Serves)
	}
	for _, r := range s.Recipients {
		b := x.start("recipient", string(r.Name), r.At)
		// Who gets nothing may be named only to say so.
		b.uses = append(b.uses, use{thing: thing{aRecipient, string(r.Name)}, span: r.Label, must: true, forbid: len(r.Gets) == 0})
		for _, g := range r.Gets {
			x.named(b, aPurpose, "gets", true, false, []rule.Ref{g.Purpose})
			x.categoriesIn(b, "gets", true, false, g.Categories)
		}
		x.recipientsIn(b, "members", false, false, r.Members)
	}
	for _, st := range s.Statistics {
		b := x.start("statistic", st.Name, st.At)
		for _, d := range st.By {
			x.categoriesIn(b, "by", true, false, []rule.Ref{d.Category})
		}
		x.recipientsIn(b, "to", true, false, st.To)
	}
	x.bindSurfaces()
	x.bindLimits()
	x.bindDocuments()
}

func (x *index) bindPurpose(p *rule.Purpose) {
	b := x.start("purpose", string(p.Name), p.At)
	b.uses = append(b.uses, use{thing: thing{aPurpose, string(p.Name)}, span: p.Label, must: true})
	x.categoriesIn(b, "uses", true, false, p.Uses)
	x.categoriesIn(b, "contacts", true, false, p.Contacts)
	x.categoriesIn(b, "chosen_by", true, false, p.ChosenBy)
	if p.Message != nil {
		x.categoriesIn(b, "message", true, false, p.Message.Fields)
	}
	if p.Within != nil {
		x.named(b, aPurpose, "within", false, false, []rule.Ref{*p.Within})
	}
	for _, o := range p.Offers {
		x.recipientsIn(b, "offers", false, false, []rule.Ref{{Name: o.Whose, Span: o.Span}})
	}
}

// bindSurfaces: trackers, sign-in and posting, which hand data to others.
func (x *index) bindSurfaces() {
	for _, t := range x.set.Trackers {
		b := x.start("tracker", t.Name, t.At)
		x.categoriesIn(b, "sees", true, false, t.Sees)
		x.named(b, aPurpose, "purpose", true, false, optional(t.Purpose))
		x.recipientsIn(b, "host", true, false, optional(t.Host))
	}
	for _, ch := range x.set.Channels {
		b := x.start("channel", string(ch.Name), ch.At)
		// What is not protected may be named only to say so.
		b.uses = append(b.uses, use{thing: thing{aChannel, string(ch.Name)}, span: ch.Label, must: true, forbid: ch.Protection == "none"})
	}
	for _, g := range x.set.Signins {
		b := x.start("signin", g.Name, g.At)
		x.categoriesIn(b, "may_ask", true, false, g.MayAsk)
		x.recipientsIn(b, "host", true, false, hostOf(g.Host, g.Name))
	}
	for _, p := range x.set.Posts {
		b := x.start("post", p.Name, p.At)
		x.recipientsIn(b, "host", true, false, hostOf(p.Host, p.Name))
	}
}

// hostOf: a sign-in or a post without a host is named after its recipient.
func hostOf(host *rule.Ref, name string) []rule.Ref {
	if host != nil {
		return []rule.Ref{*host}
	}
	return []rule.Ref{{Name: name}}
}

// bindLimits: rules that forbid, and rules about staff and law.
func (x *index) bindLimits() {
	for _, n := range x.set.Nevers {
		b := x.start("never", n.Name, n.At)
		b.anyThing = n.Any || len(n.What) == 0
		for _, w := range n.What {
			_, row := x.categories[w.Name]
			x.categoriesIn(b, "what", row, true, []rule.Ref{w})
		}
		x.recipientsIn(b, "to", true, true, n.To)
		x.named(b, aPurpose, "for", true, true, n.For)
	}
	for _, m := range x.set.Minors {
		b := x.start("minors", "", m.At)
		x.named(b, aPurpose, "closed", true, true, m.Closed)
		// Who is a minor is told by the birth date: prose may name it.
		for name, c := range x.categories {
			if c.Format == "date" {
				b.uses = append(b.uses, use{thing: thing{aCategory, name}})
			}
		}
	}
	for _, w := range x.set.WithoutConsent {
		x.start("without_consent", w.Name, w.At)
	}
	for _, r := range x.set.Roles {
		b := x.start("role", r.Name, r.At)
		x.categoriesIn(b, "reads", true, false, r.Reads)
		x.named(b, aPurpose, "purposes", false, false, r.Purposes)
	}
	for _, r := range x.set.Reviews {
		x.start("review", r.Name, r.At)
	}
	for _, l := range x.set.Levels {
		b := x.start("level", l.Name, l.At)
		for name, c := range x.categories {
			if c.Level != nil && c.Level.Name == l.Name {
				b.uses = append(b.uses, use{thing: thing{aCategory, name}})
			}
		}
	}
	for _, e := range x.set.Examples {
		x.start("example", e.Name, e.At)
	}
}

// bindDocuments: a document block that ranks documents, or says whose law is
// looked at, is a rule of the clause it stands in.
func (x *index) bindDocuments() {
	for _, d := range x.set.Documents {
		if d.YieldsTo == nil && len(d.LawOf) == 0 {
			continue
		}
		for _, cl := range d.Clauses {
			if cl.Body.File == d.Span.File && cl.Body.Start.Byte <= d.Span.Start.Byte && d.Span.End.Byte <= cl.Body.End.Byte {
				x.start("document", string(d.Name), rule.At{Clause: cl, Span: d.Span, Label: d.Span})
			}
		}
	}
}

func optional(r *rule.Ref) []rule.Ref {
	if r == nil {
		return nil
	}
	return []rule.Ref{*r}
}

func (x *index) start(block, name string, at rule.At) *bound {
	b := &bound{block: block, name: name, at: at}
	x.byClause[at.Clause] = append(x.byClause[at.Clause], b)
	return b
}

func (x *index) categoriesIn(b *bound, list string, must, forbid bool, refs []rule.Ref) {
	for _, r := range refs {
		for _, c := range x.expand(r) {
			b.uses = append(b.uses, use{thing{aCategory, string(c.Name)}, r.Span, list, must, forbid})
		}
	}
}

// recipientsIn: a class covers its members, of which prose need not name each.
func (x *index) recipientsIn(b *bound, list string, must, forbid bool, refs []rule.Ref) {
	for _, r := range refs {
		_, single := x.recipients[r.Name]
		for _, rc := range x.recipientsOf(r) {
			b.uses = append(b.uses, use{thing{aRecipient, string(rc.Name)}, r.Span, list, must && single, forbid})
		}
	}
}

func (x *index) named(b *bound, k kind, list string, must, forbid bool, refs []rule.Ref) {
	for _, r := range refs {
		if k == aPurpose && x.purposes[r.Name] == nil || k == aService && x.services[r.Name] == nil {
			continue
		}
		b.uses = append(b.uses, use{thing{k, r.Name}, r.Span, list, must, forbid})
	}
}

// findForbidden finds the categories that a never keeps from being collected
// at all, by anybody for anything.
func (x *index) findForbidden() {
	x.forbidden = map[*rule.Category]bool{}
	for _, n := range x.set.Nevers {
		if len(n.To) > 0 || len(n.For) > 0 || n.Against != "" || len(n.Acts) > 0 && !slices.Contains(n.Acts, abide.ActCollect) {
			continue
		}
		for _, w := range n.What {
			for _, c := range x.expand(w) {
				x.forbidden[c] = true
			}
		}
	}
}

// covers reports whether any of the rules speaks of one of the things.
func covers(rules []*bound, things []thing) bool {
	return slices.ContainsFunc(rules, func(b *bound) bool {
		return slices.ContainsFunc(b.uses, func(u use) bool { return slices.Contains(things, u.thing) })
	})
}

// binding reports whether a rule makes its clause more than an explanation:
// examples bind nothing.
func (b *bound) binding() bool { return b.block != "example" }
