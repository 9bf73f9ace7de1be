package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/engine"
)

// mapping says what each column of the file holds.
type mapping struct {
	columns []mappedColumn
	grade   abide.Grade
}

type mappedColumn struct {
	column string
	what   string // ~reference, ~jurisdiction, ~birth_date, ~obtained, consent, consent_at, told_at, or "" for an item
	name   string // category or purpose
	index  int
}

func parseMapping(flags []string, grade abide.Grade) (*mapping, error) {
	m := &mapping{grade: grade}
	if !slices.Contains([]abide.Grade{abide.GradeProved, abide.GradeClaimed, abide.GradeUnknown}, grade) {
		return nil, usage("the grade is proved, claimed or unknown")
	}
	reference := false
	for _, f := range flags {
		i := strings.LastIndex(f, "=")
		if i <= 0 || i == len(f)-1 {
			return nil, usage("a --map is of the form COLUMN=WHAT")
		}
		c := mappedColumn{column: f[:i]}
		what := f[i+1:]
		switch {
		case what == "~reference", what == "~jurisdiction", what == "~birth_date", what == "~obtained":
			c.what = what
			reference = reference || what == "~reference"
		case strings.HasPrefix(what, "consent:"), strings.HasPrefix(what, "consent_at:"), strings.HasPrefix(what, "told_at:"):
			c.what, c.name, _ = strings.Cut(what, ":")
		case strings.Contains(what, "."):
			c.name = what
		default:
			return nil, usage("a --map names a category such as person.email, ~reference, ~jurisdiction, ~birth_date, ~obtained, consent:PURPOSE, consent_at:PURPOSE or told_at:PURPOSE")
		}
		m.columns = append(m.columns, c)
	}
	if !reference {
		return nil, usage("no column is mapped to ~reference; without it an import cannot go on after a crash")
	}
	for _, c := range m.columns {
		if c.what == "consent_at" && !m.has("consent", c.name) {
			return nil, usage("consent_at:" + c.name + " says when, but no column is mapped to consent:" + c.name)
		}
	}
	return m, nil
}

func (m *mapping) has(what, name string) bool {
	return slices.ContainsFunc(m.columns, func(c mappedColumn) bool { return c.what == what && c.name == name })
}

// bind finds the mapped columns in the header.
func (m *mapping) bind(header []string) error {
	for i := range m.columns {
		at := slices.Index(header, m.columns[i].column)
		if at < 0 {
			return usage("the file has no column named " + m.columns[i].column)
		}
		if slices.Contains(header[at+1:], m.columns[i].column) {
			return usage("the file has more than one column named " + m.columns[i].column)
		}
		m.columns[i].index = at
	}
	return nil
}

// reject is a row that does not fit: where and why, never what.
type reject struct {
	line        int64
	code, field string
}

func sortRejects(rs []reject) {
	slices.SortFunc(rs, func(a, b reject) int { return int(a.line - b.line) })
}

// rowBatch is a run of rows with where it ends.
type rowBatch struct {
	people  []engine.ImportPerson
	rejects []reject
	rows    int64
	offset  int64
	line    int64
}

func (b rowBatch) empty() bool { return b.rows == 0 }

// rowReader reads rows as people, from an offset that a progress file
// remembers.
type rowReader struct {
	file    *csvFile
	mapping *mapping
	width   int
	count   int64
}

func newRowReader(src io.ReadSeeker, comma string, m *mapping, offset, line int64) (*rowReader, error) {
	sep, n := utf8.DecodeRuneInString(comma)
	if n == 0 || n != len(comma) || sep == utf8.RuneError || strings.ContainsRune("\"\r\n", sep) {
		return nil, usage("the separator is one character, and no quote or line end")
	}
	f := &csvFile{src: src, comma: sep}
	if err := f.begin(); err != nil {
		return nil, err
	}
	header, err := f.next()
	switch {
	case errors.Is(err, io.EOF):
		return nil, usage("the file is empty; its first line names the columns")
	case err != nil:
		return nil, err
	case header.code != "":
		return nil, usage("the first line of the file cannot be read as CSV (" + header.code + ")")
	}
	if err := m.bind(header.fields); err != nil {
		return nil, err
	}
	if offset > 0 {
		if _, err := src.Seek(offset, io.SeekStart); err != nil {
			return nil, err
		}
		f = &csvFile{src: src, comma: sep, offset: offset, line: line}
	}
	return &rowReader{file: f, mapping: m, width: len(header.fields)}, nil
}

// batchBytes is how much of the file goes into one batch at most, but for its
// last row: a request has an upper limit.
const batchBytes = 128 << 10

// next reads up to n rows. At the end it returns what is left and io.EOF.
func (r *rowReader) next(n int) (rowBatch, error) {
	var b rowBatch
	from := r.file.offset
	for b.rows < int64(n) && r.file.offset-from < batchBytes {
		row, err := r.file.next()
		if err != nil {
			return b, err
		}
		r.row(&b, row)
		b.rows++
		r.count++
		b.offset, b.line = r.file.offset, r.file.line
	}
	return b, nil
}

