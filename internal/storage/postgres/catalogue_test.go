package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/abide-privacy/abide/internal/testx/pg"
	"github.com/jackc/pgx/v5"
)

// catalogue is what PostgreSQL itself says about the tables.
type catalogue struct {
	tables  map[string][]string // table -> columns, in order
	unique  []key               // primary keys and unique constraints and indexes
	foreign []foreign
	active  []string // triggers, rules, functions, sequences and defaults of our own making
}

type key struct {
	table, name string
	columns     []string
}

type foreign struct {
	table, target  string
	columns, reach []string
}

func readCatalogue(t *testing.T, url string) catalogue {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	cat := catalogue{tables: map[string][]string{}}
	rows := func(query string, dest []any, each func()) {
		t.Helper()
		r, err := c.Query(context.Background(), query)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := pgx.ForEachRow(r, dest, func() error { each(); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	const ours = ` n.nspname = current_schema() AND c.relname NOT LIKE 'abide\_%\_migration%'`
	var table, name string
	var columns, reach []string
	rows(`SELECT c.relname::text, array_agg(a.attname::text ORDER BY a.attnum) FROM pg_class c
		JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
		WHERE c.relkind IN ('r', 'p') AND`+ours+` GROUP BY 1`, []any{&table, &columns},
		func() { cat.tables[table] = slices.Clone(columns) })
	// A unique constraint, a primary key and a unique index are all indexes.
	rows(`SELECT c.relname::text, i.indexrelid::regclass::text, array(SELECT coalesce(a.attname::text, '(expression)')
			FROM unnest(i.indkey::int[]) WITH ORDINALITY AS k(n, at) LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.n AND k.n > 0 ORDER BY k.at)
		FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE i.indisunique AND`+ours, []any{&table, &name, &columns},
		func() { cat.unique = append(cat.unique, key{table, name, slices.Clone(columns)}) })
	rows(`SELECT c.relname::text, f.confrelid::regclass::text,
			array(SELECT attname::text FROM unnest(f.conkey) k JOIN pg_attribute ON attrelid = f.conrelid AND attnum = k),
			array(SELECT attname::text FROM unnest(f.confkey) k JOIN pg_attribute ON attrelid = f.confrelid AND attnum = k)
		FROM pg_constraint f JOIN pg_class c ON c.oid = f.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE f.contype = 'f' AND`+ours, []any{&table, &name, &columns, &reach},
		func() {
			cat.foreign = append(cat.foreign, foreign{table, name, slices.Clone(columns), slices.Clone(reach)})
		})
	rows(`SELECT 'trigger ' || tgname || ' on ' || c.relname FROM pg_trigger JOIN pg_class c ON c.oid = tgrelid
			JOIN pg_namespace n ON n.oid = c.relnamespace WHERE NOT tgisinternal AND`+ours+`
		UNION ALL SELECT 'rule ' || rulename || ' on ' || c.relname FROM pg_rewrite JOIN pg_class c ON c.oid = ev_class
			JOIN pg_namespace n ON n.oid = c.relnamespace WHERE`+ours+`
		UNION ALL SELECT 'function ' || p.oid::regprocedure FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = current_schema()
		UNION ALL SELECT 'sequence ' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'S' AND`+ours+`
		UNION ALL SELECT 'default of ' || c.relname || '.' || a.attname FROM pg_attrdef JOIN pg_class c ON c.oid = adrelid
			JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = adnum WHERE`+ours,
		[]any{&name}, func() { cat.active = append(cat.active, name) })
	return cat
}

// complaints lists what would keep a distributed PostgreSQL from sharding the
// tables as declared, each with its remedy.
func (c *catalogue) complaints(declared []Table) (out []string) {
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	by := map[string]*Table{}
	for i := range declared {
		d := &declared[i]
		if by[d.Name] != nil {
			say("table %s is declared twice in tables.go: a table is spread in one way", d.Name)
		}
		by[d.Name] = d
		if c.tables[d.Name] == nil {
			say("tables.go declares %s, which no migration makes: delete its line", d.Name)
		}
		if d.Spread != bySubject && d.Why == "" {
			say("table %s is not by subject and tables.go does not say why", d.Name)
		}
	}
	for name, columns := range c.tables {
		d := by[name]
		switch {
		case d == nil:
			say("table %s is not declared in tables.go: say there how it is spread, and which rights the server needs; if it grows with people, it begins with %s", name, subjectID)
		case d.Column != "" && columns[0] != d.Column:
			say("table %s is sharded by %s but begins with %s: make %s its first column", name, d.Column, columns[0], d.Column)
		case d.Spread != bySubject && d.Spread != byOwnKey && slices.Contains(columns, subjectID):
			say("table %s holds subject ids, so it grows with people, but is spread %q: shard it by subject", name, d.Spread)
		}
		if !slices.ContainsFunc(c.unique, func(k key) bool { return k.table == name }) {
			say("table %s has no primary key: without one a row cannot be found, and a distributed database cannot move it", name)
		}
	}
	for _, k := range c.unique {
		if d := by[k.table]; d != nil && d.Column != "" && k.columns[0] != d.Column {
			say("%s on %s (%s) is unique over all shards, which no shard can know: begin it with %s, or let the look-ups keep it unique", k.name, k.table, strings.Join(k.columns, ", "), d.Column)
		}
	}
	for _, f := range c.foreign {
		from, to := by[f.table], by[f.target]
		if from == nil || to == nil || from.Spread != bySubject || to.Spread != bySubject ||
			!slices.Equal(f.columns, []string{subjectID}) || !slices.Equal(f.reach, []string{subjectID}) {
			say("%s refers to %s by (%s): a foreign key may only run along %s, between tables that are sharded by it", f.table, f.target, strings.Join(f.columns, ", "), subjectID)
		}
	}
	for _, a := range c.active {
		say("%s: nothing in the database acts by itself; what it does belongs into the adapter, for both engines, and ids come from the engine", a)
	}
	slices.Sort(out)
	return out
}

// TestTablesCanBeSharded reads the catalogue of the migrated databases. When it
// fails it says what to change.
func TestTablesCanBeSharded(t *testing.T) {
	for of := range tables {
		url := migrated(t, Of(of))
		cat := readCatalogue(t, url)
		if len(cat.tables) != len(tables[of]) {
			t.Errorf("%s: %d tables in the catalogue, %d declared", of, len(cat.tables), len(tables[of]))
		}
		for _, complaint := range cat.complaints(tables[of]) {
			t.Errorf("%s: %s", of, complaint)
		}
	}
}

func migrated(t *testing.T, of Of) string {
	t.Helper()
	url := pg.Database(t)
	if _, err := Migrate(t.Context(), url, of, Migration{}); err != nil {
		t.Fatal(err)
	}
	return url
}

// TestCatalogueNotices proves that each complaint can be made.
func TestCatalogueNotices(t *testing.T) {
	for ddl, want := range map[string]string{
		`CREATE TABLE note (id uuid PRIMARY KEY, subject_id uuid)`:             "table note is not declared",
		`CREATE UNIQUE INDEX one_value ON item (index_value)`:                  "one_value on item (index_value) is unique over all shards",
		`ALTER TABLE fact ADD CONSTRAINT one_event UNIQUE (event, subject_id)`: "one_event on fact (event, subject_id) is unique over all shards",
		`CREATE UNIQUE INDEX odd ON fact (lower(event), subject_id)`:           "odd on fact ((expression), subject_id) is unique",
		`ALTER TABLE item ADD FOREIGN KEY (category) REFERENCES terms`:         "item refers to terms by (category)",
		`ALTER TABLE terms ADD subject_id uuid`:                                "table terms holds subject ids",
		`ALTER TABLE entry DROP CONSTRAINT entry_pkey`:                         "table entry has no primary key",
		`DROP TABLE counter`:                        "declares counter, which no migration makes",
		`CREATE SEQUENCE entry_number`:              "sequence entry_number",
		`ALTER TABLE pending ALTER n SET DEFAULT 1`: "default of pending.n",
		`CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END'`: "function f()",
		`CREATE FUNCTION pg_temp.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
			CREATE TRIGGER act BEFORE INSERT ON entry FOR EACH ROW EXECUTE FUNCTION pg_temp.f()`: "trigger act on entry",
	} {
		url := migrated(t, Data)
		c, err := pgx.Connect(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close(t.Context())
		if _, err := c.Exec(t.Context(), ddl); err != nil {
			t.Fatal(err)
		}
		cat := readCatalogue(t, url)
		got := cat.complaints(tables["data"])
		if !slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, want) }) {
			t.Errorf("%s:\n%q\nwant a complaint that %s", ddl, got, want)
		}
	}
}
