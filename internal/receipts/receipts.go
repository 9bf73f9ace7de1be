// Package receipts writes receipts of consent in the published forms: ISO/IEC
// TS 27560 in the Data Privacy Vocabulary (JSON-LD), and the Kantara
// Initiative's consent receipt 1.1. It is pure: the signed receipt, the policy
// under which it was given, the terms agreed to. docs/receipts.md says where
// each field comes from.
package receipts

import (
	"slices"
	"strings"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/policy"
	"github.com/abide-privacy/abide/policy/dpv"
	"github.com/abide-privacy/abide/policy/rule"
)

// Source is what a receipt is written from.
type Source struct {
	Receipt *audit.Receipt
	// Then is the policy under which it was given, Now the one in force: what the
	// first does not say of the controller, the second may.
	Then, Now *policy.Policy
	Terms     *policy.Terms // agreed to
	Places    []abide.Place // in which the jurisdiction lies, itself first
	Notice    string        // where the policy is published, unless it says so itself
	PublicKey string        // that verifies it, base64
	Created   time.Time     // of the document
}

// party is what the policies say of the controller.
type party struct {
	rule.Party
	notice, rights string
	storedIn       []string
}

// controller gathers what the policy then and, where that is silent, the policy
// now says of who answers for the purpose.
func (s *Source) controller() party {
	out := party{Party: rule.Party{Name: s.Receipt.Controller}}
	for _, p := range []*policy.Policy{s.Then, s.Now} {
		if p == nil {
			continue
		}
		d := document(p, s.Receipt.Purpose)
		if d == nil {
			continue
		}
		if d.Party != nil && out.Email == "" && out.Address == (rule.Address{}) {
			out.Party = *d.Party
		}
		out.notice, out.rights = or(out.notice, d.NoticeAt), or(out.rights, d.RightsAt)
		if len(out.storedIn) == 0 {
			for _, r := range d.StoredIn {
				out.storedIn = append(out.storedIn, r.Name)
			}
		}
	}
	out.notice = or(out.notice, s.Notice)
	return out
}

