package engine_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/audit"
	"github.com/abide-privacy/abide/internal/engine"
	"github.com/abide-privacy/abide/internal/storage"
)

// clerk is staff, with a purpose.
var clerk = engine.Call{Actor: abide.Actor{Kind: abide.ActorStaff, Name: "sam", Role: "support", Purposes: []abide.Purpose{"provide"}}, Token: "sam"}

// auditor may look at the log of everybody and at nothing else.
var auditor = engine.Call{Actor: abide.Actor{Kind: abide.ActorStaff, Name: "ada", Auditor: true}, Token: "ada"}

// exported pages through an export and writes it as a file.
func (w *world) exported(h audit.ExportHeader, page func(after string) (engine.LogExport, error)) []byte {
	w.t.Helper()
	var file bytes.Buffer
	x, err := audit.NewExport(&file, h)
	must(w.t, err)
	for after, more := "", true; more; {
		got, err := page(after)
		must(w.t, err)
		for i := range got.Entries {
			must(w.t, x.Add(&got.Entries[i]))
		}
		x.Wait(got.Waiting, got.Others)
		after, more = got.Next, got.Next != ""
	}
	_, err = x.End()
	must(w.t, err)
	return file.Bytes()
}

func (w *world) exportedPerson(c engine.Call, id abide.SubjectID) []byte {
	w.t.Helper()
	return w.exported(audit.ExportHeader{Origin: "shop.example/log", Subject: id}, func(after string) (engine.LogExport, error) {
		return w.e.ExportSubjectLog(w.t.Context(), c, id, 0, engine.Page{After: after, Limit: 3})
	})
}

func (w *world) exportedRange(to uint64) []byte {
	w.t.Helper()
	return w.exported(audit.ExportHeader{Origin: "shop.example/log", To: int64(to)}, func(after string) (engine.LogExport, error) {
		from, _ := strconv.ParseUint(after, 10, 64)
		return w.e.ExportLog(w.t.Context(), auditor, engine.LogRange{From: from, To: to, Limit: 3})
	})
}

// verifiedExport is what package audit, alone, reads out of an export.
func (w *world) verifiedExport(file []byte) (entries []*audit.VerifiedEntry, end *audit.ExportEnd) {
	w.t.Helper()
	_, end, err := audit.VerifyExport(bytes.NewReader(file), w.trusted().Log, func(v *audit.VerifiedEntry) error {
		entries = append(entries, v)
		return nil
	}, func(f *audit.Fault) { w.t.Errorf("%v", f) })
	must(w.t, err)
	return entries, end
}

// TestLogExport: a person and an auditor get the person's entries, which verify
// offline; who exported is on record; others get nothing.
func TestLogExport(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		id, other := w.person(engine.NewSubject{}), w.person(engine.NewSubject{})
		w.collect(id, "shop", items{"person.name": "Ann", "person.email": "ann@example.test"})
		w.consent(id, "give")
		_, err := w.read(app, id, "provide", "person.name")
		must(t, err)
		_, err = w.e.ExportSubjectLog(ctx, self(id), id, 0, engine.Page{})
		wantError(t, err, abide.CodeConflict, "not_in_log_yet")
		seq := w.sequencer()
		must(t, seq.Step(ctx))

		entries, end := w.verifiedExport(w.exportedPerson(self(id), id))
		if end.Waiting == 0 { // the record of the export itself
			t.Error("nobody recorded the export")
		}
		kinds := map[audit.Kind]int{}
		for _, v := range entries {
			kinds[v.Envelope.Kind]++
			if v.Part == nil || v.Part.Subject != id {
				t.Errorf("%+v is of another", v.Part)
			}
		}
		if kinds[audit.Created] != 1 || kinds[audit.Collected] != 1 || kinds[audit.Consented] != 1 || kinds[audit.Looked] != 1 {
			t.Errorf("exported %v", kinds)
		}
		must(t, seq.Step(ctx))
		entries, _ = w.verifiedExport(w.exportedPerson(auditor, id))
		if last := entries[len(entries)-1].Envelope; last.Kind != audit.Exported || last.Act != "export log" || last.Actor.Name != "" {
			t.Errorf("the person's own export is recorded as %+v", last)
		}
		must(t, seq.Step(ctx))
		entries, _ = w.verifiedExport(w.exportedPerson(self(id), id))
		if last := entries[len(entries)-1].Envelope; last.Kind != audit.StaffAccess || last.Act != "export log" || last.Actor.Name != "ada" {
			t.Errorf("the auditor's export is recorded as %+v", last)
		}

		head, err := w.store.Checkpoint(ctx, 1)
		must(t, err)
		entries, end = w.verifiedExport(w.exportedRange(head.Size))
		if uint64(end.Entries) != head.Size {
			t.Errorf("%d of %d entries", end.Entries, head.Size)
		}
		for _, v := range entries {
			if v.Envelope == nil || v.Part != nil {
				t.Errorf("entry %d: envelope %v, part %v: a stretch shows what was done, and nobody", v.Index, v.Envelope, v.Part)
			}
		}
		must(t, seq.Step(ctx))
		now, err := w.store.Checkpoint(ctx, 1)
		must(t, err)
		entries, _ = w.verifiedExport(w.exportedRange(now.Size))
		if !slices.ContainsFunc(entries, func(v *audit.VerifiedEntry) bool {
			return v.Envelope.Kind == audit.StaffAccess && strings.HasPrefix(v.Envelope.Object, "entries 0 to 3 of shop.example/log")
		}) {
			t.Error("the export of a stretch is not recorded")
		}

		for name, err := range map[string]error{
			"another person":      second(w.e.ExportSubjectLog(ctx, self(other), id, 0, engine.Page{})),
			"a service":           second(w.e.ExportSubjectLog(ctx, app, id, 0, engine.Page{})),
			"staff":               second(w.e.ExportSubjectLog(ctx, clerk, id, 0, engine.Page{})),
			"a person, a stretch": second(w.e.ExportLog(ctx, self(id), engine.LogRange{})),
			"staff, a stretch":    second(w.e.ExportLog(ctx, clerk, engine.LogRange{})),
		} {
			if err == nil {
				t.Errorf("%s got an export", name)
			}
		}
		_, err = w.read(auditor, id, "provide", "person.name")
		wantReason(t, err, abide.DenyActorPurpose)
		_, err = w.e.ExportLog(ctx, auditor, engine.LogRange{From: 2, To: 1 << 40})
		wantError(t, err, abide.CodeInvalid, "bad_range")
		_, err = w.e.ExportLog(ctx, auditor, engine.LogRange{Log: 7})
		wantError(t, err, abide.CodeNotFound, "unknown_log")

		// No record, no export.
		w.faults.set(map[string]error{"spool": storage.ErrUnavailable}, nil)
		if _, err := w.e.ExportLog(ctx, auditor, engine.LogRange{}); err == nil {
			t.Error("exported without a record of it")
		}
		if _, err := w.e.ExportSubjectLog(ctx, auditor, id, 0, engine.Page{}); err == nil {
			t.Error("exported without a record of it")
		}
	})
}

