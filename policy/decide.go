package policy

import (
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy/rule"
)

// Decide judges a request: whether this person's data of these categories may
// be touched by this act, for this purpose, by this actor, at this time. It
// denies by default; facts nil, and anything unknown, deny.
//
// The order of judging is that of DESIGN section 2, and all independent
// reasons of a denial are returned, not the first alone; only an unknown
// purpose or act ends it early. If some categories would be permitted and
// others not, the effect is Deny, Permitted lists those that would be, and each
// other one has a reason of its own.
//
// What an act may touch:
//
//	collect, use, disclose   uses, contacts and chosen_by
//	read                     uses and contacts
//	contact                  contacts; the uses, if the purpose is not marketing and names no contacts
//	choose                   chosen_by
//
// A permit allocates nothing: Permitted is req.Categories itself, reasons and
// obligations were made when compiling. The caller must not change them.
func (p *Policy) Decide(f *Facts, reg *Register, req *Request) abide.Decision {
	j := judge{p: p, f: f, reg: reg, req: req}
	switch {
	case !j.permits():
		return j.deny()
	case f == nil:
		return abide.Decision{Effect: abide.Permit, Permitted: req.Categories, Reasons: nobodyAsked, PolicyVersion: p.version}
	}
	return abide.Decision{Effect: abide.Permit, Permitted: req.Categories, Reasons: j.ground, Obligations: j.obligations(),
		PolicyVersion: p.version}
}

// Permits reports whether Decide would permit. It judges by the same code, stops
// at the first refusal and writes no reasons down.
func (p *Policy) Permits(f *Facts, reg *Register, req *Request) bool {
	j := judge{p: p, f: f, reg: reg, req: req, quiet: true}
	return j.permits()
}

// permits goes through all that is judged, in order.
func (j *judge) permits() bool {
	if !j.names() {
		return j.aboutNobody()
	}
	if j.settled() {
		return false
	}
	j.never()
	j.state()
	j.coverage()
	if j.settled() {
		return false
	}
	j.actor()
	j.recipient()
	j.basis()
	j.participation()
	j.retention()
	return !j.refused
}

// settled reports whether nothing more need be judged.
func (j *judge) settled() bool { return j.quiet && j.refused }

// inline is how many categories a request may name before looking at them
// twice costs a second look-up by name, and denying one costs a slice.
const inline = 64

// judge is one decision in the making. It lives on the stack.
type judge struct {
	p   *Policy
	f   *Facts
	reg *Register
	req *Request

	pu      *Purpose
	ids     [inline]int32 // -1: unknown
	rec     *Recipient
	order   *order // a legal request that holds
	v       *variant
	quiet   bool // nobody reads reasons
	refused bool
	reasons []abide.Reason
	nobody  bool         // there is no person, and all names are known
	whole   bool         // a reason concerns the whole request
	denied  uint64       // the first categories, bit by position
	beyond  map[int]bool // those after them
	levels  int          // set of levels that are opened
	ground  []abide.Reason
}

// refuse adds a reason that concerns the whole request. Its text comes in pieces,
// joined only if somebody reads it.
func (j *judge) refuse(code abide.ReasonCode, clause string, span abide.Span, text ...string) {
	j.whole, j.refused = true, true
	if !j.quiet {
		j.reasons = append(j.reasons, abide.Reason{Code: code, Clause: clause, Span: span, Text: strings.Join(text, "")})
	}
}

// refuseFor adds a reason that concerns the i-th category alone.
func (j *judge) refuseFor(i int, code abide.ReasonCode, clause string, span abide.Span, text ...string) {
	j.refused = true
	if j.quiet {
		return
	}
	if i < inline {
		j.denied |= 1 << i
	} else {
		if j.beyond == nil {
			j.beyond = map[int]bool{}
		}
		j.beyond[i] = true
	}
	r := abide.Reason{Code: code, Clause: clause, Span: span, Text: strings.Join(text, "")}
	if c := j.category(i); c != nil {
		r.Category = c.Name
	}
	j.reasons = append(j.reasons, r)
}

