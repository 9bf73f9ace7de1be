package source_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy/diag"
	"github.com/abide-privacy/abide/policy/rule"
	"github.com/abide-privacy/abide/policy/source"
)

func parse(t *testing.T, doc string) *rule.Set {
	t.Helper()
	set, files, found := source.Parse(fstest.MapFS{"privacy.md": {Data: []byte(doc)}})
	for _, d := range found {
		t.Errorf("%s", line(files, d))
	}
	return set
}

// rules parses rules as they stand in one clause.
func rules(t *testing.T, text string) *rule.Set {
	t.Helper()
	return parse(t, "# P\n```abide\ndocument \"p\" { controller = \"x\" }\n"+text+"\n```\n")
}

func names(refs []rule.Ref) string {
	var s []string
	for _, r := range refs {
		s = append(s, r.Name)
	}
	return strings.Join(s, " ")
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		t.Errorf("%s: got %s, want %s", what, g, w)
	}
}

// TestSketch reads one policy that holds every kind of rule.
func TestSketch(t *testing.T) {
	text, err := os.ReadFile("testdata/sketch.md")
	if err != nil {
		t.Fatal(err)
	}
	set := parse(t, string(text))
	doc := set.Documents[0]
	same(t, "document", []any{doc.Name, doc.Title, doc.Language, doc.LawOf, doc.YieldsTo.Document.Name, doc.YieldsTo.Among},
		"[privacy Lantern: privacy notice en [residence whereabouts controller] agreement those_who_agreed]")
	var ids []string
	for _, c := range doc.Clauses {
		ids = append(ids, c.FullID())
	}
	same(t, "clauses", ids, "[privacy#lantern-privacy-notice privacy#C01 privacy#C03 privacy#C05 privacy#C07 privacy#C14 privacy#C20]")
	private := set.Levels[1]
	same(t, "level", []any{private.Name, private.Above.Name, private.Reason, private.Approvals, private.Mask}, "[private personal true 2 4]")
	same(t, "floor", names(set.Levels[0].FloorFor), "person visitor others")
	review := set.Reviews[0]
	same(t, "review", []any{review.Name, review.Every, review.By.Name, review.Late, review.Closes.Name}, "[machine rooms 12 security closes private]")

	person := set.Groups[0]
	email, birth, orders, invoice := person.Categories[1], person.Categories[3], person.Categories[8], person.Categories[9]
	same(t, "email", []any{email.Name, email.Words[0].Text, email.Format, email.Find}, "[person.email e-mail address email many]")
	same(t, "birth", []any{birth.Words[0].Text, birth.Words[1].Text, birth.Format}, "[birthday age date]")
	same(t, "orders", []any{orders.Many, orders.Format}, "[true text]")
	same(t, "clause of a row", invoice.Clause.ID, "C01")
	same(t, "only to", names(set.Groups[1].Categories[0].OnlyTo), "messaging")
	same(t, "nobody", set.Groups[2].Categories[0].CountPer, "week")
	visit := set.Groups[3]
	same(t, "apart", names(visit.Apart), "person")
	same(t, "visit", []any{visit.Categories[0].Coarsen, visit.Categories[0].Keep.Anchor, visit.Categories[0].Keep.Days}, "[network obtained 30]")

	provide, books, marketing := set.Purposes[0], set.Purposes[1], set.Purposes[2]
	same(t, "provide", []any{provide.Basis.Kind, provide.Keep.Anchor, provide.Keep.Months, provide.AtMost.Anchor, provide.AtMost.Months, provide.Then},
		"[contract order.closed 12 obtained 60 unlink]")
	same(t, "books", []any{books.Basis.Kind, books.Basis.Place, books.Basis.Citation, books.Then}, "[law HK Inland Revenue Ordinance s.51C erase]")
	same(t, "marketing", []any{marketing.Basis.Kind, marketing.Basis.Profile, marketing.Marketing, names(marketing.ChosenBy), names(marketing.Topics)},
		"[profile direct_marketing true person.orders person.browsing person.birth person.gender person.place offers news events]")
	same(t, "offers", []any{marketing.Offers[0].Whose, names(marketing.Offers[0].Kinds), marketing.Offers[1].Whose, names(marketing.Offers[1].Kinds)},
		"[own phones cloud partners network apps]")
	same(t, "message", []any{names(marketing.Message.Fields) == names(marketing.Contacts), marketing.Message.EndsWith}, "[true unsubscribe]")
	same(t, "in HK", []any{names(marketing.In[0].Places), marketing.In[0].Basis.Kind, names(marketing.In[0].Basis.Told)}, "[HK no_objection contacts offers free_reply]")
	same(t, "in EU GB", []any{names(marketing.In[1].Places), marketing.In[1].Ask}, "[EU GB separate]")
	same(t, "keep without stretch", []any{marketing.Keep.Anchor, marketing.Keep.Months, marketing.Keep.Days}, "[consent.ended 0 0]")

	shop := set.Services[0]
	same(t, "service", []any{names(shop.Needs), names(shop.Serves), names(shop.Reports)}, "[person.name person.email provide order.closed]")
	affiliates, facebook := set.Recipients[0], set.Recipients[1]
	same(t, "recipient", []any{names(affiliates.Sectors), affiliates.Register, affiliates.Gets[0].Purpose.Name, names(affiliates.Gets[0].Categories),
		affiliates.Contract.Covers, affiliates.Contract.Lapse}, "[communications cloud true provide person.name residence closes]")
	same(t, "network", []any{facebook.Class, facebook.OwnPolicy}, "[network https://www.facebook.com/privacy/policy]")
	same(t, "no marketing by partners", []any{set.Nevers[0].Any, names(set.Nevers[0].To), set.Nevers[0].Acts}, "[true partner [disclose]]")
	same(t, "no sale", []any{set.Nevers[1].Any, set.Nevers[1].Against}, "[true value]")
	buyers := set.Statistics[0]
	same(t, "statistic", []any{buyers.By[0].Category.Name, buyers.By[0].Band, buyers.By[1].Category.Name, buyers.By[1].Band, buyers.Smallest, buyers.Epsilon, buyers.Per, names(buyers.To)},
		"[person.birth 10 person.gender 0 20 1 year advertisers]")
	byLaw := set.WithoutConsent[0]
	same(t, "by law", []any{byLaw.Name, byLaw.Acts, byLaw.When, byLaw.Authority, byLaw.Citation, byLaw.Scope, byLaw.Approvals},
		"[by law [collect use disclose] [requires expressly_permits] true true true 2]")
	minors := set.Minors[0]
	same(t, "minors", []any{names(minors.Closed), minors.Reported.By, minors.Reported.Then, minors.Reported.Within.Days}, "[marketing guardian [erase unsubscribe_everywhere] 7]")
	like := set.Trackers[0]
	same(t, "tracker", []any{like.Kind, like.Host.Name, names(like.Sees), like.After}, "[widget facebook visit.address visit.pages click]")
	same(t, "signin", []any{names(set.Signins[0].MayAsk), set.Signins[0].Ticked, names(set.Signins[0].Where)}, "[person.name person.email false HK US]")
	same(t, "post", set.Posts[0].Each, "shown_and_confirmed")
	silence := set.Examples[0]
	same(t, "example", []any{silence.Given[0].Name, names(silence.Given[0].Args), silence.Want, silence.Request.Name, names(silence.Request.Args)},
		"[lives HK deny contact marketing person.email]")
}

