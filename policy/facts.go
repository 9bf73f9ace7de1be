package policy

import (
	"time"

	abide "github.com/abide-privacy/abide"
)

// Facts is what is known of one data subject when a decision about them is
// made. The engine decodes it from the sealed state of the subject; deciding
// never looks anywhere else.
//
// Every field carries the direction in which it can only refuse, as the tag
// `refuses`. A property test enumerates the fields by reflection, moves each in
// its direction, and fails if a refusal becomes a permit; a field without a tag
// fails it too. The directions are
//
//	a>b>c     towards the end of the list; several lists stand between commas
//	true      from false to true, and false the other way
//	unknown   to the zero value; known is away from it. A place that exists
//	          nowhere refuses more still
//	younger   a later date
//	earlier   an earlier time, or one where there was none
//	more      one element more; fewer is one less
//	narrower  to part of the list, where an empty one means all
//	absent    to the zero value of the whole
//	fields    as its own fields say
//	any       none: it names something, or may go either way
type Facts struct {
	Kind   abide.SubjectKind `json:"kind" refuses:"person>other,visitor>other"`
	Status abide.Status      `json:"status" refuses:"active>erasing>erased"`

	Residence abide.Place `json:"residence,omitempty" refuses:"unknown"`
	// The law of whereabouts comes on top; where a document looks at nothing else,
	// a known place may ask less than all places together.
	Whereabouts abide.Place `json:"whereabouts,omitempty" refuses:"known"`

	BirthDate abide.Date `json:"birth_date,omitzero" refuses:"younger"`
	// DeclaredMinor is the person's own word; it never makes anyone older.
	DeclaredMinor bool       `json:"declared_minor,omitempty" refuses:"true"`
	Guardian      Guardian   `json:"guardian,omitzero" refuses:"absent"`
	Restricted    bool       `json:"restricted,omitempty" refuses:"true"` // GDPR Art. 18
	RestoredGap   bool       `json:"restored_gap,omitempty" refuses:"true"`
	Holds         []Hold     `json:"holds,omitempty" refuses:"more"`
	Consents      []Consent  `json:"consents,omitempty" refuses:"fields"`
	Accepted      []Accepted `json:"accepted,omitempty" refuses:"any"` // another document speaks, which may ask more or less
	Services      []Taking   `json:"services,omitempty" refuses:"fewer"`
	Events        []Event    `json:"events,omitempty" refuses:"any"` // order.closed and the like
}

// Guardian is what is known of a minor's guardian.
type Guardian struct {
	Verified bool            `json:"verified,omitempty" refuses:"false"`
	Consents []abide.Purpose `json:"consents,omitempty" refuses:"fewer"` // purposes the guardian consented to
}

// Hold keeps data for a legal ground. One of categories, or of everything,
// closes what it keeps for everything else. One of items keeps them from going
// and changes nothing about who may read them: until their own deadline their
// purposes do, after it nobody does.
type Hold struct {
	Name       string            `json:"name" refuses:"any"`
	Categories []abide.Category  `json:"categories,omitempty" refuses:"any"` // empty: all
	Items      []abide.SubjectID `json:"items,omitempty" refuses:"any"`      // these items and nothing else
	Until      time.Time         `json:"until,omitzero" refuses:"any"`
	// Reason, By and Since are for people to read.
	Reason string    `json:"reason,omitempty" refuses:"any"`
	By     string    `json:"by,omitempty" refuses:"any"`
	Since  time.Time `json:"since,omitzero" refuses:"any"`
}

// Consent is the current state of one purpose for one person, folded from the
// ledger by internal/consent. There is at most one per purpose.
type Consent struct {
	Purpose abide.Purpose `json:"purpose" refuses:"any"`
	State   ConsentState  `json:"state" refuses:"given>told>asked>refused,given>expired>withdrawn,indicated_no_objection>told>asked>refused,indicated_no_objection>expired>refused"`
	// Told is whether the person was told what the terms contain before the
	// current state; an indication of no objection is nothing without it.
	Told bool `json:"told,omitempty" refuses:"false"`
	// Terms is the digest of the terms the state rests on.
	Terms    string      `json:"terms,omitempty" refuses:"unknown"`
	Grade    abide.Grade `json:"grade,omitempty" refuses:"proved>claimed>unknown"`
	Separate bool        `json:"separate,omitempty" refuses:"false"`
	Expires  time.Time   `json:"expires,omitzero" refuses:"earlier"`
	Since    time.Time   `json:"since,omitzero" refuses:"unknown"`
	// Topics and Channels agreed to; empty means all of the terms'.
	Topics   []abide.Topic   `json:"topics,omitempty" refuses:"narrower"`
	Channels []abide.Channel `json:"channels,omitempty" refuses:"narrower"`
	// Refused one by one, whatever the state says.
	RefusedTopics   []abide.Topic   `json:"refused_topics,omitempty" refuses:"more"`
	RefusedChannels []abide.Channel `json:"refused_channels,omitempty" refuses:"more"`
	Objected        bool            `json:"objected,omitempty" refuses:"true"`
	// ToldTerms is the digest of the terms the person was last told of, and Last
	// the time of the purpose's last event. The ledger folds with them; deciding
	// does not read them.
	ToldTerms string    `json:"told_terms,omitempty" refuses:"any"`
	Last      time.Time `json:"last,omitzero" refuses:"any"`
}

