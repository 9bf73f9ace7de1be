// Package diff says exactly what changes from one policy to another: what
// becomes permitted, what becomes forbidden, and who must be asked again.
//
// # The space
//
// "Exactly" is meant over a finite space of requests, in which every point is
// decided as policy.Decide decides it. A point is
//
//	who acts    a service whose token carries every purpose and that states a
//	            reason and has all approvals
//	purpose     every purpose of either policy
//	act         all of abide.Acts
//	category    every category of either policy, one at a time
//	recipient   for disclose: every class of either policy, in the register and
//	            under a contract for all places; with or without value in return
//	service     for collect: none, or one that the person takes part in
//	channel     for contact: none, or any that either policy or law knows
//	topic       for contact: none, or any that either policy knows
//	person      known as a person, a visitor, or only through others
//	place       where they live, and where they are if law looks at that: every
//	            place of either policy's rules and law profiles, one that none
//	            of them names, and none
//	age         unknown, said to be a minor, and one age on each side of every
//	            limit of law; with no guardian, a verified one, and one who
//	            agreed to everything
//	standing    what the person said to the purpose, on each policy's own terms:
//	            nothing, no, an objection, no objection after being told, yes
//	            among other questions, yes on its own; proved, claimed or of
//	            unknown grade. Or that they said yes to everything but one
//	            purpose within which this one stands, and so to that.
//	documents   accepted: none, or one of those that prevail over another
//
// Staff are compared apart, over role, purpose, act and category, for a person
// about whom all else is in order, with and without reason and approvals, and
// with and without a current undertaking and reviews.
//
// What depends on time alone (retention, how long a consent lasts) is compared
// as written, place by place, and reported with who is asked again. What two
// categories do to each other (kept apart, never linked) and legal requests are
// compared as rules, in Difference.Rules.
package diff

import (
	"slices"
	"sort"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy"
)

// What is the part of a point that says what is done.
type What struct {
	Act       abide.Act       `json:"act"`
	Category  abide.Category  `json:"category"`
	Recipient abide.Recipient `json:"recipient,omitempty"`
	ForValue  bool            `json:"for_value,omitempty"`
	Service   abide.Service   `json:"service,omitempty"`
	Channel   abide.Channel   `json:"channel,omitempty"`
	Topic     abide.Topic     `json:"topic,omitempty"`
	// Kind of person; it is here because some data exists for visitors only.
	Kind abide.SubjectKind `json:"kind"`
}

// Age is a class of age and guardianship.
type Age struct {
	Years    int    `json:"years"`              // -1: unknown
	Declared bool   `json:"declared,omitempty"` // the person says they are a minor
	Guardian string `json:"guardian"`           // none, verified, agreed
}

// Standing is what a person said. Of is empty for the purpose itself; else it
// is a purpose within which it stands, and the person said a proved yes, asked
// on its own, to all others.
type Standing struct {
	Of    abide.Purpose `json:"of,omitempty"`
	Said  Said          `json:"said"`
	Grade abide.Grade   `json:"grade,omitempty"`
}

// Said is what somebody said when asked, if anything.
type Said string

// What a person may have said.
const (
	SaidNothing  Said = "nothing"
	SaidNo       Said = "no"
	SaidObjected Said = "objected"
	SaidNoObject Said = "no_objection"
	SaidBundled  Said = "yes_among_others"
	SaidYes      Said = "yes_on_its_own"
)

// Place is where a person lives and is. "" is unknown.
type Place struct {
	Residence   abide.Place `json:"residence"`
	Whereabouts abide.Place `json:"whereabouts,omitempty"`
}

// nowhere is a place that no rule and no law profile names: ISO 3166 leaves the
// code to its users.
const nowhere abide.Place = "ZZ"

// noon is the instant of every point. Nothing in the space depends on it.
var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// long is before whatever was said, signed or reviewed.
var long = noon.AddDate(0, 0, -1)

var (
	inOrder  = Standing{Said: SaidYes, Grade: abide.GradeProved}
	grownUp  = Age{Years: 120, Guardian: "none"}
	kinds    = []abide.SubjectKind{abide.Person, abide.Visitor, abide.Other}
	grades   = []abide.Grade{abide.GradeProved, abide.GradeClaimed, abide.GradeUnknown}
	channels = []abide.Channel{"email", "phone", "post", "push", "sms"} // those that law profiles tell apart
)

