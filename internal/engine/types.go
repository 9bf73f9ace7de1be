package engine

import (
	"encoding/json"
	"time"

	abide "github.com/abide-privacy/abide"
)

// Call is what every request carries besides its own content.
type Call struct {
	Actor abide.Actor
	// IdempotencyKey makes a retried mutating call return the first answer.
	// Another request under the same key is an error. Empty: none.
	IdempotencyKey string
	// Token names the credential, for the log.
	Token string
	// Credential is the hash of the token's secret (Credential), by which a
	// link finds out whether the token still stands. Nil: known otherwise.
	Credential []byte
}

// keyScope is within what an Idempotency-Key is the caller's own. A name may be
// given again once its token is revoked; a secret never is, so whoever bears a
// name later does not get the answers of who bore it before. Callers that bear
// no token (the command line, an import) are told apart by name.
func (c Call) keyScope() string {
	if c.Credential != nil {
		return "token\x00" + string(c.Credential)
	}
	return "name\x00" + c.Token
}

// NewSubject asks for a data subject.
type NewSubject struct {
	Kind          abide.SubjectKind `json:"kind,omitempty"` // person unless said otherwise
	Jurisdiction  abide.Place       `json:"jurisdiction,omitempty"`
	Whereabouts   abide.Place       `json:"whereabouts,omitempty"`
	BirthDate     abide.Date        `json:"birth_date,omitzero"`
	DeclaredMinor bool              `json:"declared_minor,omitempty"`
	Reference     string            `json:"reference,omitempty"` // the caller's own id; found again by it
}

// CreatedSubject answers NewSubject. Existing is set if the reference was known.
type CreatedSubject struct {
	ID       abide.SubjectID `json:"id"`
	Existing bool            `json:"-"`
}

// Collect hands in data of a subject for a service.
type Collect struct {
	Subject abide.SubjectID
	Service abide.Service
	Source  string // checkout, import, call centre
	Ref     string // ties the items to events: an order's number
	// Items by category; a JSON array of values for a category with many.
	Items map[abide.Category]json.RawMessage
	// From are the items a derived value was made from; their permission is
	// what the derived item lives by.
	From []ItemRef
	// Other is the second party of two-party items (a message's recipient).
	Other abide.SubjectID
	// Purpose, if the caller collects for a purpose without a service.
	Purpose  abide.Purpose
	Obtained time.Time // zero: now; imports say when
}

// ItemRef names a stored item.
type ItemRef struct {
	Category abide.Category  `json:"category"`
	ID       abide.SubjectID `json:"id"`
}

// Collected answers Collect.
type Collected struct {
	Items   []ItemRef        `json:"items"`
	Missing []MissingData    `json:"missing"`             // what services still lack
	Skipped []abide.Category `json:"elsewhere,omitempty"` // decided here, kept by your own systems
}

// MissingData says which service lacks what, and which clause asks for it.
type MissingData struct {
	Service    abide.Service    `json:"service"`
	Categories []abide.Category `json:"categories"`
	Clause     string           `json:"clause"`
}

// Read asks for values.
type Read struct {
	Subject    abide.SubjectID
	Purpose    abide.Purpose
	Act        abide.Act // read unless said otherwise
	Categories []abide.Category
	Recipient  abide.Recipient
	Reason     string
	Approval   string // id of an approval, for levels that want one
	Approvals  int    // vouched for by an administrator, instead
	Topic      abide.Topic
	Channel    abide.Channel

	item abide.SubjectID // this one only: the file that a link is about
}

// ReadResult holds what was released. A category that is permitted but holds
// nothing is absent from Data.
type ReadResult struct {
	Data     map[abide.Category][]Value
	Decision abide.Decision
	Receipt  LookReceipt

	held []opened
}

// Value is one item released.
type Value struct {
	ID       abide.SubjectID `json:"id"`
	Value    json.RawMessage `json:"value"`
	Source   string          `json:"source,omitempty"`
	Obtained time.Time       `json:"obtained"`
	Due      time.Time       `json:"due,omitzero"`
	Masked   bool            `json:"masked,omitempty"`
	// Of an upload, Value is its File, and its bytes are got with Link until
	// LinkExpires. The engine sets Token; the transport makes the link of it.
	Link        string    `json:"link,omitempty"`
	LinkExpires time.Time `json:"link_expires,omitzero"`
	Token       string    `json:"-"`
}

// File describes an upload.
type File struct {
	Name      string `json:"name,omitempty"`
	MediaType string `json:"media_type"`
	Size      int64  `json:"size"`   // bytes
	SHA256    string `json:"sha256"` // hex
}

