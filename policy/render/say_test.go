package render

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"testing"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy/rule"
)

// silent lists the fields that say leaves unsaid, and why. Every other field of
// every rule changes what Say writes when it changes.
var silent = map[string]string{
	"At.Clause":                    "sentences stand under their clause",
	"At.Span":                      "printed as the line in the margin",
	"At.Label":                     "a place in the file, for snippets",
	"Label.Key":                    "words of the published page, not a rule",
	"Label.Text":                   "words of the published page, not a rule",
	"Ref.Span":                     "a place in the file, for snippets",
	"Word.Span":                    "a place in the file, for snippets",
	"Deadline.Span":                "a place in the file, for snippets",
	"Offer.Span":                   "a place in the file, for snippets",
	"Message.Span":                 "printed as the line in the margin",
	"Basis.Span":                   "a place in the file, for snippets",
	"PlaceRule.Span":               "printed as the line in the margin",
	"Gets.Span":                    "printed as the line in the margin",
	"Contract.Span":                "a place in the file, for snippets",
	"Call.Span":                    "a place in the file, for snippets",
	"Yield.Span":                   "a place in the file, for snippets",
	"System.Span":                  "printed as the line in the margin",
	"Suppression.Span":             "printed as the line in the margin",
	"AcceptedLaw.Span":             "printed as the line in the margin",
	"Document.Span":                "printed as the line in the margin",
	"Document.File":                "printed with each heading's place",
	"Document.Sidecar":             "printed after each sentence that stands in it",
	"Clause.Document":              "printed as the clause's full id",
	"Clause.Depth":                 "clauses are listed flat",
	"Clause.Heading":               "printed as file and line of the clause",
	"Clause.Body":                  "a place in the file",
	"Clause.Prose":                 "the prose itself: say is read beside it",
	"Clause.HasRules":              "follows from the sentences below the clause",
	"Clause.Digest":                "a fingerprint of the prose",
	"Category.Group":               "the group's own sentence lists its rows",
	"Call.After → Deadline.Anchor": "a stretch of time in an example has no anchor",
}

// roots are the rule types: whatever rule.Set holds.
func roots() map[string]reflect.Type {
	out := map[string]reflect.Type{}
	set := reflect.TypeFor[rule.Set]()
	for i := range set.NumField() {
		out[set.Field(i).Name] = set.Field(i).Type.Elem().Elem()
	}
	return out
}

// step is one way down from a value: a field, through pointers and the first
// element of slices.
type step struct {
	owner reflect.Type
	field int
}

func (s step) name() string { return s.owner.Name() + "." + s.owner.Field(s.field).Name }

// leaves lists every path from a type to a plain value, silent fields left out.
func leaves(t reflect.Type, path []step, visit func([]step, reflect.Type)) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		visit(path, t)
		return
	}
	if slices.ContainsFunc(path, func(s step) bool { return s.owner == t }) {
		return // a call within a call is said as the outer one is
	}
	for i := range t.NumField() {
		s := step{t, i}
		if _, ok := silent[s.name()]; !ok && !silentHere(path, s) {
			leaves(t.Field(i).Type, append(path[:len(path):len(path)], s), visit)
		}
	}
}

// silentHere tells whether a field is silent below one other field only.
func silentHere(path []step, s step) bool {
	if len(path) == 0 {
		return false
	}
	_, ok := silent[path[len(path)-1].name()+" → "+s.name()]
	return ok
}

// open goes down to what a pointer or slice holds, making it if need be.
func open(v reflect.Value) reflect.Value {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Slice {
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				v.Set(reflect.New(v.Type().Elem()))
			}
			v = v.Elem()
		} else {
			if v.Len() == 0 {
				v.Set(reflect.MakeSlice(v.Type(), 1, 1))
			}
			v = v.Index(0)
		}
	}
	return v
}

func follow(v reflect.Value, path []step) reflect.Value {
	v = open(v)
	for _, s := range path {
		v = open(v.Field(s.field))
	}
	return v
}

