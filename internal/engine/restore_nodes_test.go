package engine_test

import (
	"context"
	"errors"
	"testing"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/engine"
	"github.com/abide-privacy/abide/internal/restore"
)

// Several nodes start at once on a database that was put back: the first to
// replay counts the restore, so that a later one knows what came after it.
func TestNodesStartTogetherAfterRestore(t *testing.T) {
	onEveryDeployment(t, func(t *testing.T, w *world, backup func(t *testing.T) func(t *testing.T) stores) {
		ctx := t.Context()
		id := w.person(engine.NewSubject{})
		w.collect(id, "shop", items{"person.name": "Bo"})
		copied := backup(t)
		restrict := func(yes bool) {
			w.clock.add(time.Minute)
			must2(w.e.UpdateSubject(ctx, admin, id, engine.SubjectPatch{Restricted: &yes}))(t)
		}
		for range 4 { // versions that the restored database counts anew
			restrict(true)
			restrict(false)
		}
		other := val(restore.Open(w.place, w.ring.Store(), w.ring))(t) // a node that starts too, and has not replayed yet
		w.restoreFrom(copied)
		must(t, other.Close())
		restrict(true)
		w.restoreFrom(copied)
		_, err := w.read(app, id, "provide", "person.name")
		wantReason(t, err, abide.DenyRestricted)
	})
}

// A no whose commit another change overtook, and whose caller went away, is in
// the ledger all the same. Replayed, it takes nothing back of the other.
func TestOvertakenNoTakesNothingBack(t *testing.T) {
	onEveryDeployment(t, func(t *testing.T, w *world, backup func(t *testing.T) func(t *testing.T) stores) {
		id := w.person(engine.NewSubject{})
		w.collect(id, "shop", items{"person.name": "Bo"})
		copied := backup(t)
		ledger := val(restore.Open(w.place, w.ring.Store(), w.ring))(t)

		other := val(engine.Open(context.WithoutCancel(t.Context()), engine.Options{Store: w.store, Keys: w.keys, Keyring: w.ring, Clock: w.clock.now, Node: "n2", Ledger: ledger}))(t)
		no, ok := ref(false), ref(true)
		must2(other.UpdateSubject(t.Context(), admin, id, engine.SubjectPatch{Restricted: ok}))(t) // its segment comes first
		must2(other.UpdateSubject(t.Context(), admin, id, engine.SubjectPatch{Restricted: no}))(t)

		ctx, hangUp := context.WithCancel(t.Context())
		w.faults.once("commit", func() {
			must2(other.UpdateSubject(t.Context(), admin, id, engine.SubjectPatch{Restricted: ok}))(t)
			hangUp()
		})
		_, err := w.e.UpdateSubject(ctx, admin, id, engine.SubjectPatch{DeclaredMinor: ok})
		wantError(t, err, abide.CodeUnavailable, "timed_out")
		must(t, errors.Join(other.Close(context.WithoutCancel(t.Context())), ledger.Close()))

		w.restoreFrom(copied)
		_, err = w.read(app, id, "provide", "person.name")
		wantReason(t, err, abide.DenyRestricted)
	})
}
