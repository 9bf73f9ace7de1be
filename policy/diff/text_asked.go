package diff

import (
	"fmt"
	"slices"
	"strings"

	abide "github.com/abide-privacy/abide"
)

// asked says whose agreement no longer covers all that is asked for.
func (t *texter) asked() []string {
	var out []string
	for i := range t.d.Asked {
		a := &t.d.Asked[i]
		if a.Accepted != "" && t.saidAlready(a) {
			continue
		}
		who := "nobody is asked: " + string(a.Purpose)
		switch {
		case a.First:
			who = "everyone is asked for the first time: " + string(a.Purpose)
		case a.Again:
			who = "who agreed before is asked again: " + string(a.Purpose)
		}
		if a.Accepted != "" {
			who += ", for those who accepted " + string(a.Accepted)
		}
		said := who + " (" + t.where(a.Places) + ")"
		if more := a.Wider.String(); more != "" && a.Old != "" {
			said += "\nwider: " + more
		}
		if less := a.Narrow.String(); less != "" {
			said += "\nnarrower: " + less
		}
		if len(a.Denied) > 0 {
			said += "\nuntil they agree, denied: " + t.whats(a.Denied)
		}
		out = append(out, said)
	}
	return out
}

// saidAlready tells whether those who accepted nothing fare the same.
func (t *texter) saidAlready(a *Asked) bool {
	return slices.ContainsFunc(t.d.Asked, func(b Asked) bool {
		return b.Accepted == "" && b.Purpose == a.Purpose && b.alike(*a)
	})
}

// String says what terms gain or lose, "" if nothing.
func (c TermsChange) String() string {
	var out []string
	add := func(label string, words []string) {
		if len(words) > 0 {
			out = append(out, label+" "+list(words))
		}
	}
	add("uses", texts(c.Uses))
	add("contacts by", texts(c.Contacts))
	add("chooses by", texts(c.ChosenBy))
	for _, r := range c.Recipients {
		add("gives to "+string(r.Recipient)+":", texts(r.Categories))
	}
	for _, o := range c.Offers {
		add("offers of "+o.Whose+":", o.Kinds)
	}
	add("topics", texts(c.Topics))
	add("kept until", c.Keep)
	add("kept at most until", c.AtMost)
	return strings.Join(out, "; ")
}

func texts[T ~string](in []T) []string {
	out := make([]string, len(in))
	for i, x := range in {
		out[i] = string(x)
	}
	return out
}

// staff says what changes for those who act, but for what follows from what was
// said of everybody.
func (t *texter) staff() []string {
	type change struct {
		who  Actor
		what string
	}
	alike := map[change][]string{}
	var order []change
	for _, c := range t.d.Staff {
		if c.Follows {
			continue
		}
		may := "may now"
		if c.Effect == abide.Deny {
			may = "may no longer"
		}
		k := change{c.Actor, may + " " + t.whats(c.Whats)}
		if _, ok := alike[k]; !ok {
			order = append(order, k)
		}
		alike[k] = appendNew(alike[k], string(c.Purpose))
	}
	whos := map[string][]Actor{}
	var said []string
	for _, k := range order {
		s := k.what + " for " + list(alike[k])
		if _, ok := whos[s]; !ok {
			said = append(said, s)
		}
		whos[s] = append(whos[s], k.who)
	}
	for i, s := range said {
		said[i] = everyone(whos[s]) + ": " + s
	}
	return said
}

// everyone names actors: a kind or a role of which each acts so, however
// carefully, is named once.
func everyone(list []Actor) string {
	type who struct {
		kind abide.ActorKind
		role string
	}
	care := map[who]map[Actor]bool{}
	for _, a := range list {
		w := who{a.Kind, a.Role}
		if care[w] == nil {
			care[w] = map[Actor]bool{}
		}
		care[w][a] = true
	}
	var all, some []string
	for _, a := range list {
		switch w := (who{a.Kind, a.Role}); {
		case len(care[w]) < 4: // of reason and approvals, undertaking and review
			some = appendNew(some, a.String())
		case a.Role != "":
			all = appendNew(all, "staff as "+a.Role)
		default:
			all = appendNew(all, string(a.Kind))
		}
	}
	if len(all) > 0 {
		some = append([]string{"every " + conjoin(all, "and")}, some...)
	}
	return strings.Join(some, "; ")
}

// String says who acts, and how carefully.
func (a Actor) String() string {
	who := string(a.Kind)
	if a.Role != "" {
		who = "staff as " + a.Role
	}
	switch {
	case a.Diligent && a.Current:
		return who
	case a.Diligent:
		return who + " whose undertaking or review has lapsed"
	case a.Current:
		return who + " without reason or approvals"
	}
	return who + " without reason, approvals, undertaking or review"
}

func (t *texter) rules() []string {
	var out []string
	for _, r := range t.d.Rules {
		name := r.Kind
		if r.Name != "" {
			name += " " + r.Name
		}
		switch {
		case r.Was == "":
			out = append(out, fmt.Sprintf("%s is new:\n%s", name, r.Is))
		case r.Is == "":
			out = append(out, fmt.Sprintf("%s is gone:\n%s", name, r.Was))
		default:
			out = append(out, fmt.Sprintf("%s\nwas: %s\nis: %s", name, r.Was, r.Is))
		}
	}
	return out
}
