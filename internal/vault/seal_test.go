package vault_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/keys"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/vault"
	"github.com/abide-privacy/abide/policy"
)

const canary = "canary-7f3a@example.test"

var (
	alice = abide.SubjectID{0xa1}
	bob   = abide.SubjectID{0xb0}
)

func newVault(t testing.TB) *vault.Vault {
	t.Helper()
	ring, err := keys.New()
	if err != nil {
		t.Fatal(err)
	}
	return vault.New(ring)
}

func subjectKeys(t testing.TB, v *vault.Vault, id abide.SubjectID) (*vault.SubjectKeys, []storage.WrappedKey) {
	t.Helper()
	k, wrapped, err := v.NewSubjectKeys(id)
	if err != nil {
		t.Fatal(err)
	}
	return k, wrapped
}

func record() *vault.Record {
	return &vault.Record{Value: json.RawMessage(`"` + canary + `"`), Source: "checkout", Obtained: time.Unix(1700000000, 5).UTC(),
		Service: "shop", Ref: "A-17", Purposes: []abide.Purpose{"marketing", "provide"}, Derived: true,
		From: []vault.ItemRef{{Category: "person.orders", ID: abide.SubjectID{9}}}, Other: bob,
		Blob: &vault.Blob{ID: abide.SubjectID{7}, Key: [32]byte{8}, Size: 70_000}}
}

func item() *storage.Item {
	return &storage.Item{Category: "person.email", ID: abide.SubjectID{1}, Version: 2, Compartment: storage.Live}
}

func TestItemSurvivesUnlock(t *testing.T) {
	v := newVault(t)
	k, wrapped := subjectKeys(t, v, alice)
	it := item()
	if err := v.SealItem(k, it, record()); err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(it.Sealed, []byte("canary")) {
		t.Fatal("the sealed item holds the value in the clear")
	}
	again, err := v.Unlock(alice, wrapped)
	if err != nil {
		t.Fatal(err)
	}
	got, err := v.OpenItem(again, it)
	if err != nil || !reflect.DeepEqual(got, record()) {
		t.Fatalf("got %+v, %v", got, err)
	}
	plain := &vault.Record{Value: json.RawMessage(`1`)}
	if err := v.SealItem(k, it, plain); err != nil {
		t.Fatal(err)
	}
	if got, err := v.OpenItem(k, it); err != nil || !reflect.DeepEqual(got, plain) {
		t.Fatalf("record without anything else: %+v, %v", got, err)
	}
}

