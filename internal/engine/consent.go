package engine

import (
	"context"
	"slices"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/consent"
	"github.com/abide-privacy/abide/internal/keys"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/policy"
)

// Receipt is the signed record of one event in the ledger of consent.
type Receipt = audit.Receipt

// maxChannel is the length of the longest name of a channel, in bytes.
const maxChannel = 64

// consentActions are the words by which callers name the events.
var consentActions = map[string]abide.ConsentAction{
	"ask": abide.ConsentAsked, "tell": abide.ConsentTold, "give": abide.ConsentGiven,
	"indicate_no_objection": abide.ConsentIndicated, "refuse": abide.ConsentRefused,
	"withdraw": abide.ConsentWithdrawn, "renew": abide.ConsentRenewed, "object": abide.ConsentObjected,
	"lift_objection": abide.ConsentObjectionLifted, "accept": abide.ConsentAccepted,
}

// WriteConsent appends an event to the ledger of consent and returns its
// signed receipt. Event, current state, index and log entry commit together:
// whoever loads the subject after this returns decides by it, on every node.
func (e *Engine) WriteConsent(ctx context.Context, c Call, w ConsentWrite) (Receipt, error) {
	action, ok := consentActions[w.Action]
	if !ok {
		return Receipt{}, invalid("bad_action", "this is no action of the ledger",
			"use ask, tell, give, indicate_no_objection, refuse, withdraw, renew, object, lift_objection or accept", "action")
	}
	if !representable(w.Expires) || !representable(w.At) {
		return Receipt{}, invalid("bad_time", "the time lies outside of the years 1900 to 9000", "leave expires out of an agreement without an end", "expires")
	}
	imported := w.Grade != "" || !w.At.IsZero() || w.Terms != ""
	if imported && !c.Actor.Admin && c.Actor.Kind != abide.ActorSystem {
		return Receipt{}, mayNot("grade, at and terms are for imports, which an administrator runs")
	}
	want := nothing
	if refusing(action) {
		want = everything // what rests on this consent alone gets a deadline
	}
	return update(ctx, e, c, opConsent, w.Subject, want, w, func(ch *change) (Receipt, error) {
		return ch.writeConsent(w, action, imported)
	})
}

func refusing(a abide.ConsentAction) bool {
	return a == abide.ConsentRefused || a == abide.ConsentWithdrawn || a == abide.ConsentObjected
}

func (ch *change) writeConsent(w ConsentWrite, action abide.ConsentAction, imported bool) (Receipt, error) {
	ev, err := ch.consentEvent(w, action, imported)
	if err != nil {
		return Receipt{}, err
	}
	if ev, err = consent.Next(&ch.facts, ev, consent.Options{Now: ch.now, Import: imported}); err != nil {
		return Receipt{}, err
	}
	ch.Row.ConsentN++
	ev.N = ch.Row.ConsentN
	state := consent.Apply(consent.Of(&ch.facts), &ev)
	state.Put(&ch.facts)
	ch.guardianSays(&ev)
	if refusing(action) {
		if err := ch.rearm(); err != nil {
			return Receipt{}, err
		}
	}
	receipt, err := ch.receipt(&ev)
	if err != nil {
		return Receipt{}, err
	}
	if ev.Purpose != "" {
		now := state.Find(ev.Purpose)
		ch.ConsentIndex = append(ch.ConsentIndex, storage.ConsentIndexRow{Subject: ch.id, Purpose: ev.Purpose, Terms: now.Terms, Effect: effectOf(&now)})
	}
	return receipt, nil
}

// effectOf is the state of a purpose as the index keeps it.
func effectOf(c *policy.Consent) string {
	if c.Objected {
		return "objected"
	}
	return string(c.State)
}

