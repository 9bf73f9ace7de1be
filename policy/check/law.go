package check

import (
	"fmt"
	"slices"
	"strings"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy"
	"github.com/abide-privacy/abide/policy/diag"
	"github.com/abide-privacy/abide/policy/rule"
)

// Keys of law values that only this package reads.
const (
	// lawUniversalOptOut names the signal by which people opt out of sale and
	// sharing: where it is set, handing data over for advertising counts as
	// one of the two.
	lawUniversalOptOut = "universal_opt_out"
	// lawSeparateConsents is "yes" where handing data to others, and each other
	// thing agreed to, has to be asked for on its own.
	lawSeparateConsents = "separate_consents"
)

// law runs the checks that read law profiles.
func (c *checker) law() {
	if c.laws == nil {
		return
	}
	c.sale()
	c.bundled()
	c.unreviewed()
}

// sale reports a promise of no sale beside data handed to somebody for
// advertising, where a law counts that as a sale and the purpose is neither
// closed nor refused by the browser's signal (CLAUSES
// C11, C13).
func (c *checker) sale() {
	i := slices.IndexFunc(c.set.Nevers, func(n *rule.Never) bool { return n.Against != "" })
	if i < 0 {
		return
	}
	never := c.set.Nevers[i]
	seen := map[string]bool{}
	for _, p := range c.permits() {
		if !p.advert || seen[p.what] {
			continue
		}
		places := c.placesWhere(lawUniversalOptOut, func(v policy.LawValue, pl abide.Place) bool {
			return !c.saleResolved(c.purposes[p.purpose], pl, v.Value)
		})
		if len(places) == 0 {
			continue
		}
		seen[p.what] = true
		c.find(diag.New(diag.SaleByAdvertising, p.span, "%s hands %s to %s for advertising, which counts as a sale in %s", p.what, p.category.Name, p.recipient.Name, placeList(places)).
			WithLabel("handed over for advertising").WithOther(never.Span, "no sale is promised here"), string(p.recipient.Name), p.clause, never.Clause)
	}
}

// saleResolved: closed there, or refused by the signal. A yes of the person
// does not make it anything but a sale.
func (c *checker) saleResolved(p *rule.Purpose, pl abide.Place, signal string) bool {
	if p == nil {
		return false
	}
	if c.overrideAt(p, pl, func(in *rule.PlaceRule) bool { return in.Closed }) != nil {
		return true
	}
	return slices.ContainsFunc(p.Honours, func(r rule.Ref) bool { return r.Name == signal })
}

// overrideAt returns the rule for the narrowest place around pl that sets what
// is asked for.
func (c *checker) overrideAt(p *rule.Purpose, pl abide.Place, sets func(*rule.PlaceRule) bool) *rule.PlaceRule {
	for _, at := range append([]abide.Place{pl}, c.laws.Within(pl)...) {
		for _, in := range p.In {
			if sets(in) && slices.ContainsFunc(in.Places, func(r rule.Ref) bool { return r.Name == string(at) }) {
				return in
			}
		}
	}
	return nil
}

// bundled reports a purpose that asks for one consent with others, or for
// several things at once, in places where law wants each asked for on its own
// (CLAUSES C06, C07).
func (c *checker) bundled() {
	for _, p := range c.set.Purposes {
		if !agreed(p) {
			continue
		}
		parts := c.partsOf(p)
		if len(parts) == 0 {
			continue
		}
		places := c.placesWhere(lawSeparateConsents, func(v policy.LawValue, pl abide.Place) bool {
			return v.Value == "yes" && c.bundledAt(p, pl, len(parts) > 1)
		})
		if len(places) > 0 {
			c.reportBundled(p, parts, places)
		}
	}
}

// bundledAt: there, the purpose is pursued with consent, and is several things
// in one, or one that is not asked for on its own. Where a profile says how to
// ask, it is asked as the law there wants.
func (c *checker) bundledAt(p *rule.Purpose, pl abide.Place, several bool) bool {
	basis := p.Basis
	if in := c.overrideAt(p, pl, func(in *rule.PlaceRule) bool { return in.Basis != nil || in.Closed }); in != nil {
		if in.Closed {
			return false
		}
		basis = in.Basis
	}
	if !consents(basis) {
		return false
	}
	return several || basis.Kind != rule.BasisProfile && p.Ask != "separate" && !c.askedSeparately(p, pl)
}

// part is one of several things that a purpose asks a single consent for.
type part struct {
	what string
	span abide.Span
}