func second[T any](_ T, err error) error { return err }

// TestLogAfterErasure: after an erasure the tree is unchanged and verifies,
// nothing personal can be read in it by anybody, and what staff did is still
// there for the auditor.
func TestLogAfterErasure(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		w.publish(edit(t, "service \"chat\" {", "role \"support\" {\n  purposes = [provide]\n  level = private\n  acts = [read]\n}\nservice \"chat\" {"))
		const value, why, wording = "CanaryAnn", "CanaryReason because I was curious", "CanaryWording may we?"
		id := w.person(engine.NewSubject{Reference: "CanaryReference"})
		w.collect(id, "shop", items{"person.name": value, "person.email": "canary@example.test", "person.card": "4111 1111 1111 1111"})
		_, err := w.e.WriteConsent(ctx, app, engine.ConsentWrite{Subject: id, Purpose: "newsletter", Action: "give",
			Evidence: abide.Evidence{Wording: wording, Note: "CanaryNote", Source: "form"}})
		must(t, err)
		_, err = w.e.ReadData(ctx, clerk, engine.Read{Subject: id, Purpose: "provide", Categories: []abide.Category{"person.card"}, Reason: why})
		must(t, err)
		seq := w.sequencer()
		must(t, seq.Step(ctx))
		before := w.exportedPerson(auditor, id)
		if entries, _ := w.verifiedExport(before); !statesReason(entries, why) || !bytes.Contains(opened(t, before), []byte("CanaryNote")) {
			t.Fatal("the test looks for what is not there before the erasure either")
		}
		must(t, seq.Step(ctx))
		head, err := w.store.Checkpoint(ctx, 1)
		must(t, err)
		tiles := w.tiles(head.Size)

		_, err = w.e.Erase(ctx, self(id), id)
		must(t, err)
		w.purged(id)
		must(t, seq.Step(ctx))
		for i, tile := range w.tiles(head.Size) {
			if !bytes.HasPrefix(tile, tiles[i]) {
				t.Errorf("tile %d changed with the erasure", i)
			}
		}
		now, err := w.store.Checkpoint(ctx, 1)
		must(t, err)
		person, stretch := w.exportedPerson(auditor, id), w.exportedRange(now.Size)
		for name, file := range map[string][]byte{"the person's export": person, "the stretch": stretch} {
			plain := append(opened(t, file), file...)
			for _, canary := range []string{"Canary", "canary@example.test", "4111", why} {
				if bytes.Contains(plain, []byte(canary)) {
					t.Errorf("%s after the erasure has %q", name, canary)
				}
			}
			entries, end := w.verifiedExport(file)
			looked := false
			for _, v := range entries {
				if v.Part != nil && v.Envelope.Kind != audit.ErasureIntent && v.Envelope.Kind != audit.Erased && v.Part.Reason+v.Part.Note+v.Part.Actor != "" {
					t.Errorf("%s: entry %d has a part: %+v", name, v.Index, v.Part)
				}
				e := v.Envelope
				looked = looked || e.Kind == audit.Looked && e.Actor.Name == clerk.Actor.Name && e.Purpose == "provide" && e.Effect == "permit"
			}
			if !looked {
				t.Errorf("%s of %d entries does not show that staff looked", name, end.Entries)
			}
		}
		// Nobody but an auditor gets that far, and no part of theirs opens.
		_, err = w.e.ExportSubjectLog(ctx, self(id), id, 0, engine.Page{})
		wantError(t, err, abide.CodeErased, "subject_erased")
		if entries, _ := w.verifiedExport(before); len(entries) == 0 {
			t.Error("an export of before does not verify any more")
		}
	})
}

func statesReason(entries []*audit.VerifiedEntry, why string) bool {
	for _, v := range entries {
		if v.Part != nil && v.Part.Reason == why {
			return true
		}
	}
	return false
}

// opened is all that an export carries, parts and envelopes taken out of base64.
func opened(t *testing.T, file []byte) []byte {
	t.Helper()
	var out []byte
	for line := range bytes.Lines(file) {
		var e audit.ExportedEntry
		if json.Unmarshal(line, &e) == nil {
			out = append(append(out, e.Part...), e.Envelope...)
		}
	}
	return out
}
