package engine

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/vault"
	"github.com/abide-privacy/abide/policy"
)

// pastFacts is the pseudo-category of what used to be known of a person, so
// that questions about the past are answered with the facts of that day.
const pastFacts abide.Category = "~past"

// past is the facts that UpdateSubject changes, as they were until an instant.
type past struct {
	Until         time.Time       `json:"until"`
	Residence     abide.Place     `json:"residence,omitempty"`
	Whereabouts   abide.Place     `json:"whereabouts,omitempty"`
	BirthDate     abide.Date      `json:"birth_date,omitzero"`
	DeclaredMinor bool            `json:"declared_minor,omitempty"`
	Restricted    bool            `json:"restricted,omitempty"`
	Guardian      policy.Guardian `json:"guardian,omitzero"`
}

func (e *Engine) openPast(s *subject) ([]past, *storage.Item, error) {
	items, err := e.open(s, pastFacts)
	if err != nil || len(items) == 0 {
		return nil, nil, err
	}
	var list []past
	if err := json.Unmarshal(items[0].record.Value, &list); err != nil {
		return nil, nil, storageError(err)
	}
	return list, items[0].item, nil
}

// keepPast adds the facts as they are now to the past, as true until an
// instant.
func (ch *change) keepPast(until time.Time) error {
	f := &ch.facts
	list, item, err := ch.engine.openPast(ch.subject)
	if err != nil {
		return err
	}
	list = append(list, past{Until: until, Residence: f.Residence, Whereabouts: f.Whereabouts, BirthDate: f.BirthDate,
		DeclaredMinor: f.DeclaredMinor, Restricted: f.Restricted, Guardian: f.Guardian})
	value, err := json.Marshal(list)
	if err != nil {
		return storageError(err)
	}
	it := storage.Item{Category: pastFacts, ID: ch.id, Compartment: storage.Live, Version: 1}
	if item != nil {
		it.Version = item.Version + 1
	}
	if err := ch.engine.vault.SealItem(ch.keys, &it, &vault.Record{Value: value, Obtained: ch.now}); err != nil {
		return storageError(err)
	}
	ch.PutItems = append(ch.PutItems, it)
	return nil
}

// factsAt returns the facts as they were known at an instant, the ledger
// aside.
func factsAt(f policy.Facts, list []past, at time.Time) policy.Facts {
	for _, p := range list {
		if at.Before(p.Until) {
			f.Residence, f.Whereabouts, f.BirthDate = p.Residence, p.Whereabouts, p.BirthDate
			f.DeclaredMinor, f.Restricted, f.Guardian = p.DeclaredMinor, p.Restricted, p.Guardian
			break
		}
	}
	f.Services = slices.DeleteFunc(slices.Clone(f.Services), func(t policy.Taking) bool { return t.Since.After(at) })
	for i := range f.Services {
		if f.Services[i].Left.After(at) {
			f.Services[i].Left = time.Time{}
		}
	}
	f.Events = slices.DeleteFunc(slices.Clone(f.Events), func(ev policy.Event) bool { return ev.At.After(at) })
	return f
}

// UpdateSubject changes what is known of a person besides their data.
func (e *Engine) UpdateSubject(ctx context.Context, c Call, id abide.SubjectID, patch SubjectPatch) (SubjectView, error) {
	for field, place := range map[string]*abide.Place{"jurisdiction": patch.Jurisdiction, "whereabouts": patch.Whereabouts} {
		if place == nil {
			continue
		}
		if err := checkPlace(*place, field); err != nil {
			return SubjectView{}, err
		}
	}
	if (patch.GuardianVerified != nil || patch.GuardianConsents != nil) && c.Actor.Kind == abide.ActorService && !c.Actor.Admin {
		return SubjectView{}, mayNot("a member of staff verifies guardians, and is named in the log")
	}
	return update(ctx, e, c, opUpdate, id, everything, patch, func(ch *change) (SubjectView, error) {
		was := ch.facts
		if err := patch.loosens(c.Actor, &was); err != nil {
			return SubjectView{}, err
		}
		if err := ch.keepPast(ch.now); err != nil {
			return SubjectView{}, err
		}
		patch.apply(&ch.facts)
		if err := ch.rearm(); err != nil {
			return SubjectView{}, err
		}
		kind := audit.Rectified
		if was.Restricted != ch.facts.Restricted {
			kind = audit.Restricted
		}
		ch.log(partOf(c), e.envelope(c, kind))
		return view(ch.subject), nil
	})
}

// loosens refuses a service what would open data by its word alone: an end to
// a restriction, a child become older. Staff may, and are named in the log.
func (p *SubjectPatch) loosens(a abide.Actor, f *policy.Facts) error {
	if a.Kind != abide.ActorService || a.Admin {
		return nil
	}
	known, said := f.BirthDate, p.BirthDate
	switch {
	case p.Restricted != nil && !*p.Restricted && f.Restricted:
		return mayNot("a member of staff ends a restriction, and is named in the log")
	case p.DeclaredMinor != nil && !*p.DeclaredMinor && f.DeclaredMinor,
		said != nil && !known.IsZero() && (said.IsZero() || said.String() < known.String()):
		return mayNot("a member of staff corrects the age of a person upwards, and is named in the log")
	}
	return nil
}

