package render

import (
	"strconv"
	"strings"

	"github.com/abide-privacy/abide/policy/rule"
)

func (t *tables) recipientTable() *table {
	m := t.table("recipients", 3)
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
	if who := t.who(r); who != "" {
		row.Notes = append(row.Notes, who)
	}
	if len(r.Members) > 0 {
		row.Notes = append(row.Notes, t.l.List(t.identifiers(r.Members)))
	}
	var gets cell
	for _, g := range r.Gets {
		gets.Lines = append(gets.Lines, line{Label: upperFirst(t.purpose(g.Purpose.Name)),
			Address: "#" + purposeID(g.Purpose.Name), Text: t.l.List(t.categoriesOf(g.Categories))})
	}
	if len(gets.Lines) == 0 {
		gets = lines(t.l.Say("gets.none"))
	}
	row.Cells = []cell{gets, t.bound(r)}
	return row
}

// who says which class of recipients this is, and in which sectors.
func (t *tables) who(r *rule.Recipient) string {
	class := ""
	if r.Class != "" {
		class = t.said("class."+r.Class, r.Class)
	}
	switch {
	case len(r.Sectors) == 0:
		return class
	case class == "":
		return t.l.Say("sectors.alone", "sectors", t.l.List(t.identifiers(r.Sectors)))
	}
	return t.l.Say("sectors", "class", class, "sectors", t.l.List(t.identifiers(r.Sectors)))
}

func (t *tables) bound(r *rule.Recipient) cell {
	switch {
	case r.OwnPolicy != "":
		return cell{Lines: []line{{Label: t.l.Say("own_policy"), Address: r.OwnPolicy}}}
	case r.Contract == nil:
		return lines(t.l.Say("contract.none"))
	case r.Contract.Covers == "residence" && r.Contract.Lapse == "closes":
		return lines(t.l.Say("contract.residence.closes"))
	case r.Contract.Covers == "residence":
		return lines(t.l.Say("contract.residence"))
	}
	return lines(t.l.Say("contract"))
}

func (t *tables) trackerTable() *table {
	m := t.table("trackers", 4)
	var rows []tableRow
	for _, k := range t.set.Trackers {
		if t.here(k.At) {
			rows = append(rows, t.trackerRow(k))
		}
	}
	m.Bodies = one(rows)
	return m
}

func (t *tables) trackerRow(k *rule.Tracker) tableRow {
	row := tableRow{ID: "tracker-" + k.Name, Title: upperFirst(t.titled(k.Name, k.Title, k.Words))}
	kind := t.l.Say("kind.ours", "kind", upperFirst(t.said("kind."+k.Kind, k.Kind)))
	if k.Host != nil {
		kind = t.l.Say("kind.of", "kind", upperFirst(t.said("kind."+k.Kind, k.Kind)), "host", t.recipient(k.Host.Name))
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
		purpose.Lines = append(purpose.Lines, line{Text: upperFirst(t.l.Say("strict"))})
	}
	if len(purpose.Lines) == 0 {
		purpose = lines(t.l.Say("own_use"))
	}
	sees := lines(t.l.List(t.categoriesOf(k.Sees)))
	if len(k.Sees) == 0 {
		sees = lines(t.l.Say("sees.none"))
	}
	var from, keep string
	if k.After != "" {
		from = t.said("from."+k.After, k.After)
	}
	if k.Keep != nil {
		keep = t.until(k.Keep)
	}
	row.Cells = []cell{purpose, sees, lines(from, keep)}
	return row
}

// channelTable says how protected each way of reaching people is (CLAUSES C18).
func (t *tables) channelTable() *table {
	m := t.table("channels", 2)
	var rows []tableRow
	for _, ch := range t.set.Channels {
		if t.here(ch.At) {
			rows = append(rows, tableRow{ID: "channel-" + string(ch.Name), Title: upperFirst(t.channel(ch)), Cells: []cell{lines(t.protection(ch.Protection))}})
		}
	}
	m.Bodies = one(rows)
	return m
}

// channel says a channel by its words or its title, or as everybody calls it.
func (t *tables) channel(ch *rule.Channel) string {
	if key := "channel." + string(ch.Name); t.l.Has(key) && (ch.Title == "" || t.foreign) {
		if w, ok := t.translated(ch.Words); ok {
			return w
		}
		return t.l.Say(key)
	}
	return t.titled(string(ch.Name), ch.Title, ch.Words)
}

func (t *tables) protection(how string) string {
	if how == "" {
		return ""
	}
	return t.said("protection."+how, how)
}

func (t *tables) statisticTable() *table {
	m := t.table("statistics", 4)
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
	dims := make([]string, len(s.By))
	for i, d := range s.By {
		dims[i] = t.category(d.Category.Name)
		if d.Band > 0 {
			dims[i] = t.l.Say("band", "data", dims[i], "n", strconv.Itoa(d.Band))
		}
	}
	var guards []string
	if s.Smallest > 0 {
		guards = append(guards, t.l.Say("smallest", "n", strconv.Itoa(s.Smallest)))
	}
	if s.Epsilon > 0 {
		key := "noise." + s.Per
		if !t.l.Has(key) {
			key = "noise"
		}
		epsilon := strings.Replace(strconv.FormatFloat(s.Epsilon, 'g', -1, 64), ".", t.l.Say("decimal"), 1)
		guards = append(guards, t.l.Say(key, "e", epsilon))
	}
	to := t.l.List(t.recipientsOf(s.To))
	if to == "" {
		to = t.l.Say("to.none")
	}
	return tableRow{ID: "statistic-" + s.Name, Title: upperFirst(t.titled(s.Name, s.Title, s.Words)),
		Cells: []cell{lines(t.l.List(dims)), lines(guards...), lines(to)}}
}

// choiceTable says how to say no to each purpose: what follows from its ground.
func (t *tables) choiceTable() *table {
	m := t.table("choices", 3)
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
	var fine cell
	if len(p.Topics) > 0 {
		fine.Lines = append(fine.Lines, line{Text: upperFirst(t.l.Say("each.topic", "list", t.l.List(t.identifiers(p.Topics))))})
	}
	if len(p.Channels) > 0 {
		fine.Lines = append(fine.Lines, line{Text: upperFirst(t.l.Say("each.channel", "list", t.l.List(t.channelsOf(p.Channels))))})
	}
	if len(fine.Lines) == 0 {
		fine = lines(t.l.Say("each.none"))
	}
	can := lines(t.choice(p.Basis))
	for _, s := range p.Honours {
		can.Lines = append(can.Lines, line{Text: upperFirst(t.l.Say("signal", "signal", t.said("signal."+s.Name, s.Name)))})
	}
	row.Cells = []cell{can, fine}
	return row
}

// choice says what a person can do about processing on this ground.
func (t *tables) choice(b *rule.Basis) string {
	switch {
	case b == nil:
		return t.l.Say("choice.none")
	case b.Kind == rule.BasisProfile:
		return t.l.Say("choice.no_objection")
	}
	return t.said("choice."+string(b.Kind), string(b.Kind))
}

func (t *tables) channelsOf(refs []rule.Ref) []string {
	out := make([]string, len(refs))
	for i, r := range refs {
		out[i] = t.said("channel."+r.Name, r.Name)
	}
	return out
}

// nevers says what never happens, for the reader of the page.
func (t *tables) nevers() []string {
	if !t.l.English() {
		return t.neversTranslated()
	}
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
