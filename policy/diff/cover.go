package diff

import (
	"slices"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy"
	"github.com/abide-privacy/abide/policy/rule"
)

// coverIndex knows, for each purpose, what could be permitted at all under one
// of two policies. Everything else both deny as not covered.
type coverIndex struct {
	uses, contacts, chosen map[abide.Purpose][]abide.Category
	gets                   map[abide.Purpose][]What // disclosures
	serves                 map[abide.Purpose][]abide.Service
	topics                 map[abide.Purpose][]abide.Topic
	channels               map[abide.Purpose][]abide.Channel
}

func newCoverIndex(policies ...*policy.Policy) *coverIndex {
	ix := &coverIndex{uses: map[abide.Purpose][]abide.Category{}, contacts: map[abide.Purpose][]abide.Category{},
		chosen: map[abide.Purpose][]abide.Category{}, gets: map[abide.Purpose][]What{}, serves: map[abide.Purpose][]abide.Service{},
		topics: map[abide.Purpose][]abide.Topic{}, channels: map[abide.Purpose][]abide.Channel{}}
	for _, p := range policies {
		groups := map[string][]abide.Category{}
		for _, c := range p.Categories() {
			groups[c.Group] = append(groups[c.Group], c.Name)
		}
		for _, r := range p.Set().Purposes {
			ix.uses[r.Name] = union(ix.uses[r.Name], expand(r.Uses, groups))
			ix.contacts[r.Name] = union(ix.contacts[r.Name], expand(r.Contacts, groups))
			ix.chosen[r.Name] = union(ix.chosen[r.Name], expand(r.ChosenBy, groups))
			for _, t := range r.Topics {
				ix.topics[r.Name] = union(ix.topics[r.Name], []abide.Topic{abide.Topic(t.Name)})
			}
			ix.channels[r.Name] = union(ix.channels[r.Name], channels)
			for _, c := range r.Channels {
				ix.channels[r.Name] = union(ix.channels[r.Name], []abide.Channel{abide.Channel(c.Name)})
			}
		}
		ix.addRecipients(p)
		for _, v := range p.Services() {
			for _, name := range v.Serves {
				ix.serves[name] = union(ix.serves[name], []abide.Service{v.Name})
			}
		}
	}
	return ix
}

func (ix *coverIndex) addRecipients(p *policy.Policy) {
	for _, r := range p.Recipients() {
		for purpose, cats := range r.Gets {
			for _, c := range cats {
				w := What{Act: abide.ActDisclose, Category: c, Recipient: r.Name}
				if !slices.Contains(ix.gets[purpose], w) {
					ix.gets[purpose] = append(ix.gets[purpose], w)
				}
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
		if !slices.Contains(a, x) {
			a = append(a, x)
		}
	}
	return a
}

// whats lists what a purpose could be permitted to do, for every kind of
// person.
func (ix *coverIndex) whats(s *Space, name abide.Purpose) []What {
	var out []What
	add := func(w What) {
		for _, k := range kinds {
			w.Kind = k
			out = append(out, w)
		}
	}
	all := union(union(slices.Clone(ix.uses[name]), ix.contacts[name]), ix.chosen[name])
	slices.Sort(all)
	for _, c := range all {
		for _, act := range []abide.Act{abide.ActCollect, abide.ActRead, abide.ActUse, abide.ActContact, abide.ActChoose} {
			add(What{Act: act, Category: c})
		}
		for _, v := range ix.serves[name] {
			add(What{Act: abide.ActCollect, Category: c, Service: v})
		}
		ix.contactWhats(name, c, add)
	}
	for _, w := range ix.gets[name] {
		add(w)
		w.ForValue = true
		add(w)
	}
	return out
}

// contactWhats adds messages by channel and by topic, for data by which this
// purpose could reach anybody.
func (ix *coverIndex) contactWhats(name abide.Purpose, c abide.Category, add func(What)) {
	if !slices.Contains(ix.contacts[name], c) && !slices.Contains(ix.uses[name], c) {
		return
	}
	for _, ch := range ix.channels[name] {
		add(What{Act: abide.ActContact, Category: c, Channel: ch})
	}
	for _, t := range ix.topics[name] {
		add(What{Act: abide.ActContact, Category: c, Topic: t})
	}
}
