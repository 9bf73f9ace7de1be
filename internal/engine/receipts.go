package engine

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/receipts"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/policy"
)

// ReceiptForm is a form in which receipts of consent are given out.
type ReceiptForm string

// The forms.
const (
	ReceiptAbide   ReceiptForm = "abide"
	ReceiptISO     ReceiptForm = "iso27560"        // consent receipt, ISO/IEC TS 27560 in DPV
	RecordISO      ReceiptForm = "iso27560-record" // consent record of the same
	ReceiptKantara ReceiptForm = "kantara"         // Kantara Initiative, 1.1
)

// ReceiptForms lists the forms.
func ReceiptForms() []ReceiptForm {
	return []ReceiptForm{ReceiptAbide, ReceiptISO, RecordISO, ReceiptKantara}
}

// ReceiptRequest asks for the receipt of an event in a form.
type ReceiptRequest struct {
	Subject abide.SubjectID
	Event   uint64
	Form    ReceiptForm // ReceiptAbide if empty
	Notice  string      // where this server publishes the policy, if the policy does not say
}

// Receipt returns the receipt of an event in the ledger of consent, in canonical
// JSON that verifies without this server: as it was signed, with the proof of its
// entry once the log has it.
func (e *Engine) Receipt(ctx context.Context, c Call, r ReceiptRequest) ([]byte, error) {
	s, err := e.provable(ctx, c, r.Subject, opSeeConsents)
	if err != nil {
		return nil, err
	}
	defer s.close()
	ev, err := e.receiptOf(ctx, c, s, r.Event)
	if err != nil {
		return nil, err
	}
	if r.Form == "" || r.Form == ReceiptAbide {
		out, err := audit.SignProved(ev, e.vault.Keyring())
		return out, storageError(err)
	}
	src, err := e.receiptSource(ctx, s, ev)
	if err != nil {
		return nil, err
	}
	src.Notice = r.Notice
	var doc map[string]any
	switch r.Form {
	case ReceiptISO:
		doc, err = src.ReceiptOf()
	case RecordISO:
		doc, err = src.Record()
	case ReceiptKantara:
		doc, err = src.Kantara()
	default:
		err = invalid("unknown_form", "receipts have no such form", "use abide, iso27560, iso27560-record or kantara", "format")
	}
	if err != nil {
		return nil, err
	}
	out, err := audit.SignExport(doc, ev, e.vault.Keyring())
	return out, storageError(err)
}

// receiptOf loads a receipt with the proof of its entry, once there is one.
func (e *Engine) receiptOf(ctx context.Context, c Call, s *subject, event uint64) (*audit.Evidence, error) {
	none := &abide.Error{Code: abide.CodeNotFound, Detail: "unknown_receipt", Message: "the ledger has no such event of this person",
		Hint: "see /v1/subjects/{id}/consents for the events"}
	if event == 0 {
		return nil, none
	}
	rows, err := e.store.ConsentEvents(ctx, s.id, event-1, 1)
	if err != nil {
		return nil, storageError(err)
	}
	if len(rows) == 0 || rows[0].N != event || rows[0].Purpose != "" && !mayActFor(c.Actor, rows[0].Purpose) {
		return nil, none
	}
	_, signed, err := e.vault.OpenConsent(s.keys, &rows[0])
	if err != nil {
		return nil, err
	}
	var receipt audit.Receipt
	if err := json.Unmarshal(signed, &receipt); err != nil {
		return nil, storageError(err)
	}
	out := &audit.Evidence{Receipt: signed}
	proof, err := e.proveEntry(ctx, s, receipt.LogEntry)
	if out.Log, err = onceLogged(&proof, err); err != nil {
		return nil, err
	}
	return out, nil
}

// onceLogged takes it for no error that a checkpoint does not have the entry yet.
func onceLogged(proof *LogProof, err error) (*LogProof, error) {
	switch {
	case err == nil:
		return proof, nil
	case abide.ErrorDetail(err) == "not_in_log_yet":
		return nil, nil
	}
	return nil, err
}

