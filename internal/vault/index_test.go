package vault_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/vault"
)

func index(t testing.TB, values []storage.IndexValue, err error) storage.IndexValue {
	t.Helper()
	if err != nil || len(values) == 0 || len(values[0].Value) != sha256.Size {
		t.Fatalf("%v, %v", values, err)
	}
	return values[0]
}

func TestIndexTellsOnlyEqualityWithinOneCategory(t *testing.T) {
	v := newVault(t)
	get := func(v *vault.Vault, category, value string) []byte {
		t.Helper()
		values, err := v.Index("", abide.Category(category), []byte(value))
		return index(t, values, err).Value
	}
	base := get(v, "person.email", "a@example.test")
	if !bytes.Equal(base, get(v, "person.email", "a@example.test")) {
		t.Error("equal values are not found")
	}
	for name, other := range map[string][]byte{
		"another value":    get(v, "person.email", "b@example.test"),
		"another category": get(v, "person.phone", "a@example.test"),
		"another store":    get(newVault(t), "person.email", "a@example.test"),
	} {
		if bytes.Equal(base, other) {
			t.Errorf("%s has the same index value", name)
		}
	}
	plain := sha256.Sum256([]byte("a@example.test"))
	if bytes.Equal(base, plain[:]) {
		t.Error("the index is not keyed")
	}
}

func TestReferenceAndCreationHaveTheirOwnSpace(t *testing.T) {
	v := newVault(t)
	ref, err := v.IndexReference("", "user-17")
	a := index(t, ref, err)
	text, err := v.Index("", "person.account", []byte("user-17"))
	b := index(t, text, err)
	made, err := v.IndexCreation("token", "user-17")
	c := index(t, made, err)
	if bytes.Equal(a.Value, b.Value) || bytes.Equal(a.Value, c.Value) || bytes.Equal(b.Value, c.Value) {
		t.Error("look-ups of different kinds meet")
	}
	upper, err := v.IndexReference("", "USER-17")
	if bytes.Equal(a.Value, index(t, upper, err).Value) {
		t.Error("references that differ in case are one")
	}
}

// A rotation writes and reads under both roots, and what the old one wrote is
// still found.
func TestIndexDuringRotation(t *testing.T) {
	v := newVault(t)
	before, err := v.Index("", "person.email", []byte("a@example.test"))
	if err != nil {
		t.Fatal(err)
	}
	old := v.Keyring().IndexKeys()[0].ID
	id, err := v.Keyring().RotateIndex(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	after, err := v.Index(storage.IndexKeysOf(id, old), "person.email", []byte("a@example.test"))
	if err != nil {
		t.Fatal(err)
	}
	if len(before) != 1 || len(after) != 2 || after[0].Key == before[0].Key {
		t.Fatalf("before %v, after %v", before, after)
	}
	if after[1].Key != before[0].Key || !bytes.Equal(after[1].Value, before[0].Value) {
		t.Error("what the old root wrote is not found after the rotation")
	}
	if bytes.Equal(after[0].Value, after[1].Value) {
		t.Error("both roots give the same value")
	}
	values, err := v.IndexCreation("token", "key")
	made := index(t, values, err)
	if _, err := v.Keyring().RetireIndex(t.Context(), id, time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	v.ForgetIndex()
	if _, err := v.Index(storage.IndexKeysOf(id, old), "person.email", []byte("a@example.test")); abide.ErrorDetail(err) != "index_key_unknown" {
		t.Errorf("under a destroyed root: %v", err)
	}
	values, err = v.IndexCreation("token", "key")
	if got := index(t, values, err); !bytes.Equal(got.Value, made.Value) || got.Key != vault.StableKey {
		t.Error("a retried creation does not find the first after a rotation")
	}
}

// The documented construction: HMAC-SHA-256 under a key derived from the root.
func TestIndexConstruction(t *testing.T) {
	v := newVault(t)
	key, err := v.Keyring().IndexKeys()[0].Derive("abide/index/1\x00person.email")
	if err != nil {
		t.Fatal(err)
	}
	for range 3 { // pooled hash states give the same
		h := hmac.New(sha256.New, key)
		h.Write([]byte("a@example.test"))
		values, err := v.Index("", "person.email", []byte("a@example.test"))
		if !bytes.Equal(index(t, values, err).Value, h.Sum(nil)) {
			t.Error("not HMAC-SHA-256 under the category's key")
		}
	}
}

// Requests share the vault: an index value never mixes two of them.
func TestIndexConcurrently(t *testing.T) {
	v := newVault(t)
	want := map[string][]byte{}
	for _, value := range []string{"a", "b", "c", "d"} {
		values, err := v.Index("", "person.email", []byte(value))
		want[value] = index(t, values, err).Value
	}
	errs := make(chan error)
	for value, w := range want {
		go func() {
			for range 500 {
				values, err := v.Index("", "person.email", []byte(value))
				if err != nil || !bytes.Equal(values[0].Value, w) {
					errs <- fmt.Errorf("%s: another value's index (%w)", value, err)
					return
				}
			}
			errs <- nil
		}()
	}
	for range want {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func BenchmarkIndex(b *testing.B) {
	v := newVault(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Index("", "person.email", []byte("a@example.test")); err != nil {
			b.Fatal(err)
		}
	}
}
