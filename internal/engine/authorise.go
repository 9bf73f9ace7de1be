package engine

import (
	"slices"

	abide "github.com/abide-privacy/abide"
)

// operation names a use case for authorisation, idempotency and the log.
type operation string

const (
	opCreate        operation = "create"
	opCollect       operation = "collect"
	opRead          operation = "read"
	opLookup        operation = "lookup"
	opConsent       operation = "consent"
	opSeeConsents   operation = "see_consents"
	opSeeLog        operation = "see_log"
	opSeeServices   operation = "see_services"
	opSeeSubject    operation = "see_subject"
	opSeeRetention  operation = "see_retention"
	opSweep         operation = "sweep"
	opForecast      operation = "forecast"
	opHold          operation = "hold"
	opJoin          operation = "join"
	opLeave         operation = "leave"
	opEvent         operation = "event"
	opUpdate        operation = "update"
	opErase         operation = "erase"
	opDecide        operation = "decide"
	opExplain       operation = "explain"
	opCount         operation = "count"
	opPublish       operation = "publish"
	opTokens        operation = "tokens"
	opFindings      operation = "findings"
	opRegister      operation = "register"
	opSeeRegister   operation = "see_register"
	opPolicyHistory operation = "policy_history"
	opImport        operation = "import"
	opAskApproval   operation = "ask_approval"
	opApprove       operation = "approve"
	opKeys          operation = "keys"
	opRestore       operation = "restore"
	opDoctor        operation = "doctor"
	opExportLog     operation = "export_log" // the entries of one person
	opAuditLog      operation = "audit_log"  // any stretch of the log
)

// who may call a use case. A service or a member of staff may do what its
// purposes allow, which the decision judges; persons act for themselves only;
// an administrator may do everything.
type who struct {
	service, staff bool
	self           bool // the person concerned, or the guardian acting for them
	auditor        bool // whoever is to check what the company did
	// purpose: a service or a member of staff carries at least one purpose.
	// Whoever carries none has no business with what is known of a person.
	purpose bool
}

var mayCall = map[operation]who{
	opCreate:        {service: true, staff: true, purpose: true},
	opCollect:       {service: true, staff: true, self: true},
	opRead:          {service: true, staff: true, self: true},
	opLookup:        {service: true, staff: true},
	opConsent:       {service: true, staff: true, self: true},
	opSeeConsents:   {service: true, staff: true, self: true, purpose: true},
	opSeeLog:        {self: true},
	opSeeServices:   {service: true, staff: true, self: true, purpose: true},
	opSeeSubject:    {service: true, staff: true, self: true, purpose: true},
	opSeeRetention:  {service: true, staff: true, self: true, purpose: true},
	opJoin:          {service: true, staff: true, self: true, purpose: true},
	opLeave:         {service: true, staff: true, self: true},
	opEvent:         {service: true, staff: true, purpose: true},
	opUpdate:        {service: true, staff: true, purpose: true},
	opErase:         {self: true},
	opDecide:        {service: true, staff: true, self: true},
	opExplain:       {staff: true, self: true, purpose: true},
	opCount:         {service: true},
	opPublish:       {},
	opTokens:        {},
	opFindings:      {},
	opRegister:      {},
	opSeeRegister:   {staff: true},
	opPolicyHistory: {service: true, staff: true},
	opImport:        {},
	opAskApproval:   {service: true, staff: true},
	opApprove:       {staff: true, purpose: true},
	opKeys:          {},
	opRestore:       {},
	opDoctor:        {},
	opExportLog:     {self: true, auditor: true},
	opAuditLog:      {auditor: true},
	opSweep:         {},
	opForecast:      {staff: true},
	opHold:          {staff: true, purpose: true},
}

// authorise reports nil if the caller may call op about the subject; the zero
// id if op is about no subject. It judges capacity only; what may happen to
// which data is the policy's decision.
func authorise(c Call, op operation, id abide.SubjectID) error {
	w, known := mayCall[op]
	switch {
	case !known:
		return mayNot("no caller may")
	case c.Actor.Kind == "":
		return &abide.Error{Code: abide.CodeUnauthorized, Detail: "token_missing",
			Message: "nobody is known to be calling", Hint: "send a token"}
	case c.Actor.Admin, c.Actor.Kind == abide.ActorSystem, c.Actor.Auditor && w.auditor:
		return nil
	case w.purpose && isCompany(c.Actor) && len(c.Actor.Purposes) == 0:
		return mayNot("ask for a token that carries the purpose: an administrator makes one with `abide token create`")
	case c.Actor.Kind == abide.ActorService && w.service:
		return nil
	case c.Actor.Kind == abide.ActorStaff && w.staff:
		return nil
	case c.Actor.Kind == abide.ActorSubject && w.self, c.Actor.Kind == abide.ActorGuardian && w.self:
		// A person's token is made for exactly one subject, a guardian's for
		// the child: its name is that subject's id.
		if !id.IsZero() && c.Actor.Name == id.String() {
			return nil
		}
		return notFound()
	}
	return mayNot("ask for a token that may: an administrator makes one with `abide token create`")
}

// carries reports whether the actor may act for the purpose at all. Persons
// act for themselves and need none.
func carries(a abide.Actor, p abide.Purpose) bool {
	switch a.Kind {
	case abide.ActorSubject, abide.ActorGuardian, abide.ActorSystem:
		return true
	}
	return slices.Contains(a.Purposes, p)
}

// isCompany reports whether the actor works for the company and is no
// administrator: what such a caller may say and see ends with its purposes.
func isCompany(a abide.Actor) bool {
	return !a.Admin && (a.Kind == abide.ActorService || a.Kind == abide.ActorStaff)
}

// mayActFor reports whether the actor may say or see what is about one of the
// purposes.
func mayActFor(a abide.Actor, purposes ...abide.Purpose) bool {
	return !isCompany(a) || slices.ContainsFunc(purposes, func(p abide.Purpose) bool { return carries(a, p) })
}
