package receipts

import (
	"slices"
	"strings"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
)

// Record returns the event as a consent record of ISO/IEC TS 27560 in the form
// of the DPV guide (https://w3id.org/dpv/guides/consent-27560); of the EU
// profile if the jurisdiction lies in the EU or EEA.
func (s *Source) Record() (map[string]any, error) {
	rec, err := s.record()
	if err != nil {
		return nil, err
	}
	rec["@context"] = s.context()
	return rec, nil
}

// ReceiptOf returns a consent receipt of the same, which wraps the record.
func (s *Source) ReceiptOf() (map[string]any, error) {
	rec, err := s.record()
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"@context":                s.context(),
		"@id":                     urn(s.Receipt.ID),
		"@type":                   "dpv:ConsentReceipt",
		"dct:identifier":          s.Receipt.ID,
		"dpv:hasIdentifier":       s.Receipt.ID,
		"dct:conformsTo":          s.profile("receipt"),
		"dct:created":             s.Created.UTC().Format(time.RFC3339),
		"dct:publisher":           id(s.controllerID()),
		"schema:recipient":        id(urn(s.Receipt.Subject.String())),
		"dpv:hasRecordOfActivity": rec,
	}, nil
}

func (s *Source) context() map[string]any {
	return map[string]any{
		"dpv": "https://w3id.org/dpv#", "pd": "https://w3id.org/dpv/pd#", "loc": "https://w3id.org/dpv/loc#",
		"eu-gdpr": "https://w3id.org/dpv/legal/eu/gdpr#", "legal-eu": "https://w3id.org/dpv/legal/eu#",
		"dct": "http://purl.org/dc/terms/", "skos": "http://www.w3.org/2004/02/skos/core#",
		"rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#", "schema": "https://schema.org/",
		"dct:conformsTo":    map[string]any{"@type": "@id"},
		"dpv:isExercisedAt": map[string]any{"@type": "@id"},
		"schema:url":        map[string]any{"@type": "@id"},
		"abide":             audit.Context(),
	}
}

// europe reports whether the profile of the EU applies.
func (s *Source) europe() bool {
	return slices.Contains(s.Places, "EU") || slices.Contains(s.Places, "EEA")
}

func (s *Source) profile(of string) string {
	if s.europe() {
		of += "-eu-gdpr"
	}
	return audit.FormDPV + of
}

func urn(uuid string) string { return "urn:uuid:" + uuid }

// id refers to something by its IRI.
func id(iri string) map[string]any { return map[string]any{"@id": iri} }

// controllerID names the controller within the document: by its page, if it has
// one.
func (s *Source) controllerID() string { return or(s.controller().URL, "#controller") }

// status is what an event is in the vocabulary, and the type of consent.
func (s *Source) status() (status string, types []string, ok bool) {
	r := s.Receipt
	status = map[abide.ConsentAction]string{abide.ConsentAsked: "ConsentRequested", abide.ConsentGiven: "ConsentGiven",
		abide.ConsentIndicated: "ConsentGiven", abide.ConsentRenewed: "RenewedConsentGiven", abide.ConsentRefused: "ConsentRefused",
		abide.ConsentWithdrawn: "ConsentWithdrawn", abide.ConsentExpired: "ConsentExpired"}[r.Action]
	switch {
	case status == "":
		return "", nil, false
	case r.Grade != abide.GradeProved: // imported: what was shown is not proved
		types = []string{"dpv:Consent"}
	case r.Action == abide.ConsentIndicated:
		types = []string{"dpv:InformedConsent"}
	case r.Separate:
		types = []string{"dpv:ExplicitlyExpressedConsent"}
	default:
		types = []string{"dpv:ExpressedConsent"}
	}
	if s.europe() {
		if s.special() {
			types = append(types, "eu-gdpr:A9-2-a")
		} else {
			types = append(types, "eu-gdpr:A6-1-a")
		}
	}
	return "dpv:" + status, types, true
}

