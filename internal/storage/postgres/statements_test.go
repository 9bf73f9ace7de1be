package postgres

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/abide-privacy/abide/internal/storage"
	"github.com/abide-privacy/abide/internal/storage/storagetest"
	"github.com/abide-privacy/abide/internal/testx/pg"
	"github.com/jackc/pgx/v5"
)

// listener collects the texts of all statements that connections send.
type listener struct {
	mu   sync.Mutex
	seen map[string]bool
}

func (l *listener) hear(query string) {
	l.mu.Lock()
	l.seen[strings.Join(strings.Fields(query), " ")] = true
	l.mu.Unlock()
}

func (l *listener) TraceQueryStart(ctx context.Context, _ *pgx.Conn, d pgx.TraceQueryStartData) context.Context {
	l.hear(d.SQL)
	return ctx
}

func (l *listener) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (l *listener) TraceBatchStart(ctx context.Context, _ *pgx.Conn, d pgx.TraceBatchStartData) context.Context {
	for _, q := range d.Batch.QueuedQueries {
		l.hear(q.SQL)
	}
	return ctx
}

func (l *listener) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}
func (l *listener) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData)     {}

// heard is every statement of the adapter that the conformance suite brings
// about, which is every method of it. Those that are sent past pgx's own
// layers, each with a Sync, are heard from the store itself.
var heard = sync.OnceValue(func() func(t *testing.T) []string {
	var once sync.Once
	var all []string
	return func(t *testing.T) []string {
		once.Do(func() {
			l := &listener{seen: map[string]bool{}}
			storagetest.Run(t, suite{l: l})
			t.Run("sharded", func(t *testing.T) {
				if ran := storagetest.RunSome(t, suite{l: l, sharded: true}, "lookups/"); len(ran) < 10 {
					t.Errorf("only %d cases about look-ups ran", len(ran))
				}
			})
			for _, q := range []string{heldByMany, insertClaim, confirmClaim, dropClaim, releaseClaim, insertLook, deletePending, markLogged, dropToken} {
				l.hear(q)
			}
			all = slices.Sorted(maps.Keys(l.seen))
		})
		return all
	}
})

// suite makes stores that a listener hears, on copies of one template. They
// take the database for a distributed one if sharded.
type suite struct {
	l       *listener
	sharded bool
}

var template = sync.OnceValue(func() func(t *testing.T) string {
	var once sync.Once
	var url string
	return func(t *testing.T) string {
		once.Do(func() {
			url = migrated(t, Data)
			if _, err := Migrate(t.Context(), url, Keys, Migration{}); err != nil {
				t.Fatal(err)
			}
		})
		return pg.Copy(t, url)
	}
})

func (s suite) Open(t *testing.T) storage.Store {
	store := open(t, template()(t), Options{tracer: s.l})
	store.d.sharded = s.sharded
	return store
}

func (s suite) OpenKeys(t *testing.T) storage.KeyStore {
	k, err := OpenKeysWith(t.Context(), template()(t), Options{tracer: s.l})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close() })
	return k
}

var (
	mentions = regexp.MustCompile(`(?i)\b(?:FROM|JOIN|INTO|UPDATE)\s+([a-z_]+)`)
	inserted = regexp.MustCompile(`(?i)INSERT INTO ([a-z_]+)(?: AS [a-z]+)? \(([^)]*)\) VALUES`)
	selects  = regexp.MustCompile(`(?i)\bSELECT\b`)
)

// declared finds a table in either database.
func declared(name string) *Table {
	for _, of := range tables {
		for i := range of {
			if of[i].Name == name {
				return &of[i]
			}
		}
	}
	return nil
}

// spread returns the tables of a statement that are sharded, with how often
// each is read or written.
func sharded(query string) map[string]int {
	found := map[string]int{}
	for _, m := range mentions.FindAllStringSubmatch(query, -1) {
		if t := declared(m[1]); t != nil && t.Column != "" {
			found[t.Name]++
		}
	}
	return found
}