// document is the one that a purpose stands in, or the first that says who the
// controller is.
func document(p *policy.Policy, purpose abide.Purpose) *rule.Document {
	var first *rule.Document
	name := abide.DocumentName("")
	if pu, ok := p.Purpose(purpose); ok {
		name = pu.Document
	}
	for _, d := range p.Set().Documents {
		if d.Name == name && d.Party != nil {
			return d
		}
		if first == nil && d.Party != nil {
			first = d
		}
	}
	return first
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// missing is the error for what no policy says and the form demands.
func missing(form string, fields []string) error {
	return &abide.Error{Code: abide.CodeConflict, Detail: "receipt_fields_missing",
		Message: "the policy does not say what " + form + " demands: " + strings.Join(fields, ", "),
		Hint:    "say it in the document block: controller = { name, address = { street, city, country }, contact, email, phone }, stored_in, notice_at, rights_at"}
}

// lacking lists what the policy does not say, by the names it would say it by.
func lacking(fields ...string) []string {
	var out []string
	for i := 0; i < len(fields); i += 2 {
		if fields[i+1] == "" {
			out = append(out, fields[i])
		}
	}
	return out
}

// notConsent is the error for events of the ledger that are no consent.
func notConsent(form string) error {
	return &abide.Error{Code: abide.CodeConflict, Detail: "not_a_consent",
		Message: "this event of the ledger is none that " + form + " has a form for",
		Hint:    "ask for the receipt in Abide's own form: leave format out"}
}

// data are the categories agreed to, each once, in the order of the terms.
func (s *Source) data() []abide.Category {
	var out []abide.Category
	for _, list := range [][]abide.Category{s.Terms.Contacts, s.Terms.Uses, s.Terms.ChosenBy} {
		for _, c := range list {
			if !slices.Contains(out, c) {
				out = append(out, c)
			}
		}
	}
	return out
}

func first(c []abide.Category) abide.Category {
	if len(c) == 0 {
		return ""
	}
	return c[0]
}

// category is what the policy says of a category: the words for it, and its
// term in the vocabulary.
func (s *Source) category(name abide.Category) (words string, term dpv.Term) {
	words = strings.ReplaceAll(string(name), ".", " ")
	for _, p := range []*policy.Policy{s.Then, s.Now} {
		if p == nil {
			continue
		}
		c, ok := p.Category(name)
		if !ok {
			continue
		}
		if len(c.Words) > 0 {
			words = c.Words[0]
		}
		called := or(c.Rule.DPV, byFormat[c.Format])
		if t, ok := dpv.Data(called); ok {
			return words, t
		}
		return words, dpv.Term{}
	}
	return words, dpv.Term{}
}

// byFormat is the term for data whose format says what it is.
var byFormat = map[string]string{"email": "EmailAddress", "phone": "TelephoneNumber", "address": "PhysicalAddress",
	"country": "Country", "ip": "IPAddress", "imei": "DeviceBased"}

// sensitive lists what of the data agreed to is sensitive.
func (s *Source) sensitive() []abide.Category {
	var out []abide.Category
	for _, c := range s.data() {
		if _, t := s.category(c); t.Sensitive {
			out = append(out, c)
		}
	}
	return out
}

// special reports whether any of it is of a special category (GDPR, Article 9).
func (s *Source) special() bool {
	return slices.ContainsFunc(s.data(), func(c abide.Category) bool {
		_, t := s.category(c)
		return t.Special
	})
}

// purpose returns the title of the purpose, and what the vocabulary calls it.
func (s *Source) purpose() (title, term string) {
	title, term = strings.ReplaceAll(string(s.Receipt.Purpose), "_", " "), "Purpose"
	if p, ok := s.Then.Purpose(s.Receipt.Purpose); ok {
		title = or(p.Title, title)
		switch {
		case p.Rule.DPV != "":
			term = p.Rule.DPV
		case p.Marketing:
			term = "Marketing"
		}
	}
	return title, term
}

// service is one that the purpose serves.
type service struct{ name, title string }

func (s *Source) services() []service {
	var out []service
	for _, v := range s.Then.Services() {
		if slices.Contains(v.Serves, s.Receipt.Purpose) {
			out = append(out, service{string(v.Name), or(v.Title, string(v.Name))})
		}
	}
	return out
}

// receiver is a recipient that the terms name.
type receiver struct {
	name, title, class string
	gets               []abide.Category
}

func (s *Source) recipients() []receiver {
	var out []receiver
	for _, r := range s.Terms.Recipients {
		v := receiver{name: string(r.Recipient), title: strings.ReplaceAll(string(r.Recipient), "_", " "), gets: r.Categories}
		if said, ok := s.Then.Recipient(r.Recipient); ok {
			v.title, v.class = or(said.Title, v.title), said.Class
		}
		out = append(out, v)
	}
	return out
}

// thirdParties are those that are not processors, which act for the controller.
func thirdParties(all []receiver) []receiver {
	return slices.DeleteFunc(slices.Clone(all), func(r receiver) bool { return r.class == "processor" })
}

// ends is when a yes ends by itself; zero if it does not.
func (s *Source) ends() time.Time {
	r := s.Receipt
	end := r.Expires
	if r.Action != abide.ConsentGiven && r.Action != abide.ConsentIndicated && r.Action != abide.ConsentRenewed {
		return end
	}
	lasts, ok := s.Then.ConsentEnds(r.Purpose, &policy.Facts{Residence: r.Jurisdiction}, r.At)
	if ok && (end.IsZero() || lasts.Before(end)) {
		end = lasts
	}
	return end
}

// language is that in which the person was asked, or that of the document.
func (s *Source) language() string {
	if s.Receipt.Language != "" {
		return s.Receipt.Language
	}
	if p, ok := s.Then.Purpose(s.Receipt.Purpose); ok {
		if d, ok := s.Then.Document(p.Document); ok && d.Language != "" {
			return d.Language
		}
	}
	return "en"
}

// method says how the consent was taken down.
func (s *Source) method() string {
	r := s.Receipt
	how := map[abide.ActorKind]string{abide.ActorSubject: "by the person", abide.ActorGuardian: "by the guardian",
		abide.ActorStaff: "by staff for the person", abide.ActorService: "by an application", abide.ActorSystem: "by the system"}[r.Actor.Kind]
	switch {
	case r.Signal != "":
		return "signal " + r.Signal + " of the person's browser"
	case r.Source != "":
		return r.Source + ", recorded " + how
	}
	return "recorded " + how
}
