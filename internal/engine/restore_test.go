package engine_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/engine"
	"github.com/abide-privacy/abide/internal/restore"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/storage/postgres"
	"github.com/abide-privacy/abide/internal/storage/sqlite"
	"github.com/abide-privacy/abide/internal/testx/pg"
)

// deployments are the engines with the means by which their operators back
// them up: the data first, then the keys. backup returns what opens a restored
// copy, a fresh one each time.
var deployments = map[string]func(t *testing.T) (open stores, backup func(t *testing.T) func(t *testing.T) stores){
	"sqlite": func(t *testing.T) (stores, func(t *testing.T) func(t *testing.T) stores) {
		dir := t.TempDir()
		copyTo := func(t *testing.T, from, to string) {
			must(t, sqlite.Backup(t.Context(), filepath.Join(from, "data.db"), filepath.Join(to, "data.db")))
			must(t, sqlite.BackupKeys(t.Context(), filepath.Join(from, "keys.db"), filepath.Join(to, "keys.db"), nil))
		}
		return sqliteAt(dir), func(t *testing.T) func(t *testing.T) stores {
			kept := t.TempDir()
			copyTo(t, dir, kept)
			return func(t *testing.T) stores {
				fresh := t.TempDir()
				copyTo(t, kept, fresh)
				return sqliteAt(fresh)
			}
		}
	},
	"postgres": func(t *testing.T) (stores, func(t *testing.T) func(t *testing.T) stores) {
		data, keys := pg.Database(t), pg.Database(t)
		return postgresAt(data, keys), func(t *testing.T) func(t *testing.T) stores {
			d, k := pg.Dump(t, data), pg.Dump(t, keys)
			return func(t *testing.T) stores { return postgresAt(pg.Restore(t, d), pg.Restore(t, k)) }
		}
	},
}

func sqliteAt(dir string) stores {
	return func(t *testing.T) (storage.Store, storage.KeyStore) {
		s, err := sqlite.Open(t.Context(), filepath.Join(dir, "data.db"), sqlite.Options{})
		must(t, err)
		k, err := sqlite.OpenKeys(t.Context(), filepath.Join(dir, "keys.db"))
		must(t, err)
		return s, k
	}
}

func postgresAt(data, keys string) stores {
	return func(t *testing.T) (storage.Store, storage.KeyStore) {
		s, err := postgres.Open(t.Context(), data, postgres.Options{})
		must(t, err)
		k, err := postgres.OpenKeys(t.Context(), keys)
		must(t, err)
		return s, k
	}
}

func onEveryDeployment(t *testing.T, scenario func(t *testing.T, w *world, backup func(t *testing.T) func(t *testing.T) stores)) {
	for name, fresh := range deployments {
		t.Run(name, func(t *testing.T) {
			open, backup := fresh(t)
			scenario(t, newWorld(t, open), backup)
		})
	}
}

// restoreFrom goes on with a restored copy in the place of the store.
func (w *world) restoreFrom(copied func(t *testing.T) stores) {
	w.t.Helper()
	w.shut()
	w.open = copied(w.t)
	w.start()
}

func (w *world) replayed() engine.Replayed {
	w.t.Helper()
	s, err := w.e.RestoreState(w.t.Context(), admin)
	must(w.t, err)
	return s.Replayed
}

// val is a call's result; an error ends the test.
func val[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		must(t, err)
		return v
	}
}

func ref[T any](v T) *T { return &v }

