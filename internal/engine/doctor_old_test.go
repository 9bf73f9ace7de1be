package engine_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/engine"
	"github.com/abide-privacy/abide/internal/storage"
)

// Issue 3, item 5: old rows put back with their versions open, so no read can
// tell; the doctor compares them with what was logged last.
func TestDoctorNamesOldRows(t *testing.T) {
	for name, fresh := range editable {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			open, copied := fresh(t)
			w := newWorld(t, open)
			_, b := w.household()
			gone := w.person(engine.NewSubject{})
			w.shut()
			// What the tables held before, as somebody with a backup knows it.
			open, edit := copied(t)
			edit(t, false, `CREATE TABLE old_item AS SELECT * FROM item`)
			edit(t, false, `CREATE TABLE old_subject AS SELECT * FROM subject`)
			edit(t, true, `CREATE TABLE old_key AS SELECT * FROM subject_key`)
			w = &world{t: t, ring: w.ring, clock: w.clock, place: w.place, open: open, faults: &faults{}}
			w.start()
			w.clock.add(time.Hour)
			w.collect(b, "shop", items{"person.email": "new@example.test"})
			w.consent(b, "give")
			must2(w.e.Erase(ctx, admin, gone))(t)
			w.purged(gone)
			if got := w.checkup(); len(got) > 0 {
				t.Fatalf("an untouched store reports %v", got)
			}
			for _, c := range []struct {
				name, want string
				keys       bool
				id         abide.SubjectID
				put, back  string // what is taken out first, what is put back
			}{
				{"a value", "item_rolled_back", false, b,
					`DELETE FROM item WHERE subject_id = $1 AND category = 'person.email'`,
					`INSERT INTO item SELECT * FROM old_item WHERE subject_id = $1 AND category = 'person.email'`},
				{"a state, its number of entries aside", "state_rolled_back", false, b,
					"",
					`UPDATE subject SET version = (SELECT version FROM old_subject WHERE subject_id = $1), sealed = (SELECT sealed FROM old_subject WHERE subject_id = $1) WHERE subject_id = $1`},
				{"a whole subject", "state_rolled_back", false, b,
					"",
					`UPDATE subject SET version = (SELECT version FROM old_subject WHERE subject_id = $1), sealed = (SELECT sealed FROM old_subject WHERE subject_id = $1),
						entry_n = (SELECT entry_n FROM old_subject WHERE subject_id = $1), consent_n = (SELECT consent_n FROM old_subject WHERE subject_id = $1) WHERE subject_id = $1`},
				{"the keys of an erased person", "key_of_erased", true, gone,
					`DELETE FROM subject_key WHERE subject_id = $1`,
					`INSERT INTO subject_key SELECT * FROM old_key WHERE subject_id = $1`},
			} {
				t.Run(c.name, func(t *testing.T) {
					undo := w.saved(t, edit, c.keys, c.id)
					if c.put != "" {
						edit(t, c.keys, c.put, c.id)
					}
					edit(t, c.keys, c.back, c.id)
					if got := w.checkup(); !slices.Contains(got, c.want) {
						t.Errorf("found %v, want %s among them", got, c.want)
					}
					undo()
				})
			}
		})
	}
}

// saved puts the rows of a person back as they are now.
func (w *world) saved(t *testing.T, edit editor, keys bool, id abide.SubjectID) func() {
	t.Helper()
	if keys {
		return func() { edit(t, true, `DELETE FROM subject_key WHERE subject_id = $1`, id) }
	}
	edit(t, false, `CREATE TABLE saved_item AS SELECT * FROM item`)
	edit(t, false, `CREATE TABLE saved_subject AS SELECT * FROM subject`)
	return func() {
		edit(t, false, `DELETE FROM item WHERE subject_id = $1`, id)
		edit(t, false, `UPDATE subject SET version = (SELECT version FROM saved_subject WHERE subject_id = $1), sealed = (SELECT sealed FROM saved_subject WHERE subject_id = $1),
			entry_n = (SELECT entry_n FROM saved_subject WHERE subject_id = $1), consent_n = (SELECT consent_n FROM saved_subject WHERE subject_id = $1) WHERE subject_id = $1`, id)
		edit(t, false, `INSERT INTO item SELECT * FROM saved_item WHERE subject_id = $1`, id)
		edit(t, false, `DROP TABLE saved_item`)
		edit(t, false, `DROP TABLE saved_subject`)
	}
}

// Bytes edited in the files of a store, then restarted: the read is refused, and
// the doctor names the row.
func TestEditedOnDisk(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, sqliteAt(dir))
	_, b := w.household()
	loaded := val(w.store.Load(t.Context(), b, storage.Want{AllItems: true}))(t)
	keys := val(w.keys.Get(t.Context(), b))(t)
	w.shut() // the write-ahead log is in the file now
	name := loaded.Items[slices.IndexFunc(loaded.Items, func(it storage.Item) bool { return it.Category == "person.name" })]
	for _, c := range []struct {
		what, file string
		bytes      []byte
		code       string
	}{
		{"a value", "data.db", name.Sealed, "item_damaged"},
		{"a state", "data.db", loaded.Subject.Sealed, "state_damaged"},
		{"a key", "keys.db", keys[0].Wrapped, "key_damaged"},
	} {
		t.Run(c.what, func(t *testing.T) {
			to := t.TempDir()
			must(t, os.CopyFS(to, os.DirFS(dir)))
			path := filepath.Join(to, c.file)
			raw := val(os.ReadFile(path))(t)
			at := bytes.LastIndex(raw, c.bytes)
			if at < 0 {
				t.Fatal("the bytes are not in the file")
			}
			raw[at+len(c.bytes)-1] ^= 1
			must(t, os.WriteFile(path, raw, 0o600))
			again := &world{t: t, ring: w.ring, clock: w.clock, place: w.place, open: sqliteAt(to), faults: &faults{}}
			again.start()
			t.Cleanup(again.shut)
			_, err := again.read(app, b, "provide", "person.name")
			wantError(t, err, abide.CodeInternal, c.code)
			if got := again.checkup(); !slices.Contains(got, c.code) {
				t.Errorf("found %v, want %s among them", got, c.code)
			}
		})
	}
}

// The doctor reports nothing after a restore either.
func TestDoctorAfterRestore(t *testing.T) {
	onEveryDeployment(t, func(t *testing.T, w *world, backup func(t *testing.T) func(t *testing.T) stores) {
		a, b := w.household()
		copied := backup(t)
		w.clock.add(time.Hour)
		w.collect(b, "shop", items{"person.email": "new@example.test"})
		w.consent(b, "give")
		must2(w.e.UpdateSubject(t.Context(), admin, b, engine.SubjectPatch{Restricted: ref(true)}))(t)
		must(t, w.e.RecordEvent(t.Context(), app, b, "order.closed", "7", w.clock.now()))
		must2(w.e.Erase(t.Context(), admin, a))(t)
		w.restoreFrom(copied)
		w.purged(a)
		if got := w.checkup(); len(got) > 0 {
			t.Fatalf("a restored store reports %v", got)
		}
	})
}
