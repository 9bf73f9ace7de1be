package audit

import (
	"encoding/json"
	"time"

	abide "github.com/abide-privacy/abide"
)

// Kind says what a log entry records.
type Kind string

// Kinds of entry about a subject.
const (
	Created        Kind = "created"         // the subject was registered
	Collected      Kind = "collected"       // values were taken in
	Rectified      Kind = "rectified"       // values were corrected
	Looked         Kind = "looked"          // values were released to an actor
	Used           Kind = "used"            // values were processed, shown to nobody
	Contacted      Kind = "contacted"       // the person was written to or called
	Found          Kind = "found"           // the subject was found by a value
	Refused        Kind = "refused"         // a request was denied
	Decided        Kind = "decided"         // a decision was given that released nothing
	Disclosed      Kind = "disclosed"       // values went to a recipient
	Consented      Kind = "consented"       // an event was appended to the ledger of consent
	Merged         Kind = "merged"          // a visitor's choices were carried over
	JoinedService  Kind = "joined_service"  // the person takes part in a service
	LeftService    Kind = "left_service"    // the person left a service
	EventReported  Kind = "event_reported"  // a fact that deadlines wait for
	Restricted     Kind = "restricted"      // processing was restricted, or the restriction lifted
	HoldPlaced     Kind = "hold_placed"     // data is kept for a legal ground
	HoldEnded      Kind = "hold_ended"      // and no longer
	Retained       Kind = "retained"        // data outlives its purpose, and why
	Expired        Kind = "expired"         // data went because its time had come
	ErasureIntent  Kind = "erasure_intent"  // the erasure began: all reads are refused
	Erased         Kind = "erased"          // keys are destroyed, the certificate exists
	Exported       Kind = "exported"        // the person got a copy
	StaffAccess    Kind = "staff_access"    // staff looked at the log or the ledger of a person
	ApprovalAsked  Kind = "approval_asked"  // somebody asked others to agree to a look
	Approved       Kind = "approved"        // somebody agreed to a look that another asked for
	ReceivedNotice Kind = "received_notice" // the person was told of something
	Restored       Kind = "restored"        // after a restore, brought back from the restore ledger; or about nobody, a restore
)

// Kinds of entry about no subject.
const (
	Published    Kind = "published"     // a policy came into force
	TokenCreated Kind = "token_created" //
	TokenDropped Kind = "token_dropped" //
	KeyRotated   Kind = "key_rotated"   // or retired
	Imported     Kind = "imported"      // a run of an import began or ended
	Registered   Kind = "registered"    // a register of recipients, contracts, staff or reviews changed
	Swept        Kind = "swept"         // a run of retention
	Selected     Kind = "selected"      // an audience was computed
	Alert        Kind = "alert"         // something that somebody should look into
)

var kinds = map[Kind]bool{
	Created: true, Collected: true, Rectified: true, Looked: true, Used: true, Contacted: true, Found: true,
	Refused: true, Decided: true, Disclosed: true, Consented: true, Merged: true, JoinedService: true,
	LeftService: true, EventReported: true, Restricted: true, HoldPlaced: true, HoldEnded: true, Retained: true,
	Expired: true, ErasureIntent: true, Erased: true, Exported: true, StaffAccess: true, ReceivedNotice: true,
	Published: true, TokenCreated: true, TokenDropped: true, KeyRotated: true, Imported: true, Registered: true,
	Swept: true, Selected: true, Alert: true, ApprovalAsked: true, Approved: true,
	Restored: true,
}

// Known reports whether the kind is one of this package's.
func (k Kind) Known() bool { return kinds[k] }

