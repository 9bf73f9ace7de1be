package policy_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy"
)

// field is one field of the facts, reached by a path of names; a list on the
// way means each of its elements.
type field struct {
	path []string
	tag  string
}

func (f field) String() string { return strings.Join(f.path, ".") + " " + f.tag }

// directed lists the fields of a struct type and of all structs within, and
// complains about those that declare no direction.
func directed(t reflect.Type, path []string) (fields []field, undeclared []string) {
	for i := range t.NumField() {
		sf := t.Field(i)
		here := append(slices.Clone(path), sf.Name)
		tag, ok := sf.Tag.Lookup("refuses")
		if !ok || !knownDirection(tag) {
			undeclared = append(undeclared, strings.Join(here, "."))
			continue
		}
		if tag != "any" && tag != "fields" {
			fields = append(fields, field{here, tag})
		}
		in := sf.Type
		if in.Kind() == reflect.Slice {
			in = in.Elem()
		}
		if in.Kind() == reflect.Struct && in != reflect.TypeFor[time.Time]() && in != reflect.TypeFor[abide.Date]() {
			more, bad := directed(in, here)
			fields, undeclared = append(fields, more...), append(undeclared, bad...)
		}
	}
	return fields, undeclared
}

var directions = []string{"true", "false", "unknown", "known", "younger", "earlier", "more", "fewer", "narrower", "absent", "fields", "any"}

func knownDirection(tag string) bool {
	return strings.Contains(tag, ">") || slices.Contains(directions, tag)
}

func TestEveryFactDeclaresItsDirection(t *testing.T) {
	fields, undeclared := directed(reflect.TypeFor[policy.Facts](), nil)
	for _, u := range undeclared {
		t.Errorf("policy.Facts.%s declares no direction in which it only refuses: give it a refuses tag", u)
	}
	if len(fields) < 20 {
		t.Errorf("only %d fields have a direction", len(fields))
	}
	type fresh struct {
		Known   bool `refuses:"true"`
		Unknown int
		Wrong   int `refuses:"sideways"`
	}
	if _, bad := directed(reflect.TypeFor[fresh](), nil); !slices.Equal(bad, []string{"Unknown", "Wrong"}) {
		t.Errorf("a new field without direction is not noticed: %v", bad)
	}
}

// move changes a field in its direction. It reports whether there was
// anything to move.
func move(d *draw, v reflect.Value, f field) bool {
	for i, name := range f.path {
		if v.Kind() == reflect.Slice {
			if v.Len() == 0 {
				return false
			}
			n := rapid.IntRange(0, v.Len()-1).Draw(d.t, "element")
			v = v.Index(n)
		}
		v = v.FieldByName(name)
		if i == len(f.path)-1 {
			break
		}
	}
	if strings.Contains(f.tag, ">") {
		return moveAlong(d, v, f.tag)
	}
	switch f.tag {
	case "true", "false":
		moved := v.Bool() != (f.tag == "true")
		v.SetBool(f.tag == "true")
		return moved
	case "unknown", "absent":
		// A place that exists nowhere refuses more than one that is not known.
		moved := !v.IsZero() && v.Interface() != abide.Place("XX")
		if !moved {
			return false
		}
		v.SetZero()
		return moved
	case "known":
		if !v.IsZero() {
			return false
		}
		v.SetString(string(pick(d, "place", somePlaces[1:]...)))
		return true
	case "younger":
		born := v.Interface().(abide.Date)
		if born.IsZero() {
			born.Year = 1980
		}
		v.Set(reflect.ValueOf(abide.Date{Year: born.Year + rapid.IntRange(1, 50).Draw(d.t, "years"), Month: 1, Day: 1}))
		return true
	case "earlier":
		return moveTime(d, v)
	case "more", "fewer", "narrower":
		return moveList(d, v, f)
	}
	panic("no such direction: " + f.tag)
}

func moveAlong(d *draw, v reflect.Value, tag string) bool {
	var later []string
	for _, chain := range strings.Split(tag, ",") {
		names := strings.Split(chain, ">")
		if at := slices.Index(names, v.String()); at >= 0 {
			later = append(later, names[at+1:]...)
		}
	}
	if len(later) == 0 {
		return false
	}
	v.SetString(pick(d, "later value", later...))
	return true
}

