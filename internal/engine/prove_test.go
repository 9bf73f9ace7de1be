package engine_test

import (
	"bytes"
	"encoding/hex"
	"testing"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/engine"
	"github.com/abide-privacy/abide/internal/log"
	"github.com/abide-privacy/abide/internal/storage"
)

// sequencer is a sequencer over the world's store, which steps when told.
func (w *world) sequencer() *log.Sequencer {
	w.t.Helper()
	must(w.t, w.ring.EnsureLog(w.t.Context()))
	return log.New(log.Options{Store: w.store, Keys: w.ring, Origin: "shop.example/log", Node: "n1", Alone: true, Clock: w.clock.now})
}

// verifies checks a proof with package audit alone.
func (w *world) verifies(p *engine.LogProof) (*audit.Part, *audit.Envelope) {
	w.t.Helper()
	vkeys, err := log.VerifierKeys(w.ring, p.Origin)
	must(w.t, err)
	known, err := audit.NewKeys(vkeys[0])
	must(w.t, err)
	proof, err := audit.ParseProof([]byte(p.Proof))
	must(w.t, err)
	part, one, err := audit.OpenPart(p.Part)
	must(w.t, err)
	env, two, err := audit.OpenEnvelope(p.Envelope)
	must(w.t, err)
	if one != two || hex.EncodeToString(one[:]) != p.Commitment || proof.Index != int64(p.Index) {
		w.t.Fatalf("part, envelope and commitment differ: %x %x %s", one, two, p.Commitment)
	}
	_, err = proof.Verify(known, one[:])
	must(w.t, err)
	return part, env
}

// TestProofs: a receipt, an entry and a look verify without the server once a
// checkpoint has them, and not before; erasing the person changes no leaf, and
// nothing of theirs is proved any more.
func TestProofs(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		id := w.person(engine.NewSubject{})
		receipt := w.consent(id, "give")
		seq := w.sequencer()
		if got := w.receipt(self(id), id, receipt.Event, ""); got.Proved {
			t.Fatal("a proof of what is in no log")
		}
		_, err := w.e.ProveEntry(ctx, self(id), id, receipt.LogEntry)
		wantError(t, err, abide.CodeConflict, "not_in_log_yet")
		must(t, seq.Step(ctx))

		got := w.receipt(self(id), id, receipt.Event, "")
		if got.Log == nil || got.Log.Part.Receipt != receipt.ID || got.Log.Part.Subject != id || got.Log.Envelope.Kind != audit.Consented {
			t.Errorf("the proof is of %+v", got.Log)
		}
		// Somebody of the company looks at the ledger, and the person proves it.
		w.receipt(app, id, receipt.Event, "")
		entries, _, err := w.e.SubjectLog(ctx, self(id), id, engine.Page{})
		must(t, err)
		look := entries[len(entries)-1].Look
		if look == nil {
			t.Fatalf("the last entry is no look: %+v", entries[len(entries)-1])
		}
		_, err = w.e.ProveLook(ctx, self(id), id, *look)
		wantError(t, err, abide.CodeConflict, "not_in_log_yet")
		must(t, seq.Step(ctx))
		proof, err := w.e.ProveLook(ctx, self(id), id, *look)
		must(t, err)
		if part, env := w.verifies(&proof); part.Subject != id || env.Actor.Name != "app" {
			t.Errorf("the proof is of %+v, %+v", part, env)
		}
		other := w.person(engine.NewSubject{})
		_, err = w.e.ProveLook(ctx, self(other), other, *look)
		wantError(t, err, abide.CodeNotFound, "unknown_entry")
		_, err = w.e.ProveEntry(ctx, self(other), id, 1)
		wantError(t, err, abide.CodeNotFound, "subject_not_found")
		for _, n := range []uint64{0, 99} {
			_, err = w.e.ProveEntry(ctx, self(id), id, n)
			wantError(t, err, abide.CodeNotFound, "unknown_entry")
			_, err = w.e.Receipt(ctx, self(id), engine.ReceiptRequest{Subject: id, Event: n})
			wantError(t, err, abide.CodeNotFound, "unknown_receipt")
		}

		before, err := w.store.Checkpoint(ctx, 1)
		must(t, err)
		tiles := w.tiles(before.Size)
		_, err = w.e.Erase(ctx, self(id), id)
		must(t, err)
		must(t, seq.Step(ctx))
		for i, tile := range w.tiles(before.Size) {
			if !bytes.HasPrefix(tile, tiles[i]) {
				t.Errorf("tile %d changed with the erasure", i)
			}
		}
		w.verifies(&proof)
		_, err = w.e.ProveLook(ctx, self(id), id, *look)
		wantError(t, err, abide.CodeErased, "subject_erased")
		// The envelope of the look is still there, for the auditor.
		kept, err := w.store.Look(ctx, id, storage.LookKey(*look))
		must(t, err)
		if hex.EncodeToString(kept.Commitment[:]) != proof.Commitment || len(kept.Envelope) == 0 {
			t.Error("the record of the look went with the person")
		}
	})
}

// tiles are the bundle and the hashes of a small log.
func (w *world) tiles(size uint64) [][]byte {
	w.t.Helper()
	if size > 256 {
		w.t.Fatal("more than one tile")
	}
	tiles, err := w.store.Tiles(w.t.Context(), 1, []storage.TileKey{{Level: storage.EntriesLevel}, {Level: 0}})
	must(w.t, err)
	return tiles
}
