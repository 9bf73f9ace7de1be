// Package rule is the syntax tree of a policy: documents, their clauses with
// the prose people read, and the rules that stand in them. The parser fills
// it; the checks, the compiler, the renderers and the differ read it. It knows
// no HCL and no Markdown. Every node keeps its span, because every reason and
// every finding points at a line.
package rule

import (
	"strings"

	abide "github.com/abide-privacy/abide"
)

// Set is a whole policy: all documents of a folder, as written.
type Set struct {
	Documents []*Document
	// Rules of all documents, in the order they are written. Each says which
	// clause it stands in.
	Levels         []*Level
	Groups         []*Group
	Purposes       []*Purpose
	Services       []*Service
	Recipients     []*Recipient
	WithoutConsent []*WithoutConsent
	Statistics     []*Statistic
	Trackers       []*Tracker
	Channels       []*Channel
	Signins        []*Signin
	Posts          []*Post
	Minors         []*Minors
	Reviews        []*Review
	Roles          []*Role
	Nevers         []*Never
	Examples       []*Example
	// Systems come from systems.hcl, which is not published.
	Systems []*System
}

// Document is one published document. Other languages of the same document
// are documents of their own with TranslationOf set.
type Document struct {
	Name          abide.DocumentName
	File          string // relative to the policy folder
	Title         string
	Language      string // BCP 47, "en" unless the file says otherwise
	TranslationOf abide.DocumentName
	Controller    string // as the page says it; of a Party, its parts with commas between
	// Party is the controller part by part, as receipts of consent need it; nil
	// if the policy says it in one text.
	Party *Party
	// StoredIn are the places where the data is kept. NoticeAt and RightsAt are
	// where the page is published and where people exercise their rights.
	StoredIn   []Ref
	NoticeAt   string
	RightsAt   string
	LawOf      []LawOf // strictest(...); empty means residence
	YieldsTo   *Yield
	Clauses    []*Clause // in order of their headings
	Span       abide.Span
	Sidecar    string // file that holds the rules, if not File
	AcceptsLaw []AcceptedLaw
	// Labels are what the parts of the published page that are made from rules
	// say in this document's language, where it is not what Abide would say.
	Labels []Label
}

// Party is a controller with what it takes to reach it.
type Party struct {
	Name    string
	Contact string // whom to ask for, such as the privacy desk
	Email   string
	Phone   string
	URL     string
	Address Address
}

// Address is a postal address.
type Address struct{ Street, City, Region, Postcode, Country string }

// Text is the party in one line.
func (p *Party) Text() string {
	a := &p.Address
	var parts []string
	for _, s := range []string{p.Name, a.Street, a.City, a.Region, a.Postcode, a.Country, p.Email, p.Phone} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, ", ")
}

// Label is one text that the page says of itself, by its key in package labels.
type Label struct{ Key, Text string }

// Said returns the labels of the document by their keys.
func (d *Document) Said() map[string]string {
	out := make(map[string]string, len(d.Labels))
	for _, l := range d.Labels {
		out[l.Key] = l.Text
	}
	return out
}

// AcceptedLaw is a person's signature under law values that nobody reviewed.
type AcceptedLaw struct {
	Value  string // marketing, minors
	Places []Ref  // empty: every place
	By     string // who answers for it
	On     string // YYYY-MM-DD
	Span   abide.Span
}

// LawOf names whose law is looked at.
type LawOf string

// The places that strictest(...) may name.
const (
	LawOfResidence   LawOf = "residence"
	LawOfWhereabouts LawOf = "whereabouts"
	LawOfController  LawOf = "controller"
)

// Yield says that another document prevails, and among whom (CLAUSES C21).
type Yield struct {
	Document Ref
	Among    string // "those_who_agreed"
	Span     abide.Span
}

// Clause is a heading with its prose and its rules. ID is the heading's
// anchor; Document#ID is how reasons name it.
type Clause struct {
	Document    *Document
	ID          string
	Title       string
	Depth       int // 1 for #
	Heading     abide.Span
	Body        abide.Span // from the heading to the next heading
	Prose       []Text     // the words under this heading, the title included, rules left out
	Informative string     // non-empty: why this clause promises nothing
	Suppress    []Suppression
	HasRules    bool
	Digest      string // hex SHA-256 of the normalised prose; sidecars remember it
}

// FullID returns document#anchor.
func (c *Clause) FullID() string { return string(c.Document.Name) + "#" + c.ID }

// Text is a run of prose within one block (a paragraph, an item, a cell).
// Runs of one block are consecutive and have the same Block number.
type Text struct {
	Text string
	Span abide.Span
	// Segments map Text to the file where they do not run together (soft line
	// breaks, entities): Segments[i] starts at byte Offset of Text.
	Segments []Segment
	Block    int
	Link     string // destination if the run is a link: "#person.imei" binds exactly
	Code     bool
}

// Segment says where in the file a stretch of Text.Text stands.
type Segment struct {
	Offset int
	Pos    abide.Pos
}