// Issue 3, item 6: a backup brings back neither the erased nor the withdrawn,
// nor what was corrected, restricted, objected to, or left.
func TestRestoreUndoesNothing(t *testing.T) {
	onEveryDeployment(t, func(t *testing.T, w *world, backup func(t *testing.T) func(t *testing.T) stores) {
		ctx := t.Context()
		erased := w.full()
		reader := func() abide.SubjectID {
			id := w.person(engine.NewSubject{})
			w.collect(id, "shop", items{"person.name": "Bo", "person.email": "bo@example.test"})
			w.consent(id, "give")
			return id
		}
		withdrawn, corrected, restricted, again, left, idle := reader(), reader(), reader(), reader(), reader(), reader()
		retained := reader()
		must2(w.e.Collect(ctx, app, engine.Collect{Subject: retained, Purpose: "books", Source: "till", Items: put(retained, "", items{"person.invoice": map[string]any{"currency": "HKD", "amount": "12.50"}}).Items}))(t)
		copied := backup(t)

		w.clock.add(time.Hour)
		later := w.full2()
		cert := val(w.e.Erase(ctx, admin, erased))(t)
		must2(w.e.Erase(ctx, admin, later))(t)
		kept := val(w.e.Erase(ctx, admin, retained))(t)
		w.consent(withdrawn, "withdraw")
		w.consent(again, "withdraw")
		w.clock.add(time.Minute)
		w.consent(again, "give")
		w.collect(corrected, "shop", items{"person.email": "right@example.test"})
		must2(w.e.UpdateSubject(ctx, admin, restricted, engine.SubjectPatch{Restricted: ref(true)}))(t)
		must2(w.e.LeaveService(ctx, app, left, "shop"))(t)
		must(t, w.e.RecordEvent(ctx, app, left, "order.closed", "o-1", w.clock.now()))

		for range 2 { // restored twice from the same backup: nothing depends on what the first did
			w.restoreFrom(copied)
			w.gone(erased)
			if got := w.replayed(); got.Erased != 2 || got.Tombstones != 1 || got.Changed != 5 || got.Unknown != 0 || got.Unreadable != 0 {
				t.Fatalf("replayed %+v", got)
			}
			w.nothingOpens(erased, later)
			for id, was := range map[abide.SubjectID]engine.Certificate{erased: cert, retained: kept} {
				w.verify(val(w.e.Certificate(ctx, admin, id))(t), was)
			}
			must2(w.e.Certificate(ctx, admin, later))(t)
			got := val(w.read(app, retained, "books", "person.invoice"))(t)
			if len(got.Data["person.invoice"]) == 0 {
				t.Fatal("what law retains is gone")
			}
			if d := w.newsletter(withdrawn, time.Time{}); d.Allowed() || !hasReason(d, abide.DenyWithdrawn) {
				t.Fatalf("withdrawn: %+v", d)
			}
			if d := w.newsletter(again, time.Time{}); !d.Allowed() {
				t.Fatalf("who agreed again is refused: %+v", d.Reasons)
			}
			if d := w.newsletter(idle, time.Time{}); !d.Allowed() {
				t.Fatalf("who did nothing is refused: %+v", d.Reasons)
			}
			w.reads(corrected, "right@example.test")
			if ids := val(w.e.Lookup(ctx, app, engine.Lookup{Category: "person.email", Value: []byte(`"right@example.test"`), Purpose: "provide"}))(t); len(ids) != 1 || ids[0] != corrected {
				t.Fatalf("the corrected address finds %v", ids)
			}
			_, err := w.read(app, restricted, "provide", "person.name")
			wantReason(t, err, abide.DenyRestricted)
			_, err = w.e.Collect(ctx, app, put(left, "shop", items{"person.name": "B"}))
			wantReason(t, err, abide.DenySourceStopped)
			if kinds := w.kinds(withdrawn); !slices.Contains(kinds, string(audit.Restored)) {
				t.Fatalf("the log of who withdrew: %v", kinds)
			}
			// And once replayed, there is nothing more to do.
			w.restart()
			if got := w.replayed(); got.Records != 0 {
				t.Fatalf("replayed again: %+v", got)
			}
		}
		// What happened after the first restore counts after a second one.
		w.clock.add(time.Hour)
		w.consent(withdrawn, "give")
		w.consent(again, "withdraw")
		w.restoreFrom(copied)
		if !w.writesTo(withdrawn) || w.writesTo(again) {
			t.Fatal("the order of what people said before and after a restore is lost")
		}
	})
}

// A first yes from after the backup is lost with it: the person was not asked,
// which permits nothing. What they said after it, or said first as a no, is not.
func TestFirstYesIsLostAndNoIsNot(t *testing.T) {
	onEveryDeployment(t, func(t *testing.T, w *world, backup func(t *testing.T) func(t *testing.T) stores) {
		agreed, withdrew, refused := w.person(engine.NewSubject{}), w.person(engine.NewSubject{}), w.person(engine.NewSubject{})
		copied := backup(t)
		w.clock.add(time.Hour)
		w.consent(agreed, "give")
		w.consent(withdrew, "give")
		w.consent(withdrew, "withdraw")
		w.consent(refused, "refuse")
		w.restoreFrom(copied)
		for id, reason := range map[abide.SubjectID]abide.ReasonCode{agreed: abide.DenyNoConsent, withdrew: abide.DenyWithdrawn, refused: abide.DenyRefused} {
			if d := w.newsletter(id, time.Time{}); d.Allowed() || !hasReason(d, reason) {
				t.Errorf("want %s: %+v", reason, d)
			}
		}
		w.consent(agreed, "give")
		if !w.writesTo(agreed) {
			t.Error("who was asked again is refused")
		}
	})
}

// full2 is a person whom a backup made earlier does not know.
func (w *world) full2() abide.SubjectID {
	w.t.Helper()
	id := w.person(engine.NewSubject{Reference: "u-2"})
	w.collect(id, "shop", items{"person.name": "Cy", "person.email": "cy@example.test"})
	return id
}

// writesTo reports whether the newsletter may go to the person.
func (w *world) writesTo(id abide.SubjectID) bool {
	d := w.newsletter(id, time.Time{})
	return d.Allowed()
}