// put writes one of two values into a leaf.
func put(v reflect.Value, second bool) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(map[bool]string{false: "alpha", true: "beta"}[second])
	case reflect.Bool:
		v.SetBool(second)
	case reflect.Int:
		v.SetInt(map[bool]int64{false: 5, true: 7}[second])
	case reflect.Uint8: // an act or an effect
		v.SetUint(map[bool]uint64{false: 2, true: 1}[second])
	case reflect.Float64:
		v.SetFloat(map[bool]float64{false: 0.5, true: 0.7}[second])
	default:
		panic("the test knows no values of kind " + v.Kind().String() + ": teach put")
	}
}

// background fills a rule before one field of it is changed. What a field means
// may hang on another one, so several are tried.
type background struct {
	name  string
	full  bool
	basis rule.BasisKind
}

func backgrounds() []background {
	out := []background{{name: "empty"}}
	for _, k := range []rule.BasisKind{rule.BasisConsent, rule.BasisNoObjection, rule.BasisLaw, rule.BasisProfile} {
		out = append(out, background{"full, basis " + string(k), true, k}, background{"empty, basis " + string(k), false, k})
	}
	return out
}

func (b background) make(t reflect.Type) reflect.Value {
	root := reflect.New(t)
	leaves(t, nil, func(path []step, leaf reflect.Type) {
		if leaf == reflect.TypeFor[rule.BasisKind]() && b.basis != "" {
			follow(root, path).SetString(string(b.basis))
		} else if b.full {
			put(follow(root, path), false)
		}
	})
	return root
}

func sayOne(t *testing.T, field string, root reflect.Value) string {
	t.Helper()
	set := &rule.Set{}
	v := reflect.ValueOf(set).Elem().FieldByName(field)
	v.Set(reflect.Append(v, root))
	for _, d := range set.Documents {
		for _, c := range d.Clauses {
			c.Document = d
		}
	}
	var b bytes.Buffer
	if err := Say(&b, set, nil); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestSaySpeaksEveryFieldOfEveryRule(t *testing.T) {
	checked := 0
	for field, typ := range roots() {
		leaves(typ, nil, func(path []step, _ reflect.Type) {
			checked++
			if !spoken(t, field, typ, path) {
				names := make([]string, len(path))
				for i, s := range path {
					names[i] = s.name()
				}
				t.Errorf("Say never speaks of %s: teach it to, or list %s as silent with a reason",
					strings.Join(names, " → "), names[len(names)-1])
			}
		})
	}
	if checked < 150 {
		t.Fatalf("only %d fields were found: the walk over rule.Set is broken", checked)
	}
}

// spoken tells whether changing one field changes what Say writes, in at least
// one background.
func spoken(t *testing.T, field string, typ reflect.Type, path []step) bool {
	t.Helper()
	for _, b := range backgrounds() {
		one, other := b.make(typ), b.make(typ)
		put(follow(one, path), false)
		put(follow(other, path), true)
		if sayOne(t, field, one) != sayOne(t, field, other) {
			return true
		}
	}
	return false
}

func TestSilentFieldsExistAndHaveAReason(t *testing.T) {
	known := map[string]bool{"Call.After → Deadline.Anchor": true}
	seen := map[reflect.Type]bool{}
	var walk func(reflect.Type)
	walk = func(typ reflect.Type) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || seen[typ] {
			return
		}
		seen[typ] = true
		for i := range typ.NumField() {
			known[typ.Name()+"."+typ.Field(i).Name] = true
			walk(typ.Field(i).Type)
		}
	}
	for _, typ := range roots() {
		walk(typ)
	}
	for name, reason := range silent {
		if !known[name] {
			t.Errorf("%s is listed as silent and does not exist", name)
		}
		if reason == "" {
			t.Errorf("%s is silent without a reason", name)
		}
	}
}

func TestSentencesAreOneSentence(t *testing.T) {
	for _, s := range Sentences(handmade()) {
		if !strings.HasSuffix(s.Text, ".") || strings.Contains(s.Text, "  ") || strings.Contains(s.Text, "..") {
			t.Errorf("not one sentence: %q", s.Text)
		}
	}
}

