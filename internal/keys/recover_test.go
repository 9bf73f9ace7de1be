package keys_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/abide-privacy/abide/internal/keys"
)

// The key service is gone; three custodians and the copy give a ring under
// another one, which goes on with the same shares.
func TestRecoverUnderANewMaster(t *testing.T) {
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "keyring.json")
	lost := keys.Master{URI: "test-kms://lost", AEAD: service(t)}
	ring, err := keys.CreateAt(ctx, keys.FilePlace(path), lost)
	if err != nil {
		t.Fatal(err)
	}
	x := &escrowed{ring: ring, path: path, copy: filepath.Join(t.TempDir(), "recovery.json")}
	x.renew(t)
	w, key := wrap(t, ring)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}

	got, err := x.open(t, x.shares[1:4]...)
	if err != nil {
		t.Fatal(err)
	}
	fresh := keys.Master{URI: "test-kms://new", AEAD: service(t)}
	elsewhere := filepath.Join(t.TempDir(), "recovery.json")
	if err := got.Recover(ctx, keys.FilePlace(path), fresh, elsewhere, day); err != nil {
		t.Fatal(err)
	}
	again, err := keys.OpenAt(ctx, keys.FilePlace(path), fresh)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := again.Unwrap(w); err != nil || !bytes.Equal(out, key) {
		t.Errorf("the recovered ring: %v", err)
	}
	if r := again.Recovered(); r.N != 1 || r.ID == "" || again.Generation() <= ring.Generation() || again.Master() != fresh.URI {
		t.Errorf("recovered as %+v, generation %d, under %s", r, again.Generation(), again.Master())
	}
	_, err = ring.Refresh(ctx)
	wantDetail(t, "a process with the ring before", err, "other_master_key")
	if now, err := os.ReadFile(path); err != nil || bytes.Contains(now, []byte("keyData")) {
		t.Errorf("the recovered ring lies in the clear (%v)", err)
	}
	if _, err := again.RotateKEK(ctx, day); err != nil {
		t.Fatal(err)
	}
	x.copy = elsewhere
	if got, err := x.open(t, x.shares[:3]...); err != nil || !got.SameKeys(again) {
		t.Errorf("the shares do not follow the recovered ring: %v", err)
	}

	// A copy that is older than the ring in its place lacks keys.
	stale, err := keys.OpenCopy(mustRead(t, elsewhere), x.shares[:3])
	if err != nil {
		t.Fatal(err)
	}
	if err := again.RotateLog(ctx); err != nil {
		t.Fatal(err)
	}
	wantDetail(t, "an older copy", stale.Recover(ctx, keys.FilePlace(path), fresh, elsewhere, day), "recovery_copy_older")
	_, other := create(t)
	wantDetail(t, "another store's keyring in the place", stale.Recover(ctx, keys.FilePlace(other), fresh, elsewhere, day), "other_keyring")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := stale.Recover(ctx, keys.FilePlace(path), fresh, elsewhere, day); err != nil {
		t.Errorf("after a refusal, in the right place: %v", err)
	}
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// A ring is moved from the clear to a key service and on to another while
// other processes have it open.
func TestMoveToAnotherMaster(t *testing.T) {
	ctx := t.Context()
	one, two := keys.Master{URI: "test-kms://one", AEAD: service(t)}, keys.Master{URI: "test-kms://two", AEAD: service(t)}
	ring, path := create(t)
	place := keys.FilePlace(path)
	clear := mustRead(t, path)
	w, key := wrap(t, ring)
	told, err := keys.OpenAt(ctx, place, one, two)
	if err != nil {
		t.Fatal(err)
	}
	untold := reopen(t, path)
	opens := func(what string, k *keys.Keyring, uri string) {
		t.Helper()
		if _, err := k.Refresh(ctx); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if out, err := k.Unwrap(w); err != nil || !bytes.Equal(out, key) || k.Master() != uri {
			t.Errorf("%s, under %q: %v", what, k.Master(), err)
		}
	}
	opens("before", told, "")
	if err := ring.Move(ctx, one); err != nil {
		t.Fatal(err)
	}
	opens("the mover", ring, one.URI)
	opens("a process that was told", told, one.URI)
	_, err = untold.Refresh(ctx)
	wantDetail(t, "a process that was not told", err, "master_key_needed")
	if _, err := told.RotateKEK(ctx, day); err != nil {
		t.Fatal(err)
	}
	if now := mustRead(t, path); bytes.Contains(now, []byte("keyData")) {
		t.Error("the ring lies in the clear")
	}
	if err := ring.Move(ctx, two); err != nil {
		t.Fatal(err)
	}
	opens("on to another", told, two.URI)
	alone, err := keys.OpenAt(ctx, place, two)
	if err != nil {
		t.Fatal(err)
	}
	opens("opened with the new key alone", alone, two.URI)
	_, err = keys.OpenAt(ctx, place, one)
	wantDetail(t, "opened with the old key", err, "other_master_key")
	wantDetail(t, "into the clear", ring.Move(ctx, keys.Master{}), "bad_master")

	// A ring in the clear, put in its place, is not taken over by those who were
	// told of several keys either.
	if err := os.WriteFile(path, clear, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = told.Refresh(ctx)
	wantDetail(t, "the ring from before the move", err, "master_key_dropped")
}

// A move that does not reach its key service changes nothing.
func TestFailedMoveChangesNothing(t *testing.T) {
	ring, path := create(t)
	down := keys.Master{URI: "test-kms://down", AEAD: unreachable{}}
	if err := ring.Move(t.Context(), down); err == nil {
		t.Fatal("moved to a key that is not there")
	}
	if _, err := ring.RotateKEK(t.Context(), day); err != nil {
		t.Errorf("the ring as it was: %v", err)
	}
	if reopen(t, path).PrimaryKEK() != ring.PrimaryKEK() || ring.Master() != "" {
		t.Error("the ring was moved")
	}
}

type unreachable struct{}

func (unreachable) EncryptWithContext(context.Context, []byte, []byte) ([]byte, error) {
	return nil, errors.New("no answer")
}

func (unreachable) DecryptWithContext(context.Context, []byte, []byte) ([]byte, error) {
	return nil, errors.New("no answer")
}
