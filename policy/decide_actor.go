package policy

import (
	"slices"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy/rule"
)

// actor judges whether the actor carries the purpose, may do this in its role,
// and has current what the level of the data wants.
func (j *judge) actor() {
	a := &j.req.Actor
	var ro *role
	switch a.Kind {
	case abide.ActorService, abide.ActorStaff:
		if !slices.Contains(a.Purposes, j.pu.Name) {
			j.refuse(abide.DenyActorPurpose, "", abide.Span{}, "The actor does not carry purpose ", string(j.pu.Name), ".")
		}
	case abide.ActorGuardian:
		if !j.f.Guardian.Verified {
			j.refuse(abide.DenyUnknownActor, "", abide.Span{}, "Nobody is verified as the guardian of this person.")
		}
	}
	if a.Kind == abide.ActorStaff {
		ro = j.p.roles[a.Role]
		if ro == nil {
			j.refuse(abide.DenyActorRole, "", abide.Span{}, "The member of staff has no role of this policy.")
		} else if !ro.purposes.has(j.pu.id) || !ro.acts[j.req.Act] {
			j.refuse(abide.DenyActorRole, clauseOf(ro.rule.At), ro.rule.Span, "Role ", ro.rule.Name, " may not ", j.req.Act.String(), " for purpose ", string(j.pu.Name), ".")
		}
	}
	for i := range j.req.Categories {
		c := j.category(i)
		if c == nil {
			continue
		}
		if ro != nil && !j.p.mayOpen(ro, c) {
			j.refuseFor(i, abide.DenyActorRole, clauseOf(ro.rule.At), ro.rule.Span, "Role ", ro.rule.Name, " may not open ", string(c.Name), ".")
		}
		if c.level >= 0 {
			j.level(i, c)
		}
	}
}

// mayOpen reports whether the role reaches a category. A role that names no
// level reaches those levels that demand nothing.
func (p *Policy) mayOpen(r *role, c *Category) bool {
	if len(r.reads) > 0 && !r.reads.has(c.id) {
		return false
	}
	if c.level < 0 || r.reaches.has(c.level) {
		return true
	}
	l := p.levels[c.level]
	return r.level < 0 && l.demands < 0 && !l.undertaking && l.reviewEvery == 0
}

// opens reports whether the act shows values to somebody in the sense of a
// level: reading does, for services and staff; for staff everything but
// collecting does, because they could see what they handle. Persons see their
// own.
func (j *judge) opens() bool {
	switch j.req.Actor.Kind {
	case abide.ActorService:
		return j.req.Act == abide.ActRead
	case abide.ActorStaff:
		return j.req.Act != abide.ActCollect
	}
	return false
}

// level judges what the level of a category demands. Undertaking and access
// review concern staff alone.
func (j *judge) level(i int, c *Category) {
	l := j.p.levels[c.level]
	if !j.opens() && j.req.Act != abide.ActDisclose {
		return
	}
	for _, r := range l.closedBy {
		if j.overdue(r) {
			j.refuseFor(i, abide.DenyOverdueReview, clauseOf(r.At), r.Span, "The level is closed until review \""+r.Name+"\" has taken place.")
		}
	}
	if !j.opens() {
		return
	}
	if l.demands >= 0 {
		j.levels |= 1 << l.demands
	}
	clause := clauseOf(l.rule.At)
	if l.reason && j.req.Reason == "" {
		j.refuseFor(i, abide.DenyReasonMissing, clause, l.rule.Span, "Opening level ", l.name, " wants a reason.")
	}
	if j.req.Approvals < l.approvals {
		j.refuseFor(i, abide.DenyApprovalsMissing, clause, l.rule.Span, "Opening level ", l.name, " wants approvals that are not there.")
	}
	if j.req.Actor.Kind != abide.ActorStaff || (!l.undertaking && l.reviewEvery == 0) {
		return
	}
	s := j.staff()
	if l.undertaking && (s == nil || !j.req.At.Before(s.UndertakingEnds)) {
		j.refuseFor(i, abide.DenyUndertaking, clause, l.rule.Span, "The member of staff has no current confidentiality undertaking.")
	}
	if l.reviewEvery > 0 && (s == nil || s.ReviewedAt.IsZero() || s.ReviewedAt.After(j.req.At) ||
		!j.req.At.Before(addMonths(s.ReviewedAt, l.reviewEvery))) {
		j.refuseFor(i, abide.DenyReview, clause, l.rule.Span, "The member of staff's access has not been reviewed in time.")
	}
}

func (j *judge) staff() *StaffFact {
	if j.reg == nil {
		return nil
	}
	for i := range j.reg.Staff {
		if s := &j.reg.Staff[i]; s.Name == j.req.Actor.Name && s.Name != "" {
			return s
		}
	}
	return nil
}

// overdue reports whether a review that closes a level was not done in time.
func (j *judge) overdue(r *rule.Review) bool {
	if j.reg != nil {
		for i := range j.reg.Reviews {
			if v := &j.reg.Reviews[i]; v.Name == r.Name && !v.At.After(j.req.At) && j.req.At.Before(addMonths(v.At, r.Every)) {
				return false
			}
		}
	}
	return true
}

