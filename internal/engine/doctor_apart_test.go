package engine_test

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/engine"
)

// What lies apart from people's rows: each kind of damage is named by its code
// and by no other, and the untouched store reports nothing.
func TestDoctorNamesWhatLiesApart(t *testing.T) {
	for name, fresh := range editable {
		t.Run(name, func(t *testing.T) {
			open, copied := fresh(t)
			w := newWorld(t, open)
			_, b := w.household()
			must3(w.e.CreateToken(t.Context(), admin, engine.NewToken{Name: "till", Actor: abide.Actor{Kind: abide.ActorService, Name: "till", Purposes: []abide.Purpose{"provide"}}}))(t)
			must(t, w.e.PutRegister(t.Context(), admin, "contracts", "print", []byte(`{"recipient":"couriers","signed":"2026-01-01T00:00:00Z"}`)))
			for range 3 { // batches of one node, each by itself
				must2(w.read(app, b, "provide", "person.name"))(t)
			}
			if got := w.checkup(); len(got) > 0 {
				t.Fatalf("an untouched store reports %v", got)
			}
			w.shut()
			for _, c := range []struct{ want, edit string }{
				{"lookup_dangling", `INSERT INTO lookup SELECT index_value, index_key || 'x', category, holder, subject_id, NULL, claimed_at FROM lookup WHERE subject_id = $1 AND category = 'person.email'`},
				{"lookup_dangling", `INSERT INTO lookup SELECT index_value, index_key, 'person.phone', holder, subject_id, NULL, claimed_at FROM lookup WHERE subject_id = $1 AND category = 'person.email'`},
				{"spool_gap", `DELETE FROM spool WHERE batch = 1 AND node IN (SELECT node FROM spool WHERE batch = 2)`},
				{"token_damaged", `UPDATE token SET name = 'other'`},
				{"register_damaged", `UPDATE record SET name = 'other' WHERE kind = 'contract'`},
				{"policy_damaged", `UPDATE policy_version SET source = NULL`},
				{"policy_damaged", `UPDATE policy_version SET published_at = published_at + 1`},
			} {
				t.Run(c.want, func(t *testing.T) {
					var edit editor
					again := &world{t: t, ring: w.ring, clock: w.clock, place: w.place}
					again.open, edit = copied(t)
					var ids []abide.SubjectID
					if strings.Contains(c.edit, "$1") {
						ids = append(ids, b)
					}
					edit(t, false, c.edit, ids...)
					if got := again.reopened(); !slices.Equal(got, []string{c.want}) {
						t.Errorf("found %v, want %s alone", got, c.want)
					}
				})
			}
		})
	}
}

// A look-up that is not confirmed is housekeeping's, and so are keys of nobody
// for a while.
func TestDoctorWaitsForHousekeeping(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		w.faults.distributed = true // elsewhere look-ups commit with their change
		id := w.person(engine.NewSubject{})
		w.cutOff("commit", func() error {
			_, err := w.e.Collect(t.Context(), app, put(id, "shop", items{"person.email": "never@example.test"}))
			return err
		})
		w.orphan()
		node := w.beside()
		ailments := func(wantInfos int, want ...string) {
			t.Helper()
			var got []string
			did := val(node.Doctor(t.Context(), admin, engine.Checkup{Found: func(a engine.Ailment) {
				if !a.Info {
					got = append(got, a.Code)
				}
			}}))(t)
			if did.Infos != wantInfos || !slices.Equal(got, want) {
				t.Fatalf("found %v and %d infos, want %v and %d", got, did.Infos, want, wantInfos)
			}
		}
		ailments(0)
		w.clock.add(2 * time.Hour)
		ailments(1)
		w.clock.add(8 * day)
		ailments(1)
		w.clock.add(day)
		ailments(0, "key_orphan")
	})
}

// Files: one that is gone, one whose bytes were edited, one that is nobody's.
func TestDoctorNamesUploads(t *testing.T) {
	onEvery(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		must3(w.e.Publish(ctx, admin, withFiles(t)))(t)
		id, other := w.person(engine.NewSubject{}), w.person(engine.NewSubject{})
		content := bytes.Repeat([]byte("sheet "), 50_000) // of several segments
		w.upload(id, "person.papers", content)
		w.upload(other, "person.papers", []byte("short"))
		gone := w.person(engine.NewSubject{})
		w.upload(gone, "person.papers", content)
		must2(w.e.Erase(ctx, admin, gone))(t)
		w.purged(gone)
		check := func(want ...string) {
			t.Helper()
			if got := w.checkup(); !slices.Equal(got, want) {
				t.Fatalf("found %q, want %q", got, want)
			}
		}
		check([]string{}...)
		var name string
		must(t, w.blobs.List(ctx, "b/", func(n string, _ time.Time) error {
			if strings.Contains(n, id.String()) {
				name = n
			}
			return nil
		}))
		size := val(w.blobs.Size(ctx, name))(t)
		r := val(w.blobs.Range(ctx, name, 0, size))(t)
		sealed := val(io.ReadAll(r))(t)
		must(t, r.Close())
		restore := func(b []byte) { must(t, w.blobs.Put(ctx, name, bytes.NewReader(b))) }
		for _, at := range []int{0, len(sealed) / 2, len(sealed) - 1} {
			edited := bytes.Clone(sealed)
			edited[at] ^= 1
			restore(edited)
			check("upload_damaged")
		}
		restore(sealed[:len(sealed)-1])
		check("upload_damaged")
		must(t, w.blobs.Delete(ctx, name))
		check("upload_missing")
		restore(sealed)
		check([]string{}...)
		stray := fmt.Sprintf("b/%02x/%s/00112233445566778899aabbccddeeff", id[15], id)
		must(t, w.blobs.Put(ctx, stray, strings.NewReader("x")))
		check("upload_nobodys")
		// Marked, it is the collector's, who leaves it for a day.
		must(t, w.blobs.Put(ctx, "p/"+strings.TrimPrefix(stray, "b/"), strings.NewReader(fmt.Sprint(w.clock.now().UnixMicro()))))
		check([]string{}...)
		must(t, w.blobs.Put(ctx, "b/foreign", strings.NewReader("x")))
		check("upload_nobodys")
	})
}
