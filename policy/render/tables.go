package render

import (
	"strings"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy/rule"
)

// table is a table made from rules. Every row begins with its header cell.
type table struct {
	ID      string
	Short   string // for the table of contents
	Caption string
	Columns []string
	Bodies  []tableBody
	// Colon and Comma stand between what a line says.
	Colon, Comma string
}

// tableBody is a group of rows, with a heading of its own if there are several.
type tableBody struct {
	ID, Title, Note string
	Rows            []tableRow
}

type tableRow struct {
	ID    string
	Title string
	Notes []string
	Cells []cell
}

// cell holds lines, some of them about one thing each.
type cell struct {
	Column string // repeated for narrow screens
	Lines  []line
}

// line is a label and what is said of it; either may be empty.
type line struct {
	Label, Address, Text string
	For                  []link
}

// tables makes the tables of one document: of the rules that stand in it.
type tables struct {
	*names
	set      *rule.Set
	document abide.DocumentName
	ids      map[string]bool // anchors the tables put on the page
}

func (t *tables) all() []*table {
	t.ids = map[string]bool{}
	var out []*table
	for _, made := range []*table{t.purposeTable(), t.dataTable(), t.recipientTable(), t.trackerTable(), t.channelTable(), t.statisticTable(), t.choiceTable()} {
		if len(made.Bodies) == 0 {
			continue
		}
		for _, b := range made.Bodies {
			for i := range b.Rows {
				t.ids[b.Rows[i].ID] = true
				for j := range b.Rows[i].Cells {
					b.Rows[i].Cells[j].Column = made.Columns[j+1]
				}
			}
		}
		t.ids[made.ID] = true
		out = append(out, made)
	}
	t.linkLocally(out)
	return out
}

// linkLocally drops links to rows that no table of this page has.
func (t *tables) linkLocally(made []*table) {
	for _, m := range made {
		for _, b := range m.Bodies {
			for i := range b.Rows {
				for j := range b.Rows[i].Cells {
					for k := range b.Rows[i].Cells[j].Lines {
						l := &b.Rows[i].Cells[j].Lines[k]
						t.checkAddress(&l.Address)
						for n := range l.For {
							t.checkAddress(&l.For[n].Address)
						}
					}
				}
			}
		}
	}
}

func (t *tables) checkAddress(address *string) {
	if anchor, local := strings.CutPrefix(*address, "#"); local && !t.ids[anchor] {
		*address = ""
	}
}

// here tells whether a rule stands in the document being published.
func (t *tables) here(at rule.At) bool {
	return at.Clause != nil && at.Clause.Document != nil && at.Clause.Document.Name == t.document
}

func lines(texts ...string) cell {
	var c cell
	for _, x := range texts {
		if x != "" {
			c.Lines = append(c.Lines, line{Text: upperFirst(x)})
		}
	}
	return c
}

func one(rows []tableRow) []tableBody {
	if len(rows) == 0 {
		return nil
	}
	return []tableBody{{Rows: rows}}
}

func purposeID(name string) string { return "purpose-" + name }

func (t *tables) purposeTable() *table {
	m := t.table("purposes", 3)
	var rows []tableRow
	for _, p := range t.set.Purposes {
		if t.here(p.At) {
			rows = append(rows, t.purposeRow(p))
		}
	}
	m.Bodies = one(rows)
	return m
}

