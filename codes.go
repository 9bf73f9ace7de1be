package abide

import "errors"

// ReasonCode is a stable name of a reason. Codes are never reused.
type ReasonCode string

// Reasons of a permit: the ground it rests on.
const (
	PermitConsent      ReasonCode = "consent"
	PermitNoObjection  ReasonCode = "no_objection"
	PermitContract     ReasonCode = "contract"
	PermitLegal        ReasonCode = "legal_obligation"
	PermitLegitimate   ReasonCode = "legitimate_interest"
	PermitOptOut       ReasonCode = "not_opted_out"
	PermitLegalRequest ReasonCode = "legal_request"
	PermitNobody       ReasonCode = "about_nobody"
)

// Reasons of a denial, in the order in which they are judged (DESIGN section 2).
const (
	DenyUnknownPurpose    ReasonCode = "unknown_purpose"
	DenyUnknownCategory   ReasonCode = "unknown_category"
	DenyUnknownRecipient  ReasonCode = "unknown_recipient"
	DenyUnknownAct        ReasonCode = "unknown_act"
	DenyUnknownPlace      ReasonCode = "unknown_place"
	DenyUnknownActor      ReasonCode = "unknown_actor"
	DenyUnknownService    ReasonCode = "unknown_service"
	DenyUnknownTopic      ReasonCode = "unknown_topic"
	DenyUnknownChannel    ReasonCode = "unknown_channel"
	DenyUnknownTime       ReasonCode = "unknown_time"
	DenyNoCategories      ReasonCode = "no_categories"
	DenyNobodyKnown       ReasonCode = "no_facts"
	DenyNever             ReasonCode = "never"
	DenyErased            ReasonCode = "erased"
	DenyRestricted        ReasonCode = "restricted"
	DenyMinor             ReasonCode = "minor"
	DenyMinorNoGuardian   ReasonCode = "minor_without_guardian"
	DenyAgeUnknown        ReasonCode = "age_unknown"
	DenyHeldByLaw         ReasonCode = "held_by_law"
	DenyKnownThrough      ReasonCode = "known_only_through_others"
	DenyClosedPlace       ReasonCode = "purpose_closed_in_place"
	DenyNotAccepted       ReasonCode = "document_not_accepted"
	DenyNotCovered        ReasonCode = "purpose_does_not_cover"
	DenyOnlyTo            ReasonCode = "only_to"
	DenyApart             ReasonCode = "kept_apart"
	DenyNotLinked         ReasonCode = "about_nobody_not_readable"
	DenyActorPurpose      ReasonCode = "actor_lacks_purpose"
	DenyActorRole         ReasonCode = "actor_lacks_role"
	DenyUndertaking       ReasonCode = "undertaking_not_current"
	DenyReview            ReasonCode = "access_review_not_current"
	DenyReasonMissing     ReasonCode = "reason_missing"
	DenyOverdueReview     ReasonCode = "level_closed_by_overdue_review"
	DenyApprovalsMissing  ReasonCode = "approvals_missing"
	DenyNotRecipient      ReasonCode = "recipient_does_not_get"
	DenyNotRegistered     ReasonCode = "recipient_not_registered"
	DenyNoContract        ReasonCode = "recipient_without_contract"
	DenyContractPlace     ReasonCode = "contract_does_not_cover_place"
	DenyNoConsent         ReasonCode = "no_consent"
	DenyRefused           ReasonCode = "refused"
	DenyWithdrawn         ReasonCode = "withdrawn"
	DenyConsentExpired    ReasonCode = "consent_expired"
	DenyObjected          ReasonCode = "objected"
	DenySilent            ReasonCode = "asked_and_silent"
	DenyNotTold           ReasonCode = "not_told"
	DenyTopicRefused      ReasonCode = "topic_refused"
	DenyChannelRefused    ReasonCode = "channel_refused"
	DenyTermsNotCovered   ReasonCode = "terms_not_covered"
	DenyTermsUnknown      ReasonCode = "terms_unknown"
	DenyGrade             ReasonCode = "consent_grade_too_low"
	DenyNotSeparate       ReasonCode = "consent_not_separate"
	DenyNotParticipating  ReasonCode = "not_participating"
	DenySourceStopped     ReasonCode = "source_must_stop"
	DenyDerived           ReasonCode = "source_of_derived_not_permitted"
	DenyRetention         ReasonCode = "retention_passed"
	DenyOrderScope        ReasonCode = "outside_order_scope"
	DenyOrderIncomplete   ReasonCode = "order_incomplete"
	DenyPolicyUnavailable ReasonCode = "policy_unavailable"
	DenyRestoredGap       ReasonCode = "restored_gap"
)

// Code is the class of an error, which decides the HTTP status and the exit
// code of the CLI.
type Code string

// The classes of error. There are few on purpose; Error.Detail says more.
const (
	CodeInvalid        Code = "invalid"         // the caller must change the request
	CodeUnauthorized   Code = "unauthorized"    // no or no valid credentials
	CodeDenied         Code = "denied"          // a decision refused; reasons come along
	CodeNotFound       Code = "not_found"       // no such thing, or not for this caller to know
	CodeErased         Code = "erased"          // the subject was erased
	CodeConflict       Code = "conflict"        // another change came first, or the value is taken
	CodeTooLarge       Code = "too_large"       // over a size or rate limit
	CodeUnavailable    Code = "unavailable"     // try again; nothing was done
	CodeOutcomeUnknown Code = "outcome_unknown" // the change may or may not be durable: retry with the same Idempotency-Key
	CodeInternal       Code = "internal"        // our fault; the log has a reference
)

// Error is what a caller sees. Message and Hint are fixed texts or hold only
// names from the policy: never a personal value.
type Error struct {
	Code     Code
	Detail   string    // stable, finer code: "bad_email", "value_taken"
	Message  string    // one sentence: what is wrong
	Hint     string    // what to do next
	Field    string    // the input's name, such as a category; never its value
	Decision *Decision // for CodeDenied
	Err      error     // the cause, for errors.Is; it is never shown to callers
}

func (e *Error) Error() string {
	s := string(e.Code)
	if e.Detail != "" {
		s += " (" + e.Detail + ")"
	}
	s += ": " + e.Message
	if e.Field != "" {
		s += " [" + e.Field + "]"
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// ErrorCode returns the class of err, CodeInternal if it carries none, and ""
// for nil.
func ErrorCode(err error) Code {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return CodeInternal
}

// ErrorDetail returns the finer code of err, or "".
func ErrorDetail(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Detail
	}
	return ""
}

// ErrorField returns the name of the input that err is about, or "".
func ErrorField(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Field
	}
	return ""
}

// Denied wraps a refusing decision as an error.
func Denied(d Decision) *Error {
	return &Error{Code: CodeDenied, Detail: "denied", Message: "the policy does not permit this",
		Hint: "the reasons name each clause that refuses", Decision: &d}
}
