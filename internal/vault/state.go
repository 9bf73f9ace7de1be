package vault

import (
	"encoding/binary"
	"slices"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/wire"
	"github.com/abide-privacy/abide/policy"
)

// stateForm is the form number of an encoded state.
const stateForm = 1

// Bits of the fields of policy.Facts. A new field gets the next bit; none is
// ever given a new meaning.
const (
	stKind = iota
	stStatus
	stResidence
	stWhereabouts
	stBirthDate
	stDeclaredMinor
	stGuardianVerified
	stGuardianConsents
	stRestricted
	stRestoredGap
	stHolds
	stConsents
	stAccepted
	stServices
	stEvents
	stHoldNotes // which items are held, why, by whom: after everything else
	stateBits
)

// Bits of the fields of policy.Consent.
const (
	coTold = iota
	coTerms
	coSeparate
	coExpires
	coSince
	coTopics
	coChannels
	coRefusedTopics
	coRefusedChannels
	coObjected
	coToldTerms
	coToldSame // ToldTerms equals Terms, which is the rule
	coLast
	coLastSame // Last equals Since
	consentBits
)

// words are the values that the state repeats in every subject, by the number
// that stands for them. Number 0 means that the word itself follows. Words are
// appended, never moved.
var words = [...]string{"",
	string(abide.Person), string(abide.Visitor), string(abide.Other),
	string(abide.StatusActive), string(abide.StatusErasing), string(abide.StatusErased),
	string(policy.StateAsked), string(policy.StateTold), string(policy.StateGiven), string(policy.StateIndicated),
	string(policy.StateRefused), string(policy.StateWithdrawn), string(policy.StateExpired),
	string(abide.GradeProved), string(abide.GradeClaimed), string(abide.GradeUnknown),
}

var wordNumber = func() map[string]byte {
	m := make(map[string]byte, len(words))
	for i, w := range words[1:] {
		m[w] = byte(i + 1)
	}
	return m
}()

func appendWord(b []byte, w string) []byte {
	if n, ok := wordNumber[w]; ok {
		return append(b, n)
	}
	return wire.AppendString(append(b, 0), w)
}

func readWord(r *wire.Reader) string {
	n := r.Byte()
	switch {
	case n == 0:
		return r.String()
	case int(n) < len(words):
		return words[n]
	}
	r.Fail(wire.ErrNewer)
	return ""
}

// EncodeState returns the bytes of a subject's facts. Equal facts give equal
// bytes.
func EncodeState(f *policy.Facts) []byte {
	var m wire.Mask
	m.Set(stKind, f.Kind != "")
	m.Set(stStatus, f.Status != "")
	m.Set(stResidence, f.Residence != "")
	m.Set(stWhereabouts, f.Whereabouts != "")
	m.Set(stBirthDate, !f.BirthDate.IsZero())
	m.Set(stDeclaredMinor, f.DeclaredMinor)
	m.Set(stGuardianVerified, f.Guardian.Verified)
	m.Set(stGuardianConsents, len(f.Guardian.Consents) > 0)
	m.Set(stRestricted, f.Restricted)
	m.Set(stRestoredGap, f.RestoredGap)
	m.Set(stHolds, len(f.Holds) > 0)
	m.Set(stConsents, len(f.Consents) > 0)
	m.Set(stAccepted, len(f.Accepted) > 0)
	m.Set(stServices, len(f.Services) > 0)
	m.Set(stEvents, len(f.Events) > 0)
	m.Set(stHoldNotes, slices.ContainsFunc(f.Holds, func(h policy.Hold) bool {
		return len(h.Items) > 0 || h.Reason != "" || h.By != "" || !h.Since.IsZero()
	}))
	b := make([]byte, 0, 64+160*len(f.Consents)+32*(len(f.Events)+len(f.Services))+96*len(f.Accepted))
	b = append(b, stateForm)
	b = binary.AppendUvarint(b, uint64(m))
	if m.Has(stKind) {
		b = appendWord(b, string(f.Kind))
	}
	if m.Has(stStatus) {
		b = appendWord(b, string(f.Status))
	}
	if m.Has(stResidence) {
		b = wire.AppendString(b, f.Residence)
	}
	if m.Has(stWhereabouts) {
		b = wire.AppendString(b, f.Whereabouts)
	}
	if m.Has(stBirthDate) {
		b = binary.AppendVarint(b, int64(f.BirthDate.Year))
		b = append(b, byte(f.BirthDate.Month), byte(f.BirthDate.Day))
	}
	if m.Has(stGuardianConsents) {
		b = wire.AppendStrings(b, f.Guardian.Consents)
	}
	return appendLists(b, m, f)
}