func (t *tables) purposeRow(p *rule.Purpose) tableRow {
	row := tableRow{ID: purposeID(string(p.Name)), Title: upperFirst(t.purpose(string(p.Name)))}
	if p.Marketing {
		row.Notes = append(row.Notes, upperFirst(t.l.Say("marketing")))
	}
	var used cell
	add := func(label string, refs []rule.Ref) {
		if len(refs) > 0 {
			used.Lines = append(used.Lines, line{Label: label, Text: t.l.List(t.categoriesOf(refs))})
		}
	}
	plain := ""
	if len(p.Contacts)+len(p.ChosenBy) > 0 {
		plain = t.l.Say("use")
	}
	add(plain, p.Uses)
	add(t.l.Say("use.reach"), p.Contacts)
	add(t.l.Say("use.choose"), p.ChosenBy)
	if len(p.Offers) > 0 {
		used.Lines = append(used.Lines, line{Label: t.l.Say("use.offer"), Text: t.offers(p.Offers)})
	}
	if plain == "" && len(used.Lines) > 0 {
		used.Lines[0].Text = upperFirst(used.Lines[0].Text)
	}
	if len(used.Lines) == 0 {
		used = lines(t.l.Say("use.none"))
	}
	row.Cells = []cell{used, t.groundCell(p)}
	return row
}

func (t *tables) groundCell(p *rule.Purpose) cell {
	ground := lines(t.basis(p.Basis), t.ask(p.Ask))
	if p.Within != nil {
		ground.Lines = append(ground.Lines, line{Text: upperFirst(t.l.Say("within", "purpose", t.purpose(p.Within.Name)))})
	}
	for _, in := range p.In {
		ground.Lines = append(ground.Lines, line{Label: t.l.Say("in", "places", t.l.List(t.places(in.Places))), Text: t.difference(in)})
	}
	return ground
}

// offers says whose goods are offered, and of which kinds.
func (t *tables) offers(offers []rule.Offer) string {
	out := make([]string, len(offers))
	for i, o := range offers {
		kinds := t.l.List(t.identifiers(o.Kinds))
		if key := "offer." + o.Whose; t.l.Has(key) {
			out[i] = t.l.Say(key, "kinds", kinds)
		} else {
			out[i] = t.l.Say("offer", "whose", t.recipient(o.Whose), "kinds", kinds)
		}
	}
	return t.l.List(out)
}

// difference says what a place changes.
func (t *tables) difference(in *rule.PlaceRule) string {
	if in.Closed {
		return t.l.Say("closed")
	}
	var parts []string
	if in.Basis != nil {
		parts = append(parts, t.basis(in.Basis))
	}
	if in.Ask != "" {
		parts = append(parts, t.ask(in.Ask))
	}
	if in.Lasts != nil {
		parts = append(parts, t.l.Say("consent_lasts", "until", t.until(in.Lasts)))
	}
	if in.Keep != nil {
		parts = append(parts, t.l.Say("kept", "until", t.until(in.Keep)))
	}
	if in.AtMost != nil {
		parts = append(parts, t.l.Say("kept_at_most", "until", t.until(in.AtMost)))
	}
	return strings.Join(parts, t.l.Say("semicolon"))
}

// basis says a ground to the person concerned.
func (t *tables) basis(b *rule.Basis) string {
	switch {
	case b == nil:
		return t.l.Say("basis.none")
	case b.Kind == rule.BasisLaw:
		said := t.l.Say("basis.law")
		if b.Place != "" {
			said = t.l.Say("basis.law.of", "place", t.place(string(b.Place)))
		}
		if b.Citation != "" {
			said += t.l.Say("colon") + b.Citation
		}
		return said
	case b.Kind == rule.BasisProfile:
		return t.said("basis."+b.Profile, pretty(b.Profile))
	}
	return t.said("basis."+string(b.Kind), string(b.Kind))
}

func (t *tables) ask(how string) string {
	if how == "" {
		return ""
	}
	return t.said("ask."+how, pretty(how))
}

func (t *tables) dataTable() *table {
	m := t.table("data", 2)
	var shown []string
	for _, g := range t.set.Groups {
		if !t.here(g.At) || len(g.Categories) == 0 {
			continue
		}
		b := tableBody{ID: "data-" + g.Name}
		if len(g.Apart) > 0 {
			apart := t.identifiers(g.Apart)
			for i := range apart {
				apart[i] = t.l.Quote(apart[i])
			}
			b.Note = t.l.Say("apart", "groups", t.l.Either(apart))
		}
		for _, c := range g.Categories {
			b.Rows = append(b.Rows, t.dataRow(c))
		}
		m.Bodies = append(m.Bodies, b)
		shown = append(shown, g.Name)
	}
	if len(m.Bodies) > 1 || len(m.Bodies) == 1 && m.Bodies[0].Note != "" {
		for i := range m.Bodies {
			m.Bodies[i].Title = upperFirst(t.identifier(shown[i]))
		}
	}
	return m
}