// Standings lists what a person may have said about one purpose.
func Standings(of abide.Purpose) []Standing {
	out := []Standing{{Of: of, Said: SaidNothing}, {Of: of, Said: SaidNo}, {Of: of, Said: SaidObjected}}
	for _, said := range []Said{SaidNoObject, SaidBundled, SaidYes} {
		for _, g := range grades {
			out = append(out, Standing{Of: of, Said: said, Grade: g})
		}
	}
	return out
}

// Space holds the names over which two policies are compared.
type Space struct {
	Purposes   []abide.Purpose
	Categories []abide.Category
	Recipients []abide.Recipient
	Services   []abide.Service
	Channels   []abide.Channel // beside ""
	Topics     []abide.Topic   // beside ""
	Places     []abide.Place   // "" among them
	Ages       []Age
	Documents  []abide.DocumentName // "" and those that prevail
	register   policy.Register
}

// NewSpace is the space of two policies.
func NewSpace(policies ...*policy.Policy) *Space {
	s := &Space{Documents: []abide.DocumentName{""}, Places: []abide.Place{"", nowhere}, Channels: slices.Clone(channels)}
	limits := []int{0}
	for _, p := range policies {
		for _, u := range p.Purposes() {
			s.Purposes = append(s.Purposes, u.Name)
			s.Channels = append(s.Channels, u.Channels...)
			s.Topics = append(s.Topics, u.Topics...)
		}
		for _, c := range p.Categories() {
			s.Categories = append(s.Categories, c.Name)
		}
		for _, r := range p.Recipients() {
			s.Recipients = append(s.Recipients, r.Name)
		}
		for _, v := range p.Services() {
			s.Services = append(s.Services, v.Name)
		}
		for _, d := range p.Documents() {
			if len(d.Prevails) > 0 {
				s.Documents = append(s.Documents, d.Name)
			}
		}
		s.Places = append(s.Places, p.PlaceNames()...)
		limits = append(limits, p.AgeLimits()...)
	}
	s.Purposes, s.Categories, s.Recipients = distinct(s.Purposes), distinct(s.Categories), distinct(s.Recipients)
	s.Services, s.Channels, s.Topics = distinct(s.Services), distinct(s.Channels), distinct(s.Topics)
	s.Places, s.Documents = distinct(s.Places), distinct(s.Documents)
	s.Ages = agesAround(limits)
	s.register = s.makeRegister(policies)
	return s
}

func distinct[T ~string](in []T) []T {
	slices.Sort(in)
	return slices.Compact(in)
}

// agesAround lists one age between each two limits, and the unknown.
func agesAround(limits []int) []Age {
	sort.Ints(limits)
	years := []int{-1}
	years = append(years, slices.Compact(limits)...)
	var out []Age
	for _, g := range []string{"none", "verified", "agreed"} {
		out = append(out, Age{Years: -1, Declared: true, Guardian: g})
		for _, y := range years {
			out = append(out, Age{Years: y, Guardian: g})
		}
	}
	return out
}

// makeRegister has everything in order: every class has itself as a member,
// with a contract for all places, and every review was done yesterday.
func (s *Space) makeRegister(policies []*policy.Policy) policy.Register {
	var reg policy.Register
	for _, r := range s.Recipients {
		reg.Members = append(reg.Members, policy.Member{Name: r, Class: r})
		reg.Contracts = append(reg.Contracts, policy.ContractFact{Recipient: r, Signed: long, Covers: s.Places})
	}
	reg.Staff = []policy.StaffFact{{Name: "current", UndertakingEnds: noon.AddDate(1, 0, 0), ReviewedAt: long}, {Name: "lapsed"}}
	for _, p := range policies {
		for _, r := range p.Set().Reviews {
			reg.Reviews = append(reg.Reviews, policy.ReviewFact{Name: r.Name, At: long})
		}
	}
	return reg
}

// Point is a request by a service about a person, as far as a policy tells one
// from another.
type Point struct {
	Purpose  abide.Purpose
	Accepted abide.DocumentName // "" for none
	What
	Place
	Standing
	Age
}

// Permits decides a point. It is what the whole package is measured against.
func (s *Space) Permits(p *policy.Policy, pt Point) bool {
	pr := s.probe(p, pt.Purpose, pt.Accepted)
	return pr.permits(&pt.What, pt.Place, pt.Standing, pt.Age)
}