func appendLists(b []byte, m wire.Mask, f *policy.Facts) []byte {
	if m.Has(stHolds) {
		b = binary.AppendUvarint(b, uint64(len(f.Holds)))
		for i := range f.Holds {
			h := &f.Holds[i]
			b = wire.AppendString(b, h.Name)
			b = wire.AppendStrings(b, h.Categories)
			b = wire.AppendTime(b, h.Until)
		}
	}
	if m.Has(stConsents) {
		b = binary.AppendUvarint(b, uint64(len(f.Consents)))
		for i := range f.Consents {
			b = appendConsent(b, &f.Consents[i])
		}
	}
	if m.Has(stAccepted) {
		b = binary.AppendUvarint(b, uint64(len(f.Accepted)))
		for i := range f.Accepted {
			b = wire.AppendString(b, f.Accepted[i].Document)
			b = wire.AppendString(b, f.Accepted[i].Digest)
			b = wire.AppendTime(b, f.Accepted[i].At)
		}
	}
	if m.Has(stServices) {
		b = binary.AppendUvarint(b, uint64(len(f.Services)))
		for i := range f.Services {
			b = wire.AppendString(b, f.Services[i].Service)
			b = wire.AppendTime(b, f.Services[i].Since)
			b = wire.AppendTime(b, f.Services[i].Left)
		}
	}
	if m.Has(stEvents) {
		b = binary.AppendUvarint(b, uint64(len(f.Events)))
		for i := range f.Events {
			b = wire.AppendString(b, f.Events[i].Anchor)
			b = wire.AppendString(b, f.Events[i].Ref)
			b = wire.AppendTime(b, f.Events[i].At)
		}
	}
	if m.Has(stHoldNotes) {
		for i := range f.Holds {
			b = appendHoldNotes(b, &f.Holds[i])
		}
	}
	return b
}

func appendConsent(b []byte, c *policy.Consent) []byte {
	var m wire.Mask
	m.Set(coTold, c.Told)
	m.Set(coTerms, c.Terms != "")
	m.Set(coSeparate, c.Separate)
	m.Set(coExpires, !c.Expires.IsZero())
	m.Set(coSince, !c.Since.IsZero())
	m.Set(coTopics, len(c.Topics) > 0)
	m.Set(coChannels, len(c.Channels) > 0)
	m.Set(coRefusedTopics, len(c.RefusedTopics) > 0)
	m.Set(coRefusedChannels, len(c.RefusedChannels) > 0)
	m.Set(coObjected, c.Objected)
	m.Set(coToldSame, c.ToldTerms != "" && c.ToldTerms == c.Terms)
	m.Set(coToldTerms, c.ToldTerms != "" && c.ToldTerms != c.Terms)
	m.Set(coLastSame, !c.Last.IsZero() && c.Last.Equal(c.Since))
	m.Set(coLast, !c.Last.IsZero() && !c.Last.Equal(c.Since))
	b = binary.AppendUvarint(b, uint64(m))
	b = wire.AppendString(b, c.Purpose)
	b = appendWord(b, string(c.State))
	b = appendWord(b, string(c.Grade))
	if m.Has(coTerms) {
		b = wire.AppendString(b, c.Terms)
	}
	for _, t := range [...]struct {
		bit int
		at  time.Time
	}{{coExpires, c.Expires}, {coSince, c.Since}, {coLast, c.Last}} {
		if m.Has(t.bit) {
			b = wire.AppendTime(b, t.at)
		}
	}
	if m.Has(coTopics) {
		b = wire.AppendStrings(b, c.Topics)
	}
	if m.Has(coChannels) {
		b = wire.AppendStrings(b, c.Channels)
	}
	if m.Has(coRefusedTopics) {
		b = wire.AppendStrings(b, c.RefusedTopics)
	}
	if m.Has(coRefusedChannels) {
		b = wire.AppendStrings(b, c.RefusedChannels)
	}
	if m.Has(coToldTerms) {
		b = wire.AppendString(b, c.ToldTerms)
	}
	return b
}

