package engine_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	_ "modernc.org/sqlite" // to edit files behind the store's back

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/engine"
	"github.com/abide-privacy/abide/internal/restore"
	"github.com/abide-privacy/abide/internal/testx/pg"
)

// editable are the engines whose rows a test edits behind their back. copied
// makes a copy of a store that nobody has open.
var editable = map[string]func(t *testing.T) (open stores, copied func(t *testing.T) (stores, editor)){
	"sqlite": func(t *testing.T) (stores, func(t *testing.T) (stores, editor)) {
		dir := t.TempDir()
		return sqliteAt(dir), func(t *testing.T) (stores, editor) {
			to := t.TempDir()
			must(t, os.CopyFS(to, os.DirFS(dir)))
			return sqliteAt(to), sqliteEditor(to)
		}
	},
	"postgres": func(t *testing.T) (stores, func(t *testing.T) (stores, editor)) {
		data, keys := pg.Database(t), pg.Database(t)
		return postgresAt(data, keys), func(t *testing.T) (stores, editor) {
			d, k := pg.Copy(t, data), pg.Copy(t, keys)
			return postgresAt(d, k), postgresEditor(d, k)
		}
	},
}

// editor runs statements on the database of the data or of the keys.
type editor func(t *testing.T, keys bool, query string, args ...abide.SubjectID)

func sqliteEditor(dir string) editor {
	return func(t *testing.T, keys bool, query string, ids ...abide.SubjectID) {
		t.Helper()
		name := map[bool]string{false: "data.db", true: "keys.db"}[keys]
		db, err := sql.Open("sqlite", filepath.Join(dir, name))
		must(t, err)
		defer db.Close()
		db.SetMaxOpenConns(1)
		must2(db.ExecContext(t.Context(), `PRAGMA busy_timeout = 10000`))(t) // the store may be writing
		var args []any
		for _, id := range ids {
			args = append(args, id[:])
		}
		must2(db.ExecContext(t.Context(), strings.ReplaceAll(query, "$", "?"), args...))(t)
	}
}

func postgresEditor(data, keys string) editor {
	return func(t *testing.T, inKeys bool, query string, ids ...abide.SubjectID) {
		t.Helper()
		c, err := pgx.Connect(t.Context(), map[bool]string{false: data, true: keys}[inKeys])
		must(t, err)
		defer c.Close(context.WithoutCancel(t.Context()))
		var args []any
		for _, id := range ids {
			args = append(args, [16]byte(id))
		}
		must2(c.Exec(t.Context(), query, args...))(t)
	}
}

