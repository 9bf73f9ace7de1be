package consent

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"golang.org/x/text/language"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy"
)

// Options tell how an event comes to be written.
type Options struct {
	Now time.Time
	// Import: the event happened before Abide knew of it. It keeps its own time
	// and grade.
	Import bool
}

// Next checks an event that somebody wants to append to the ledger of a
// subject, and returns it completed: time, grade, hash of the wording, sorted
// topics and channels. Only N is left to the caller.
//
// Saying no is never refused for a reason of form that the person cannot help.
// Saying yes is refused if it would be worth nothing later: without the terms
// and the wording, while an objection stands, as an indication without notice,
// or against something that happened since.
//
// Who may write:
//
//	subject   proved to be the person: everything that is the person's to say
//	guardian  the same, once verified
//	staff     the same, under their name and with a reason (Evidence.Note)
//	service   the same, acting for the person it has signed in: its name is the actor and, unless it gives a finer one, the source of the evidence
//	system    that the person was asked or told, that a consent expired, what a merge carries over (Evidence.Cites), and a refusal with a reason
func Next(f *policy.Facts, e abide.ConsentEvent, o Options) (abide.ConsentEvent, error) {
	if f.Status == abide.StatusErasing || f.Status == abide.StatusErased {
		return e, &abide.Error{Code: abide.CodeErased, Detail: "erased", Message: "the subject was erased", Hint: "a new relation needs a new subject"}
	}
	if err := checkForm(&e); err != nil {
		return e, err
	}
	if err := checkWriter(f, &e); err != nil {
		return e, err
	}
	state := Of(f)
	c := state.Find(e.Purpose)
	complete(&e, &c, o)
	if e.At.After(o.Now) && !e.At.Equal(c.Last) {
		return e, invalid("in_the_future", "the event lies in the future", "send the time at which it happened")
	}
	expire(&c, e.At)
	if err := checkEvidence(&e, o); err != nil {
		return e, err
	}
	return e, checkOrder(&c, &e)
}

func invalid(detail, message, hint string) *abide.Error {
	return &abide.Error{Code: abide.CodeInvalid, Detail: detail, Message: message, Hint: hint}
}

func conflict(detail, message, hint string) *abide.Error {
	return &abide.Error{Code: abide.CodeConflict, Detail: detail, Message: message, Hint: hint}
}

func checkForm(e *abide.ConsentEvent) error {
	needsTerms := false
	switch e.Action {
	case abide.ConsentAccepted:
		if e.Document == "" || e.Purpose != "" {
			return invalid("document_missing", "accepting is about a document, not a purpose", "name the document and no purpose")
		}
		needsTerms = true
	case abide.ConsentTold, abide.ConsentGiven, abide.ConsentIndicated, abide.ConsentRenewed:
		needsTerms = true
	case abide.ConsentAsked, abide.ConsentRefused, abide.ConsentWithdrawn, abide.ConsentExpired, abide.ConsentObjected, abide.ConsentObjectionLifted:
	default:
		return invalid("bad_action", "this is no action of the ledger", "use ask, tell, give, indicate_no_objection, refuse, withdraw, renew, object, lift_objection or accept")
	}
	switch {
	case e.Action != abide.ConsentAccepted && (e.Purpose == "" || e.Document != ""):
		return invalid("purpose_missing", "this action is about a purpose, not a document", "name the purpose and no document")
	case needsTerms && e.Terms == "":
		return invalid("terms_missing", "the event does not say which terms it is about", "send the digest of the terms, or let the policy in force supply it")
	case e.Evidence.Signal != "" && !refusing(e.Action):
		return invalid("signal_cannot_agree", "a program's signal can refuse for a person, and nothing else", "ask the person")
	}
	return nil
}

// refusing reports whether an action says no.
func refusing(a abide.ConsentAction) bool {
	return a == abide.ConsentRefused || a == abide.ConsentWithdrawn || a == abide.ConsentObjected
}

func checkWriter(f *policy.Facts, e *abide.ConsentEvent) error {
	ours := e.Action == abide.ConsentAsked || e.Action == abide.ConsentTold
	if e.Action == abide.ConsentExpired && e.Actor.Kind != abide.ActorSystem {
		return notAllowed("only_system", "a consent expires by its own date", "to end it earlier, withdraw it")
	}
	switch e.Actor.Kind {
	case abide.ActorSubject:
	case abide.ActorGuardian:
		if !f.Guardian.Verified {
			return notAllowed("guardian_not_verified", "the guardian is not verified", "verify the guardian first")
		}
	case abide.ActorStaff:
		if e.Actor.Name == "" || !ours && strings.TrimSpace(e.Evidence.Note) == "" {
			return notAllowed("reason_missing", "staff who write for a person give their name and a reason", "send evidence.note")
		}
	case abide.ActorService:
		if e.Actor.Name == "" {
			return notAllowed("actor_unnamed", "a service that writes for a person has a name", "use a token with a name")
		}
	case abide.ActorSystem:
		carried := e.Evidence.Cites != "" || refusing(e.Action) && e.Evidence.Note != ""
		if !ours && !carried && e.Action != abide.ConsentExpired {
			return notAllowed("not_for_system", "nobody but the person, a guardian or a named operator can say this", "let the person decide")
		}
	default:
		return notAllowed("unknown_actor", "it is not known who acts", "sign in")
	}
	return nil
}

