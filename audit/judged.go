package audit

import (
	"encoding/json"
	"time"

	abide "github.com/abide-privacy/abide"
)

// Judged is what a decision was judged by, as far as neither the envelope nor
// the rest of the part says it: with the facts of the state that it names, and
// the policy of the envelope, the decision can be made again.
type Judged struct {
	At    time.Time `json:"at,omitzero"`     // the instant decided for
	AsOf  bool      `json:"as_of,omitempty"` // an earlier day was asked about
	State uint64    `json:"state,omitempty"` // version of the subject's row
	// Purposes are those that were asked for, if they are not the envelope's one.
	Purposes []abide.Purpose `json:"purposes,omitempty"`
	// Carries are those of them that the actor's token carried.
	Carries   []abide.Purpose `json:"carries,omitempty"`
	Approvals uint64          `json:"approvals,omitempty"` // how many others had agreed
	ForValue  bool            `json:"for_value,omitempty"`
	// Joins are the services that the person counted as taking part in by it.
	Joins []abide.Service `json:"joins,omitempty"`
	// System: judged as an act of the store's own, whoever began it.
	System  bool            `json:"system,omitempty"`
	Gap     bool            `json:"gap,omitempty"`     // the store was restored with a gap in the ledger of consent
	Brought json.RawMessage `json:"brought,omitempty"` // facts that came with the call
	// Items are the stored items that were judged, each by itself; Together: with
	// the request.
	Items    []JudgedItem    `json:"items,omitempty"`
	Together bool            `json:"together,omitempty"`
	Register json.RawMessage `json:"register,omitempty"` // what the registers said of recipient, staff and reviews
	Laws     string          `json:"laws,omitempty"`     // digest of the law profiles
}

// JudgedItem is what was known of a stored item when it was judged.
type JudgedItem struct {
	Category abide.Category  `json:"category"`
	Obtained time.Time       `json:"obtained,omitzero"`
	Ref      string          `json:"ref,omitempty"`
	Derived  bool            `json:"derived,omitempty"`
	Purposes []abide.Purpose `json:"purposes,omitempty"` // of a derived item: what its sources share
	Law      bool            `json:"law,omitempty"`      // kept because law says so
	Gone     bool            `json:"gone,omitempty"`     // what it was derived from was held no more
}

func (o *object) judged(name string, j *Judged) {
	if j == nil {
		return
	}
	o.key(name)
	in := newObject(o.b)
	in.number("approvals", j.Approvals)
	in.flag("as_of", j.AsOf)
	in.instant("at", j.At)
	in.raw("brought", j.Brought)
	words(&in, "carries", j.Carries)
	in.flag("for_value", j.ForValue)
	in.flag("gap", j.Gap)
	if len(j.Items) > 0 {
		in.key("items")
		for i := range j.Items {
			sep := byte(',')
			if i == 0 {
				sep = '['
			}
			in.judgedItem(sep, &j.Items[i])
		}
		in.b = append(in.b, ']')
	}
	words(&in, "joins", j.Joins)
	in.text("laws", j.Laws)
	words(&in, "purposes", j.Purposes)
	in.raw("register", j.Register)
	in.number("state", j.State)
	in.flag("system", j.System)
	in.flag("together", j.Together)
	o.b, o.bad = in.end(), o.bad || in.bad
}

func (o *object) judgedItem(sep byte, it *JudgedItem) {
	in := newObject(append(o.b, sep))
	in.key("category")
	in.string(string(it.Category))
	in.flag("derived", it.Derived)
	in.flag("gone", it.Gone)
	in.flag("law", it.Law)
	in.instant("obtained", it.Obtained)
	words(&in, "purposes", it.Purposes)
	in.text("ref", it.Ref)
	o.b, o.bad = in.end(), o.bad || in.bad
}

// flag writes a member if it is true.
func (o *object) flag(name string, v bool) {
	if v {
		o.key(name)
		o.b = append(o.b, "true"...)
	}
}

// instant writes a member unless it is the zero time.
func (o *object) instant(name string, t time.Time) {
	if !t.IsZero() {
		o.time(name, t)
	}
}

// raw writes a member that is JSON already, in canonical form.
func (o *object) raw(name string, text json.RawMessage) {
	if len(text) == 0 {
		return
	}
	canonical, err := Canonicalize(text)
	o.bad = o.bad || err != nil
	o.key(name)
	o.b = append(o.b, canonical...)
}

func words[T ~string](o *object, name string, list []T) {
	if len(list) == 0 {
		return
	}
	o.key(name)
	for i, w := range list {
		sep := byte(',')
		if i == 0 {
			sep = '['
		}
		o.b = append(o.b, sep)
		o.string(string(w))
	}
	o.b = append(o.b, ']')
}
