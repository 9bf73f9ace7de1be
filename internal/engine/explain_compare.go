package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/policy"
)

// compare sets a decision on record beside the one that was made again.
func (x *explaining) compare(ctx context.Context, again *remade) (*Recorded, error) {
	rec := x.rec
	j, _ := rec.judged()
	out := &Recorded{Entry: rec.name, At: rec.env.At, Kind: string(rec.env.Kind), Asked: askedOf(again.request), Effect: rec.env.Effect,
		Reasons: rec.env.Reasons, Policy: rec.env.Policy, Remade: again.decision}
	out.Asked.Purpose, out.Asked.Actor = rec.env.Purpose, rec.env.Actor
	if j.AsOf {
		out.AsOf = j.At
	}
	late, err := x.policyDiffers(ctx, rec.env.Policy, j.At)
	if err != nil {
		return nil, err
	}
	if late != nil {
		out.Differences = append(out.Differences, *late)
	}
	if made := again.decision.Effect.String(); made != rec.env.Effect {
		out.Differences = append(out.Differences, Difference{What: "effect", Recorded: rec.env.Effect, Remade: made,
			Text: fmt.Sprintf("The record says %s; from log and ledger it comes out as %s.", rec.env.Effect, made)})
	}
	// Of data that was taken in, no grounds are on record.
	if rec.n == 0 || len(rec.env.Reasons) > 0 {
		out.Differences = append(out.Differences, reasonsDiffer(rec, again)...)
	}
	out.Agrees = len(out.Differences) == 0
	return out, nil
}

// policyDiffers reports whether the record names another policy than the one
// that the store has in force for that instant. One that came into force while
// it was decided, within what clocks may differ, is no difference.
func (x *explaining) policyDiffers(ctx context.Context, recorded string, at time.Time) (*Difference, error) {
	all, err := x.Policies(ctx)
	if err != nil {
		return nil, err
	}
	early, late := at.Add(-nodeSkew), at.Add(nodeSkew)
	then := ""
	if recorded == "" && (len(all) == 0 || all[0].Published.After(early)) {
		return nil, nil
	}
	for i, info := range all {
		ended := i+1 < len(all) && all[i+1].Published.Before(early)
		if info.Version == recorded && !ended && !info.Published.After(late) {
			return nil, nil
		}
		if !info.Published.After(at) {
			then = info.Version
		}
	}
	return &Difference{What: "policy", Recorded: recorded, Remade: then,
		Text: "The record names another version of the policy than the one that was in force at that time."}, nil
}

// reasonsDiffer lists the reasons that only one side has.
func reasonsDiffer(rec *recorded, again *remade) []Difference {
	var out []Difference
	left := slices.Clone(rec.env.Reasons)
	for i := range again.decision.Reasons {
		r := &again.decision.Reasons[i]
		g := audit.Ground{Code: r.Code, Clause: r.Clause, Category: r.Category}
		if at := slices.Index(left, g); at >= 0 {
			left = slices.Delete(left, at, at+1)
			continue
		}
		out = append(out, Difference{What: "reason", Remade: string(r.Code), Clause: r.Clause, Span: r.Span,
			Text: "From log and ledger comes a reason that the record lacks: " + r.Text + " " + again.fact(r.Code)})
	}
	for _, g := range left {
		d := Difference{What: "reason", Recorded: string(g.Code), Clause: g.Clause,
			Text: "The record gives a reason that does not come from log and ledger: " + string(g.Code) + about(g.Category) + ". " + again.fact(g.Code)}
		if again.policy != nil {
			d.Span, _ = again.policy.ClauseSpan(g.Clause)
		}
		out = append(out, d)
	}
	return out
}

func about(c abide.Category) string {
	if c == "" {
		return ""
	}
	return " for " + string(c)
}

// fact says in words the fact, as log and ledger have it, that decides whether a
// reason holds.
func (m *remade) fact(code abide.ReasonCode) string {
	f := &m.facts
	switch code {
	case abide.DenyErased:
		return "The person was not erased."
	case abide.DenyRestricted:
		return "Processing was " + not(f.Restricted) + "restricted by then."
	case abide.DenyHeldByLaw:
		return fmt.Sprintf("%d holds were in place.", len(f.Holds))
	case abide.DenyRestoredGap:
		return "The store had " + no(m.facts.RestoredGap) + "gap after a restore."
	case abide.DenyMinor, abide.DenyAgeUnknown, abide.DenyMinorNoGuardian:
		return "A birth date was " + not(!f.BirthDate.IsZero()) + "known, the person had " + not(f.DeclaredMinor) +
			"declared to be a minor, a guardian was " + not(f.Guardian.Verified) + "verified and agreed to: " + list(f.Guardian.Consents) + "."
	case abide.DenyUnknownPlace, abide.DenyClosedPlace:
		return "The place of residence was " + not(f.Residence != "") + "known."
	case abide.DenyActorPurpose:
		return "The actor carried, of what was asked for: " + list(m.request.Actor.Purposes) + "."
	case abide.DenyApprovalsMissing:
		return fmt.Sprintf("%d others had agreed.", m.request.Approvals)
	case abide.DenyReasonMissing:
		return "A reason was " + not(m.request.Reason != "") + "stated."
	case abide.DenyRetention, abide.DenyDerived:
		return "The items are judged as they were on record."
	case abide.DenyNotAccepted:
		return fmt.Sprintf("The ledger has %d documents accepted by then.", len(f.Accepted))
	}
	if m.byConsent(code) {
		return m.consentThen()
	}
	return ""
}

