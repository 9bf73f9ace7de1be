package policy

import (
	"slices"
	"strings"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy/diag"
	"github.com/abide-privacy/abide/policy/rule"
)

// Options are what a policy is compiled with besides its rules.
type Options struct {
	// Laws are the law profiles. Without them every law.… in a rule is an error,
	// and any code of ISO 3166's form is a place.
	Laws *Laws
	// Own are the profiles that the policy brings itself, which Laws has
	// already. Its version is of them too; the shipped ones come with the
	// program.
	Own []Profile
	// Archive holds the terms of earlier policies, so that consents to them stay
	// readable.
	Archive []Terms
}

// Compile turns a syntax tree into a policy. The findings are those that make
// compiling impossible or wrong; whether words and rules agree is checked
// elsewhere. The policy is nil if any finding is an error. The set must not be
// changed afterwards.
func Compile(set *rule.Set, o Options) (*Policy, diag.List) {
	c := &compiler{
		p: &Policy{set: set, laws: o.Laws, catIndex: map[abide.Category]int32{}, groupIndex: map[string]int32{},
			levelIndex: map[string]int32{}, purposeIndex: map[abide.Purpose]int32{}, serviceIndex: map[abide.Service]int32{},
			recIndex: map[abide.Recipient]int32{}, listed: map[abide.Recipient]int32{}, docIndex: map[abide.DocumentName]int32{},
			roles: map[string]*role{}, orders: map[string]*order{}, archive: map[string]*coverage{}},
		set: set,
	}
	c.documents()
	c.names()
	c.places()
	c.levels()
	c.categories()
	c.purposes()
	c.services()
	c.recipients()
	c.within()
	c.nevers()
	c.minors()
	c.roles()
	c.orders()
	c.obligations()
	if c.found.HasErrors() {
		return nil, c.found
	}
	c.variants()
	if c.found.HasErrors() {
		return nil, c.found
	}
	c.archive(o.Archive)
	c.p.version = digestOf(appendCanonical(nil, canonicalPolicy(set, o.Own)))
	return c.p, c.found
}

type compiler struct {
	p     *Policy
	set   *rule.Set
	found diag.List

	byName     map[abide.Purpose][]*Purpose // more than one where a document prevails
	regimes    map[string][]regime          // by profile key, by place
	known      map[string][]bool            // whether a profile says so, likewise
	controller map[abide.DocumentName]int32
	tables     map[string][]uint16 // equal tables of variants by place are shared
	grouped    map[int32][]int32   // members of groups of places
}

func clauseOf(at rule.At) string {
	if at.Clause == nil || at.Clause.Document == nil {
		return ""
	}
	return at.Clause.FullID()
}

func documentOf(at rule.At) abide.DocumentName {
	if at.Clause == nil || at.Clause.Document == nil {
		return ""
	}
	d := at.Clause.Document
	if d.TranslationOf != "" {
		return d.TranslationOf
	}
	return d.Name
}

func (c *compiler) report(code diag.Code, at rule.At, span abide.Span, name, format string, args ...any) *diag.Diagnostic {
	if span == (abide.Span{}) {
		span = at.Span
	}
	c.found = append(c.found, diag.New(code, span, format, args...).In(clauseOf(at), name))
	return &c.found[len(c.found)-1]
}

// unknown reports a name that nothing declares, with the nearest that is.
func (c *compiler) unknown(kind string, at rule.At, r rule.Ref, known []string) {
	d := c.report(diag.UnknownName, at, r.Span, r.Name, "no %s is called %s", kind, r.Name)
	if hint := diag.DidYouMean(r.Name, known); hint != "" {
		d.Hint = hint
	}
}

func (c *compiler) twice(kind string, at, first rule.At, name string) {
	d := c.report(diag.NameTwice, at, at.Label, name, "%s %s is declared twice", kind, name)
	d.Other = &diag.Place{Span: spanOr(first.Label, first.Span), Label: "declared here first"}
}

func spanOr(s, fallback abide.Span) abide.Span {
	if s == (abide.Span{}) {
		return fallback
	}
	return s
}

func (c *compiler) documents() {
	for _, d := range c.set.Documents {
		if d.TranslationOf != "" {
			continue
		}
		if _, twice := c.p.docIndex[d.Name]; twice {
			continue // the parser has reported it
		}
		c.p.docIndex[d.Name] = int32(len(c.p.documents))
		c.p.documents = append(c.p.documents, &Document{Name: d.Name, Title: d.Title, Language: d.Language, Rule: d, Digest: proseDigest(d)})
	}
	for _, d := range c.p.documents {
		y := d.Rule.YieldsTo
		if y == nil {
			continue
		}
		at := rule.At{Span: y.Span}
		over, ok := c.p.Document(abide.DocumentName(y.Document.Name))
		if !ok {
			c.unknown("document", at, y.Document, namesOf(c.p.documents, func(d *Document) string { return string(d.Name) }))
			continue
		}
		if c.yields(over, d.Name, 0) {
			c.report(diag.PrecedenceCircle, at, y.Span, string(d.Name), "document %s yields to %s, which yields to it", d.Name, over.Name)
			continue
		}
		over.prevails = true
		over.Prevails = append(over.Prevails, d.Name)
	}
}

