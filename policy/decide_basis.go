package policy

import (
	"slices"
	"time"

	abide "github.com/abide-privacy/abide"
)

// basis judges the legal basis of the purpose, and of those it stands within.
func (j *judge) basis() {
	if j.req.Order != nil {
		j.legal()
		return
	}
	j.ground = j.basisOf(j.pu, j.v, true)
	for w := j.pu.within; w != nil; w = w.within {
		pu := j.p.bindingPurpose(w, j.f, j.req.At)
		v, known := j.p.variantFor(pu, j.f)
		if !known {
			j.refuse(abide.DenyUnknownPlace, pu.Clause, pu.Span, "The person's place is none that the law profiles know.")
		}
		if pu.onlyAgreed && !accepted(j.f, pu.Document, j.req.At) {
			j.refuse(abide.DenyNotAccepted, pu.Clause, pu.Span, "Purpose ", string(pu.Name), " stands in a document that the person has not agreed to.")
		}
		j.minor(pu, v)
		j.basisOf(pu, v, false)
	}
}

// basisOf judges one purpose's basis and returns the reason of a permit. own
// is false for a purpose that the requested one stands within: it must be
// agreed to, but need not itself use the data.
func (j *judge) basisOf(pu *Purpose, v *variant, own bool) []abide.Reason {
	if v.closed != nil {
		span := spanOr(v.closed.Span, pu.Span)
		if j.f.Residence == "" && j.f.Whereabouts == "" {
			j.refuse(abide.DenyUnknownPlace, pu.Clause, span, "Purpose ", string(pu.Name), " is not pursued everywhere, and the person's place is not known.")
		} else {
			j.refuse(abide.DenyClosedPlace, pu.Clause, span, "Purpose ", string(pu.Name), " is not pursued where the person is.")
		}
	}
	c := j.f.consent(pu.Name)
	d := v.demandFor(j.req)
	if d.rank == rankLaw {
		return pu.reasons[rankLaw]
	}
	if j.f.RestoredGap && d.rank != rankContract {
		// It rests on what the person said, or did not say against it.
		j.refuseBasis(pu, v, abide.DenyRestoredGap, "The store was restored, and what the person decided about purpose ", string(pu.Name), " since the backup is not known.")
	}
	if c != nil {
		j.topics(pu, c, own)
	}
	switch d.rank {
	case rankContract:
		return pu.reasons[rankContract]
	case rankLegitimate, rankOptOut:
		j.notOptedOut(pu, c)
		return pu.reasons[d.rank]
	case rankNoObjection, rankConsent:
		j.agreed(pu, v, d, c, own)
		if d.rank == rankNoObjection && c != nil && c.State == StateGiven {
			return pu.reasons[rankConsent]
		}
		return pu.reasons[d.rank]
	}
	j.refuse(abide.DenyNoConsent, pu.Clause, pu.Span, "Purpose ", string(pu.Name), " has no legal basis here.")
	return nil
}

// consent returns the state of a purpose, nil if the ledger has none.
func (f *Facts) consent(p abide.Purpose) *Consent {
	for i := range f.Consents {
		if f.Consents[i].Purpose == p {
			return &f.Consents[i]
		}
	}
	return nil
}

// notOptedOut judges bases that hold until the person says no.
func (j *judge) notOptedOut(pu *Purpose, c *Consent) {
	if c == nil {
		return
	}
	if c.Objected {
		j.refuse(abide.DenyObjected, pu.Clause, pu.Span, "The person objected to purpose ", string(pu.Name), ".")
	}
	switch c.State {
	case StateNone, StateAsked, StateTold, StateGiven, StateIndicated, StateExpired:
	case StateRefused:
		j.refuse(abide.DenyRefused, pu.Clause, pu.Span, "The person refused purpose ", string(pu.Name), ".")
	case StateWithdrawn:
		j.refuse(abide.DenyWithdrawn, pu.Clause, pu.Span, "The person withdrew from purpose ", string(pu.Name), ".")
	default:
		j.refuse(abide.DenyNoConsent, pu.Clause, pu.Span, "What the person said about purpose ", string(pu.Name), " cannot be read.")
	}
}