// reads fails unless the person's address is this.
func (w *world) reads(id abide.SubjectID, email string) {
	w.t.Helper()
	got := val(w.read(app, id, "provide", "person.email"))(w.t)
	if v := string(got.Data["person.email"][0].Value); v != `"`+email+`"` {
		w.t.Fatal("the correction is not there")
	}
}

// nothingOpens fails if the live keyring still opens anything of these people
// but what law retains: no wrapped key of theirs is left.
func (w *world) nothingOpens(ids ...abide.SubjectID) {
	w.t.Helper()
	for _, id := range ids {
		if keys, err := w.keys.Get(w.t.Context(), id); err != nil || len(keys) > 0 {
			w.t.Fatalf("%d keys of an erased person came back, %v", len(keys), err)
		}
	}
}

// verify fails unless the certificate is the one that was handed out, and
// proves itself without this server.
func (w *world) verify(got, was engine.Certificate) {
	w.t.Helper()
	if got.ID != was.ID || !got.Erased.Equal(was.Erased) || !bytes.Equal(got.Signature, was.Signature) {
		w.t.Fatalf("another certificate came back: %+v, was %+v", got, was)
	}
	key := w.e.PublicKeys()[0].Key
	raw, err := json.Marshal(got)
	must(w.t, err)
	must2(audit.VerifyCertificate(raw, key))(w.t)
}

// A ledger that does not take records acknowledges nothing; the retry under the
// same key ends with the record there, in a pair: not written, written.
func TestLedgerFails(t *testing.T) {
	for _, persisted := range []bool{false, true} {
		onEveryDeployment(t, func(t *testing.T, w *world, backup func(t *testing.T) func(t *testing.T) stores) {
			ctx := t.Context()
			no, corrected := w.person(engine.NewSubject{}), w.person(engine.NewSubject{})
			w.collect(corrected, "shop", items{"person.name": "Bo", "person.email": "bo@example.test"})
			w.consent(no, "give")
			erased := w.full()
			copied := backup(t)
			w.clock.add(time.Hour)
			calls := []func() error{
				func() error { _, err := w.e.WriteConsent(ctx, once(app, "w"), say(no, "withdraw")); return err },
				func() error {
					_, err := w.e.Collect(ctx, once(app, "c"), put(corrected, "shop", items{"person.email": "right@example.test"}))
					return err
				},
				func() error { _, err := w.e.Erase(ctx, admin, erased); return err },
			}
			fail := map[string]error{"ledger": os.ErrClosed}
			for _, call := range calls {
				if w.faults.set(fail, nil); persisted {
					w.faults.set(nil, fail)
				}
				wantError(t, call(), abide.CodeOutcomeUnknown, "restore_ledger_failed")
				if keys := val(w.keys.Get(ctx, erased))(t); len(keys) == 0 {
					t.Fatal("keys were destroyed before the ledger had the erasure")
				}
				w.faults.clear()
			}
			// Nothing acknowledged, and no acknowledgement is owed. Now they try again.
			for _, call := range calls {
				must(t, call())
			}
			w.restoreFrom(copied)
			if w.writesTo(no) {
				t.Fatal("the withdrawal is lost")
			}
			w.reads(corrected, "right@example.test")
			w.gone(erased)
			if rows := val(w.store.ConsentEvents(ctx, no, 0, 10))(t); len(rows) != 2 {
				t.Fatalf("the withdrawal came back %d times", len(rows)-1)
			}
		})
	}
}

// Killed between ledger and commit, a no that nobody acknowledged is applied by
// the next start; killed between commit and ledger, a yes that nobody
// acknowledged is lost by a restore, and stands without one.
func TestKilledBesideTheLedger(t *testing.T) {
	onEveryDeployment(t, func(t *testing.T, w *world, backup func(t *testing.T) func(t *testing.T) stores) {
		ctx := t.Context()
		id := w.person(engine.NewSubject{})
		w.consent(id, "give")
		copied := backup(t)

		w.faults.kill("ledger", true)
		if _, err := w.e.WriteConsent(ctx, app, say(id, "withdraw")); err == nil {
			t.Fatal("acknowledged by a dead process")
		}
		w.faults.clear()
		if !w.writesTo(id) {
			t.Fatal("the change was committed before the ledger had it")
		}
		w.restart()
		if d := w.newsletter(id, time.Time{}); d.Allowed() {
			t.Fatal("a no in the ledger was not applied at the start")
		}

		w.clock.add(time.Minute)
		w.faults.kill("ledger", false)
		if _, err := w.e.WriteConsent(ctx, app, say(id, "give")); err == nil {
			t.Fatal("acknowledged by a dead process")
		}
		w.faults.clear()
		w.restart()
		if !w.writesTo(id) {
			t.Fatal("what was committed is lost")
		}
		w.restoreFrom(copied)
		if w.writesTo(id) {
			t.Fatal("a restore permits what was never acknowledged")
		}
	})
}

