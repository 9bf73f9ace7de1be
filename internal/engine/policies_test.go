package engine_test

import (
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/engine"
)

// A policy that comes into force again knows the terms that people agreed to
// under the one in between, on every node: a yes to fewer goes on covering what
// it covered, and is not a yes to terms that nobody knows.
func TestPolicyInForceAgainKnowsTheTermsBetween(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		first := os.DirFS("testdata/policy")
		text, err := fs.ReadFile(first, "privacy.md")
		must(t, err)
		const topics, fewer = "topics    = [offers, news]", "topics    = [offers]"
		if !strings.Contains(string(text), topics) {
			t.Fatal("the test policy has other topics by now")
		}
		between := fstest.MapFS{"privacy.md": {Data: []byte(strings.Replace(string(text), topics, fewer, 1))}}
		other, err := engine.Open(ctx, engine.Options{Store: w.store, Keys: w.keys, Keyring: w.ring, Clock: w.clock.now})
		must(t, err)
		defer func() { must(t, other.Close(ctx)) }()
		id := w.person(engine.NewSubject{})
		ask := func() abide.Decision {
			d, err := other.Decide(ctx, app, engine.Decide{Subject: id, Purpose: "newsletter", Act: abide.ActContact, Topic: "offers",
				Categories: []abide.Category{"person.email"}})
			must(t, err)
			return d
		}
		ask() // this node has the first policy from now on
		_, _, err = w.e.Publish(ctx, admin, between)
		must(t, err)
		w.consent(id, "give")
		_, _, err = w.e.Publish(ctx, admin, first)
		must(t, err)
		if d := ask(); !d.Allowed() {
			t.Fatalf("refused: %+v", d.Reasons)
		}
	})
}