// byConsent reports whether a reason, or the ground of a permit, rests on what
// the person said.
func (m *remade) byConsent(code abide.ReasonCode) bool {
	switch code {
	case abide.DenyNoConsent, abide.DenyNotTold, abide.DenySilent, abide.DenyRefused, abide.DenyWithdrawn, abide.DenyObjected,
		abide.DenyConsentExpired, abide.DenyGrade, abide.DenyNotSeparate, abide.DenyTermsUnknown, abide.DenyTermsNotCovered,
		abide.DenyTopicRefused, abide.DenyChannelRefused, abide.PermitConsent:
		return true
	}
	return false
}

// consentThen says what the ledger has of the purpose.
func (m *remade) consentThen() string {
	for i := range m.facts.Consents {
		c := &m.facts.Consents[i]
		if c.Purpose != m.request.Purpose {
			continue
		}
		state := string(c.State)
		if state == "" {
			state = "nothing decided"
		}
		text := "By then the ledger has for " + string(c.Purpose) + ": " + state
		if !c.Since.IsZero() {
			text += " since " + c.Since.Format(time.RFC3339)
		}
		if c.Objected {
			text += ", objected"
		}
		return text + fmt.Sprintf(" (%d events of all purposes).", m.events())
	}
	return "By then the ledger has nothing for " + string(m.request.Purpose) + "."
}

func (m *remade) events() uint64 {
	if m.state == nil {
		return 0
	}
	return m.state.ledger
}

func not(yes bool) string {
	if yes {
		return ""
	}
	return "not "
}

func no(yes bool) string {
	if yes {
		return "a "
	}
	return "no "
}

func list[T ~string](words []T) string {
	if len(words) == 0 {
		return "nothing"
	}
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = string(w)
	}
	return strings.Join(out, ", ")
}

// factWords are the names of the facts as people say them.
var factWords = map[string]string{
	"kind": "kind of person", "residence": "place of residence", "whereabouts": "whereabouts", "birth_date": "birth date",
	"declared_minor": "declared to be a minor", "guardian": "guardian", "restricted": "restriction", "holds": "holds",
	"services": "services taken part in", "events": "events that deadlines wait for", factAllEvents: "events that deadlines wait for",
}

// factNames lists, sorted, the facts that a change concerned.
func factNames(raw json.RawMessage) []string {
	var changed map[string]json.RawMessage
	if json.Unmarshal(raw, &changed) != nil {
		return nil // applyFacts has read it before
	}
	var out []string
	for name := range changed {
		if w, ok := factWords[name]; ok {
			out = append(out, w)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// factsKnown lists the facts that were known, by name.
func factsKnown(f *policy.Facts) []string {
	fields, err := factFields(f)
	if err != nil {
		return nil // facts that were read from JSON always encode
	}
	if len(f.Events) > 0 {
		fields["events"] = json.RawMessage("[]")
	}
	var out []string
	for name, v := range fields {
		if w, ok := factWords[name]; ok && !bytes.Equal(v, []byte("{}")) {
			out = append(out, w)
		}
	}
	slices.Sort(out)
	return out
}

// since lists what has changed since, oldest first.
func (x *explaining) since(ctx context.Context, st *pastState, then *policy.Policy, chain []abide.Purpose) ([]Since, error) {
	var out []Since
	known := uint64(0)
	if st != nil {
		known = st.ledger
	}
	for _, ev := range agreed(x.history.events[min(known, uint64(len(x.history.events))):], chain) {
		name := string(ev.Action) + " " + string(ev.Purpose) + string(ev.Document)
		out = append(out, Since{At: ev.At, What: "consent", Name: name, Text: "The ledger of consent: " + name + fmt.Sprintf(" (event %d).", ev.N)})
	}
	for i := range x.history.states {
		s := &x.history.states[i]
		if st != nil && s.version > st.version && len(s.changed) > 0 {
			name := strings.Join(s.changed, ", ")
			out = append(out, Since{At: s.at, What: "facts", Name: name, Text: "What is known of the person changed: " + name + fmt.Sprintf(" (entry %d).", s.entry)})
		}
	}
	all, err := x.Policies(ctx)
	if err != nil {
		return nil, err
	}
	for _, info := range all {
		if !info.Published.After(x.r.At) {
			continue
		}
		text, err := x.termsChanged(ctx, then, info.Version)
		if err != nil {
			return nil, err
		}
		out = append(out, Since{At: info.Published, What: "policy", Name: info.Version, Text: text})
	}
	slices.SortStableFunc(out, func(a, b Since) int { return a.At.Compare(b.At) })
	return out, nil
}

// termsChanged says whether a later policy has other terms for the purpose, for
// this person as they are known now.
func (x *explaining) termsChanged(ctx context.Context, then *policy.Policy, version string) (string, error) {
	loaded, err := x.policyVersion(ctx, version)
	if err != nil {
		return "", err
	}
	digest := func(p *policy.Policy) string {
		if p == nil {
			return ""
		}
		t, ok := p.Terms(x.r.Purpose, &x.s.facts, x.s.now)
		if !ok {
			return ""
		}
		return t.Digest()
	}
	if digest(then) == digest(loaded.Policy) {
		return "A policy was published; the terms of " + string(x.r.Purpose) + " are those of that time.", nil
	}
	return "A policy was published; its terms of " + string(x.r.Purpose) + " are others than at that time.", nil
}