// Envelope is the part of an entry that names no subject.
type Envelope struct {
	Kind       Kind             `json:"kind"`
	At         time.Time        `json:"at"`
	Actor      Who              `json:"actor"`
	Purpose    abide.Purpose    `json:"purpose,omitempty"`
	Act        string           `json:"act,omitempty"`
	Categories []abide.Category `json:"categories,omitempty"`
	Recipient  abide.Recipient  `json:"recipient,omitempty"`
	Effect     string           `json:"effect,omitempty"`  // permit or deny, if something was decided
	Reasons    []Ground         `json:"reasons,omitempty"` // why it was decided so
	Policy     string           `json:"policy,omitempty"`  // version
	// Object is what it was done to if not to a person: the name of a token,
	// the id of a key, the version of a policy.
	Object string `json:"object,omitempty"`
	Count  int64  `json:"count,omitempty"` // of what a run did
}

// Who acts. The name of a data subject or guardian never stands here: their
// kind says enough, and the subject's part names them.
type Who struct {
	Kind abide.ActorKind `json:"kind"`
	Name string          `json:"name,omitempty"`
	Role string          `json:"role,omitempty"`
}

// Ground is a reason of a decision without its prose.
type Ground struct {
	Code     abide.ReasonCode `json:"code"`
	Clause   string           `json:"clause,omitempty"`
	Category abide.Category   `json:"category,omitempty"`
}

// WhoIs returns the actor as an envelope may name them.
func WhoIs(a *abide.Actor) Who {
	w := Who{Kind: a.Kind, Role: a.Role}
	if a.Kind != abide.ActorSubject && a.Kind != abide.ActorGuardian {
		w.Name = a.Name
	}
	return w
}

// Decision fills in effect, reasons and policy version from a decision.
func (e *Envelope) Decision(d *abide.Decision) {
	e.Effect, e.Policy, e.Reasons = d.Effect.String(), d.PolicyVersion, nil
	for _, r := range d.Reasons {
		e.Reasons = append(e.Reasons, Ground{Code: r.Code, Clause: r.Clause, Category: r.Category})
	}
}

// Part is the subject's part of an entry: what is about the person.
type Part struct {
	Subject  abide.SubjectID     `json:"subject,omitzero"`
	N        uint64              `json:"n,omitempty"` // the entry's number in the subject's log; 0 for looks
	Actor    string              `json:"actor,omitempty"`
	Items    []Item              `json:"items,omitempty"`
	Reason   string              `json:"reason,omitempty"` // as the actor stated it
	Service  abide.Service       `json:"service,omitempty"`
	Source   string              `json:"source,omitempty"`
	Ref      string              `json:"ref,omitempty"`
	Consent  uint64              `json:"consent,omitempty"` // number of the event in the ledger
	Action   abide.ConsentAction `json:"action,omitempty"`
	Receipt  string              `json:"receipt,omitempty"`        // id of the signed receipt
	Digest   string              `json:"receipt_digest,omitempty"` // hex SHA-256 of the signed receipt
	Terms    string              `json:"terms,omitempty"`
	Document abide.DocumentName  `json:"document,omitempty"`
	Topic    abide.Topic         `json:"topic,omitempty"`
	Channel  abide.Channel       `json:"channel,omitempty"`
	Other    abide.SubjectID     `json:"other,omitzero"` // the second party, the visitor merged in
	Note     string              `json:"note,omitempty"`
	// Removed are items that are held no longer; State is the version of the
	// subject's row after the change, and the digest of its sealed state.
	Removed []Item `json:"removed,omitempty"`
	State   string `json:"state,omitempty"`
	// Facts is what the change made of the person's facts, by their names; null
	// is what is known no longer. The ledger's are not among them.
	Facts json.RawMessage `json:"facts,omitempty"`
	// Judged is what the decision was judged by, so that it can be made again.
	Judged *Judged `json:"judged,omitempty"`
}

// Item names a stored item and the bytes it was sealed to, so that an old row
// put back in its place is found.
type Item struct {
	Category abide.Category  `json:"category"`
	ID       abide.SubjectID `json:"id"`
	Version  uint32          `json:"version,omitempty"`
	Digest   string          `json:"digest,omitempty"` // hex SHA-256 of the sealed bytes
}