// ConsentState is the state of one purpose for one person.
type ConsentState string

// The states. Only given and indicated can permit.
const (
	StateNone      ConsentState = ""
	StateAsked     ConsentState = "asked" // asked and silent: nothing
	StateTold      ConsentState = "told"
	StateGiven     ConsentState = "given"
	StateIndicated ConsentState = "indicated_no_objection"
	StateRefused   ConsentState = "refused"
	StateWithdrawn ConsentState = "withdrawn"
	StateExpired   ConsentState = "expired"
)

// Accepted is a document the person agreed to; it decides precedence (C21).
type Accepted struct {
	Document abide.DocumentName `json:"document" refuses:"any"`
	Digest   string             `json:"digest,omitempty" refuses:"any"`
	At       time.Time          `json:"at" refuses:"any"`
}

// Taking is the part a person takes in a service.
type Taking struct {
	Service abide.Service `json:"service" refuses:"any"`
	Since   time.Time     `json:"since" refuses:"any"`
	Left    time.Time     `json:"left,omitzero" refuses:"earlier"`
}

// Event is a fact with a time that deadlines wait for.
type Event struct {
	Anchor string    `json:"anchor" refuses:"any"`        // order.closed, account.closed
	Ref    string    `json:"ref,omitempty" refuses:"any"` // which order; an item's own Ref selects it
	At     time.Time `json:"at" refuses:"any"`
}

// Register is what is known of recipients and staff, apart from the policy:
// facts of the company, not of a person. It is immutable once handed over.
type Register struct {
	Members   []Member
	Contracts []ContractFact
	Staff     []StaffFact
	// Reviews: when each review of the policy was last done.
	Reviews []ReviewFact
}

// Member is a company that belongs to a class of recipients.
type Member struct {
	Name  abide.Recipient
	Class abide.Recipient // the policy's recipient block
	Left  time.Time       // zero while it belongs
}

// ContractFact is a contract in the register.
type ContractFact struct {
	Recipient abide.Recipient // a member, or a class without members
	Signed    time.Time
	Ends      time.Time // zero: open
	Covers    []abide.Place
}

// StaffFact is what a member of staff must have current.
type StaffFact struct {
	Name            string
	UndertakingEnds time.Time // confidentiality undertaking; zero: none
	ReviewedAt      time.Time // access review; zero: never
}

// ReviewFact is a review that took place.
type ReviewFact struct {
	Name string
	At   time.Time
}

// Request is what somebody wants to do. Deciding reads it and changes nothing.
type Request struct {
	Actor      abide.Actor
	Purpose    abide.Purpose
	Act        abide.Act
	Categories []abide.Category
	Recipient  abide.Recipient // for disclose
	Service    abide.Service   // for collect: the service that asks
	Topic      abide.Topic     // for contact: the type of message; "" for none in particular
	Channel    abide.Channel   // for contact
	Source     string          // for collect
	Reason     string          // stated by the actor; only its presence counts
	Approvals  int             // approvals obtained, checked by the engine
	ForValue   bool            // for disclose: against money or other value
	Order      *Order          // a legal request (C16)
	At         time.Time       // the instant the decision is for
	// Items are the stored items the request would touch, if the caller knows
	// them; retention and derivation are judged per item.
	Items []ItemFact
}

// Order is a legal request: it opens exactly its scope.
type Order struct {
	Rule      string // name of the without_consent block
	Authority string
	Citation  string
	Scope     []abide.Category
	Approvals int
	When      string // requires, expressly_permits
}

// ItemFact is what deciding needs to know of a stored item.
type ItemFact struct {
	Category abide.Category
	ID       abide.SubjectID // of the item, which a hold may name; zero if it is not known
	Obtained time.Time
	Ref      string // ties the item to events: the order's number
	// Purposes is set for derived items: the intersection of their sources'.
	// Nil means whatever the policy permits.
	Purposes []abide.Purpose
	Law      bool // in the law compartment
	// Cap ends every ground of a derived item: when the first of its sources may
	// not be used any more; zero if none ends.
	Cap time.Time
}