func (s *Source) record() (map[string]any, error) {
	const form = "ISO/IEC TS 27560"
	r, c := s.Receipt, s.controller()
	_, basis, ok := s.status()
	if !ok {
		return nil, notConsent(form)
	}
	jurisdiction := string(r.Jurisdiction)
	if len(s.Places) > 0 {
		jurisdiction = string(s.Places[0])
	}
	if lacks := lacking("controller.name", c.Name, "controller.address.street", c.Address.Street, "controller.address.country", c.Address.Country,
		"controller.email", c.Email, "stored_in", strings.Join(c.storedIn, ","), "notice_at", c.notice, "rights_at", c.rights,
		"jurisdiction", jurisdiction, "terms", string(first(s.data()))); len(lacks) > 0 {
		return nil, missing(form, lacks)
	}
	rec := map[string]any{
		"@id": urn(audit.RecordID(r.ID)), "@type": "dpv:ConsentRecord",
		"dct:identifier": audit.RecordID(r.ID), "dpv:hasIdentifier": audit.RecordID(r.ID),
		"dct:conformsTo": s.profile("record"), "dct:created": r.At.UTC().Format(time.RFC3339Nano),
		"dpv:hasDataSubject":    map[string]any{"@id": urn(r.Subject.String()), "@type": "dpv:DataSubject", "dct:identifier": r.Subject.String()},
		"dpv:hasDataController": id(s.controllerID()),
		"dpv:hasJurisdiction":   id("loc:" + jurisdiction),
		"dpv:hasLegalBasis":     ids(basis),
		"dpv:hasNotice":         s.notice(c),
		"dpv:hasProcess":        s.process(c, basis),
		"dpv:hasConsentControl": map[string]any{"@type": []string{"dpv:ProvideConsent", "dpv:WithdrawConsent"}, "dpv:isExercisedAt": c.rights},
		"dpv:hasRight":          s.rights(c),
		"dpv:hasConsentStatus":  []any{s.event()},
		"dpv:hasEntity":         s.entities(c),
	}
	if s.europe() {
		rec["dpv:hasApplicableLaw"] = id("legal-eu:law-GDPR")
	}
	if r.Cites != "" {
		rec["dct:replaces"] = id(urn(audit.RecordID(r.Cites)))
	}
	return rec, nil
}

func ids(terms []string) []any {
	out := make([]any, len(terms))
	for i, t := range terms {
		out[i] = id(t)
	}
	return out
}

// notice is what the person was shown: the page, and the hash of the exact
// wording, by which it is found in the ledger.
func (s *Source) notice(c party) map[string]any {
	n := map[string]any{"@id": c.notice, "@type": "dpv:ConsentNotice", "dct:language": s.language(), "dct:hasVersion": s.Receipt.Policy}
	if h := s.Receipt.WordingHash; h != "" {
		n["dct:identifier"] = "sha256:" + strings.TrimPrefix(h, "sha256:")
	}
	return n
}

func (s *Source) process(c party, basis []string) map[string]any {
	title, term := s.purpose()
	purpose := map[string]any{"@type": "dpv:Purpose", "dct:identifier": string(s.Receipt.Purpose), "dct:title": title, "skos:broader": id("dpv:" + term)}
	out := map[string]any{
		"@type": "dpv:Process", "dpv:hasPurpose": purpose, "dpv:hasPersonalData": s.personalData(), "dpv:hasLegalBasis": ids(basis),
		"dpv:hasStorageCondition": s.storage(c), "dpv:hasDataController": id(s.controllerID()), "dpv:hasRecipient": s.receivers(),
	}
	var services []any
	for _, v := range s.services() {
		services = append(services, map[string]any{"@type": "dpv:Service", "dct:identifier": v.name, "dct:title": v.title})
	}
	if services != nil {
		out["dpv:hasService"] = services
	}
	return out
}

func (s *Source) personalData() []any {
	out := []any{}
	for _, name := range s.data() {
		words, t := s.category(name)
		kind, broader := "dpv:PersonalData", "dpv:PersonalData"
		if t.Name != "" {
			broader = "pd:" + t.Name
		}
		if t.Special {
			kind = "dpv:SpecialCategoryPersonalData"
		} else if t.Sensitive {
			kind = "dpv:SensitivePersonalData"
		}
		out = append(out, map[string]any{"@type": kind, "skos:broader": id(broader), "dct:identifier": string(name), "dct:title": words})
	}
	return out
}