// consentEvent makes the event that a caller asks for, with the terms in force
// for this person.
func (ch *change) consentEvent(w ConsentWrite, action abide.ConsentAction, imported bool) (abide.ConsentEvent, error) {
	ev := abide.ConsentEvent{Action: action, Purpose: w.Purpose, Document: w.Document, Terms: w.Terms,
		Topics: w.Topics, Channels: w.Channels, Grade: w.Grade, Actor: ch.call.Actor, At: w.At, Expires: w.Expires, Evidence: w.Evidence}
	// The receipt and the ledger say who acted, not what else they may do.
	ev.Actor.Purposes, ev.Actor.Admin, ev.Actor.Auditor = nil, false, false
	if ev.Evidence.Jurisdiction == "" {
		ev.Evidence.Jurisdiction = ch.facts.Residence
	}
	at := ch.now
	if imported && !w.At.IsZero() {
		at = w.At
	}
	p := ch.policy()
	if action == abide.ConsentAccepted {
		return ch.acceptance(ev)
	}
	purpose, ok := p.Purpose(w.Purpose)
	if !ok {
		return ev, invalid("unknown_purpose", "the policy knows no such purpose", "see /v1/policy for the purposes", "purpose")
	}
	// Anybody may pass on a no. What opens data is said only by those who are
	// there for that purpose: otherwise any token could agree for anyone.
	if !refusing(action) && !mayActFor(ch.call.Actor, w.Purpose) {
		return ev, mayNot("this token does not carry the purpose")
	}
	for _, channel := range w.Channels {
		if len(channel) > maxChannel || len(purpose.Channels) > 0 && !slices.Contains(purpose.Channels, channel) {
			return ev, invalid("unknown_channel", "the purpose has no such channel", "see the purpose in the policy for its channels", "channels")
		}
	}
	for _, t := range w.Topics {
		if !slices.Contains(purpose.Topics, t) {
			return ev, invalid("unknown_topic", "the purpose has no such topic", "see the purpose in the policy for its topics", "topics")
		}
	}
	if ev.Terms == "" {
		terms, ok := p.Terms(w.Purpose, &ch.facts, at)
		if !ok {
			return ev, invalid("no_terms", "the purpose has no terms where this person lives", "it is not pursued there, so nobody needs to be asked", "purpose")
		}
		ev.Terms = terms.Digest()
	}
	return ev, nil
}

// acceptance completes the event of agreeing to a document with the digest of
// the document in force.
func (ch *change) acceptance(ev abide.ConsentEvent) (abide.ConsentEvent, error) {
	// It is for no purpose in particular: any will do.
	if !mayActFor(ch.call.Actor, ch.call.Actor.Purposes...) {
		return ev, mayNot("this token carries no purpose")
	}
	if d, ok := ch.policy().Document(ev.Document); ok {
		if ev.Terms == "" {
			ev.Terms = d.Digest
		}
		return ev, nil
	}
	return ev, invalid("unknown_document", "the policy has no such document", "see /v1/policy for the documents", "document")
}

// guardianSays keeps what a guardian agreed to for the child.
func (ch *change) guardianSays(ev *abide.ConsentEvent) {
	if ev.Actor.Kind != abide.ActorGuardian || ev.Purpose == "" {
		return
	}
	g := &ch.facts.Guardian
	g.Consents = slices.DeleteFunc(slices.Clone(g.Consents), func(p abide.Purpose) bool { return p == ev.Purpose })
	if ev.Action == abide.ConsentGiven || ev.Action == abide.ConsentIndicated || ev.Action == abide.ConsentRenewed {
		g.Consents = append(g.Consents, ev.Purpose)
	}
}

// receipt signs the receipt of an event and adds the ledger's row and the log
// entry.
func (ch *change) receipt(ev *abide.ConsentEvent) (Receipt, error) {
	e := ch.engine
	id := abide.NewSubjectID(ch.now).String()
	entry := ch.Row.EntryN + uint64(len(ch.entries)) + 1
	r := consent.Receipt(id, controller(ch.policy()), ch.id, ev, ch.policy().Version(), entry)
	signed, err := audit.SignReceipt(r, e.vault.Keyring())
	if err != nil {
		return Receipt{}, storageError(err)
	}
	row, err := e.vault.SealConsent(ch.keys, ev, signed)
	if err != nil {
		return Receipt{}, storageError(err)
	}
	ch.Consents, ch.events = append(ch.Consents, row), append(ch.events, *ev)
	ch.logConsent(ev, r.ID, audit.ReceiptDigest(signed))
	return *r, nil
}

