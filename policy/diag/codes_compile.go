package diag

// Codes found while compiling (package policy).
const (
	UnknownName       Code = "unknown_name"
	UnknownPlace      Code = "unknown_place"
	NameTwice         Code = "name_twice"
	LevelCycle        Code = "level_cycle"
	DerivedCycle      Code = "derived_cycle"
	WithinCycle       Code = "within_cycle"
	PlaceTie          Code = "place_tie"
	FloorLoosened     Code = "law_floor_loosened"
	LevelBelowFloor   Code = "level_below_floor"
	TooManyLevels     Code = "too_many_levels"
	BasisMissing      Code = "basis_missing"
	LawsMissing       Code = "law_profiles_missing"
	LawValueMissing   Code = "law_value_missing"
	LawProfile        Code = "law_profile_wrong"
	ControllerPlace   Code = "controller_place_unknown"
	GetsNotUsed       Code = "gets_not_used"
	PrecedenceCircle  Code = "precedence_circle"
	CategoryOfNobody  Code = "nobody_used_for_person"
	ExampleFails      Code = "example_fails"
	ExampleUnreadable Code = "example_unreadable"
)

var compileCodes = []Info{
	{UnknownName, Error, "name is not declared", ""},
	{UnknownPlace, Error, "place is not known", "use ISO 3166 codes (HK, US-CA) or a group that the law profiles name (EU, EEA)"},
	{NameTwice, Error, "name is declared twice", "rename or remove one of the two"},
	{LevelCycle, Error, "levels stand above each other in a circle", "let one of them stand above nothing"},
	{DerivedCycle, Error, "categories derive from each other in a circle", "name as source only what was collected first"},
	{WithinCycle, Error, "purposes stand within each other in a circle", "let one of them stand on its own"},
	{PlaceTie, Error, "two rules for the same place disagree on which is nearer", "set it in one of them, or in a rule for the narrower place"},
	{FloorLoosened, Error, "rule asks for less than the law profile of the place", "a law profile is a floor: repeat it, tighten it, or have the profile corrected and reviewed"},
	{LevelBelowFloor, Error, "level lies below the floor of its group", "choose the floor or a level above it"},
	{TooManyLevels, Error, "more than eight levels make demands", "merge levels that ask for the same"},
	{BasisMissing, Error, "purpose has no legal basis", "say basis = consent, no_objection(…), contract, law(…), legitimate_interest or law.direct_marketing"},
	{LawsMissing, Error, "law profiles are not loaded", "load package laws, or name the basis itself"},
	{LawProfile, Error, "a law profile of the policy cannot be used", "write a JSON list of profiles: [{\"place\": \"DE\", \"values\": [{\"key\": \"age_of_digital_consent\", \"value\": \"16\", \"source\": \"our counsel\", \"as_of\": \"2026-01-31\"}]}]"},
	{LawValueMissing, Error, "law profiles do not know this value", "law.direct_marketing and law.cookies are there"},
	{ControllerPlace, Error, "controller's place cannot be told", "end the controller with its country, as in \"Lantern Ltd, Hong Kong\", or leave controller out of law_of"},
	{GetsNotUsed, Error, "recipient gets what the purpose does not use", "add the category to the purpose's uses, or take it from gets"},
	{PrecedenceCircle, Error, "documents prevail over each other in a circle", "let one of them prevail"},
	{CategoryOfNobody, Error, "data about nobody is used for a person", "remove the category from the rule, or stop counting it per period"},
	{ExampleFails, Error, "example comes out otherwise", ""},
	{ExampleUnreadable, Error, "example cannot be read", ""},
}
