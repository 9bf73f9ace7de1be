package postgres

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
)

// node is a node of a plan that was carried out.
type node struct {
	Type    string  `json:"Node Type"`
	Table   string  `json:"Relation Name"`
	Rows    float64 `json:"Actual Rows"`
	Loops   float64 `json:"Actual Loops"`
	Removed float64 `json:"Rows Removed by Filter"`
	Recheck float64 `json:"Rows Removed by Index Recheck"`
	Plans   []node  `json:"Plans"`
}

// read is how many rows the scans of a plan fetched.
func (n *node) read() float64 {
	sum := 0.0
	if n.Table != "" {
		sum = (n.Rows + n.Removed + n.Recheck) * n.Loops
	}
	for i := range n.Plans {
		sum += n.Plans[i].read()
	}
	return sum
}

func (n *node) has(kind string) bool {
	if strings.Contains(n.Type, kind) {
		return true
	}
	for i := range n.Plans {
		if n.Plans[i].has(kind) {
			return true
		}
	}
	return false
}

// fillDue makes so many people with five items each, and something due of 100
// of them, two items of each.
const fillDue = `
WITH people AS (INSERT INTO subject (subject_id, kind, status, version, next_due_at, entry_n, consent_n, created_at)
	SELECT md5('s' || i)::uuid, 'person', 'active', 1, CASE WHEN i <= 100 THEN 1000 + i / 50 ELSE 1000000 + i END, 1, 0, 1
	FROM generate_series(1, $1::bigint) AS i RETURNING subject_id, next_due_at)
INSERT INTO item (subject_id, category, item_id, version, compartment, sealed, due_at)
SELECT subject_id, 'person.email', md5(subject_id::text || n)::uuid, 1, 1, '\x00', CASE WHEN n <= 2 THEN next_due_at ELSE 2000000 + n END
FROM people, generate_series(1, 5) AS n`

// TestPlansOfRetention carries out what a sweep asks among some people and
// among three times as many, of whom as many are due, and counts the rows that
// the scans fetch: the same, and no more than those that are due.
func TestPlansOfRetention(t *testing.T) {
	const due = int64(5000)
	read := map[string]map[int64]float64{}
	for _, people := range []int64{10_000, 30_000} {
		conn, err := pgx.Connect(t.Context(), migrated(t, Data))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close(t.Context()) }()
		if _, err := conn.Exec(t.Context(), fillDue, people); err != nil {
			t.Fatal(err)
		}
		for _, q := range []string{`VACUUM ANALYZE subject`, `VACUUM ANALYZE item`} {
			if _, err := conn.Exec(t.Context(), q); err != nil {
				t.Fatal(err)
			}
		}
		nobody := id(storage.Due{}.Subject)
		load, args := loadQuery(someone(t, conn), storage.Want{DueBy: storage.FromMicros(due)})
		for _, c := range []struct {
			name, query string
			args        []any
			most        float64 // rows that its scans may fetch
		}{
			{"who is due", dueSubjects, []any{int64(-1), nobody, due, 500}, 100},
			{"a page within a tie", dueSubjects, []any{int64(1001), nobody, due, 10}, 60},
			{"what is due of one", load, args, 1 + 2 + 1},
			{"the forecast in items", dueCounts, []any{due}, 100 + 200},
			{"the forecast in people", duePeople, []any{due}, 100 + 200},
		} {
			var raw []byte
			if err := conn.QueryRow(t.Context(), `EXPLAIN (ANALYZE, FORMAT JSON) `+c.query, c.args...).Scan(&raw); err != nil {
				t.Fatal(c.name, err)
			}
			var plans []struct{ Plan node }
			if err := json.Unmarshal(raw, &plans); err != nil {
				t.Fatal(err)
			}
			plan := plans[0].Plan
			if read[c.name] == nil {
				read[c.name] = map[int64]float64{}
			}
			read[c.name][people] = plan.read()
			if n := plan.read(); plan.has("Seq Scan") || n > c.most || n == 0 {
				t.Errorf("%s: among %d people it fetches %v rows, want at most %v and no scan of a table: %s", c.name, people, n, c.most, raw)
			}
		}
	}
	for name, n := range read {
		if n[10_000] != n[30_000] {
			t.Errorf("%s: rows fetched among so many people: %v; want the same", name, n)
		}
	}
	t.Logf("rows fetched: %v", read)
}

// someone is one of whom something is due.
func someone(t *testing.T, conn *pgx.Conn) abide.SubjectID {
	t.Helper()
	var one [16]byte
	if err := conn.QueryRow(t.Context(), `SELECT subject_id FROM subject ORDER BY next_due_at LIMIT 1`).Scan(&one); err != nil {
		t.Fatal(err)
	}
	return one
}
