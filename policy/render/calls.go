package render

// calls say the facts and requests of examples; each gets its arguments in
// words. A word that is not here is said as it is written.
var calls = map[string]func(args []string) string{
	"lives":           func(a []string) string { return "somebody who lives in " + list(a) },
	"is_in":           func(a []string) string { return "somebody who is in " + list(a) },
	"age":             func(a []string) string { return "an age of " + list(a) },
	"asked":           func(a []string) string { return "asked about " + list(a) },
	"told":            func(a []string) string { return "told about " + list(a) },
	"agreed":          func(a []string) string { return "agreed to " + list(a) },
	"indicated":       func(a []string) string { return "indicated no objection to " + list(a) },
	"refused":         func(a []string) string { return "refused " + list(a) },
	"withdrew":        func(a []string) string { return "withdrew consent to " + list(a) },
	"objected":        func(a []string) string { return "objected to " + list(a) },
	"topic_refused":   func(a []string) string { return "refused the topic " + list(a[1:]) + " of " + a[0] },
	"guardian":        func(a []string) string { return "a guardian who consented to " + list(a) },
	"accepted":        func(a []string) string { return "agreed to the document " + list(a) },
	"takes":           func(a []string) string { return "taking part in " + list(a) },
	"left":            func(a []string) string { return "having left " + list(a) },
	"happened":        ago,
	"obtained":        func(a []string) string { return ago(a) + " obtained" },
	"approvals":       func(a []string) string { return list(a) + " approvals" },
	"staff":           func(a []string) string { return "a member of staff as " + list(a) },
	"member":          func(a []string) string { return a[0] + " as one of " + list(a[1:]) },
	"contract":        func(a []string) string { return "a contract with " + a[0] + inPlaces(a[1:]) },
	"to":              func(a []string) string { return "to " + list(a) },
	"collect":         func(a []string) string { return act("collecting", a) },
	"read":            func(a []string) string { return act("looking at", a) },
	"use":             func(a []string) string { return act("using", a) },
	"contact":         func(a []string) string { return act("contacting by", a) },
	"choose":          func(a []string) string { return act("choosing by", a) },
	"disclose":        func(a []string) string { return act("disclosing", a) },
	"left_group":      func(a []string) string { return list(a) + " having left the group" },
	"held":            func(a []string) string { return "held by law: " + list(a) },
	"channel_refused": func(a []string) string { return "refused the channel " + list(a[1:]) + " of " + a[0] },
}

// ago says something and, if a stretch of time is given, how long ago it was.
func ago(args []string) string {
	if last := len(args) - 1; last > 0 {
		return list(args[:last]) + " " + args[last] + " ago"
	}
	return list(args)
}

func inPlaces(places []string) string {
	if len(places) == 0 {
		return ""
	}
	return " that covers " + list(places)
}

// act says a request: its first argument is the purpose, the others the data.
func act(doing string, args []string) string {
	if len(args) == 1 {
		return doing + " data for " + args[0]
	}
	return doing + " " + list(args[1:]) + ", for " + args[0]
}
