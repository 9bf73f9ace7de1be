package render

import (
	"strconv"
	"strings"

	"github.com/abide-privacy/abide/policy/rule"
)

func (t *tables) recipientTable() *table {
	m := &table{ID: "recipients", Short: "Who receives it", Caption: "Who receives your data, and for what",
		Columns: []string{"Recipient", "What they get, and for what", "What binds them"}}
	var rows []tableRow
	for _, r := range t.set.Recipients {
		if t.here(r.At) {
			rows = append(rows, t.recipientRow(r))
		}
	}
	m.Bodies = one(rows)
	return m
}

func (t *tables) recipientRow(r *rule.Recipient) tableRow {
	row := tableRow{ID: "recipient-" + string(r.Name), Title: upperFirst(t.recipient(string(r.Name)))}
	who := ""
	if r.Class != "" {
		who = class(r.Class)
	}
	if len(r.Sectors) > 0 {
		who += " in " + list(prettyRefs(r.Sectors))
	}
	if who != "" {
		row.Notes = append(row.Notes, strings.TrimSpace(who))
	}
	if len(r.Members) > 0 {
		row.Notes = append(row.Notes, list(prettyRefs(r.Members)))
	}
	var gets cell
	for _, g := range r.Gets {
		gets.Lines = append(gets.Lines, line{Label: upperFirst(t.purpose(g.Purpose.Name)),
			Address: "#" + purposeID(g.Purpose.Name), Text: list(t.categoriesOf(g.Categories))})
	}
	if len(gets.Lines) == 0 {
		gets = lines("nothing from us")
	}
	row.Cells = []cell{gets, bound(r)}
	return row
}

func bound(r *rule.Recipient) cell {
	switch {
	case r.OwnPolicy != "":
		return cell{Lines: []line{{Label: "Its own policy", Address: r.OwnPolicy}}}
	case r.Contract == nil:
		return lines("no contract: nothing is disclosed under one")
	case r.Contract.Covers == "residence" && r.Contract.Lapse == "closes":
		return lines("a contract that covers the law of where you live; without it nothing is handed over")
	case r.Contract.Covers == "residence":
		return lines("a contract that covers the law of where you live")
	}
	return lines(contract(r.Contract))
}

func (t *tables) trackerTable() *table {
	m := &table{ID: "trackers", Short: "Cookies and the like", Caption: "Cookies, browser storage and widgets",
		Columns: []string{"Name", "What for", "What it sees", "From when, how long"}}
	var rows []tableRow
	for _, k := range t.set.Trackers {
		if t.here(k.At) {
			rows = append(rows, t.trackerRow(k))
		}
	}
	m.Bodies = one(rows)
	return m
}

var yourAfters = map[string]string{
	"click": "once you click it", "consent": "once you have agreed", "load": "when the page opens",
}

func (t *tables) trackerRow(k *rule.Tracker) tableRow {
	title := k.Title
	if title == "" {
		title = pretty(k.Name)
	}
	row := tableRow{ID: "tracker-" + k.Name, Title: upperFirst(title)}
	kind := upperFirst(trackerKinds[k.Kind])
	if k.Host != nil {
		kind += ", " + t.recipient(k.Host.Name)
	} else {
		kind += ", ours"
	}
	row.Notes = append(row.Notes, kind)
	if len(k.Names) > 0 {
		row.Notes = append(row.Notes, strings.Join(k.Names, ", "))
	}
	var purpose cell
	if k.Purpose != nil {
		purpose.Lines = []line{{Label: upperFirst(t.purpose(k.Purpose.Name)), Address: "#" + purposeID(k.Purpose.Name)}}
	}
	if k.Strict {
		purpose.Lines = append(purpose.Lines, line{Text: "The site cannot do without it"})
	}
	if len(purpose.Lines) == 0 {
		purpose = lines("what its own company uses it for")
	}
	sees := lines(list(t.categoriesOf(k.Sees)))
	if len(k.Sees) == 0 {
		sees = lines("nothing about you")
	}
	var keep string
	if k.Keep != nil {
		keep = until(k.Keep)
	}
	row.Cells = []cell{purpose, sees, lines(yourAfters[k.After], keep)}
	return row
}

// channelTable says how protected each way of reaching people is (CLAUSES C18).
func (t *tables) channelTable() *table {
	m := &table{ID: "channels", Short: "How safe each channel is", Caption: "How well each way of reaching us is protected",
		Columns: []string{"Channel", "Protection"}}
	var rows []tableRow
	for _, ch := range t.set.Channels {
		if t.here(ch.At) {
			rows = append(rows, tableRow{ID: "channel-" + string(ch.Name), Title: upperFirst(t.channel(ch)), Cells: []cell{lines(protections[ch.Protection])}})
		}
	}
	m.Bodies = one(rows)
	return m
}

