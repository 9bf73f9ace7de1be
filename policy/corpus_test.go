package policy_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/tools/txtar"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/laws"
	"github.com/abide-privacy/abide/policy"
	"github.com/abide-privacy/abide/policy/diag"
	"github.com/abide-privacy/abide/policy/load"
	"github.com/abide-privacy/abide/policy/source"
)

// The corpus says what policies mean, case by case. An archive holds a policy,
// and either the findings wanted of it or cases to decide:
//
//	*.md, *.hcl       the policy; notices/… are notices beside it
//	old/…             an earlier policy, whose terms are in the archive
//	laws              "none": the policy is loaded without law profiles
//	laws.json         an operator's profiles over those that are shipped
//	register.json     a policy.Register
//	case NAME         facts, request and what is wanted:
//
//	facts   policy.Facts as JSON, or null. A consent is proved, asked on its
//	        own, told, of 1 December 2025 and to the terms in force unless it
//	        says otherwise; "terms": "old" are those of the earlier policy.
//	request policy.Request as JSON. The actor is a service that carries the
//	        purpose, and it is noon on 1 January 2026, unless it says otherwise.
//	want    permit or deny, then each reason with its clause and line and the
//	        category it concerns, what part of the request is permitted, and
//	        the obligations.
//
//	want              the findings, all of them: place, severity, code, name
//
// Without want, a policy must have no errors. Run with -update to write what
// comes out, and then read every line of it.
var updateCorpus = flag.Bool("update", false, "write what comes out into the corpus")

// unreachable lists codes that no policy and no request can bring about, with
// the reason. Everything else must occur in the corpus.
var unreachable = map[string]string{
	reasonKey(abide.DenyPolicyUnavailable): "given by the engine when it has no policy to decide by",
	findingKey(diag.Unreadable):            "a file that cannot be opened; see TestUnreadableFile",
}

// A reason and a finding may have the same name.
func reasonKey(c abide.ReasonCode) string { return "reason " + string(c) }
func findingKey(c diag.Code) string       { return "finding " + string(c) }

func TestCorpus(t *testing.T) {
	names, err := filepath.Glob("testdata/corpus/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatal("no corpus", err)
	}
	seen, cases := map[string]int{}, 0
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			c := openCorpus(t, a)
			cases += c.run(t, seen)
			if *updateCorpus && !t.Failed() {
				if err := os.WriteFile(name, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
	if t.Failed() {
		return
	}
	t.Logf("%d cases in %d archives", cases, len(names))
	if cases < 150 {
		t.Errorf("%d cases, want at least 150", cases)
	}
	for _, code := range allCodes(t) {
		why, never := unreachable[code]
		switch {
		case seen[code] == 0 && !never:
			t.Errorf("%s occurs in no case: add one, or say why it cannot occur", code)
		case seen[code] > 0 && never:
			t.Errorf("%s is said to be unreachable (%s), but it occurs", code, why)
		}
	}
}

// allCodes are the codes of reasons, read from where they are declared, and of
// findings.
func allCodes(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, c := range reasonCodes(t) {
		all = append(all, reasonKey(c))
	}
	for _, in := range diag.Codes() {
		all = append(all, findingKey(in.Code))
	}
	return all
}

// corpusFile is an archive as it is run.
type corpusFile struct {
	archive  *txtar.Archive
	result   *load.Result
	old      *policy.Policy
	register policy.Register
}

func openCorpus(t *testing.T, a *txtar.Archive) *corpusFile {
	t.Helper()
	c := &corpusFile{archive: a}
	files, old, notices := fstest.MapFS{}, fstest.MapFS{}, fstest.MapFS{}
	profiles := shippedLaws(t)
	for _, f := range a.Files {
		switch {
		case f.Name == "register.json":
			strict(t, f.Data, &c.register)
		case f.Name == "laws":
			profiles = nil
		case f.Name == "laws.json":
			var err error
			if profiles, err = laws.Overrides(fstest.MapFS{f.Name: {Data: f.Data}}); err != nil {
				t.Fatal(err)
			}
		case f.Name == "want" || strings.HasPrefix(f.Name, "case "):
		case strings.HasPrefix(f.Name, "old/"):
			old[strings.TrimPrefix(f.Name, "old/")] = &fstest.MapFile{Data: f.Data}
		case strings.HasPrefix(f.Name, "notices/"):
			notices[strings.TrimPrefix(f.Name, "notices/")] = &fstest.MapFile{Data: f.Data}
		default:
			files[f.Name] = &fstest.MapFile{Data: corpusBytes(f.Data)}
		}
	}
	var archive []policy.Terms
	if len(old) > 0 {
		r := load.Load(old, profiles, nil)
		if r.Policy == nil {
			t.Fatalf("the earlier policy does not compile: %v", r.Diagnostics)
		}
		c.old, archive = r.Policy, r.Policy.AllTerms()
	}
	var beside fs.FS
	if len(notices) > 0 {
		beside = notices
	}
	c.result = load.LoadWith(files, source.Options{Notices: beside}, profiles, archive)
	return c
}

// corpusBytes lets a text archive hold what is not text: \xff stands for the
// byte.
func corpusBytes(b []byte) []byte { return bytes.ReplaceAll(b, []byte(`\xff`), []byte{0xff}) }

// strict decodes JSON and refuses fields that do not exist.
func strict(t *testing.T, data []byte, into any) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		t.Fatalf("%v in %s", err, data)
	}
}