func (j *judge) refusePurpose(code abide.ReasonCode, text string) {
	j.refuse(code, j.pu.Clause, j.pu.Span, text)
}

// category returns the i-th category of the request, nil if it is unknown.
func (j *judge) category(i int) *Category {
	if i < inline {
		if id := j.ids[i]; id >= 0 {
			return j.p.categories[id]
		}
		return nil
	}
	if id, ok := j.p.catIndex[j.req.Categories[i]]; ok {
		return j.p.categories[id]
	}
	return nil
}

func (j *judge) deny() abide.Decision {
	d := abide.Decision{Reasons: j.reasons, PolicyVersion: j.p.version}
	if j.whole || j.pu == nil {
		return d
	}
	for i, c := range j.req.Categories {
		if (i < inline && j.denied&(1<<i) == 0) || (i >= inline && !j.beyond[i]) {
			d.Permitted = append(d.Permitted, c)
		}
	}
	return d
}

// names judges whether all that the request names is known. It reports false
// if there is nothing further to judge.
func (j *judge) names() bool {
	req := j.req
	if pu, ok := j.p.Purpose(req.Purpose); ok {
		j.pu = pu
	} else {
		j.refuse(abide.DenyUnknownPurpose, "", abide.Span{}, "The purpose is none of this policy.")
	}
	if !slices.Contains(acts, req.Act) {
		j.refuse(abide.DenyUnknownAct, "", abide.Span{}, "The act is none that can be permitted.")
	}
	if req.At.IsZero() {
		j.refuse(abide.DenyUnknownTime, "", abide.Span{}, "The request does not say for which time it asks.")
	}
	if len(req.Categories) == 0 {
		j.refuse(abide.DenyNoCategories, "", abide.Span{}, "The request names no data.")
	}
	for i, c := range req.Categories {
		id, ok := j.p.catIndex[c]
		if !ok {
			id = -1
		}
		if i < inline {
			j.ids[i] = id
		}
		if !ok {
			// The name is not repeated: callers sometimes send a value for it.
			j.refuseFor(i, abide.DenyUnknownCategory, "", abide.Span{}, "Category ", strconv.Itoa(i+1), " of the request is none of this policy.")
		}
	}
	switch req.Actor.Kind {
	case abide.ActorService, abide.ActorStaff, abide.ActorSubject, abide.ActorGuardian, abide.ActorSystem:
	default:
		j.refuse(abide.DenyUnknownActor, "", abide.Span{}, "It is not known in what capacity the actor acts.")
	}
	if req.Service != "" {
		if _, ok := j.p.serviceIndex[req.Service]; !ok {
			j.refuse(abide.DenyUnknownService, "", abide.Span{}, "The service is none of this policy.")
		}
	}
	if j.f == nil {
		j.nobody = j.pu != nil && !j.refused
		j.refuse(abide.DenyNobodyKnown, "", abide.Span{}, "Nothing is known of the person, so nothing is permitted.")
	}
	if j.pu == nil || j.f == nil || !slices.Contains(acts, req.Act) {
		return false
	}
	j.pu = j.p.bindingPurpose(j.pu, j.f, req.At)
	j.namesOfPurpose()
	return true
}

var acts = abide.Acts()

var nobodyAsked = []abide.Reason{{Code: abide.PermitNobody, Text: "The data is about nobody: it is counted, and no person has any."}}

// aboutNobody reports whether a request without a person counts or uses data
// about nobody, for a purpose that covers it and that the actor carries
// (CLAUSES C03).
func (j *judge) aboutNobody() bool {
	if !j.nobody || (j.req.Act != abide.ActCollect && j.req.Act != abide.ActUse) {
		return false
	}
	a := &j.req.Actor
	if a.Kind != abide.ActorSystem && !slices.Contains(a.Purposes, j.pu.Name) {
		return false
	}
	if ro := j.p.roles[a.Role]; a.Kind == abide.ActorStaff && (ro == nil || !ro.purposes.has(j.pu.id) || !ro.acts[j.req.Act]) {
		return false
	}
	for i := range j.req.Categories {
		if c := j.category(i); !c.nobody || !j.pu.covers.all.has(c.id) || j.neverCounted(c) {
			return false
		}
	}
	return true
}