func TestRowsMayHaveTheNamesOfSettings(t *testing.T) {
	g := rules(t, `data "x" {
  level   = private
  apart   = ["how far apart", "distance"]
  keep    = { words = "goalkeeper", level = open, keep = obtained + 1 * weeks }
  only_to = "x"
}
data "y" {
  keep = obtained + 2 * months + 3 * days
  held = elsewhere
  a    = {}
  b_c  = { held = here }
}`).Groups
	var got []string
	for _, c := range slices.Concat(g[0].Categories, g[1].Categories) {
		row := fmt.Sprintf("%s %q", c.Name, c.Words[0].Text)
		if c.Level != nil {
			row += " " + c.Level.Name
		}
		if c.Keep != nil {
			row += fmt.Sprintf(" %s+%dm+%dd", c.Keep.Anchor, c.Keep.Months, c.Keep.Days)
		}
		if c.Elsewhere {
			row += " elsewhere"
		}
		got = append(got, row)
	}
	same(t, "rows", strings.Join(got, "\n"), `x.apart "how far apart" private
x.keep "goalkeeper" open obtained+0m+7d
x.only_to "x" private
y.a "a" obtained+2m+3d elsewhere
y.b_c "b c" obtained+2m+3d`)
}

func TestTimesAreSums(t *testing.T) {
	for text, want := range map[string]string{
		"obtained":                                  "obtained 0 0",
		"(obtained) + (3 * (days))":                 "obtained 0 3",
		"months * 2 + account.closed":               "account.closed 2 0",
		"obtained + 1 * year + 1 * month + 1 * day": "obtained 13 1",
		"obtained + 2 * weeks + 1 * week":           "obtained 0 21",
	} {
		k := rules(t, "purpose \"x\" {\n keep = "+text+"\n}").Purposes[0].Keep
		same(t, text, fmt.Sprintf("%s %d %d", k.Anchor, k.Months, k.Days), want)
	}
}

