package policy

import (
	"slices"
	"strings"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy/rule"
)

// Policy is a compiled policy: an immutable value, safe for concurrent use.
// Names are interned to small integers and rules to bitsets, so that a decision
// is a few table look-ups whatever the size of the policy. Everything it hands
// out is shared and must not be changed.
type Policy struct {
	set     *rule.Set
	laws    *Laws
	version string

	categories []*Category
	catIndex   map[abide.Category]int32
	groups     []*rule.Group
	groupIndex map[string]int32
	levels     []*level
	levelIndex map[string]int32

	purposes     []*Purpose
	purposeIndex map[abide.Purpose]int32
	services     []*Service
	serviceIndex map[abide.Service]int32
	servedBy     [][]*Service // by purpose
	recipients   []*Recipient
	recIndex     map[abide.Recipient]int32
	listed       map[abide.Recipient]int32 // members that the policy itself names
	documents    []*Document
	docIndex     map[abide.DocumentName]int32
	roles        map[string]*role
	orders       map[string]*order
	minors       *minors
	ages         []ages // by place
	agesSaid     []ages // likewise, 0 where no profile says one
	places       placeTable

	archive map[string]*coverage // by digest of terms, current and old
	terms   []Terms              // the current ones, each once
	shown   [][]abide.Obligation // by set of levels: what who opens them must do
}

// FormatFile is the format of categories whose values are uploads.
const FormatFile = "file"

// DefaultMaxBytes is how large a file may be if its category does not say.
const DefaultMaxBytes = 25_000_000

// TakesMediaType reports whether files of the category may have the media type,
// which is lower case and without parameters.
func (c *Category) TakesMediaType(t string) bool {
	return len(c.MediaTypes) == 0 || slices.ContainsFunc(c.MediaTypes, func(m string) bool {
		family, all := strings.CutSuffix(m, "*")
		return m == t || all && strings.HasPrefix(t, family)
	})
}

// Category is a kind of personal data as deciding and storing need it.
type Category struct {
	Name        abide.Category
	Group       string
	Words       []string
	Format      string // text unless the policy says otherwise
	Find        string // "", "unique" or "many"
	Many        bool
	Level       string // name; "" if no level applies
	Mask        int    // characters shown when opened, from the end; 0: all
	OnlyTo      []abide.Service
	Coarsen     string
	DerivedFrom []abide.Category
	TwoParty    bool
	Elsewhere   bool     // decided here, kept by the company's own database
	CountPer    string   // data about nobody
	MaxBytes    int64    // of a file; DefaultMaxBytes unless the policy says otherwise
	MediaTypes  []string // of a file; none: any
	Apart       []string
	Rule        *rule.Category
	Clause      string
	Span        abide.Span

	id, group int32
	level     int32 // -1: none
	nobody    bool
	apart     bitset // groups
	groups    bitset // its own, and those of what it is derived from
	notPerson bool   // kept apart from the person: never held or used for one
	onlyTo    bitset // services
	onlyFor   bitset // purposes that those services serve
	sources   bitset // of a derived category
	used      []int32
}

// Purpose is a purpose of processing. Where two documents declare it, this is
// the one of the document that yields; the other counts for those who accepted
// the document that prevails.
type Purpose struct {
	Name      abide.Purpose
	Title     string
	Document  abide.DocumentName
	Basis     rule.BasisKind // as written, before places
	Uses      []abide.Category
	Contacts  []abide.Category
	ChosenBy  []abide.Category
	Topics    []abide.Topic
	Channels  []abide.Channel
	Marketing bool
	Then      string // erase or unlink
	Within    abide.Purpose
	Rule      *rule.Purpose
	Clause    string
	Span      abide.Span

	id         int32
	doc        int32
	onlyAgreed bool     // its document prevails: it speaks to those who accepted it
	prevailing *Purpose // the same purpose in the document that prevails
	twin       *Purpose // the same purpose in the other document, either way
	within     *Purpose
	covers     *coverage
	variants   []variant
	byPlace    []uint16 // variant by place; nil: the first everywhere
	singles    int      // variants that byPlace names; the rest are pairs
	pairs      []uint16 // variant of two of them together, singles by singles
	law        lawOf
	nevers     []*never
	closed     *minors
	messages   []abide.Obligation
	reasons    permits
}