// logConsent commits the log to the receipt, to every byte of it: no other can be
// made for the same entry.
func (ch *change) logConsent(ev *abide.ConsentEvent, receipt, digest string) {
	p := partOf(ch.call)
	p.Digest = digest
	p.Consent, p.Action, p.Receipt, p.Terms, p.Document, p.Reason = ev.N, ev.Action, receipt, ev.Terms, ev.Document, ev.Evidence.Note
	env := ch.engine.envelope(ch.call, audit.Consented)
	env.Purpose, env.Policy = ev.Purpose, ch.policy().Version()
	ch.log(p, env)
}

// Consents returns the current state of every purpose for a person, and the
// ledger it follows from. A service or a member of staff sees the purposes it
// carries, and which documents were accepted.
func (e *Engine) Consents(ctx context.Context, c Call, id abide.SubjectID) (ConsentsView, error) {
	if err := authorise(c, opSeeConsents, id); err != nil {
		return ConsentsView{}, err
	}
	s, err := e.load(ctx, id, storage.Want{})
	if err != nil {
		return ConsentsView{}, err
	}
	defer s.close()
	if !s.active() {
		return ConsentsView{}, erasedError()
	}
	if err := e.looked(ctx, c, s); err != nil {
		return ConsentsView{}, err
	}
	v := ConsentsView{State: []PurposeState{}, Events: []abide.ConsentEvent{}}
	if v.Events, err = e.ledger(ctx, s); err != nil {
		return ConsentsView{}, err
	}
	v.Events = slices.DeleteFunc(v.Events, func(ev abide.ConsentEvent) bool {
		return ev.Purpose != "" && !mayActFor(c.Actor, ev.Purpose)
	})
	state := consent.Expire(consent.Of(&s.facts), s.now)
	for _, one := range state.Consents {
		if !mayActFor(c.Actor, one.Purpose) {
			continue
		}
		v.State = append(v.State, purposeState(s, &one))
	}
	for _, a := range state.Accepted {
		v.Accepted = append(v.Accepted, AcceptedDocument(a))
	}
	return v, nil
}

func purposeState(s *subject, c *policy.Consent) PurposeState {
	p := PurposeState{Purpose: c.Purpose, State: string(c.State), Terms: c.Terms, Since: c.Since, Expires: c.Expires,
		Objected: c.Objected, Topics: c.Topics, Channels: c.Channels, RefusedTopics: c.RefusedTopics, RefusedChannels: c.RefusedChannels}
	if s.force != nil {
		terms, ok := s.policy().Terms(c.Purpose, &s.facts, s.now)
		p.TermsCurrent = ok && terms.Digest() == c.Terms
	}
	return p
}

// ledger opens all events of a subject, in order. One that is missing is an
// error: without it the past would read as if nobody had said no.
func (e *Engine) ledger(ctx context.Context, s *subject) ([]abide.ConsentEvent, error) {
	events := []abide.ConsentEvent{}
	for after := uint64(0); ; {
		rows, err := e.store.ConsentEvents(ctx, s.id, after, 500)
		if err != nil {
			return nil, storageError(err)
		}
		for i := range rows {
			ev, _, err := e.vault.OpenConsent(s.keys, &rows[i])
			if err != nil {
				return nil, err
			}
			if rows[i].N != after+1 {
				return nil, ledgerDamaged()
			}
			events = append(events, *ev)
			after = rows[i].N
		}
		if len(rows) < 500 {
			// More than the row knows of were written since it was loaded.
			if after < s.row.ConsentN {
				return nil, ledgerDamaged()
			}
			return events, nil
		}
	}
}

func ledgerDamaged() error {
	return &abide.Error{Code: abide.CodeInternal, Detail: "ledger_damaged",
		Message: "an event of the ledger of consent is missing from the store", Hint: "restore the store from its backup; run abide doctor"}
}

// PublicKeys returns the keys that verify receipts and certificates without
// this server, Ed25519 (RFC 8032): first the one that signs, then those that
// signed before it.
func (e *Engine) PublicKeys() []keys.PublicKey { return e.vault.Keyring().PublicKeys() }
