package engine_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/engine"
	"github.com/abide-privacy/abide/internal/log"
	"github.com/abide-privacy/abide/policy"
)

// trusted are the keys of the world, as somebody has them who kept them on the
// first day.
func (w *world) trusted() audit.DocumentKeys {
	w.t.Helper()
	var k audit.DocumentKeys
	for _, p := range w.e.PublicKeys() {
		k.Signing = append(k.Signing, p.Key)
	}
	vkeys, err := log.VerifierKeys(w.ring, "shop.example/log")
	must(w.t, err)
	k.Log, err = audit.NewKeys(vkeys[0])
	must(w.t, err)
	return k
}

// document asks for a receipt in a form and verifies it with package audit alone.
func (w *world) document(c engine.Call, id abide.SubjectID, event uint64, form engine.ReceiptForm) ([]byte, *audit.VerifiedDocument) {
	w.t.Helper()
	raw, err := w.e.Receipt(w.t.Context(), c, engine.ReceiptRequest{Subject: id, Event: event, Form: form})
	must(w.t, err)
	v, err := audit.VerifyDocument(raw, w.trusted())
	must(w.t, err)
	return raw, v
}

func (w *world) receipt(c engine.Call, id abide.SubjectID, event uint64, form engine.ReceiptForm) *audit.VerifiedDocument {
	w.t.Helper()
	_, v := w.document(c, id, event, form)
	return v
}

// reachable is the policy of the tests with a controller that receipts can name,
// and a courier who receives what is delivered.
func reachable(t *testing.T) []string {
	t.Helper()
	return []string{
		`controller = "Example Ltd, privacy@example.test"`, `controller = {
    name    = "Example Ltd"
    contact = "Privacy desk"
    email   = "privacy@example.test"
    phone   = "+852 2123 4567"
    url     = "https://example.test"
    address = { street = "1 Quay", city = "Central", country = "Hong Kong" }
  }
  stored_in = [HK, IE]
  notice_at = "https://example.test/policy"
  rights_at = "https://example.test/privacy"`,
		`name    = "name"`, `name    = { words = "name", dpv = Name }`,
		`taste   = { words = "taste profile",`, `taste   = { words = "taste profile", dpv = Health,`,
		`basis     = consent`, `dpv       = DirectMarketing
  basis     = consent`,
		"## Our books", "## Couriers {#couriers}\n\nCouriers get your name, to provide the shop.\n\n```abide\nrecipient \"couriers\" {\n  class = partner\n  members = register\n  gets = { provide = [person.name] }\n  contract = { covers = residence, lapse = closes }\n}\n```\n\n## Our books",
	}
}

// inEurope lets the world know where Germany lies.
func (w *world) inEurope() {
	w.t.Helper()
	var err error
	w.laws, err = policy.NewLaws([]policy.Profile{{Place: "EU"}, {Place: "DE", Within: []abide.Place{"EU"}}, {Place: "HK"}})
	must(w.t, err)
	w.restart()
}

// TestReceiptsInEveryForm: a receipt verifies in every form, before and after the
// log has it, says what the form demands, and is refused where the policy does
// not say it or the event is no consent.
func TestReceiptsInEveryForm(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		w.inEurope()
		id, seq := w.person(engine.NewSubject{Jurisdiction: "DE"}), w.sequencer()
		bare := w.consent(id, "give")
		for _, form := range []engine.ReceiptForm{engine.ReceiptKantara, engine.ReceiptISO, engine.RecordISO} {
			_, err := w.e.Receipt(ctx, self(id), engine.ReceiptRequest{Subject: id, Event: bare.Event, Form: form})
			wantError(t, err, abide.CodeConflict, "receipt_fields_missing")
			if !strings.Contains(err.Error(), "controller.address.street") {
				t.Errorf("%v does not name what is missing", err)
			}
		}
		w.publish(edit(t, reachable(t)...))
		// What the policy of that day did not say of the controller, today's does.
		w.receipt(self(id), id, bare.Event, engine.ReceiptKantara)
		given, gone := w.consent(id, "renew"), w.consent(id, "withdraw")
		for _, form := range engine.ReceiptForms() {
			if v := w.receipt(self(id), id, given.Event, form); v.Proved || v.Log != nil || v.Receipt.ID != given.ID {
				t.Errorf("%s before the log has it: %+v", form, v)
			}
		}
		must(t, seq.Step(ctx))
		for _, form := range engine.ReceiptForms() {
			raw, v := w.document(self(id), id, given.Event, form)
			if !v.Proved || v.Log == nil || v.Log.Part.N != given.LogEntry || v.Log.Part.Digest == "" {
				t.Errorf("%s: %+v", form, v.Log)
			}
			var doc map[string]any
			must(t, json.Unmarshal(raw, &doc))
			switch form {
			case engine.ReceiptKantara:
				wantKantara(t, doc, given, id)
			case engine.ReceiptISO:
				wantISO(t, doc["dpv:hasRecordOfActivity"].(map[string]any), "dpv:RenewedConsentGiven")
			case engine.RecordISO:
				wantISO(t, doc, "dpv:RenewedConsentGiven")
			}
		}
		_, err := w.e.Receipt(ctx, self(id), engine.ReceiptRequest{Subject: id, Event: gone.Event, Form: engine.ReceiptKantara})
		wantError(t, err, abide.CodeConflict, "not_a_consent")
		raw, _ := w.document(self(id), id, gone.Event, engine.RecordISO)
		var doc map[string]any
		must(t, json.Unmarshal(raw, &doc))
		wantISO(t, doc, "dpv:ConsentWithdrawn")
		_, err = w.e.Receipt(ctx, self(id), engine.ReceiptRequest{Subject: id, Event: given.Event, Form: "pdf"})
		wantError(t, err, abide.CodeInvalid, "unknown_form")

		// Whoever has another key, or none of the log, is told.
		k := w.trusted()
		_, err = audit.VerifyDocument(raw, audit.DocumentKeys{Log: k.Log})
		wantFault(t, err, audit.DocumentKey)
		v, err := audit.VerifyDocument(raw, audit.DocumentKeys{Signing: k.Signing})
		must(t, err)
		if !v.Proved || v.Log != nil {
			t.Errorf("a proof that nobody looked at: %+v", v)
		}
	})
}

