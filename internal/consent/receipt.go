package consent

import (
	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
)

// Receipt returns the unsigned receipt of a ledger event; audit.SignReceipt
// signs it. The wording itself stays sealed, the receipt has its hash.
func Receipt(id string, controller string, subject abide.SubjectID, e *abide.ConsentEvent, policyVersion string, logEntry uint64) *audit.Receipt {
	ev := &e.Evidence
	return &audit.Receipt{
		ID: id, Controller: controller, Subject: subject, Event: e.N, LogEntry: logEntry,
		Action: e.Action, Purpose: e.Purpose, Document: e.Document, Terms: e.Terms,
		Topics: e.Topics, Channels: e.Channels, Grade: e.Grade,
		WordingHash: ev.WordingHash, LayoutHash: ev.LayoutHash, Language: ev.Language, Separate: ev.Separate,
		Source: ev.Source, Signal: ev.Signal, Cites: ev.Cites, Jurisdiction: ev.Jurisdiction,
		Policy: policyVersion, Actor: audit.WhoIs(&e.Actor), At: e.At, Expires: e.Expires,
	}
}