// yields reports whether from yields to name, directly or through others, or
// is it.
func (c *compiler) yields(from *Document, name abide.DocumentName, depth int) bool {
	if from.Name == name || depth > len(c.p.documents) {
		return true
	}
	if from.Rule.YieldsTo == nil {
		return false
	}
	next, ok := c.p.Document(abide.DocumentName(from.Rule.YieldsTo.Document.Name))
	return ok && c.yields(next, name, depth+1)
}

func namesOf[T any](list []T, name func(T) string) []string {
	out := make([]string, len(list))
	for i, e := range list {
		out[i] = name(e)
	}
	return out
}

// names interns what is declared, so that rules may refer forwards.
func (c *compiler) names() {
	for _, l := range c.set.Levels {
		if i, twice := c.p.levelIndex[l.Name]; twice {
			c.twice("level", l.At, c.p.levels[i].rule.At, l.Name)
			continue
		}
		c.p.levelIndex[l.Name] = int32(len(c.p.levels))
		c.p.levels = append(c.p.levels, &level{rule: l, name: l.Name, above: -1, demands: -1})
	}
	for _, g := range c.set.Groups {
		c.nameGroup(g)
	}
	c.namePurposes()
	for _, s := range c.set.Services {
		if i, twice := c.p.serviceIndex[s.Name]; twice {
			c.twice("service", s.At, c.p.services[i].Rule.At, string(s.Name))
			continue
		}
		id := int32(len(c.p.services))
		c.p.serviceIndex[s.Name] = id
		c.p.services = append(c.p.services, &Service{Name: s.Name, Title: titleOf(s.Title, string(s.Name)), Minors: s.Minors,
			Rule: s, Clause: clauseOf(s.At), Span: s.Span, id: id})
	}
	for _, r := range c.set.Recipients {
		if i, twice := c.p.recIndex[r.Name]; twice {
			c.twice("recipient", r.At, c.p.recipients[i].Rule.At, string(r.Name))
			continue
		}
		id := int32(len(c.p.recipients))
		c.p.recIndex[r.Name] = id
		c.p.recipients = append(c.p.recipients, &Recipient{Name: r.Name, Title: titleOf(r.Title, string(r.Name)), Class: r.Class,
			Register: r.Register, Rule: r, Clause: clauseOf(r.At), Span: r.Span, id: id,
			Gets: map[abide.Purpose][]abide.Category{}, gets: map[int32]bitset{}})
	}
}

func titleOf(title, name string) string {
	if title != "" {
		return title
	}
	return strings.ReplaceAll(name, "_", " ")
}

func (c *compiler) nameGroup(g *rule.Group) {
	gid, again := c.p.groupIndex[g.Name]
	if !again {
		gid = int32(len(c.p.groups))
		c.p.groupIndex[g.Name] = gid
		c.p.groups = append(c.p.groups, g)
	}
	for _, r := range g.Categories {
		if i, twice := c.p.catIndex[r.Name]; twice {
			c.twice("category", r.At, c.p.categories[i].Rule.At, string(r.Name))
			continue
		}
		id := int32(len(c.p.categories))
		c.p.catIndex[r.Name] = id
		format := r.Format
		if format == "" {
			format = "text"
		}
		cat := &Category{Name: r.Name, Group: g.Name, Format: format, Find: r.Find, Many: r.Many, Coarsen: r.Coarsen,
			TwoParty: r.TwoParty, Elsewhere: r.Elsewhere, CountPer: r.CountPer, Rule: r, Clause: clauseOf(r.At), Span: r.Span,
			id: id, group: gid, level: -1, nobody: r.CountPer != ""}
		if format == FormatFile {
			cat.MaxBytes, cat.MediaTypes = DefaultMaxBytes, r.MediaTypes
			if r.MaxMegabytes > 0 {
				cat.MaxBytes = int64(r.MaxMegabytes) * 1_000_000
			}
		}
		for _, w := range r.Words {
			cat.Words = append(cat.Words, w.Text)
		}
		c.p.categories = append(c.p.categories, cat)
	}
}