func (c *corpusFile) run(t *testing.T, seen map[string]int) (cases int) {
	t.Helper()
	for _, d := range c.result.Diagnostics {
		seen[findingKey(d.Code)]++
	}
	wanted := false
	for i := range c.archive.Files {
		f := &c.archive.Files[i]
		name, isCase := strings.CutPrefix(f.Name, "case ")
		switch {
		case f.Name == "want":
			wanted = true
			cases++
			c.compare(t, f, "", c.findings())
		case isCase:
			cases++
			t.Run(name, func(t *testing.T) { c.decide(t, f, seen) })
		}
	}
	if !wanted && c.result.Diagnostics.HasErrors() {
		t.Errorf("the policy has errors:\n%s", c.findings())
	}
	if cases == 0 {
		t.Error("the archive has no case")
	}
	return cases
}

// compare checks the text that follows head in an archive's file.
func (c *corpusFile) compare(t *testing.T, f *txtar.File, head, got string) {
	t.Helper()
	if *updateCorpus {
		f.Data = []byte(head + got)
		return
	}
	if want := string(f.Data[len(head):]); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func (c *corpusFile) findings() string {
	var b strings.Builder
	for _, d := range c.result.Diagnostics {
		fmt.Fprintf(&b, "%s:%d:%d %s %s", d.Span.File, d.Span.Start.Line, d.Span.Start.Column, d.Severity, d.Code)
		if d.Name != "" {
			fmt.Fprintf(&b, " %s", d.Name)
		}
		if d.Other != nil {
			fmt.Fprintf(&b, " (%s:%d)", d.Other.Span.File, d.Other.Span.Start.Line)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func (c *corpusFile) decide(t *testing.T, f *txtar.File, seen map[string]int) {
	t.Helper()
	if c.result.Policy == nil {
		t.Fatalf("the policy does not compile:\n%s", c.findings())
	}
	factsLine, rest, _ := strings.Cut(string(f.Data), "\n")
	requestLine, _, _ := strings.Cut(rest, "\n")
	facts := c.facts(t, after(t, factsLine, "facts "))
	req := request(t, after(t, requestLine, "request "))
	d := c.result.Policy.Decide(facts, &c.register, req)
	for _, r := range d.Reasons {
		seen[reasonKey(r.Code)]++
	}
	if d.PolicyVersion != c.result.Policy.Version() {
		t.Errorf("the decision names policy %q", d.PolicyVersion)
	}
	c.compare(t, f, factsLine+"\n"+requestLine+"\n", decisionText(&d))
}

func after(t *testing.T, line, head string) []byte {
	t.Helper()
	rest, ok := strings.CutPrefix(line, head)
	if !ok {
		t.Fatalf("want a line that begins with %q, got %q", head, line)
	}
	return []byte(rest)
}

func (c *corpusFile) facts(t *testing.T, text []byte) *policy.Facts {
	t.Helper()
	if string(text) == "null" {
		return nil
	}
	var raw map[string]json.RawMessage
	strict(t, text, &raw)
	var consents []json.RawMessage
	if raw["consents"] != nil {
		strict(t, raw["consents"], &consents)
		delete(raw, "consents")
	}
	rest, err := json.Marshal(raw)
	if err != nil {
		t.Fatal(err)
	}
	f := &policy.Facts{Kind: abide.Person, Status: abide.StatusActive}
	strict(t, rest, f)
	for _, text := range consents {
		k := policy.Consent{Grade: abide.GradeProved, Separate: true, Told: true, Terms: "now", Since: noon.AddDate(0, -1, 0)}
		strict(t, text, &k)
		k.Terms = c.terms(t, k.Purpose, k.Terms, f)
		f.Consents = append(f.Consents, k)
	}
	return f
}

func (c *corpusFile) terms(t *testing.T, purpose abide.Purpose, which string, f *policy.Facts) string {
	t.Helper()
	p := c.result.Policy
	switch which {
	case "now":
	case "old":
		p = c.old
	default:
		return which
	}
	terms, ok := p.Terms(purpose, f, noon)
	if !ok {
		t.Fatalf("no %s terms of %s", which, purpose)
	}
	return terms.Digest()
}

func request(t *testing.T, text []byte) *policy.Request {
	t.Helper()
	r := &policy.Request{At: noon}
	strict(t, text, r)
	if r.Actor.Kind == "" {
		r.Actor = abide.Actor{Kind: abide.ActorService, Name: "app", Purposes: []abide.Purpose{r.Purpose}}
	}
	return r
}

func decisionText(d *abide.Decision) string {
	var b strings.Builder
	fmt.Fprintln(&b, d.Effect)
	for _, r := range d.Reasons {
		fmt.Fprintf(&b, "  %s", r.Code)
		if r.Clause != "" {
			fmt.Fprintf(&b, " %s:%d", r.Clause, r.Span.Start.Line)
		}
		if r.Category != "" {
			fmt.Fprintf(&b, " %s", r.Category)
		}
		b.WriteByte('\n')
	}
	if d.Effect == abide.Deny && len(d.Permitted) > 0 {
		fmt.Fprintf(&b, "  but %s\n", joined(d.Permitted))
	}
	for _, o := range d.Obligations {
		fmt.Fprintf(&b, "  must %s", o.Code)
		if o.N > 0 {
			fmt.Fprintf(&b, " %d", o.N)
		}
		if o.Name != "" {
			fmt.Fprintf(&b, " %s", o.Name)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func joined(list []abide.Category) string {
	out := make([]string, len(list))
	for i, c := range list {
		out[i] = string(c)
	}
	return strings.Join(out, ", ")
}

// TestEveryCorpusReasonHasAPlace: a reason that rests on a rule points at lines
// of the policy's files.
func TestEveryCorpusReasonHasAPlace(t *testing.T) {
	p := lantern(t)
	f := adult()
	req := policy.Request{Actor: abide.Actor{Kind: abide.ActorService, Name: "app"}, At: noon, Act: abide.ActRead}
	for _, pu := range p.Purposes() {
		req.Purpose, req.Actor.Purposes = pu.Name, []abide.Purpose{pu.Name}
		for _, c := range p.Categories() {
			req.Categories = []abide.Category{c.Name}
			for _, r := range p.Decide(&f, nil, &req).Reasons {
				if r.Clause != "" && (r.Span.File == "" || r.Span.Start.Line == 0) {
					t.Errorf("%s for %s: reason %s of %s points nowhere", pu.Name, c.Name, r.Code, r.Clause)
				}
			}
		}
	}
}

// TestUnreadableFile is the one finding that needs a file system that fails.
func TestUnreadableFile(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("nowhere", filepath.Join(dir, "privacy.md")); err != nil {
		t.Fatal(err)
	}
	r := load.Load(os.DirFS(dir), nil, nil)
	if !slices.ContainsFunc(r.Diagnostics, func(d diag.Diagnostic) bool { return d.Code == diag.Unreadable }) {
		t.Errorf("a file that cannot be opened is not reported: %v", r.Diagnostics)
	}
}

// reasonCodes are the codes declared in the root package.
func reasonCodes(t *testing.T) []abide.ReasonCode {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../codes.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var codes []abide.ReasonCode
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if typ, ok := spec.Type.(*ast.Ident); ok && typ.Name == "ReasonCode" {
			for _, v := range spec.Values {
				code, err := strconv.Unquote(v.(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				codes = append(codes, abide.ReasonCode(code))
			}
		}
		return true
	})
	if len(codes) < 50 {
		t.Fatalf("found %d reason codes only: are they declared elsewhere now?", len(codes))
	}
	return codes
}
