package diff

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy"
	"github.com/abide-privacy/abide/policy/rule"
)

// fingerprints are the rules of a policy as texts, so that purposes about which
// nothing was rewritten need not be asked about. A text holds every field of a
// rule but where it stands.
type fingerprints struct {
	context string // whatever may touch any purpose
	purpose map[abide.Purpose]string
}

func fingerprintsOf(p *policy.Policy) fingerprints {
	set := p.Set()
	var b strings.Builder
	for _, d := range set.Documents {
		fmt.Fprintln(&b, d.Name, d.TranslationOf, d.LawOf)
		write(&b, reflect.ValueOf(d.YieldsTo))
		write(&b, reflect.ValueOf(d.Controller))
	}
	for _, rules := range []any{set.Levels, set.Groups, set.Services, set.WithoutConsent, set.Minors, set.Reviews, set.Roles, set.Nevers} {
		write(&b, reflect.ValueOf(rules))
	}
	f := fingerprints{purpose: map[abide.Purpose]string{}}
	texts := map[abide.Purpose]*strings.Builder{}
	of := func(name abide.Purpose) *strings.Builder {
		if texts[name] == nil {
			texts[name] = &strings.Builder{}
		}
		return texts[name]
	}
	for _, r := range set.Recipients {
		without := *r
		without.Gets = nil
		write(&b, reflect.ValueOf(without))
		for _, g := range r.Gets {
			fmt.Fprint(of(abide.Purpose(g.Purpose.Name)), r.Name)
			write(of(abide.Purpose(g.Purpose.Name)), reflect.ValueOf(g))
		}
	}
	for _, r := range set.Purposes {
		write(of(r.Name), reflect.ValueOf(r))
	}
	f.context = b.String()
	for name, text := range texts {
		f.purpose[name] = text.String()
	}
	return f
}

var (
	spanType   = reflect.TypeFor[abide.Span]()
	clauseType = reflect.TypeFor[*rule.Clause]()
	groupType  = reflect.TypeFor[*rule.Group]()
)

// write writes a value field by field, places and back references left out.
func write(b *strings.Builder, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			b.WriteByte('-')
			return
		}
		if v.Type() == clauseType {
			if d := v.Interface().(*rule.Clause).Document; d != nil {
				b.WriteString(string(d.Name))
			}
			return
		}
		write(b, v.Elem())
	case reflect.Struct:
		b.WriteByte('{')
		for i := range v.NumField() {
			f := v.Field(i)
			if f.Type() == spanType || f.Type() == groupType {
				continue
			}
			write(b, f)
			b.WriteByte(',')
		}
		b.WriteByte('}')
	case reflect.Slice:
		b.WriteByte('[')
		for i := range v.Len() {
			write(b, v.Index(i))
			b.WriteByte(',')
		}
		b.WriteByte(']')
	case reflect.String:
		fmt.Fprintf(b, "%q", v.String())
	default:
		fmt.Fprint(b, v.Interface())
	}
}

// unchanged returns a test for purposes that both policies treat alike because
// nothing that touches them was rewritten, neither rules nor law.
func unchanged(old, new *policy.Policy) func(abide.Purpose) bool {
	a, b := fingerprintsOf(old), fingerprintsOf(new)
	if a.context != b.context || !reflect.DeepEqual(old.Laws(), new.Laws()) ||
		!slices.Equal(old.PlaceNames(), new.PlaceNames()) {
		return func(abide.Purpose) bool { return false }
	}
	return func(name abide.Purpose) bool {
		if pu, ok := old.Purpose(name); ok {
			for _, q := range old.Around(pu) {
				if a.purpose[q.Name] != b.purpose[q.Name] {
					return false
				}
			}
		}
		return a.purpose[name] == b.purpose[name]
	}
}