func (p *SubjectPatch) apply(f *policy.Facts) {
	set(&f.Residence, p.Jurisdiction)
	set(&f.Whereabouts, p.Whereabouts)
	set(&f.BirthDate, p.BirthDate)
	set(&f.DeclaredMinor, p.DeclaredMinor)
	set(&f.Restricted, p.Restricted)
	set(&f.Guardian.Verified, p.GuardianVerified)
	set(&f.Guardian.Consents, p.GuardianConsents)
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

// Subject tells what is held of a person, in counts; no values.
func (e *Engine) Subject(ctx context.Context, c Call, id abide.SubjectID) (SubjectView, error) {
	if err := authorise(c, opSeeSubject, id); err != nil {
		return SubjectView{}, err
	}
	s, err := e.load(ctx, id, storage.Want{AllItems: true, Erasure: true})
	if err != nil {
		return SubjectView{}, err
	}
	defer s.close()
	return view(s), nil
}

func view(s *subject) SubjectView {
	v := SubjectView{ID: s.id, Kind: s.row.Kind, Status: s.row.Status, Created: s.row.Created,
		Restricted: s.facts.Restricted, Holds: map[abide.Category]int{}}
	if s.erasure != nil {
		v.Erasure = s.erasure.Step
	}
	for i := range s.items {
		it := &s.items[i]
		if isPseudo(it.Category) || !s.active() && it.Compartment != storage.Law || !it.Due.IsZero() && !s.now.Before(it.Due) {
			continue
		}
		v.Holds[it.Category]++
	}
	return v
}

// isPseudo reports whether a category is the engine's own and no personal data
// of a policy.
func isPseudo(c abide.Category) bool { return len(c) > 0 && c[0] == '~' }

// RecordEvent takes in a fact that deadlines wait for: order.closed. The same
// anchor and ref again moves the time.
func (e *Engine) RecordEvent(ctx context.Context, c Call, id abide.SubjectID, anchor, ref string, at time.Time) error {
	request := []any{anchor, ref, at}
	_, err := update(ctx, e, c, opEvent, id, everything, request, func(ch *change) (struct{}, error) {
		return struct{}{}, ch.recordEvent(anchor, ref, at)
	})
	return err
}

func (ch *change) recordEvent(anchor, ref string, at time.Time) error {
	e := ch.engine
	known, allowed := reported(ch.policy(), anchor, ch.call.Actor)
	switch {
	case !known:
		return invalid("unknown_fact", "no service of the policy reports this fact", "name it in reports of a service", "anchor")
	case !allowed:
		return mayNot("this token carries no purpose of the services that report this fact")
	case !representable(at):
		return invalid("bad_time", "the time lies outside of the years 1900 to 9000", "report when it happened", "at")
	case at.After(ch.now.Add(clockSkew)):
		// Deadlines count from it: an order closed in a thousand years would
		// keep the data until then.
		return invalid("in_the_future", "the fact lies in the future", "report it when it has happened", "at")
	}
	if at.IsZero() {
		at = ch.now
	}
	at = at.UTC().Truncate(time.Microsecond)
	if err := ch.putEvent(policy.Event{Anchor: anchor, Ref: ref, At: at}); err != nil {
		return err
	}
	if err := ch.rearm(); err != nil {
		return err
	}
	p := partOf(ch.call)
	p.Ref, p.Note = ref, anchor
	ch.log(p, e.envelope(ch.call, audit.EventReported))
	return nil
}

// putEvent takes in a fact, in the place of what was known of it.
func (ch *change) putEvent(ev policy.Event) error {
	ch.facts.Events = slices.DeleteFunc(slices.Clone(ch.facts.Events), func(old policy.Event) bool { return old.Anchor == ev.Anchor && old.Ref == ev.Ref })
	ch.facts.Events = append(ch.facts.Events, ev)
	opaque, err := ch.engine.vault.EventName(ch.id, ev.Anchor, ev.Ref)
	if err != nil {
		return storageError(err)
	}
	ch.Facts = append(ch.Facts, storage.FactRow{Anchor: ev.Anchor, Event: opaque, At: ev.At})
	return nil
}

// clockSkew is how far ahead of ours the clock of a caller may be.
const clockSkew = 5 * time.Minute

// reported reports whether a service of the policy reports the fact, and
// whether the actor carries a purpose of such a service.
func reported(p *policy.Policy, anchor string, a abide.Actor) (known, allowed bool) {
	for _, svc := range p.Set().Services {
		for _, r := range svc.Reports {
			if r.Name != anchor {
				continue
			}
			known = true
			if s, ok := p.Service(svc.Name); ok && (len(s.Serves) == 0 || mayActFor(a, s.Serves...)) {
				allowed = true
			}
		}
	}
	return known, allowed
}

// rearm computes the deadlines of all loaded items anew, after the facts they
// wait for changed. Reads compute deadlines live; the stored ones are what the
// sweep looks for.
func (ch *change) rearm() error {
	next := time.Time{}
	d := deadlinesOf(ch.engine, ch.subject, &ch.facts)
	for i := range ch.items {
		it := ch.items[i]
		if !isPseudo(it.Category) {
			_, r, err := d.of(&ch.items[i])
			if err != nil {
				return err
			}
			if !r.Due.Equal(it.Due) {
				it.Due = r.Due
				ch.PutItems = append(ch.PutItems, it)
			}
		}
		next = sooner(next, it.Due)
	}
	ch.Row.NextDue = next
	return nil
}

// sooner returns the earlier of two deadlines; zero is none.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
