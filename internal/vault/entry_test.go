package vault_test

import (
	"bytes"
	"testing"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/vault"
)

func look() (audit.Part, audit.Envelope) {
	return audit.Part{Reason: "asked by " + canary, Items: []audit.Item{{Category: "person.email", ID: abide.SubjectID{1}}}},
		audit.Envelope{Kind: audit.Looked, At: time.Unix(5, 0), Actor: audit.Who{Kind: abide.ActorStaff, Name: "staff-17"}, Purpose: "provide"}
}

func TestEntryOpensForThePersonAndTheAuditor(t *testing.T) {
	v := newVault(t)
	k, _ := subjectKeys(t, v, alice)
	p, e := look()
	row, err := v.SealEntry(k, alice, 9, p, e)
	if err != nil {
		t.Fatal(err)
	}
	if row.Kind != "looked" || !row.At.Equal(e.At) || row.N != 9 || row.Subject != alice {
		t.Errorf("row %+v", row)
	}
	for name, b := range map[string][]byte{"payload": row.Payload, "envelope": row.Envelope} {
		if bytes.Contains(b, []byte("canary")) || bytes.Contains(b, []byte("staff-17")) {
			t.Errorf("%s is readable", name)
		}
	}
	part, err := v.OpenEntry(k, &row)
	if err != nil || part.Reason != p.Reason || part.Subject != alice || part.N != 9 {
		t.Errorf("part %+v, %v", part, err)
	}
	env, err := v.OpenEnvelope(row.Envelope, row.Commitment)
	if err != nil || env.Actor.Name != "staff-17" || env.Purpose != "provide" {
		t.Errorf("envelope %+v, %v", env, err)
	}
}

// After an erasure the person's part is gone; who looked is not.
func TestErasureLeavesTheEnvelope(t *testing.T) {
	v := newVault(t)
	k, wrapped := subjectKeys(t, v, alice)
	p, e := look()
	entry, err := v.SealEntry(k, alice, 1, p, e)
	if err != nil {
		t.Fatal(err)
	}
	seen, err := v.SealLook(k, alice, p, e)
	if err != nil {
		t.Fatal(err)
	}
	erased, err := v.Unlock(alice, wrapped[2:]) // live and log are destroyed
	if err != nil {
		t.Fatal(err)
	}
	for _, keys := range []*vault.SubjectKeys{erased, nil} {
		if _, err := v.OpenEntry(keys, &entry); abide.ErrorCode(err) != abide.CodeErased {
			t.Errorf("entry: %v", err)
		}
		if _, err := v.OpenLook(keys, &seen); abide.ErrorCode(err) != abide.CodeErased {
			t.Errorf("look: %v", err)
		}
	}
	if env, err := v.OpenEnvelope(entry.Envelope, entry.Commitment); err != nil || env.Actor.Name != "staff-17" {
		t.Errorf("envelope %+v, %v", env, err)
	}
}

func TestSystemEntriesHoldOnlyIds(t *testing.T) {
	v := newVault(t)
	_, e := look()
	e.Kind = audit.ErasureIntent
	row, err := v.SealEntry(nil, alice, 2, audit.Part{}, e)
	if err != nil {
		t.Fatal(err)
	}
	if part, err := v.OpenEntry(nil, &row); err != nil || part.Subject != alice || part.N != 2 {
		t.Errorf("part %+v, %v", part, err)
	}
	for name, p := range map[string]audit.Part{
		"reason": {Reason: "x"}, "note": {Note: "x"}, "actor": {Actor: "x"}, "ref": {Ref: "x"}, "source": {Source: "x"},
	} {
		if _, err := v.SealEntry(nil, alice, 2, p, e); err == nil {
			t.Errorf("%s under the system key", name)
		}
		if _, err := v.SealLook(nil, abide.SubjectID{}, p, e); err == nil {
			t.Errorf("%s of a look under the system key", name)
		}
	}
	k, _ := subjectKeys(t, v, bob)
	if _, err := v.SealEntry(k, alice, 2, audit.Part{}, e); err == nil {
		t.Error("an entry of one subject was sealed under the keys of another")
	}
}

func TestTamperedEntriesFail(t *testing.T) {
	v := newVault(t)
	k, _ := subjectKeys(t, v, alice)
	p, e := look()
	entry, err := v.SealEntry(k, alice, 9, p, e)
	if err != nil {
		t.Fatal(err)
	}
	other, err := v.SealEntry(k, alice, 10, p, e)
	if err != nil {
		t.Fatal(err)
	}
	seen, err := v.SealLook(k, alice, p, e)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(row *storage.Entry){
		"number":            func(row *storage.Entry) { row.N = 10 },
		"subject":           func(row *storage.Entry) { row.Subject = bob },
		"commitment":        func(row *storage.Entry) { row.Commitment[0] ^= 1 },
		"payload of next":   func(row *storage.Entry) { row.Payload = other.Payload },
		"payload of a look": func(row *storage.Entry) { row.Payload, row.Commitment = seen.Payload, seen.Commitment },
		"no payload":        func(row *storage.Entry) { row.Payload = nil },
		"whose key":         func(row *storage.Entry) { row.Payload[0] = 'z' },
	} {
		changed := entry
		changed.Payload = bytes.Clone(entry.Payload)
		change(&changed)
		if _, err := v.OpenEntry(k, &changed); abide.ErrorDetail(err) != "entry_damaged" {
			t.Errorf("%s changed: %v", name, err)
		}
	}
	seen.Subject = bob
	if _, err := v.OpenLook(k, &seen); abide.ErrorDetail(err) != "entry_damaged" {
		t.Errorf("look given to another subject: %v", err)
	}
	if _, err := v.OpenEnvelope(entry.Envelope, other.Commitment); abide.ErrorDetail(err) != "envelope_damaged" {
		t.Errorf("envelope of another entry: %v", err)
	}
}

func BenchmarkSealLook(b *testing.B) {
	v := newVault(b)
	k, _ := subjectKeys(b, v, alice)
	p, e := look()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.SealLook(k, alice, p, e); err != nil {
			b.Fatal(err)
		}
	}
}