// neverCounted reports whether a never that speaks to everybody forbids to count
// or use this.
func (j *judge) neverCounted(c *Category) bool {
	return slices.ContainsFunc(j.pu.nevers, func(n *never) bool {
		return n.acts[j.req.Act] && n.toAnyone && !n.forValue && n.onlyAgreed < 0 && n.link.empty() && (n.any || n.what.has(c.id))
	})
}

// namesOfPurpose judges topic, channel, place and the document that speaks.
func (j *judge) namesOfPurpose() {
	req, pu := j.req, j.pu
	if req.Topic != "" && !slices.Contains(pu.Topics, req.Topic) {
		j.refusePurpose(abide.DenyUnknownTopic, "The type of message is none of this purpose.")
	}
	if req.Channel != "" && !slices.Contains(pu.Channels, req.Channel) && (len(pu.Channels) > 0 || !slices.Contains(regimeChannels, req.Channel)) {
		j.refusePurpose(abide.DenyUnknownChannel, "The channel is none of this purpose.")
	}
	if pu.onlyAgreed && !accepted(j.f, pu.Document, req.At) {
		j.refusePurpose(abide.DenyNotAccepted, "The purpose stands in a document that the person has not agreed to.")
	}
	var known bool
	if j.v, known = j.p.variantFor(pu, j.f); !known {
		j.refusePurpose(abide.DenyUnknownPlace, "The person's place is none that the law profiles know.")
	}
}

// bindingPurpose returns the purpose as the document has it that prevails for
// this person (CLAUSES C21): among those who accepted that document, and only
// for them.
func (p *Policy) bindingPurpose(pu *Purpose, f *Facts, at time.Time) *Purpose {
	if pu.prevailing != nil && f != nil && accepted(f, pu.prevailing.Document, at) {
		return pu.prevailing
	}
	return pu
}

func accepted(f *Facts, d abide.DocumentName, at time.Time) bool {
	for i := range f.Accepted {
		if a := &f.Accepted[i]; a.Document == d && !a.At.After(at) {
			return true
		}
	}
	return false
}

// never judges what no purpose, consent or order lifts.
func (j *judge) never() {
	for _, n := range j.pu.nevers {
		if !n.acts[j.req.Act] || (n.forValue && !j.req.ForValue) || !j.neverReaches(n) {
			continue
		}
		if n.onlyAgreed >= 0 && !accepted(j.f, j.p.documents[n.onlyAgreed].Name, j.req.At) {
			continue
		}
		clause := clauseOf(n.rule.At)
		if !n.link.empty() {
			if j.links(n) {
				j.refuse(abide.DenyNever, clause, n.rule.Span, "The policy never links these data with each other.")
			}
			continue
		}
		for i := range j.req.Categories {
			if c := j.category(i); c != nil && (n.any || n.what.has(c.id)) {
				j.refuseFor(i, abide.DenyNever, clause, n.rule.Span, "The policy never does this.")
			}
		}
	}
}

// neverReaches reports whether a never about recipients concerns this request.
func (j *judge) neverReaches(n *never) bool {
	if n.toAnyone {
		return true
	}
	if j.req.Act != abide.ActDisclose {
		return false
	}
	if rec := j.recipientClass(); rec != nil && n.toClass(rec) {
		return true
	}
	if j.reg == nil || j.req.Recipient == "" {
		return false
	}
	// A member of several classes is a member of each, whatever it once left.
	for i := range j.reg.Members {
		if m := &j.reg.Members[i]; m.Name == j.req.Recipient {
			if id, ok := j.p.recIndex[m.Class]; ok && n.toClass(j.p.recipients[id]) {
				return true
			}
		}
	}
	return false
}

func (n *never) toClass(rec *Recipient) bool {
	return n.to.has(rec.id) || slices.Contains(n.toClasses, rec.Class)
}