func (t *tables) dataRow(c *rule.Category) tableRow {
	row := tableRow{ID: string(c.Name), Title: upperFirst(t.row(c))}
	if c.Level != nil {
		row.Notes = append(row.Notes, t.l.Say("level", "level", t.l.Quote(t.identifier(c.Level.Name))))
	}
	if key := "coarsen." + c.Coarsen; t.l.Has(key) {
		row.Notes = append(row.Notes, t.l.Say(key))
	}
	if len(c.DerivedFrom) > 0 {
		row.Notes = append(row.Notes, t.l.Say("derived", "data", t.l.List(t.categoriesOf(c.DerivedFrom))))
	}
	if c.TwoParty {
		row.Notes = append(row.Notes, t.l.Say("two_party"))
	}
	row.Cells = []cell{t.keptCell(c)}
	return row
}

// keptCell says until when a category is kept, and for which purposes: a line
// for each deadline. A deadline of the category's own cuts every purpose short.
func (t *tables) keptCell(c *rule.Category) cell {
	if c.CountPer != "" {
		return lines(t.said("counted."+c.CountPer, c.CountPer))
	}
	var kept cell
	lineOf := map[string]int{}
	for _, p := range t.set.Purposes {
		if !uses(p, c) {
			continue
		}
		long := t.keptFor(p)
		if c.Keep != nil {
			long = t.until(c.Keep)
		}
		i, ok := lineOf[long]
		if !ok {
			i = len(kept.Lines)
			lineOf[long] = i
			kept.Lines = append(kept.Lines, line{Label: upperFirst(long)})
		}
		kept.Lines[i].For = append(kept.Lines[i].For, t.purposeLink(p))
	}
	switch {
	case len(kept.Lines) > 0:
	case c.Keep != nil:
		kept = lines(t.until(c.Keep))
	default:
		kept = lines(t.l.Say("unused"))
	}
	return kept
}

// purposeLink leads to a purpose's row; one that another document declares is
// named with that document.
func (t *tables) purposeLink(p *rule.Purpose) link {
	title := t.purpose(string(p.Name))
	if t.here(p.At) || p.At.Clause == nil || p.At.Clause.Document == nil {
		return link{Title: title, Address: "#" + purposeID(string(p.Name))}
	}
	return link{Title: t.l.Say("parens", "x", title, "y", p.At.Clause.Document.Title)}
}

// uses tells whether a purpose uses a category, by name or by its group.
func uses(p *rule.Purpose, c *rule.Category) bool {
	for _, refs := range [][]rule.Ref{p.Uses, p.Contacts, p.ChosenBy} {
		for _, r := range refs {
			if r.Name == string(c.Name) || c.Group != nil && r.Name == c.Group.Name {
				return true
			}
		}
	}
	return false
}

// keptFor says how long a purpose keeps what it uses.
func (t *tables) keptFor(p *rule.Purpose) string {
	var parts []string
	if p.Keep != nil {
		parts = append(parts, t.until(p.Keep))
	}
	if p.AtMost != nil {
		parts = append(parts, t.atMost(p.AtMost))
	}
	if len(parts) == 0 {
		parts = append(parts, t.l.Say("while_purpose"))
	}
	if p.Then == "unlink" {
		parts = append(parts, t.l.Say("unlinked"))
	}
	return strings.Join(parts, t.l.Say("comma"))
}

// atMost says the longest that data is kept, whatever happens.
func (t *tables) atMost(d *rule.Deadline) string {
	if d.Anchor == "obtained" {
		return t.l.Say("cap.obtained", "time", t.time(d))
	}
	return t.l.Say("cap", "until", t.until(d))
}