func (r *rowReader) row(b *rowBatch, row csvRow) {
	if row.code == "" && len(row.fields) != r.width {
		row.code = "wrong_number_of_columns"
	}
	if row.code != "" {
		b.rejects = append(b.rejects, reject{row.line, row.code, ""})
		return
	}
	p, code, field := r.mapping.person(row.fields)
	if code != "" {
		b.rejects = append(b.rejects, reject{row.line, code, field})
		return
	}
	p.Row = row.line
	b.people = append(b.people, p)
}

// person makes a person of a row, or says what does not fit.
func (m *mapping) person(record []string) (p engine.ImportPerson, code, field string) {
	p.Items = map[abide.Category]json.RawMessage{}
	at := map[string]time.Time{}
	var told []engine.ImportConsent
	for _, c := range m.columns {
		v := strings.TrimSpace(record[c.index])
		if v == "" {
			continue
		}
		var err error
		switch c.what {
		case "~reference":
			p.Reference = v
		case "~jurisdiction":
			p.Jurisdiction = abide.Place(strings.ToUpper(v))
		case "~birth_date":
			if p.BirthDate, err = abide.ParseDate(v); err != nil {
				return p, "bad_date", c.column
			}
		case "~obtained":
			if p.Obtained, err = parseTime(v); err != nil {
				return p, "bad_time", c.column
			}
		case "consent":
			action, ok := consentWords[strings.ToLower(v)]
			if !ok {
				return p, "bad_consent", c.column
			}
			if action != "" {
				p.Consents = append(p.Consents, engine.ImportConsent{Purpose: abide.Purpose(c.name), Action: action, Grade: m.grade, Source: c.column})
			}
		case "consent_at":
			if at[c.name], err = parseTime(v); err != nil {
				return p, "bad_time", c.column
			}
		case "told_at":
			when, err := parseTime(v)
			if err != nil {
				return p, "bad_time", c.column
			}
			told = append(told, engine.ImportConsent{Purpose: abide.Purpose(c.name), Action: "tell", At: when, Grade: m.grade, Source: c.column})
		default:
			p.Items[abide.Category(c.name)] = itemValue(p.Items[abide.Category(c.name)], v)
		}
	}
	if p.Reference == "" {
		return p, "no_reference", ""
	}
	for i := range p.Consents {
		p.Consents[i].At = at[string(p.Consents[i].Purpose)]
	}
	p.Consents = append(told, p.Consents...) // an indication needs the notice before it
	return p, "", ""
}

// consentWords are the words of a consent column, and what they mean. A yes
// from before Abide is consent given; silence is nothing.
var consentWords = map[string]string{
	"yes": "give", "true": "give", "1": "give", "y": "give", "given": "give", "opt-in": "give",
	"no": "refuse", "false": "refuse", "0": "refuse", "n": "refuse", "refused": "refuse", "opt-out": "refuse",
	"withdrawn": "withdraw", "unsubscribed": "withdraw",
	"objected": "object", "indicated": "indicate_no_objection",
	"asked": "", "silent": "", "unknown": "",
}

// itemValue makes a JSON string of a cell; a category mapped twice becomes an
// array.
func itemValue(before json.RawMessage, v string) json.RawMessage {
	one, _ := json.Marshal(v) // a string always encodes
	if before == nil {
		return one
	}
	if before[0] == '[' {
		return append(append(before[:len(before)-1], ','), append(one, ']')...)
	}
	return bytes.Join([][]byte{[]byte("["), before, []byte(","), one, []byte("]")}, nil)
}

// progressBar shows how far a long run has come: a bar on a terminal, a plain
// line now and then elsewhere.
type progressBar struct {
	out   io.Writer
	width int
	tty   bool
	total int64
	now   func() time.Time
	last  time.Time
	shown bool
}

func (m *Main) progressBar(total int64) *progressBar {
	width, tty := terminal(m.Stderr)
	return &progressBar{out: m.Stderr, width: width, tty: tty, total: total, now: m.Now, last: m.Now()}
}

func (p *progressBar) show(done int64) {
	every := 10 * time.Second
	if p.tty {
		every = 100 * time.Millisecond
	}
	now := p.now()
	if now.Sub(p.last) < every || p.total == 0 {
		return
	}
	p.last, p.shown = now, true
	percent := min(done*100/p.total, 100)
	if !p.tty {
		fmt.Fprintf(p.out, "abide: %d %% done\n", percent)
		return
	}
	bar := max(min(p.width-12, 50), 10)
	full := int(percent) * bar / 100
	fmt.Fprintf(p.out, "\r[%s%s] %3d %%", strings.Repeat("=", full), strings.Repeat(" ", bar-full), percent)
}

func (p *progressBar) end() {
	if p.tty && p.shown {
		fmt.Fprintln(p.out)
	}
}