// partsOf lists the things that law wants asked for separately and a single
// consent to p would cover: marketing, handing data to others who are not mere
// processors, and beside them the service itself.
func (c *checker) partsOf(p *rule.Purpose) []part {
	var parts []part
	if p.Marketing || len(p.Offers) > 0 {
		parts = append(parts, part{"marketing", p.Label})
	}
	for _, r := range c.set.Recipients {
		if r.Class == "processor" || r.Class == "authority" {
			continue
		}
		if i := slices.IndexFunc(r.Gets, func(g rule.Gets) bool { return g.Purpose.Name == string(p.Name) }); i >= 0 {
			parts = append(parts, part{"disclosure to " + string(r.Name), r.Gets[i].Purpose.Span})
			break
		}
	}
	if len(parts) == 0 || len(p.Uses) == 0 {
		return parts
	}
	for _, s := range c.set.Services {
		if i := slices.IndexFunc(s.Serves, func(r rule.Ref) bool { return r.Name == string(p.Name) }); i >= 0 && len(s.Needs) > 0 {
			return append(parts, part{"the service " + string(s.Name), s.Serves[i].Span})
		}
	}
	return parts
}

func (c *checker) reportBundled(p *rule.Purpose, parts []part, places []abide.Place) {
	at := p.Label
	if p.Basis != nil {
		at = p.Basis.Span
	}
	if len(parts) > 1 {
		c.find(diag.New(diag.ConsentBundled, at, "one consent to \"%s\" covers %s and %s, which law wants asked for separately in %s", p.Name, parts[0].what, parts[1].what, placeList(places)).
			WithLabel("one consent for all of it").WithOther(parts[1].span, parts[1].what).
			WithHint("make each a purpose of its own, with a basis of its own"), string(p.Name), p.Clause)
		return
	}
	c.find(diag.New(diag.ConsentBundled, at, "\"%s\" (%s) is agreed to in one breath with other things in %s, where law wants a consent of its own", p.Name, parts[0].what, placeList(places)).
		WithLabel("one consent with others").WithOther(parts[0].span, parts[0].what).
		WithHint("ask for it on its own there: in %s { ask = separate }", strings.Join(strs(places), " ")), string(p.Name), p.Clause)
}

func (c *checker) askedSeparately(p *rule.Purpose, pl abide.Place) bool {
	in := c.overrideAt(p, pl, func(in *rule.PlaceRule) bool { return in.Ask != "" || in.Closed })
	return in != nil && (in.Closed || in.Ask == "separate")
}

// unreviewed reports law values that nobody reviewed and that marketing or the
// rule about minors relies on, unless a named person signed for them. One
// finding for each value, not one for each place.
func (c *checker) unreviewed() {
	for _, p := range c.set.Purposes {
		if p.Basis != nil && p.Basis.Kind == rule.BasisProfile && p.Basis.Profile == policy.LawDirectMarketing {
			c.unsigned(policy.LawDirectMarketing, "marketing", p.Basis.Span, "purpose \""+string(p.Name)+"\"", string(p.Name), p.Clause)
		}
	}
	for _, m := range c.set.Minors {
		c.unsigned(policy.LawAgeOfConsent, "minors", m.Label, "the rule about minors", "minors", m.Clause)
	}
}

func (c *checker) unsigned(key, value string, at abide.Span, what, name string, cl *rule.Clause) {
	places := c.placesWhere(key, func(v policy.LawValue, pl abide.Place) bool {
		return !v.Reviewed && v.SignedBy == "" && !c.signed(value, pl)
	})
	if len(places) == 0 {
		return
	}
	d := diag.New(diag.LawNotReviewed, at, "%s relies on %s of the law profiles, which nobody reviewed for %s", what, key, placeList(places)).
		WithLabel("relied on here").
		WithHint("have the values reviewed, or sign for them in a document block: accepts_law = [{ value = %s, by = \"NAME\", on = \"YYYY-MM-DD\" }]", value)
	if doc := documentOf(cl); doc != nil {
		d = d.WithOther(doc.Span, "nobody signed for it here")
	}
	c.find(d, name, cl)
}

func documentOf(cl *rule.Clause) *rule.Document {
	if cl == nil {
		return nil
	}
	return cl.Document
}

// signed reports whether a named person answers for a value at a place.
func (c *checker) signed(value string, pl abide.Place) bool {
	around := append([]abide.Place{pl}, c.laws.Within(pl)...)
	for _, d := range c.set.Documents {
		for _, a := range d.AcceptsLaw {
			if a.Value != value || a.By == "" || a.On == "" {
				continue
			}
			if len(a.Places) == 0 || slices.ContainsFunc(a.Places, func(r rule.Ref) bool { return slices.Contains(around, abide.Place(r.Name)) }) {
				return true
			}
		}
	}
	return false
}

// placesWhere returns the places whose own profile sets a value that fits.
func (c *checker) placesWhere(key string, fits func(policy.LawValue, abide.Place) bool) []abide.Place {
	var out []abide.Place
	for _, pl := range c.laws.Places() {
		v, from, ok := c.laws.Value(pl, key)
		if ok && from == pl && fits(v, pl) {
			out = append(out, pl)
		}
	}
	return out
}

func strs(places []abide.Place) []string {
	out := make([]string, len(places))
	for i, p := range places {
		out[i] = string(p)
	}
	return out
}

func placeList(places []abide.Place) string {
	if len(places) > 8 {
		return strings.Join(strs(places[:7]), ", ") + fmt.Sprintf(" and %d more places", len(places)-7)
	}
	return list(strs(places))
}
