package vault

import (
	"testing"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/keys"
	"github.com/abide-privacy/abide/internal/storage"
)

// Whoever holds the keys can seal another story into a row, but not one that
// proves the leaf which was published.
func TestKeyHolderCannotRewriteAnEntry(t *testing.T) {
	ring, err := keys.New()
	if err != nil {
		t.Fatal(err)
	}
	v := New(ring)
	id := abide.SubjectID{1}
	k, _, err := v.NewSubjectKeys(id)
	if err != nil {
		t.Fatal(err)
	}
	row, err := v.SealEntry(k, id, 1, audit.Part{Reason: "snooping"}, audit.Envelope{Kind: audit.Looked})
	if err != nil {
		t.Fatal(err)
	}
	other, err := audit.NewLeaf(&audit.Part{Subject: id, N: 1, Reason: "support call"}, &audit.Envelope{Kind: audit.Decided})
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := k.seal(storage.Log, other.Part, v.entryAD(&row))
	if err != nil {
		t.Fatal(err)
	}
	row.Payload = append([]byte{partOfSubject}, sealed...)
	if _, err := v.OpenEntry(k, &row); abide.ErrorDetail(err) != "entry_damaged" {
		t.Errorf("a rewritten part opens: %v", err)
	}
	if row.Envelope, err = ring.SealEnvelope(other.Envelope, v.envelopeAD(row.Commitment)); err != nil {
		t.Fatal(err)
	}
	if _, err := v.OpenEnvelope(row.Envelope, row.Commitment); abide.ErrorDetail(err) != "envelope_damaged" {
		t.Errorf("a rewritten envelope opens: %v", err)
	}
}

// The subject is bound into what is sealed, and not by its key alone.
func TestAssociatedDataBindsTheSubject(t *testing.T) {
	ring, err := keys.New()
	if err != nil {
		t.Fatal(err)
	}
	v := New(ring)
	k, _, err := v.NewSubjectKeys(abide.SubjectID{1})
	if err != nil {
		t.Fatal(err)
	}
	it := &storage.Item{Category: "person.email", Version: 1, Compartment: storage.Live}
	if err := v.SealItem(k, it, &Record{}); err != nil {
		t.Fatal(err)
	}
	k.Subject = abide.SubjectID{2}
	if _, err := v.OpenItem(k, it); abide.ErrorDetail(err) != "item_damaged" {
		t.Errorf("opened for another subject with the same key: %v", err)
	}
}