// DecodeState reads what EncodeState wrote, overwriting f. It allocates one
// string and one slice per list. The error is wire.ErrNewer if a later version
// of Abide wrote a field that this one does not know: guessing around it could
// permit what it refuses.
func DecodeState(b []byte, f *policy.Facts) error {
	r := wire.NewReader(string(b))
	r.Form(stateForm)
	m := r.Mask(stateBits)
	*f = policy.Facts{DeclaredMinor: m.Has(stDeclaredMinor), Restricted: m.Has(stRestricted), RestoredGap: m.Has(stRestoredGap)}
	f.Guardian.Verified = m.Has(stGuardianVerified)
	if m.Has(stKind) {
		f.Kind = abide.SubjectKind(readWord(r))
	}
	if m.Has(stStatus) {
		f.Status = abide.Status(readWord(r))
	}
	if m.Has(stResidence) {
		f.Residence = abide.Place(r.String())
	}
	if m.Has(stWhereabouts) {
		f.Whereabouts = abide.Place(r.String())
	}
	if m.Has(stBirthDate) {
		f.BirthDate = abide.Date{Year: int(r.Varint()), Month: time.Month(r.Byte()), Day: int(r.Byte())}
	}
	if m.Has(stGuardianConsents) {
		f.Guardian.Consents = wire.Strings[abide.Purpose](r)
	}
	readLists(r, m, f)
	return r.Done()
}

func readLists(r *wire.Reader, m wire.Mask, f *policy.Facts) {
	if m.Has(stHolds) {
		f.Holds = make([]policy.Hold, r.Count(4))
		for i := range f.Holds {
			f.Holds[i] = policy.Hold{Name: r.String(), Categories: wire.Strings[abide.Category](r), Until: r.Time()}
		}
	}
	if m.Has(stConsents) {
		f.Consents = make([]policy.Consent, r.Count(4))
		for i := range f.Consents {
			readConsent(r, &f.Consents[i])
		}
	}
	if m.Has(stAccepted) {
		f.Accepted = make([]policy.Accepted, r.Count(4))
		for i := range f.Accepted {
			f.Accepted[i] = policy.Accepted{Document: abide.DocumentName(r.String()), Digest: r.String(), At: r.Time()}
		}
	}
	if m.Has(stServices) {
		f.Services = make([]policy.Taking, r.Count(5))
		for i := range f.Services {
			f.Services[i] = policy.Taking{Service: abide.Service(r.String()), Since: r.Time(), Left: r.Time()}
		}
	}
	if m.Has(stEvents) {
		f.Events = make([]policy.Event, r.Count(4))
		for i := range f.Events {
			f.Events[i] = policy.Event{Anchor: r.String(), Ref: r.String(), At: r.Time()}
		}
	}
	if m.Has(stHoldNotes) {
		for i := range f.Holds {
			readHoldNotes(r, &f.Holds[i])
		}
	}
}

func readConsent(r *wire.Reader, c *policy.Consent) {
	m := r.Mask(consentBits)
	c.Told, c.Separate, c.Objected = m.Has(coTold), m.Has(coSeparate), m.Has(coObjected)
	c.Purpose = abide.Purpose(r.String())
	c.State = policy.ConsentState(readWord(r))
	c.Grade = abide.Grade(readWord(r))
	if m.Has(coTerms) {
		c.Terms = r.String()
	}
	if m.Has(coExpires) {
		c.Expires = r.Time()
	}
	if m.Has(coSince) {
		c.Since = r.Time()
	}
	if m.Has(coLast) {
		c.Last = r.Time()
	} else if m.Has(coLastSame) {
		c.Last = c.Since
	}
	if m.Has(coTopics) {
		c.Topics = wire.Strings[abide.Topic](r)
	}
	if m.Has(coChannels) {
		c.Channels = wire.Strings[abide.Channel](r)
	}
	if m.Has(coRefusedTopics) {
		c.RefusedTopics = wire.Strings[abide.Topic](r)
	}
	if m.Has(coRefusedChannels) {
		c.RefusedChannels = wire.Strings[abide.Channel](r)
	}
	if m.Has(coToldTerms) {
		c.ToldTerms = r.String()
	} else if m.Has(coToldSame) {
		c.ToldTerms = c.Terms
	}
}

func appendHoldNotes(b []byte, h *policy.Hold) []byte {
	b = binary.AppendUvarint(b, uint64(len(h.Items)))
	for i := range h.Items {
		b = append(b, h.Items[i][:]...)
	}
	b = wire.AppendString(b, h.Reason)
	b = wire.AppendString(b, h.By)
	return wire.AppendTime(b, h.Since)
}

func readHoldNotes(r *wire.Reader, h *policy.Hold) {
	if n := r.Count(len(abide.SubjectID{})); n > 0 {
		h.Items = make([]abide.SubjectID, n)
	}
	for i := range h.Items {
		copy(h.Items[i][:], r.Raw(len(h.Items[i])))
	}
	h.Reason, h.By, h.Since = r.String(), r.String(), r.Time()
}