// Suppression silences one finding in one clause, and must say why.
type Suppression struct {
	Code   string // diagnostic code
	Name   string // the category, recipient, purpose or word concerned; "" for all of the clause
	Reason string
	Span   abide.Span
}

// Ref is a name as used in a rule, with its place.
type Ref struct {
	Name string
	Span abide.Span
}

// At is where a rule stands.
type At struct {
	Clause *Clause
	Span   abide.Span // the whole block
	Label  abide.Span // its name
}

// Word is a word or phrase by which prose names something, in one language.
type Word struct {
	Text     string
	Language string // "" applies to the document's own language
	Span     abide.Span
}

// Level is a class of protection (CLAUSES C17).
type Level struct {
	At
	Name      string
	FloorFor  []Ref // group names, or person, visitor, others: nothing of theirs sits lower
	Above     *Ref  // the level directly below this one
	Reason    bool  // opening wants a reason
	Approvals int   // opening wants so many approvals
	Mask      int   // characters shown, from the end; 0 shows all
	// Undertaking and ReviewEvery: staff need a current confidentiality
	// undertaking, and an access review no older than this many months (0: none).
	Undertaking bool
	ReviewEvery int
}

// Group is a data block: rows that belong together.
type Group struct {
	At
	Name       string
	Apart      []Ref // groups it must never be linked with: no shared key, no shared clock
	Categories []*Category
}

// Category is a row of a data group.
type Category struct {
	At
	Name        abide.Category // group.row
	Group       *Group
	Words       []Word
	DPV         string // what the Data Privacy Vocabulary calls it: EmailAddress
	Format      string // text, email, phone, date, address, country, money, json, ip, imei, url, number, time, file
	Find        string // "", "unique" or "many"
	Many        bool   // several items per subject are ordinary
	Level       *Ref   // nil: the floor of its group
	OnlyTo      []Ref  // services that alone may use it
	Apart       []Ref
	Keep        *Deadline
	Coarsen     string // network, hour, day, year: what is left before it is kept
	DerivedFrom []Ref
	TwoParty    bool   // belongs to both parties (a message)
	Elsewhere   bool   // held = elsewhere: decided here, kept by the company's own database
	CountPer    string // week, day, month: data about nobody, counted and never kept
	// Of a file: its largest size in megabytes of 1,000,000 bytes (0: nothing is
	// said), and the media types that are taken (none: any).
	MaxMegabytes int
	MediaTypes   []string
}

// Deadline is anchor + months + days. Years are 12 months. Anchors:
// "obtained", "consent.ended", or a fact a service reports: "order.closed".
type Deadline struct {
	Anchor string
	Months int
	Days   int
	Span   abide.Span
}

// Purpose is a purpose of processing.
type Purpose struct {
	At
	Name      abide.Purpose
	Title     string // for tables; the name, prettily, unless given
	DPV       string // what the Data Privacy Vocabulary calls such a purpose: DirectMarketing
	Words     []Word
	Uses      []Ref
	Contacts  []Ref // categories by which the person is contacted
	ChosenBy  []Ref // categories that choose what is offered (CLAUSES C08)
	Offers    []Offer
	Topics    []Ref
	Channels  []Ref
	Basis     *Basis
	Ask       string // "", "separate"
	Grade     string // "", "proved", "claimed": which imported consents suffice
	Keep      *Deadline
	AtMost    *Deadline
	Then      string    // "erase" (default) or "unlink"
	Lasts     *Deadline // how long a consent lasts: anchor "given"
	Message   *Message
	Marketing bool // law.direct_marketing, offers, or marketing = true
	// Within names a purpose that must itself be permitted for the person, on
	// its own ground, whenever this one is: recommendations only while marketing
	// is agreed (CLAUSES C08). It adds a condition and never lifts one.
	Within *Ref
	// Honours names opt-out signals that count as a refusal: gpc.
	Honours []Ref
	In      []*PlaceRule
}

// Offer is a kind of goods and whose they are; part of the terms (C07).
type Offer struct {
	Whose string // own, affiliates, partners
	Kinds []Ref
	Span  abide.Span
}

// Message says what a message of this purpose may hold and how it ends.
type Message struct {
	Fields   []Ref
	EndsWith string
	Span     abide.Span
}

// BasisKind is a legal basis.
type BasisKind string

// The legal bases.
const (
	BasisConsent     BasisKind = "consent"
	BasisNoObjection BasisKind = "no_objection"
	BasisContract    BasisKind = "contract"
	BasisLaw         BasisKind = "law"                 // law("HK", "Inland Revenue Ordinance s.51C")
	BasisLegitimate  BasisKind = "legitimate_interest" // may be objected to
	BasisProfile     BasisKind = "profile"             // law.direct_marketing, law.cookies: what the profile says
)

// Basis is the legal basis of a purpose.
type Basis struct {
	Kind     BasisKind
	Place    abide.Place // for BasisLaw
	Citation string      // for BasisLaw
	Profile  string      // for BasisProfile: direct_marketing, cookies
	Told     []Ref       // for BasisNoObjection: what the notice must have said
	Span     abide.Span
}

