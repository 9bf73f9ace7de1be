// Package source reads a policy: a folder of Markdown documents whose fenced
// blocks marked abide hold rules, notices that stay untouched with their rules
// in a sidecar, and systems.hcl, which is not published. It knows names and
// forms, not meanings: whether a name exists anywhere is the compiler's
// question.
//
// Reading never stops at a mistake. Every mistake is reported once, with its
// place in the file as it is written, and whatever can be read in spite of it
// is read.
package source

import (
	"bytes"
	"io/fs"
	"path"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy/diag"
	"github.com/abide-privacy/abide/policy/rule"
)

// SystemsFile registers where data lives. It is part of the policy's folder
// and is never published.
const SystemsFile = "systems.hcl"

// Options change where notices are looked for.
type Options struct {
	// Notices holds the notices that sidecars belong to, if they are not in the
	// policy's own folder.
	Notices fs.FS
	// NoticeFile names the notice to lay a sidecar over, by the sidecar's file,
	// instead of the one it belongs to: to see what a newer text changes.
	NoticeFile map[string]string
}

// Parse reads the policy in fsys. The set holds whatever could be read, even if
// there are errors; it is fit for compiling only if there are none.
func Parse(fsys fs.FS) (*rule.Set, *diag.Files, diag.List) { return ParseWith(fsys, Options{}) }

// ParseSidecars reads a folder of sidecars whose notices stand in another one.
func ParseSidecars(sidecars, notices fs.FS) (*rule.Set, *diag.Files, diag.List) {
	return ParseWith(sidecars, Options{Notices: notices})
}

// ParseWith is Parse with options.
func ParseWith(fsys fs.FS, o Options) (*rule.Set, *diag.Files, diag.List) {
	p := &parser{fsys: fsys, options: o, set: &rule.Set{}, files: diag.NewFiles(), names: map[string]map[string]abide.Span{}}
	p.folder()
	p.found.Sort()
	return p.set, p.files, p.found
}

type parser struct {
	fsys    fs.FS
	options Options
	set     *rule.Set
	files   *diag.Files
	found   diag.List
	names   map[string]map[string]abide.Span // kind of rule → name → where declared
}

func (p *parser) report(d diag.Diagnostic) { p.found = append(p.found, d) }

// declare takes a name, and reports false if another rule of its kind has it.
func (p *parser) declare(kind, name string, at abide.Span) bool {
	return p.declareIn(kind, kind, name, at)
}

// declareInFile is declare for what two documents may both declare, because
// one of them may prevail over the other.
func (p *parser) declareInFile(kind, name string, at abide.Span) bool {
	return p.declareIn(kind+" of "+at.File, kind, name, at)
}

func (p *parser) declareIn(space, kind, name string, at abide.Span) bool {
	taken := p.names[space]
	if taken == nil {
		taken = map[string]abide.Span{}
		p.names[space] = taken
	}
	if first, twice := taken[name]; twice {
		p.report(diag.New(diag.DuplicateName, at, "%s %s is declared twice", kind, name).WithOther(first, "first declared here").In("", name))
		return false
	}
	taken[name] = at
	return true
}

// folder reads all files, in the order of their names.
func (p *parser) folder() {
	var names []string
	err := fs.WalkDir(p.fsys, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name != "." && strings.HasPrefix(path.Base(name), ".") {
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if !e.IsDir() {
			names = append(names, name)
		}
		return nil
	})
	if err != nil {
		p.report(diag.New(diag.Unreadable, p.top("."), "the policy folder cannot be read"))
		return
	}
	sort.Strings(names)
	sidecarOf := map[string]bool{}
	for _, n := range names {
		if isSidecar(n) {
			sidecarOf[p.noticeOf(n)] = true
		}
	}
	for _, n := range names {
		switch {
		case isSidecar(n):
			p.sidecar(n)
		case path.Base(n) == SystemsFile:
			p.systems(n)
		case strings.HasSuffix(n, ".md") && !sidecarOf[n] && !strings.EqualFold(path.Base(n), "README.md"):
			p.markdown(n)
		}
	}
	if len(p.set.Documents) == 0 && !p.found.HasErrors() {
		p.report(diag.New(diag.NoDocuments, p.top("."), "there is no document here"))
	}
}

// top is the beginning of a file.
func (p *parser) top(file string) abide.Span {
	if _, ok := p.files.Text(file); !ok {
		p.files.Add(file, nil)
	}
	return p.files.Span(file, 0, 0)
}

// read returns a file's text. A byte order mark is replaced by spaces, so that
// every offset stays true.
func (p *parser) read(fsys fs.FS, name string) ([]byte, bool) {
	text, err := fs.ReadFile(fsys, name)
	if err != nil {
		p.report(diag.New(diag.Unreadable, p.top(name), "%s cannot be read", name))
		return nil, false
	}
	p.files.Add(name, text)
	if p.tooLarge(name, text) {
		return nil, false
	}
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size == 1 || r == 0 {
			p.report(diag.New(diag.NotText, p.files.Span(name, i, i+1), "%s holds bytes that are not text", name))
			return nil, false
		}
		i += size
	}
	if bytes.HasPrefix(text, []byte("\ufeff")) {
		copy(text, "   ")
	}
	return text, true
}

// document is a document while it is read.
type document struct {
	doc      *rule.Document
	declared *abide.Span // where its document block names it
	text     []byte
}

func newDocument(file string) *document {
	return &document{doc: &rule.Document{File: file, Language: "en"}}
}

// markdown reads a document that holds its own rules.
func (p *parser) markdown(name string) {
	text, ok := p.read(p.fsys, name)
	if !ok {
		return
	}
	doc := newDocument(name)
	doc.text = text
	fences := p.clauses(doc)
	p.fences(doc, fences)
	p.finish(doc)
}

// fences reads the rules of a document's fenced blocks. The document block is
// read first, wherever it stands, because findings name their clause by it.
func (p *parser) fences(doc *document, fences []fence) {
	bodies := make([]*hclsyntax.Body, len(fences))
	for i, f := range fences {
		bodies[i] = p.parseRules(f.file, f.text, f.offset)
		d := &decoder{p: p, file: f.file, doc: doc, clause: f.clause}
		d.documents(bodies[i])
	}
	for i, f := range fences {
		d := &decoder{p: p, file: f.file, doc: doc, clause: f.clause}
		d.rules(bodies[i])
	}
}

// finish gives a document what it may leave unsaid, and puts it into the set.
func (p *parser) finish(doc *document) {
	d := doc.doc
	if doc.declared == nil {
		p.report(diag.New(diag.DocumentMissing, p.top(d.File), "%s declares no document", d.File))
		return
	}
	if d.Title == "" {
		d.Title = pretty(string(d.Name))
		for _, c := range d.Clauses {
			if c.Title != "" {
				d.Title = c.Title
				break
			}
		}
	}
	if d.Name == "" || !p.declare("document", string(d.Name), *doc.declared) {
		return
	}
	p.set.Documents = append(p.set.Documents, d)
}
