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
	m := &table{ID: "purposes", Short: "Why we use data", Caption: "Why we use your data, and on what ground",
		Columns: []string{"Purpose", "What we use", "On what ground"}}
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
		row.Notes = append(row.Notes, "Direct marketing")
	}
	var used cell
	add := func(label string, refs []rule.Ref) {
		if len(refs) > 0 {
			used.Lines = append(used.Lines, line{Label: label, Text: list(t.categoriesOf(refs))})
		}
	}
	plain := ""
	if len(p.Contacts)+len(p.ChosenBy) > 0 {
		plain = "We use"
	}
	add(plain, p.Uses)
	add("To reach you", p.Contacts)
	add("To choose what you see", p.ChosenBy)
	if len(p.Offers) > 0 {
		used.Lines = append(used.Lines, line{Label: "To offer you", Text: (&speaker{names: t.names}).offers(p.Offers)})
	}
	if plain == "" && len(used.Lines) > 0 {
		used.Lines[0].Text = upperFirst(used.Lines[0].Text)
	}
	if len(used.Lines) == 0 {
		used = lines("no data")
	}
	row.Cells = []cell{used, t.groundCell(p)}
	return row
}

func (t *tables) groundCell(p *rule.Purpose) cell {
	ground := lines(yourBasis(p.Basis), yourAsk(p.Ask))
	if p.Within != nil {
		ground.Lines = append(ground.Lines, line{Text: "Only while this is permitted too: " + t.purpose(p.Within.Name)})
	}
	for _, in := range p.In {
		ground.Lines = append(ground.Lines, line{Label: "In " + list(places(in.Places)), Text: t.difference(in)})
	}
	return ground
}

// difference says what a place changes.
func (t *tables) difference(in *rule.PlaceRule) string {
	if in.Closed {
		return "we do not do this at all"
	}
	var parts []string
	if in.Basis != nil {
		parts = append(parts, yourBasis(in.Basis))
	}
	if in.Ask != "" {
		parts = append(parts, yourAsk(in.Ask))
	}
	if in.Lasts != nil {
		parts = append(parts, "your consent lasts "+until(in.Lasts))
	}
	if in.Keep != nil {
		parts = append(parts, "kept "+until(in.Keep))
	}
	if in.AtMost != nil {
		parts = append(parts, "kept at most "+until(in.AtMost))
	}
	return strings.Join(parts, "; ")
}

func yourBasis(b *rule.Basis) string {
	if b == nil {
		return "no ground, so we do not do it"
	}
	switch b.Kind {
	case rule.BasisConsent:
		return "your consent"
	case rule.BasisNoObjection:
		return "only after you told us, once asked, that you do not object"
	case rule.BasisContract:
		return "our contract with you"
	case rule.BasisLaw:
		said := "a duty in law"
		if b.Place != "" {
			said += " of " + place(string(b.Place))
		}
		if b.Citation != "" {
			said += ": " + b.Citation
		}
		return said
	case rule.BasisLegitimate:
		return "our legitimate interest, to which you may object"
	case rule.BasisProfile:
		what := profiles[b.Profile]
		if what == "" {
			what = pretty(b.Profile)
		}
		return "what the law on " + what + " asks where you live"
	}
	return string(b.Kind)
}

func yourAsk(how string) string {
	switch how {
	case "":
		return ""
	case "separate":
		return "we ask you on its own, never bundled with another question"
	}
	return "we ask you " + pretty(how)
}

func (t *tables) dataTable() *table {
	m := &table{ID: "data", Short: "What we hold, how long", Caption: "What we hold, why, and for how long",
		Columns: []string{"Data", "How long, and what for"}}
	for _, g := range t.set.Groups {
		if !t.here(g.At) || len(g.Categories) == 0 {
			continue
		}
		b := tableBody{ID: "data-" + g.Name, Title: upperFirst(pretty(g.Name))}
		if len(g.Apart) > 0 {
			b.Note = "never linked with " + either(quoteAll(prettyRefs(g.Apart)))
		}
		for _, c := range g.Categories {
			b.Rows = append(b.Rows, t.dataRow(c))
		}
		m.Bodies = append(m.Bodies, b)
	}
	if len(m.Bodies) == 1 && m.Bodies[0].Note == "" {
		m.Bodies[0].Title = ""
	}
	return m
}

func (t *tables) dataRow(c *rule.Category) tableRow {
	row := tableRow{ID: string(c.Name), Title: upperFirst(t.row(c))}
	if c.Level != nil {
		row.Notes = append(row.Notes, "protected as "+quote(c.Level.Name))
	}
	if what := coarsened[c.Coarsen]; what != "" {
		row.Notes = append(row.Notes, "we keep "+what)
	}
	if len(c.DerivedFrom) > 0 {
		row.Notes = append(row.Notes, "worked out from "+list(t.categoriesOf(c.DerivedFrom)))
	}
	if c.TwoParty {
		row.Notes = append(row.Notes, "belongs to both parties")
	}
	row.Cells = []cell{t.keptCell(c)}
	return row
}

// keptCell says until when a category is kept, and for which purposes: a line
// for each deadline. A deadline of the category's own cuts every purpose short.
func (t *tables) keptCell(c *rule.Category) cell {
	if c.CountPer != "" {
		return lines("counted by the " + c.CountPer + ", never kept, and tied to nobody")
	}
	var kept cell
	lineOf := map[string]int{}
	for _, p := range t.set.Purposes {
		if !uses(p, c) {
			continue
		}
		long := keptFor(p)
		if c.Keep != nil {
			long = until(c.Keep)
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
		kept = lines(until(c.Keep))
	default:
		kept = lines("not used for any purpose")
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
	return link{Title: title + " (" + p.At.Clause.Document.Title + ")"}
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
func keptFor(p *rule.Purpose) string {
	var said string
	switch {
	case p.Keep != nil && p.AtMost != nil:
		said = until(p.Keep) + ", at most " + atMost(p.AtMost)
	case p.Keep != nil:
		said = until(p.Keep)
	case p.AtMost != nil:
		said = "at most " + atMost(p.AtMost)
	default:
		return "as long as the purpose lasts"
	}
	if p.Then == "unlink" {
		said += ", then no longer tied to you"
	}
	return said
}

// atMost says the longest that data is kept, whatever happens.
func atMost(d *rule.Deadline) string {
	if d.Anchor == "obtained" {
		return orNoTime(amount(d)) + " in all"
	}
	return until(d)
}