func TestNeverNamesActs(t *testing.T) {
	for word, want := range map[string][]abide.Act{
		"give": {abide.ActDisclose}, "collect": {abide.ActCollect}, "read": {abide.ActRead}, "contact": {abide.ActContact},
		"choose": {abide.ActChoose}, "use": {abide.ActRead, abide.ActUse, abide.ActContact, abide.ActChoose}, "process": abide.Acts(),
	} {
		n := rules(t, "never \"x\" { "+word+" = { what = [person.place, visit], for = marketing } }").Nevers[0]
		same(t, word, []any{n.Acts, names(n.What), names(n.For)}, []any{want, "person.place visit", "marketing"})
	}
	link := rules(t, `never "x" { link = [visit, person] }`).Nevers[0]
	same(t, "link", []any{names(link.Link), len(link.Acts)}, "[visit person 0]")
}

func TestArgumentsOfExamples(t *testing.T) {
	x := rules(t, `example "x" {
  given     = [obtained(person.name, 8 * years), age(12), on("2026-01-01"), member(dispatch, affiliates)]
  permitted = disclose(provide, person.name, to(affiliates))
  because   = contract
}`).Examples[0]
	same(t, "stretch", []any{x.Given[0].Name, names(x.Given[0].Args), x.Given[0].After.Months}, "[obtained person.name 96]")
	same(t, "number", names(x.Given[1].Args), "12")
	same(t, "text", names(x.Given[2].Args), "2026-01-01")
	same(t, "request", []any{x.Want, x.Request.Name, names(x.Request.Args), x.Request.Calls[0].Name, names(x.Request.Calls[0].Args), x.Because},
		"[permit disclose provide person.name to affiliates contract]")
}

func TestClausesSayWhatIsSuppressed(t *testing.T) {
	set := rules(t, `clause {
  informative = "a welcome"
  suppress    = [{ code = syntax, name = person.place, reason = "ours" }, { code = wildcard, name = "the word", reason = "theirs" }, { code = wildcard }]
}`)
	c := set.Documents[0].Clauses[0]
	var got []string
	for _, s := range c.Suppress {
		got = append(got, s.Code+"/"+s.Name+"/"+s.Reason)
	}
	same(t, "suppressed", got, "[syntax/person.place/ours wildcard/the word/theirs wildcard//]")
	same(t, "informative", c.Informative, "a welcome")
	same(t, "has rules", c.HasRules, false)
}

func TestSystemsAreReadFromTheirFile(t *testing.T) {
	set, files, found := source.Parse(fstest.MapFS{
		"p.md":        {Data: []byte("# P\n```abide\ndocument \"p\" { controller = \"x\" }\n```\n")},
		"systems.hcl": {Data: []byte("system \"crm\" {\n  holds = [person.email]\n  obeys = [withdraw, erase]\n  via = postgres\n  answer_within = 2 * days\n}\n")},
	})
	if len(found) > 0 {
		t.Fatal(line(files, found[0]))
	}
	s := set.Systems[0]
	same(t, "system", []any{s.Name, names(s.Holds), s.Obeys, s.Via, s.AnswerWithin.Days}, "[crm person.email [withdraw erase] postgres 2]")
}