func (s *Source) storage(c party) []any {
	var at []any
	for _, place := range c.storedIn {
		at = append(at, id("loc:"+place))
	}
	out := []any{map[string]any{"@type": "dpv:StorageLocation", "dpv:hasLocation": at}}
	for _, d := range s.deadlines() {
		duration := map[string]any{"@type": "dpv:UntilEventDuration", "rdf:value": d.event()}
		if d.anchor == "obtained" && d.iso() != "" {
			duration = map[string]any{"@type": "dpv:TemporalDuration", "rdf:value": d.iso()}
		}
		out = append(out, map[string]any{"@type": "dpv:StorageDuration", "dpv:hasDuration": duration})
	}
	return out
}

// receivers are those that receive the data: who the terms name, or the
// controller alone.
func (s *Source) receivers() []any {
	var out []any
	for _, r := range s.recipients() {
		out = append(out, id("#recipient-"+r.name))
	}
	if out == nil {
		out = append(out, id(s.controllerID()))
	}
	return out
}

// gdprRights are those that the EU profile lists.
var gdprRights = []struct{ term, title string }{
	{"A7-3", "Right to withdraw consent"}, {"A13", "Right to be informed"}, {"A15", "Right of access"}, {"A16", "Right to rectification"},
	{"A17", "Right to erasure"}, {"A18", "Right to restrict processing"}, {"A20", "Right to data portability"},
	{"A77", "Right to complain to a supervisory authority"},
}

func (s *Source) rights(c party) []any {
	if !s.europe() {
		return []any{map[string]any{"@type": "dpv:DataSubjectRight", "dct:title": "Right to withdraw consent", "dpv:isExercisedAt": c.rights}}
	}
	var out []any
	for _, r := range gdprRights {
		out = append(out, map[string]any{"@type": []string{"dpv:DataSubjectRight", "eu-gdpr:" + r.term}, "dct:title": r.title, "dpv:isExercisedAt": c.rights})
	}
	return out
}

func (s *Source) event() map[string]any {
	r := s.Receipt
	status, types, _ := s.status()
	by := id(urn(r.Subject.String()))
	if r.Actor.Kind == abide.ActorGuardian {
		by = map[string]any{"@type": "dpv:GuardianOfDataSubject"}
	} else if r.Action == abide.ConsentAsked {
		by = id(s.controllerID())
	}
	lasts := map[string]any{"@type": "dpv:UntilEventDuration", "rdf:value": "the consent is withdrawn"}
	if end := s.ends(); !end.IsZero() {
		lasts = map[string]any{"@type": "dpv:UntilTimeDuration", "rdf:value": end.UTC().Format(time.RFC3339Nano)}
	}
	return map[string]any{"@type": append([]string{status}, types...), "dpv:isIndicatedBy": by,
		"dpv:isIndicatedAtTime": r.At.UTC().Format(time.RFC3339Nano), "dpv:hasDuration": lasts, "dpv:hasIndicationMethod": s.method()}
}

// entities describe the parties. A class of recipients has no address of its
// own: the controller answers for it.
func (s *Source) entities(c party) []any {
	r := s.Receipt
	contact := map[string]any{"@type": "schema:ContactPoint", "schema:email": c.Email}
	for name, v := range map[string]string{"schema:contactType": c.Contact, "schema:telephone": c.Phone} {
		if v != "" {
			contact[name] = v
		}
	}
	address := map[string]any{"@type": "schema:PostalAddress"}
	for name, part := range postal(c) {
		address["schema:"+name] = part
	}
	reach := func(e map[string]any) map[string]any {
		e["schema:contactPoint"], e["schema:address"] = contact, address
		return e
	}
	controller := reach(map[string]any{"@id": s.controllerID(), "@type": "dpv:DataController", "dpv:hasIdentifier": s.controllerID(), "dpv:hasName": c.Name})
	if c.URL != "" {
		controller["schema:url"] = c.URL
	}
	out := []any{controller, map[string]any{"@id": urn(r.Subject.String()), "@type": "dpv:DataSubject",
		"dpv:hasIdentifier": urn(r.Subject.String()), "dct:identifier": r.Subject.String()}}
	for _, v := range s.recipients() {
		role := "dpv:ThirdParty"
		switch v.class {
		case "processor":
			role = "dpv:DataProcessor"
		case "authority":
			role = "dpv:Authority"
		}
		out = append(out, reach(map[string]any{"@id": "#recipient-" + v.name, "@type": []string{"dpv:Recipient", role},
			"dpv:hasIdentifier": "#recipient-" + v.name, "dct:identifier": v.name, "dpv:hasName": v.title}))
	}
	return out
}