// channel says a channel in the reader's language, if it has words in it.
func (n *names) channel(ch *rule.Channel) string {
	if w, ok := n.translated(ch.Words); ok {
		return w
	}
	if ch.Title != "" {
		return ch.Title
	}
	return pretty(string(ch.Name))
}

func (t *tables) statisticTable() *table {
	m := &table{ID: "statistics", Short: "Counts we share", Caption: "Counts that leave us, and identify nobody",
		Columns: []string{"Count", "By", "How nobody is found in it", "Who gets it"}}
	var rows []tableRow
	for _, s := range t.set.Statistics {
		if t.here(s.At) {
			rows = append(rows, t.statisticRow(s))
		}
	}
	m.Bodies = one(rows)
	return m
}

func (t *tables) statisticRow(s *rule.Statistic) tableRow {
	title := s.Title
	if title == "" {
		title = pretty(s.Name)
	}
	dims := make([]string, len(s.By))
	for i, d := range s.By {
		dims[i] = t.category(d.Category.Name)
		if d.Band > 0 {
			dims[i] += " in bands of " + strconv.Itoa(d.Band)
		}
	}
	var guards []string
	if s.Smallest > 0 {
		guards = append(guards, "no count under "+strconv.Itoa(s.Smallest))
	}
	if s.Epsilon > 0 {
		budget := "noise is added (ε = " + strconv.FormatFloat(s.Epsilon, 'g', -1, 64)
		if s.Per != "" {
			budget += " a " + pretty(s.Per)
		}
		guards = append(guards, budget+")")
	}
	to := list(t.recipientsOf(s.To))
	if to == "" {
		to = "nobody outside"
	}
	return tableRow{ID: "statistic-" + s.Name, Title: upperFirst(title), Cells: []cell{lines(list(dims)), lines(guards...), lines(to)}}
}

// choiceTable says how to say no to each purpose: what follows from its ground.
func (t *tables) choiceTable() *table {
	m := &table{ID: "choices", Short: "Your choices", Caption: "Your choices, purpose by purpose",
		Columns: []string{"Purpose", "What you can do", "One by one"}}
	var rows []tableRow
	for _, p := range t.set.Purposes {
		if t.here(p.At) {
			rows = append(rows, t.choiceRow(p))
		}
	}
	m.Bodies = one(rows)
	return m
}

func (t *tables) choiceRow(p *rule.Purpose) tableRow {
	row := tableRow{ID: "choice-" + string(p.Name), Title: upperFirst(t.purpose(string(p.Name)))}
	fine := lines(refusable("topic", prettyRefs(p.Topics)), refusable("channel", channels(p.Channels)))
	if len(fine.Lines) == 0 {
		fine = lines("all of it, or none")
	}
	can := lines(choice(p.Basis))
	if len(p.Honours) > 0 {
		can.Lines = append(can.Lines, line{Text: "The signal " + list(signals(p.Honours)) + " says no for you"})
	}
	row.Cells = []cell{can, fine}
	return row
}

func refusable(kind string, words []string) string {
	if len(words) == 0 {
		return ""
	}
	return "each " + kind + ": " + list(words)
}

// choice says what a person can do about processing on this ground.
func choice(b *rule.Basis) string {
	if b == nil {
		return "nothing to do: it does not happen"
	}
	switch b.Kind {
	case rule.BasisConsent:
		return "say no, or withdraw your consent at any time"
	case rule.BasisNoObjection, rule.BasisProfile:
		return "say no, or change your mind at any time"
	case rule.BasisLegitimate:
		return "object at any time"
	case rule.BasisContract:
		return "leave the service, and it ends"
	case rule.BasisLaw:
		return "the law leaves no choice; nothing else opens this data"
	}
	return "ask us"
}

// nevers says what never happens, for the reader of the page.
func (t *tables) nevers() []string {
	s := &speaker{names: t.names}
	for _, n := range t.set.Nevers {
		if t.here(n.At) {
			s.never(n)
		}
	}
	out := make([]string, len(s.said))
	for i, x := range s.said {
		_, out[i], _ = strings.Cut(x.Text, "): ")
		out[i] = upperFirst(out[i])
	}
	return out
}

func (t *tables) examples() []exampleLine {
	s := &speaker{names: t.names}
	var out []exampleLine
	for _, e := range t.set.Examples {
		if !t.here(e.At) {
			continue
		}
		given := make([]string, len(e.Given))
		for i, g := range e.Given {
			given[i] = s.call(g)
		}
		out = append(out, exampleLine{Name: upperFirst(e.Name), Given: list(given), Asked: s.call(e.Request), Permitted: e.Want.String() == "permit"})
	}
	return out
}