// markets reports whether the purpose is marketing, or stands within it.
func (pu *Purpose) markets() bool {
	for w := pu; w != nil; w = w.within {
		if w.Marketing {
			return true
		}
	}
	return false
}

// Service is what people take part in.
type Service struct {
	Name    abide.Service
	Title   string
	Needs   []abide.Category
	Wants   []abide.Category
	Serves  []abide.Purpose
	Sources []string // what feeds it and must stop when the person leaves
	Reports []string
	Minors  bool
	Rule    *rule.Service
	Clause  string
	Span    abide.Span

	id     int32
	serves bitset
}

// Recipient is a class of recipients.
type Recipient struct {
	Name     abide.Recipient
	Title    string
	Class    string // affiliate, processor, partner, authority, network, advertiser
	Register bool   // its members are facts
	Members  []abide.Recipient
	Gets     map[abide.Purpose][]abide.Category
	Rule     *rule.Recipient
	Clause   string
	Span     abide.Span

	id   int32
	gets map[int32]bitset // by purpose
}

// Document is a published document.
type Document struct {
	Name     abide.DocumentName
	Title    string
	Language string
	// Prevails lists the documents over which this one prevails, among those
	// who accepted it.
	Prevails []abide.DocumentName
	// Digest is the SHA-256 of its prose, which an acceptance records.
	Digest string
	Rule   *rule.Document

	prevails bool
}

type level struct {
	rule        *rule.Level
	name        string
	above       int32
	reason      bool
	approvals   int
	mask        int
	undertaking bool
	reviewEvery int
	closedBy    []*rule.Review
	demands     int32 // bit in sets of levels; -1: opening it demands nothing
}

type role struct {
	rule     *rule.Role
	purposes bitset
	reads    bitset // empty: whatever the purposes use
	level    int32  // -1: none said
	reaches  bitset // levels at or below it
	acts     [len(actWords)]bool
	anyAct   bool
}

// actWords sizes tables by act.
var actWords = [...]string{"", "collect", "read", "use", "contact", "choose", "disclose"}

type order struct {
	rule *rule.WithoutConsent
	acts [len(actWords)]bool
	why  []abide.Reason
	tell []abide.Obligation
}

type minors struct {
	rule   *rule.Minors
	closed bitset
}

// ages are a place's age bands.
type ages struct {
	consent  int // from here on people agree on their own
	majority int
}

type never struct {
	rule       *rule.Never
	any        bool
	what       bitset
	acts       [len(actWords)]bool // all true if none is named
	to         bitset              // recipients
	toAnyone   bool
	toClasses  []string
	forValue   bool
	link       bitset // groups
	onlyAgreed int32  // document that must have been accepted; -1: counts for everyone
}

// coverage is what terms cover, as sets. The policy's own terms and those of
// earlier policies have the same form.
type coverage struct {
	purpose abide.Purpose
	all     bitset // uses, contacts and chosen_by
	read    bitset
	contact bitset
	choose  bitset
	gets    map[abide.Recipient]bitset
	topics  []abide.Topic
	offers  []TermsOffer
	keep    []*rule.Deadline // what was promised: all bind
}

// forAct is the table of which categories an act may touch (see
// Policy.Decide).
func (c *coverage) forAct(a abide.Act) bitset {
	switch a {
	case abide.ActRead:
		return c.read
	case abide.ActContact:
		return c.contact
	case abide.ActChoose:
		return c.choose
	case abide.ActCollect, abide.ActUse, abide.ActDisclose:
		return c.all
	}
	return nil
}

// Set returns the syntax tree the policy was compiled from.
func (p *Policy) Set() *rule.Set { return p.set }

// Laws returns the law profiles it was compiled with, nil if none.
func (p *Policy) Laws() *Laws { return p.laws }

// Version is the digest of rules and prose, "sha256:" and hexadecimal digits.
// Where a rule stands in its file does not count, what it says does.
func (p *Policy) Version() string { return p.version }