// Every field of a record survives alone, found by reflection.
func TestEveryFieldOfRecordSurvives(t *testing.T) {
	v := newVault(t)
	k, _ := subjectKeys(t, v, alice)
	full := reflect.ValueOf(record()).Elem()
	for i := range full.NumField() {
		name := full.Type().Field(i).Name
		if full.Field(i).IsZero() {
			t.Errorf("record() leaves %s empty: fill it", name)
		}
		one := &vault.Record{Value: json.RawMessage(`1`)}
		reflect.ValueOf(one).Elem().Field(i).Set(full.Field(i))
		it := item()
		if err := v.SealItem(k, it, one); err != nil {
			t.Fatal(err)
		}
		if got, err := v.OpenItem(k, it); err != nil || !reflect.DeepEqual(got, one) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
}

// Whatever is moved or changed fails at open, and the error names category and
// item, never the value.
func TestSwappedAndForgedItemsFail(t *testing.T) {
	v := newVault(t)
	k, _ := subjectKeys(t, v, alice)
	kb, _ := subjectKeys(t, v, bob)
	sealed := item()
	if err := v.SealItem(k, sealed, record()); err != nil {
		t.Fatal(err)
	}
	check := func(name string, k *vault.SubjectKeys, it storage.Item) {
		t.Helper()
		_, err := v.OpenItem(k, &it)
		if abide.ErrorDetail(err) != "item_damaged" {
			t.Errorf("%s: got %v, want item_damaged", name, err)
			return
		}
		var e *abide.Error
		if !errors.As(err, &e) || e.Field != string(it.Category) || bytes.Contains([]byte(err.Error()), []byte("canary")) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	for name, move := range map[string]func(it *storage.Item){
		"another category":    func(it *storage.Item) { it.Category = "person.phone" },
		"another item":        func(it *storage.Item) { it.ID[15]++ },
		"another version":     func(it *storage.Item) { it.Version = 1 },
		"another compartment": func(it *storage.Item) { it.Compartment = storage.Law },
		"nothing":             func(it *storage.Item) { it.Sealed = nil },
		"half of it":          func(it *storage.Item) { it.Sealed = it.Sealed[:len(it.Sealed)/2] },
	} {
		moved := *sealed
		move(&moved)
		check(name, k, moved)
	}
	check("another subject", kb, *sealed)
	for i := range sealed.Sealed {
		forged := *sealed
		forged.Sealed = bytes.Clone(sealed.Sealed)
		forged.Sealed[i] ^= 0x40
		check("a changed byte", k, forged)
	}
	elsewhere := vault.New(mustRing(t))
	if _, err := elsewhere.OpenItem(k, sealed); abide.ErrorDetail(err) != "item_damaged" {
		t.Errorf("store id is not bound: %v", err)
	}
}

func mustRing(t testing.TB) *keys.Keyring {
	t.Helper()
	ring, err := keys.New()
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func TestDestroyedKeysOpenNothing(t *testing.T) {
	v := newVault(t)
	k, wrapped := subjectKeys(t, v, alice)
	live, law := item(), item()
	law.Compartment = storage.Law
	for _, it := range []*storage.Item{live, law} {
		if err := v.SealItem(k, it, record()); err != nil {
			t.Fatal(err)
		}
	}
	onlyLaw, err := v.Unlock(alice, wrapped[2:])
	if err != nil {
		t.Fatal(err)
	}
	if onlyLaw.Has(storage.Live) || !onlyLaw.Has(storage.Law) {
		t.Error("compartments do not match what was unlocked")
	}
	if _, err := v.OpenItem(onlyLaw, live); abide.ErrorCode(err) != abide.CodeErased {
		t.Errorf("live item after erasure: %v", err)
	}
	if err := v.SealItem(onlyLaw, item(), record()); abide.ErrorCode(err) != abide.CodeErased {
		t.Errorf("sealing after erasure: %v", err)
	}
	if _, err := v.OpenItem(onlyLaw, law); err != nil {
		t.Errorf("law item: %v", err)
	}
	k.Close()
	if _, err := v.OpenItem(k, law); abide.ErrorCode(err) != abide.CodeErased {
		t.Errorf("open with closed keys: %v", err)
	}
	if _, err := v.Unlock(bob, wrapped); abide.ErrorDetail(err) != "key_damaged" {
		t.Errorf("keys of another subject: %v", err)
	}
}

// Older versions of a key open what they sealed; the newest seals.
func TestKeyVersions(t *testing.T) {
	v := newVault(t)
	k, wrapped := subjectKeys(t, v, alice)
	old := item()
	if err := v.SealItem(k, old, record()); err != nil {
		t.Fatal(err)
	}
	second, err := v.Keyring().Wrap(alice, storage.Live, 2, bytes.Repeat([]byte{3}, 32))
	if err != nil {
		t.Fatal(err)
	}
	for _, order := range [][]storage.WrappedKey{{wrapped[0], second}, {second, wrapped[0]}} {
		both, err := v.Unlock(alice, order)
		if err != nil {
			t.Fatal(err)
		}
		fresh := item()
		if err := v.SealItem(both, fresh, record()); err != nil {
			t.Fatal(err)
		}
		for _, it := range []*storage.Item{old, fresh} {
			if _, err := v.OpenItem(both, it); err != nil {
				t.Error(err)
			}
		}
		if _, err := v.OpenItem(k, fresh); abide.ErrorDetail(err) != "item_damaged" {
			t.Errorf("the first version opened what the second sealed: %v", err)
		}
	}
}

func TestStateIsBoundToItsVersion(t *testing.T) {
	v := newVault(t)
	k, _ := subjectKeys(t, v, alice)
	want := policy.Facts{Kind: abide.Person, Residence: "HK"}
	sealed, err := v.SealState(k, 4, &want)
	if err != nil {
		t.Fatal(err)
	}
	var got policy.Facts
	if err := v.OpenState(k, &storage.SubjectRow{ID: alice, Version: 4, Sealed: sealed}, &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v, %v", got, err)
	}
	if err := v.OpenState(k, &storage.SubjectRow{ID: alice, Version: 5, Sealed: sealed}, &got); abide.ErrorDetail(err) != "state_damaged" {
		t.Errorf("a state rolled back opened: %v", err)
	}
	law, err := v.SealLaw(k, []byte("kept"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := v.OpenLaw(k, &storage.SubjectRow{Law: law}); err != nil || string(got) != "kept" {
		t.Errorf("law state: %q, %v", got, err)
	}
	if got, err := v.OpenLaw(k, &storage.SubjectRow{}); got != nil || err != nil {
		t.Errorf("no law state: %q, %v", got, err)
	}
	if _, err := v.OpenLaw(k, &storage.SubjectRow{Law: sealed}); abide.ErrorDetail(err) != "law_damaged" {
		t.Errorf("a state in place of the law state: %v", err)
	}
}

func TestLedgerRow(t *testing.T) {
	v := newVault(t)
	k, _ := subjectKeys(t, v, alice)
	event := &abide.ConsentEvent{N: 3, At: time.Unix(1, 0).UTC(), Action: abide.ConsentGiven, Purpose: "marketing", Terms: "sha256:aa",
		Grade: abide.GradeProved, Evidence: abide.Evidence{Wording: "I agree"}}
	row, err := v.SealConsent(k, event, []byte(`{"receipt":1}`))
	if err != nil {
		t.Fatal(err)
	}
	got, receipt, err := v.OpenConsent(k, &row)
	if err != nil || !reflect.DeepEqual(got, event) || string(receipt) != `{"receipt":1}` {
		t.Fatalf("got %+v, %s, %v", got, receipt, err)
	}
	for name, change := range map[string]func(r *storage.ConsentRow){
		"number": func(r *storage.ConsentRow) { r.N++ }, "purpose": func(r *storage.ConsentRow) { r.Purpose = "provide" },
		"action": func(r *storage.ConsentRow) { r.Action = abide.ConsentWithdrawn }, "terms": func(r *storage.ConsentRow) { r.Terms = "" },
		"bytes": func(r *storage.ConsentRow) { r.Sealed = r.Sealed[:20] },
	} {
		changed := row
		change(&changed)
		if _, _, err := v.OpenConsent(k, &changed); abide.ErrorDetail(err) != "consent_damaged" {
			t.Errorf("%s changed: %v", name, err)
		}
	}
}

func TestAnswersAndCertificates(t *testing.T) {
	v := newVault(t)
	k, _ := subjectKeys(t, v, alice)
	key := v.IdempotencyKey("token-a", "key-1")
	if bytes.Equal(key, v.IdempotencyKey("token-b", "key-1")) || bytes.Equal(key, v.IdempotencyKey("token-a", "key-2")) ||
		bytes.Equal(v.IdempotencyKey("ab", "c"), v.IdempotencyKey("a", "bc")) {
		t.Error("keys of two callers meet")
	}
	sealed, err := v.SealAnswer(k, key, []byte("answer"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := v.OpenAnswer(k, &storage.IdempotencyRow{Key: key, Sealed: sealed}); err != nil || string(got) != "answer" {
		t.Errorf("answer: %q, %v", got, err)
	}
	if _, err := v.OpenAnswer(k, &storage.IdempotencyRow{Key: v.IdempotencyKey("x", "y"), Sealed: sealed}); abide.ErrorDetail(err) != "answer_damaged" {
		t.Errorf("answer under another key: %v", err)
	}
	a, errA := v.RequestDigest([]byte("request"))
	b, errB := v.RequestDigest([]byte("request"))
	c, errC := newVault(t).RequestDigest([]byte("request"))
	if errA != nil || errB != nil || errC != nil || !bytes.Equal(a, b) || bytes.Equal(a, c) {
		t.Error("a request's digest is not keyed by the store, or not stable")
	}
	if _, err := v.Keyring().RotateIndex(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d, err := v.RequestDigest([]byte("request")); err != nil || !bytes.Equal(a, d) {
		t.Errorf("a rotation changed a request's digest (%v)", err)
	}
	cert, err := v.SealCertificate(alice, []byte("certificate"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := v.OpenCertificate(&storage.ErasureJob{Subject: alice, Certificate: cert}); err != nil || string(got) != "certificate" {
		t.Errorf("certificate: %q, %v", got, err)
	}
	if _, err := v.OpenCertificate(&storage.ErasureJob{Subject: bob, Certificate: cert}); abide.ErrorDetail(err) != "system_damaged" {
		t.Errorf("certificate of another: %v", err)
	}
}

// Nonces are random: the same content sealed often never repeats one.
func TestNoncesDoNotRepeat(t *testing.T) {
	v := newVault(t)
	k, _ := subjectKeys(t, v, alice)
	seen := map[string]bool{}
	for range 5000 {
		sealed, err := v.SealLaw(k, nil)
		if err != nil {
			t.Fatal(err)
		}
		nonce := string(sealed[2:14])
		if seen[nonce] {
			t.Fatal("a nonce repeats")
		}
		seen[nonce] = true
	}
}

func BenchmarkSealItem(b *testing.B) {
	v := newVault(b)
	k, _ := subjectKeys(b, v, alice)
	it, r := item(), record()
	b.ReportAllocs()
	for b.Loop() {
		if err := v.SealItem(k, it, r); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpenItem(b *testing.B) {
	v := newVault(b)
	k, _ := subjectKeys(b, v, alice)
	it := item()
	if err := v.SealItem(k, it, record()); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.OpenItem(k, it); err != nil {
			b.Fatal(err)
		}
	}
}

// One request: three keys unwrapped, a state opened, nothing cached.
func BenchmarkUnlockAndOpenState(b *testing.B) {
	v := newVault(b)
	k, wrapped := subjectKeys(b, v, alice)
	sealed, err := v.SealState(k, 1, typicalFacts())
	if err != nil {
		b.Fatal(err)
	}
	row := &storage.SubjectRow{ID: alice, Version: 1, Sealed: sealed}
	b.ReportAllocs()
	for b.Loop() {
		k, err := v.Unlock(alice, wrapped)
		if err != nil {
			b.Fatal(err)
		}
		var f policy.Facts
		if err := v.OpenState(k, row, &f); err != nil {
			b.Fatal(err)
		}
		k.Close()
	}
}
