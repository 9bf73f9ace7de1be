package abide

import "time"

// ConsentAction is one kind of event in the ledger of consent.
type ConsentAction string

// The events. Only given, indicated, refused, withdrawn, objected,
// objection_lifted and accepted are acts of a person; silence is no event.
const (
	ConsentAsked           ConsentAction = "asked"
	ConsentTold            ConsentAction = "told"
	ConsentGiven           ConsentAction = "given"
	ConsentIndicated       ConsentAction = "indicated_no_objection" // HK PDPO s.35A: an act after notice, never silence
	ConsentRefused         ConsentAction = "refused"
	ConsentWithdrawn       ConsentAction = "withdrawn"
	ConsentRenewed         ConsentAction = "renewed"
	ConsentExpired         ConsentAction = "expired"
	ConsentObjected        ConsentAction = "objected"
	ConsentObjectionLifted ConsentAction = "objection_lifted"
	ConsentAccepted        ConsentAction = "accepted" // a document, such as the user agreement
)

// Grade tells how well a consent is evidenced.
type Grade string

// The grades, best first. Consents recorded by Abide are proved; imported ones
// carry what the import says.
const (
	GradeProved  Grade = "proved"
	GradeClaimed Grade = "claimed"
	GradeUnknown Grade = "unknown"
)

// Evidence is what shows that a consent event took place and what the person
// saw. It is sealed under the subject's law key.
type Evidence struct {
	Wording      string `json:"wording,omitempty"`      // the exact text shown; kept by hash and sealed
	WordingHash  string `json:"wording_hash,omitempty"` // hex SHA-256 of Wording
	LayoutHash   string `json:"layout_hash,omitempty"`  // hex SHA-256 of the layout shown, if known
	Language     string `json:"language,omitempty"`     // BCP 47
	Separate     bool   `json:"separate,omitempty"`     // asked on its own, not bundled
	Source       string `json:"source,omitempty"`       // page, form, call centre
	Jurisdiction Place  `json:"jurisdiction,omitempty"` // as known at the time
	Note         string `json:"note,omitempty"`         // an operator's reason
	Details      string `json:"details,omitempty"`      // whatever else the caller keeps as evidence: a JSON object
	Signal       string `json:"signal,omitempty"`       // set if a program spoke for the person: "gpc"; an explicit later choice beats it
	Cites        string `json:"cites,omitempty"`        // id of the receipt this event carries over, after a merge
}

// ConsentEvent is one entry of the ledger. Events are appended, never edited;
// the current state is folded from them.
type ConsentEvent struct {
	N        uint64        `json:"n"` // position in the subject's ledger, from 1
	At       time.Time     `json:"at"`
	Action   ConsentAction `json:"action"`
	Purpose  Purpose       `json:"purpose,omitempty"`  // empty only for ConsentAccepted
	Document DocumentName  `json:"document,omitempty"` // for ConsentAccepted
	Terms    string        `json:"terms,omitempty"`    // digest of the terms agreed to, or of the accepted document
	Topics   []Topic       `json:"topics,omitempty"`   // empty: all
	Channels []Channel     `json:"channels,omitempty"` // empty: all
	Grade    Grade         `json:"grade"`
	Actor    Actor         `json:"actor"`
	Expires  time.Time     `json:"expires,omitzero"`
	Evidence Evidence      `json:"evidence"`
}