// checkup runs the doctor on the stores as they are, in a process of its own,
// and returns what it found.
func (w *world) checkup() []string {
	w.t.Helper()
	e, err := engine.Open(w.t.Context(), engine.Options{Store: w.store, Keys: w.keys, Keyring: w.ring, Clock: w.clock.now, Ledger: w.ledger, Blobs: w.blobs})
	must(w.t, err)
	defer e.Close(context.WithoutCancel(w.t.Context()))
	out, infos := []string{}, []string{}
	did, err := e.Doctor(w.t.Context(), admin, engine.Checkup{Found: func(a engine.Ailment) {
		if a.Info {
			infos = append(infos, a.Code)
			return
		}
		out = append(out, a.Code)
	}})
	must(w.t, err)
	if did.Infos != len(infos) {
		w.t.Fatalf("%d infos counted, %d told", did.Infos, len(infos))
	}
	if did.Ailments != len(out) {
		w.t.Fatalf("%d ailments counted, %d told", did.Ailments, len(out))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// household is two people with something in every table.
func (w *world) household() (a, b abide.SubjectID) {
	w.t.Helper()
	ctx := w.t.Context()
	a = w.full()
	b = w.person(engine.NewSubject{Reference: "u-9"})
	w.collect(b, "shop", items{"person.name": "Bo", "person.email": "bo@example.test"})
	w.collect(b, "shop", items{"person.phone": []string{"+85291234567", "+85291234568"}})
	must2(w.e.Collect(ctx, once(app, "k"), put(b, "shop", items{"person.orders": map[string]int{"n": 2}})))(w.t)
	w.consent(b, "give")
	w.clock.add(time.Minute)
	w.consent(b, "withdraw")
	must2(w.e.UpdateSubject(ctx, admin, b, engine.SubjectPatch{Whereabouts: ref(abide.Place("GB"))}))(w.t)
	must2(w.read(app, b, "provide", "person.name"))(w.t)
	must2(w.e.Collect(ctx, app, engine.Collect{Subject: a, Other: b, Service: "chat", Source: "chat", Items: put(a, "", items{"person.message": "hello"}).Items}))(w.t)
	gone := w.person(engine.NewSubject{})
	w.collect(gone, "shop", items{"person.name": "Cy"})
	must2(w.e.Erase(ctx, admin, gone))(w.t)
	w.purged(gone)
	_, _, err := w.e.SubjectLog(ctx, self(b), b, engine.Page{}) // looks are indexed
	must(w.t, err)
	return a, b
}

// Issue 3, item 5: an untouched store reports nothing; each way of tampering
// with rows is named by the doctor.
func TestDoctorNamesWhatWasEdited(t *testing.T) {
	for name, fresh := range editable {
		t.Run(name, func(t *testing.T) {
			open, copied := fresh(t)
			w := newWorld(t, open)
			a, b := w.household()
			if got := w.checkup(); len(got) > 0 {
				t.Fatalf("an untouched store reports %v", got)
			}
			w.shut()
			for _, c := range editsByHand {
				t.Run(c.name, func(t *testing.T) {
					var edit editor
					again := &world{t: t, ring: w.ring, clock: w.clock, place: w.place}
					again.open, edit = copied(t)
					for _, q := range c.edits {
						var ids []abide.SubjectID
						for name, id := range map[string]abide.SubjectID{"$a": a, "$b": b} {
							if strings.Contains(q, name) {
								ids = append(ids, id)
								q = strings.ReplaceAll(q, name, fmt.Sprintf("$%d", len(ids)))
							}
						}
						edit(t, c.keys, q, ids...)
					}
					got := again.reopened()
					for _, code := range strings.Fields(c.want) {
						if !slices.Contains(got, code) {
							t.Errorf("found %v, want %s among them", got, code)
						}
					}
				})
			}
		})
	}
}

// reopened is what the doctor says after the server was started again.
func (w *world) reopened() []string {
	w.t.Helper()
	var err error
	w.store, w.keys = w.open(w.t)
	w.ledger, err = restore.Open(w.place, w.ring.Store(), w.ring)
	must(w.t, err)
	defer w.shut()
	return w.checkup()
}

var editsByHand = []struct {
	name  string
	keys  bool
	edits []string // $a and $b are the ids
	want  string   // among what is found
}{
	{"values swapped between people", false, []string{
		`UPDATE item SET sealed = (SELECT sealed FROM item AS o WHERE o.subject_id = $a AND o.category = 'person.name') WHERE subject_id = $b AND category = 'person.name'`},
		"item_damaged"},
	{"values swapped between categories", false, []string{
		`UPDATE item SET sealed = (SELECT sealed FROM item AS o WHERE o.subject_id = $b AND o.category = 'person.email') WHERE subject_id = $b AND category = 'person.name'`},
		"item_damaged"},
	{"values swapped between rows", false, []string{
		`UPDATE item SET sealed = (SELECT sealed FROM item AS o WHERE o.subject_id = $b AND o.category = 'person.phone' ORDER BY item_id DESC LIMIT 1) WHERE subject_id = $b AND category = 'person.phone'`},
		"item_damaged"},
	{"a row moved to another person", false, []string{
		`UPDATE item SET subject_id = $a WHERE subject_id = $b AND category = 'person.phone'`},
		"item_damaged item_missing"},
	{"a value taken out", false, []string{`DELETE FROM item WHERE subject_id = $b AND category = 'person.name'`}, "item_missing"},
	{"an index of somebody else", false, []string{
		`UPDATE item SET index_value = (SELECT index_value FROM item AS o WHERE o.subject_id = $a AND o.category = 'person.email') WHERE subject_id = $b AND category = 'person.email'`},
		"index_damaged lookup_missing"},
	{"a look-up taken out", false, []string{`DELETE FROM lookup WHERE subject_id = $b AND category = 'person.email'`}, "lookup_missing"},
	{"keys swapped between people", true, []string{
		`UPDATE subject_key SET wrapped = (SELECT wrapped FROM subject_key AS o WHERE o.subject_id = $a AND o.compartment = subject_key.compartment) WHERE subject_id = $b`},
		"key_damaged answer_damaged"},
	{"keys swapped between compartments", true, []string{
		`UPDATE subject_key SET wrapped = (SELECT wrapped FROM subject_key AS o WHERE o.subject_id = $b AND o.compartment = 3) WHERE subject_id = $b AND compartment = 2`},
		"key_damaged"},
	{"a key taken out", true, []string{`DELETE FROM subject_key WHERE subject_id = $b AND compartment = 3`}, "key_missing"},
	{"a state of somebody else", false, []string{`UPDATE subject SET sealed = (SELECT sealed FROM subject AS o WHERE o.subject_id = $a) WHERE subject_id = $b`}, "state_damaged"},
	{"a version set back", false, []string{`UPDATE subject SET version = version - 1 WHERE subject_id = $b`}, "state_damaged state_rolled_back"},
	{"a kind changed", false, []string{`UPDATE subject SET kind = 'visitor' WHERE subject_id = $b`}, "state_damaged"},
	{"erased made active", false, []string{`UPDATE subject SET status = 'active' WHERE status = 'erased'`}, "key_missing"},
	{"active made erased", false, []string{`UPDATE subject SET status = 'erased' WHERE subject_id = $b`}, "certificate_damaged key_of_erased"},
	{"an event taken out", false, []string{`DELETE FROM consent_event WHERE subject_id = $b AND n = 2`}, "consent_damaged"},
	{"the last event taken out, and its number", false, []string{
		`DELETE FROM consent_event WHERE subject_id = $b AND n = 2`, `UPDATE subject SET consent_n = 1 WHERE subject_id = $b`}, "consent_state"},
	{"events swapped", false, []string{
		`UPDATE consent_event SET sealed = (SELECT sealed FROM consent_event AS o WHERE o.subject_id = $b AND o.n = 1) WHERE subject_id = $b AND n = 2`}, "consent_damaged"},
	{"a yes in the clear column", false, []string{`UPDATE consent_event SET action = 'given' WHERE subject_id = $b AND n = 2`}, "consent_damaged"},
	{"a yes in the index", false, []string{`UPDATE consent_index SET effect = 'given' WHERE subject_id = $b`}, "consent_index"},
	{"a fact moved", false, []string{`UPDATE fact SET at = at + 1000000 WHERE subject_id = $a`}, "fact_damaged"},
	{"a fact taken out", false, []string{`DELETE FROM fact WHERE subject_id = $a`}, "fact_damaged"},
	{"an entry taken out", false, []string{`DELETE FROM entry WHERE subject_id = $b AND n = 2`}, "entry_damaged"},
	{"the last entry taken out, and its number", false, []string{
		`DELETE FROM entry WHERE subject_id = $b AND n = (SELECT entry_n FROM subject WHERE subject_id = $b)`,
		`UPDATE subject SET entry_n = entry_n - 1 WHERE subject_id = $b`}, "state_rolled_back pending_damaged"},
	{"an entry of another kind", false, []string{`UPDATE entry SET kind = 'looked' WHERE subject_id = $b AND n = 1`}, "entry_damaged"},
	{"entries swapped", false, []string{
		`UPDATE entry SET payload = (SELECT payload FROM entry AS o WHERE o.subject_id = $b AND o.n = 1) WHERE subject_id = $b AND n = 2`}, "entry_damaged"},
	{"a commitment that waits", false, []string{
		`UPDATE pending SET commitment = (SELECT commitment FROM pending AS o WHERE o.subject_id = $b AND o.n = 1) WHERE subject_id = $b AND n = 2`}, "pending_damaged"},
	{"a look of somebody else", false, []string{`UPDATE look SET subject_id = $a WHERE subject_id = $b`}, "look_damaged"},
	{"a look taken out", false, []string{`DELETE FROM look WHERE subject_id = $b`}, "look_damaged"},
	{"a look at another time", false, []string{`UPDATE look SET at = at + 1 WHERE subject_id = $b`}, "look_damaged"},
	{"an event at another time", false, []string{`UPDATE consent_event SET at = at - 1 WHERE subject_id = $b AND n = 2`}, "consent_damaged"},
	{"terms taken out", false, []string{`DELETE FROM terms`}, "terms_damaged"},
	{"an answer of another call", false, []string{`UPDATE idempotency SET key = digest WHERE subject_id = $b`}, "answer_damaged"},
	{"a certificate of nobody", false, []string{`UPDATE erasure_job SET certificate = NULL`}, "certificate_damaged"},
	{"a policy edited", false, []string{`UPDATE policy_version SET version = 'sha256:00'`}, "policy_damaged"},
	{"terms edited", false, []string{`UPDATE terms SET canonical = (SELECT canonical FROM terms AS o ORDER BY digest LIMIT 1)`}, "terms_damaged"},
	{"a row of nobody", false, []string{`INSERT INTO pending (subject_id, n, commitment) SELECT item_id, 1, commitment FROM pending, item LIMIT 1`}, "stray_row"},
}
