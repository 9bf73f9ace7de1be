package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/internal/storage"
)

// Distribution lists the statements that spread the tables of a database over
// a Citus cluster, in their order. docs/decisions/0011-citus.md has the reasons.
func Distribution(of Of) []string {
	var out []string
	for _, t := range tables[string(of)] {
		if q := t.distribution(string(of)); q != "" {
			out = append(out, q)
		}
	}
	return out
}

// distribution is the statement for one table; "" for one that stays where it is.
func (t *Table) distribution(of string) string {
	switch t.Spread {
	case bySubject:
		with := tables[of][0].Name // all of a subject's rows on one shard
		if with == t.Name {
			with = "none"
		}
		return fmt.Sprintf(`SELECT create_distributed_table('%s', '%s', colocate_with => '%s')`, t.Name, t.Column, with)
	case byOwnKey:
		return fmt.Sprintf(`SELECT create_distributed_table('%s', '%s', colocate_with => 'none')`, t.Name, t.Column)
	case reference:
		return fmt.Sprintf(`SELECT create_reference_table('%s')`, t.Name)
	}
	return ""
}

// hasCitus refuses a database without the extension, before anything changes.
func (d *database) hasCitus(ctx context.Context) error {
	var there bool
	if err := d.pool.QueryRow(ctx, `SELECT to_regclass('pg_dist_partition') IS NOT NULL`).Scan(&there); err != nil {
		return reading(err)
	}
	if !there {
		return &abide.Error{Code: abide.CodeInvalid, Detail: "no_citus",
			Message: "this database does not have the Citus extension, so its tables cannot be distributed; nothing was changed",
			Hint:    "on a Citus cluster, run CREATE EXTENSION citus there as an administrator and try again; on a single server leave out --citus, nothing needs it"}
	}
	return nil
}

// distributed tells how Citus spreads which table: the column, or "" for a
// reference table. Without the extension, none.
func (d *database) distributed(ctx context.Context) (map[string]string, error) {
	var there bool
	if err := d.pool.QueryRow(ctx, `SELECT to_regclass('pg_dist_partition') IS NOT NULL`).Scan(&there); err != nil || !there {
		return nil, reading(err)
	}
	type placed struct{ name, column string }
	rows, err := list(ctx, d, func(s *scanner, v *placed) {
		text(s, &v.name)
		text(s, &v.column)
	}, `SELECT logicalrelid::regclass::text, CASE WHEN partmethod = 'h' THEN column_to_column_name(logicalrelid, partkey) END
		FROM pg_dist_partition`)
	if err != nil {
		return nil, err
	}
	out := make(map[string]string, len(rows))
	for _, r := range rows {
		out[r.name] = r.column
	}
	return out, nil
}

// distribute spreads what is not spread yet. Each table is a statement of its
// own that Citus makes durable: what is killed in between is carried on by the
// next run.
func (d *database) distribute(ctx context.Context, of string) ([]string, error) {
	placed, err := d.distributed(ctx)
	if err != nil {
		return nil, err
	}
	var done []string
	for i := range tables[of] {
		t := &tables[of][i]
		column, there := placed[t.Name]
		switch {
		case there && (t.Spread == local || column != t.Column):
			return done, &abide.Error{Code: abide.CodeConflict, Detail: "distributed_otherwise",
				Message: "the table " + t.Name + " is distributed already, in another way than " + string(t.Spread),
				Hint:    "undistribute_table('" + t.Name + "') as an administrator, and run this again"}
		case there:
			done = append(done, of+": "+t.Name+" is distributed already")
			continue
		case t.Spread == local:
			done = append(done, of+": "+t.Name+" stays on the coordinator")
			continue
		}
		if _, err := d.pool.Exec(ctx, t.distribution(of)); err != nil {
			return done, &abide.Error{Code: abide.CodeUnavailable, Detail: "not_distributed", Err: err,
				Message: "Citus did not distribute the table " + t.Name + ": " + err.Error(), Hint: "resolve what it says and run this again; what is done stays done"}
		}
		how := "is a reference table"
		if t.Column != "" {
			how = "distributed by " + t.Column
		}
		done = append(done, of+": "+t.Name+" "+how)
	}
	return d.coordinator(ctx, done)
}

// coordinator adds a note if the coordinator holds no copy of the reference
// tables, so that each of them is read over the network.
func (d *database) coordinator(ctx context.Context, done []string) ([]string, error) {
	groups, err := list(ctx, d, func(s *scanner, v *int64) { num(s, v) }, `SELECT groupid FROM pg_dist_node`)
	if err == nil && !slices.Contains(groups, 0) {
		done = append(done, "note: the coordinator holds no copy of the reference tables; SELECT citus_set_coordinator_host('its address') gives it one")
	}
	return done, err
}

// maxSettle is how long to wait for shards. Citus' maintenance daemon carries
// on what was interrupted each citus.recover_2pc_interval, a minute unless
// somebody changed it.
const maxSettle = 3 * time.Minute

// settled waits until whoever is writing the table now has ended on every
// shard. The coordinator may have finished with a transaction, and a shard not
// yet: it has prepared it and awaits the second phase, or it has a COMMIT on
// its way whose answer nobody waits for. Both hold their locks there.
func (d *database) settled(ctx context.Context, table string) error {
	ctx, cancel := context.WithTimeout(ctx, maxSettle)
	defer cancel()
	waiting, err := d.writers(ctx, table)
	for try := 1; err == nil && len(waiting) > 0; try++ {
		if pause(ctx, try) != nil {
			return fmt.Errorf("%w: a write to %s has not ended on every shard", storage.ErrUnavailable, table)
		}
		var now []string
		now, err = d.writers(ctx, table)
		waiting = slices.DeleteFunc(waiting, func(w string) bool { return !slices.Contains(now, w) })
	}
	return err
}

// writers lists the transactions that have written to shards of a table and
// not ended there.
func (d *database) writers(ctx context.Context, table string) ([]string, error) {
	type answer struct {
		ok    bool
		shard int64
		who   string
	}
	answers, err := list(ctx, d, func(s *scanner, v *answer) {
		s.dest = append(s.dest, &v.ok)
		num(s, &v.shard)
		text(s, &v.who)
	}, `SELECT success, shardid, result FROM run_command_on_placements('`+table+`', $$SELECT coalesce(
		string_agg(virtualtransaction, ' '), '') FROM pg_locks WHERE mode = 'RowExclusiveLock' AND relation = '%s'::regclass$$)`)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, a := range answers {
		if !a.ok {
			return nil, fmt.Errorf("%w: a worker does not answer", storage.ErrUnavailable)
		}
		for who := range strings.FieldsSeq(a.who) {
			out = append(out, fmt.Sprint(a.shard, " ", who))
		}
	}
	return out, nil
}