// links reports whether the request touches two of the groups that a never keeps
// from each other. What was derived from one counts as one of it.
func (j *judge) links(n *never) bool {
	first := int32(-1)
	for i := range j.req.Categories {
		c := j.category(i)
		if c == nil {
			continue
		}
		for w, word := range c.groups {
			if w >= len(n.link) {
				break
			}
			for word &= n.link[w]; word != 0; word &= word - 1 {
				g := int32(w<<6 + bits.TrailingZeros64(word))
				if first >= 0 && first != g {
					return true
				}
				first = g
			}
		}
	}
	return false
}

// state judges what the person's own state forbids.
func (j *judge) state() {
	f, req := j.f, j.req
	switch f.Status {
	case abide.StatusActive:
	case abide.StatusErasing, abide.StatusErased:
		j.refuse(abide.DenyErased, "", abide.Span{}, "The person was erased.")
	default:
		j.refuse(abide.DenyErased, "", abide.Span{}, "The person's state is not known, so they count as erased.")
	}
	if req.Order != nil {
		return // judged by its own rule
	}
	if own := req.Actor.Kind == abide.ActorSubject || req.Actor.Kind == abide.ActorGuardian; f.Restricted && !own {
		j.refuse(abide.DenyRestricted, "", abide.Span{}, "The person had processing restricted (GDPR Art. 18).")
	}
	j.others()
	j.age()
	j.holds()
}

// others judges contact with people known only through somebody else
// (CLAUSES C01). A kind that is not known counts as that.
func (j *judge) others() {
	if j.f.Kind == abide.Person || j.f.Kind == abide.Visitor {
		return
	}
	if j.pu.markets() || j.req.Act == abide.ActChoose || (j.req.Act == abide.ActContact && j.v.strictest.rank >= rankLegitimate) {
		j.refusePurpose(abide.DenyKnownThrough, "The person is known only through somebody else, and is never marketed to.")
	}
}

func (j *judge) holds() {
	for i := range j.f.Holds {
		h := &j.f.Holds[i]
		if (!h.Until.IsZero() && !j.req.At.Before(h.Until)) || j.v.strictest.rank == rankLaw || len(h.Items) > 0 {
			continue
		}
		if len(h.Categories) == 0 {
			j.refuse(abide.DenyHeldByLaw, "", abide.Span{}, "The data is held for a legal ground, and closed for everything else.")
			continue
		}
		for k, c := range j.req.Categories {
			if slices.Contains(h.Categories, c) {
				j.refuseFor(k, abide.DenyHeldByLaw, "", abide.Span{}, "The data is held for a legal ground, and closed for everything else.")
			}
		}
	}
}

// coverage judges what the purpose covers, what only some services may use,
// and what is kept apart.
func (j *judge) coverage() {
	set := j.pu.covers.forAct(j.req.Act)
	for i := range j.req.Categories {
		c := j.category(i)
		if c == nil {
			continue
		}
		switch {
		case c.nobody:
			j.refuseFor(i, abide.DenyNotLinked, c.Clause, c.Span, "Data about nobody is counted; no person has any.")
		case j.req.Order != nil:
		case !set.has(c.id):
			j.refuseFor(i, abide.DenyNotCovered, j.pu.Clause, j.pu.Span, "Purpose ", string(j.pu.Name), " does not ", j.req.Act.String(), " ", string(c.Name), ".")
		case !j.pu.covers.all.contains(c.sources):
			j.refuseFor(i, abide.DenyDerived, c.Clause, c.Span, "It is derived from data that purpose ", string(j.pu.Name), " does not cover.")
		}
		j.onlyTo(i, c)
		j.apart(i, c)
	}
}

func (j *judge) onlyTo(i int, c *Category) {
	if len(c.onlyTo) == 0 || j.req.Order != nil {
		return
	}
	allowed := c.onlyFor.has(j.pu.id)
	if j.req.Service != "" {
		s, known := j.p.serviceIndex[j.req.Service]
		allowed = allowed && known && c.onlyTo.has(s)
	}
	if !allowed {
		j.refuseFor(i, abide.DenyOnlyTo, c.Clause, c.Span, "Only certain services may use it, and this is none of them.")
	}
}

