package consent

import (
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy"
)

// Merge returns the events that carry a visitor's choices over to the ledger
// of the person they turned out to be, in the order in which to append them.
// They cite the visitor's receipts by id; N and the actor's purposes are the
// caller's to set. The person's own ledger is never rewritten.
//
// The strictest wins: a no on either side stands. Only a signal that a program
// sent (Evidence.Signal) yields to an explicit choice made later than it. A yes
// carries over where the person has taken no stand.
func Merge(visitor, person []abide.ConsentEvent, now time.Time, receipt func(n uint64) string) []abide.ConsentEvent {
	m := merging{now: now, receipt: receipt}
	from, to := replay(visitor, now), replay(person, now)
	for i := range from.state.Consents {
		c := &from.state.Consents[i]
		m.purpose(c, from.stands[c.Purpose], to.state.Find(c.Purpose), to.stands[c.Purpose])
	}
	m.documents(visitor, from.state, to.state)
	return m.out
}

// stand is the events that a purpose's state rests on; nil where none does.
type stand struct {
	decided  *abide.ConsentEvent // the last yes, or no to the whole purpose
	notice   *abide.ConsentEvent // what the person was told before it
	objected *abide.ConsentEvent
	parts    *abide.ConsentEvent // the last no to a topic or channel
}

type replayed struct {
	state  State
	stands map[abide.Purpose]stand
}

func replay(events []abide.ConsentEvent, now time.Time) replayed {
	r := replayed{stands: map[abide.Purpose]stand{}}
	told := map[abide.Purpose]*abide.ConsentEvent{}
	for i := range events {
		e := &events[i]
		if e.At.After(now) {
			continue
		}
		before := r.state.Find(e.Purpose)
		r.state = Apply(r.state, e)
		after := r.state.Find(e.Purpose)
		s := r.stands[e.Purpose]
		switch e.Action {
		case abide.ConsentTold:
			told[e.Purpose] = e
		case abide.ConsentGiven, abide.ConsentIndicated, abide.ConsentRefused, abide.ConsentWithdrawn:
			if partial(e) && refusing(e.Action) {
				s.parts = e
			} else if before.Since != after.Since || before.State != after.State || before.Terms != after.Terms {
				s.decided, s.notice = e, told[e.Purpose]
			}
		case abide.ConsentObjected:
			if partial(e) {
				s.parts = e
			} else {
				s.objected = e
			}
		}
		r.stands[e.Purpose] = s
	}
	r.state = Expire(r.state, now)
	return r
}

type merging struct {
	now     time.Time
	receipt func(uint64) string
	out     []abide.ConsentEvent
}

// carry appends an event that repeats a visitor's.
func (m *merging) carry(e *abide.ConsentEvent) *abide.ConsentEvent {
	c := *e
	c.N, c.At = 0, m.now
	c.Actor = abide.Actor{Kind: abide.ActorSystem, Name: "merge"}
	c.Evidence.Cites = m.receipt(e.N)
	m.out = append(m.out, c)
	return &m.out[len(m.out)-1]
}

func (m *merging) purpose(v *policy.Consent, vs stand, p policy.Consent, ps stand) {
	if v.Objected && !p.Objected && !yields(vs.objected, ps.decided, agreed(p.State)) {
		m.carry(vs.objected)
	}
	switch {
	case v.State == policy.StateRefused || v.State == policy.StateWithdrawn:
		denied := p.State == policy.StateRefused || p.State == policy.StateWithdrawn
		if !denied && !yields(vs.decided, ps.decided, agreed(p.State)) {
			m.carry(vs.decided)
		}
	case agreed(v.State) && !v.Objected:
		m.agreement(v, vs, p, ps)
	}
	m.parts(v, vs, p) // last: a yes that names a topic would lift its refusal
}

// yields reports whether a no that a signal sent gives way to a yes said
// later.
func yields(no, yes *abide.ConsentEvent, isYes bool) bool {
	return no != nil && no.Evidence.Signal != "" && isYes && yes != nil && yes.Evidence.Signal == "" && yes.At.After(no.At)
}

func (m *merging) agreement(v *policy.Consent, vs stand, p policy.Consent, ps stand) {
	if agreed(p.State) || v.State == policy.StateIndicated && !v.Told {
		return
	}
	if p.Objected && !yields(ps.objected, vs.decided, true) {
		return
	}
	if decisive(p.State) && !yields(ps.decided, vs.decided, true) {
		return
	}
	topics, someTopic := narrow(v.Topics, v.RefusedTopics, p.RefusedTopics)
	channels, someChannel := narrow(v.Channels, v.RefusedChannels, p.RefusedChannels)
	if !someTopic || !someChannel {
		return
	}
	if p.Objected {
		lift := m.carry(vs.decided)
		lift.Action, lift.Terms, lift.Topics, lift.Channels, lift.Expires = abide.ConsentObjectionLifted, "", nil, nil, time.Time{}
	}
	if v.State == policy.StateIndicated {
		m.carry(vs.notice)
	}
	yes := m.carry(vs.decided)
	yes.Topics, yes.Channels, yes.Expires = topics, channels, v.Expires
}

// narrow takes what either side refused out of what the visitor named, and
// reports whether anything is left. Naming nothing is agreeing to all, which
// lifts no refusal.
func narrow[T ~string](named, refusedHere, refusedThere []T) ([]T, bool) {
	left := without(without(named, refusedHere), refusedThere)
	return left, len(named) == 0 || len(left) > 0
}

// parts carries over topics and channels refused one by one.
func (m *merging) parts(v *policy.Consent, vs stand, p policy.Consent) {
	topics := without(v.RefusedTopics, p.RefusedTopics)
	channels := without(v.RefusedChannels, p.RefusedChannels)
	if vs.parts == nil || len(topics)+len(channels) == 0 {
		return
	}
	e := m.carry(vs.parts)
	e.Action, e.Topics, e.Channels = abide.ConsentRefused, topics, channels
}

func (m *merging) documents(visitor []abide.ConsentEvent, from, to State) {
	for _, a := range from.Accepted {
		known := false
		for _, b := range to.Accepted {
			known = known || b.Document == a.Document && !a.At.After(b.At)
		}
		for i := range visitor {
			e := &visitor[i]
			if !known && e.Action == abide.ConsentAccepted && e.Document == a.Document && e.At.Equal(a.At) {
				m.carry(e)
				break
			}
		}
	}
}
