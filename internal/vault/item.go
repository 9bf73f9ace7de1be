package vault

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/wire"
)

// Record is the content of an item: the value, and what must be known of it to
// decide about it.
type Record struct {
	Value    json.RawMessage // canonical form, from Normalize
	Source   string          // where it came from: checkout, import, call centre
	Obtained time.Time
	Service  abide.Service
	Ref      string          // ties it to events: an order's number
	Purposes []abide.Purpose // of a derived item: those its sources share. nil: whatever the policy permits
	Derived  bool            // distinguishes no purposes at all from no restriction
	From     []ItemRef       // sources of a derived item
	Other    abide.SubjectID // second party of a two-party item
	Blob     *Blob           // of an upload: where its bytes are, and their key
}

// ItemRef names an item of the same subject.
type ItemRef struct {
	Category abide.Category
	ID       abide.SubjectID
}

const recordForm = 1

const (
	recSource = iota
	recObtained
	recService
	recRef
	recPurposes
	recDerived
	recFrom
	recOther
	recBlob
	recordBits
)

// SealItem seals a record into it.Sealed. Category, ID, Version and
// Compartment must be set: they are bound to the content, with the store and
// the subject.
func (v *Vault) SealItem(k *SubjectKeys, it *storage.Item, r *Record) error {
	sealed, err := k.seal(it.Compartment, encodeRecord(r), v.itemAD(k.Subject, it))
	if err != nil {
		return nameItem(err, it)
	}
	it.Sealed = sealed
	return nil
}

// OpenItem opens an item. If it was changed, or moved from another subject,
// category, id or version, the error's detail is item_damaged and it names the
// category and the item's id, never the content.
func (v *Vault) OpenItem(k *SubjectKeys, it *storage.Item) (*Record, error) {
	plain, err := k.open(it.Compartment, it.Sealed, v.itemAD(k.Subject, it))
	if err != nil {
		return nil, nameItem(err, it)
	}
	r, err := decodeRecord(plain)
	if err != nil {
		return nil, nameItem(err, it)
	}
	return r, nil
}

func (v *Vault) itemAD(subject abide.SubjectID, it *storage.Item) ad {
	return v.ad(adItem, subject).text(string(it.Category)).bytes(it.ID[:]).
		number(uint64(it.Version)).number(uint64(it.Compartment))
}

func nameItem(err error, it *storage.Item) error {
	switch {
	case errors.Is(err, errOpen) || errors.Is(err, wire.ErrDamaged):
		e := damaged("item_damaged", "item "+it.ID.String()+" does not open: its row was changed, or moved from another", string(it.Category))
		e.Err = err
		return e
	case errors.Is(err, wire.ErrNewer):
		return newer(err, string(it.Category))
	}
	return err
}

// newer is an error about a row that a later version of Abide wrote.
func newer(err error, field string) error {
	return &abide.Error{Code: abide.CodeUnavailable, Detail: "written_by_newer_version", Field: field,
		Message: "this row was written by a newer version of abide", Hint: "run the newest version on every node", Err: err}
}

func encodeRecord(r *Record) []byte {
	var m wire.Mask
	m.Set(recSource, r.Source != "")
	m.Set(recObtained, !r.Obtained.IsZero())
	m.Set(recService, r.Service != "")
	m.Set(recRef, r.Ref != "")
	m.Set(recPurposes, len(r.Purposes) > 0)
	m.Set(recDerived, r.Derived)
	m.Set(recFrom, len(r.From) > 0)
	m.Set(recOther, !r.Other.IsZero())
	m.Set(recBlob, r.Blob != nil)
	b := make([]byte, 0, 64+len(r.Value))
	b = append(b, recordForm)
	b = binary.AppendUvarint(b, uint64(m))
	b = wire.AppendBytes(b, r.Value)
	if m.Has(recSource) {
		b = wire.AppendString(b, r.Source)
	}
	if m.Has(recObtained) {
		b = wire.AppendTime(b, r.Obtained)
	}
	if m.Has(recService) {
		b = wire.AppendString(b, r.Service)
	}
	if m.Has(recRef) {
		b = wire.AppendString(b, r.Ref)
	}
	if m.Has(recPurposes) {
		b = wire.AppendStrings(b, r.Purposes)
	}
	if m.Has(recFrom) {
		b = binary.AppendUvarint(b, uint64(len(r.From)))
		for _, f := range r.From {
			b = wire.AppendString(b, f.Category)
			b = append(b, f.ID[:]...)
		}
	}
	if m.Has(recOther) {
		b = append(b, r.Other[:]...)
	}
	if m.Has(recBlob) {
		b = append(append(b, r.Blob.ID[:]...), r.Blob.Key[:]...)
		b = binary.AppendUvarint(b, uint64(r.Blob.Size))
	}
	return b
}

func decodeRecord(plain []byte) (*Record, error) {
	in := wire.NewReader(string(plain))
	in.Form(recordForm)
	m := in.Mask(recordBits)
	r := &Record{Value: json.RawMessage(in.String()), Derived: m.Has(recDerived)}
	if m.Has(recSource) {
		r.Source = in.String()
	}
	if m.Has(recObtained) {
		r.Obtained = in.Time()
	}
	if m.Has(recService) {
		r.Service = abide.Service(in.String())
	}
	if m.Has(recRef) {
		r.Ref = in.String()
	}
	if m.Has(recPurposes) {
		r.Purposes = wire.Strings[abide.Purpose](in)
	}
	if m.Has(recFrom) {
		r.From = make([]ItemRef, in.Count(1+len(abide.SubjectID{})))
		for i := range r.From {
			r.From[i].Category = abide.Category(in.String())
			copy(r.From[i].ID[:], in.Raw(len(abide.SubjectID{})))
		}
	}
	if m.Has(recOther) {
		copy(r.Other[:], in.Raw(len(abide.SubjectID{})))
	}
	if m.Has(recBlob) {
		r.Blob = &Blob{}
		copy(r.Blob.ID[:], in.Raw(len(r.Blob.ID)))
		copy(r.Blob.Key[:], in.Raw(len(r.Blob.Key)))
		if r.Blob.Size = int64(in.Uvarint()); r.Blob.Size < 0 || r.Blob.Size > maxBlob {
			in.Fail(wire.ErrDamaged)
		}
	}
	if err := in.Done(); err != nil {
		return nil, err
	}
	return r, nil
}