func TestDeadlinesInWords(t *testing.T) {
	for _, c := range []struct {
		d    rule.Deadline
		want string
	}{
		{rule.Deadline{Anchor: "obtained", Days: 30}, "for 30 days after it was obtained"},
		{rule.Deadline{Anchor: "consent.ended"}, "until consent ends"},
		{rule.Deadline{Anchor: "consent.ended", Days: 1}, "for 1 day after consent ended"},
		{rule.Deadline{Anchor: "order.closed", Months: 12}, "for 1 year after the order was closed"},
		{rule.Deadline{Anchor: "order.closed"}, "until the order is closed"},
		{rule.Deadline{Anchor: "given", Months: 18, Days: 2}, "for 18 months and 2 days after it was given"},
		{rule.Deadline{Days: 7}, "for 7 days"},
		{rule.Deadline{}, "for no time at all"},
	} {
		if got := until(&c.d); got != c.want {
			t.Errorf("until(%+v) = %q, want %q", c.d, got, c.want)
		}
	}
}

// handmade is a set with a few rules in one clause.
func handmade() *rule.Set {
	doc := &rule.Document{Name: "privacy", File: "privacy.md", Title: "Lantern: privacy notice", Language: "en"}
	clause := &rule.Clause{Document: doc, ID: "C07", Title: "Direct marketing", Depth: 2,
		Heading: abide.Span{File: "privacy.md", Start: abide.Pos{Line: 3}}}
	doc.Clauses = []*rule.Clause{clause}
	at := func(line int) rule.At {
		return rule.At{Clause: clause, Span: abide.Span{File: "privacy.md", Start: abide.Pos{Line: line, Byte: line}}}
	}
	person := &rule.Group{At: at(5), Name: "person"}
	person.Categories = []*rule.Category{
		{At: at(6), Name: "person.email", Group: person, Words: []rule.Word{{Text: "e-mail address"}}, Format: "email", Find: "many"},
		{At: at(7), Name: "person.gender", Group: person, Words: []rule.Word{{Text: "gender"}}},
	}
	marketing := &rule.Purpose{At: at(9), Name: "marketing", Title: "Direct marketing",
		Contacts: []rule.Ref{{Name: "person.email"}}, ChosenBy: []rule.Ref{{Name: "person.gender"}},
		Offers: []rule.Offer{{Whose: "own", Kinds: []rule.Ref{{Name: "phones"}, {Name: "cloud"}}}},
		Topics: []rule.Ref{{Name: "offers"}, {Name: "news"}},
		Basis:  &rule.Basis{Kind: rule.BasisProfile, Profile: "direct_marketing"},
		Keep:   &rule.Deadline{Anchor: "consent.ended"},
		In: []*rule.PlaceRule{{Places: []rule.Ref{{Name: "HK"}}, Span: at(10).Span,
			Basis: &rule.Basis{Kind: rule.BasisNoObjection, Told: []rule.Ref{{Name: "contacts"}, {Name: "free_reply"}}}}},
	}
	return &rule.Set{Documents: []*rule.Document{doc}, Groups: []*rule.Group{person}, Purposes: []*rule.Purpose{marketing},
		Nevers: []*rule.Never{{At: at(12), Name: "sale", Any: true, Against: "value", Acts: []abide.Act{abide.ActDisclose}}}}
}

func TestSayReadsLikeThis(t *testing.T) {
	var b bytes.Buffer
	if err := Say(&b, handmade(), nil); err != nil {
		t.Fatal(err)
	}
	want := `Lantern: privacy notice
=======================

Direct marketing  [privacy#C07, privacy.md:3]
      This document is “Lantern: privacy notice” (privacy), in the language
      “en”; the law of where the person lives applies.
    5 The data “person” is: e-mail address and gender.
    6 “e-mail address” (person.email): it must be an e-mail address; it finds
      everyone who has it.
    9 For “Direct marketing” (marketing) we contact people by their e-mail
      address; choose what people are shown by gender and by nothing else; we
      offer our own phones and cloud; its topics are offers and news, each
      refused on its own or all together; the ground is whatever the law on
      direct marketing asks where the person lives; the data is kept until
      consent ends, then erased.
   10 In Hong Kong, for “Direct marketing”: the ground is the person's
      indication, once asked, that they do not object, after being told of the
      data used to contact them and a free way to answer.
   12 Never, whatever else permits (“sale”): disclosing any personal data
      against money or anything else of value.

`
	if got := b.String(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}
