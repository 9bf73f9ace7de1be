package master_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/keys"
)

// A keyring goes from a file in the clear to each key service in turn and back
// to a key in a file, while another process has it open; each service that was
// left is not asked again.
func TestMoveBetweenServices(t *testing.T) {
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "keyring.json")
	ring, err := keys.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	subject := abide.SubjectID{1}
	key := bytes.Repeat([]byte{7}, 32)
	w, err := ring.Wrap(subject, 1, 1, key)
	if err != nil {
		t.Fatal(err)
	}
	local := filepath.Join(t.TempDir(), "master")
	if err := os.WriteFile(local, bytes.Repeat([]byte{9}, 32), 0o600); err != nil {
		t.Fatal(err)
	}
	type stop struct {
		to   keys.Master
		left *standIn
	}
	var route []stop
	for _, p := range protocols(t) {
		s := newStandIn(arn, google+"one", "one")
		env, _ := p.start(t, s)
		route = append(route, stop{open(t, p.one, env), s})
	}
	route = append(route, stop{to: open(t, "file:"+local, nil)})
	var told []keys.Master
	for _, r := range route {
		told = append(told, r.to)
	}
	other, err := keys.OpenAt(ctx, keys.FilePlace(path), keys.Master{}, told...)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range route {
		if err := ring.Move(ctx, r.to); err != nil {
			t.Fatalf("to %s: %v", r.to.URI, err)
		}
		if i > 0 {
			route[i-1].left.deny(true)
		}
		if _, err := other.Refresh(ctx); err != nil || other.Master() != r.to.URI {
			t.Errorf("the other process, under %q after the move to %s: %v", other.Master(), r.to.URI, err)
		}
		alone, err := keys.OpenAt(ctx, keys.FilePlace(path), r.to)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range []*keys.Keyring{ring, other, alone} {
			if out, err := k.Unwrap(w); err != nil || !bytes.Equal(out, key) {
				t.Errorf("after the move to %s: %v", r.to.URI, err)
			}
		}
		if err := other.RotateLog(ctx); err != nil {
			t.Errorf("a change under %s: %v", r.to.URI, err)
		}
	}
}