// namePurposes interns purposes. The same name in two documents is one purpose
// if one of the documents prevails over the other.
func (c *compiler) namePurposes() {
	c.byName = map[abide.Purpose][]*Purpose{}
	for _, r := range c.set.Purposes {
		pu := &Purpose{Name: r.Name, Title: titleOf(r.Title, string(r.Name)), Document: documentOf(r.At), Marketing: r.Marketing || len(r.Offers) > 0,
			Then: r.Then, Rule: r, Clause: clauseOf(r.At), Span: r.Span, doc: -1}
		if pu.Then == "" {
			pu.Then = "erase"
		}
		if r.Basis != nil {
			pu.Basis = r.Basis.Kind
			pu.Marketing = pu.Marketing || (r.Basis.Kind == rule.BasisProfile && r.Basis.Profile == LawDirectMarketing)
		}
		if d, ok := c.p.docIndex[pu.Document]; ok {
			pu.doc = d
			pu.onlyAgreed = c.p.documents[d].prevails
		}
		same := c.byName[r.Name]
		if len(same) > 0 && !c.maySpeakBoth(same, pu) {
			c.twice("purpose", r.At, same[0].Rule.At, string(r.Name))
			continue
		}
		c.byName[r.Name] = append(same, pu)
		c.intern(pu, same)
	}
}

func (c *compiler) maySpeakBoth(same []*Purpose, pu *Purpose) bool {
	if len(same) > 1 || same[0].doc < 0 || pu.doc < 0 || same[0].doc == pu.doc {
		return false
	}
	a, b := c.p.documents[same[0].doc], c.p.documents[pu.doc]
	return slices.Contains(a.Prevails, b.Name) || slices.Contains(b.Prevails, a.Name)
}

// intern gives a purpose its number. The one of the yielding document is the
// one that is listed.
func (c *compiler) intern(pu *Purpose, same []*Purpose) {
	if len(same) == 0 {
		pu.id = int32(len(c.p.purposes))
		c.p.purposeIndex[pu.Name] = pu.id
		c.p.purposes = append(c.p.purposes, pu)
		return
	}
	pu.id = same[0].id
	// The one is no way around what law asks for the other.
	pu.Marketing = pu.Marketing || same[0].Marketing
	same[0].Marketing = pu.Marketing
	pu.twin, same[0].twin = same[0], pu
	if slices.Contains(c.p.documents[pu.doc].Prevails, same[0].Document) {
		same[0].prevailing = pu
		return
	}
	pu.prevailing = same[0]
	c.p.purposes[pu.id] = pu
}

// allPurposes are the listed ones and those that prevail over them.
func (c *compiler) allPurposes() []*Purpose {
	var out []*Purpose
	for _, pu := range c.p.purposes {
		out = append(out, pu)
		if pu.prevailing != nil {
			out = append(out, pu.prevailing)
		}
	}
	return out
}

func (c *compiler) categoryNames() []string {
	return namesOf(c.p.categories, func(k *Category) string { return string(k.Name) })
}

func (c *compiler) purposeNames() []string {
	return namesOf(c.p.purposes, func(k *Purpose) string { return string(k.Name) })
}

func (c *compiler) serviceNames() []string {
	return namesOf(c.p.services, func(k *Service) string { return string(k.Name) })
}

func (c *compiler) groupNames() []string {
	return namesOf(c.p.groups, func(k *rule.Group) string { return k.Name })
}

// category resolves the name of one category.
func (c *compiler) category(at rule.At, r rule.Ref) (*Category, bool) {
	cat, ok := c.p.Category(abide.Category(r.Name))
	if !ok {
		c.unknown("category", at, r, c.categoryNames())
	}
	return cat, ok
}

// categorySet resolves names of categories, and of groups if whole is set.
func (c *compiler) categorySet(at rule.At, refs []rule.Ref, whole bool) bitset {
	var set bitset
	for _, r := range refs {
		if g, ok := c.p.groupIndex[r.Name]; ok && whole {
			for _, cat := range c.p.categories {
				if cat.group == g {
					set.add(cat.id)
				}
			}
			continue
		}
		if cat, ok := c.category(at, r); ok {
			set.add(cat.id)
		}
	}
	return set
}

func (c *compiler) list(set bitset) []abide.Category {
	var out []abide.Category
	set.each(func(i int32) { out = append(out, c.p.categories[i].Name) })
	return out
}

func (c *compiler) purposeSet(at rule.At, refs []rule.Ref) bitset {
	var set bitset
	for _, r := range refs {
		if pu, ok := c.p.Purpose(abide.Purpose(r.Name)); ok {
			set.add(pu.id)
		} else {
			c.unknown("purpose", at, r, c.purposeNames())
		}
	}
	return set
}

func (c *compiler) serviceSet(at rule.At, refs []rule.Ref) bitset {
	var set bitset
	for _, r := range refs {
		if s, ok := c.p.Service(abide.Service(r.Name)); ok {
			set.add(s.id)
		} else {
			c.unknown("service", at, r, c.serviceNames())
		}
	}
	return set
}

// groupSet resolves names of groups. person is one even where no group has
// that name: it stands for the person a subject is.
func (c *compiler) groupSet(at rule.At, refs []rule.Ref) (set bitset, person bool) {
	for _, r := range refs {
		g, ok := c.p.groupIndex[r.Name]
		if ok {
			set.add(g)
		}
		if r.Name == groupPerson {
			person = true
		} else if !ok {
			c.unknown("data group", at, r, c.groupNames())
		}
	}
	return set, person
}

// groupPerson is the word for the person in apart.
const groupPerson = "person"