func notAllowed(detail, message, hint string) *abide.Error {
	return &abide.Error{Code: abide.CodeUnauthorized, Detail: detail, Message: message, Hint: hint}
}

// complete fills in what the caller need not say. Outside of imports an event
// happens now; should this node's clock lag behind the one that wrote the last
// event, it happens at that event's time, so that order and time agree.
func complete(e *abide.ConsentEvent, c *policy.Consent, o Options) {
	if !o.Import || e.At.IsZero() {
		e.At = o.Now
		if c.Last.After(e.At) {
			e.At = c.Last
		}
	}
	e.At = e.At.UTC()
	switch e.Action {
	case abide.ConsentGiven, abide.ConsentIndicated, abide.ConsentRenewed:
		if !e.Expires.IsZero() {
			e.Expires = e.Expires.UTC()
		}
	default:
		e.Expires = time.Time{} // only agreement ends by date
	}
	switch {
	case !o.Import && e.Evidence.Cites == "":
		e.Grade = abide.GradeProved
	case e.Grade == "":
		e.Grade = abide.GradeUnknown
	}
	if e.Actor.Kind == abide.ActorService && e.Evidence.Source == "" {
		e.Evidence.Source = e.Actor.Name
	}
	if e.Evidence.Wording != "" && e.Evidence.WordingHash == "" {
		sum := sha256.Sum256([]byte(e.Evidence.Wording))
		e.Evidence.WordingHash = hex.EncodeToString(sum[:])
	}
	e.Topics, e.Channels = sortedSet(e.Topics), sortedSet(e.Channels)
}

func checkEvidence(e *abide.ConsentEvent, o Options) error {
	ev := &e.Evidence
	switch e.Grade {
	case abide.GradeProved, abide.GradeClaimed, abide.GradeUnknown:
	default:
		return invalid("bad_grade", "this is no grade of evidence", "use proved, claimed or unknown")
	}
	if !isHash(ev.WordingHash) || !isHash(ev.LayoutHash) {
		return invalid("bad_hash", "a hash of wording or layout is not one", "send 64 hexadecimal digits (SHA-256), in lower case")
	}
	if ev.Wording != "" {
		if sum := sha256.Sum256([]byte(ev.Wording)); hex.EncodeToString(sum[:]) != ev.WordingHash {
			return invalid("wording_hash_mismatch", "the hash is not that of the wording", "send the wording alone")
		}
	}
	if ev.Language != "" {
		if _, err := language.Parse(ev.Language); err != nil {
			return invalid("bad_language", "this is not a language tag", "send a tag of BCP 47, such as zh-HK")
		}
	}
	if !e.Expires.IsZero() && !e.Expires.After(e.At) {
		return invalid("bad_expiry", "the consent would end before it begins", "send a later expires, or none")
	}
	agreeing := e.Action == abide.ConsentGiven || e.Action == abide.ConsentIndicated || e.Action == abide.ConsentTold
	if agreeing && o.Import && e.Grade == abide.GradeProved && ev.WordingHash == "" {
		return invalid("wording_missing", "an imported consent is not proved without the wording that was shown", "send evidence.wording, or grade the consent as claimed")
	}
	return nil
}

func isHash(s string) bool {
	if s == "" {
		return true
	}
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}

// checkOrder refuses what would have no effect although it says yes: an event
// that is in the ledger and changes nothing misleads whoever reads it.
func checkOrder(c *policy.Consent, e *abide.ConsentEvent) error {
	switch e.Action {
	case abide.ConsentGiven, abide.ConsentIndicated, abide.ConsentRenewed, abide.ConsentObjectionLifted:
	default:
		return nil
	}
	switch {
	case e.At.Before(c.Last):
		return conflict("out_of_order", "the ledger holds a later event for this purpose", "an old agreement cannot undo what was said since")
	case e.Action == abide.ConsentObjectionLifted:
		return nil
	case weaker(c, e):
		return conflict("weaker_evidence", "the ledger holds better evidence of what the person said", "ask the person")
	case c.Objected:
		return conflict("objection_stands", "the person objected to this purpose", "record that they lift the objection, then that they agree")
	case e.Action == abide.ConsentIndicated && c.ToldTerms != e.Terms:
		return conflict("not_told", "an indication of no objection needs a notice of these very terms before it", "record what the person was told (action tell), then ask")
	case e.Action == abide.ConsentRenewed && !agreed(c.State):
		return conflict("nothing_to_renew", "there is no agreement in force to renew", "ask for consent anew")
	case e.Action == abide.ConsentRenewed && c.Terms != e.Terms:
		return conflict("terms_changed", "the agreement in force rests on other terms", "ask for consent to the new terms")
	}
	return nil
}