// Without its ledger a restored store denies what rests on consent, and nothing
// else, until a named operator says otherwise.
func TestRestoredGap(t *testing.T) {
	for name, lose := range map[string]func(t *testing.T, w *world){
		engine.GapLedgerMissing: func(t *testing.T, w *world) { w.place = t.TempDir() },
		engine.GapLedgerShort: func(t *testing.T, w *world) {
			all, err := filepath.Glob(filepath.Join(w.place, "*.segment"))
			must(t, err)
			must(t, os.Remove(all[len(all)-1]))
		},
	} {
		t.Run(name, func(t *testing.T) {
			onEvery(t, func(t *testing.T, w *world) {
				ctx := t.Context()
				id := w.person(engine.NewSubject{})
				w.collect(id, "shop", items{"person.name": "Bo", "person.email": "bo@example.test"})
				w.consent(id, "give")
				w.consent(id, "withdraw")
				w.clock.add(time.Minute)
				w.consent(id, "give")
				w.shut()
				lose(t, w)
				w.start()
				for range 2 { // and a restart forgets nothing
					if g := w.e.Gap(); g == nil || g.Why != name {
						t.Fatalf("gap %+v", g)
					}
					if d := w.newsletter(id, time.Time{}); d.Allowed() || !hasReason(d, abide.DenyRestoredGap) {
						t.Fatalf("%+v", d)
					}
					must2(w.read(app, id, "provide", "person.name"))(t)
					found := val(w.e.Findings(ctx, admin))(t)
					if len(found) != 1 || found[0].Code != engine.FindingRestoredGap {
						t.Fatalf("findings %+v", found)
					}
					w.restart()
				}
				// A change made meanwhile does not make the gap a fact of the person.
				w.collect(id, "shop", items{"person.name": "Bob"})
				wantError(t, w.e.ResolveGap(ctx, app, "mara", "asked again"), abide.CodeDenied, "actor_may_not")
				wantError(t, w.e.ResolveGap(ctx, admin, "", "asked again"), abide.CodeInvalid, "operator_missing")
				wantError(t, w.e.ResolveGap(ctx, admin, "mara", " "), abide.CodeInvalid, "reason_missing")
				must(t, w.e.ResolveGap(ctx, admin, "mara", "asked again"))
				w.restart()
				if d := w.newsletter(id, time.Time{}); !d.Allowed() || w.e.Gap() != nil {
					t.Fatalf("resolved, and still refused: %+v", d.Reasons)
				}
				wantError(t, w.e.ResolveGap(ctx, admin, "mara", "again"), abide.CodeNotFound, "no_gap")
			})
		})
	}
}

// Two nodes carry one erasure to its end at once. One of them is acknowledged;
// its certificate must be the one that a restore brings back, though the other
// node's record, by a clock a little ahead, comes after it in the ledger.
func TestOneCertificateAcrossNodes(t *testing.T) {
	onEveryDeployment(t, func(t *testing.T, w *world, backup func(t *testing.T) func(t *testing.T) stores) {
		ctx := t.Context()
		id := w.full()
		copied := backup(t)
		node, err := engine.Open(ctx, engine.Options{Store: w.store, Keys: w.keys, Keyring: w.ring, Clock: w.clock.now, Node: "n2", Ledger: w.ledger})
		must(t, err)
		defer node.Close(context.WithoutCancel(ctx))

		var first engine.Certificate
		w.faults.once("destroy", func() { // the other node has appended its record, and not committed
			w.clock.add(-500 * time.Millisecond)
			first = val(node.Erase(ctx, admin, id))(t)
			w.clock.add(500 * time.Millisecond)
		})
		w.verify(val(w.e.Erase(ctx, admin, id))(t), first)
		must(t, node.Close(context.WithoutCancel(ctx)))

		w.restoreFrom(copied)
		w.gone(id)
		w.verify(val(w.e.Certificate(ctx, admin, id))(t), first)
	})
}

// No start waits for the sweep of keys that came back: the replay of each
// erasure destroys its own, while another node has the ledger open, too.
func TestRestoreBesideAnotherNode(t *testing.T) {
	onEveryDeployment(t, func(t *testing.T, w *world, backup func(t *testing.T) func(t *testing.T) stores) {
		ctx := t.Context()
		id := w.full()
		copied := backup(t)
		cert := val(w.e.Erase(ctx, admin, id))(t)
		other, err := restore.Open(w.place, w.ring.Store(), w.ring)
		must(t, err)
		defer other.Close()
		must(t, val(other.Start(ctx))(t)())

		w.restoreFrom(copied)
		w.gone(id)
		w.nothingOpens(id)
		w.verify(val(w.e.Certificate(ctx, admin, id))(t), cert)
	})
}
