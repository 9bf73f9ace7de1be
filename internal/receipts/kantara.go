package receipts

import (
	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
)

// Kantara returns the receipt in the form of the Kantara Initiative, Consent
// Receipt Specification 1.1.0, section 4. Only a yes has one: what the form
// calls a receipt is the record of an authority that was granted.
func (s *Source) Kantara() (map[string]any, error) {
	const form = "the Kantara consent receipt"
	r, c := s.Receipt, s.controller()
	how := "EXPLICIT"
	switch r.Action {
	case abide.ConsentGiven, abide.ConsentRenewed:
	case abide.ConsentIndicated:
		how = "after being told, the person indicated no objection"
	default:
		return nil, notConsent(form)
	}
	jurisdiction := or(string(r.Jurisdiction), c.Address.Country)
	if lacks := lacking("controller.name", c.Name, "controller.contact", c.Contact, "controller.address.street", c.Address.Street,
		"controller.address.country", c.Address.Country, "controller.email", c.Email, "controller.phone", c.Phone,
		"notice_at", c.notice, "jurisdiction", jurisdiction, "terms", string(first(s.data()))); len(lacks) > 0 {
		return nil, missing(form, lacks)
	}
	controller := map[string]any{"piiController": c.Name, "onBehalf": false, "contact": c.Contact, "address": postal(c), "email": c.Email, "phone": c.Phone}
	if c.URL != "" {
		controller["piiControllerUrl"] = c.URL
	}
	spi := []string{}
	for _, name := range s.sensitive() {
		words, _ := s.category(name)
		spi = append(spi, words)
	}
	return map[string]any{
		"version": audit.FormKantara, "jurisdiction": jurisdiction, "consentTimestamp": r.At.Unix(),
		"collectionMethod": s.method(), "consentReceiptID": r.ID, "publicKey": s.PublicKey, "language": s.language(),
		"piiPrincipalId": r.Subject.String(), "piiControllers": []any{controller}, "policyUrl": c.notice,
		"services": s.kantaraServices(c.Name, how), "sensitive": len(spi) > 0, "spiCat": spi,
	}, nil
}

// kantaraServices are the services that the purpose serves, each with the
// purpose; the controller's own name where it serves none.
func (s *Source) kantaraServices(controller, how string) []any {
	title, term := s.purpose()
	pii := []string{}
	for _, name := range s.data() {
		words, _ := s.category(name)
		pii = append(pii, words)
	}
	purpose := map[string]any{"purpose": title, "purposeCategory": []string{"https://w3id.org/dpv#" + term}, "consentType": how,
		"piiCategory": pii, "primaryPurpose": false, "termination": s.termination(), "thirdPartyDisclosure": false}
	third := thirdParties(s.recipients())
	if len(third) > 0 {
		name := ""
		for i, t := range third {
			if i > 0 {
				name += ", "
			}
			name += t.title
		}
		purpose["thirdPartyDisclosure"], purpose["thirdPartyName"] = true, name
	}
	var out []any
	for _, v := range s.services() {
		out = append(out, map[string]any{"service": v.title, "purposes": []any{purpose}})
	}
	if len(out) == 0 {
		out = append(out, map[string]any{"service": controller, "purposes": []any{purpose}})
	}
	return out
}

// postal is the address as schema.org names its parts.
func postal(c party) map[string]any {
	out := map[string]any{}
	for name, part := range map[string]string{"streetAddress": c.Address.Street, "addressLocality": c.Address.City,
		"addressRegion": c.Address.Region, "postalCode": c.Address.Postcode, "addressCountry": c.Address.Country} {
		if part != "" {
			out[name] = part
		}
	}
	return out
}
