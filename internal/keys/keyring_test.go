package keys_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/keys"
	"github.com/abide-privacy/abide/internal/storage"
)

func create(t *testing.T) (*keys.Keyring, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys", "keyring.json")
	ring, err := keys.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	return ring, path
}

func reopen(t *testing.T, path string) *keys.Keyring {
	t.Helper()
	ring, err := keys.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// day is when the tests rotate.
var day = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

var subject = abide.SubjectID{1, 2, 3}

func wrap(t *testing.T, ring *keys.Keyring) (storage.WrappedKey, []byte) {
	t.Helper()
	key := bytes.Repeat([]byte{7}, 32)
	w, err := ring.Wrap(subject, storage.Log, 3, key)
	if err != nil {
		t.Fatal(err)
	}
	return w, key
}

func TestReopenedRingOpensEverything(t *testing.T) {
	ring, path := create(t)
	w, key := wrap(t, ring)
	env, err := ring.SealEnvelope([]byte("envelope"), []byte("ad"))
	if err != nil {
		t.Fatal(err)
	}
	sys, err := ring.SealSystem([]byte("system"), []byte("ad"))
	if err != nil {
		t.Fatal(err)
	}
	sig, err := ring.Sign([]byte("message"))
	if err != nil {
		t.Fatal(err)
	}
	sup, err := ring.Suppression("person.email", []byte("a@example.test"))
	if err != nil {
		t.Fatal(err)
	}
	index, err := ring.IndexKeys()[0].Derive("person.email")
	if err != nil {
		t.Fatal(err)
	}
	check, err := ring.CheckValue()
	if err != nil {
		t.Fatal(err)
	}

	again := reopen(t, path)
	if again.Store() != ring.Store() || again.PrimaryKEK() != ring.PrimaryKEK() {
		t.Error("the reopened ring names another store or KEK")
	}
	if got, err := again.Unwrap(w); err != nil || !bytes.Equal(got, key) {
		t.Errorf("unwrap: %v", err)
	}
	if got, err := again.OpenEnvelope(env, []byte("ad")); err != nil || string(got) != "envelope" {
		t.Errorf("envelope: %q, %v", got, err)
	}
	if got, err := again.OpenSystem(sys, []byte("ad")); err != nil || string(got) != "system" {
		t.Errorf("system: %q, %v", got, err)
	}
	if !again.Verify(ring.SigningKeyID(), []byte("message"), sig) {
		t.Error("signature does not verify")
	}
	if got, err := again.Suppression("person.email", []byte("a@example.test")); err != nil || !bytes.Equal(got, sup) {
		t.Errorf("suppression hash changed: %v", err)
	}
	if got, err := again.IndexKeys()[0].Derive("person.email"); err != nil || !bytes.Equal(got, index) {
		t.Errorf("index key changed: %v", err)
	}
	if got, err := again.CheckValue(); err != nil || !bytes.Equal(got, check) {
		t.Errorf("check value changed: %v", err)
	}
}

func TestWrappedKeyOpensInItsOwnRowOnly(t *testing.T) {
	ring, _ := create(t)
	other, _ := create(t)
	w, _ := wrap(t, ring)
	moves := map[string]func(w *storage.WrappedKey){
		"another subject":     func(w *storage.WrappedKey) { w.Subject[0]++ },
		"another compartment": func(w *storage.WrappedKey) { w.Compartment = storage.Live },
		"another version":     func(w *storage.WrappedKey) { w.Version++ },
		"a changed bit":       func(w *storage.WrappedKey) { w.Wrapped[len(w.Wrapped)-1] ^= 1 },
		"another KEK":         func(w *storage.WrappedKey) { w.Wrapped[1] ^= 1 },
		"a cut tail":          func(w *storage.WrappedKey) { w.Wrapped = w.Wrapped[:4] },
	}
	for name, move := range moves {
		moved := w
		moved.Wrapped = bytes.Clone(w.Wrapped)
		move(&moved)
		if _, err := ring.Unwrap(moved); abide.ErrorDetail(err) != "key_damaged" {
			t.Errorf("%s: got %v, want key_damaged", name, err)
		}
	}
	if _, err := other.Unwrap(w); abide.ErrorDetail(err) != "kek_unknown" {
		t.Errorf("ring of another store: got %v, want kek_unknown", err)
	}
}

func TestAssociatedDataIsBound(t *testing.T) {
	ring, _ := create(t)
	env, err := ring.SealEnvelope([]byte("x"), []byte("a"))
	if err != nil {
		t.Fatal(err)
	}
	sys, err := ring.SealSystem([]byte("x"), []byte("a"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ring.OpenEnvelope(env, []byte("b")); abide.ErrorDetail(err) != "envelope_damaged" {
		t.Errorf("envelope under other associated data: %v", err)
	}
	if _, err := ring.OpenSystem(sys, []byte("b")); abide.ErrorDetail(err) != "system_damaged" {
		t.Errorf("system row under other associated data: %v", err)
	}
	if _, err := ring.OpenSystem(env, []byte("a")); abide.ErrorDetail(err) != "system_damaged" {
		t.Errorf("envelope opened as a system row: %v", err)
	}
}

func TestRotatedKEKStillOpensUntilRetired(t *testing.T) {
	ring, path := create(t)
	old, key := wrap(t, ring)
	ctx := context.Background()
	id, err := ring.RotateKEK(ctx, day)
	if err != nil {
		t.Fatal(err)
	}
	fresh, _ := wrap(t, ring)
	if id == old.KEK || fresh.KEK != id {
		t.Fatalf("after rotation keys are wrapped by %s, want %s, which was not %s", fresh.KEK, id, old.KEK)
	}
	for _, r := range []*keys.Keyring{ring, reopen(t, path)} {
		for _, w := range []storage.WrappedKey{old, fresh} {
			if got, err := r.Unwrap(w); err != nil || !bytes.Equal(got, key) {
				t.Errorf("unwrap under %s: %v", w.KEK, err)
			}
		}
	}
	if err := ring.RetireKEK(ctx, id, day); abide.ErrorDetail(err) != "kek_not_retirable" {
		t.Errorf("retiring the primary: %v", err)
	}
	if err := ring.RetireKEK(ctx, old.KEK, day); err != nil {
		t.Fatal(err)
	}
	for _, r := range []*keys.Keyring{ring, reopen(t, path)} {
		if _, err := r.Unwrap(old); abide.ErrorDetail(err) != "kek_unknown" {
			t.Errorf("key of a retired KEK: %v, want kek_unknown", err)
		}
		if _, err := r.Unwrap(fresh); err != nil {
			t.Errorf("key of the primary KEK: %v", err)
		}
	}
}

func TestIndexRootsAreRotatedInTwoSteps(t *testing.T) {
	ring, path := create(t)
	other := reopen(t, path) // another process
	before := ring.IndexKeys()
	id, err := ring.RotateIndex(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if again, err := other.RotateIndex(t.Context()); err != nil || again != id {
		t.Fatalf("a rotation that goes on makes %s, want %s: %v", again, id, err)
	}
	after := reopen(t, path).IndexKeys()
	if len(before) != 1 || len(after) != 2 || after[0].ID != before[0].ID || after[1].ID != id {
		t.Fatalf("roots before %v, after %v, new %s", before, after, id)
	}
	gone, err := ring.RetireIndex(t.Context(), id, day)
	if err != nil || len(gone) != 1 || gone[0] != before[0].ID {
		t.Fatalf("retired %v: %v", gone, err)
	}
	if gone, err := ring.RetireIndex(t.Context(), id, day); err != nil || len(gone) != 0 {
		t.Errorf("retired again %v: %v", gone, err)
	}
	if _, err := ring.RetireIndex(t.Context(), gone[0], day); err == nil {
		t.Error("a root that was destroyed became the only one")
	}
	for _, r := range []*keys.Keyring{ring, reopen(t, path), other} {
		if _, err := r.IndexKey(id); err != nil {
			t.Errorf("the new root: %v", err)
		}
	}
	if _, err := other.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, r := range []*keys.Keyring{ring, reopen(t, path), other} {
		if _, err := r.IndexKey(gone[0]); abide.ErrorDetail(err) != "index_key_unknown" {
			t.Errorf("the old root: %v, want index_key_unknown", err)
		}
		if old := r.RetiredIndex(); len(old) != 1 || old[0].ID != gone[0] || !old[0].Destroyed.Equal(day) || len(r.IndexKeys()) != 1 {
			t.Errorf("retired %v, roots %v", old, r.IndexKeys())
		}
	}
	a, errA := after[0].Derive("x")
	b, errB := after[1].Derive("x")
	if errA != nil || errB != nil || bytes.Equal(a, b) {
		t.Error("both roots derive the same key")
	}
}

func TestFileIsNeverOverwrittenOrShared(t *testing.T) {
	_, path := create(t)
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if st.Mode().Perm() != 0o600 {
		t.Errorf("mode %o, want 600", st.Mode().Perm())
	}
	if _, err := keys.Create(path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("second create: %v, want ErrExist", err)
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".keyring-*"))
	if err != nil || len(left) != 0 {
		t.Errorf("temporary files left: %v %v", left, err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.Open(path); abide.ErrorDetail(err) != "keyring_readable_by_others" {
		t.Errorf("open of a shared file: %v", err)
	}
}

// Two processes that create the same ring at once must not both believe in
// theirs: what one of them sealed could never be opened.
func TestOneOfManyCreatesWins(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keyring.json")
	type result struct {
		ring *keys.Keyring
		err  error
	}
	results := make(chan result)
	for range 8 {
		go func() {
			ring, err := keys.Create(path)
			results <- result{ring, err}
		}()
	}
	var winner *keys.Keyring
	for range 8 {
		switch r := <-results; {
		case r.err == nil && winner != nil:
			t.Error("two creates succeeded")
		case r.err == nil:
			winner = r.ring
		case !errors.Is(r.err, fs.ErrExist):
			t.Error(r.err)
		}
	}
	if winner == nil || reopen(t, path).Store() != winner.Store() {
		t.Error("the file is not the winner's")
	}
}

func TestBrokenFileIsRefused(t *testing.T) {
	_, path := create(t)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	breaks := map[string]struct {
		change func(map[string]any)
		detail string
	}{
		"another format": {func(d map[string]any) { d["format"] = "abide-keyring/9" }, "bad_keyring"},
		"no store":       {func(d map[string]any) { d["store"] = "" }, "bad_keyring"},
		"a keyset gone":  {func(d map[string]any) { delete(d["keysets"].(map[string]any), "sign") }, "keyring_incomplete"},
	}
	for name, c := range breaks {
		var d map[string]any
		if err := json.Unmarshal(raw, &d); err != nil {
			t.Fatal(err)
		}
		c.change(d)
		out, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, out, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := keys.Open(path); abide.ErrorDetail(err) != c.detail {
			t.Errorf("%s: %v, want %s", name, err, c.detail)
		}
	}
}

func TestMasterKeyEncryptsTheFile(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "keyring.json")
	master := keys.Master{URI: "test-kms://one", AEAD: service(t)}
	ring, err := keys.CreateAt(ctx, keys.FilePlace(path), master)
	if err != nil {
		t.Fatal(err)
	}
	w, key := wrap(t, ring)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(raw, []byte("keyData")) || !bytes.Contains(raw, []byte("encryptedKeyset")) {
		t.Error("the file holds keysets in the clear")
	}
	if _, err := keys.Open(path); abide.ErrorDetail(err) != "master_key_needed" {
		t.Errorf("open without the service: %v", err)
	}
	if _, err := keys.OpenAt(ctx, keys.FilePlace(path), keys.Master{URI: "test-kms://two", AEAD: service(t)}); err == nil {
		t.Error("opened with another master key")
	}
	again, err := keys.OpenAt(ctx, keys.FilePlace(path), master)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := again.Unwrap(w); err != nil || !bytes.Equal(got, key) {
		t.Errorf("unwrap: %v", err)
	}
	if _, err := again.RotateKEK(ctx, day); err != nil {
		t.Fatal(err)
	}
	if raw, err = os.ReadFile(path); err != nil || bytes.Contains(raw, []byte("keyData")) {
		t.Errorf("a rotation wrote keysets in the clear (%v)", err)
	}
}

// service is a key service in process.
type kms struct {
	a interface {
		Encrypt(plaintext, ad []byte) ([]byte, error)
		Decrypt(ciphertext, ad []byte) ([]byte, error)
	}
}

func (k kms) EncryptWithContext(_ context.Context, p, ad []byte) ([]byte, error) {
	return k.a.Encrypt(p, ad)
}
func (k kms) DecryptWithContext(_ context.Context, c, ad []byte) ([]byte, error) {
	return k.a.Decrypt(c, ad)
}

func service(t *testing.T) kms {
	t.Helper()
	h, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		t.Fatal(err)
	}
	a, err := aead.New(h)
	if err != nil {
		t.Fatal(err)
	}
	return kms{a}
}

func TestSignaturesArePlainEd25519(t *testing.T) {
	ring, _ := create(t)
	sig, err := ring.Sign([]byte("m"))
	if err != nil {
		t.Fatal(err)
	}
	if len(sig) != 64 || !ring.Verify(ring.SigningKeyID(), []byte("m"), sig) {
		t.Error("not an Ed25519 signature by the primary key")
	}
	if ring.Verify(ring.SigningKeyID(), []byte("n"), sig) || ring.Verify("ed25519:0000000000000000", []byte("m"), sig) {
		t.Error("verified another message, or by an unknown key")
	}
}

func BenchmarkUnwrap(b *testing.B) {
	ring, err := keys.New()
	if err != nil {
		b.Fatal(err)
	}
	w, err := ring.Wrap(subject, storage.Live, 1, make([]byte, 32))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ring.Unwrap(w); err != nil {
			b.Fatal(err)
		}
	}
}

// A keyring of somebody's own, put in the place of one that a key service
// encrypts, must not be taken over: what is sealed from then on would be theirs
// to open, and the next rotation would write the keys in clear.
func TestMasterKeyIsNotDropped(t *testing.T) {
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "keyring.json")
	ring, err := keys.CreateAt(ctx, keys.FilePlace(path), keys.Master{URI: "test-kms://one", AEAD: service(t)})
	if err != nil {
		t.Fatal(err)
	}
	kek := ring.PrimaryKEK()
	own, ownPath := create(t)
	forged, err := os.ReadFile(ownPath)
	if err != nil {
		t.Fatal(err)
	}
	forged = bytes.ReplaceAll(forged, []byte(own.Store().String()), []byte(ring.Store().String()))
	if err := os.WriteFile(path, forged, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ring.Refresh(ctx); abide.ErrorDetail(err) != "master_key_dropped" {
		t.Errorf("refresh: %v, want master_key_dropped", err)
	}
	if ring.PrimaryKEK() != kek {
		t.Error("the forged keyring was taken over")
	}
}

// Requests open keys while another process's rotation is taken over.
func TestRefreshBesideUse(t *testing.T) {
	ring, path := create(t)
	w, _ := wrap(t, ring)
	other := reopen(t, path)
	var wg sync.WaitGroup
	done := make(chan struct{})
	wg.Go(func() {
		for {
			if _, err := ring.Unwrap(w); err != nil {
				t.Error(err)
			}
			select {
			case <-done:
				return
			default:
			}
		}
	})
	for range 5 {
		if _, err := other.RotateKEK(t.Context(), time.Now()); err != nil {
			t.Error(err)
		}
		if _, err := ring.Refresh(t.Context()); err != nil {
			t.Error(err)
		}
	}
	close(done)
	wg.Wait()
	if ring.PrimaryKEK() != other.PrimaryKEK() {
		t.Error("the rotation was not taken over")
	}
}
