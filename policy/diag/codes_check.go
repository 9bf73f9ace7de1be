package diag

// Codes found while comparing words and rules, and rules with each other
// (package check).
const (
	RuleNotInProse           Code = "rule_not_in_prose"
	RuleAgainstProse         Code = "rule_against_prose"
	ProseNotInRules          Code = "prose_not_in_rules"
	PurposeNotInRules        Code = "purpose_not_in_rules"
	NamedElsewhere           Code = "named_elsewhere"
	ClauseWithoutRule        Code = "clause_without_rule"
	PromiseWithoutRule       Code = "promise_without_rule"
	WordsMissing             Code = "words_missing"
	UnknownBinding           Code = "unknown_binding"
	TranslationIncomplete    Code = "translation_incomplete"
	SuppressionUnused        Code = "suppression_unused"
	ApartUsedPerPerson       Code = "apart_used_per_person"
	NobodyBesideIdentifier   Code = "nobody_beside_identifier"
	ConsentBundled           Code = "consent_bundled"
	NeverLifted              Code = "never_lifted"
	SaleByAdvertising        Code = "sale_by_advertising"
	DeadlineWithoutCap       Code = "deadline_without_cap"
	AnchorNotReported        Code = "anchor_not_reported"
	LawNotReviewed           Code = "law_not_reviewed"
	CategoryUnused           Code = "category_unused"
	CategoryUnheld           Code = "category_unheld"
	PurposeWithoutRetention  Code = "purpose_without_retention"
	RecipientWithoutContract Code = "recipient_without_contract"
	TrackerWithoutPurpose    Code = "tracker_without_purpose"
	ChannelWithoutProtection Code = "channel_without_protection"
	ServiceNotPermitted      Code = "service_not_permitted"
	WildcardUnderConsent     Code = "wildcard_under_consent"
	DocumentsDisagree        Code = "documents_disagree"
	DocumentsUnranked        Code = "documents_unranked"
	NumberNotInRules         Code = "number_not_in_rules"
	ConsentBySilence         Code = "consent_by_silence"
	PlaceNotInRules          Code = "place_not_in_rules"
	ForbiddenAffirmed        Code = "forbidden_but_affirmed"
)

var checkCodes = []Info{
	{RuleNotInProse, Error, "rule uses what its clause never mentions", "say so in the clause, or take it out of the rule"},
	{RuleAgainstProse, Error, "rule uses what its clause denies", "change the rule or the words: as published, the clause promises not to do it"},
	{ProseNotInRules, Error, "clause names what none of its rules covers", "cover it by a rule of this clause, say it otherwise, or suppress this with a reason"},
	{PurposeNotInRules, Warning, "clause names a purpose that none of its rules covers", "cover it by a rule of this clause, say it otherwise, or suppress this with a reason"},
	{NamedElsewhere, Warning, "clause names it only where it speaks of another rule", "name it where the clause speaks of this rule, or take it out of the rule"},
	{ClauseWithoutRule, Error, "clause names data, recipients or purposes and has no rule", "give the clause a rule, or mark it informative with a reason"},
	{PromiseWithoutRule, Warning, "clause promises something and has no rule", "give the clause a rule that keeps the promise, or mark it informative with a reason"},
	{WordsMissing, Error, "no words in the language of the document", ""},
	{UnknownBinding, Error, "link binds to nothing", "bind by [words](#group.row), (#purpose.name), (#recipient.name) or (#service.name)"},
	{TranslationIncomplete, Error, "translation lacks a clause", ""},
	{SuppressionUnused, Warning, "suppression silences nothing", "take it out: what it silenced is gone"},
	{ApartUsedPerPerson, Error, "unlinked data is used per person", "use data that is collected with the person's knowledge under its own name, or do not promise to keep this apart"},
	{NobodyBesideIdentifier, Error, "data about nobody stands beside an identifier of the same device", "declare the group of data about nobody apart from the identifier: apart = [...]"},
	{ConsentBundled, Error, "one consent is asked where law wants separate ones", "ask for it separately there: in PLACE { ask = separate }"},
	{NeverLifted, Error, "rule permits what another forbids without exception", "a never beats every permit: narrow the never, or take the permit out"},
	{SaleByAdvertising, Error, "no sale is promised beside advertising that a law counts as sale", "close the purpose in those places (in PLACE { closed = true }), or take the opt-out signal as a refusal (honours = [gpc])"},
	{DeadlineWithoutCap, Error, "deadline waits for an event that may never come", "add a cap that needs no event: at_most = obtained + ..."},
	{AnchorNotReported, Error, "deadline waits for a fact that nobody reports", "let a service report it: reports = [...]"},
	{LawNotReviewed, Error, "law value that nobody reviewed is relied on", "have it reviewed, or sign for it by name: accepts_law in the document block"},
	{CategoryUnused, Warning, "category serves no purpose", "use it in a purpose, or do not collect it"},
	{CategoryUnheld, Warning, "no registered system holds the category", "name it in holds of the system that keeps it, in systems.hcl"},
	{PurposeWithoutRetention, Error, "purpose has no retention", "say how long: keep = obtained + ... or keep = EVENT + ... with at_most"},
	{RecipientWithoutContract, Error, "recipient has no contract", "add contract = { covers = residence, lapse = closes }, or name its own policy if it answers for itself"},
	{TrackerWithoutPurpose, Error, "tracker has no purpose", "say purpose = ..., or strict = true if the page cannot work without it"},
	{ChannelWithoutProtection, Warning, "channel does not say how protected it is", "declare it where the notice speaks of it: channel \"email\" { protection = in_transit }"},
	{ServiceNotPermitted, Error, "service needs what its purposes do not permit", "use the category in a purpose that the service serves, or do not demand it"},
	{WildcardUnderConsent, Error, "a whole group is used under consent", "name each category: a new row would otherwise widen what people agreed to"},
	{DocumentsDisagree, Note, "documents disagree, and one prevails", "make them say the same, if people should not need to know which prevails"},
	{NumberNotInRules, Warning, "clause states a number that its rules do not have", "change the words or the rule; a number that another clause keeps may stand beside a link to it"},
	{ConsentBySilence, Warning, "clause takes silence for agreement", "say that people are asked, or rest the purpose on another ground"},
	{PlaceNotInRules, Warning, "places of a clause and of its rules differ", "name the same places in the words and in the rules"},
	{ForbiddenAffirmed, Warning, "clause says as if it happened what its rule forbids", "deny it in the words, or do not forbid it"},
	{DocumentsUnranked, Error, "documents disagree, and none prevails", "say which prevails and among whom: yields_to in the document block of the other"},
}

// CheckCodes lists the codes of package check, in the order of declaration.
func CheckCodes() []Code {
	out := make([]Code, 0, len(checkCodes))
	for _, in := range checkCodes {
		out = append(out, in.Code)
	}
	return out
}