// Upload hands in a file of a subject for a service.
type Upload struct {
	Subject   abide.SubjectID
	Category  abide.Category
	Service   abide.Service
	Purpose   abide.Purpose // instead of a service
	Source    string
	Ref       string
	Obtained  time.Time // zero: now
	Name      string    // of the file, as the person named it; may be empty
	MediaType string    // application/octet-stream unless said otherwise
	Size      int64     // bytes; negative: not known beforehand
	SHA256    []byte    // of the whole file; nil: not known beforehand
}

// Uploaded answers Upload.
type Uploaded struct {
	Item    ItemRef       `json:"item"`
	File    File          `json:"file"`
	Missing []MissingData `json:"missing"`
}

// LookReceipt says where the record of a look stands.
type LookReceipt struct {
	Node  string `json:"node"`
	Batch uint64 `json:"batch"`
	Pos   uint32 `json:"pos"`
}

// Lookup finds subjects by a value.
type Lookup struct {
	Category abide.Category // or "~reference"
	Value    json.RawMessage
	Purpose  abide.Purpose
}

// ConsentWrite is one event for the ledger. Action is tell, ask, give,
// indicate_no_objection, refuse, withdraw, object, lift_objection, renew,
// accept.
type ConsentWrite struct {
	Subject  abide.SubjectID
	Purpose  abide.Purpose
	Document abide.DocumentName
	Action   string
	Topics   []abide.Topic
	Channels []abide.Channel
	Evidence abide.Evidence
	Grade    abide.Grade // imports only; otherwise proved
	At       time.Time   // imports only; otherwise now
	Expires  time.Time
	Terms    string // imports only: digest of mapped terms; otherwise the terms in force
}

// Decide asks for a decision that releases nothing.
type Decide struct {
	Subject    abide.SubjectID
	Purpose    abide.Purpose
	Act        abide.Act
	Categories []abide.Category // empty: all that the purpose uses for the act
	Recipient  abide.Recipient
	Service    abide.Service
	Topic      abide.Topic
	Channel    abide.Channel
	Reason     string
	Approvals  int
	ForValue   bool
	Facts      json.RawMessage // facts of categories held elsewhere: events, and the like
	AsOf       time.Time       // zero: now
}

// ServiceState tells how a subject stands to a service.
type ServiceState struct {
	Service abide.Service    `json:"service"`
	Title   string           `json:"title"`
	Since   time.Time        `json:"since,omitzero"`
	Left    time.Time        `json:"left,omitzero"`
	Missing []abide.Category `json:"missing,omitempty"`
	Clause  string           `json:"clause,omitempty"`
	Stop    []string         `json:"sources_that_must_stop,omitempty"`
}

// LogEntry is an entry of the log as the person concerned, or an auditor, sees it.
type LogEntry struct {
	At         time.Time       `json:"at"`
	Kind       string          `json:"kind"`
	N          uint64          `json:"n,omitempty"` // for changes
	Look       *LookReceipt    `json:"look,omitempty"`
	Subject    json.RawMessage `json:"subject,omitempty"`  // the person's part
	Envelope   json.RawMessage `json:"envelope,omitempty"` // actor, purpose, effect, policy version
	Commitment string          `json:"commitment"`
}

// Page is a position in a listing.
type Page struct {
	After string
	Limit int
}

// NewToken asks for a bearer token.
type NewToken struct {
	Name    string
	Actor   abide.Actor
	Expires time.Time
}

// Finding is something that someone at the company should look into, counted
// by day: a write for a service that the person left, a late review.
type Finding struct {
	Code  string    `json:"code"`
	Name  string    `json:"name"`
	Day   string    `json:"day"`
	Count int64     `json:"count"`
	Last  time.Time `json:"last"`
}

// SubjectView is a subject without values.
type SubjectView struct {
	ID         abide.SubjectID   `json:"id"`
	Kind       abide.SubjectKind `json:"kind"`
	Status     abide.Status      `json:"status"`
	Created    time.Time         `json:"created"`
	Restricted bool              `json:"restricted"`
	// Holds counts stored items by category.
	Holds map[abide.Category]int `json:"holds"`
	// Erasure is set while an erasure runs and after it: its step.
	Erasure string `json:"erasure,omitempty"`
}

// SubjectPatch changes what is known of a subject; nil fields stay.
type SubjectPatch struct {
	Jurisdiction     *abide.Place     `json:"jurisdiction,omitempty"`
	Whereabouts      *abide.Place     `json:"whereabouts,omitempty"`
	BirthDate        *abide.Date      `json:"birth_date,omitempty"`
	DeclaredMinor    *bool            `json:"declared_minor,omitempty"`
	Restricted       *bool            `json:"restricted,omitempty"` // GDPR Art. 18
	GuardianVerified *bool            `json:"guardian_verified,omitempty"`
	GuardianConsents *[]abide.Purpose `json:"guardian_consents,omitempty"`
}

