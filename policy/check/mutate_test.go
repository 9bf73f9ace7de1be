package check_test

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/abide-privacy/abide/policy/check"
	"github.com/abide-privacy/abide/policy/diag"
	"github.com/abide-privacy/abide/policy/rule"
	"github.com/abide-privacy/abide/policy/source"
)

// The mutation test: words and rules of a good policy are changed in every
// place, one at a time, and the check has to notice. A mutation is found if a
// finding appears that the policy had not before, in that clause and about
// that category. Findings that do not even mention that category are false.

// mutationScore is the outcome of one kind of mutation.
type mutationScore struct {
	kind         string
	tried, found int
	missed       []string
	falseOnes    []string
}

func (s *mutationScore) rate() float64 {
	if s.tried == 0 {
		return 1
	}
	return float64(s.found) / float64(s.tried)
}

func (s *mutationScore) log(t *testing.T, show int) {
	t.Helper()
	t.Logf("%-32s %5d of %5d found (%.1f %%), %d false findings", s.kind, s.found, s.tried, 100*s.rate(), len(s.falseOnes))
	for _, m := range s.missed[:min(show, len(s.missed))] {
		t.Logf("    missed: %s", m)
	}
	for _, m := range s.falseOnes[:min(show, len(s.falseOnes))] {
		t.Logf("    false:  %s", m)
	}
}

func TestMutationsOfASmallPolicyAreFound(t *testing.T) {
	mutate(t, os.DirFS("testdata/good/lantern"))
}

func TestMutationsOfTheShopAreFound(t *testing.T) {
	mutate(t, os.DirFS("../../examples/shop/policy"))
}

// wanted is the share of mutations that has to be found.
const wanted = 0.95

func mutate(t *testing.T, fsys fs.FS) {
	t.Helper()
	m := newMutator(t, fsys)
	removed := m.removeFromProse()
	added := m.addToRules(false)
	within := m.addToRules(true)
	deleted := m.deleteRules()
	all := mutationScore{kind: "removed or added, all together", tried: removed.tried + added.tried + within.tried, found: removed.found + added.found + within.found}
	for _, s := range []*mutationScore{removed, added, within, deleted, &all} {
		s.log(t, 12)
	}
	for _, s := range []*mutationScore{removed, added, &all} {
		if s.tried == 0 || s.rate() < wanted {
			t.Errorf("%s: %.1f %% found, want %.0f %%", s.kind, 100*s.rate(), 100*wanted)
		}
	}
	if deleted.found != deleted.tried {
		t.Errorf("rules of these clauses can be deleted unnoticed: %v", deleted.missed)
	}
}

// mutator holds the files of a policy and what the check says of them as they
// are.
type mutator struct {
	t        *testing.T
	files    fstest.MapFS
	baseline map[string]bool
	report   *check.Report
	set      *rule.Set
}

func newMutator(t *testing.T, fsys fs.FS) *mutator {
	t.Helper()
	m := &mutator{t: t, files: fstest.MapFS{}}
	err := fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(fsys, p)
		m.files[p] = &fstest.MapFile{Data: b}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var found diag.List
	m.set, m.report, found = m.run(m.files)
	if found.HasErrors() {
		t.Fatalf("the policy does not parse: %v", found)
	}
	m.baseline = keys(m.report.Diagnostics)
	for k := range m.baseline {
		t.Logf("found before any mutation: %s", k)
	}
	return m
}

func (m *mutator) run(files fs.FS) (*rule.Set, *check.Report, diag.List) {
	set, _, found := source.Parse(files)
	return set, check.Check(set, nil, nil), found
}

func key(d diag.Diagnostic) string {
	return fmt.Sprintf("%s %s %s: %s", d.Clause, d.Code, d.Name, d.Message)
}

func keys(l diag.List) map[string]bool {
	out := map[string]bool{}
	for _, d := range l {
		out[key(d)] = true
	}
	return out
}

// score counts what a mutated policy's report says about it.
func (m *mutator) score(s *mutationScore, what, clause, name string, l diag.List) {
	s.tried++
	found := false
	for _, d := range l {
		if m.baseline[key(d)] {
			continue
		}
		if d.Name == name && (d.Clause == clause || clause == "") {
			found = true
		} else if d.Name != name && !strings.Contains(d.Message, name) {
			s.falseOnes = append(s.falseOnes, what+" → "+key(d))
		}
	}
	if found {
		s.found++
	} else {
		s.missed = append(s.missed, what)
	}
}

// removeFromProse takes all words of one category out of one clause.
func (m *mutator) removeFromProse() *mutationScore {
	s := &mutationScore{kind: "removed from the prose"}
	for _, c := range m.report.Clauses {
		if len(c.Rules) == 0 {
			continue
		}
		places := map[string][]check.Mention{}
		for _, at := range c.Mentions {
			if at.Denied || at.Ignored {
				continue
			}
			for _, n := range at.Names {
				if strings.Contains(n, ".") {
					places[n] = append(places[n], at)
				}
			}
		}
		for _, name := range slices.Sorted(maps.Keys(places)) {
			_, r, _ := m.run(m.without(places[name]))
			m.score(s, c.ID+" − "+name, c.ID, name, r.Diagnostics)
		}
	}
	return s
}