// scans are the statements that may visit every shard, by how they begin. Each
// has a reason, and none is on the path of a read, a write or an erasure.
var scans = map[string]string{
	"SELECT subject_id, kind, status, version, next_due_at, sealed, law, entry_n, consent_n, created_at FROM subject WHERE subject_id > $1 ORDER": "pages through all subjects, for listings, doctor and rotation",
	"SELECT next_due_at, subject_id FROM subject WHERE next_due_at >=":                                                                            "the sweep finds who has something due, by an index, each shard its own",
	"SELECT i.category, count(*) FROM subject AS s JOIN item AS i":                                                                                "forecasts what goes, by the indexes of what is due, each shard its own",
	"SELECT count(*) FROM subject AS s WHERE s.next_due_at <= $1 AND EXISTS":                                                                      "the same, in people",
	"SELECT subject_id, purpose, terms, effect FROM consent_index WHERE purpose = $1":                                                             "pages through candidates: an audience is gathered from all shards",
	"SELECT subject_id, step, certificate, started_at FROM erasure_job WHERE step <> 'done'":                                                      "finds unfinished erasures, by an index that holds no others",
	"SELECT subject_id, n, commitment FROM pending WHERE (subject_id, n) > ($1, $2)":                                                              "the sequencer takes what waits, from all shards",
	"SELECT kind, status, count(*) FROM subject GROUP BY":                                                                                         "counts for the console, each shard its own",
	"SELECT node, batch, at, looks FROM spool WHERE looks IS NOT NULL":                                                                            "finds batches that wait to be indexed, of all nodes",
	"SELECT node, batch, leaves FROM spool WHERE leaves IS NOT NULL":                                                                              "the sequencer takes the leaves of batches that wait, of all nodes",
	"DELETE FROM pending USING unnest(":                                                                                                           "sent on one server only; a distributed one settles row by row",
	"UPDATE spool SET leaves = NULL, log = $4, leaf = done.leaf FROM unnest(":                                                                     "sent on one server only; a distributed one settles row by row",
	"SELECT DISTINCT subject_id FROM subject_key WHERE subject_id > $1":                                                                           "pages through subjects that have keys, to collect orphans",
	"SELECT subject_id, compartment, version, kek, wrapped FROM subject_key WHERE (subject_id":                                                    "pages through all wrapped keys, to rotate them",
	"SELECT subject_id, category, item_id, version, compartment, sealed, index_key, index_value, due_at FROM item WHERE (subject_id, category":    "pages through items whose index value a rotation makes anew",
	"SELECT index_key, count(*) FROM item":                                                                                                        "counts what is left to rotate, each shard its own",
	"SELECT index_value, index_key, category, holder, subject_id, expires_at FROM lookup WHERE":                                                   "pages through look-ups, at the end of a rotation",
	"SELECT kek, count(*) FROM subject_key GROUP BY":                                                                                              "counts what is left to rotate, each shard its own",
	"SELECT category, index_key, index_value, holder <> subject_id, subject_id, expires_at FROM lookup WHERE expires_at":                          "finds claims that were never confirmed, by an index that holds no others",
	"SELECT subject_id, key FROM idempotency WHERE expires_at":                                                                                    "finds remembered answers whose time is over, by an index",
	"SELECT hash, name, actor, created_at, expires_at FROM token ORDER BY":                                                                        "lists tokens for an administrator",
	"SELECT hash FROM token WHERE name = $1":                                                                                                      "an administrator revokes by name",
}

// TestStatementsNameTheirShard: whatever is not a declared scan names the
// shard of each sharded table it touches, so it costs one server, however many
// there are.
func TestStatementsNameTheirShard(t *testing.T) {
	used := map[string]bool{}
	for _, q := range heard()(t) {
		for _, complaint := range shardless(q) {
			scan := ""
			for begins := range scans {
				if strings.HasPrefix(q, begins) {
					scan = begins
				}
			}
			used[scan] = true
			if scan == "" {
				t.Errorf("%s\n\t%s\n\tadd the condition, or, if it is no hot path, declare it in scans with its reason", q, complaint)
			}
		}
	}
	for begins := range scans {
		if !used[begins] {
			t.Errorf("declared as a scan, and never sent: %s", begins)
		}
	}
}

