package engine_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/engine"
	"github.com/abide-privacy/abide/internal/restore"
	"github.com/abide-privacy/abide/internal/storage"
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

// The database is put back, and the ledger has lost its end: the database alone
// would not miss it. What was remembered outside of both does.
func TestLedgerCutBelowTheMemory(t *testing.T) {
	onEveryDeployment(t, func(t *testing.T, w *world, backup func(t *testing.T) func(t *testing.T) stores) {
		ctx := t.Context()
		id := w.person(engine.NewSubject{})
		w.collect(id, "shop", items{"person.name": "Bo", "person.email": "bo@example.test"})
		w.consent(id, "give")
		copied := backup(t)
		w.consent(id, "withdraw")
		seen := val(w.e.LedgerSeen(ctx))(t)
		w.shut()
		whole := w.place
		for name, cut := range map[string]func(b []byte) []byte{
			"nothing":        func(b []byte) []byte { return b },
			"its last bytes": func(b []byte) []byte { return b[:len(b)-100] },
			"a bit of its last record, as if it had never been whole": func(b []byte) []byte { b[len(b)-100] ^= 1; return b },
		} {
			w.place = t.TempDir()
			must(t, os.CopyFS(w.place, os.DirFS(whole)))
			segments := val(filepath.Glob(filepath.Join(w.place, "*.segment")))(t)
			must(t, os.WriteFile(segments[0], cut(val(os.ReadFile(segments[0]))(t)), 0o600))
			w.open, w.seen = copied(t), seen
			w.start()
			d := w.newsletter(id, time.Time{})
			switch gap := w.e.Gap(); {
			case name == "nothing" && (gap != nil || !hasReason(d, abide.DenyWithdrawn)):
				t.Errorf("the whole ledger: gap %+v, %+v", gap, d.Reasons)
			case name != "nothing" && (gap == nil || gap.Why != engine.GapLedgerShort || d.Allowed()):
				t.Errorf("cut %s: gap %+v, allowed %v", name, gap, d.Allowed())
			}
			if name != "nothing" { // resolved, the same memory opens no other
				if s := val(w.e.LedgerSeen(ctx))(t); s != nil {
					t.Error("a gap is remembered as the truth")
				}
				w.clock.add(time.Second)
				must(t, w.e.ResolveGap(ctx, admin, "mara", "all were asked again"))
				w.restart()
				if w.e.Gap() != nil {
					t.Error("resolved, and open again")
				}
			}
			w.shut()
		}
		w.seen = nil
		w.start() // for the world's end
	})
}

// Resolving a gap forgets nothing of a segment that another node writes: that
// node would take it for a database that went back.
func TestResolvedBesideAnotherNode(t *testing.T) {
	onEveryDeployment(t, func(t *testing.T, w *world, _ func(t *testing.T) func(t *testing.T) stores) {
		ctx := t.Context()
		id := w.person(engine.NewSubject{})
		ledger := val(restore.Open(w.place, w.ring.Store(), w.ring))(t)
		other := val(engine.Open(context.WithoutCancel(ctx), engine.Options{Store: w.store, Keys: w.keys, Keyring: w.ring, Clock: w.clock.now, Node: "n2", Ledger: ledger}))(t)
		restrict := func(yes bool) {
			must2(other.UpdateSubject(ctx, admin, id, engine.SubjectPatch{Restricted: &yes}))(t)
			must2(other.LedgerSeen(ctx))(t) // its mark is in the store
		}
		restrict(true)
		must(t, w.store.PutRecord(ctx, &storage.Record{Kind: "restored_gap", Name: "gap", Version: 1, Body: []byte(`{"why":"ledger_short"}`), At: w.clock.now()}))
		must(t, w.e.ResolveGap(ctx, admin, "mara", "all were asked again"))
		must2(other.RestoreState(ctx, admin))(t)
		restrict(false)
		if g := other.Gap(); g != nil {
			t.Fatalf("the other node opened a gap: %+v", g)
		}
		must(t, errors.Join(other.Close(context.WithoutCancel(ctx)), ledger.Close()))
	})
}