// without blanks stretches of the files.
func (m *mutator) without(list []check.Mention) fs.FS {
	files := maps.Clone(m.files)
	for _, at := range list {
		data := slices.Clone(files[at.Span.File].Data)
		for i := at.Span.Start.Byte; i < at.Span.End.Byte; i++ {
			if data[i] != '\n' {
				data[i] = ' '
			}
		}
		files[at.Span.File] = &fstest.MapFile{Data: data}
	}
	return files
}

// ruleList is a list of categories in a rule.
type ruleList struct {
	what   string
	clause *rule.Clause
	refs   *[]rule.Ref
	// beside are the other lists of the same rule, whose categories it uses
	// already.
	beside []*[]rule.Ref
}

// ruleLists are all lists of categories in the rules of a policy, in a fixed
// order.
func ruleLists(set *rule.Set) []ruleList {
	var out []ruleList
	add := func(what string, c *rule.Clause, lists ...*[]rule.Ref) {
		for i, l := range lists {
			if len(*l) == 0 || c == nil {
				continue
			}
			out = append(out, ruleList{fmt.Sprintf("%s[%d]", what, i), c, l, slices.Delete(slices.Clone(lists), i, i+1)})
		}
	}
	for _, p := range set.Purposes {
		add("purpose "+string(p.Name), p.Clause, &p.Uses, &p.Contacts, &p.ChosenBy)
	}
	for _, v := range set.Services {
		add("service "+string(v.Name), v.Clause, &v.Needs, &v.Wants)
	}
	for _, r := range set.Recipients {
		for i := range r.Gets {
			add("recipient "+string(r.Name), r.Clause, &r.Gets[i].Categories)
		}
	}
	for _, v := range set.Trackers {
		add("tracker "+v.Name, v.Clause, &v.Sees)
	}
	for _, v := range set.Signins {
		add("signin "+v.Name, v.Clause, &v.MayAsk)
	}
	for _, v := range set.Roles {
		add("role "+v.Name, v.Clause, &v.Reads)
	}
	return out
}

// addToRules adds one category to one list of one rule: every category that
// the clause does not use yet, or (within) every one that other rules of the
// same clause use and this rule does not.
func (m *mutator) addToRules(within bool) *mutationScore {
	s := &mutationScore{kind: "added to a rule"}
	if within {
		s.kind = "… used by other rules of it"
	}
	used := map[*rule.Clause]map[string]bool{}
	for _, l := range ruleLists(m.set) {
		if used[l.clause] == nil {
			used[l.clause] = map[string]bool{}
		}
		for _, r := range *l.refs {
			used[l.clause][r.Name] = true
		}
	}
	for _, g := range m.set.Groups {
		for _, c := range g.Categories {
			if used[c.Clause] != nil {
				used[c.Clause][string(c.Name)] = true
			}
		}
	}
	for _, l := range ruleLists(m.set) {
		for _, g := range m.set.Groups {
			for _, c := range g.Categories {
				name := string(c.Name)
				if used[l.clause][name] != within || l.has(name) {
					continue
				}
				was := *l.refs
				*l.refs = append(slices.Clip(was), rule.Ref{Name: name, Span: was[0].Span})
				m.score(s, l.clause.FullID()+" "+l.what+" + "+name, l.clause.FullID(), name, check.Check(m.set, nil, nil).Diagnostics)
				*l.refs = was
			}
		}
	}
	return s
}

func (l *ruleList) has(name string) bool {
	for _, refs := range append([]*[]rule.Ref{l.refs}, l.beside...) {
		if slices.ContainsFunc(*refs, func(r rule.Ref) bool { return r.Name == name }) {
			return true
		}
	}
	return false
}

// deleteRules takes the fenced rules out of one clause. The file may then no
// longer be a document at all, which is noticed too.
func (m *mutator) deleteRules() *mutationScore {
	s := &mutationScore{kind: "all rules of a clause deleted"}
	for _, d := range m.set.Documents {
		for _, c := range d.Clauses {
			if !c.HasRules {
				continue
			}
			files := maps.Clone(m.files)
			data, ok := withoutFences(files[c.Body.File].Data, c.Body.Start.Byte, c.Body.End.Byte)
			if !ok {
				continue
			}
			files[c.Body.File] = &fstest.MapFile{Data: data}
			_, r, found := m.run(files)
			s.tried++
			if found.HasErrors() || slices.ContainsFunc(r.Diagnostics, func(d diag.Diagnostic) bool { return !m.baseline[key(d)] && d.Clause == c.FullID() }) {
				s.found++
			} else {
				s.missed = append(s.missed, c.FullID())
			}
		}
	}
	return s
}

func withoutFences(data []byte, start, end int) ([]byte, bool) {
	data = slices.Clone(data)
	open, found := false, false
	for at := start; at < end; {
		next := at + strings.IndexByte(string(data[at:])+"\n", '\n')
		line := string(data[at:min(next, len(data))])
		fence := strings.HasPrefix(line, "```")
		if open || fence && strings.HasPrefix(line, "```abide") {
			found = true
			for i := at; i < min(next, len(data)); i++ {
				data[i] = ' '
			}
		}
		if fence {
			open = !open && strings.HasPrefix(line, "```abide")
		}
		at = next + 1
	}
	return data, found
}
