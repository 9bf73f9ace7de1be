package diff

import (
	"fmt"
	"slices"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy"
)

// Actor is who acts, as far as a policy tells one from another.
type Actor struct {
	Kind abide.ActorKind `json:"kind"`
	Role string          `json:"role,omitempty"`
	// Diligent: a reason is stated and every approval is there.
	Diligent bool `json:"diligent"`
	// Current: undertaking, access review and the policy's own reviews are.
	Current bool `json:"current"`
}

// StaffChange is what some actors may do newly, or no longer, about a person
// about whom all else is in order.
type StaffChange struct {
	Effect  abide.Effect  `json:"effect"`
	Purpose abide.Purpose `json:"purpose"`
	Actor   Actor         `json:"actor"`
	Whats   []What        `json:"whats"`
	// Follows is set if it follows from a change for everybody, and the rules
	// about roles and levels stay as they are.
	Follows bool `json:"follows,omitempty"`
}

// staffSpace holds the actors over which two policies are compared.
type staffSpace struct {
	*Space
	actors []Actor
	same   bool   // roles, levels and reviews are the same in both
	lapsed *Space // the same, but no review was done
}

// Actors lists every actor of the space: each role, and who acts without one.
func Actors(policies ...*policy.Policy) []Actor {
	var roles []string
	for _, p := range policies {
		for _, r := range p.Set().Roles {
			roles = append(roles, r.Name)
		}
	}
	slices.Sort(roles)
	var out []Actor
	for _, diligent := range []bool{true, false} {
		for _, current := range []bool{true, false} {
			for _, k := range []abide.ActorKind{abide.ActorService, abide.ActorSubject, abide.ActorGuardian, abide.ActorSystem} {
				out = append(out, Actor{Kind: k, Diligent: diligent, Current: current})
			}
			for _, r := range slices.Compact(roles) {
				out = append(out, Actor{Kind: abide.ActorStaff, Role: r, Diligent: diligent, Current: current})
			}
		}
	}
	return out
}

func newStaffSpace(s *Space, old, new *policy.Policy) *staffSpace {
	st := &staffSpace{Space: s, actors: Actors(old, new), same: staffRules(old) == staffRules(new)}
	lapsed := *s
	lapsed.register.Reviews = nil
	st.lapsed = &lapsed
	return st
}

// staffRules is all that a decision asks about actors, as one text.
func staffRules(p *policy.Policy) string {
	set := p.Set()
	var out string
	for _, r := range set.Roles {
		out += fmt.Sprintf("role %q %q %q %v\n", r.Name, names(r.Purposes), names(r.Reads), r.Acts)
		if r.Level != nil {
			out += "  " + r.Level.Name + "\n"
		}
	}
	for _, l := range set.Levels {
		out += fmt.Sprintf("level %q %q %v %d %v %d\n", l.Name, names(l.FloorFor), l.Reason, l.Approvals, l.Undertaking, l.ReviewEvery)
		if l.Above != nil {
			out += "  " + l.Above.Name + "\n"
		}
	}
	for _, r := range set.Reviews {
		out += fmt.Sprintf("review %q %d\n", r.Name, r.Every)
		if r.Closes != nil {
			out += "  " + r.Closes.Name + "\n"
		}
	}
	for _, c := range p.Categories() {
		out += string(c.Name) + " " + c.Level + "\n"
	}
	return out
}

// permits decides whether an actor may do something about a person about whom
// all else is in order, somewhere known.
func (st *staffSpace) permits(pr *probe, a Actor, w *What, place Place) bool {
	if pr.purpose == nil {
		return false
	}
	r := &pr.request
	reason, approvals, actor := r.Reason, r.Approvals, r.Actor
	r.Actor = abide.Actor{Kind: a.Kind, Name: "lapsed", Role: a.Role, Purposes: pr.purposes[:]}
	if !a.Diligent {
		r.Reason, r.Approvals = "", 0
	}
	was := pr.space
	pr.space = st.lapsed
	if a.Current {
		r.Actor.Name = "current"
		pr.space = st.Space
	}
	ok := pr.permits(w, place, inOrder, grownUp)
	pr.space = was
	r.Reason, r.Approvals, r.Actor = reason, approvals, actor
	return ok
}

// compare compares one purpose for all actors, at the first place that permits
// anything.
func (st *staffSpace) compare(name abide.Purpose, rs *rows, before, after *probe) []StaffChange {
	before.ask(name, "")
	after.ask(name, "")
	var whats []*What
	for i := range rs.whats {
		if w := &rs.whats[i]; w.Kind == abide.Person && rs.tail[i] < 0 && w.Service == "" && !w.ForValue {
			whats = append(whats, w)
		}
	}
	var place Place
	if !st.openPlace(before, after, whats, &place) {
		return nil
	}
	var out []StaffChange
	for _, w := range whats {
		was, is := before.permits(w, place, inOrder, grownUp), after.permits(w, place, inOrder, grownUp)
		if st.same && was == is {
			continue // the actor's own check is the same in both
		}
		for _, a := range st.actors {
			x, y := st.permits(before, a, w, place), st.permits(after, a, w, place)
			if x == y {
				continue
			}
			effect := abide.Deny
			if y {
				effect = abide.Permit
			}
			out = addStaff(out, StaffChange{Effect: effect, Purpose: name, Actor: a, Whats: []What{*w}, Follows: st.same})
		}
	}
	return out
}

// openPlace finds a residence at which either policy permits the purpose
// something.
func (st *staffSpace) openPlace(before, after *probe, whats []*What, place *Place) bool {
	for _, residence := range st.Places {
		if residence == "" {
			continue
		}
		for _, w := range whats {
			*place = Place{Residence: residence}
			if before.permits(w, *place, inOrder, grownUp) || after.permits(w, *place, inOrder, grownUp) {
				return true
			}
		}
	}
	return false
}

func addStaff(to []StaffChange, c StaffChange) []StaffChange {
	for i := range to {
		if to[i].Effect == c.Effect && to[i].Actor == c.Actor {
			to[i].Whats = append(to[i].Whats, c.Whats...)
			return to
		}
	}
	return append(to, c)
}