// TestSidecarRulesStandInTheNotice says that a rule of a sidecar belongs to the
// clause of the notice, while its place is the sidecar's.
func TestSidecarRulesStandInTheNotice(t *testing.T) {
	notices := fstest.MapFS{"notice.md": {Data: []byte("# Newsletter\nWe write if you say yes.\n")}}
	for file, text := range map[string]string{
		"notice.rules.hcl": "document \"n\" { controller = \"x\" }\nbind \"newsletter\" {\n  text = %q\n  purpose \"newsletter\" { basis = consent }\n}\n",
		"notice.rules.md":  "```abide\ndocument \"n\" { controller = \"x\" }\n```\n# Newsletter\n```abide\nbind { text = %q }\npurpose \"newsletter\" { basis = consent }\n```\n",
	} {
		digest := "sha256:c7d2fa3460c20979b013f37bc626625c365d1dfffe6c773dee7cf7a62d1a9235"
		set, files, found := source.ParseSidecars(fstest.MapFS{file: {Data: fmt.Appendf(nil, text, digest)}}, notices)
		for _, d := range found {
			t.Error(line(files, d))
		}
		p := set.Purposes[0]
		same(t, file, []any{p.Clause.FullID(), p.Clause.HasRules, p.Span.File, p.Clause.Heading.File, set.Documents[0].Sidecar, set.Documents[0].File},
			[]any{"n#newsletter", true, file, "notice.md", file, "notice.md"})
	}
}

// TestASidecarOverAnotherNotice lays rules over a newer text.
func TestASidecarOverAnotherNotice(t *testing.T) {
	notices := fstest.MapFS{"old.md": {Data: []byte("# A\nOld.\n# B\nSame.\n")}, "new.md": {Data: []byte("# A\nNew.\n# B\nSame.\n")}}
	bind := func(digests ...string) fstest.MapFS {
		text := "document \"n\" { controller = \"x\" }\n"
		for i, d := range digests {
			text += fmt.Sprintf("bind %q {\n text = %q\n informative = \"x\"\n}\n", string(rune('a'+i)), d)
		}
		return fstest.MapFS{"old.rules.hcl": {Data: []byte(text)}}
	}
	set, _, _ := source.ParseSidecars(bind("", ""), notices)
	var digests []string
	for _, c := range set.Documents[0].Clauses {
		digests = append(digests, "sha256:"+c.Digest)
	}
	if _, _, found := source.ParseSidecars(bind(digests...), notices); len(found) > 0 {
		t.Errorf("nothing changed, but %+v", found)
	}
	_, _, found := source.ParseWith(bind(digests...), source.Options{Notices: notices, NoticeFile: map[string]string{"old.rules.hcl": "new.md"}})
	if len(found) != 1 || found[0].Code != diag.NoticeTextChanged || found[0].Clause != "n#a" || found[0].Other.Span.File != "new.md" {
		t.Errorf("got %+v", found)
	}
}

// TestTheSpecificationParses holds every example of the specification against
// the parser.
func TestTheSpecificationParses(t *testing.T) {
	text, err := os.ReadFile("../../spec/policy-language.md")
	if err != nil {
		t.Fatal(err)
	}
	whole := regexp.MustCompile("(?s)````markdown\n(.*?)````").FindSubmatch(text)
	parse(t, string(whole[1]))
	rest := strings.Replace(string(text), string(whole[0]), "", 1)
	blocks := regexp.MustCompile("(?ms)^```\n(.*?)^```").FindAllStringSubmatch(rest, -1)
	if len(blocks) < 12 {
		t.Fatalf("only %d blocks of rules", len(blocks))
	}
	notice := fstest.MapFS{"n.md": {Data: []byte("# Our newsletter\nx\n# Welcome\nx\n")}}
	for i, b := range blocks {
		rule := b[1]
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			fsys := fstest.MapFS{"p.md": {Data: []byte("# P\n```abide\ndocument \"p\" { controller = \"x\" }\n```\n## R\n```abide\n" + rule + "\n```\n")}}
			switch {
			case strings.HasPrefix(rule, "system "):
				fsys["systems.hcl"] = &fstest.MapFile{Data: []byte(rule)}
				fsys["p.md"] = &fstest.MapFile{Data: []byte("# P\n```abide\ndocument \"p\" { controller = \"x\" }\n```\n")}
			case strings.Contains(rule, "\nbind "):
				fsys = fstest.MapFS{"n.rules.hcl": {Data: []byte(rule)}}
			case strings.HasPrefix(rule, "document "):
				fsys["p.md"] = &fstest.MapFile{Data: []byte("# P\n```abide\n" + rule + "\n```\n")}
			}
			_, files, found := source.ParseWith(fsys, source.Options{Notices: notice})
			for _, d := range found {
				if d.Message != "this is not a digest of a text" {
					t.Errorf("%s\n%s", line(files, d), rule)
				}
			}
		})
	}
}