func (j *judge) apart(i int, c *Category) {
	if len(c.apart) == 0 && !c.notPerson {
		return
	}
	if c.notPerson && j.f.Kind != abide.Visitor {
		j.refuseFor(i, abide.DenyApart, c.Clause, c.Span, "It is kept apart from the person, so none of theirs exists.")
		return
	}
	for k := range j.req.Categories {
		if o := j.category(k); o != nil && c.apart.meets(o.groups) {
			j.refuseFor(i, abide.DenyApart, c.Clause, c.Span, "It is kept apart from other data of this request.")
			return
		}
	}
}

// participation judges collecting for a service (CLAUSES C04). Data that names
// no service could be for any that its purpose and its source know, so the
// person must take part in each of them: who left one may not be written for by
// leaving its name out. What law demands goes by no service.
func (j *judge) participation() {
	if j.req.Act != abide.ActCollect || j.req.Order != nil {
		return
	}
	if j.req.Service == "" {
		if j.v.strictest.rank == rankLaw {
			return
		}
		of := j.p.servedBy[j.pu.id]
		for _, s := range of {
			if s.feeds(of, j.req.Source) {
				j.takesPart(s)
			}
		}
		return
	}
	id, ok := j.p.serviceIndex[j.req.Service]
	if !ok {
		return
	}
	s := j.p.services[id]
	if !s.serves.has(j.pu.id) {
		j.refuse(abide.DenyNotCovered, s.Clause, s.Span, "Service ", string(s.Name), " does not serve purpose ", string(j.pu.Name), ".")
	}
	j.takesPart(s)
}

// takesPart judges whether the person takes part in a service.
func (j *judge) takesPart(s *Service) {
	left := false
	for i := range j.f.Services {
		t := &j.f.Services[i]
		if t.Service != s.Name {
			continue
		}
		if t.current(j.req.At) {
			return
		}
		left = left || (!t.Left.IsZero() && !j.req.At.Before(t.Left))
	}
	unnamed := ""
	if j.req.Service == "" {
		unnamed = " The request names no service, and could be for this one."
	}
	if left {
		j.refuse(abide.DenySourceStopped, s.Clause, s.Span, "The person left service ", string(s.Name), ": what feeds it must stop.", unnamed)
		return
	}
	j.refuse(abide.DenyNotParticipating, s.Clause, s.Span, "The person takes no part in service ", string(s.Name), ".", unnamed)
}

// retention judges the stored items that the request would touch.
func (j *judge) retention() {
	for k := range j.req.Items {
		it := &j.req.Items[k]
		for i, name := range j.req.Categories { // a name may stand twice
			if c := j.category(i); c != nil && name == it.Category {
				j.item(i, c, it)
			}
		}
	}
}

// item judges one stored item of the i-th category.
func (j *judge) item(i int, c *Category, it *ItemFact) {
	if it.Purposes != nil && !slices.Contains(it.Purposes, j.pu.Name) && j.req.Order == nil {
		j.refuseFor(i, abide.DenyDerived, c.Clause, c.Span, "It was derived from data that may not be used for this purpose.")
	}
	clause, span := c.Clause, c.Span
	var due time.Time
	var ended bool
	if j.req.Order != nil {
		var open bool
		due, _, open = j.p.Deadline(c.Name, *it, j.f)
		ended = open
	} else {
		var by *rule.Deadline
		due, by = j.p.dueFor(j.pu, j.v, c, it, j.f)
		if ended = by != nil; ended && by != c.Rule.Keep {
			clause, span = j.pu.Clause, spanOr(by.Span, j.pu.Span)
		} else if ended {
			span = spanOr(by.Span, span)
		}
	}
	if ended && !j.req.At.Before(due) {
		j.refuseFor(i, abide.DenyRetention, clause, span, "It may no longer be kept for this purpose.")
	}
}

// obligations of a permit, made beforehand.
func (j *judge) obligations() []abide.Obligation {
	switch {
	case j.order != nil && slices.Contains(j.order.rule.When, "expressly_permits") && j.req.Order.When == "expressly_permits":
		return j.order.tell
	case j.req.Act == abide.ActContact:
		return j.pu.messages
	}
	return j.p.shown[j.levels]
}
