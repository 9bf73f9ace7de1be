package policy

import (
	"slices"
	"strconv"
	"strings"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy/rule"
)

// termsOf writes down what a person agrees to where a variant applies.
func termsOf(p *Policy, pu *Purpose, v *variant) Terms {
	t := Terms{Purpose: pu.Name, Uses: pu.Uses, Contacts: pu.Contacts, ChosenBy: pu.ChosenBy, Topics: pu.Topics,
		Keep: deadlineTexts(v.keep), AtMost: deadlineTexts(v.atMost)}
	for _, name := range sortedKeys(pu.covers.gets) {
		var cats []abide.Category
		pu.covers.gets[name].each(func(i int32) { cats = append(cats, p.categories[i].Name) })
		t.Recipients = append(t.Recipients, TermsRecipient{name, cats})
	}
	for _, o := range pu.Rule.Offers {
		kinds := make([]string, len(o.Kinds))
		for i, k := range o.Kinds {
			kinds[i] = k.Name
		}
		t.Offers = append(t.Offers, TermsOffer{o.Whose, kinds})
	}
	return t
}

func deadlineTexts(ds []*rule.Deadline) []string {
	var out []string
	for _, d := range ds {
		out = append(out, deadlineText(d))
	}
	return out
}

// deadlineText writes a deadline as terms do: the anchor, then months and days.
func deadlineText(d *rule.Deadline) string {
	s := d.Anchor
	if d.Months != 0 {
		s += "+" + strconv.Itoa(d.Months) + "m"
	}
	if d.Days != 0 {
		s += "+" + strconv.Itoa(d.Days) + "d"
	}
	return s
}

// parseDeadline reads what deadlineText wrote, nil if it is something else.
func parseDeadline(s string) *rule.Deadline {
	parts := strings.Split(s, "+")
	d := &rule.Deadline{Anchor: parts[0]}
	for _, part := range parts[1:] {
		if part == "" {
			return nil
		}
		n, err := strconv.Atoi(part[:len(part)-1])
		switch {
		case err != nil || n < 0:
			return nil
		case strings.HasSuffix(part, "m"):
			d.Months += n
		case strings.HasSuffix(part, "d"):
			d.Days += n
		default:
			return nil
		}
	}
	return d
}

// archive makes sets of old terms. Categories that this policy no longer has
// drop out: nothing of them can be asked for. What the current policy marks as
// marketing reads old terms as marketing too.
func (c *compiler) archive(old []Terms) {
	for _, t := range old {
		digest := t.Digest()
		if _, current := c.p.archive[digest]; current {
			continue
		}
		pu, ok := c.p.Purpose(t.Purpose)
		if !ok {
			continue
		}
		cov := newCoverage(t.Purpose, pu.Marketing, c.knownSet(t.Uses), c.knownSet(t.Contacts), c.knownSet(t.ChosenBy))
		cov.topics = slices.Clone(t.Topics)
		cov.offers = t.Offers
		cov.gets = map[abide.Recipient]bitset{}
		for _, r := range t.Recipients {
			cov.gets[r.Recipient] = cov.gets[r.Recipient].union(c.knownSet(r.Categories))
		}
		for _, k := range slices.Concat(t.Keep, t.AtMost) {
			if d := parseDeadline(k); d != nil {
				cov.keep = append(cov.keep, d)
			}
		}
		c.p.archive[digest] = cov
	}
}

// promising is what the terms of a variant cover, and how long they promised to
// keep it.
func (c *coverage) promising(v *variant) *coverage {
	out := *c
	out.keep, out.offers = slices.Concat(v.keep, v.atMost), v.terms.Offers
	return &out
}

// offersAll reports whether terms that offered these goods cover those of now,
// kind by kind and by whose they are.
func (c *coverage) offersAll(now []TermsOffer) bool {
	for _, n := range now {
		for _, kind := range n.Kinds {
			if !slices.ContainsFunc(c.offers, func(o TermsOffer) bool { return o.Whose == n.Whose && slices.Contains(o.Kinds, kind) }) {
				return false
			}
		}
	}
	return true
}

// topicsAll reports whether these terms cover all of those types of message.
func (c *coverage) topicsAll(now []abide.Topic) bool {
	for _, t := range now {
		if !slices.Contains(c.topics, t) {
			return false
		}
	}
	return true
}

func (c *compiler) knownSet(names []abide.Category) bitset {
	var set bitset
	for _, n := range names {
		if i, ok := c.p.catIndex[n]; ok {
			set.add(i)
		}
	}
	return set
}

// permits are the reasons of a permit by what it rests on, made beforehand.
type permits [rankConsent + 1][]abide.Reason

var permitCodes = [rankConsent + 1]abide.ReasonCode{
	rankLaw: abide.PermitLegal, rankContract: abide.PermitContract, rankLegitimate: abide.PermitLegitimate,
	rankOptOut: abide.PermitOptOut, rankNoObjection: abide.PermitNoObjection, rankConsent: abide.PermitConsent,
}

var permitTexts = [rankConsent + 1]string{
	rankLaw: "A legal obligation demands it.", rankContract: "It is needed for what the person ordered or signed up for.",
	rankLegitimate:  "A legitimate interest carries it, and the person has not objected.",
	rankOptOut:      "The law of the place asks for no consent, and the person has not opted out.",
	rankNoObjection: "The person was told and indicated no objection.",
	rankConsent:     "The person consented to terms that cover it.",
}

func permitsOf(pu *Purpose) permits {
	var out permits
	for rank := rankLaw; rank <= rankConsent; rank++ {
		span := pu.Span
		if b := pu.Rule.Basis; b != nil && b.Span != (abide.Span{}) {
			span = b.Span
		}
		out[rank] = []abide.Reason{{Code: permitCodes[rank], Clause: pu.Clause, Span: span, Text: permitTexts[rank]}}
	}
	return out
}