// agreed judges bases that want an act of the person: consent, or an
// indication of no objection after being told. Silence is neither.
func (j *judge) agreed(pu *Purpose, v *variant, d demand, c *Consent, own bool) {
	// What nobody knows the time of, or lies ahead, is no agreement now.
	if c == nil || c.Since.After(j.req.At) || (c.Since.IsZero() && (c.State == StateGiven || c.State == StateIndicated)) {
		if d.rank == rankNoObjection {
			j.refuseBasis(pu, v, abide.DenyNotTold, "The person was never told about purpose ", string(pu.Name), ", so they cannot have indicated no objection.")
		} else {
			j.refuseBasis(pu, v, abide.DenyNoConsent, "The person has not consented to purpose ", string(pu.Name), ".")
		}
		return
	}
	if c.Objected {
		j.refuseBasis(pu, v, abide.DenyObjected, "The person objected to purpose ", string(pu.Name), ".")
	}
	if !j.stateAgrees(pu, v, d, c) {
		return
	}
	if !c.Expires.IsZero() && !j.req.At.Before(c.Expires) || v.lapsed(c, j.req.At) {
		j.refuseBasis(pu, v, abide.DenyConsentExpired, "The consent has expired.")
	}
	if !gradeSuffices(pu.Rule.Grade, c.Grade) {
		j.refuseBasis(pu, v, abide.DenyGrade, "The consent is not evidenced as well as the policy wants.")
	}
	if d.separate && !c.Separate {
		j.refuseBasis(pu, v, abide.DenyNotSeparate, "The law of the person's place wants consent asked on its own, and this one was bundled.")
	}
	if c.Terms != v.digest {
		j.oldTerms(pu, v, c, own)
	}
}

// refuseBasis refuses with the line that says what the purpose rests on.
func (j *judge) refuseBasis(pu *Purpose, v *variant, code abide.ReasonCode, text ...string) {
	span := pu.Span
	if v.basis != nil && v.basis.Span != (abide.Span{}) {
		span = v.basis.Span
	}
	j.refuse(code, pu.Clause, span, text...)
}

func (j *judge) stateAgrees(pu *Purpose, v *variant, d demand, c *Consent) bool {
	switch c.State {
	case StateGiven:
		return true
	case StateIndicated:
		if d.rank == rankConsent {
			j.refuseBasis(pu, v, abide.DenyNoConsent, "An indication of no objection is not the consent that the law of the place asks for.")
			return false
		}
		if !c.Told {
			j.refuseBasis(pu, v, abide.DenyNotTold, "The person was not told what they indicated no objection to.")
			return false
		}
		return true
	case StateNone:
		if d.rank == rankNoObjection {
			j.refuseBasis(pu, v, abide.DenyNotTold, "The person was never told about purpose ", string(pu.Name), ".")
		} else {
			j.refuseBasis(pu, v, abide.DenyNoConsent, "The person has not consented to purpose ", string(pu.Name), ".")
		}
	case StateAsked, StateTold:
		j.refuseBasis(pu, v, abide.DenySilent, "The person was asked or told, and has not answered; silence is no answer.")
	case StateRefused:
		j.refuseBasis(pu, v, abide.DenyRefused, "The person refused purpose ", string(pu.Name), ".")
	case StateWithdrawn:
		j.refuseBasis(pu, v, abide.DenyWithdrawn, "The person withdrew their consent to purpose ", string(pu.Name), ".")
	case StateExpired:
		j.refuseBasis(pu, v, abide.DenyConsentExpired, "The consent has expired.")
	default:
		j.refuseBasis(pu, v, abide.DenyNoConsent, "What the person said about purpose ", string(pu.Name), " cannot be read.")
	}
	return false
}

func gradeSuffices(want string, have abide.Grade) bool {
	switch want {
	case string(abide.GradeClaimed):
		return have == abide.GradeProved || have == abide.GradeClaimed
	case string(abide.GradeUnknown):
		return true
	}
	return have == abide.GradeProved
}