func wantFault(t *testing.T, err error, code audit.FaultCode) {
	t.Helper()
	if !errors.Is(err, &audit.Fault{Code: code}) {
		t.Errorf("%v, want %s", err, code)
	}
}

// wantKantara checks the fields of Consent Receipt 1.1.0, section 4, and what is
// in them.
func wantKantara(t *testing.T, doc map[string]any, r engine.Receipt, id abide.SubjectID) {
	t.Helper()
	if doc["version"] != "KI-CR-v1.1.0" || doc["jurisdiction"] != "DE" || doc["consentTimestamp"] != float64(r.At.Unix()) ||
		doc["consentReceiptID"] != r.ID || doc["piiPrincipalId"] != id.String() || doc["policyUrl"] != "https://example.test/policy" ||
		doc["language"] != "en" || doc["sensitive"] != true || doc["collectionMethod"] != "form, recorded by an application" {
		t.Errorf("the head of the receipt: %v", doc)
	}
	got, _ := json.Marshal(map[string]any{"controllers": doc["piiControllers"], "services": doc["services"], "spi": doc["spiCat"]})
	const want = `{"controllers":[{"address":{"addressCountry":"Hong Kong","addressLocality":"Central","streetAddress":"1 Quay"},` +
		`"contact":"Privacy desk","email":"privacy@example.test","onBehalf":false,"phone":"+852 2123 4567","piiController":"Example Ltd","piiControllerUrl":"https://example.test"}],` +
		`"services":[{"purposes":[{"consentType":"EXPLICIT","piiCategory":["name","e-mail address","orders","taste profile"],"primaryPurpose":false,` +
		`"purpose":"Newsletter","purposeCategory":["https://w3id.org/dpv#DirectMarketing"],"termination":"until the consent ends","thirdPartyDisclosure":false}],` +
		`"service":"Example Ltd"}],"spi":["taste profile"]}`
	if string(got) != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// wantISO checks that a record has every field that TS 27560 makes mandatory.
func wantISO(t *testing.T, rec map[string]any, status string) {
	t.Helper()
	at := func(path ...string) any {
		var v any = rec
		for _, p := range path {
			for {
				list, ok := v.([]any)
				if !ok || len(list) == 0 {
					break
				}
				v = list[0]
			}
			m, ok := v.(map[string]any)
			if !ok {
				return nil
			}
			v = m[p]
		}
		return v
	}
	for name, v := range map[string]any{
		"schema version": at("dct:conformsTo"), "record id": at("dct:identifier"), "principal": at("dpv:hasDataSubject", "dct:identifier"),
		"notice": at("dpv:hasNotice", "@id"), "language": at("dpv:hasNotice", "dct:language"), "purpose": at("dpv:hasProcess", "dpv:hasPurpose", "dct:title"),
		"data": at("dpv:hasProcess", "dpv:hasPersonalData", "skos:broader", "@id"), "controller": at("dpv:hasDataController", "@id"),
		"location": at("dpv:hasProcess", "dpv:hasStorageCondition", "dpv:hasLocation", "@id"), "recipient": at("dpv:hasProcess", "dpv:hasRecipient", "@id"),
		"withdrawal": at("dpv:hasConsentControl", "dpv:isExercisedAt"), "jurisdiction": at("dpv:hasJurisdiction", "@id"), "right": at("dpv:hasRight", "dpv:isExercisedAt"),
		"party id": at("dpv:hasEntity", "dpv:hasIdentifier"), "party name": at("dpv:hasEntity", "dpv:hasName"), "party role": at("dpv:hasEntity", "@type"),
		"party contact": at("dpv:hasEntity", "schema:contactPoint", "schema:email"), "party address": at("dpv:hasEntity", "schema:address", "schema:streetAddress"),
		"event time": at("dpv:hasConsentStatus", "dpv:isIndicatedAtTime"), "event duration": at("dpv:hasConsentStatus", "dpv:hasDuration", "rdf:value"),
		"event entity": at("dpv:hasConsentStatus", "dpv:isIndicatedBy", "@id"),
	} {
		if v == nil || v == "" {
			t.Errorf("the record has no %s", name)
		}
	}
	types, _ := at("dpv:hasConsentStatus", "@type").([]any)
	if !slices.Contains(types, any(status)) || !slices.Contains(types, any("eu-gdpr:A9-2-a")) {
		t.Errorf("the event is %v, want %s, and explicit for data of a special category", types, status)
	}
	if rec["dct:conformsTo"] != "https://w3id.org/dpv/schema/dpv-27560#record-eu-gdpr" {
		t.Errorf("the profile is %v", rec["dct:conformsTo"])
	}
}

// TestCertificatesAreProved: the certificates of an erasure and of a disclosure
// verify, with the log's entry, after the person is gone.
func TestCertificatesAreProved(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		w.publish(edit(t, reachable(t)...))
		must(t, w.e.PutRegister(ctx, admin, "members", "dispatch", []byte(`{"class":"couriers"}`)))
		must(t, w.e.PutRegister(ctx, admin, "contracts", "c1", []byte(`{"recipient":"dispatch","signed":"2025-01-01T00:00:00Z","covers":["HK"]}`)))
		id := w.person(engine.NewSubject{})
		w.collect(id, "shop", items{"person.name": "Ann", "person.email": "ann@example.test"})
		got, err := w.e.ReadData(ctx, app, engine.Read{Subject: id, Purpose: "provide", Act: abide.ActDisclose, Recipient: "dispatch", Categories: []abide.Category{"person.name"}})
		must(t, err)
		look, err := w.read(app, id, "provide", "person.email")
		must(t, err)
		seq := w.sequencer()
		must(t, seq.Step(ctx))
		disclosed, err := w.e.DisclosureCertificate(ctx, self(id), id, got.Receipt)
		must(t, err)
		d, err := audit.VerifyDocument(disclosed, w.trusted())
		must(t, err)
		if d.Log == nil || d.Disclosure.Recipient != "dispatch" || d.Disclosure.Subject != id || len(d.Disclosure.Items) != 1 {
			t.Errorf("%+v", d)
		}
		if bytes.Contains(disclosed, []byte("Ann")) {
			t.Error("the certificate holds a value")
		}
		_, err = w.e.DisclosureCertificate(ctx, self(id), id, look.Receipt)
		wantError(t, err, abide.CodeConflict, "not_a_disclosure")
		_, err = w.e.ProvedCertificate(ctx, self(id), id)
		wantError(t, err, abide.CodeNotFound, "not_erased")

		_, err = w.e.Erase(ctx, self(id), id)
		must(t, err)
		cert, err := w.e.ProvedCertificate(ctx, self(id), id)
		must(t, err)
		v, err := audit.VerifyDocument(cert, w.trusted())
		must(t, err)
		if v.Proved {
			t.Error("a proof of what is in no log")
		}
		must(t, seq.Step(ctx))
		cert, err = w.e.ProvedCertificate(ctx, self(id), id)
		must(t, err)
		if v, err = audit.VerifyDocument(cert, w.trusted()); err != nil || v.Log == nil || v.Log.Envelope.Kind != audit.Erased || v.Certificate.Counts["person.name"] != 1 {
			t.Errorf("%v: %+v", err, v)
		}
		if _, err := audit.VerifyDocument(disclosed, w.trusted()); err != nil {
			t.Errorf("what the person kept verifies no more: %v", err)
		}
	})
}

// TestTamperedReceipts: a document in any form of which one byte was changed is
// refused, whichever it is and however it was changed.
func TestTamperedReceipts(t *testing.T) {
	w := newWorld(t, backends["sqlite"](t))
	w.publish(edit(t, reachable(t)...))
	id := w.person(engine.NewSubject{Jurisdiction: "DE"})
	r := w.consent(id, "give")
	must(t, w.sequencer().Step(t.Context()))
	k, every := w.trusted(), 13
	if os.Getenv("ABIDE_PROOF") != "" {
		every = 1
	}
	for n, form := range engine.ReceiptForms() {
		raw, _ := w.document(self(id), id, r.Event, form)
		for i := n; i < len(raw); i += every {
			changed := bytes.Clone(raw)
			changed[i] ^= 1 << (i % 8)
			if _, err := audit.VerifyDocument(changed, k); err == nil {
				t.Fatalf("%s: byte %d was %q, is %q, and verifies", form, i, raw[i], changed[i])
			}
			if cut := raw[:i]; i%64 < every {
				if _, err := audit.VerifyDocument(cut, k); err == nil {
					t.Fatalf("%s: cut to %d bytes, it verifies", form, i)
				}
			}
		}
	}
}
