package diff

import (
	"slices"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy"
	"github.com/abide-privacy/abide/policy/rule"
)

// cover is what a purpose could be permitted at all under one of two policies.
// Everything else both deny as not covered.
type cover struct {
	uses, contacts, chosen []abide.Category
	gets                   []What // disclosures
	serves                 []abide.Service
	topics                 []abide.Topic
	channels               []abide.Channel
}

type coverIndex map[abide.Purpose]*cover

func (ix coverIndex) of(name abide.Purpose) *cover {
	c, ok := ix[name]
	if !ok {
		c = &cover{}
		ix[name] = c
	}
	return c
}

func newCoverIndex(policies ...*policy.Policy) coverIndex {
	ix := coverIndex{}
	for _, p := range policies {
		groups := map[string][]abide.Category{}
		for _, c := range p.Categories() {
			groups[c.Group] = append(groups[c.Group], c.Name)
		}
		for _, r := range p.Set().Purposes {
			c := ix.of(r.Name)
			c.uses = union(c.uses, expand(r.Uses, groups))
			c.contacts = union(c.contacts, expand(r.Contacts, groups))
			c.chosen = union(c.chosen, expand(r.ChosenBy, groups))
			for _, t := range r.Topics {
				c.topics = add(c.topics, abide.Topic(t.Name))
			}
			c.channels = union(c.channels, channels)
			for _, ch := range r.Channels {
				c.channels = add(c.channels, abide.Channel(ch.Name))
			}
		}
		ix.addRecipients(p)
		for _, v := range p.Services() {
			for _, name := range v.Serves {
				c := ix.of(name)
				c.serves = add(c.serves, v.Name)
			}
		}
	}
	return ix
}

func (ix coverIndex) addRecipients(p *policy.Policy) {
	for _, r := range p.Recipients() {
		for purpose, cats := range r.Gets {
			c := ix.of(purpose)
			for _, cat := range cats {
				c.gets = add(c.gets, What{Act: abide.ActDisclose, Category: cat, Recipient: r.Name})
			}
		}
	}
}

func expand(refs []rule.Ref, groups map[string][]abide.Category) []abide.Category {
	var out []abide.Category
	for _, r := range refs {
		if rows, ok := groups[r.Name]; ok {
			out = append(out, rows...)
		} else {
			out = append(out, abide.Category(r.Name))
		}
	}
	return out
}

func union[T comparable](a, b []T) []T {
	for _, x := range b {
		a = add(a, x)
	}
	return a
}

func add[T comparable](a []T, x T) []T {
	if slices.Contains(a, x) {
		return a
	}
	return append(a, x)
}

// strand is what of a request the checks of basis and age look at.
type strand struct {
	channel  abide.Channel
	service  abide.Service
	unserved bool // collects for no service: children's data is, only for one they take part in
}

// rows are all that a purpose could be permitted to do, for every kind of
// person, divided by strand.
type rows struct {
	whats   []What
	plain   []int // of each what: itself, or the same without channel and topic
	tail    []int // of each what: its channel and topic, numbered; -1 for none
	tails   int
	strand  []int // of each what
	strands []strand
	members []bitset // of each strand: its whats
}

// fill lists what c covers. It reuses the lists of earlier purposes.
func (rs *rows) fill(c *cover) {
	rs.whats, rs.plain, rs.tail, rs.strand = rs.whats[:0], rs.plain[:0], rs.tail[:0], rs.strand[:0]
	rs.strands, rs.tails = rs.strands[:0], len(c.channels)+len(c.topics)
	all := union(union(slices.Clone(c.uses), c.contacts), c.chosen)
	slices.Sort(all)
	for _, cat := range all {
		plain := 0 // of a contact
		for _, act := range []abide.Act{abide.ActCollect, abide.ActRead, abide.ActUse, abide.ActContact, abide.ActChoose} {
			if act == abide.ActContact {
				plain = len(rs.whats)
			}
			rs.add(What{Act: act, Category: cat}, -1, -1)
		}
		for _, v := range c.serves {
			rs.add(What{Act: abide.ActCollect, Category: cat, Service: v}, -1, -1)
		}
		// Messages by channel and topic, for data by which this purpose could
		// reach anybody.
		if !slices.Contains(c.contacts, cat) && !slices.Contains(c.uses, cat) {
			continue
		}
		for i, ch := range c.channels {
			rs.add(What{Act: abide.ActContact, Category: cat, Channel: ch}, plain, i)
		}
		for i, t := range c.topics {
			rs.add(What{Act: abide.ActContact, Category: cat, Topic: t}, plain, len(c.channels)+i)
		}
	}
	for _, w := range c.gets {
		rs.add(w, -1, -1)
		w.ForValue = true
		rs.add(w, -1, -1)
	}
	rs.divide()
}

// add adds a what for every kind of person; plain is where the same without
// channel and topic begins, -1 if it has neither.
func (rs *rows) add(w What, plain, tail int) {
	st := strand{w.Channel, w.Service, w.Act == abide.ActCollect && w.Service == ""}
	k := slices.Index(rs.strands, st)
	if k < 0 {
		k = len(rs.strands)
		rs.strands = append(rs.strands, st)
	}
	for n, kind := range kinds {
		w.Kind = kind
		own := len(rs.whats)
		if plain >= 0 {
			own = plain + n
		}
		rs.whats = append(rs.whats, w)
		rs.plain, rs.tail, rs.strand = append(rs.plain, own), append(rs.tail, tail), append(rs.strand, k)
	}
}

func (rs *rows) divide() {
	rs.members = resize(rs.members, len(rs.strands))
	for k := range rs.members {
		rs.members[k] = rs.members[k].cleared(len(rs.whats))
	}
	for i, k := range rs.strand {
		rs.members[k].set(i)
	}
}
