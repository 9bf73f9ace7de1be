package postgres

import (
	"slices"
	"strings"
	"testing"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/testx/pg"
	"github.com/jackc/pgx/v5"
)

// bookkeeping is not Citus: it has the names and parameters of what we call
// and read of it, and notes how it was called. It shows that the statements
// are sent once each, in an order in which what others refer to comes first;
// that Citus takes them is for a cluster to show.
const bookkeeping = `
CREATE TABLE pg_dist_partition (logicalrelid regclass PRIMARY KEY, partmethod "char", partkey text, at serial);
CREATE TABLE pg_dist_node (groupid int);
CREATE FUNCTION column_to_column_name(regclass, text) RETURNS text LANGUAGE sql AS 'SELECT $2';
CREATE FUNCTION create_distributed_table(table_name regclass, distribution_column text, distribution_type text DEFAULT 'hash',
	colocate_with text DEFAULT 'default', shard_count int DEFAULT NULL) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
	IF colocate_with NOT IN ('none') AND NOT EXISTS (SELECT 1 FROM pg_dist_partition WHERE logicalrelid = colocate_with::regclass) THEN
		RAISE 'relation % is not distributed', colocate_with; END IF;
	IF EXISTS (SELECT 1 FROM pg_constraint WHERE contype = 'f' AND conrelid = table_name
		AND confrelid NOT IN (SELECT logicalrelid FROM pg_dist_partition)) THEN
		RAISE '% refers to a table that is not distributed', table_name; END IF;
	INSERT INTO pg_dist_partition VALUES (table_name, 'h', distribution_column); END $$;
CREATE FUNCTION create_reference_table(table_name regclass) RETURNS void LANGUAGE sql AS
	$$ INSERT INTO pg_dist_partition VALUES (table_name, 'n', NULL) $$;`

func exec(t *testing.T, url, query string) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	if _, err := c.Exec(t.Context(), query); err != nil {
		t.Fatal(err)
	}
}

// TestDistribute: each table is spread once, as declared; what was killed in
// between is carried on; what is spread otherwise is left alone, and said.
func TestDistribute(t *testing.T) {
	for of, want := range map[Of]string{Data: "data: item distributed by subject_id", Keys: "keys: subject_key distributed by subject_id"} {
		url := pg.Database(t)
		exec(t, url, bookkeeping)
		first, err := Migrate(t.Context(), url, of, Migration{Citus: true})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(first, want) || !strings.Contains(first[len(first)-1], "citus_set_coordinator_host") {
			t.Errorf("%q", first)
		}
		exec(t, url, `INSERT INTO pg_dist_node VALUES (0)`)
		again, err := Migrate(t.Context(), url, of, Migration{Citus: true})
		if err != nil || len(again) != len(first)-1 || slices.ContainsFunc(again, func(s string) bool { return strings.Contains(s, "distributed by") }) {
			t.Errorf("again: %q, %v", again, err)
		}
		var spread, all int
		c, err := pgx.Connect(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close(t.Context())
		if err := c.QueryRow(t.Context(), `SELECT count(*) FROM pg_dist_partition`).Scan(&spread); err != nil {
			t.Fatal(err)
		}
		for _, table := range tables[string(of)] {
			if table.Spread != local {
				all++
			}
		}
		if spread != all || len(Distribution(of)) != all {
			t.Errorf("%s: %d tables are spread and %d statements listed; want %d", of, spread, len(Distribution(of)), all)
		}
		exec(t, url, `UPDATE pg_dist_partition SET partkey = 'version' WHERE logicalrelid = '`+tables[string(of)][0].Name+`'::regclass`)
		if _, err := Migrate(t.Context(), url, of, Migration{Citus: true}); abide.ErrorDetail(err) != "distributed_otherwise" {
			t.Errorf("spread otherwise: %v", err)
		}
	}
}

// TestCitusMissing: nothing is changed, and it says what to do.
func TestCitusMissing(t *testing.T) {
	url := pg.Database(t)
	_, err := Migrate(t.Context(), url, Data, Migration{Citus: true})
	if abide.ErrorDetail(err) != "no_citus" {
		t.Fatalf("error is %v; want no_citus", err)
	}
	if cat := readCatalogue(t, url); len(cat.tables) != 0 {
		t.Errorf("%d tables were made all the same", len(cat.tables))
	}
}

// TestLooksAreIndexedOnShards: where rows lie on several servers, each look
// commits by itself. Killed before the batch was marked, it is done again.
func TestLooksAreIndexedOnShards(t *testing.T) {
	s := open(t, pg.Database(t), Options{})
	s.d.sharded = true
	b := &storage.SpoolBatch{Node: "n", Batch: 1}
	var rows []storage.LookRow
	for n := range byte(5) {
		l := storage.Look{Subject: abide.SubjectID{15: n%2 + 1}, Kind: "looked", Payload: []byte{n}}
		b.Looks = append(b.Looks, l)
		rows = append(rows, storage.LookRow{Key: storage.LookKey{Node: "n", Batch: 1, Pos: uint32(n)}, Look: l})
	}
	if err := s.Spool(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	exec(t, s.d.pool.Config().ConnString(), `INSERT INTO look (subject_id, node, batch, pos, at, kind, payload, commitment)
		VALUES ('00000000-0000-0000-0000-000000000001', 'n', 1, 0, `+"(SELECT at FROM spool)"+`, 'looked', '\x00', decode(repeat('00', 32), 'hex'))`)
	for range 2 {
		if err := s.IndexLooks(t.Context(), "n", 1, rows); err != nil {
			t.Fatal(err)
		}
	}
	for n, want := range map[byte]int{1: 3, 2: 2} {
		got, err := s.LooksOf(t.Context(), abide.SubjectID{15: n}, storage.LookKey{}, 10)
		if err != nil || len(got) != want {
			t.Errorf("subject %d has %d looks, %v; want %d", n, len(got), err, want)
		}
	}
	waiting, err := s.SpoolBatches(t.Context(), 10)
	if err != nil || len(waiting) != 0 {
		t.Errorf("%d batches wait, %v", len(waiting), err)
	}
}