// Category returns a category by its name.
func (p *Policy) Category(n abide.Category) (*Category, bool) {
	i, ok := p.catIndex[n]
	if !ok {
		return nil, false
	}
	return p.categories[i], true
}

// Purpose returns a purpose by its name.
func (p *Policy) Purpose(n abide.Purpose) (*Purpose, bool) {
	i, ok := p.purposeIndex[n]
	if !ok {
		return nil, false
	}
	return p.purposes[i], true
}

// Service returns a service by its name.
func (p *Policy) Service(n abide.Service) (*Service, bool) {
	i, ok := p.serviceIndex[n]
	if !ok {
		return nil, false
	}
	return p.services[i], true
}

// Recipient returns a class of recipients, also by the name of a member that
// the policy lists. Members in the register are facts it does not know.
func (p *Policy) Recipient(n abide.Recipient) (*Recipient, bool) {
	i, ok := p.recIndex[n]
	if !ok {
		if i, ok = p.listed[n]; !ok {
			return nil, false
		}
	}
	return p.recipients[i], true
}

// Document returns a document by its name.
func (p *Policy) Document(n abide.DocumentName) (*Document, bool) {
	i, ok := p.docIndex[n]
	if !ok {
		return nil, false
	}
	return p.documents[i], true
}

// Categories lists all categories, as written.
func (p *Policy) Categories() []*Category { return p.categories }

// Purposes lists all purposes, as written.
func (p *Policy) Purposes() []*Purpose { return p.purposes }

// Services lists all services, as written.
func (p *Policy) Services() []*Service { return p.services }

// Recipients lists all classes of recipients, as written.
func (p *Policy) Recipients() []*Recipient { return p.recipients }

// Documents lists all documents; translations are not among them.
func (p *Policy) Documents() []*Document { return p.documents }

// Missing lists what a service needs and have lacks, in the order of its
// needs. An unknown service needs nothing.
func (p *Policy) Missing(svc abide.Service, have func(abide.Category) bool) []abide.Category {
	s, ok := p.Service(svc)
	if !ok {
		return nil
	}
	var out []abide.Category
	for _, c := range s.Needs {
		if !have(c) {
			out = append(out, c)
		}
	}
	return out
}

// FedBy lists the services that data could be for which is collected for a
// purpose and names none: those that serve the purpose, and of them those that
// list its source, if one does.
func (p *Policy) FedBy(purpose abide.Purpose, source string) []*Service {
	pu, ok := p.Purpose(purpose)
	if !ok {
		return nil
	}
	of, all := p.servedBy[pu.id], []*Service(nil)
	for _, s := range of {
		if s.feeds(of, source) {
			all = append(all, s)
		}
	}
	return all
}

// feeds reports whether data from a source that names none of the services of
// its purpose could be for this one of them.
func (s *Service) feeds(of []*Service, source string) bool {
	lists := func(s *Service) bool { return slices.Contains(s.Sources, source) }
	return lists(s) || !slices.ContainsFunc(of, lists)
}

// Covered lists the categories that a purpose may touch by an act, in the
// order of the policy.
func (p *Policy) Covered(purpose abide.Purpose, act abide.Act) []abide.Category {
	pu, ok := p.Purpose(purpose)
	if !ok {
		return nil
	}
	var out []abide.Category
	pu.covers.forAct(act).each(func(i int32) { out = append(out, p.categories[i].Name) })
	return out
}

// UsedFor lists the purposes that touch a category by any act.
func (p *Policy) UsedFor(c abide.Category) []abide.Purpose {
	cat, ok := p.Category(c)
	if !ok {
		return nil
	}
	out := make([]abide.Purpose, len(cat.used))
	for i, u := range cat.used {
		out[i] = p.purposes[u].Name
	}
	return out
}

// AsksConsent reports whether the purpose rests on consent, or an indication
// of no objection, for somebody somewhere.
func (pu *Purpose) AsksConsent() bool {
	return slices.ContainsFunc(pu.variants, func(v variant) bool { return v.strictest.rank >= rankOptOut })
}
