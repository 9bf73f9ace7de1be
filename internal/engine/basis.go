package engine

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/policy"
)

// What a decision was judged by is either in the log already or recorded with
// it, sealed for the person: so that Explain can make the decision again years
// later, and say where the record differs. A change records what it made of the
// person's facts; a decision records which version of them it judged.

// basis is what a decision is judged by besides the facts of a state, the
// policy of the envelope, and what the part says.
func (e *Engine) basis(s *subject, req *policy.Request, reg *policy.Register, purposes ...abide.Purpose) *audit.Judged {
	j := &audit.Judged{At: req.At.UTC(), State: s.row.Version, Approvals: uint64(max(0, req.Approvals)), ForValue: req.ForValue,
		Gap: s.facts.RestoredGap, Laws: e.lawsDigest}
	if len(purposes) == 0 {
		purposes = []abide.Purpose{req.Purpose}
	}
	if len(purposes) != 1 || purposes[0] != req.Purpose {
		j.Purposes = purposes
	}
	for _, p := range purposes {
		if slices.Contains(req.Actor.Purposes, p) {
			j.Carries = append(j.Carries, p)
		}
	}
	if s.force != nil {
		j.Register = concerned(s.policy(), reg, req).encode()
	}
	return j
}

// candidate is a stored item that a request would touch.
type candidate struct {
	fact policy.ItemFact
	gone bool // what it was derived from is held no more
}

func judgedItems(list []candidate) []audit.JudgedItem {
	out := make([]audit.JudgedItem, len(list))
	for i, c := range list {
		f := &c.fact
		out[i] = audit.JudgedItem{Category: f.Category, Obtained: f.Obtained.UTC(), Ref: f.Ref, Derived: f.Purposes != nil,
			Purposes: f.Purposes, Law: f.Law, Gone: c.gone}
		if f.Obtained.IsZero() {
			out[i].Obtained = f.Obtained
		}
	}
	return out
}

func candidates(list []audit.JudgedItem) []candidate {
	out := make([]candidate, len(list))
	for i := range list {
		it := &list[i]
		out[i] = candidate{gone: it.Gone, fact: policy.ItemFact{Category: it.Category, Obtained: it.Obtained, Ref: it.Ref, Law: it.Law}}
		if it.Derived {
			out[i].fact.Purposes = append([]abide.Purpose{}, it.Purposes...)
		}
	}
	return out
}

// registerPart is what the registers say that can bear on one decision.
type registerPart struct {
	Members   []MemberView   `json:"members,omitempty"`
	Contracts []ContractView `json:"contracts,omitempty"`
	Staff     []StaffView    `json:"staff,omitempty"`
	Reviews   []ReviewView   `json:"reviews,omitempty"`
}

// concerned picks what the registers say of the recipient, of the member of
// staff who asks, and of the reviews that close a level of the policy.
func concerned(p *policy.Policy, reg *policy.Register, req *policy.Request) registerPart {
	var out registerPart
	if reg == nil {
		return out
	}
	for _, m := range reg.Members {
		if req.Recipient != "" && m.Name == req.Recipient {
			out.Members = append(out.Members, MemberView(m))
		}
	}
	for _, k := range reg.Contracts {
		if req.Recipient != "" && k.Recipient == req.Recipient {
			out.Contracts = append(out.Contracts, ContractView{Recipient: k.Recipient, Signed: k.Signed, Ends: k.Ends, Covers: k.Covers})
		}
	}
	for _, s := range reg.Staff {
		if req.Actor.Kind == abide.ActorStaff && s.Name == req.Actor.Name {
			out.Staff = append(out.Staff, StaffView(s))
		}
	}
	for _, closing := range p.Set().Reviews {
		for _, r := range reg.Reviews {
			if closing.Closes != nil && r.Name == closing.Name {
				out.Reviews = append(out.Reviews, ReviewView(r))
			}
		}
	}
	return out
}

// encode returns nil of what is empty.
func (r registerPart) encode() json.RawMessage {
	raw, err := json.Marshal(r)
	if err != nil || string(raw) == "{}" {
		return nil // times of a register are those that were parsed, and always encode
	}
	return raw
}

func (r registerPart) register() *policy.Register {
	var reg policy.Register
	for _, m := range r.Members {
		reg.Members = append(reg.Members, policy.Member(m))
	}
	for _, k := range r.Contracts {
		reg.Contracts = append(reg.Contracts, policy.ContractFact{Recipient: k.Recipient, Signed: k.Signed, Ends: k.Ends, Covers: k.Covers})
	}
	for _, s := range r.Staff {
		reg.Staff = append(reg.Staff, policy.StaffFact(s))
	}
	for _, v := range r.Reviews {
		reg.Reviews = append(reg.Reviews, policy.ReviewFact(v))
	}
	return &reg
}