// receiptSource gathers what the published forms say beyond the receipt.
func (e *Engine) receiptSource(ctx context.Context, s *subject, ev *audit.Evidence) (*receipts.Source, error) {
	var r audit.Receipt
	if err := json.Unmarshal(ev.Receipt, &r); err != nil {
		return nil, storageError(err)
	}
	then, err := e.policyVersion(ctx, r.Policy)
	if err != nil {
		return nil, err
	}
	src := &receipts.Source{Receipt: &r, Then: then.Policy, Created: s.now}
	if s.force != nil {
		src.Now = s.policy()
	}
	if src.Terms, err = e.termsOf(ctx, then.Policy, &r); err != nil {
		return nil, err
	}
	place := r.Jurisdiction
	if place == "" && src.Now != nil {
		place, _ = e.laws.Named(controller(src.Now))
	}
	if place != "" {
		src.Places = append([]abide.Place{place}, e.laws.Within(place)...)
	}
	for _, k := range e.PublicKeys() {
		if k.ID == r.Key {
			src.PublicKey = base64.StdEncoding.EncodeToString(k.Key)
		}
	}
	return src, nil
}

// termsOf are the terms that a receipt names by their digest: of the policy of
// that day, or kept from an older one. A refusal names none, and is about those
// that it refuses.
func (e *Engine) termsOf(ctx context.Context, then *policy.Policy, r *audit.Receipt) (*policy.Terms, error) {
	all := then.AllTerms()
	for i := range all {
		if all[i].Digest() == r.Terms {
			return &all[i], nil
		}
	}
	kept, err := e.store.AllTerms(ctx)
	if err != nil {
		return nil, storageError(err)
	}
	for i := range kept {
		if kept[i].Digest == r.Terms {
			t, err := policy.ParseTerms(kept[i].Canonical)
			return &t, err
		}
	}
	return &policy.Terms{Purpose: r.Purpose}, nil
}

// ProvedCertificate returns the certificate of an erased person in canonical
// JSON that verifies without this server, with the proof of the log's entry once
// a checkpoint has it.
func (e *Engine) ProvedCertificate(ctx context.Context, c Call, id abide.SubjectID) ([]byte, error) {
	cert, err := e.Certificate(ctx, c, id)
	if err != nil {
		return nil, err
	}
	s, err := e.load(ctx, id, storage.Want{Erasure: true})
	if err != nil {
		return nil, err
	}
	defer s.close()
	out := &audit.Evidence{}
	if out.Certificate, err = audit.Canonical(cert); err != nil {
		return nil, storageError(err)
	}
	if cert.LogEntry > 0 {
		proof, err := e.proveEntry(ctx, s, cert.LogEntry)
		if out.Log, err = onceLogged(&proof, err); err != nil {
			return nil, err
		}
	}
	raw, err := audit.SignProved(out, e.vault.Keyring())
	return raw, storageError(err)
}

// DisclosureCertificate certifies, from the log's record of it, that data of a
// person went to a recipient.
func (e *Engine) DisclosureCertificate(ctx context.Context, c Call, id abide.SubjectID, key LookReceipt) ([]byte, error) {
	s, err := e.provable(ctx, c, id, opSeeLog)
	if err != nil {
		return nil, err
	}
	defer s.close()
	if err := e.indexSpool(ctx); err != nil {
		return nil, err
	}
	look, err := e.store.Look(ctx, id, storage.LookKey(key))
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return nil, noSuchEntry()
	case err != nil:
		return nil, storageError(err)
	}
	part, err := e.vault.OpenLook(s.keys, look)
	if err != nil {
		return nil, err
	}
	env, err := e.vault.OpenEnvelope(look.Envelope, look.Commitment)
	if err != nil {
		return nil, err
	}
	if env.Kind != audit.Disclosed {
		return nil, &abide.Error{Code: abide.CodeConflict, Detail: "not_a_disclosure", Message: "this entry records no disclosure",
			Hint: "see /v1/subjects/{id}/log for entries of the kind disclosed"}
	}
	d := &audit.Disclosure{ID: abide.NewSubjectID(s.now).String(), Subject: id, Recipient: env.Recipient, Purpose: env.Purpose,
		Categories: env.Categories, Items: part.Items, Grounds: env.Reasons, Actor: env.Actor, At: env.At, Policy: env.Policy,
		Commitment: hex.EncodeToString(look.Commitment[:])}
	if s.force != nil {
		d.Controller = controller(s.policy())
	}
	out := &audit.Evidence{}
	if out.Disclosure, err = audit.SignDisclosure(d, e.vault.Keyring()); err != nil {
		return nil, storageError(err)
	}
	proof, err := e.proveLook(ctx, s, key, look)
	if out.Log, err = onceLogged(&proof, err); err != nil {
		return nil, err
	}
	raw, err := audit.SignProved(out, e.vault.Keyring())
	return raw, storageError(err)
}