// oldTerms judges a consent to other terms than those in force: it permits
// exactly what they covered.
func (j *judge) oldTerms(pu *Purpose, v *variant, c *Consent, own bool) {
	cov := j.p.archive[c.Terms]
	if cov == nil || cov.purpose != pu.Name {
		j.refuseBasis(pu, v, abide.DenyTermsUnknown, "It is not known which terms the person agreed to.")
		return
	}
	if !own {
		return
	}
	set := cov.forAct(j.req.Act)
	if j.req.Act == abide.ActDisclose {
		set = nil
		if rec := j.recipientClass(); rec != nil {
			set = cov.gets[rec.Name]
		}
	}
	now := pu.covers.forAct(j.req.Act)
	for i := range j.req.Categories {
		cat := j.category(i)
		if cat != nil && now.has(cat.id) && (!set.has(cat.id) || !cov.all.contains(cat.sources)) {
			j.refuseFor(i, abide.DenyTermsNotCovered, pu.Clause, pu.Span, "It is not covered by the terms this person agreed to.")
		}
	}
	if j.req.Act != abide.ActContact && j.req.Act != abide.ActChoose {
		return
	}
	switch t := j.req.Topic; {
	case t == "" && !cov.topicsAll(pu.Topics):
		j.refuseBasis(pu, v, abide.DenyTermsNotCovered, "It could be a type of message that is not covered by the terms this person agreed to.")
	case t != "" && slices.Contains(pu.Topics, t) && !slices.Contains(cov.topics, t):
		j.refuseBasis(pu, v, abide.DenyTermsNotCovered, "This type of message is not covered by the terms this person agreed to.")
	}
	if !cov.offersAll(v.terms.Offers) {
		j.refuseBasis(pu, v, abide.DenyTermsNotCovered, "It could offer goods that are not covered by the terms this person agreed to.")
	}
}

// topics judges types of message and channels that the person refused one by
// one. A request that names none, where some are refused, could be any of
// them, so it is refused too. Of a purpose that the requested one stands within,
// channels count as well, and types of message where it has the one requested.
func (j *judge) topics(pu *Purpose, c *Consent, own bool) {
	if j.req.Act != abide.ActContact && j.req.Act != abide.ActChoose {
		return
	}
	t := j.req.Topic
	if (own || slices.Contains(pu.Topics, t)) && (slices.Contains(c.RefusedTopics, t) || (len(c.Topics) > 0 && !slices.Contains(c.Topics, t)) ||
		(t == "" && len(c.RefusedTopics) > 0)) {
		j.refuse(abide.DenyTopicRefused, pu.Clause, pu.Span, "The person does not want this type of message.")
	}
	if j.req.Act != abide.ActContact {
		return
	}
	ch := j.req.Channel
	if slices.Contains(c.RefusedChannels, ch) || (len(c.Channels) > 0 && !slices.Contains(c.Channels, ch)) ||
		(ch == "" && len(c.RefusedChannels) > 0) {
		j.refuse(abide.DenyChannelRefused, pu.Clause, pu.Span, "The person does not want to be reached this way.")
	}
}

// age judges what minors are spared. A child's data is collected without a
// guardian only for a service that is open to children; where none is named, what
// a contract needs is collected for one of those they take part in (CLAUSES C20).
func (j *judge) age() {
	j.minor(j.pu, j.v)
	if j.req.Act != abide.ActCollect || j.f.Guardian.Verified || j.v.strictest.rank == rankLaw ||
		!j.young(j.p.agesFor(j.pu, j.f).consent) {
		return
	}
	clause, span := j.pu.Clause, j.pu.Span
	if j.req.Service == "" {
		if j.v.strictest.rank != rankContract || j.openToMinors() {
			return
		}
	} else {
		id, ok := j.p.serviceIndex[j.req.Service]
		if !ok || j.p.services[id].Minors {
			return
		}
		clause, span = j.p.services[id].Clause, j.p.services[id].Span
	}
	j.refuse(abide.DenyMinorNoGuardian, clause, span, "Data of children is not sought, and no guardian is known who agrees.")
}