// digestOfLaws tells one set of law profiles from another.
func digestOfLaws(l *policy.Laws) string {
	if l == nil {
		return ""
	}
	h := sha256.New()
	enc := json.NewEncoder(h)
	for _, place := range l.Places() {
		p, _ := l.Profile(place)
		if enc.Encode(p) != nil {
			return "" // profiles are texts and lists of them, and always encode
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// Names of what factsChanged records besides the fields of policy.Facts.
const (
	factLedger    = "ledger"     // events of the ledger of consent, if no entry names the last one
	factAllEvents = "all_events" // in the place of all that were known
)

// ledgerEvents is the number of the ledger's last event if none of the entries
// says it.
func (ch *change) ledgerEvents() uint64 {
	if len(ch.Consents) == 0 {
		return 0
	}
	for i := range ch.entries {
		if ch.entries[i].part.Consent == ch.Row.ConsentN {
			return 0
		}
	}
	return ch.Row.ConsentN
}

// factsChanged is what a change made of the facts, nil if nothing: field by
// field, null for what is known no longer, and of events those that are new. It
// goes by the names of the fields, so that none that is added is forgotten.
func factsChanged(was, now *policy.Facts, ledger uint64) (json.RawMessage, error) {
	a, err := factFields(was)
	if err != nil {
		return nil, err
	}
	b, err := factFields(now)
	if err != nil {
		return nil, err
	}
	changed := map[string]json.RawMessage{}
	for name, v := range b {
		if !bytes.Equal(a[name], v) {
			changed[name] = v
		}
	}
	for name := range a {
		if b[name] == nil {
			changed[name] = json.RawMessage("null")
		}
	}
	if err := eventsChanged(changed, was.Events, now.Events); err != nil {
		return nil, err
	}
	if ledger > 0 {
		if changed[factLedger], err = json.Marshal(ledger); err != nil {
			return nil, err
		}
	}
	if len(changed) == 0 {
		return nil, nil
	}
	return json.Marshal(changed)
}

// factFields are the facts that the log records by field: not those that the
// ledger, the row or the store itself tells.
func factFields(f *policy.Facts) (map[string]json.RawMessage, error) {
	own := *f
	own.Consents, own.Accepted, own.Events, own.RestoredGap, own.Status = nil, nil, nil, false, ""
	raw, err := json.Marshal(own)
	if err != nil {
		return nil, err
	}
	var fields map[string]json.RawMessage
	err = json.Unmarshal(raw, &fields)
	delete(fields, "status")
	return fields, err
}

func eventsChanged(changed map[string]json.RawMessage, was, now []policy.Event) (err error) {
	var fresh []policy.Event
	for _, ev := range now {
		if !slices.ContainsFunc(was, func(old policy.Event) bool { return sameEvent(old, ev) }) {
			fresh = append(fresh, ev)
		}
	}
	switch {
	case !slices.EqualFunc(putEvents(was, fresh), now, sameEvent):
		changed[factAllEvents], err = json.Marshal(now)
	case len(fresh) > 0:
		changed["events"], err = json.Marshal(fresh)
	}
	return err
}

func sameEvent(a, b policy.Event) bool {
	return a.Anchor == b.Anchor && a.Ref == b.Ref && a.At.Equal(b.At)
}

// putEvents returns the events with others in, each in the place of what was
// known of it.
func putEvents(list, fresh []policy.Event) []policy.Event {
	list = slices.Clone(list)
	for _, ev := range fresh {
		list = slices.DeleteFunc(list, func(old policy.Event) bool { return old.Anchor == ev.Anchor && old.Ref == ev.Ref })
		list = append(list, ev)
	}
	return list
}

// applyFacts is the inverse of factsChanged.
func applyFacts(f *policy.Facts, raw json.RawMessage) (ledger uint64, err error) {
	if len(raw) == 0 {
		return 0, nil
	}
	var changed map[string]json.RawMessage
	if err := json.Unmarshal(raw, &changed); err != nil {
		return 0, err
	}
	fields, err := factFields(f)
	if err != nil {
		return 0, err
	}
	events := f.Events
	for name, v := range changed {
		switch name {
		case factLedger:
			err = json.Unmarshal(v, &ledger)
		case "events":
			var fresh []policy.Event
			if err = json.Unmarshal(v, &fresh); err == nil {
				events = putEvents(events, fresh)
			}
		case factAllEvents:
			events = nil
			err = json.Unmarshal(v, &events)
		default:
			fields[name] = v
		}
		if err != nil {
			return 0, err
		}
	}
	whole, err := json.Marshal(fields)
	if err != nil {
		return 0, err
	}
	var next policy.Facts
	if err := strictJSON(whole, &next); err != nil {
		return 0, err
	}
	next.Consents, next.Accepted, next.Events = f.Consents, f.Accepted, events
	*f = next
	return ledger, nil
}
