package postgres

import (
	"errors"
	"testing"

	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/testx/pg"
)

// TestPipelines: of several transactions in one pipeline each commits by
// itself, the first that fails ends it, and what follows the last commit is no
// part of the outcome.
func TestPipelines(t *testing.T) {
	s := open(t, pg.Database(t), Options{MaxConns: 1})
	put := func(b *batch, name string) {
		b.Queue(`INSERT INTO meta (name, value) VALUES ($1, $2)`, name, []byte("v"))
	}
	fail := func(b *batch) { b.Queue(`SELECT 1 / 0`) }
	for _, c := range []struct {
		what  string
		build func(b *batch)
		kept  []string
		fails bool
	}{
		{"both commit", func(b *batch) { put(b, "a"); put(b, "b"); b.next(); put(b, "c") }, []string{"a", "b", "c"}, false},
		{"the first fails", func(b *batch) { put(b, "d"); fail(b); b.next(); put(b, "e") }, nil, true},
		{"the second fails", func(b *batch) { put(b, "f"); b.next(); put(b, "g"); fail(b) }, []string{"f"}, true},
		{"the rest fails", func(b *batch) { put(b, "h"); b.after(); put(b, "i"); fail(b) }, []string{"h"}, false},
		{"the rest runs", func(b *batch) { put(b, "j"); b.after(); put(b, "k") }, []string{"j", "k"}, false},
		{"the transaction before the rest fails", func(b *batch) { put(b, "l"); fail(b); b.after(); put(b, "m") }, nil, true},
		{"a refusal says what it means", func(b *batch) {
			b.refusing(refusal{divisionByZero, storage.ErrTaken}, `SELECT 1 / 0`, nil)
			b.next()
			put(b, "n")
		}, nil, true},
	} {
		before := metaNames(t, s)
		err := s.d.write(t.Context(), c.build)
		if (err != nil) != c.fails || c.what == "a refusal says what it means" && !errors.Is(err, storage.ErrTaken) {
			t.Errorf("%s: %v", c.what, err)
		}
		after := metaNames(t, s)
		for _, name := range c.kept {
			if !after[name] {
				t.Errorf("%s: %s is not there", c.what, name)
			}
		}
		if len(after) != len(before)+len(c.kept) {
			t.Errorf("%s: %d rows are new; want %d", c.what, len(after)-len(before), len(c.kept))
		}
	}
}

// metaNames is the names in the table meta.
func metaNames(t *testing.T, s *Store) map[string]bool {
	t.Helper()
	rows, err := list(t.Context(), s.d, func(s *scanner, v *string) { text(s, v) }, `SELECT name FROM meta`)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]bool{}
	for _, n := range rows {
		out[n] = true
	}
	return out
}