// openToMinors reports whether the person takes part in a service that is open to
// children and serves the purpose.
func (j *judge) openToMinors() bool {
	for i := range j.f.Services {
		id, ok := j.p.serviceIndex[j.f.Services[i].Service]
		if ok && j.p.services[id].Minors && j.p.services[id].serves.has(j.pu.id) && j.f.Services[i].current(j.req.At) {
			return true
		}
	}
	return false
}

// current reports whether the person takes part at that time. A beginning that
// nobody knows is none.
func (t *Taking) current(at time.Time) bool {
	return !t.Since.IsZero() && !t.Since.After(at) && (t.Left.IsZero() || at.Before(t.Left))
}

// minor judges a purpose that is closed to minors, guardian or not, and one
// that rests on what the person agrees to, where a child's guardian must agree.
//
// A person whose birth date is not known counts as grown up unless they say
// otherwise: most people never tell their age, and would be shut out. A policy
// that wants it otherwise says so (minors { ages = required }).
func (j *judge) minor(pu *Purpose, v *variant) {
	ages := j.p.agesFor(pu, j.f)
	if m := pu.closed; m != nil {
		clause, span := clauseOf(m.rule.At), m.rule.Span
		switch {
		case j.young(ages.majority):
			j.refuse(abide.DenyMinor, clause, span, "Purpose ", string(pu.Name), " is closed to minors.")
		case m.rule.Known && j.f.BirthDate.IsZero():
			j.refuse(abide.DenyAgeUnknown, clause, span, "Purpose ", string(pu.Name), " is closed to minors, and the person's age is not known.")
		}
	}
	if v.strictest.rank < rankOptOut || !j.young(ages.consent) {
		return
	}
	if !j.f.Guardian.Verified || !slices.Contains(j.f.Guardian.Consents, pu.Name) {
		clause, span := pu.Clause, pu.Span
		if m := j.p.minors.rule; m != nil {
			clause, span = clauseOf(m.At), m.Span
		}
		j.refuse(abide.DenyMinorNoGuardian, clause, span, "The person is too young to agree on their own, and no guardian has.")
	}
}

func (j *judge) young(limit int) bool {
	if j.f.DeclaredMinor {
		return true
	}
	if j.f.BirthDate.IsZero() {
		return false
	}
	age, ok := j.f.BirthDate.AgeAt(j.req.At)
	return !ok || age < limit
}

// legal judges a legal request: it opens exactly its scope, and nothing else
// opens by it (CLAUSES C16).
func (j *judge) legal() {
	w := j.req.Order
	o := j.p.orders[w.Rule]
	if o == nil {
		j.refuse(abide.DenyOrderIncomplete, "", abide.Span{}, "The legal request names no rule of this policy that it rests on.")
		return
	}
	clause, span := clauseOf(o.rule.At), o.rule.Span
	if !o.acts[j.req.Act] {
		j.refuse(abide.DenyOrderScope, clause, span, "A legal request does not reach as far as to ", j.req.Act.String(), ".")
	}
	if !slices.Contains(o.rule.When, w.When) || w.When == "" {
		j.refuse(abide.DenyOrderIncomplete, clause, span, "It is not said whether law requires or expressly permits it.")
	}
	if o.rule.Authority && w.Authority == "" {
		j.refuse(abide.DenyOrderIncomplete, clause, span, "The legal request does not name its authority.")
	}
	if o.rule.Citation && w.Citation == "" {
		j.refuse(abide.DenyOrderIncomplete, clause, span, "The legal request does not name its legal ground.")
	}
	if len(w.Scope) == 0 {
		j.refuse(abide.DenyOrderIncomplete, clause, span, "The legal request does not name its scope.")
	}
	if w.Approvals < o.rule.Approvals {
		j.refuse(abide.DenyApprovalsMissing, clause, span, "The legal request lacks approvals.")
	}
	for i, c := range j.req.Categories {
		if len(w.Scope) > 0 && !slices.Contains(w.Scope, c) && j.category(i) != nil {
			j.refuseFor(i, abide.DenyOrderScope, clause, span, "It lies outside the scope of the legal request.")
		}
	}
	j.order, j.ground = o, o.why
}
