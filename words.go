package abide

// Names as a policy declares them. They are persisted and sent as strings;
// the small integers a compiled policy gives them never leave the process.
type (
	// Category is one kind of personal data, written group.row: "person.email".
	Category string
	// Purpose is a purpose of processing: "provide", "marketing".
	Purpose string
	// Recipient is a class of recipients, or a registered member of one.
	Recipient string
	// Service is what people take part in: "shop". Its needs are categories.
	Service string
	// Place is a jurisdiction: ISO 3166 ("HK", "US-CA"), or a group ("EU").
	Place string
	// Topic is a type of message that can be refused on its own: "offers".
	Topic string
	// Channel is a way to reach a person: "email", "sms", "post", "push".
	Channel string
	// DocumentName names a document of the policy: "privacy", "agreement".
	DocumentName string
)

// Act is what an actor wants to do with personal data.
type Act uint8

// The acts. Every act on personal data is one of these.
const (
	ActUnknown  Act = iota
	ActCollect      // take in and keep
	ActRead         // look at values
	ActUse          // process without showing values to anyone (a filter, a count)
	ActContact      // write to, call, or push to the person
	ActChoose       // choose what somebody is shown or sent by this data
	ActDisclose     // hand to a recipient
)

var actNames = [...]string{"", "collect", "read", "use", "contact", "choose", "disclose"}

// Acts lists all acts, in their order.
func Acts() []Act {
	return []Act{ActCollect, ActRead, ActUse, ActContact, ActChoose, ActDisclose}
}

func (a Act) String() string {
	if int(a) < len(actNames) {
		return actNames[a]
	}
	return ""
}

// ParseAct returns ActUnknown for a word that names no act; deciding denies it.
func ParseAct(s string) Act {
	for i, n := range actNames {
		if i > 0 && n == s {
			return Act(i)
		}
	}
	return ActUnknown
}

// MarshalText implements encoding.TextMarshaler.
func (a Act) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (a *Act) UnmarshalText(b []byte) error { *a = ParseAct(string(b)); return nil }

// Effect is the outcome of a decision. The zero value denies.
type Effect uint8

// The two effects.
const (
	Deny Effect = iota
	Permit
)

func (e Effect) String() string {
	if e == Permit {
		return "permit"
	}
	return "deny"
}

// MarshalText implements encoding.TextMarshaler.
func (e Effect) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler; whatever is not "permit" denies.
func (e *Effect) UnmarshalText(b []byte) error {
	*e = Deny
	if string(b) == "permit" {
		*e = Permit
	}
	return nil
}

// Pos is a place in a file. Line and Column count from 1, Column in Unicode
// characters; Byte is the offset from 0.
type Pos struct {
	Line   int `json:"line"`
	Column int `json:"column"`
	Byte   int `json:"byte"`
}

// Span is a stretch of a policy file, End exclusive. File is relative to the
// policy folder, with forward slashes.
type Span struct {
	File  string `json:"file"`
	Start Pos    `json:"start"`
	End   Pos    `json:"end"`
}

// Reason tells why a decision fell as it did, and points at the words that say
// so. It never holds a personal value.
type Reason struct {
	Code     ReasonCode `json:"code"`
	Clause   string     `json:"clause,omitempty"`   // document#anchor: "privacy#C07"
	Span     Span       `json:"span,omitzero"`      // the rule's lines in the policy
	Text     string     `json:"text"`               // one plain sentence
	Category Category   `json:"category,omitempty"` // if the reason concerns one category only
}

// Obligation is what a permitted actor must do.
type Obligation struct {
	Code   ObligationCode `json:"code"`
	Clause string         `json:"clause,omitempty"`
	N      int            `json:"n,omitempty"` // characters left by a mask, approvals wanted
	Name   string         `json:"name,omitempty"`
}

// ObligationCode is a stable name of an obligation.
type ObligationCode string

// The obligations.
const (
	MustOfferUnsubscribe ObligationCode = "unsubscribe_required" // every message ends with an unsubscribe link
	MustMask             ObligationCode = "mask"                 // show the last N characters only
	MustGiveReason       ObligationCode = "reason_required"      // state why, for the log
	MustBeApproved       ObligationCode = "approvals_required"   // N other people approve first
	MustTell             ObligationCode = "tell_person"          // tell the person that this happened
)

// Decision is the answer to a request. It travels with its reasons, always.
// The zero value denies.
type Decision struct {
	Effect        Effect       `json:"effect"`
	Permitted     []Category   `json:"permitted_categories"` // of those asked for; all of them if Effect is Permit
	Reasons       []Reason     `json:"reasons"`              // complete on denial; the grounds on permit
	Obligations   []Obligation `json:"obligations,omitempty"`
	PolicyVersion string       `json:"policy_version"`
}

// Allowed reports whether the whole request is permitted.
func (d *Decision) Allowed() bool { return d.Effect == Permit }

// ActorKind tells in what capacity somebody acts.
type ActorKind string

// The kinds of actor.
const (
	ActorService  ActorKind = "service"  // an application; its token carries purposes
	ActorStaff    ActorKind = "staff"    // a member of staff in a role
	ActorSubject  ActorKind = "subject"  // the person concerned, proved
	ActorGuardian ActorKind = "guardian" // the verified guardian of a minor
	ActorSystem   ActorKind = "system"   // Abide itself: sweeps, rotations
)

// Actor is who acts. An actor can act only for the purposes it carries.
type Actor struct {
	Kind     ActorKind `json:"kind"`
	Name     string    `json:"name"`           // token name or staff id; never a personal value of a subject
	Role     string    `json:"role,omitempty"` // for staff: a role of the policy
	Purposes []Purpose `json:"purposes,omitempty"`
	Admin    bool      `json:"admin,omitempty"` // may publish, create tokens, erase, import
	// Auditor may export log entries, opened, with their proofs; each export is on
	// record.
	Auditor bool `json:"auditor,omitempty"`
}