// shardless lists the sharded tables that a statement touches without naming
// the shard.
func shardless(q string) (out []string) {
	for name, times := range sharded(q) {
		column := declared(name).Column
		if m := inserted.FindStringSubmatch(q); m != nil && m[1] == name {
			if first, _, _ := strings.Cut(m[2], ","); strings.TrimSpace(first) != column {
				out = append(out, fmt.Sprintf("inserts into %s without %s first", name, column))
			}
			times--
		}
		equal := regexp.MustCompile(`\b` + column + ` = \$\d`)
		if got := len(equal.FindAllString(q, -1)); got < times {
			out = append(out, fmt.Sprintf("touches %s %d times and says %s = $n %d times", name, times, column, got))
		}
	}
	return out
}

// refused are forms that Citus refuses or carries out by moving rows between
// servers (docs/decisions/0011-citus.md), with what to write instead.
var refused = []struct {
	what    string
	found   func(q string) bool
	instead string
}{
	{"a statement within WITH", has(`(?i)^WITH\b|\bWITH [a-z_]+ AS \(`), "send two statements in one block, the first of which refuses"},
	{"INSERT ... SELECT", has(`(?i)INSERT INTO [^)]*\)\s*(?:SELECT|WITH)`), "insert values that the adapter read before"},
	{"a subquery that decides an UPDATE or DELETE", has(`(?i)^(?:UPDATE|DELETE)\b.*\(SELECT\b`), "ask first, in a statement of its own"},
	{"ON CONFLICT without the columns of the key", func(q string) bool {
		m := onConflict.FindStringSubmatch(q)
		into := inserted.FindStringSubmatch(q)
		if m == nil || into == nil || declared(into[1]) == nil || declared(into[1]).Column == "" {
			return false
		}
		return m[1] == "" && !strings.HasSuffix(q, "ON CONFLICT DO NOTHING") || m[1] != "" && !strings.Contains(m[1], declared(into[1]).Column)
	}, "name the primary key, which begins with the column it is sharded by"},
	{"a lock on more than one shard", func(q string) bool { return strings.Contains(q, "FOR UPDATE") && len(shardless(q)) > 0 }, "name the shard"},
	{"a function whose value changes", has(`(?i)\b(?:now|random|clock_timestamp|gen_random_uuid|nextval|current_timestamp)\b\(?`), "send the value as a parameter"},
	{"a change of the column by which it is sharded", func(q string) bool {
		for name := range sharded(q) {
			if regexp.MustCompile(`(?i)^UPDATE ` + name + ` SET [^W]*\b` + declared(name).Column + ` =`).MatchString(q) {
				return true
			}
		}
		return false
	}, "delete and insert"},
	{"two kinds of tables joined", func(q string) bool {
		kinds := map[string]bool{}
		for _, m := range mentions.FindAllStringSubmatch(q, -1) {
			if t := declared(m[1]); t != nil {
				kinds[string(t.Spread)+map[bool]string{true: t.Name}[t.Spread == byOwnKey]] = true
			}
		}
		return len(kinds) > 1
	}, "send two statements in one pipeline"},
	{"COPY", has(`(?i)^COPY\b`), "insert rows in one pipeline"},
	{"a temporary table, or a table made at run time", has(`(?i)^(?:CREATE|ALTER|DROP|TRUNCATE)\b`), "migrate"},
	{"a cursor or a savepoint", has(`(?i)^(?:DECLARE|FETCH|SAVEPOINT)\b`), "page by key"},
}

var onConflict = regexp.MustCompile(`(?i)ON CONFLICT\s*(?:\(([^)]*)\))?`)

func has(pattern string) func(string) bool { return regexp.MustCompile(pattern).MatchString }

// own are statements about the server, not about our tables.
func own(q string) bool { return mentions.FindString(q) != "" || !selects.MatchString(q) }