func moveTime(d *draw, v reflect.Value) bool {
	at := v.Interface().(time.Time)
	if at.IsZero() {
		v.Set(reflect.ValueOf(pick(d, "time", someWhen[1:]...)))
	} else {
		v.Set(reflect.ValueOf(at.AddDate(0, 0, -rapid.IntRange(1, 900).Draw(d.t, "days"))))
	}
	return true
}

func moveList(d *draw, v reflect.Value, f field) bool {
	name := f.path[len(f.path)-1]
	n := v.Len()
	if f.tag == "fewer" || f.tag == "narrower" && n > 1 {
		if n == 0 {
			return false
		}
		i := rapid.IntRange(0, n-1).Draw(d.t, "removed")
		v.Set(reflect.AppendSlice(v.Slice3(0, i, i), v.Slice(i+1, n)))
		return true
	}
	if f.tag == "narrower" && n == 1 {
		return false
	}
	var one reflect.Value
	switch name {
	case "Holds":
		one = reflect.ValueOf(d.hold())
	case "Topics", "RefusedTopics":
		one = reflect.ValueOf(pick(d, "one topic", someTopics...))
	case "Channels", "RefusedChannels":
		one = reflect.ValueOf(pick(d, "one channel", someChannels...))
	default:
		panic("no element to add to " + name)
	}
	v.Set(reflect.Append(v.Slice3(0, n, n), one))
	return true
}

// copyFacts copies what move may change.
func copyFacts(f policy.Facts) policy.Facts {
	f.Holds, f.Consents, f.Services = slices.Clone(f.Holds), slices.Clone(f.Consents), slices.Clone(f.Services)
	return f
}

// Moving any fact in its declared direction never turns a refusal into a
// permit, for the request as a whole and for each of its categories.
func TestFactsOnlyRefuseInTheirDirection(t *testing.T) {
	p := lantern(t)
	fields, _ := directed(reflect.TypeFor[policy.Facts](), nil)
	for _, f := range fields {
		t.Run(strings.Join(f.path, "."), func(t *testing.T) {
			moved, refused := 0, 0
			// Go on until moving has mattered, so that it could have gone wrong.
			for round := 0; round < 5 || (refused < 3 && round < 40); round++ {
				rapid.Check(t, func(t *rapid.T) {
					did, mattered := tryMove(t, p, f)
					if did {
						moved++
					}
					if mattered {
						refused++
					}
				})
			}
			if moved == 0 {
				t.Errorf("%s was never moved: the test shows nothing", f)
			}
			t.Logf("moved %d times, of which %d turned a permit into a refusal", moved, refused)
		})
	}
}

// tryMove moves a field of drawn facts, and reports whether there was anything
// to move and whether it turned a permit into a refusal.
func tryMove(t *rapid.T, p *policy.Policy, f field) (moved, mattered bool) {
	d := newDraw(t, p)
	reg, req := d.register(), d.request()
	facts := d.facts(req.Purpose)
	if f.path[0] == "Holds" && req.Order != nil {
		return false, false // what a hold keeps beyond its deadline is what a legal request may open
	}
	before := p.Decide(&facts, reg, &req)
	worse := copyFacts(facts)
	if !move(d, reflect.ValueOf(&worse).Elem(), f) {
		return false, false
	}
	after := p.Decide(&worse, reg, &req)
	if lost := widened(&before, &after); lost != "" {
		t.Fatalf("%s: %s\nfacts  %+v\nworse  %+v\nrequest %+v\nwas %v", f, lost, facts, worse, req, before.Reasons)
	}
	return true, before.Allowed() && !after.Allowed()
}

func widened(before, after *abide.Decision) string {
	if !before.Allowed() && after.Allowed() {
		return "a refusal became a permit"
	}
	for _, c := range after.Permitted {
		if !slices.Contains(before.Permitted, c) {
			return fmt.Sprintf("%s became permitted", c)
		}
	}
	return ""
}
