package consent

import (
	"encoding/binary"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/wire"
)

// eventForm is the form number of an encoded event.
const eventForm = 1

// Bits of the fields that an event may lack. New fields get the next bit;
// none is ever given a new meaning.
const (
	bitPurpose = iota
	bitDocument
	bitTerms
	bitTopics
	bitChannels
	bitExpires
	bitActorRole
	bitActorPurposes
	bitActorAdmin
	bitWording
	bitWordingHash
	bitLayoutHash
	bitLanguage
	bitSeparate
	bitSource
	bitJurisdiction
	bitNote
	bitSignal
	bitCites
	bitDetails
	bitActorAuditor
	eventBits
)

// Encode returns the bytes of an event, for sealing. Equal events give equal
// bytes.
func Encode(e *abide.ConsentEvent) []byte {
	var m wire.Mask
	ev := &e.Evidence
	m.Set(bitPurpose, e.Purpose != "")
	m.Set(bitDocument, e.Document != "")
	m.Set(bitTerms, e.Terms != "")
	m.Set(bitTopics, len(e.Topics) > 0)
	m.Set(bitChannels, len(e.Channels) > 0)
	m.Set(bitExpires, !e.Expires.IsZero())
	m.Set(bitActorRole, e.Actor.Role != "")
	m.Set(bitActorPurposes, len(e.Actor.Purposes) > 0)
	m.Set(bitActorAdmin, e.Actor.Admin)
	m.Set(bitActorAuditor, e.Actor.Auditor)
	m.Set(bitWording, ev.Wording != "")
	m.Set(bitWordingHash, ev.WordingHash != "")
	m.Set(bitLayoutHash, ev.LayoutHash != "")
	m.Set(bitLanguage, ev.Language != "")
	m.Set(bitSeparate, ev.Separate)
	m.Set(bitSource, ev.Source != "")
	m.Set(bitJurisdiction, ev.Jurisdiction != "")
	m.Set(bitNote, ev.Note != "")
	m.Set(bitSignal, ev.Signal != "")
	m.Set(bitCites, ev.Cites != "")
	m.Set(bitDetails, ev.Details != "")

	b := make([]byte, 0, 128+len(ev.Wording))
	b = append(b, eventForm)
	b = binary.AppendUvarint(b, uint64(m))
	b = binary.AppendUvarint(b, e.N)
	b = wire.AppendTime(b, e.At)
	b = wire.AppendString(b, e.Action)
	b = wire.AppendString(b, e.Grade)
	b = wire.AppendString(b, e.Actor.Kind)
	b = wire.AppendString(b, e.Actor.Name)
	for bit := range eventBits {
		if m.Has(bit) {
			b = appendField(b, bit, e)
		}
	}
	return b
}

func appendField(b []byte, bit int, e *abide.ConsentEvent) []byte {
	switch bit {
	case bitTopics:
		return wire.AppendStrings(b, e.Topics)
	case bitChannels:
		return wire.AppendStrings(b, e.Channels)
	case bitExpires:
		return wire.AppendTime(b, e.Expires)
	case bitActorPurposes:
		return wire.AppendStrings(b, e.Actor.Purposes)
	case bitActorAdmin, bitActorAuditor, bitSeparate:
		return b // the bit is the value
	}
	return wire.AppendString(b, stringField(bit, e))
}

// Decode reads what Encode wrote.
func Decode(b []byte) (*abide.ConsentEvent, error) {
	r := wire.NewReader(string(b))
	r.Form(eventForm)
	m := r.Mask(eventBits)
	e := &abide.ConsentEvent{N: r.Uvarint(), At: r.Time(), Action: abide.ConsentAction(r.String()), Grade: abide.Grade(r.String())}
	e.Actor.Kind = abide.ActorKind(r.String())
	e.Actor.Name = r.String()
	for bit := range eventBits {
		if m.Has(bit) {
			readField(r, bit, e)
		}
	}
	if err := r.Done(); err != nil {
		return nil, err
	}
	return e, nil
}

func readField(r *wire.Reader, bit int, e *abide.ConsentEvent) {
	switch bit {
	case bitTopics:
		e.Topics = wire.Strings[abide.Topic](r)
	case bitChannels:
		e.Channels = wire.Strings[abide.Channel](r)
	case bitExpires:
		e.Expires = r.Time()
	case bitActorPurposes:
		e.Actor.Purposes = wire.Strings[abide.Purpose](r)
	case bitActorAdmin:
		e.Actor.Admin = true
	case bitActorAuditor:
		e.Actor.Auditor = true
	case bitSeparate:
		e.Evidence.Separate = true
	default:
		setStringField(bit, e, r.String())
	}
}

func stringField(bit int, e *abide.ConsentEvent) string {
	switch bit {
	case bitPurpose:
		return string(e.Purpose)
	case bitDocument:
		return string(e.Document)
	case bitTerms:
		return e.Terms
	case bitActorRole:
		return e.Actor.Role
	case bitWording:
		return e.Evidence.Wording
	case bitWordingHash:
		return e.Evidence.WordingHash
	case bitLayoutHash:
		return e.Evidence.LayoutHash
	case bitLanguage:
		return e.Evidence.Language
	case bitSource:
		return e.Evidence.Source
	case bitJurisdiction:
		return string(e.Evidence.Jurisdiction)
	case bitNote:
		return e.Evidence.Note
	case bitSignal:
		return e.Evidence.Signal
	case bitCites:
		return e.Evidence.Cites
	case bitDetails:
		return e.Evidence.Details
	}
	panic("consent: field without a string")
}

func setStringField(bit int, e *abide.ConsentEvent, s string) {
	switch bit {
	case bitPurpose:
		e.Purpose = abide.Purpose(s)
	case bitDocument:
		e.Document = abide.DocumentName(s)
	case bitTerms:
		e.Terms = s
	case bitActorRole:
		e.Actor.Role = s
	case bitWording:
		e.Evidence.Wording = s
	case bitWordingHash:
		e.Evidence.WordingHash = s
	case bitLayoutHash:
		e.Evidence.LayoutHash = s
	case bitLanguage:
		e.Evidence.Language = s
	case bitSource:
		e.Evidence.Source = s
	case bitJurisdiction:
		e.Evidence.Jurisdiction = abide.Place(s)
	case bitNote:
		e.Evidence.Note = s
	case bitSignal:
		e.Evidence.Signal = s
	case bitCites:
		e.Evidence.Cites = s
	case bitDetails:
		e.Evidence.Details = s
	default:
		panic("consent: field without a string")
	}
}
