package policy

import (
	"reflect"
	"strconv"
	"strings"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy/rule"
)

// canonicalSet writes a whole policy as the value whose digest is its version:
// every field of every rule, and the prose, without the places where they
// stand. Clauses are named where rules refer to them. It goes by reflection, so
// that a field added to the syntax tree is never forgotten; zero fields are
// left out, so that adding one changes no version.
func canonicalSet(set *rule.Set) any { return canonicalValue(reflect.ValueOf(set), true) }

// canonicalPolicy is canonicalSet with the law profiles that the policy brings;
// one that brings none has the version of its rules alone.
func canonicalPolicy(set *rule.Set, own []Profile) any {
	if len(own) == 0 {
		return canonicalSet(set)
	}
	return map[string]any{"rules": canonicalSet(set), "laws": canonicalValue(reflect.ValueOf(own), true)}
}

var (
	spanType   = reflect.TypeFor[abide.Span]()
	clauseType = reflect.TypeFor[*rule.Clause]()
	textType   = reflect.TypeFor[[]rule.Text]()
	docType    = reflect.TypeFor[*rule.Document]()
	groupType  = reflect.TypeFor[*rule.Group]()
)

// canonicalValue returns strings, lists and objects for appendCanonical. whole
// is set where clauses and groups stand themselves, not where they are
// referred to.
func canonicalValue(v reflect.Value, whole bool) any {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return ""
		}
		if !whole {
			switch v.Type() {
			case clauseType:
				c := v.Interface().(*rule.Clause)
				if c.Document == nil {
					return c.ID
				}
				return c.FullID()
			case docType:
				return string(v.Interface().(*rule.Document).Name)
			case groupType:
				return v.Interface().(*rule.Group).Name
			}
		}
		return canonicalValue(v.Elem(), whole)
	case reflect.Struct:
		return canonicalStruct(v)
	case reflect.Slice, reflect.Array:
		if v.Type() == textType {
			return proseOf(v.Interface().([]rule.Text))
		}
		out := make([]any, v.Len())
		for i := range out {
			out[i] = canonicalValue(v.Index(i), true)
		}
		return out
	case reflect.String:
		return v.String()
	case reflect.Bool:
		return strconv.FormatBool(v.Bool())
	case reflect.Float64, reflect.Float32:
		return strconv.FormatFloat(v.Float(), 'g', -1, 64)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.FormatInt(v.Int(), 10)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return strconv.FormatUint(v.Uint(), 10)
	}
	panic("policy: no canonical form for a field of kind " + v.Kind().String())
}

func canonicalStruct(v reflect.Value) any {
	out := map[string]any{}
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if f.Type == spanType || v.Field(i).IsZero() || f.Name == "Digest" || f.Name == "File" || f.Name == "Sidecar" {
			continue
		}
		// Only lists hold rules themselves; a single pointer to a clause, a
		// document or a group refers to it.
		single := f.Type == clauseType || f.Type == docType || f.Type == groupType
		out[f.Name] = canonicalValue(v.Field(i), !single)
	}
	return out
}

// proseOf joins prose as people read it: runs of a block together, blocks on
// lines, white space folded.
func proseOf(texts []rule.Text) string {
	var b strings.Builder
	for i, t := range texts {
		if i > 0 && texts[i-1].Block != t.Block {
			b.WriteByte('\n')
		}
		b.WriteString(t.Text)
		if t.Link != "" {
			b.WriteString("<" + t.Link + ">")
		}
	}
	lines := strings.Split(b.String(), "\n")
	for i, l := range lines {
		lines[i] = strings.Join(strings.Fields(l), " ")
	}
	return strings.Join(lines, "\n")
}

// proseDigest is the digest of a document's words, headings included.
func proseDigest(d *rule.Document) string {
	var parts []string
	for _, c := range d.Clauses {
		parts = append(parts, c.ID, proseOf(c.Prose))
	}
	return digestOf(appendCanonical(nil, parts))
}
