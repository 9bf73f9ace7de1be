package postgres

import (
	"errors"
	"testing"
	"time"

	abide "github.com/abide-privacy/abide"
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

// TestPageOfLookupsIsOneTransaction: claimed or confirmed, a page costs
// one sync on one server. On a distributed database each look-up has a
// transaction of its own on its shard.
func TestPageOfLookupsIsOneTransaction(t *testing.T) {
	const page = 50
	s := open(t, pg.Database(t), Options{MaxConns: 1})
	var claims []storage.Lookup
	for i := range byte(page) {
		claims = append(claims, storage.Lookup{Category: "person.email", Index: storage.IndexValue{Key: "k", Value: []byte{page - i}},
			Subject: abide.SubjectID{15: i}, Unique: i%2 == 0, Expires: time.Unix(60, 0)})
	}
	ask := func(query string) int64 {
		t.Helper()
		n, err := first(list(t.Context(), s.d, func(s *scanner, v *int64) { num(s, v) }, query))
		if err != nil {
			t.Fatal(err)
		}
		return *n
	}
	transactions := func() int64 { return ask(`SELECT count(DISTINCT xmin::text) FROM lookup`) }
	for _, c := range []struct {
		sharded bool
		want    int64
	}{{true, page}, {false, 1}} {
		s.d.sharded = c.sharded
		if err := s.Claim(t.Context(), claims, time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
		if n := transactions(); n != c.want {
			t.Errorf("sharded: %v: claimed in %d transactions, want %d", c.sharded, n, c.want)
		}
		if err := s.Confirm(t.Context(), claims); err != nil {
			t.Fatal(err)
		}
		if n := transactions(); n != c.want {
			t.Errorf("sharded: %v: confirmed in %d transactions, want %d", c.sharded, n, c.want)
		}
		if n := ask(`SELECT count(*) FROM lookup WHERE expires_at IS NULL`); n != page {
			t.Errorf("sharded: %v: %d are confirmed, want %d", c.sharded, n, page)
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