// PlaceRule overrides fields of a purpose for some places; the most specific
// place wins field by field.
type PlaceRule struct {
	Places []Ref
	Basis  *Basis
	Ask    string
	Keep   *Deadline
	AtMost *Deadline
	Lasts  *Deadline
	Closed bool // the purpose is not pursued there
	Span   abide.Span
}

// Service is what people take part in (CLAUSES C01, C04).
type Service struct {
	At
	Name    abide.Service
	Title   string
	Words   []Word
	Needs   []Ref
	Wants   []Ref // welcome, never demanded
	Serves  []Ref
	Sources []Ref // systems or forms that feed it and must stop when the person leaves
	Reports []Ref // facts the application must send
	Minors  bool  // open to minors
}

// Recipient is a class of recipients; members and contracts are facts.
type Recipient struct {
	At
	Name      abide.Recipient
	Title     string
	Words     []Word
	Class     string // affiliate, processor, partner, authority, network, advertiser
	Sectors   []Ref
	Members   []Ref // empty with Register: facts
	Register  bool
	Gets      []Gets
	Contract  *Contract
	OwnPolicy string // network = { own_policy = … }
}

// Gets is what a recipient receives for one purpose.
type Gets struct {
	Purpose    Ref
	Categories []Ref
	Span       abide.Span
}

// Contract is what binds a recipient.
type Contract struct {
	Covers string // residence: the contract must cover the person's jurisdiction
	Lapse  string // closes
	Span   abide.Span
}

// WithoutConsent is processing that law requires or expressly permits (C16).
type WithoutConsent struct {
	At
	Name      string
	Acts      []abide.Act
	When      []string // requires, expressly_permits
	Authority bool     // the order must name its authority,
	Citation  bool     // its legal ground,
	Scope     bool     // its scope,
	Approvals int      // and be approved by so many
}

// Statistic is an aggregate that may be released (C15).
type Statistic struct {
	At
	Name     string
	Title    string
	Words    []Word
	By       []Dimension
	Smallest int
	Epsilon  float64
	Per      string
	To       []Ref
}

// Dimension is a category, perhaps in bands.
type Dimension struct {
	Category Ref
	Band     int
}

// Tracker is a cookie, storage item, pixel or widget (C09, C11, C12, C22).
type Tracker struct {
	At
	Name    string
	Title   string
	Words   []Word
	Kind    string // cookie, storage, pixel, script, widget
	Purpose *Ref
	Host    *Ref // recipient, if somebody else's
	Sees    []Ref
	After   string // click, consent, load
	Keep    *Deadline
	Names   []string // cookie or storage keys
	Strict  bool     // strictly necessary
}

// Channel is a way of reaching people, and how well it is protected (C18).
type Channel struct {
	At
	Name       abide.Channel
	Title      string
	Words      []Word
	Protection string // end_to_end, in_transit, none
}

// Signin is sign-up through another identity provider (C23).
type Signin struct {
	At
	Name   string
	Host   *Ref
	MayAsk []Ref
	Ticked bool // whether the choices start ticked
	Where  []Ref
	Words  []Word
}

// Post is publishing to a profile elsewhere (C24).
type Post struct {
	At
	Name string
	Host *Ref
	Each string // shown_and_confirmed
}

// Minors is the rule about children (C20).
type Minors struct {
	At
	Closed   []Ref // purposes closed to minors, guardian or not
	Known    bool  // ages = required: to whom is of unknown age they are closed too
	Reported *Reported
}

// Reported says what a guardian's report leads to.
type Reported struct {
	By     string
	Then   []string
	Within *Deadline
}

// Review is a regular review of practice (C17).
type Review struct {
	At
	Name   string
	Every  int // months
	By     Ref
	Late   string // closes(level): what closes when it is overdue
	Closes *Ref
}

// Role is a role of staff, and what it may open.
type Role struct {
	At
	Name     string
	Title    string
	Purposes []Ref
	Reads    []Ref // categories; empty: whatever its purposes use
	Level    *Ref  // highest level it may open
	Acts     []abide.Act
}

// Never forbids, whatever else permits.
type Never struct {
	At
	Name    string
	Any     bool        // what = any
	What    []Ref       // categories or groups
	To      []Ref       // recipients or classes; empty: anyone
	Against string      // value: sale
	For     []Ref       // purposes
	Acts    []abide.Act // the acts it forbids; give = disclose
	Link    []Ref       // groups never used together for one person
}

// Example is a case that policy check runs.
type Example struct {
	At
	Name    string
	Given   []Call
	Want    abide.Effect
	Request Call
	Because string // reason code expected, if given
}

// Call is a word with arguments: lives(HK), contact(marketing, person.email).
// Arguments that are calls themselves, to(affiliates), and stretches of time,
// 8 * years, stand apart from the names.
type Call struct {
	Name  string
	Args  []Ref // names, strings and numbers, as written
	Calls []Call
	After *Deadline // without anchor
	Span  abide.Span
}

// System registers where data lives; it is not published.
type System struct {
	Name         string
	Holds        []Ref
	Obeys        []string
	Via          string
	AnswerWithin *Deadline
	Span         abide.Span
}