// ConsentsView is the current state of every purpose for a person, and the
// ledger it is folded from.
type ConsentsView struct {
	State    []PurposeState       `json:"state"`
	Accepted []AcceptedDocument   `json:"accepted,omitempty"`
	Events   []abide.ConsentEvent `json:"events"`
}

// PurposeState is one purpose for one person.
type PurposeState struct {
	Purpose         abide.Purpose   `json:"purpose"`
	State           string          `json:"state"` // "", asked, told, given, indicated_no_objection, refused, withdrawn, expired
	Terms           string          `json:"terms,omitempty"`
	TermsCurrent    bool            `json:"terms_current"` // whether Terms are those in force
	Since           time.Time       `json:"since,omitzero"`
	Expires         time.Time       `json:"expires,omitzero"`
	Objected        bool            `json:"objected,omitempty"`
	Topics          []abide.Topic   `json:"topics,omitempty"`
	Channels        []abide.Channel `json:"channels,omitempty"`
	RefusedTopics   []abide.Topic   `json:"refused_topics,omitempty"`
	RefusedChannels []abide.Channel `json:"refused_channels,omitempty"`
}

// AcceptedDocument is a document the person agreed to.
type AcceptedDocument struct {
	Document abide.DocumentName `json:"document"`
	Digest   string             `json:"digest,omitempty"`
	At       time.Time          `json:"at"`
}

// PublishInfo says what publishing did.
type PublishInfo struct {
	Version   string    `json:"version"`
	Epoch     uint64    `json:"epoch"`
	Published time.Time `json:"published"`
	Unchanged bool      `json:"unchanged"` // this version was in force already
}

// TokenInfo is a token without its secret.
type TokenInfo struct {
	Name    string      `json:"name"`
	Actor   abide.Actor `json:"actor"`
	Created time.Time   `json:"created"`
	Expires time.Time   `json:"expires,omitzero"`
}

// ImportPerson is one row of an import: a person with data and consents, taken
// in whole or not at all.
type ImportPerson struct {
	Row          int64                              `json:"row"` // line of the source, for outcomes
	Reference    string                             `json:"reference"`
	Jurisdiction abide.Place                        `json:"jurisdiction,omitempty"`
	BirthDate    abide.Date                         `json:"birth_date,omitzero"`
	Obtained     time.Time                          `json:"obtained,omitzero"`
	Items        map[abide.Category]json.RawMessage `json:"items,omitempty"`
	Consents     []ImportConsent                    `json:"consents,omitempty"`
}

// ImportConsent is a consent from before Abide, with how well it is evidenced.
type ImportConsent struct {
	Purpose abide.Purpose `json:"purpose"`
	Action  string        `json:"action"` // tell, give, indicate_no_objection, refuse, withdraw, object
	At      time.Time     `json:"at,omitzero"`
	Grade   abide.Grade   `json:"grade,omitempty"` // unknown unless said otherwise
	Terms   string        `json:"terms,omitempty"` // digest of the terms the old wording is mapped to; those of Import.Evidence if empty
	Source  string        `json:"source,omitempty"`
}

// ImportEvidence is what all consents of an import to one purpose share: how
// people were asked.
type ImportEvidence struct {
	Wording  string `json:"wording,omitempty"`  // the exact text shown
	Language string `json:"language,omitempty"` // BCP 47
	Separate bool   `json:"separate,omitempty"` // asked on its own, not bundled
	Terms    string `json:"terms,omitempty"`    // digest of the terms that the wording is mapped to; those in force if empty
}

// Import is a batch of rows of one import.
type Import struct {
	// ID names the import. A row of the same import with the same Row is taken
	// in once, however often it is sent.
	ID      string         `json:"id"`
	Service abide.Service  `json:"service"`
	Source  string         `json:"source,omitempty"`
	People  []ImportPerson `json:"people"`
	// Evidence says, by purpose, how people were asked.
	Evidence map[abide.Purpose]ImportEvidence `json:"evidence,omitempty"`
}

// ImportOutcome says what became of a row. Code is empty if it was taken in.
type ImportOutcome struct {
	Row      int64  `json:"row"`
	Code     string `json:"code,omitempty"`
	Field    string `json:"field,omitempty"`    // the category or column concerned
	Repeated bool   `json:"repeated,omitempty"` // this row was taken in before
}