// recipientClass returns the class that the request's recipient is or belongs
// to, nil if it is none. A member in the register counts also after it left;
// recipient says so.
func (j *judge) recipientClass() *Recipient {
	if j.req.Recipient == "" {
		return nil
	}
	if j.rec != nil {
		return j.rec
	}
	j.rec, _ = j.p.Recipient(j.req.Recipient)
	if j.rec == nil && j.reg != nil {
		for i := range j.reg.Members {
			m := &j.reg.Members[i]
			if m.Name != j.req.Recipient {
				continue
			}
			if id, ok := j.p.recIndex[m.Class]; ok && (j.rec == nil || current(m, j.req.At)) {
				j.rec = j.p.recipients[id]
			}
		}
	}
	return j.rec
}

func current(m *Member, at time.Time) bool { return m.Left.IsZero() || at.Before(m.Left) }

// recipient judges a disclosure: who receives, bound by what, and whether they
// may have this for that (CLAUSES C14).
func (j *judge) recipient() {
	if j.req.Act != abide.ActDisclose {
		return
	}
	rec := j.recipientClass()
	if rec == nil {
		j.refuse(abide.DenyUnknownRecipient, "", abide.Span{}, "The recipient is neither in this policy nor in the register.")
		return
	}
	if !j.registered(rec) {
		j.refuse(abide.DenyNotRegistered, rec.Clause, rec.Span, "The recipient does not belong to ", rec.Title, ", or no longer.")
	}
	if j.req.Order != nil {
		return
	}
	set := rec.gets[j.pu.id]
	for i := range j.req.Categories {
		if c := j.category(i); c != nil && !set.has(c.id) {
			j.refuseFor(i, abide.DenyNotRecipient, rec.Clause, rec.Span, rec.Title, " may not have ", string(c.Name), " for purpose ", string(j.pu.Name), ".")
		}
	}
	j.contract(rec)
}

func (j *judge) registered(rec *Recipient) bool {
	if !rec.Register {
		return rec.Name == j.req.Recipient || j.member(rec) || (slices.Contains(rec.Members, j.req.Recipient) && !j.leftClass(rec))
	}
	return j.member(rec)
}

// leftClass reports whether the register says of a member that the policy lists
// that it left: then what rested on belonging is gone (CLAUSES C06).
func (j *judge) leftClass(rec *Recipient) bool {
	return j.reg != nil && slices.ContainsFunc(j.reg.Members, func(m Member) bool {
		return m.Name == j.req.Recipient && m.Class == rec.Name && !current(&m, j.req.At)
	})
}

func (j *judge) member(rec *Recipient) bool {
	if j.reg == nil {
		return false
	}
	for i := range j.reg.Members {
		if m := &j.reg.Members[i]; m.Name == j.req.Recipient && m.Class == rec.Name && current(m, j.req.At) {
			return true
		}
	}
	return false
}

// contract judges whether a contract binds the recipient now, and covers the
// law of the person's place where the policy wants that. Authorities, and
// networks that answer for themselves, need none unless the policy wants one;
// everybody else does, whether the policy says so or not.
func (j *judge) contract(rec *Recipient) {
	if rec.Rule.Contract == nil && (rec.Class == "authority" || rec.Class == "network" || rec.Rule.OwnPolicy != "") {
		return
	}
	inForce, covers := false, false
	if j.reg != nil {
		for i := range j.reg.Contracts {
			k := &j.reg.Contracts[i]
			if k.Recipient != j.req.Recipient || k.Signed.IsZero() || k.Signed.After(j.req.At) || (!k.Ends.IsZero() && !j.req.At.Before(k.Ends)) {
				continue
			}
			inForce = true
			covers = covers || j.p.places.covered(j.f.Residence, k.Covers)
		}
	}
	span := rec.Span
	if rec.Rule.Contract != nil && rec.Rule.Contract.Span != (abide.Span{}) {
		span = rec.Rule.Contract.Span
	}
	switch {
	case !inForce:
		j.refuse(abide.DenyNoContract, rec.Clause, span, "No contract with the recipient is in force.")
	case rec.Rule.Contract != nil && rec.Rule.Contract.Covers == "residence" && !covers:
		j.refuse(abide.DenyContractPlace, rec.Clause, span, "No contract with the recipient covers the law of the person's place.")
	}
}

// covered reports whether a place is one of those a contract covers, or lies
// within one.
func (t *placeTable) covered(p abide.Place, by []abide.Place) bool {
	if p == "" {
		return false
	}
	if slices.Contains(by, p) {
		return true
	}
	id, ok := t.id(p)
	if !ok || id <= elsewhere {
		return false
	}
	if slices.Contains(by, t.names[id]) {
		return true
	}
	for _, a := range t.above[id] {
		if slices.Contains(by, t.names[a]) {
			return true
		}
	}
	return false
}
