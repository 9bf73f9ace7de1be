package audit

import (
	"strconv"
	"time"
	"unicode/utf8"

	abide "github.com/abide-privacy/abide"
)

// Parts and envelopes are written for every look, so they are encoded here
// directly; a test holds the result against Canonical, field by field. Keys
// are given in their canonical order.

// object writes one canonical JSON object.
type object struct {
	b   []byte
	bad bool // a string is not UTF-8
}

func newObject(b []byte) object { return object{b: append(b, '{')} }

func (o *object) key(name string) {
	if o.b[len(o.b)-1] != '{' {
		o.b = append(o.b, ',')
	}
	o.b = append(o.b, '"')
	o.b = append(o.b, name...)
	o.b = append(o.b, '"', ':')
}

func (o *object) string(s string) {
	o.bad = o.bad || !utf8.ValidString(s)
	o.b = appendString(o.b, s)
}

// text writes a member unless it is empty.
func (o *object) text(name, s string) {
	if s != "" {
		o.key(name)
		o.string(s)
	}
}

// number writes a member unless it is zero. Numbers here are counts: far below
// 2^53, where canonical JSON stops being exact; what is larger is an error.
func (o *object) number(name string, n uint64) {
	if n != 0 {
		o.bad = o.bad || n > 1<<53
		o.key(name)
		o.b = strconv.AppendUint(o.b, n, 10)
	}
}

func (o *object) id(name string, id abide.SubjectID) {
	if !id.IsZero() {
		o.key(name)
		o.b = appendID(o.b, id)
	}
}

func appendID(b []byte, id abide.SubjectID) []byte {
	return append(append(append(b, '"'), id.String()...), '"')
}

func (o *object) time(name string, t time.Time) {
	o.key(name)
	o.b = append(o.b, '"')
	o.b = t.UTC().AppendFormat(o.b, time.RFC3339Nano)
	o.b = append(o.b, '"')
	o.bad = o.bad || t.UTC().Year() < 0 || t.UTC().Year() > 9999
}

func (o *object) end() []byte { return append(o.b, '}') }

func encodePart(p *Part) ([]byte, bool) {
	o := newObject(make([]byte, 0, 256+192*len(p.Items)))
	o.text("action", string(p.Action))
	o.text("actor", p.Actor)
	o.text("channel", string(p.Channel))
	o.number("consent", p.Consent)
	o.text("document", string(p.Document))
	o.raw("facts", p.Facts)
	o.items("items", p.Items)
	o.judged("judged", p.Judged)
	o.number("n", p.N)
	o.text("note", p.Note)
	o.id("other", p.Other)
	o.text("reason", p.Reason)
	o.text("receipt", p.Receipt)
	o.text("receipt_digest", p.Digest)
	o.text("ref", p.Ref)
	o.items("removed", p.Removed)
	o.text("service", string(p.Service))
	o.text("source", p.Source)
	o.text("state", p.State)
	o.id("subject", p.Subject)
	o.text("terms", p.Terms)
	o.text("topic", string(p.Topic))
	return o.end(), !o.bad
}

func (o *object) items(name string, items []Item) {
	if len(items) == 0 {
		return
	}
	o.key(name)
	for i := range items {
		sep := byte(',')
		if i == 0 {
			sep = '['
		}
		o.item(sep, &items[i])
	}
	o.b = append(o.b, ']')
}

func (o *object) item(sep byte, it *Item) {
	inner := newObject(append(o.b, sep))
	inner.key("category")
	inner.string(string(it.Category))
	inner.text("digest", it.Digest)
	inner.key("id")
	inner.b = appendID(inner.b, it.ID)
	inner.number("version", uint64(it.Version))
	o.b, o.bad = inner.end(), o.bad || inner.bad
}

func encodeEnvelope(e *Envelope) ([]byte, bool) {
	o := newObject(make([]byte, 0, 384))
	o.text("act", e.Act)
	o.key("actor")
	who := newObject(o.b)
	who.key("kind")
	who.string(string(e.Actor.Kind))
	who.text("name", e.Actor.Name)
	who.text("role", e.Actor.Role)
	o.b, o.bad = who.end(), who.bad
	o.time("at", e.At)
	words(&o, "categories", e.Categories)
	o.bad = o.bad || e.Count < 0
	o.number("count", uint64(e.Count))
	o.text("effect", e.Effect)
	o.key("kind")
	o.string(string(e.Kind))
	o.text("object", e.Object)
	o.text("policy", e.Policy)
	o.text("purpose", string(e.Purpose))
	if len(e.Reasons) > 0 {
		o.key("reasons")
		for i := range e.Reasons {
			sep := byte(',')
			if i == 0 {
				sep = '['
			}
			o.ground(sep, &e.Reasons[i])
		}
		o.b = append(o.b, ']')
	}
	o.text("recipient", string(e.Recipient))
	return o.end(), !o.bad
}

func (o *object) ground(sep byte, g *Ground) {
	inner := newObject(append(o.b, sep))
	inner.text("category", string(g.Category))
	inner.text("clause", g.Clause)
	inner.key("code")
	inner.string(string(g.Code))
	o.b, o.bad = inner.end(), o.bad || inner.bad
}