func TestStatementsAreThoseThatCitusTakes(t *testing.T) {
	queries := heard()(t)
	if len(queries) < 50 {
		t.Fatalf("only %d statements heard", len(queries))
	}
	for _, q := range queries {
		if strings.Contains(q, "pg_is_in_recovery()") || !own(q) {
			continue
		}
		for _, r := range refused {
			if r.found(q) {
				t.Errorf("%s\n\tis %s; %s", q, r.what, r.instead)
			}
		}
	}
}

// TestRefusedFormsAreFound proves that the check can fail, for each form.
func TestRefusedFormsAreFound(t *testing.T) {
	for i, q := range []string{
		`WITH changed AS (UPDATE subject SET n = 1 WHERE subject_id = $1 RETURNING 1) SELECT 1 / count(*) FROM changed`,
		`INSERT INTO lookup (index_value, holder) SELECT $1, $2 WHERE NOT EXISTS (SELECT 1 FROM lookup WHERE index_value = $1)`,
		`DELETE FROM fact WHERE subject_id = $1 AND NOT EXISTS (SELECT 1 FROM item WHERE subject_id = $1)`,
		`INSERT INTO item (subject_id, item_id) VALUES ($1, $2) ON CONFLICT (item_id) DO UPDATE SET item_id = $2`,
		`SELECT 1 FROM subject WHERE next_due_at < $1 FOR UPDATE`,
		`UPDATE subject SET created_at = now() WHERE subject_id = $1`,
		`UPDATE item SET subject_id = $2 WHERE subject_id = $1`,
		`SELECT 1 FROM subject JOIN policy_epoch ON true WHERE subject_id = $1`,
		`COPY item FROM STDIN`,
		`CREATE TEMP TABLE x (a int)`,
		`SAVEPOINT a`,
	} {
		if !refused[i].found(q) {
			t.Errorf("not found as %s: %s", refused[i].what, q)
		}
	}
	for _, q := range []string{`SELECT 1 FROM item WHERE category = $1`, `INSERT INTO item (category, subject_id) VALUES ($1, $2)`,
		`SELECT 1 FROM item WHERE subject_id = $1 AND EXISTS (SELECT 1 FROM item WHERE category = $2)`} {
		if len(shardless(q)) == 0 {
			t.Errorf("names no shard, and is not found: %s", q)
		}
	}
}

// verbs are what a statement needs on the table that follows.
var verbs = []struct {
	right string
	at    *regexp.Regexp
}{
	{ins, regexp.MustCompile(`INSERT INTO ([a-z_]+)`)},
	{upd, regexp.MustCompile(`^UPDATE ([a-z_]+)`)},
	{upd, regexp.MustCompile(`INSERT INTO ([a-z_]+).* DO UPDATE`)},
	{upd, regexp.MustCompile(`FROM ([a-z_]+) WHERE [^()]* FOR UPDATE`)},
	{del, regexp.MustCompile(`DELETE FROM ([a-z_]+)`)},
	{sel, regexp.MustCompile(`(?:^| |\()SELECT .*? FROM ([a-z_]+)`)},
	{sel, regexp.MustCompile(`(?:^UPDATE|^DELETE FROM) ([a-z_]+) .*WHERE`)},
	{sel, regexp.MustCompile(`INSERT INTO ([a-z_]+).* ON CONFLICT`)},
}

// TestRightsAreThoseThatStatementsNeed holds the rights of tables.go to what is
// sent: none is missing, and none is given that nothing uses.
func TestRightsAreThoseThatStatementsNeed(t *testing.T) {
	need := map[string]map[string]bool{}
	for _, q := range heard()(t) {
		for _, v := range verbs {
			for _, m := range v.at.FindAllStringSubmatch(q, -1) {
				if declared(m[1]) == nil {
					continue
				}
				if need[m[1]] == nil {
					need[m[1]] = map[string]bool{}
				}
				need[m[1]][v.right] = true
			}
		}
	}
	for of := range tables {
		for _, table := range tables[of] {
			want := slices.Sorted(maps.Keys(need[table.Name]))
			got := slices.Sorted(slices.Values(table.Rights))
			if !slices.Equal(got, want) {
				t.Errorf("%s: tables.go grants %v; what is sent needs %v", table.Name, got, want)
			}
		}
	}
}
